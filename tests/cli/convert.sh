#!/usr/bin/env bash
# convert.sh - the command: same bytes for any threads, refusals, kills, memory. BIN is the folder of the tools.
# What the files hold is tests/unit/test_convert.c's business, and tests/reference/gguf_check.py's.
set -u
bin=${BIN:-build/release/bin}
convert=$bin/convert
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export ASSAY_CACHE=$dir/cache
n=0 failed=0

check() { # what, then a command that must succeed
    local what=$1
    shift
    n=$((n + 1))
    if "$@" >"$dir/log" 2>&1; then
        echo "ok $n - $what"
    else
        echo "not ok $n - $what"
        sed 's/^/# /' "$dir/log"
        failed=1
    fi
}

exits() { # code, then a command
    local want=$1 rc=0
    shift
    "$@" || rc=$?
    echo "expected exit $want, found $rc"
    [ "$rc" -eq "$want" ]
}

refused() { # text that must be on stderr, then options; exit 2 and no file
    local text=$1
    shift
    exits 2 "$convert" "$@" --out "$dir/refused.gguf" 2>"$dir/err"
    local rc=$?
    cat "$dir/err"
    [ $rc -eq 0 ] && [ "$(wc -l <"$dir/err")" -eq 1 ] && grep -qF -- "$text" "$dir/err" &&
        [ -z "$(find "$dir" -maxdepth 1 -name '*refused*')" ]
}

for m in gptoss-tiny gptoss-tiny-bf16 qwen3-tiny qwen3-tied-tiny yi-tiny; do
    "$bin/synth" --quiet --family "$m" --out "$dir/$m" || exit 2
done

same_for_any_threads() { # 5 does not divide the rows
    "$convert" -q --model "$dir/$1" --type "$2" --threads 1 --out "$dir/a.gguf" &&
        "$convert" -q --model "$dir/$1" --type "$2" --threads 5 --out "$dir/b.gguf" && cmp "$dir/a.gguf" "$dir/b.gguf" &&
        [ "$(head -c 4 "$dir/a.gguf")" = GGUF ]
}

untouched() {
    "$convert" -q --model "$dir/yi-tiny" --out "$dir/u.gguf" && touch -d 2000-01-01 "$dir/u.gguf" &&
        "$convert" --model "$dir/yi-tiny" --out "$dir/u.gguf" 2>&1 | grep -q 'up to date' &&
        [ -z "$(find "$dir" -name u.gguf -newermt 2001-01-01)" ]
}

# Where the stored values are equal, so are the logits, bit for bit.
same_logits() {
    "$convert" -q --model "$dir/$1" --type bf16 --out "$dir/l.gguf" || return 1
    local a b
    a=$(digest "$dir/$1") b=$(digest "$dir/l.gguf")
    echo "$a $b"
    [ -n "$a" ] && [ "$a" = "$b" ]
}

digest() { # of a text's tokens and logits: the tokenizer is the same too
    "$bin/infer" --quiet --model "$1" --prompt "The answer is 42, of course." --max-tokens 24 --format json |
        grep -o '"logits_sha256":"[0-9a-f]\{64\}"'
}

piped() { # standard output has the same bytes
    "$convert" -q --model "$dir/yi-tiny" --out "$dir/p.gguf" && "$convert" -q --model "$dir/yi-tiny" --out - | cmp - "$dir/p.gguf"
}

no_paths() { # nothing of this machine is in the file
    "$convert" -q --model "$dir/qwen3-tiny" --out "$dir/n.gguf" && ! grep -qaF "$dir" "$dir/n.gguf" &&
        grep -qa 'assay.source.sha256' "$dir/n.gguf"
}

damaged() { # a copy of a model with one thing replaced: file, sed script
    rm -rf "$dir/damaged" && cp -r "$dir/$1" "$dir/damaged" && LC_ALL=C sed -i "$3" "$dir/damaged/$2"
}

# One bf16 infinity in the last tensor of the file.
not_finite() {
    rm -rf "$dir/damaged" && cp -r "$dir/qwen3-tiny" "$dir/damaged" || return 1
    local file=$dir/damaged/model.safetensors size
    size=$(stat -c %s "$file")
    printf '\x80\x7f' | dd of="$file" bs=1 seek=$((size - 2)) conv=notrunc status=none
    refused "expected finite values that" --model "$dir/damaged"
}

full_disk() { # every write fails: one sentence, exit 2, nothing left (ulimit stands in for a full disk)
    (
        ulimit -f 64
        trap '' XFSZ
        exits 2 "$convert" -q --model "$dir/qwen3-tiny" --out "$dir/full.gguf"
    ) && [ -z "$(find "$dir" -maxdepth 1 -name '*full.gguf*')" ]
}

