#!/usr/bin/env bash
# accuracy.sh - the accuracy tool from task folder to scores on made-up transcripts; the numbers are known
# beforehand. Bad input is one line, exit 2 and no file. BIN is the folder of the tools.
set -u
cd "$(dirname "$0")/../.."
accuracy=$(cd "${BIN:-build/release/bin}" && pwd)/accuracy
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
ok() { n=$((n + 1)); if eval "$2"; then echo "ok $n - $1"; else echo "not ok $n - $1"; sed 's/^/# /' "$tmp/err" 2>/dev/null | head -n 5; fi; }
# refuse NAME EXIT TEXT ARGS... - the command fails so, says TEXT on one line, and writes nothing
refuse() {
    local name=$1 code=$2 text=$3 rc lines
    shift 3
    rm -rf "$tmp/bad" && mkdir "$tmp/bad"
    "$accuracy" "$@" 2>"$tmp/err" >/dev/null
    rc=$?
    lines=$(wc -l <"$tmp/err")
    ok "$name" '[ $rc -eq $code ] && [ $lines -eq 1 ] && grep -qF -- "$text" "$tmp/err" && [ -z "$(ls -A "$tmp/bad")" ]'
}
ids() { sed -E 's/.*"id":"([^"]*)".*/\1/' "$1"; }
# Choice c of item d is likeliest when c = d mod 4.
score_all() { ids "$1" | awk -F/ '{printf "{\"finish_reason\":\"scored\",\"id\":\"%s\",\"is_greedy\":false,\"logprob\":%s,\"status\":\"ok\"}\n", $0, $3 == $2 % 4 ? -1 : -2 - $3}'; }
# say_all FILE TEXT - every item gets the same reply
say_all() { ids "$1" | awk -v text="$2" '{printf "{\"final\":\"%s\",\"finish_reason\":\"stop\",\"has_final\":true,\"id\":\"%s\",\"reasoning\":\"The answer is 9.\",\"status\":\"ok\",\"text\":\"%s\",\"token_ids\":[5,6,7]}\n", text, $0, text}'; }
column() { awk -F, -v name="$2" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == name) c = i; next} '"${3:-1}"' {print $c}' "$1"; }

# --- multiple choice
"$accuracy" make-requests --task tasks/facts -o "$tmp/facts.jsonl" 2>"$tmp/err"
ok "make-requests asks one request a choice" '[ "$(wc -l <"$tmp/facts.jsonl")" -eq 160 ]'
ok "requests have a statement that names the task's files" 'grep -q "tasks/facts/items.jsonl" "$tmp/facts.jsonl.prov.json" && grep -q "\"task\":\"tasks/facts\"" "$tmp/facts.jsonl.prov.json"'
score_all "$tmp/facts.jsonl" >"$tmp/facts.t"
"$accuracy" grade --task tasks/facts --transcripts "$tmp/facts.t" --model m -o "$tmp/facts.csv" --items "$tmp/facts.items" 2>"$tmp/err"
# expected count from the items themselves
right=$(awk '{match($0, /"answer":[0-3]/); if (substr($0, RSTART + 9, 1) == (NR - 1) % 4) k++} END {print k}' tasks/facts/items.jsonl)
ok "acc counts the items whose likeliest choice is right" '[ "$(column "$tmp/facts.csv" correct "\$7 == \"all\"")" = "$right" ]'
ok "one row a subset and one for all, chance 25" '[ "$(column "$tmp/facts.csv" chance_pct | sort -u)" = 25 ] && [ "$(column "$tmp/facts.csv" subset | tr "\n" " ")" = "all arithmetic geography language science " ]'
ok "exactly one headline row" '[ "$(column "$tmp/facts.csv" headline | grep -c 1)" -eq 1 ]'
ok "log-likelihoods have no temperature and no token count" '[ -s "$tmp/facts.csv" ] && [ -z "$(column "$tmp/facts.csv" temperature | tr -d "\n")$(column "$tmp/facts.csv" out_tok_mean | tr -d "\n")" ]'
ok "items hold each choice's log-likelihood" '[ "$(wc -l <"$tmp/facts.items")" -eq 40 ] && grep -q "\"logprobs\":\[-1,-3,-4,-5\]" "$tmp/facts.items"'
mkdir -p "$tmp/again" && "$accuracy" grade --recipe "$tmp/facts.csv.prov.json" --into "$tmp/again" --transcripts "$tmp/facts.t" 2>"$tmp/err"
ok "the recipe repeats the file byte for byte" 'cmp -s "$tmp/facts.csv" "$tmp/again/facts.csv"'
(cd tasks && LC_ALL=C.UTF-8 "$accuracy" grade --task ./facts/ --transcripts "$tmp/facts.t" --model m -o "$tmp/other.csv" 2>"$tmp/err")
ok "another folder, another locale, the same bytes" 'cmp -s "$tmp/facts.csv" "$tmp/other.csv"'
tac "$tmp/facts.t" >"$tmp/turned.t"
"$accuracy" grade --task tasks/facts --transcripts "$tmp/turned.t" --model m -o "$tmp/turned.csv" 2>"$tmp/err"
ok "the order of the transcripts does not matter" 'cmp -s "$tmp/facts.csv" "$tmp/turned.csv"'

