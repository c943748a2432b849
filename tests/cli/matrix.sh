#!/usr/bin/env bash
# matrix.sh - the digest matrix of numerics.md: transcripts, which hold the digest of every answer's logits,
# must be the same bytes for any threads, sequences in the batch, prefill chunk and instruction set, in
# every family. And the matrix itself must fail on a build that adds segments in the wrong order.
# MATRIX=full runs every combination; without it, a set that covers all pairs.
# BIN is the folder of the tools, WRONG (default build/wrongseg/bin) that of the wrong build.
set -u
cd "$(dirname "$0")/../.."
BIN=${BIN:-build/release/bin}
WRONG=${WRONG:-build/wrongseg/bin}
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

# requests FILE COUNT LENGTH - COUNT requests of different kinds and lengths, by ids and by text; the
# vocabulary of the tiny models has 640 ids, the first 256 of the families' own are common to all.
requests() {
    awk -v count="$2" -v top="$3" 'BEGIN {
        for (i = 0; i < count; i++) {
            len = 1 + (i * 37 + 11) % top
            printf "{\"id\":\"m/%02d\",", i
            if (i % 5 == 3) {
                printf "\"kind\":\"score\",\"prompt\":\"a score of"
                for (k = 0; k < len / 4; k++) printf " %d", (i * 7 + k * k) % 100
                printf "\",\"continuation\":\" and so on, %d times\"}\n", i
                continue
            }
            printf "\"prompt_token_ids\":["
            for (k = 0; k < len; k++) printf k ? ",%d" : "%d", 20 + (i * 31 + k * k * 7 + k) % 500
            printf "],\"max_tokens\":%d", 3 + i % 4
            if (i % 4 == 1) printf ",\"temperature\":0.8,\"top_p\":0.9,\"top_k\":40,\"seed\":%d", i
            printf "}\n"
        }
    }' >"$1"
}

# same MODEL REQUESTS WANT TOOLS OPTIONS... - run and compare with WANT byte by byte
same() {
    local model=$1 file=$2 want=$3 tool=$4 rc
    shift 4
    rm -f "$tmp/got.jsonl"*
    "$tool/infer" --quiet -m "$tmp/$model" -r "$file" -o "$tmp/got.jsonl" "$@" 2>"$tmp/err"
    rc=$?
    if [ "$rc" -eq 0 ]; then cmp "$want" "$tmp/got.jsonl" >>"$tmp/err" 2>&1; rc=$?; fi
    return "$rc"
}

for preset in gptoss-tiny qwen3-tiny qwen3-tied-tiny yi-tiny yi-tiny-b; do
    "$BIN/synth" --quiet --family "$preset" --out "$tmp/$preset" || exit 2
done
requests "$tmp/many.jsonl" 17 90
requests "$tmp/few.jsonl" 4 50 # for scalar C, some 40 times slower
isas=$("$BIN/infer" -m "$tmp/yi-tiny" --isa none --tokens 1 2>&1 | grep -oE 'scalar|avx2|avx512|amx' | sort -u)
best=$(echo "$isas" | grep -v scalar | tail -n 1)

for model in gptoss-tiny qwen3-tiny qwen3-tied-tiny yi-tiny yi-tiny-b; do
    : >"$tmp/err"
    for set in many few; do
        "$BIN/infer" --quiet -m "$tmp/$model" -r "$tmp/$set.jsonl" -o "$tmp/$model.$set" --threads 1 --parallel 1 2>"$tmp/err" || break
    done
    ok "$model: a first run ends well" $?
    # an answer is only as good as its digest: every request must have its own
    distinct=$(grep -o '"logits_sha256":"[0-9a-f]*"' "$tmp/$model.many" | sort -u | wc -l)
    ok "$model: every request has a digest of its own" $((distinct != 17))
    good=0 runs=0
    parallels=(1 3 8 17) chunks=(1 7 64 0)
    for i in 0 1 2 3; do
        for j in 0 1 2 3; do
            for threads in 1 2 3; do
                if [ "${MATRIX:-}" != full ]; then
                    # parallel x chunk in full, and each of either with each thread count
                    if [ $(((i + j) % 3 + 1)) -ne "$threads" ]; then continue; fi
                    # second models of a family: half of those
                    case $model in *tied-tiny | *tiny-b) if [ $(((i + j) % 2)) -eq 0 ]; then continue; fi ;; esac
                fi
                runs=$((runs + 1))
                same "$model" "$tmp/many.jsonl" "$tmp/$model.many" "$BIN" --threads "$threads" \
                    --parallel "${parallels[i]}" --prefill-chunk "${chunks[j]}" && good=$((good + 1))
            done
        done
    done
    ok "$model: $runs runs of threads x parallel x chunk agree" $((good != runs))
    for isa in $isas; do
        set=many
        if [ "$isa" = scalar ]; then set=few; fi
        same "$model" "$tmp/$set.jsonl" "$tmp/$model.$set" "$BIN" --isa "$isa" --threads 2 --parallel 3 --prefill-chunk 7
        ok "$model: --isa $isa agrees" $?
    done
done

# The wrong build must be noticed, on the vector sets and not on the scalar twin, which defines the order.
if [ -z "$best" ]; then
    n=$((n + 1))
    echo "ok $n - # SKIP this machine has no vector set"
elif [ ! -x "$WRONG/infer" ]; then
    ok "the wrong build is there: make CONFIG=wrongseg all" 1
else
    for isa in $(echo "$isas" | grep -v scalar); do
        same yi-tiny-b "$tmp/few.jsonl" "$tmp/yi-tiny-b.few" "$WRONG" --isa "$isa"
        # 1 is a difference; anything else a failure to run, which would prove nothing
        ok "segments in the wrong order fail the matrix on $isa" $(($? != 1))
    done
    same yi-tiny-b "$tmp/few.jsonl" "$tmp/yi-tiny-b.few" "$WRONG" --isa scalar
    ok "the wrong build's scalar twin still agrees" $?
fi
echo "1..$n"
exit "$failed"
