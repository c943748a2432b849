#!/usr/bin/env bash
# run.sh NAME SECONDS - build tests/fuzz/fuzz_NAME.c with clang's libFuzzer, ASan and UBSan, and run it on
# its seeds. New inputs go to build/fuzz/corpus/NAME; a crash leaves its input in build/fuzz/crash/NAME.* and
# ends with status 1. Without clang nothing is run, and it says so.
set -euo pipefail
name=$1 seconds=${2:-60}
cd "$(dirname "$0")/../.."
clang=${CLANG:-}
for c in clang clang-{19,18,17,16,15,14}; do [ -n "$clang" ] || clang=$(command -v "$c" || true); done
if [ -z "$clang" ]; then
    echo "ok - fuzz $name # SKIP no clang (package clang)"
    exit 0
fi
make --no-print-directory CONFIG=fuzz CC="$clang" "build/fuzz/tests/fuzz_$name"
mkdir -p "build/fuzz/corpus/$name" build/fuzz/crash
"build/fuzz/tests/fuzz_$name" -max_total_time="$seconds" -artifact_prefix="build/fuzz/crash/$name." -max_len=20000 -timeout=10 \
    -print_final_stats=1 "build/fuzz/corpus/$name" "tests/fuzz/seeds/$name" 2>"build/fuzz/$name.log" || {
    tail -n 40 "build/fuzz/$name.log"
    echo "not ok - fuzz $name"
    exit 1
}
echo "ok - fuzz $name: $(sed -n 's/stat::number_of_executed_units: *//p' "build/fuzz/$name.log") inputs in $seconds s"
