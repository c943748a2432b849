#!/usr/bin/env bash
# matrix.sh - the digest matrix of numerics.md: transcripts, which hold the digest of every answer's logits,
# must be the same bytes for any threads, sequences in the batch, prefill chunk, instruction set, memory for K
# and V, and with prefixes reused or not, in every family and weight format. And the matrix itself must fail
# on a build that adds segments in the wrong order.
# MATRIX=full runs every combination; without it, a set that covers all pairs in each family's first model,
# and each value in each other one.
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

# requests FILE COUNT LENGTH - COUNT requests of different kinds and lengths, by ids and by text; the last one
# begins with the one before it. The vocabulary of the tiny models has 640 ids, the first 256 of the
# families' own are common to all.
requests() {
    awk -v count="$2" -v top="$3" 'BEGIN {
        for (i = 0; i < count; i++) {
            len = 1 + (i * 37 + 11) % top
            printf "{\"id\":\"m/%02d\",", i
            if (i % 5 == 3 && i < count - 2) {
                printf "\"kind\":\"score\",\"prompt\":\"a score of"
                for (k = 0; k < len / 4; k++) printf " %d", (i * 7 + k * k) % 100
                printf "\",\"continuation\":\" and so on, %d times\"}\n", i
                continue
            }
            if (i >= count - 2) len = (top < 20 ? top : 20) + (i == count - 1) * 5
            salt = i >= count - 2 ? count : i
            printf "\"prompt_token_ids\":["
            for (k = 0; k < len; k++) printf k ? ",%d" : "%d", 20 + (salt * 31 + k * k * 7 + k) % 500
            printf "],\"max_tokens\":%d", i == count - 2 ? 1 : 3 + i % 4
            if (i % 4 == 1) printf ",\"temperature\":0.8,\"top_p\":0.9,\"top_k\":40,\"seed\":%d", i
            printf "}\n"
        }
    }' >"$1"
}

# same MODEL REQUESTS WANT TOOLS OPTIONS... - run and compare with WANT byte by byte
same() {
    local model=$1 file=$2 want=$3 tool=$4 rc
    shift 4
    rm -f "$tmp/got."*
    "$tool/infer" --quiet -m "$tmp/$model" -r "$file" -o "$tmp/got.jsonl" "$@" 2>"$tmp/err"
    rc=$?
    if [ "$rc" -eq 0 ]; then cmp "$want" "$tmp/got.jsonl" >>"$tmp/err" 2>&1; rc=$?; fi
    return "$rc"
}
reused() { awk -F, 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "in_cached_tok") c = i; next} {n += $c} END {exit n < 20}' "$tmp/got.timing.csv"; }

families="gptoss-tiny qwen3-tiny yi-tiny"
for preset in $families qwen3-tied-tiny yi-tiny-b gptoss-tiny-bf16; do
    "$BIN/synth" --quiet --family "$preset" --out "$tmp/$preset" || exit 2
done
others="qwen3-tied-tiny yi-tiny-b gptoss-tiny-bf16"
for model in $families; do
    for type in bf16 f32 f16 q8_0 q4_0; do
        "$BIN/convert" --quiet -m "$tmp/$model" --type $type -o "$tmp/$model-$type.gguf" || exit 2
        others="$others $model-$type.gguf"
    done
done
for type in q8_0 q4_0 f16; do
    "$BIN/convert" --quiet -m "$tmp/gptoss-tiny" --experts $type -o "$tmp/experts-$type.gguf" || exit 2
    others="$others experts-$type.gguf"
