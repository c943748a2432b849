#!/usr/bin/env bash
# bench.sh - bench: every cell of every engine has its rows, what cannot be measured is a row with its reason,
# a peer that does other work than was asked is not compared. No time is judged. BIN is the folder of the tools.
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

# rows FILE - `column=value ` of each row, a row a line
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
positive='[0-9.]*[1-9][0-9.]*'

"$BIN/synth" --quiet --family qwen3-tiny --out "$tmp/qwen3" || exit 2
m=$tmp/qwen3
quick=(-q -t 2 --read-mib 4 --probe-ms 1 --draft)

# --- the machine alone
"$BIN/bench" "${quick[@]}" -o "$tmp/c.csv" --runs-out "$tmp/cr.csv" 2>"$tmp/err"
ok "without a model the machine is measured" '[ $last -eq 0 ] && [ ! -s "$tmp/err" ] && [ "$(having "$tmp/c.csv" engine=machine)" -eq "$(having "$tmp/c.csv")" ]'
ok "reading, by one thread and by all, one stream and four" '[ "$(having "$tmp/c.csv" "cell=read/(one|all)/[14]s" metric=read_gb_s n=5 status=ok "value=$positive" "ci_lo=$positive")" -eq 4 ]'
ok "arithmetic that every machine has" '[ "$(having "$tmp/c.csv" isa=generic "cell=fma_fp32/(one|all)" metric=gflop_s "value=$positive")" -eq 2 ]'
if [ "$(uname -m)" = x86_64 ]; then
    for pair in avx2:avx2 avx512:avx512f avx512bf16:avx512_bf16 amx:amx_bf16; do
        isa=${pair%:*}
        if grep -qw "${pair#*:}" /proc/cpuinfo; then
            ok "$isa has its ceiling" '[ "$(having "$tmp/c.csv" isa=$isa metric=gflop_s status=ok "value=$positive")" -eq 2 ]'
        else
            ok "$isa is not here: a row that says so" '[ "$(having "$tmp/c.csv" isa=$isa metric=gflop_s status=device n=0 value= "reason=this CPU has no [A-Z0-9-]+")" -eq 2 ]'
        fi
    done
fi
ok "a raw row a probe and block" '[ "$(having "$tmp/cr.csv" "block_idx=[0-4]")" -eq $((5 * $(having "$tmp/c.csv"))) ] && [ "$(having "$tmp/cr.csv" status=ok "cell=read/.*" "ns=[0-9]+" "read_b=[0-9]+" flop=)" -eq 20 ]'
"$BIN/bench" "${quick[@]}" -t 1 --blocks 1 -o "$tmp/c1.csv" 2>"$tmp/err"
ok "on one thread there is only one number of threads" '[ $last -eq 0 ] && [ "$(having "$tmp/c1.csv" "cell=read/all/[14]s")" -eq 2 ] && [ "$(having "$tmp/c1.csv" "cell=.*/one.*")" -eq 0 ]'
ok "one block makes no median" '[ "$(having "$tmp/c1.csv" cell=read/all/4s n=1 value= ci_lo= "min=$positive" "reason=below the sample floor of 5 blocks: median left empty")" -eq 1 ]'

# --- a model: two instruction sets, cells that fit and one that does not
"$BIN/bench" "${quick[@]}" -m "$m" --isa auto --isa scalar --prefill 16,50000 --decode 1,3 --decode-tok 4 -o "$tmp/b.csv" --runs-out "$tmp/r.csv" 2>"$tmp/err"
ok "a model is measured" '[ $last -eq 0 ] && [ ! -s "$tmp/err" ]'
for isa in auto scalar; do
    ok "$isa: load, first token, prefill, decoding, peak" '[ "$(having "$tmp/b.csv" engine=assay model=qwen3 isa=$isa weights=synthetic numerics=exact draft=1 status=ok n=5 "value=$positive" "metric=(load_ms|start_to_first_ms|prefill_tok_s|decode_tok_s|peak_rss_mib)")" -eq 6 ]'
    ok "$isa: rates stand beside a ceiling" '[ "$(having "$tmp/b.csv" isa=$isa "metric=(prefill|decode)_tok_s" status=ok "ceiling=(read|fma_fp32|dot_bf16|amx_bf16)/all.*" "ceiling_pct=$positive")" -eq 3 ]'
