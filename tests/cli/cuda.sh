#!/usr/bin/env bash
# cuda.sh - whole models on the CUDA kernels, run by the host (--backend cuda-sim): the transcripts, which hold
# the digest of every answer's logits, must be the bytes of the CPU engine's; and what cannot run says so.
# BIN is the folder of the tools, WRONG (default build/wrongseg/bin) that of the build that adds in
# the wrong order (none: not asked for). DEVICE=cuda runs the same on a GPU (make check-gpu).
set -u
cd "$(dirname "$0")/../.."
BIN=${BIN:-build/release/bin}
WRONG=${WRONG:-build/wrongseg/bin}
DEVICE=${DEVICE:-cuda-sim}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 failed=0

ok() { # what, exit status of the check
    n=$((n + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $n - $1"
    else
        failed=1
        echo "not ok $n - $1"
        head -n 5 "$tmp/err" 2>/dev/null | sed 's/^/# /'
    fi
}

# requests FILE COUNT LENGTH - prompts of different lengths, some sampled, one scored
requests() {
    awk -v count="$2" -v top="$3" 'BEGIN {
        for (i = 0; i < count; i++) {
            len = i ? 1 + (i * 37 + 11) % top : top
            printf "{\"id\":\"c/%02d\",", i
            if (i == 3) {
                print "\"kind\":\"score\",\"prompt\":\"a score of 12\",\"continuation\":\" and so on\"}"
                continue
            }
            printf "\"prompt_token_ids\":["
            for (k = 0; k < len; k++) printf k ? ",%d" : "%d", 20 + (i * 31 + k * k * 7 + k) % 500
            printf "],\"max_tokens\":%d", 3 + i % 3
            if (i % 3 == 1) printf ",\"temperature\":0.8,\"top_p\":0.9,\"seed\":%d", i
            print "}"
        }
    }' >"$1"
}

infer() { # TOOLS MODEL REQUESTS OUT OPTIONS...
    local tools=$1 model=$2 file=$3 out=$4
    shift 4
    rm -f "$out"*
    "$tools/infer" --quiet -m "$tmp/$model" -r "$tmp/$file" -o "$out" "$@" 2>"$tmp/err"
}

same() { # TOOLS MODEL REQUESTS OPTIONS...
    local rc
    infer "$1" "$2" "$3" "$tmp/got" --backend "$DEVICE" "${@:4}"
    rc=$?
    if [ "$rc" -eq 0 ]; then cmp "$tmp/$2.$3" "$tmp/got" >>"$tmp/err" 2>&1; rc=$?; fi
    return "$rc"
}

requests "$tmp/few" 5 40
requests "$tmp/long" 1 300 # beyond one key block, and round the ring of a window
for model in gptoss-tiny gptoss-tiny-bf16 qwen3-tiny qwen3-tied-tiny yi-tiny yi-tiny-b; do
    "$BIN/synth" --quiet --family "$model" --out "$tmp/$model" || exit 2
    infer "$BIN" "$model" few "$tmp/$model.few"
    ok "$model: the CPU engine runs" $?
    same "$BIN" "$model" few --parallel 5
    ok "$model: $DEVICE agrees, all at once" $?
done
for model in gptoss-tiny qwen3-tiny; do
    same "$BIN" "$model" few --parallel 1 --prefill-chunk 7
    ok "$model: $DEVICE agrees, one by one, in chunks of 7" $?
    infer "$BIN" "$model" long "$tmp/$model.long"
    same "$BIN" "$model" long --prefill-chunk 50
    ok "$model: $DEVICE agrees on a long prompt" $?
done

# What cannot run: exit 3 and the reason; what makes no sense: exit 2.
infer "$BIN" yi-tiny few "$tmp/none" --backend "$DEVICE" --device-memory 5000000
ok "too little device memory is exit 3" $(($? != 3))
grep -qE 'device memory for .*: expected [0-9]+ bytes in one piece, found [0-9]+ of [0-9]+ bytes in use' "$tmp/err"
ok "and says how much was needed and had" $?
[ ! -e "$tmp/none" ]
ok "and leaves no output" $?
infer "$BIN" yi-tiny few "$tmp/none" --backend "$DEVICE" --device-memory 900TiB
ok "more device memory than there is, is exit 3" $(($? != 3))
infer "$BIN" yi-tiny few "$tmp/none" --backend "$DEVICE" --isa avx2
ok "an instruction set for a device is exit 2" $(($? != 2))
if [ "$DEVICE" = cuda-sim ]; then
    infer "$BIN" yi-tiny few "$tmp/none" --backend cuda
    rc=$?
    if [ "$rc" -eq 0 ]; then
        cmp "$tmp/yi-tiny.few" "$tmp/none" >"$tmp/err" 2>&1
        ok "a GPU is there, and agrees" $?
    else
        ok "--backend cuda without a GPU is exit 3" $((rc != 3))
    fi
    if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
        n=$((n + 1))
        echo "ok $n - # SKIP no nvcc here: the kernels were not compiled for a GPU"
    else
        ! grep -q 'this build has no CUDA' "$tmp/err"
        ok "nvcc is here, and the kernels are compiled for a GPU (not run on one)" $?
    fi
fi

# The wrong build must be noticed.
if [ "$WRONG" = none ]; then
    n=$((n + 1))
    echo "ok $n - # SKIP the wrong build was not asked for"
elif [ ! -x "$WRONG/infer" ]; then
    ok "the wrong build is there: make CONFIG=wrongseg all" 1
else
    infer "$WRONG" yi-tiny-b few "$tmp/got" --backend cuda-sim
    rc=$?
    if [ "$rc" -eq 0 ]; then ! cmp -s "$tmp/yi-tiny-b.few" "$tmp/got"; rc=$?; fi
    ok "sums in the wrong order are another digest" "$rc"
fi
echo "1..$n"
exit "$failed"
