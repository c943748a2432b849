#!/usr/bin/env bash
# fuzz.sh - a minute of libFuzzer over the readers of model files, in all: each starts from its seeds and
# what earlier runs found (build/fuzz/corpus). `make fuzz` runs every fuzzer for longer.
set -u
cd "$(dirname "$0")/../.." || exit 1
names=(safetensors gguf tokfile hfconfig)
for f in tests/fuzz/fuzz_tok*.c tests/fuzz/fuzz_chat*.c; do
    f=${f#tests/fuzz/fuzz_} && f=${f%.c}
    [ "$f" = tokfile ] || [ ! -f "tests/fuzz/fuzz_$f.c" ] || names+=("$f")
done
seconds=$(((60 + ${#names[@]} - 1) / ${#names[@]}))
n=0
for name in "${names[@]}"; do
    n=$((n + 1))
    # the last line is the verdict; what came before it matters only when it is bad
    out=$(tests/fuzz/run.sh "$name" "$seconds" 2>&1)
    last=$(tail -n 1 <<<"$out")
    case $last in
    "ok - "* | "not ok - "*) echo "${last/ - / $n - }" ;;
    *) echo "not ok $n - fuzz $name did not run" ;;
    esac
    [[ $last == "ok - "* ]] || sed 's/^/# /' <<<"$out"
done
echo "1..$n"