# --- generation
"$accuracy" make-requests --task tasks/sums --limit 4 -o "$tmp/sums.jsonl" 2>"$tmp/err"
{
    say_all "$tmp/sums.jsonl" x | sed -n 1p | sed 's/"text":"x"/"text":"36 - 7 = 29. The answer is 29. Q: 5"/'
    say_all "$tmp/sums.jsonl" "It is 22" | sed -n 2p
    say_all "$tmp/sums.jsonl" "no idea" | sed -n 3p | sed 's/"stop"/"length"/'
    printf '{"error":"layer 3","finish_reason":"error","id":"sums/3","status":"numeric"}\n'
} >"$tmp/sums.t"
"$accuracy" grade --task tasks/sums --limit 4 --transcripts "$tmp/sums.t" --model m -o "$tmp/sums.csv" --items "$tmp/sums.items" 2>"$tmp/err"
strict='$5 == "strict-match"' flexible='$5 == "flexible-extract"'
ok "strict match takes one, flexible extraction two" '[ "$(column "$tmp/sums.csv" correct "$strict")$(column "$tmp/sums.csv" correct "$flexible")" = 12 ]'
ok "invalid, truncated and failed replies are counted apart" '[ "$(column "$tmp/sums.csv" invalid_pct "$strict") $(column "$tmp/sums.csv" truncated_pct "$strict") $(column "$tmp/sums.csv" error_pct "$strict")" = "50 25 25" ]'
ok "standard error and Wilson interval of 1 in 4" '[ "$(column "$tmp/sums.csv" stderr_pp "$strict") $(column "$tmp/sums.csv" ci_lo "$strict") $(column "$tmp/sums.csv" ci_hi "$strict")" = "25 4.558726 69.935816" ]'
ok "each filter has its own item rows" '[ "$(wc -l <"$tmp/sums.items")" -eq 8 ]'
"$accuracy" make-requests --task tasks/sums --limit 2 --chat --system "Be exact." -o "$tmp/chat.jsonl" 2>"$tmp/err"
ok "chat requests are turns and send no stop texts" 'head -n 1 "$tmp/chat.jsonl" | grep -q "\"messages\":\[{\"content\":\"Be exact.\",\"role\":\"system\"}" && grep -q "\"stop\":\[\]" "$tmp/chat.jsonl"'
say_all "$tmp/chat.jsonl" "The answer is 22." | sed '1s/"has_final":true/"has_final":false/; 1s/"final":"[^"]*"/"final":""/' >"$tmp/chat.t"
"$accuracy" grade --task tasks/sums --limit 2 --chat --system "Be exact." --transcripts "$tmp/chat.t" --model m -o "$tmp/chat.csv" 2>"$tmp/err"
ok "chat mode scores the final answer only; none is no_final" '[ "$(column "$tmp/chat.csv" correct "$strict") $(column "$tmp/chat.csv" no_final_pct "$strict") $(column "$tmp/chat.csv" mode "$strict")" = "1 50 chat" ]'
"$accuracy" grade --task tasks/sums --limit 4 --transcripts "$tmp/sums.t" --model m --format json -o - 2>"$tmp/err" >"$tmp/sums.json"
ok "--format json on standard output" 'grep -q "\"schema\":\"accuracy/1\"" "$tmp/sums.json"'
{ echo "id,status,in_tok,in_cached_tok,out_tok,t_start_ns,t_tok1_ns,t_tokn_ns,t_done_ns"
  for i in 0 1 2 3; do echo "sums/$i,ok,9,$i,3,$((i * 1000000000)),,,$((i * 1000000000 + 2000000000))"; done; } >"$tmp/timing.csv"
"$accuracy" cost --accuracy "$tmp/sums.csv" --timing "$tmp/timing.csv" -o "$tmp/cost.csv" --draft 2>"$tmp/err"
ok "cost: tokens that were not computed are not hidden" '[ "$(column "$tmp/cost.csv" in_cached_tok)" = 6 ]'
ok "cost: 5 s over 4 items, measured, a draft" '[ "$(column "$tmp/cost.csv" s_per_item) $(column "$tmp/cost.csv" draft)" = "1.25 1" ] && grep -q "\"class\":\"measured\"" "$tmp/cost.csv.prov.json" && grep -q "\"class\":\"exact\"" "$tmp/sums.csv.prov.json"'

