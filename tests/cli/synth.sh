#!/usr/bin/env bash
# synth.sh - the command: formats, determinism, refusals, kills. BIN is the folder of the tools.
set -u
synth=${BIN:-build/release/bin}/synth
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
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

refused() { # text that must be on stderr, then options; exit 2 and no directory
    local text=$1
    shift
    exits 2 "$synth" "$@" --out "$dir/refused" 2>"$dir/err" && grep -qF -- "$text" "$dir/err" && [ ! -e "$dir/refused" ]
}

same_twice() {
    "$synth" --quiet --family "$1" --out "$dir/a" && "$synth" --quiet --family "$1" --out "$dir/b/" &&
        diff -r "$dir/a" "$dir/b" && rm -r "$dir/a" "$dir/b"
}

untouched() { # a second run does not even touch the files
    "$synth" --quiet --family yi-tiny --out "$dir/t" && touch -d 2000-01-01 "$dir/t"/* &&
        "$synth" --family yi-tiny --out "$dir/t" 2>&1 | grep -q 'up to date' &&
        [ -z "$(find "$dir/t" -newermt 2001-01-01 -type f)" ]
}

sharded() { # three files and an index that together hold the bytes of the one file
    "$synth" --quiet --family gptoss-tiny --shards 3 --out "$dir/s" &&
        [ "$(find "$dir/s" -name '*.safetensors' | sort | xargs -n1 basename | tr '\n' ' ')" = \
            "model-00001-of-00003.safetensors model-00002-of-00003.safetensors model-00003-of-00003.safetensors " ] &&
        [ -f "$dir/s/model.safetensors.index.json" ] && [ ! -e "$dir/s/model.safetensors" ] || return 1
    "$synth" --quiet --family gptoss-tiny --out "$dir/one" || return 1
    cmp <(data "$dir/one/model.safetensors") <(for i in 1 2 3; do data "$dir/s/model-0000$i-of-00003.safetensors"; done)
}

data() { # bytes behind the header
    local header
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +$((header + 9)) "$1"
}

decoded() { # experts as BF16 are other bytes and the same numbers: the logits have the same digest
    "$synth" --quiet --family gptoss-tiny --out "$dir/mx" && "$synth" --quiet --family gptoss-tiny --dequantised --out "$dir/bf" || return 1
    grep -qa quantization_config "$dir/mx/config.json" && ! grep -qa quantization_config "$dir/bf/config.json" || return 1
    ! cmp -s "$dir/mx/model.safetensors" "$dir/bf/model.safetensors" || return 1
    [ "$(digest "$dir/mx")" = "$(digest "$dir/bf")" ]
}

digest() {
    "${synth%/*}/infer" --quiet --model "$1" --tokens 1,2,3,4,5,6,7,8 --max-tokens 24 --format json | grep -o '"logits_sha256":"[0-9a-f]\{64\}"'
}

overrides() {
    "$synth" --quiet --family gptoss --layers 2 --d-model 64 --d-ff 32 --heads 6 --kv-heads 3 --head-dim 32 --experts 5 \
        --experts-used 2 --window 8 --vocab 500 --context 777 --seed 9 --out "$dir/o" || return 1
    for pair in num_hidden_layers:2 hidden_size:64 intermediate_size:32 num_attention_heads:6 num_key_value_heads:3 \
        head_dim:32 num_local_experts:5 num_experts_per_tok:2 sliding_window:8 vocab_size:500 max_position_embeddings:777; do
        grep -q "\"${pair%:*}\": ${pair#*:}," "$dir/o/config.json" || grep -q "\"${pair%:*}\": ${pair#*:}\$" "$dir/o/config.json" ||
            { echo "no $pair"; return 1; }
    done
}

foreign() { # a real checkpoint in the way stays as it is
    mkdir "$dir/real" && echo '{"model_type":"llama"}' >"$dir/real/config.json" && echo weights >"$dir/real/model.safetensors"
    exits 2 "$synth" --family yi-tiny --out "$dir/real" && [ "$(cat "$dir/real/model.safetensors")" = weights ] &&
        [ "$(ls "$dir/real" | wc -l)" = 2 ]
}

full_disk() { # every write fails: one sentence, exit 2, nothing left (ulimit stands in for a full disk)
    (
        ulimit -f 64
        trap '' XFSZ
        exits 2 "$synth" --family qwen3-tiny --out "$dir/full"
    ) && [ ! -e "$dir/full" ] && [ ! -e "$dir/full.partial" ]
}

killed() { # at ten moments: no half directory ever, and the next run ends in the same bytes
    "$synth" --quiet --family qwen3-tiny --out "$dir/ref" || return 1
    local i
    for i in 1 2 3 4 5 6 7 8 9 10; do
        rm -rf "$dir/k"
        "$synth" --quiet --family qwen3-tiny --out "$dir/k" &
        local pid=$!
        sleep "0.$(printf '%03d' $((i * i * 2)))"
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        if [ -e "$dir/k" ] && ! diff -r -x .lock "$dir/k" "$dir/ref"; then return 1; fi
        "$synth" --quiet --family qwen3-tiny --out "$dir/k" && diff -r -x .lock "$dir/k" "$dir/ref" || return 1
        [ ! -e "$dir/k.partial" ] && [ ! -e "$dir/k.old" ] || return 1
    done
}

for family in gptoss-tiny qwen3-tiny qwen3-tied-tiny yi-tiny; do
    check "$family: two runs, the same bytes" same_twice "$family"
done
check "an equal directory is not touched" untouched
check "shards hold the bytes of the single file" sharded
check "dequantised experts give the same logits, bit for bit" decoded
check "no dequantised dense model" refused "expected a gpt-oss model" --family yi --dequantised
check "every shape option reaches the config" overrides
check "tied is tied: no lm_head" bash -c "'$synth' --quiet --family yi --tied --out '$dir/tied' && ! grep -qa lm_head '$dir/tied/model.safetensors'"
check "a directory synth did not make is left alone" foreign
check "unknown family" refused "unknown family 'bert'" --family bert
check "no family" refused "family" --seed 1
check "dimension that MXFP4 cannot hold" refused "--d-model: expected a multiple of 32" --family gptoss --d-model 100
check "experts on a dense model" refused "gptoss family only" --family qwen3 --experts 4
check "heads that do not divide" refused "--heads: expected a multiple of 3" --family yi --kv-heads 3
check "vocabulary too small" refused "--vocab: expected at least" --family qwen3 --vocab 300
check "more shards than tensors" refused "--shards: expected 1..30" --family yi --shards 31
check "a full disk leaves nothing" full_disk
check "kills leave no half model" killed
check "--help" bash -c "'$synth' --help | grep -q -- --family"
echo "1..$n"
exit "$failed"
