#!/usr/bin/env bash
# readers_results.sh - damaged CSV, JSONL and JSON for every command that reads them. A whole study of one
# small model is made first; then each of its files is damaged in each way, and each reader of it must refuse
# with one line that names the file, exit 2, and write nothing.
set -u
cd "$(dirname "$0")/../.."
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
. tests/refuse.bash
export ASSAY_CACHE=$tmp/cache
d=$tmp/good
mkdir "$d"
run() { "$BIN/$1" "${@:2}" -q || { echo "cannot make the undamaged files: $*" >&2; exit 2; }; }
tiny=(--layers 2 --d-model 64 --d-ff 64 --heads 4 --kv-heads 2 --head-dim 16 --context 2048)
run synth --family yi "${tiny[@]}" --out "$tmp/yi"
run memory -m "$tmp/yi" --draft --contexts 8,16,24,32 -o "$d/memory.csv"
run latency -m "$tmp/yi" --draft --in-tok 4 --out-tok 2 --blocks 1 -n 2 --warmup 0 -o "$d/latency.csv" \
    --throughput-out "$d/throughput.csv" --requests-out "$d/requests.csv"
run ablate -m "$tmp/yi" --draft --factors threads --in-tok 4 --out-tok 2 --blocks 1 -n 1 -o "$d/ablation.csv"
"$BIN/energy" -q -m "$tmp/yi" --draft --meter none --contexts 8 -o "$d/energy.csv" 2>/dev/null || exit 2
run accuracy make-requests --task tasks/facts --limit 2 -o "$d/requests.jsonl"
run infer -m "$tmp/yi" -r "$d/requests.jsonl" -o "$d/transcripts.jsonl"
run accuracy grade --task tasks/facts --limit 2 --transcripts "$d/transcripts.jsonl" --model yi -o "$d/accuracy.csv"
run accuracy cost --accuracy "$d/accuracy.csv" --timing "$d/transcripts.timing.csv" -o "$d/accuracy_cost.csv"
run safety make-requests --suite safety/snapshot --max-tokens 4 -o "$d/safety.requests.jsonl"
run infer -m "$tmp/yi" -r "$d/safety.requests.jsonl" -o "$d/safety.jsonl"
run safety grade --suite safety/snapshot --transcripts "$d/safety.jsonl" --model yi -o "$d/safety.csv"
stages=(latency throughput memory energy ablation accuracy accuracy_cost safety)
unify=()
for s in "${stages[@]}"; do unify+=("--${s/_/-}" "$d/$s.csv"); done
run unify "${unify[@]}" -o "$d/unified.csv"
run ape --unified "$d/unified.csv" -o "$d/ape.csv"
(cd "$d" && sha256sum ./*.csv | sed 's,\./,,') >"$d/SHA256SUMS"
cp safety/governance.csv pipelines/bands.csv "$d/"
{ echo id,channel,label; echo snapshot/safe-01,final,full_compliance; } >"$d/labels.csv"
cp -r tasks/facts "$tmp/facts"
cp -r safety/snapshot "$tmp/snapshot"

# ---- one file, all its damages ----
bad=$tmp/damaged
damage() { # HOW GOOD BAD - false when the damage does not apply
    rm -rf "$3"
    case $1 in
    'no such file') ;;
    'a folder') mkdir "$3" ;;
    'no byte') : >"$3" ;;
    'a byte order mark') { printf '\xef\xbb\xbf'; cat "$2"; } >"$3" ;;
    'a NUL byte') { head -c -9 "$2"; printf '\0'; tail -c 9 "$2"; } >"$3" ;;
    'no UTF-8') { head -c -9 "$2"; printf '\xff'; tail -c 9 "$2"; } >"$3" ;;
    'cut short') head -c -7 "$2" >"$3" ;;
    'a field too many') sed '$s/$/,1/' "$2" >"$3" ;;
    'a field too few') sed '$s/,[^,]*$//' "$2" >"$3" ;;
    'a column too many') sed '1s/$/,more/; 1!s/$/,1/' "$2" >"$3" ;;
    'another column name') sed '1s/[a-z]\(,\|$\)/Q\1/' "$2" >"$3" ;;
    'a column twice') sed '1s/^\([^,]*\),[^,]*/\1,\1/' "$2" >"$3" ;;
    'an open quote') sed '$s/,/,"/' "$2" >"$3" ;;
    'a quote inside a field') sed '$s/\([^,]\),/\1"x,/' "$2" >"$3" ;;
    'a header alone') head -n 1 "$2" >"$3" ;;
    'a row twice') { cat "$2"; tail -n 1 "$2"; } >"$3" ;;
    'a key twice') sed '2s/^{\("[^"]*":[^,]*\),/{\1,\1,/' "$2" >"$3" ;;
    'text behind an object') sed '2s/$/ x/' "$2" >"$3" ;;
    'an array') sed '2s/.*/[1]/' "$2" >"$3" ;;
    'a number of two signs') sed '2s/^{/{"seed":--1,/' "$2" >"$3" ;;
    'an unknown key') sed '2s/^{/{"aaa":1,/' "$2" >"$3" ;;
    'an empty line') sed '2s/^/\n/' "$2" >"$3" ;;
    5000\ brackets) { sed 2d "$2"; for _ in {1..5000}; do printf '['; done; echo; } >"$3" ;;
    esac
}
csv=('no such file' 'a folder' 'no byte' 'a byte order mark' 'a NUL byte' 'no UTF-8' 'cut short' 'a field too many'
    'a field too few' 'a column too many' 'another column name' 'a column twice' 'an open quote'
    'a quote inside a field' 'a header alone' 'a row twice')
