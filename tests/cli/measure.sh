#!/usr/bin/env bash
# measure.sh - latency, memory and ablate: every cell has its rows, what cannot be measured is a row with its
# reason, a request that fails is counted and makes the answer no, an interrupt leaves nothing.
# BIN is the folder of the tools.
# shellcheck disable=SC2016 # conditions are evaluated by ok
set -u
cd "$(dirname "$0")/../.."
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 failed=0

ok() { # what, condition; $last in it is the status of the command before
    local last=$?
    n=$((n + 1))
    if eval "$2"; then
        echo "ok $n - $1"
    else
        failed=1
        echo "not ok $n - $1"
        head -n 5 "$tmp/err" 2>/dev/null | sed 's/^/# /'
    fi
}

# rows FILE - `column=value ` of each row, a row a line; the commas of quoted fields do not count
rows() {
    awk 'function cut(line, f,   i, c, q, s, n) {
            n = 1; q = 0; s = ""
            for (i = 1; i <= length(line); i++) { c = substr(line, i, 1)
                if (c == "\"") q = !q; else if (c == "," && !q) { f[n++] = s; s = "" } else s = s c }
            f[n] = s; return n }
        NR == 1 { k = cut($0, name); next }
        { cut($0, f); for (i = 1; i <= k; i++) printf "%s=%s ", name[i], f[i]; print "" }' "$1"
}
# having FILE WORD... - number of rows that hold every WORD, which is `column=value`
having() {
    local file=$1 all
    all=$(rows "$file")
    shift
    for w in "$@"; do all=$(grep -E -- "(^| )$w " <<<"$all"); done
    [ -z "$all" ] && echo 0 || wc -l <<<"$all"
}