done
ok "a cell beyond the context is a row with its reason" '[ "$(having "$tmp/b.csv" cell=prefill/50000 status=unsupported n=0 value= "reason=beyond the model.s context of 40960 tokens")" -eq 2 ]'
ok "a raw row a cell, engine and block" '[ "$(having "$tmp/r.csv" engine=assay)" -eq 70 ] && [ "$(having "$tmp/r.csv" cell=decode/4/3 status=ok n_tok=12 "read_b=[0-9]+" "flop=[0-9]+" "tokens_sha256=[0-9a-f]{64}")" -eq 10 ]'
ok "every visit has each place once, odd blocks reversed" '[ "$(rows "$tmp/r.csv" | grep " isa=scalar " | grep -oE "block_idx=[01] visit_idx=[0-9]+ order_idx=[0-9]+" | sed -E "s/.*order_idx=//" | sort -n | uniq -c | awk "{ print \$1 }" | sort -u)" = 2 ] && [ "$(rows "$tmp/r.csv" | grep " isa=scalar " | grep " cell=load " | grep -oE "block_idx=[01] visit_idx=." | sort | sed "s/.*=//" | tr -d "\n" | grep -cE "01|10")" -eq 1 ]'
ok "speed is bound to substance: the same tokens on both instruction sets" '[ "$(rows "$tmp/r.csv" | grep " isa=auto " | grep -oE "tokens_sha256=[0-9a-f]+" | sort)" = "$(rows "$tmp/r.csv" | grep " isa=scalar " | grep -oE "tokens_sha256=[0-9a-f]+" | sort)" ]'
ok "bytes of a step are counted: the same on both instruction sets, less than the weights held" '[ "$(rows "$tmp/b.csv" | awk "/ metric=step_read_mb / && / cell=decode.4.1 /" | sed -E "s/.* weight_b=([0-9]+) .* value=([0-9.]+) .*/\1 \2/" | sort -u | awk "{ n++; good += \$2 > 0 && \$2 * 1e6 <= \$1 } END { print n, good }")" = "1 1" ]'
"$BIN/bench" "${quick[@]}" -m "$m" --no-prefill --decode 2 --decode-tok 2 --format json --blocks 2 >"$tmp/out" 2>"$tmp/err"
ok "JSON, and cells left out" '[ $last -eq 0 ] && grep -q "\"schema\":\"bench/1\"" "$tmp/out" && ! grep -q prefill "$tmp/out"'

# --- peers: a program that says what it is told to say
cat >"$tmp/peer" <<'END'
#!/usr/bin/env bash
# [MODE=...] peer MODEL THREADS CELL...
echo '{"engine":"'"${NAME:-fake}"'","version":"1"}'
shift 2
for c; do
    case $c:${MODE:-} in
    *:crash) kill -SEGV $$ ;;
    *:exit) exit 7 ;;
    *:chatter) echo "loading..." ;;
    load:* | first:*) echo '{"cell":"'"$c"'","ns":1}' ;;
    peak:*) echo '{"cell":"peak","peak_rss_b":1048576}' ;;
    prefill/*:silent) ;;
    prefill/*:refuse) echo '{"cell":"'"$c"'","reason":"no such thing here"}' ;;
    prefill/*:less) echo '{"cell":"'"$c"'","ns":1000000000,"n_tok":1}' ;;
    prefill/*:twice) for i in 1 2; do echo '{"cell":"'"$c"'","ns":1000000000,"n_tok":'"${c#*/}"'}'; done ;;
    prefill/*) echo '{"cell":"'"$c"'","ns":1000000000,"n_tok":'"${c#*/}"'}' ;;
    decode/*) t=${c#*/}; echo '{"cell":"'"$c"'","ns":1000000000,"n_tok":'"$((${t%/*} * ${t#*/}))"'}' ;;
    esac