# A GGUF file is a source too: what is asked for again keeps its bytes, types can change, its own keys stay.
again() {
    "$convert" -q --model "$dir/$1" --type "$2" --out "$dir/g1.gguf" &&
        "$convert" -q --model "$dir/g1.gguf" --type "$2" --out "$dir/g2.gguf" || return 1
    local size
    size=$(stat -c %s "$dir/g1.gguf")
    cmp <(tail -c $((size / 2)) "$dir/g1.gguf") <(tail -c $((size / 2)) "$dir/g2.gguf") &&
        "$convert" -q --model "$dir/g1.gguf" --type f32 --out "$dir/g3.gguf" &&
        "$convert" -q --model "$dir/g3.gguf" --type "$2" --out "$dir/g4.gguf" &&
        cmp <(tail -c $((size / 2)) "$dir/g1.gguf") <(tail -c $((size / 2)) "$dir/g4.gguf") &&
        grep -qa tokenizer.chat_template "$dir/g4.gguf" && grep -qa 'assay synth' "$dir/g4.gguf"
}

# 110 MB of weights, for kills at different moments and for memory.
big() {
    "$bin/synth" --quiet --family yi --layers 2 --d-model 1024 --d-ff 4096 --heads 8 --kv-heads 2 --head-dim 128 \
        --vocab 8000 --out "$dir/big"
}

killed() { # no half file ever; the next run ends in the same bytes and sweeps what SIGKILL left
    "$convert" -q --model "$dir/big" --type f32 --out "$dir/ref.gguf" || return 1
    local i signal
    for i in 1 2 3 4 5 6 7 8; do
        signal=KILL
        [ $((i % 2)) -eq 0 ] && signal=TERM
        rm -f "$dir/k.gguf"
        "$convert" -q --model "$dir/big" --type f32 --out "$dir/k.gguf" &
        local pid=$!
        sleep "0.$(printf '%03d' $((i * 60)))"
        kill -s "$signal" "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        if [ -e "$dir/k.gguf" ]; then cmp "$dir/k.gguf" "$dir/ref.gguf" || return 1; fi
        if [ $signal = TERM ] && [ -n "$(find "$dir" -name '.k.gguf*')" ]; then return 1; fi
    done
    "$convert" -q --model "$dir/big" --type f32 --out "$dir/k.gguf" && cmp "$dir/k.gguf" "$dir/ref.gguf" &&
        [ -z "$(find "$dir" -name '.k.gguf*')" ]
}

little_memory() { # 110 MB in, 230 MB out: a fraction of either
    local kib
    kib=$("$convert" --model "$dir/big" --type f32 --out "$dir/m.gguf" 2>&1 | sed -n 's/.*at most \([0-9]*\) KiB.*/\1/p')
    echo "at most $kib KiB"
    [ -n "$kib" ] && [ "$kib" -lt 65536 ]
}

for m in gptoss-tiny gptoss-tiny-bf16 qwen3-tiny qwen3-tied-tiny yi-tiny; do
    check "$m: the same bytes for any number of threads" same_for_any_threads "$m" q8_0
done
for type in q4_0 bf16 f16 f32; do
    check "gptoss-tiny $type: the same bytes for any number of threads" same_for_any_threads gptoss-tiny "$type"
done
for m in gptoss-tiny gptoss-tiny-bf16 qwen3-tiny qwen3-tied-tiny yi-tiny; do
    check "$m: the logits of its GGUF file are those of the directory" same_logits "$m"
done
check "an equal file is not touched" untouched
check "standard output" piped
check "no path of this machine in the file" no_paths
check "gptoss-tiny from its own GGUF file" again gptoss-tiny q8_0
check "yi-tiny from its own GGUF file" again yi-tiny bf16
check "a model made" big
check "kills leave no half file" killed
check "memory does not grow with the model" little_memory
check "a full disk leaves nothing" full_disk
check "an infinite weight" not_finite
check "no such directory" refused "cannot open" --model "$dir/none"
check "a source of another kind" refused "found a server" --model http://127.0.0.1/v1
printf GGUF >"$dir/short.gguf"
check "a GGUF file cut short" refused "short.gguf" --model "$dir/short.gguf"
check "no such synthetic model" refused "nope" --model synthetic:nope
check "experts of a dense model" refused "expected a model with experts" --model "$dir/yi-tiny" --experts bf16
check "a type that is not written" refused "--type" --model "$dir/yi-tiny" --type q6_k
damaged gptoss-tiny config.json 's/"swiglu_limit": 7.0/"swiglu_limit": 6.0/'
check "an activation that GGUF cannot say" refused "swiglu_limit" --model "$dir/damaged"
damaged gptoss-tiny config.json 's/"truncate": false/"truncate": true/'
check "a rotary table that GGUF cannot say" refused "truncate" --model "$dir/damaged"
damaged qwen3-tiny config.json 's/"num_hidden_layers": 3/"num_hidden_layers": 4/'
check "a layer too few" refused "expected tensor 'model.layers.3." --model "$dir/damaged"
damaged qwen3-tiny config.json 's/"num_hidden_layers": 3/"num_hidden_layers": 2/'
check "a layer too many" refused "expected no such tensor" --model "$dir/damaged"
damaged qwen3-tiny config.json 's/"intermediate_size": 768/"intermediate_size": 736/'
check "a shape that is not the config's" refused "expected shape [736, 320], found [768, 320]" --model "$dir/damaged"
damaged qwen3-tiny model.safetensors 's/"BF16"/"I16 "/'
check "a dtype that is no weight" exits 2 "$convert" -q --model "$dir/damaged" --out "$dir/refused.gguf"
check "--help" bash -c "'$convert' --help | grep -q -- --experts"
echo "1..$n"
exit "$failed"