jsonl=('no such file' 'a folder' 'no byte' 'a byte order mark' 'a NUL byte' 'no UTF-8' 'cut short' 'a key twice'
    'text behind an object' 'an array' 'a number of two signs' 'an unknown key' 'a row twice' 'an empty line' '5000 brackets')
# every LIST GOOD NAME COMMAND... - @ in COMMAND stands for the damaged file; one test a reader
every() {
    local -n ways=$1
    local good=$2 name=$3 how wrong=''
    shift 3
    for how in "${ways[@]}"; do
        case " ${skip:-} " in *" ${how// /_} "*) continue ;; esac
        damage "$how" "$good" "$bad"
        if [ -f "$bad" ] && cmp -s "$good" "$bad"; then wrong+="$how changes nothing"$'\n'; fi
        if ! refused "$bad" : "${@//@/$bad}" >"$tmp/why" 2>&1; then wrong+="$how: $(tr '\n' ' ' <"$tmp/why")"$'\n'; fi
        if [ -n "${SHOW:-}" ]; then echo "    # $how: $(cut -c1-200 "$tmp/stderr")"; fi
    done
    right() { [ -z "$wrong" ] || { printf '%s' "$wrong"; return 1; }; }
    ok "$name" right
}

x=$out/x.csv
for s in "${stages[@]}"; do
    with=()
    for a in "${unify[@]}"; do if [ "$a" = "$d/$s.csv" ]; then with+=(@); else with+=("$a"); fi; done
    every csv "$d/$s.csv" "unify --${s/_/-}" "$BIN/unify" -q "${with[@]}" -o "$x"
done
every csv "$d/unified.csv" "ape --unified" "$BIN/ape" -q --unified @ -o "$x"
every csv "$d/accuracy.csv" "accuracy cost --accuracy" "$BIN/accuracy" cost -q --accuracy @ --timing "$d/transcripts.timing.csv" -o "$x"
every csv "$d/transcripts.timing.csv" "accuracy cost --timing" "$BIN/accuracy" cost -q --accuracy "$d/accuracy.csv" --timing @ -o "$x"
every csv "$d/governance.csv" "safety governance --table" "$BIN/safety" governance -q --table @ -o "$x"
every csv "$d/labels.csv" "safety grade --labels" "$BIN/safety" grade -q --suite safety/snapshot --transcripts "$d/safety.jsonl" --model yi --labels @ -o "$x"
# a figure without rows is drawn, says why it is empty and is counted (plot.sh)
skip=a_header_alone
every csv "$d/unified.csv" "plot figure --unified" "$BIN/plot" figure -q --unified @ --ape "$d/ape.csv" -o "$out/kv.gp" figs/kv.gp
every csv "$d/ape.csv" "plot figure --ape" "$BIN/plot" figure -q --unified "$d/unified.csv" --ape @ -o "$out/ape.gp" figs/ape.gp
every csv "$d/requests.csv" "plot figure --requests" "$BIN/plot" figure -q --unified "$d/unified.csv" --ape "$d/ape.csv" --requests @ -o "$out/tpot.gp" figs/tpot.gp
skip=
every csv "$d/bands.csv" "verify compare --bands" "$BIN/verify" compare "$d" "$d" --bands @ -o "$out/report"
every jsonl "$d/requests.jsonl" "infer --requests" "$BIN/infer" -q -m "$tmp/yi" -r @ -o "$out/t.jsonl"
every jsonl "$d/transcripts.jsonl" "accuracy grade --transcripts" "$BIN/accuracy" grade -q --task tasks/facts --limit 2 --transcripts @ --model yi -o "$x" --items "$out/items.jsonl"
every jsonl "$d/safety.jsonl" "safety grade --transcripts" "$BIN/safety" grade -q --suite safety/snapshot --transcripts @ --model yi -o "$x"
# items of other people's sets carry more keys, and have no id
bad=$tmp/facts/items.jsonl skip='an_unknown_key a_row_twice'
every jsonl tasks/facts/items.jsonl "accuracy make-requests: items" "$BIN/accuracy" make-requests -q --task "$tmp/facts" -o "$out/r.jsonl"
bad=$tmp/snapshot/prompts.jsonl skip=a_row_twice # an id may stand twice in two files: safety.sh
every jsonl safety/snapshot/prompts.jsonl "safety make-requests: prompts" "$BIN/safety" make-requests -q --suite "$tmp/snapshot" -o "$out/r.jsonl"

