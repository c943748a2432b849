#!/usr/bin/env bash
# energy with a replayed trace, a fake RAPL tree, and nothing at all. 50 W by construction: what comes out
# must be that, within the edge error the row states.
set -u
BIN=${BIN:-build/release/bin}
dir=$(mktemp -d)
writer=
trap '[ -n "$writer" ] && kill "$writer" 2>/dev/null; rm -rf "$dir"' EXIT
n=0 failed=0
ok() { # ok NAME COMMAND...
    n=$((n + 1))
    local name=$1
    shift
    if "$@" >"$dir/log" 2>&1; then echo "ok $n - $name"; else
        echo "not ok $n - $name"
        failed=1
        sed 's/^/# /' "$dir/log"
    fi
}
fails_with() { # fails_with CODE TEXT COMMAND...
    local code=$1 text=$2
    shift 2
    "$@" >/dev/null 2>"$dir/err"
    local rc=$?
    [ "$rc" -eq "$code" ] || { echo "exit $rc, expected $code"; cat "$dir/err"; return 1; }
    grep -qF -- "$text" "$dir/err" || { echo "expected '$text', found:"; cat "$dir/err"; return 1; }
}
absent() { [ ! -e "$1" ] && [ ! -e "$1.prov.json" ]; }
is() { [ "$1" = "$2" ] || { echo "found '$1', expected '$2'"; return 1; }; }
holds() { awk "BEGIN { exit !($1) }" || { echo "does not hold: $1"; return 1; }; }
col() { # col FILE COLUMN [ROW] - a field by name; quoted commas only occur behind what is asked for
    awk -v col="$2" -v row="${3:-2}" 'function split_csv(line, f,   n, i, c, q, s) {
            n = 1; q = 0; s = ""
            for (i = 1; i <= length(line); i++) { c = substr(line, i, 1)
                if (c == "\"") q = !q; else if (c == "," && !q) { f[n++] = s; s = "" } else s = s c }
            f[n] = s; return n }
        NR == 1 { k = split_csv($0, h); for (i = 1; i <= k; i++) at[h[i]] = i }
        NR == row { split_csv($0, f); print f[at[col]] }' "$1"
}

"$BIN/synth" --family qwen3-tiny --out "$dir/m" -q || { echo "Bail out! no model"; exit 1; }
energy=("$BIN/energy" --model "$dir/m" --contexts 32 --out-tok 16 --prefill-chunk 16 --draft --window-s 0.6 --idle-s 0.6 --windows 2 --poll-ms 20 -q)
e=$dir/e.csv

# ---- no meter ----
ok 'no meter: exit 0' "${energy[@]}" --rapl-root "$dir/none" --out "$e"
ok '... no joules' is "$(col "$e" j_gross)$(col "$e" j_per_out_tok)" ""
ok '... and the reason' is "$(col "$e" energy_src),$(col "$e" status),$(col "$e" reason)" "none,no_meter,no energy meter on this machine"
ok '... said once on stderr' fails_with 0 "not measured: no RAPL" "${energy[@]}" --rapl-root "$dir/none" --out "$e"
ok 'a meter named outright must be there' fails_with 3 "no RAPL" "${energy[@]}" --meter rapl --rapl-root "$dir/none" --out "$dir/x.csv"
ok '... else no file' absent "$dir/x.csv"
ok 'NVML that is not there' fails_with 3 "cannot load NVML" "${energy[@]}" --meter nvml --nvml-lib "$dir/none.so" --out "$dir/x.csv"
ok 'an unknown meter' fails_with 2 "--meter: expected" "${energy[@]}" --meter sundial --out "$dir/x.csv"

# ---- a trace: a counter at 50 W, updated every 100 ms, that wraps in the first seconds ----
awk 'BEGIN { range = 262143328850; print "t_ns,energy_uj,range_uj"
    for (i = 0; i < 1200; i++) printf "%.0f,%.0f,%.0f\n", i * 1e8, (range - 1e8 + i * 5e6) % range, range }' >"$dir/trace.csv"