"$BIN/synth" --quiet --family qwen3-tiny --out "$tmp/qwen3" || exit 2
m=$tmp/qwen3
# the same with an embedding as large as weights may be: the first norm of every request leaves fp32
cp -r "$m" "$tmp/loud"
w=$tmp/loud/model.safetensors
header=$(($(od -An -tu4 -N4 "$w")))
span=$(head -c $((8 + header)) "$w" | tail -c "$header" | grep -oE '"model.embed_tokens.weight":\{[^}]*\}' | grep -oE '[0-9]+, ?[0-9]+\]\}$' | tr -d ' ]}')
from=${span%,*} to=${span#*,}
yes "$(printf '\177\135')" | tr -d '\n' | head -c $((to - from)) | dd of="$w" bs=65536 seek=$((8 + header + from)) oflag=seek_bytes conv=notrunc 2>/dev/null

# --- latency: 2 cells that fit and 2 that do not, 2 blocks of 3 requests
"$BIN/latency" -q -m "$m" --in-tok 16,50000 --out-tok 4 -c 1,2 --blocks 2 -n 3 --warmup 1 -t 2 --draft -o "$tmp/l.csv" \
    --requests-out "$tmp/r.csv" --events-out "$tmp/e.csv" --throughput-out "$tmp/t.csv" 2>"$tmp/err"
ok "latency runs" '[ $last -eq 0 ] && [ ! -s "$tmp/err" ]'
ok "a row a request, of each cell and block" '[ "$(having "$tmp/r.csv")" -eq 12 ] && [ "$(having "$tmp/r.csv" in_tok=16 concurrency=2 block_idx=1 status=ok out_tok=4)" -eq 3 ]'
ok "a row a token" '[ "$(having "$tmp/e.csv")" -eq 48 ]'
ok "stamps stand in order" '[ "$(rows "$tmp/r.csv" | sed -E "s/.*t_start_ns=([0-9]+) .*t_tok1_ns=([0-9]+) .*t_tokn_ns=([0-9]+) .*t_done_ns=([0-9]+) .*/\1 \2 \3 \4/" | awk "\$1 <= \$2 && \$2 < \$3 && \$3 <= \$4" | wc -l)" -eq 12 ]'
ok "both cells stand in each block, the second block reversed" '[ "$(rows "$tmp/r.csv" | grep -oE "concurrency=[12] .*block_idx=[01] order_idx=[0-9]+" | sed -E "s/concurrency=(.).*block_idx=(.) order_idx=(.*)/\1 \2 \3/" | sort -u | awk "{ sum[\$1] += \$3; k++ } END { print k, sum[1] == sum[2] }")" = "4 1" ]'
ok "the median has an interval, tails below their floor are empty" '[ "$(having "$tmp/l.csv" window=full metric=ttft_ms stat_ci=p50 n=6 n_err=0 "p50=[0-9.]+" p90= p99= "ci_lo=[0-9.]+")" -eq 2 ]'
ok "a rate of prefill only where the request was alone" '[ "$(having "$tmp/l.csv" window=full metric=prefill_tok_s)" -eq 1 ]'
ok "a cell beyond the context is a row with its reason" '[ "$(having "$tmp/l.csv" in_tok=50000 status=unsupported n=0 "reason=beyond the model.s context of 40960 tokens")" -eq 2 ]'
ok "throughput of both cells" '[ "$(having "$tmp/t.csv" window=full "out_tok_s=[0-9.]+" "req_s=[0-9.]+")" -eq 2 ]'
"$BIN/latency" -q -m "$m" --in-tok 16 --out-tok 4 --blocks 1 -n 3 --warmup 0 -o "$tmp/few.csv" 2>"$tmp/err"
ok "below five samples even the median is empty, and says so" '[ "$(having "$tmp/few.csv" window=full metric=ttft_ms n=3 p50= ci_lo= "max=[0-9.]+" "reason=below the sample floor: percentiles left empty" draft=0)" -eq 1 ]'
"$BIN/latency" -q -m "$m" --in-tok 16 --out-tok 4 --blocks 1 -n 3 --warmup 0 -t 1 --isa scalar --requests-out "$tmp/r2.csv" -o "$tmp/few2.csv" 2>"$tmp/err"
ok "speed is bound to substance: the same tokens on another instruction set" '[ "$(rows "$tmp/r2.csv" | grep -oE "tokens_sha256=[0-9a-f]+" | sort)" = "$(rows "$tmp/r.csv" | grep "block_idx=0 " | grep "cell_id=16/4/1 " | grep -oE "tokens_sha256=[0-9a-f]+" | sort)" ]'
"$BIN/latency" -q -m "$m" -m "$tmp/loud" --in-tok 16 --out-tok 4 --blocks 1 -n 5 --warmup 1 --requests-out "$tmp/lr.csv" -o "$tmp/ll.csv" 2>"$tmp/err"
ok "requests that fail are counted, exit 1" '[ $last -eq 1 ] && [ "$(having "$tmp/lr.csv" model=loud status=numeric finish_reason=error)" -eq 5 ]'
ok "a cell in which all failed is one row" '[ "$(having "$tmp/ll.csv" model=loud)" -eq 1 ] && [ "$(having "$tmp/ll.csv" model=loud status=numeric n=0 n_err=5 "reason=all 5 requests failed")" -eq 1 ]'
ok "the other model is not disturbed" '[ "$(having "$tmp/ll.csv" model=qwen3 metric=ttft_ms window=full status=ok n=5 n_err=0)" -eq 1 ]'

# --- memory
"$BIN/memory" -q -m "$m" --contexts 32,64,96,128,50000 --batches 1,2 --draft -o "$tmp/m.csv" 2>"$tmp/err"
ok "memory: a row a context and batch" '[ $last -eq 0 ] && [ "$(having "$tmp/m.csv" status=ok)" -eq 8 ] && [ "$(having "$tmp/m.csv" context_tok=50000 status=unsupported kv_live_mib=)" -eq 2 ]'
ok "memory: the slope is the formula's, at batch 1 only" '[ "$(having "$tmp/m.csv" batch=1 status=ok kv_b_per_tok_meas=3072 kv_b_per_tok_full=3072 kv_fit_r2=1)" -eq 4 ] && [ "$(having "$tmp/m.csv" batch=2 kv_b_per_tok_meas=)" -eq 5 ]'
"$BIN/memory" -q -m "$m" --contexts 32,64,96 -o "$tmp/m3.csv" 2>"$tmp/err"
ok "memory: three contexts make no slope" '[ "$(having "$tmp/m3.csv" status=ok kv_b_per_tok_meas= kv_fit_r2=)" -eq 3 ]'
"$BIN/memory" -q -m "$tmp/loud" --contexts 32 -o "$tmp/ml.csv" 2>"$tmp/err"
ok "memory: a request that fails is a row with its sentence, exit 1" '[ $last -eq 1 ] && [ "$(having "$tmp/ml.csv" status=numeric "reason=position 0: expected finite values[^=]*" kv_live_mib=)" -eq 1 ]'

# --- ablate
a=(--in-tok 16 --out-tok 4 --blocks 5 -n 2 -t 1)
"$BIN/ablate" -q -m "$m" "${a[@]}" --factors isa,context,weight-format --contexts 64,50000 -o "$tmp/a.csv" 2>"$tmp/err"
ok "ablate: the baseline against itself is the same" '[ $last -eq 0 ] && [ "$(having "$tmp/a.csv" factor=baseline ratio=1 ci_lo=1 ci_hi=1 better=same)" -eq 5 ]'
if grep -q avx2 /proc/cpuinfo; then
    ok "ablate: a level far off is told apart" '[ "$(having "$tmp/a.csv" factor=isa level=scalar metric=e2e_ms better=baseline n_blocks=5)" -eq 1 ]'
else
    n=$((n + 1))
    echo "ok $n - ablate: a level far off is told apart # SKIP this CPU has only the scalar code"
fi
ok "ablate: the scalar code gives the baseline's tokens" '[ "$(rows "$tmp/a.csv" | grep -E "factor=(baseline|isa) " | grep -oE "tokens_sha256=[0-9a-f]+" | sort -u | wc -l)" -eq 1 ]'
ok "ablate: levels that cannot run are rows with their reason" '[ "$(having "$tmp/a.csv" level=50000 status=unsupported "reason=beyond the model.s context of 40960 tokens")" -eq 1 ] && [ "$(having "$tmp/a.csv" factor=weight-format status=unsupported "reason=no second weight format was given .--alt-model.")" -eq 1 ]'
"$BIN/ablate" -q -m "$m" --alt-model "$tmp/loud" "${a[@]}" --factors weight-format -o "$tmp/al.csv" 2>"$tmp/err"
ok "ablate: a level whose requests fail is a row, exit 1" '[ $last -eq 1 ] && [ "$(having "$tmp/al.csv" factor=weight-format)" -eq 1 ] && [ "$(having "$tmp/al.csv" factor=weight-format status=numeric n_err=10 "reason=10 requests of the level failed")" -eq 1 ]'
"$BIN/ablate" -q -m "$tmp/loud" --alt-model "$m" "${a[@]}" --factors weight-format -o "$tmp/ab.csv" 2>"$tmp/err"
ok "ablate: without a baseline nothing is compared, and every level says so" '[ $last -eq 1 ] && [ "$(having "$tmp/ab.csv")" -eq 2 ] && [ "$(having "$tmp/ab.csv" factor=weight-format ratio= better= "reason=10 requests of the baseline failed")" -eq 1 ]'

# --- an interrupt: nothing half done is written, and the caller sees the signal
for t in latency ablate; do
    rm -rf "$tmp/int"
    mkdir "$tmp/int"
    set -m # a job of its own, or the shell would have it ignore the signal
    env --default-signal=INT "$BIN/$t" -q -m "$m" --in-tok 16 --out-tok 64 --blocks 10000 -n 4 -o "$tmp/int/out.csv" 2>"$tmp/err" &
    pid=$!
    set +m
    sleep 1.5
    kill -INT "$pid"
    wait "$pid"
    ok "$t: interrupted, one line, no file, the signal passed on" '[ $last -eq 130 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q "interrupted in block" "$tmp/err" && [ -z "$(ls -A "$tmp/int")" ]'
done
# --- an output that cannot be written is known before anything runs
for t in latency memory energy ablate; do
    "$BIN/$t" -m "$m" --draft -o "$tmp/none/out.csv" 2>"$tmp/err"
    ok "$t: no folder for --out, said before the work" '[ $last -eq 2 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q "cannot write .*none/out.csv" "$tmp/err"'
done
"$BIN/latency" -m "$m" --draft --events-out "$tmp/none/e.csv" 2>"$tmp/err"
ok "latency: nor one for a second output" '[ $last -eq 2 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q "cannot write .*none/e.csv" "$tmp/err"'
"$BIN/latency" -q -m "$m" -m "$m/" --in-tok 16 --out-tok 4 -n 1 --draft 2>"$tmp/err" >"$tmp/out"
ok "latency: two models of one name, said before the work" '[ $last -eq 2 ] && [ ! -s "$tmp/out" ] && grep -q -- "--model: expected models of different names, found .qwen3. twice" "$tmp/err"'
"$BIN/energy" -q -m "$m" --contexts 16 --out-tok 4 --rapl-root "$tmp/none" --draft 2>"$tmp/err" >"$tmp/out"
ok "energy: no meter is said once" '[ $last -eq 0 ] && [ "$(grep -c "not measured" "$tmp/err")" -eq 1 ]'
echo "1..$n"
exit $failed