done
requests "$tmp/many.jsonl" 17 90
requests "$tmp/some.jsonl" 17 20
requests "$tmp/few.jsonl" 4 50 # for scalar C, some 40 times slower
requests "$tmp/least.jsonl" 3 6 # and for the other models on it
isas=$("$BIN/infer" -m "$tmp/yi-tiny" --isa none --tokens 1 2>&1 | grep -oE 'scalar|avx2|avx512bf16|avx512|amx' | sort -u)
vector=($(echo "$isas" | grep -v scalar))
[ ${#vector[@]} -gt 0 ] || vector=(scalar)
parallels=(1 3 8 17) chunks=(1 7 64 512) memories=(0 512KiB 0 0)

# first MODEL SETS... - what the other runs of a model are compared with
first() {
    local model=$1 set
    shift
    for set in "$@"; do
        "$BIN/infer" --quiet -m "$tmp/$model" -r "$tmp/$set.jsonl" -o "$tmp/$model.$set" --threads 1 --parallel 1 2>"$tmp/err" || return 1
    done
}

# run MODEL SET I J THREADS ISA - one cell; memory and reuse go along
run() {
    local model=$1 set=$2 i=$3 j=$4 threads=$5 isa=${vector[$6 % ${#vector[@]}]} reuse=off
    if [ $(((i + j) % 2)) -eq 0 ]; then reuse=on; fi
    same "$model" "$tmp/$set.jsonl" "$tmp/$model.$set" "$BIN" --threads "$threads" --parallel "${parallels[i]}" \
        --prefill-chunk "${chunks[j]}" --isa "$isa" --kv-memory "${memories[(i + j) % 4]}" --prefix-reuse $reuse || return 1
    if [ "$i$reuse" = 0on ]; then reused || { echo "nothing was reused" >"$tmp/err"; return 1; }; fi
}

# every MODEL SET LEAST - MATRIX=full; LEAST for scalar C
every() {
    local good=0 runs=0 i j threads isa set
    for isa in $isas; do
        set=$2
        if [ "$isa" = scalar ]; then set=$3; fi
        for i in 0 1 2 3; do
            for j in 0 1 2 3; do
                for threads in 1 2 3; do
                    runs=$((runs + 1))
                    same "$1" "$tmp/$set.jsonl" "$tmp/$1.$set" "$BIN" --isa "$isa" --threads $threads --parallel "${parallels[i]}" \
                        --prefill-chunk "${chunks[j]}" --prefix-reuse "$([ $(((i + j + threads) % 2)) -eq 0 ] && echo on || echo off)" &&
                        good=$((good + 1))
                done
            done
        done
    done
    ok "$1: $runs runs of isa x threads x parallel x chunk agree" $((good != runs))
}

for model in $families $others; do
    : >"$tmp/err"
    set=some least=least
    case " $families " in *" $model "*) set=many least=few && first "$model" least ;; esac
    first "$model" $set $least
    ok "$model: a first run ends well" $?
    # an answer is only as good as its digest: every request must have its own
    distinct=$(grep -o '"logits_sha256":"[0-9a-f]*"' "$tmp/$model.$set" | sort -u | wc -l)
    ok "$model: every request has a digest of its own" $((distinct != 17))
    if [ "${MATRIX:-}" = full ]; then
        every "$model" $set $least
        continue
    fi
    good=0 runs=0
    for i in 0 1 2 3; do
        for j in 0 1 2 3; do
            # parallel x chunk in full, and each of either with each thread count; of the others one run a parallel
            if [ $set = some ] && [ $(((i + j) % 4)) -ne $((n % 4)) ]; then continue; fi
            runs=$((runs + 1))
            isa=$i
            if [ $set = many ]; then isa=$((${#vector[@]} == 3 ? i + 2 * j : i + j / 2)); fi
            run "$model" $set $i $j $(((i + j) % 3 + 1)) $isa && good=$((good + 1))
        done
    done
    ok "$model: $runs runs of parallel x chunk x threads x isa agree" $((good != runs))
    same "$model" "$tmp/$least.jsonl" "$tmp/$model.$least" "$BIN" --isa scalar --threads 2 --parallel 3 --prefill-chunk 7
    ok "$model: --isa scalar agrees" $?
done

# Both routes of one model: a GGUF file with the same values gives the same bits. Stored in fewer bits, it must not.
for model in $families; do
    cmp "$tmp/$model-bf16.gguf.some" "$tmp/$model-f32.gguf.some" >"$tmp/err" 2>&1 && cmp "$tmp/$model-bf16.gguf.least" "$tmp/$model.least" >"$tmp/err" 2>&1
    ok "$model: bf16 and f32 in GGUF give the bits of safetensors" $?
    ! cmp -s "$tmp/$model-q8_0.gguf.least" "$tmp/$model.least" && ! cmp -s "$tmp/$model-q8_0.gguf.least" "$tmp/$model-q4_0.gguf.least"
    ok "$model: q8_0 and q4_0 give others" $?
done
cmp "$tmp/gptoss-tiny-bf16.least" "$tmp/gptoss-tiny.least" >"$tmp/err" 2>&1
ok "gptoss-tiny: experts as bf16 of the same values give the same bits" $?

# The wrong build must be noticed, on the vector sets and not on the scalar twin, which defines the order.
if [ "${vector[0]}" = scalar ]; then
    n=$((n + 1))
    echo "ok $n - # SKIP this machine has no vector set"
elif [ ! -x "$WRONG/infer" ]; then
    ok "the wrong build is there: make CONFIG=wrongseg all" 1
else
    for isa in "${vector[@]}"; do
        same yi-tiny-b "$tmp/some.jsonl" "$tmp/yi-tiny-b.some" "$WRONG" --isa "$isa"
        # 1 is a difference; anything else a failure to run, which would prove nothing
        ok "segments in the wrong order fail the matrix on $isa" $(($? != 1))
    done
    same yi-tiny-b "$tmp/least.jsonl" "$tmp/yi-tiny-b.least" "$WRONG" --isa scalar
    ok "the wrong build's scalar twin still agrees" $?
fi
echo "1..$n"
exit "$failed"
