#!/usr/bin/env bash
# kv_slope.sh - KV bytes per token as `memory` measures them from the allocator, on a model whose window lies
# inside the measured contexts: equal to theory to the byte, on either side of the window; and a build that
# doubles the window (CONFIG=fault, ASSAY_FAULT=window_doubled) must measure another slope.
# BIN is the folder of the tools, FAULT_BUILD (default build/fault) holds the other build.
set -u
cd "$(dirname "$0")/../.."
BIN=${BIN:-build/release/bin}
F=${FAULT_BUILD:-build/fault}/bin
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 failed=0

is() { # what, found, expected
    n=$((n + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $n - $1"
    else
        failed=1
        echo "not ok $n - $1"
        echo "# expected '$3', found '$2'"
        sed 's/^/# /' "$tmp/err"
    fi
}
column() { awk -F, -v name="$2" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == name) c = i; next} {print $c}' "$1"; }
slope() { column "$1" kv_b_per_tok_meas | sort -u; }

# Two layers of each kind, K and V of 2 heads of 16 in bf16: 128 bytes a token and layer. The ring of a
# window layer is 256 + 64 positions.
model=$tmp/model layer_b=128 window=256 chunk=64
"$BIN/synth" --quiet --family gptoss --layers 4 --d-model 64 --d-ff 64 --heads 4 --kv-heads 2 --head-dim 16 \
    --window $window --context 4096 --out "$model" || exit 2
measure() { # FILE FAULT BIN CONTEXTS
    ASSAY_FAULT=$2 "$3/memory" --quiet --model "$model" --contexts "$4" --prefill-chunk $chunk --out "$1" 2>"$tmp/err"
}
live() { # WINDOW CONTEXTS - bytes that the pages must hold
    for c in $2; do
        echo $((2 * layer_b * c + 2 * layer_b * (c < $1 + chunk ? c : $1 + chunk)))
    done
}
live_of() { column "$1" kv_live_mib | awk '{printf "%.0f\n", $1 * 1048576}'; }

inside=64,128,192,256 past=384,512,768,1024
measure "$tmp/in.csv" "" "$BIN" $inside
is "inside the window: slope, by the allocator, equals the formula of all layers" "$(slope "$tmp/in.csv")" "$(column "$tmp/in.csv" kv_b_per_tok_full | sort -u)"
is "... which is 4 layers" "$(slope "$tmp/in.csv")" $((4 * layer_b))
measure "$tmp/past.csv" "" "$BIN" $past
is "past the window: it equals the formula of the full layers" "$(slope "$tmp/past.csv")" "$(column "$tmp/past.csv" kv_b_per_tok_window | sort -u)"
is "... which is 2 layers" "$(slope "$tmp/past.csv")" $((2 * layer_b))
is "... a straight line" "$(column "$tmp/past.csv" kv_fit_r2 | sort -u)" 1
is "... that starts at the ring's size" "$(column "$tmp/past.csv" kv_fit_intercept_b | sort -u)" $((2 * layer_b * (window + chunk)))
is "live bytes at each context" "$(live_of "$tmp/past.csv")" "$(live $window "${past//,/ }")"
measure "$tmp/same.csv" "" "$F" $past
is "the fault build without a fault measures the same" "$(slope "$tmp/same.csv")" "$(slope "$tmp/past.csv")"

measure "$tmp/twice.csv" window_doubled "$F" $past
is "a doubled window: other live bytes, those of its own ring" "$(live_of "$tmp/twice.csv")" "$(live $((2 * window)) "${past//,/ }")"
is "... and another slope, so the measurement is none of the formula" "$(awk -v a="$(slope "$tmp/twice.csv")" -v b="$(slope "$tmp/past.csv")" 'BEGIN {print (a > 1.1 * b) + 0}')" 1
measure "$tmp/x.csv" window_tripled "$F" $past
is "an unknown fault is refused" "$? $(ls "$tmp/x.csv" 2>/dev/null)" "2 "
echo "1..$n"
exit $failed