# --- bad input
out="$tmp/bad/x.csv"
g() { echo grade --task tasks/sums --limit 4 --model m --out "$out" --items "$tmp/bad/items" --transcripts; }
refuse "no transcripts file" 2 "cannot open" $(g) "$tmp/none"
: >"$tmp/d"; refuse "empty transcripts" 2 "" $(g) "$tmp/d"
sed 2d "$tmp/sums.t" >"$tmp/d"; refuse "a missing id is named" 2 'first "sums/1"' $(g) "$tmp/d"
{ cat "$tmp/sums.t"; sed -n 2p "$tmp/sums.t"; } >"$tmp/d"; refuse "a doubled id is named" 2 "twice" $(g) "$tmp/d"
sed 's,sums/3,sums/9,' "$tmp/sums.t" >"$tmp/d"; refuse "a wrong id is named" 2 'sums/3' $(g) "$tmp/d"
{ cat "$tmp/sums.t"; sed -n '2s,sums/1,sums/9,p' "$tmp/sums.t"; } >"$tmp/d"; refuse "a row too many is named" 2 'sums/9' $(g) "$tmp/d"
sed '2s/"status":"ok"/"status":"fine"/' "$tmp/sums.t" >"$tmp/d"; refuse "an unknown status" 2 "status" $(g) "$tmp/d"
sed '2s/"token_ids":\[5,6,7\]/"token_ids":7/' "$tmp/sums.t" >"$tmp/d"; refuse "token ids that are no list" 2 "token_ids" $(g) "$tmp/d"
sed '2s/"text":"[^"]*",//' "$tmp/sums.t" >"$tmp/d"; refuse "a reply without text" 2 '"text"' $(g) "$tmp/d"
head -c 300 "$tmp/sums.t" >"$tmp/d"; refuse "cut in the middle of a row" 2 "" $(g) "$tmp/d"
printf '{"id":"sums/0","status":"ok","text":"\xff"}\n' >"$tmp/d"; refuse "not UTF-8" 2 "UTF-8" $(g) "$tmp/d"
sed '2s/"logprob":-[0-9]*,//' "$tmp/facts.t" >"$tmp/d"
refuse "a score without its log-likelihood" 2 logprob grade --task tasks/facts --transcripts "$tmp/d" --model m --out "$out"
refuse "no task folder" 2 "cannot open" make-requests --task tasks/none --out "$out"
refuse "more shots than there are" 2 "shots" make-requests --task tasks/sums --shots 9 --out "$out"
refuse "--single-turn without --chat" 2 "--chat" make-requests --task tasks/sums --single-turn --out "$out"
refuse "a number that is none" 2 "limit" make-requests --task tasks/sums --limit ten --out "$out"
refuse "a model name that is a path" 2 "--model" grade --task tasks/sums --transcripts "$tmp/sums.t" --model a/b --out "$out"
refuse "an unknown command" 2 "unknown command" score
damage() { # sed program on a copy of the task
    rm -rf "$tmp/task" && cp -r tasks/sums "$tmp/task" && sed -i "$1" "$tmp/task/${2:-task.json}"
}
damage 's/"doc_to_text"/"doc_to_txt"/'; refuse "an unknown key in task.json" 2 "doc_to_txt" make-requests --task "$tmp/task" --out "$out"
damage 's/{{question}}/{{qestion}}/'; refuse "an undefined field in a template" 2 "qestion" make-requests --task "$tmp/task" --out "$out"
damage 's/\[0-9/[9-0/'; refuse "a bad pattern" 2 "task.json: regex" make-requests --task "$tmp/task" --out "$out"
damage 's/"items.jsonl"/"gone.jsonl"/'; refuse "an items file that is not there" 2 "gone.jsonl" make-requests --task "$tmp/task" --out "$out"
damage '3s/question/quest/' items.jsonl; refuse "an item without its question" 2 "items.jsonl:3" make-requests --task "$tmp/task" --out "$out"
damage '5s/^/{/' items.jsonl; refuse "a broken line" 2 "items.jsonl:5" make-requests --task "$tmp/task" --out "$out"
printf '{"model_type":"gpt_oss"}' >"$tmp/config.json"
refuse "a gpt-oss model is not scored on raw text" 2 "raw text" make-requests --task tasks/sums --model-config "$tmp/config.json" --out "$out"
refuse "nor its choices in chat mode" 2 "channel" make-requests --task tasks/facts --chat --model-config "$tmp/config.json" --out "$out"
"$accuracy" make-requests --task tasks/sums --model-config "$tmp/config.json" --force-raw --out "$tmp/forced" 2>"$tmp/err"
ok "unless forced" '[ -s "$tmp/forced" ]'
"$accuracy" make-requests --task tasks/facts --model-config "$tmp/config.json" --out "$tmp/mc" 2>"$tmp/err"
ok "choices as raw text are allowed" '[ -s "$tmp/mc" ]'
sed '1s/"text":"/"text":"<|channel|>analysis /' "$tmp/sums.t" >"$tmp/d"
refuse "harmony markup in raw transcripts is refused" 2 "sums/0" $(g) "$tmp/d"
if [ -e /dev/full ]; then refuse "a full disk" 2 "space" make-requests --task tasks/sums --out /dev/full; fi
refuse "an output folder that is not there" 2 "" make-requests --task tasks/sums --out "$tmp/nowhere/x"
sed 's,sums/2,words/2,' "$tmp/timing.csv" >"$tmp/d"
refuse "timings of another task" 2 "words/2" cost --accuracy "$tmp/sums.csv" --timing "$tmp/d" --out "$out"
echo "1..$n"