ok 'a trace' "${energy[@]}" --batches 1,2 --meter "trace:$dir/trace.csv" --trace-out "$dir/t.csv" --windows-out "$dir/w.csv" --out "$e"
for row in 2 3; do
    ok "batch $((row - 1)): status" is "$(col "$e" status $row),$(col "$e" windows_n $row),$(col "$e" energy_src $row),$(col "$e" scope $row)" "ok,2,trace,wall"
    ok '... 50 W within the stated edge error' holds "($(col "$e" mean_w $row) - 50) ^ 2 <= (50 * $(col "$e" edge_err_pct $row) / 100) ^ 2"
    ok '... which is that of 100 ms in 0.6 s twice' holds "$(col "$e" edge_err_pct $row) > 3 && $(col "$e" edge_err_pct $row) < 25"
    ok '... per token: gross over tokens' holds "($(col "$e" j_gross $row) / $(col "$e" win_out_tok $row) - $(col "$e" j_per_out_tok $row)) ^ 2 < 1e-12"
    ok '... Wh per 1k' holds "($(col "$e" j_per_out_tok $row) / 3.6 - $(col "$e" wh_per_1k_out_tok $row)) ^ 2 < 1e-12"
    ok '... whole requests' is "$(col "$e" win_out_tok $row)" "$(($(col "$e" req_n $row) * 16))"
    ok '... idle' holds "($(col "$e" idle_empty_w $row) - 50) ^ 2 < 100 && ($(col "$e" idle_loaded_w $row) - 50) ^ 2 < 100"
    ok '... net of idle is next to nothing here' holds "$(col "$e" j_net $row) < 0.3 * $(col "$e" j_gross $row)"
    ok '... prefill and decode apart' holds "$(col "$e" j_per_in_tok $row) > 0 && $(col "$e" j_per_decode_tok $row) > 0"
    ok '... bound to its tokens' is "$(col "$e" tokens_sha256 $row | wc -c)" 65
done
ok 'the windows add up to the row' holds "$(awk -F, '$2 == "mixed" && $5 == 1 { s += $10 } END { print s / 1e6 }' "$dir/w.csv") == $(col "$e" j_gross)"
ok 'the raw trace is kept' holds "$(wc -l <"$dir/t.csv") > 100"
ok '... as read, wrap and all' holds "$(awk -F, 'NR > 2 && $3 < last { w++ } { last = $3 } END { print w + 0 }' "$dir/t.csv") >= 1"
ok 'the trace is an input of the statement' grep -qF '"name":"trace.csv"' "$e.prov.json"
ok '... by no path of this machine' bash -c '! grep -qF "$1" "$2"' - "$dir" "$e.prov.json"
ok 'a trace too short for the run is no measurement' bash -c 'head -n 12 "$1/trace.csv" >"$1/short.csv"' - "$dir"
ok '... it runs' "${energy[@]}" --meter "trace:$dir/short.csv" --out "$e"
ok '... and says so' is "$(col "$e" status),$(col "$e" j_gross),$(col "$e" windows_n)" "invalid,,0"
printf 't_ns,energy_uj\n0,1\n0,2\n' >"$dir/bad.csv"
ok 'a damaged trace' fails_with 2 "bad.csv:3" "${energy[@]}" --meter "trace:$dir/bad.csv" --out "$dir/x.csv"

# ---- RAPL: a package at 40 W and its DRAM at 10 W, written by a loop that follows the clock ----
mkdir -p "$dir/rapl/intel-rapl:0" "$dir/rapl/intel-rapl:0:0"
echo package-0 >"$dir/rapl/intel-rapl:0/name"
echo dram >"$dir/rapl/intel-rapl:0:0/name"
for z in 'intel-rapl:0' 'intel-rapl:0:0'; do echo 262143328850 >"$dir/rapl/$z/max_energy_range_uj"; done
tick() { # energies of now: microseconds of this shell times 40 and 10
    local us=$((${EPOCHREALTIME/[.,]/} - start))
    echo $((us * 40)) >"$dir/rapl/p" && mv "$dir/rapl/p" "$dir/rapl/intel-rapl:0/energy_uj"
    echo $((us * 10)) >"$dir/rapl/d" && mv "$dir/rapl/d" "$dir/rapl/intel-rapl:0:0/energy_uj"
}
start=${EPOCHREALTIME/[.,]/}
tick
(while sleep 0.02; do tick; done) &
writer=$!
ok 'RAPL' "${energy[@]}" --meter rapl --rapl-root "$dir/rapl" --out "$e"
ok '... package and DRAM' is "$(col "$e" energy_src),$(col "$e" scope),$(col "$e" status)" rapl,sum,ok
ok '... 50 W' holds "($(col "$e" mean_w) - 50) ^ 2 < 100"
kill "$writer" 2>/dev/null
wait "$writer" 2>/dev/null
writer=
ok 'a counter that stands still' "${energy[@]}" --meter auto --rapl-root "$dir/rapl" --out "$e"
ok '... is no measurement' is "$(col "$e" status),$(col "$e" reason),$(col "$e" j_gross)" "invalid,few_updates,"

# ---- bad use ----
ok 'short windows need --draft' fails_with 2 "--window-s" "$BIN/energy" --model "$dir/m" --window-s 1 --out "$dir/x.csv"
ok 'short idle needs --draft' fails_with 2 "--idle-s" "$BIN/energy" --model "$dir/m" --idle-s 1 --out "$dir/x.csv"
ok 'a model that is not there' fails_with 2 "$dir/none" "${energy[@]}" --model "$dir/none" --out "$dir/x.csv"
ok '... leaves no file' absent "$dir/x.csv"
ok 'a context beyond the model is a row' "${energy[@]}" --contexts 999999 --meter "trace:$dir/trace.csv" --out "$e"
ok '... with its reason' is "$(col "$e" status)" unsupported
echo "1..$n"
exit $failed