# ---- one bad row among many good ones: all are looked at first ----
for i in $(seq 200); do echo "{\"id\":\"r/$i\",\"prompt\":\"row $i\",\"max_tokens\":1}"; done >"$tmp/many.jsonl"
sed '200s/"max_tokens":1/"max_tokens":1.5/' "$tmp/many.jsonl" >"$tmp/bad.jsonl"
refuse "the last of 200 requests is bad: none is run" "bad.jsonl:200" "max_tokens.*1.5" "$BIN/infer" -q -m "$tmp/yi" -r "$tmp/bad.jsonl" -o "$out/t.jsonl"
sed '137s/"prompt":"row 137"/"prompt":""/' "$tmp/many.jsonl" >"$tmp/bad.jsonl"
refuse "one in the middle" "bad.jsonl:137" "at least one token" "$BIN/infer" -q -m "$tmp/yi" -r "$tmp/bad.jsonl" -o "$out/t.jsonl"
row() { # what, text, edit of the last row of latency.csv
    sed "\$s$3" "$d/latency.csv" >"$tmp/latency.bad.csv"
    refuse "unify: $1" "latency.bad.csv:$(wc -l <"$d/latency.csv"):" "$2" "$BIN/unify" -q --latency "$tmp/latency.bad.csv" -o "$x"
}
row "a number that is text" "expected .*number|expected an? .*found 'x'" '/,[0-9]*,steady,/,x,steady,/'
row "a number beyond int64" "99999999999999999999" '/,[0-9]*,steady,/,99999999999999999999,steady,/'
row "a number with a blank" "found ' 1'|expected" '/,[0-9]*,steady,/, 1,steady,/'

# ---- journals ----
(trap '' XFSZ; ulimit -f 8; "$BIN/infer" -q -m "$tmp/yi" -r "$tmp/many.jsonl" -o "$tmp/j.jsonl") 2>/dev/null
ok "a run that stopped half way has left a journal" [ -s "$tmp/j.jsonl.journal" ]
cp "$tmp/j.jsonl.journal" "$tmp/whole.journal"
journal() { # what, text, edit
    sed -E "$3" "$tmp/whole.journal" >"$tmp/j.jsonl.journal"
    refuse "journal: $1" "j.jsonl.journal" "$2" "$BIN/infer" -q -m "$tmp/yi" -r "$tmp/many.jsonl" -o "$tmp/j.jsonl"
    ok "... and nothing is written" [ ! -e "$tmp/j.jsonl" ]
}
journal "a changed byte before the end" ":5: expected a journal record, found damage" '5s/"id":"r/"id":"q/'
journal "a row twice" "again" '5{p;}'
journal "another recipe" "damage|another run" '1s/"recipe":"[0-9a-f]{8}/"recipe":"00000000/'
cp "$tmp/whole.journal" "$tmp/j.jsonl.journal"
ok "undamaged, it is continued" "$BIN/infer" -q -m "$tmp/yi" -r "$tmp/many.jsonl" -o "$tmp/j.jsonl"

# ---- JSON: descriptions, statements, lists ----
json() { # NAME GOOD BAD COMMAND... - BAD is where the command looks
    local name=$1 good=$2 bad=$3 wrong='' how
    shift 3
    for how in 'no such file' 'a folder' 'no byte' 'a byte order mark' 'a NUL byte' 'no UTF-8' 'cut short' 'another type' 'text behind it'; do
        case $how in
        'another type') rm -rf "$bad" && echo '[1]' >"$bad" ;;
        'text behind it') rm -rf "$bad" && { cat "$good"; echo x; } >"$bad" ;;
        *) damage "$how" "$good" "$bad" ;;
        esac
        if ! refused "$(basename "$bad")" : "$@" >"$tmp/why" 2>&1; then wrong+="$how: $(tr '\n' ' ' <"$tmp/why")"$'\n'; fi
        if [ -n "${SHOW:-}" ]; then echo "    # $how: $(cut -c1-200 "$tmp/stderr")"; fi
    done
    right() { [ -z "$wrong" ] || { printf '%s' "$wrong"; return 1; }; }
    ok "$name" right
}
cp tasks/facts/items.jsonl "$tmp/facts/" && cp safety/snapshot/prompts.jsonl "$tmp/snapshot/"
json "accuracy: task.json" tasks/facts/task.json "$tmp/facts/task.json" "$BIN/accuracy" make-requests -q --task "$tmp/facts" -o "$out/r.jsonl"
json "safety: suite.json" safety/snapshot/suite.json "$tmp/snapshot/suite.json" "$BIN/safety" make-requests -q --suite "$tmp/snapshot" -o "$out/r.jsonl"
json "accuracy: --model-config" "$tmp/yi/config.json" "$tmp/config.json" "$BIN/accuracy" make-requests -q --task tasks/facts --model-config "$tmp/config.json" -o "$out/r.jsonl"
json "--recipe" "$d/ape.csv.prov.json" "$tmp/s.prov.json" "$BIN/ape" -q --recipe "$tmp/s.prov.json" --into "$out"
finish