done
END
chmod +x "$tmp/peer"
peers() { "$BIN/bench" "${quick[@]}" -m "$m" --prefill 16 --decode 1 --decode-tok 4 "$@" -o "$tmp/p.csv" --runs-out "$tmp/pr.csv" 2>"$tmp/err"; }
peers --peer "'$tmp/peer'"
ok "a peer is measured in the same blocks" '[ $last -eq 0 ] && [ "$(having "$tmp/p.csv" engine=fake engine_version=1 model=qwen3 isa= status=ok n=5)" -eq 5 ] && [ "$(having "$tmp/p.csv" engine=fake cell=prefill/16 value=16 ceiling=)" -eq 1 ]'
ok "it visits each block once, before us or after" '[ "$(having "$tmp/pr.csv" engine=fake cell=load "visit_idx=[01]")" -eq 5 ] && [ "$(having "$tmp/pr.csv" engine=fake cell=load visit_idx=0)" -ge 2 ] && [ "$(having "$tmp/pr.csv" engine=fake cell=load visit_idx=1)" -ge 2 ]'
ok "and compared, direction named" '[ "$(having "$tmp/p.csv" engine=assay versus=fake "metric=.*_ratio" n=5 "value=$positive" "verdict=(better|worse|same)")" -eq 5 ] && [ "$(having "$tmp/p.csv" metric=prefill_tok_s_ratio better=higher verdict=better)" -eq 1 ] && [ "$(having "$tmp/p.csv" metric=load_ms_ratio better=lower verdict=worse)" -eq 1 ]'
broken() { # MODE, reason
    MODE=$1 peers --peer "'$tmp/peer'" --blocks 2
    ok "a peer that does not do its work ($1) is not compared, exit 1" '[ $last -eq 1 ] && [ "$(having "$tmp/p.csv" engine=assay versus=fake cell=prefill/16)" -eq 0 ] && [ "$(having "$tmp/p.csv" engine=fake cell=prefill/16 n=0 value= "reason='"$2"'")" -eq 1 ] && [ "$(having "$tmp/p.csv" engine=assay status=ok cell=prefill/16 metric=prefill_tok_s "min=$positive")" -eq 1 ]'
}
broken crash "the peer was ended by signal 11"
broken exit "the peer ended with exit status 7"
broken chatter "peer:2:1:1: expected a JSON value, .*"
broken silent "the peer said nothing of this cell"
broken less "peer:[0-9]+: .*n_tok.*"
broken twice "peer:[0-9]+: expected a cell that was asked for, once; found .prefill/16."
MODE=refuse peers --peer "'$tmp/peer'"
ok "what a peer has not is its row, and no failure" '[ $last -eq 0 ] && [ "$(having "$tmp/p.csv" engine=fake cell=prefill/16 status=unsupported "reason=no such thing here")" -eq 1 ] && [ "$(having "$tmp/p.csv" versus=fake)" -eq 4 ]'
peers --peer "$tmp/none"
ok "a peer that is not there" '[ $last -eq 1 ] && [ "$(having "$tmp/p.csv" engine=peer cell=load n=0 "reason=the peer ended with exit status 127")" -eq 1 ]'
peers --peer "'$tmp/peer'" --peer "env NAME=other '$tmp/peer'"
ok "two peers, each compared with ours" '[ $last -eq 0 ] && [ "$(having "$tmp/p.csv" engine=assay versus=fake)" -eq 5 ] && [ "$(having "$tmp/p.csv" engine=assay versus=other)" -eq 5 ]'

# --- refusals: one line, exit 2, no file
refused() { # what, message, options
    local what=$1 message=$2
    shift 2
    rm -f "$tmp/x.csv"
    "$BIN/bench" "${quick[@]}" "$@" -o "$tmp/x.csv" 2>"$tmp/err"
    ok "$what" '[ $last -eq 2 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q -- "$message" "$tmp/err" && [ ! -e "$tmp/x.csv" ]'
}
refused "a peer without a model" "need a --model" --peer true
refused "an instruction set twice" "expected each once, found .avx2. twice" -m "$m" --isa avx2 --isa avx2
refused "an unknown instruction set" "expected .auto., .*found .sse." -m "$m" --isa sse
refused "a cell twice" "expected each cell once, found .prefill/16. twice" -m "$m" --prefill 16,16
refused "no such model" "none" -m "$tmp/none"
refused "two models of one name" "different names, found .qwen3. twice" -m "$m" -m "$m/" --blocks 1 --prefill 16 --decode 1 --decode-tok 1
refused "two peers of one name" "name themselves differently, found .fake. twice" -m "$m" --peer "'$tmp/peer'" --peer "'$tmp/peer' " --blocks 1 --prefill 16 --decode 1 --decode-tok 1

# --- an interrupt leaves nothing
mkdir "$tmp/int"
set -m
env --default-signal=INT "$BIN/bench" -q -m "$m" --decode-tok 64 --blocks 10000 -o "$tmp/int/out.csv" 2>"$tmp/err" &
pid=$!
set +m
sleep 1.5
kill -INT "$pid"
wait "$pid"
ok "interrupted, one line, no file, the signal passed on" '[ $last -eq 130 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q "interrupted in block" "$tmp/err" && [ -z "$(ls -A "$tmp/int")" ]'
echo "1..$n"
exit $failed
