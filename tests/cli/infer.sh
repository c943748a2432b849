#!/usr/bin/env bash
# infer.sh - the infer command: answers by hand and from files, digests that are what they say, one clear
# line and no file for bad input, and a run that was killed goes on without losing or doubling anything.
# BIN is the folder of the tools.
set -u
cd "$(dirname "$0")/../.."
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
infer=$BIN/infer
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

# refuse WHAT EXIT TEXT ARGS... - fails so, says TEXT on one line, and leaves nothing behind
refuse() {
    local what=$1 code=$2 text=$3 rc lines
    shift 3
    rm -rf "$tmp/bad"
    mkdir "$tmp/bad"
    "$infer" "$@" >"$tmp/stdout" 2>"$tmp/err"
    rc=$?
    lines=$(wc -l <"$tmp/err")
    ok "$what" '[ $rc -eq $code ] && [ $lines -eq 1 ] && grep -qF -- "$text" "$tmp/err" && [ ! -s "$tmp/stdout" ] && [ -z "$(ls -A "$tmp/bad")" ]'
}

key() { sed -E 's/.*"'"$1"'":"?([^",}]*).*/\1/' "$2"; }

for family in gptoss qwen3 yi; do
    "$BIN/synth" --quiet --family $family-tiny --out "$tmp/$family" || exit 2
done

# --- by hand
"$infer" -m "$tmp/gptoss" --prompt "hello" -n 12 >"$tmp/out" 2>"$tmp/err"
ok "a prompt gives text on stdout and one line of figures on stderr" '[ $last -eq 0 ] && [ -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q "12 out tok" "$tmp/err"'
"$infer" -m "$tmp/gptoss" --prompt "hello" -n 1 >"$tmp/one" 2>"$tmp/err"
ok "one token has no time per output token, and none is printed" 'grep -q "1 out tok" "$tmp/err" && ! grep -q tpot "$tmp/err"'
"$infer" -q -m "$tmp/gptoss" --prompt "hello" -n 12 >"$tmp/out2" 2>"$tmp/err"
ok "--quiet says nothing on stderr and the same on stdout" '[ ! -s "$tmp/err" ] && cmp -s "$tmp/out" "$tmp/out2"'
"$infer" -q -m "$tmp/gptoss" --prompt "hello" -n 12 -o "$tmp/out3" >"$tmp/out4" 2>"$tmp/err"
ok "--out writes the same text to a file" 'cmp -s "$tmp/out" "$tmp/out3" && [ ! -s "$tmp/out4" ]'
"$infer" -q -m "$tmp/gptoss" --prompt "hello" -n 12 --format json --logits-out "$tmp/l" >"$tmp/json" 2>"$tmp/err"
ok "--format json has the promised keys" 'for k in prompt_token_ids token_ids text finish_reason logits_sha256 model numerics isa threads timings ttft_ms tpot_ms decode_tok_s in_cached_tok; do grep -q "\"$k\":" "$tmp/json" || exit 1; done'
sha=$(sha256sum <"$tmp/l" | cut -d' ' -f1)
ok "logits_sha256 is the digest of the rows that --logits-out wrote" '[ "$(key logits_sha256 "$tmp/json")" = "$sha" ] && [ "$(stat -c %s "$tmp/l")" -eq $((12 * 640 * 4)) ]'
"$infer" -q -m "$tmp/gptoss" --tokens 5,6,7,8,9 -n 4 --logits-out "$tmp/all" --positions all --prefill-chunk 2 >/dev/null 2>"$tmp/err"
"$infer" -q -m "$tmp/gptoss" --tokens 5,6,7,8,9 -n 4 --logits-out "$tmp/gen" >/dev/null 2>>"$tmp/err"
ok "--positions all: one row a position that was fed, ending in those of generated" '[ "$(stat -c %s "$tmp/all")" -eq $((8 * 640 * 4)) ] && cmp -s <(tail -c $((4 * 640 * 4)) "$tmp/all") "$tmp/gen"'
"$infer" -q -m "$tmp/gptoss" --tokens 5,6,7,8,9 -n 0 --logits-out "$tmp/none" --positions all >/dev/null 2>"$tmp/err"
ok "--max-tokens 0 with --positions all: the prompt's rows alone" 'cmp -s <(head -c $((5 * 640 * 4)) "$tmp/all") "$tmp/none"'
"$infer" -q -m "$tmp/qwen3" --prompt "hello" --chat -n 8 --format json >"$tmp/json" 2>"$tmp/err"
ok "--chat puts the prompt into the chat format and takes the answer apart" 'grep -q "\"has_final\":" "$tmp/json" && grep -q "\"reasoning\":" "$tmp/json"'
a=$("$infer" -q -m "$tmp/yi" --prompt x -n 20 --temperature 1 --seed 1 --format json | tr , '\n' | grep sha256)
b=$("$infer" -q -m "$tmp/yi" --prompt x -n 20 --temperature 1 --seed 1 --threads 1 --format json | tr , '\n' | grep sha256)
c=$("$infer" -q -m "$tmp/yi" --prompt x -n 20 --temperature 1 --seed 2 --format json | tr , '\n' | grep sha256)
ok "a seed repeats itself, another differs" '[ "$a" = "$b" ] && [ "$a" != "$c" ]'
printf '{"text":"hello <|im_end|>"}\n{"text":""}\n' | "$infer" --tokenize -m "$tmp/qwen3" >"$tmp/ids" 2>"$tmp/err"
printf '{"text":"hello <|im_end|>"}\n{"text":""}' | "$infer" --tokenize --tokenizer "$tmp/qwen3/tokenizer.json" >"$tmp/ids2" 2>>"$tmp/err"
added_id() { tr -d ' \n' <"$tmp/qwen3/tokenizer.json" | grep -oE "\{\"id\":[0-9]+,\"content\":\"<\\|$1\\|>\"" | grep -oE '[0-9]+' | head -n 1; }
end=$(added_id im_end)
ok "--tokenize: ids a line, special tokens are text" 'cmp -s "$tmp/ids" "$tmp/ids2" && [ "$(wc -l <"$tmp/ids")" -eq 2 ] && [ "$(tail -n 1 "$tmp/ids")" = "{\"ids\":[]}" ] && [ -n "$end" ] && ! grep -qE "[[,]$end[],]" "$tmp/ids"'
tokens() { printf '%s\n' "$2" | "$infer" --tokenize --tokenizer "$1" 2>"$tmp/err"; }
ok "--tokenize: a tokenizer.model, by content" '[ "$(tokens tests/fuzz/seeds/tokspm/yi "{\"text\":\"hello<br>\"}")" = "{\"ids\":[270,261]}" ]'
ok "--tokenize: a .gguf" '[ "$(tokens tests/fuzz/seeds/tokgguf/gpt-4o "{\"text\":\"hello\"}")" = "{\"ids\":[259]}" ]'
ok "--tokenize: a .gguf with a blank before every text" '[ "$(tokens tests/fuzz/seeds/tokgguf/llama "{\"text\":\"hello\"}")" = "{\"ids\":[280]}" ]'
ok "--tokenize: U+0000 is a character" '[ "$(tokens tests/fuzz/seeds/tokgguf/gpt-4o "{\"text\":\"a\u0000b\"}")" = "{\"ids\":[97,0,98]}" ]'
printf '{"text":"a"}\n{"texts":"a"}\n' | "$infer" --tokenize -m "$tmp/qwen3" >"$tmp/out" 2>"$tmp/err"
ok "--tokenize: a line without a text is named, and nothing is written" '[ $last -eq 2 ] && [ ! -s "$tmp/out" ] && grep -q "<stdin>:2:2: expected {\"text\"} alone" "$tmp/err"'
printf '{"text":"a","id":1}\n' | "$infer" --tokenize -m "$tmp/qwen3" >"$tmp/out" 2>"$tmp/err"
ok "--tokenize: another key is refused" '[ $last -eq 2 ] && grep -q "<stdin>:1:13: expected {\"text\"} alone" "$tmp/err"'

# --- what the files put before every text
cp -r "$tmp/qwen3" "$tmp/bos"
sed -i -e 's/"add_bos_token": false/"add_bos_token": true/' -e 's/"bos_token": null/"bos_token": "<|endoftext|>"/' "$tmp/bos/tokenizer_config.json"
bos=$(added_id endoftext)
printf '%s\n' '{"id":"p","prompt":"hello","max_tokens":1}' '{"id":"s","kind":"score","prompt":"The capital of","continuation":" France"}' '{"id":"c","messages":[{"role":"user","content":"Hi"}],"max_tokens":1}' >"$tmp/b.jsonl"
(cd "$tmp" && for m in qwen3 bos; do "$infer" -q -m $m -r b.jsonl -o "b-$m.jsonl" || exit 1; done) 2>"$tmp/err"
first() { grep "\"id\":\"$2\"" "$tmp/b-$1.jsonl" | grep -o '"prompt_token_ids":\[[^]]*' | sed 's/.*\[//'; }
ok "add_bos_token: the id goes before a prompt" '[ -n "$bos" ] && [ -n "$(first qwen3 p)" ] && [ "$(first bos p)" = "$bos,$(first qwen3 p)" ]'
ok "add_bos_token: and before a scored text; a chat has its own beginning" '[ "$(first bos s)" = "$bos,$(first qwen3 s)" ] && [ -n "$(first bos c)" ] && [ "$(first bos c)" = "$(first qwen3 c)" ]'
sed -i 's/"bos_token": "<|endoftext|>"/"bos_token": "<nothing>"/' "$tmp/bos/tokenizer_config.json"
"$infer" -q -m "$tmp/bos" --prompt hello -n 1 >/dev/null 2>"$tmp/err"
ok "add_bos_token: a token that is none is refused" '[ $last -eq 2 ] && grep -q "tokenizer_config.json: add_bos_token: expected a bos_token that is an added token, found \"<nothing>\"" "$tmp/err"'

# --- requests
cat >"$tmp/r.jsonl" <<'END'
{"id":"z/1","prompt":"The capital of France","max_tokens":12,"stop":["e",""]}
{"id":"a/1","kind":"score","prompt":"The capital of France is ","continuation":"Paris"}
{"id":"a/2","kind":"score","prompt":"","continuation":"Paris"}
{"id":"c","messages":[{"role":"user","content":"Hi"}],"max_tokens":9,"temperature":1,"seed":3}
{"id":"t","prompt_token_ids":[5,6,7,8,9],"max_tokens":4}
END
for family in gptoss qwen3 yi; do
    (cd "$tmp" && "$infer" -q -m "$family" -r r.jsonl -o "$family.jsonl") 2>"$tmp/err"
    ok "$family: transcripts, timings and two statements; no journal is left" '[ $last -eq 0 ] && [ "$(wc -l <"$tmp/$family.jsonl")" -eq 5 ] && [ -s "$tmp/$family.timing.csv" ] && [ -s "$tmp/$family.jsonl.prov.json" ] && [ -s "$tmp/$family.timing.csv.prov.json" ] && [ ! -e "$tmp/$family.jsonl.journal" ]'
    ok "$family: exact transcripts hold no time" '! grep -qE "_ns|_ms|timing" "$tmp/$family.jsonl" && grep -q "\"class\":\"exact\"" "$tmp/$family.jsonl.prov.json"'
done
"$infer" -q -m "$tmp/gptoss" --tokens 5,6,7,8,9 -n 4 --format json >"$tmp/json" 2>"$tmp/err"
ok "a request answers as the same prompt by hand" '[ "$(grep "\"id\":\"t\"" "$tmp/gptoss.jsonl" | sed -E "s/.*logits_sha256\":\"([0-9a-f]*).*/\1/")" = "$(key logits_sha256 "$tmp/json")" ]'
ok "text is cut before a stop text" '! grep "\"id\":\"z/1\"" "$tmp/gptoss.jsonl" | grep -oE "\"text\":\"[^\"]*\"" | sed "s/.*:\"//" | grep -q e'
ids() { printf '{"text":"%s"}' "$1" | "$infer" --tokenize -m "$tmp/gptoss" | tr -dc '0-9,\n' | tail -n 1; }
whole=$(ids "The capital of France is Paris")
got=$(grep '"id":"a/1"' "$tmp/gptoss.jsonl" | sed -E 's/.*"prompt_token_ids":\[([0-9,]*)\].*"token_ids":\[([0-9,]*)\].*/\1,\2/')
head=$(ids "The capital of France is")
part=$(grep '"id":"a/1"' "$tmp/gptoss.jsonl" | sed -E 's/.*"prompt_token_ids":\[([0-9,]*)\].*/\1/')
ok "a continuation is cut from the ids of both texts; the space goes with it" '[ "$got" = "$whole" ] && [ "$part" = "$head" ]'
ok "an empty prompt is one prefix id" 'grep "\"id\":\"a/2\"" "$tmp/gptoss.jsonl" | grep -qE "\"prompt_token_ids\":\[[0-9]+\]"'
touch -d '2001-01-01' "$tmp/gptoss.jsonl"
(cd "$tmp" && "$infer" -q -m gptoss -r r.jsonl -o gptoss.jsonl --threads 1 --parallel 2) 2>"$tmp/err"
ok "a second run of other threads finds the same bytes and does not touch the file" '[ "$(stat -c %Y "$tmp/gptoss.jsonl")" -lt 1000000000 ]'
"$infer" -q -m "$tmp/gptoss" -r "$tmp/r.jsonl" -o "$tmp/tight.jsonl" --kv-memory 320KiB 2>"$tmp/err"
ok "little KV memory: requests wait for each other and answer the same" '[ $last -eq 0 ] && cmp -s "$tmp/tight.jsonl" "$tmp/gptoss.jsonl"'
# twelve requests that share beginnings: of 300 and of 560 ids
awk 'BEGIN {for (i = 0; i < 12; i++) {
    printf "{\"id\":\"s/%02d\",\"prompt_token_ids\":[", i
    for (k = 0; k < 300 + i % 3 * 130; k++) printf "%d,", 5 + (k * k * 7 + (k < 560 ? 0 : i)) % 600
    printf "%d],\"max_tokens\":%d}\n", 20 + i, 2 + i % 4}}' >"$tmp/s.jsonl"
cached() { awk -F, 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "in_cached_tok") c = i; next} {n += $c} END {print n + 0}' "$1"; }
for family in gptoss qwen3 yi; do
    "$infer" -m "$tmp/$family" -r "$tmp/s.jsonl" -o "$tmp/alone.jsonl" --parallel 1 2>"$tmp/err"
    ok "$family: nothing is reused unless asked for" '[ $last -eq 0 ] && [ "$(cached "$tmp/alone.timing.csv")" -eq 0 ] && ! grep -q reused "$tmp/err"'
    "$infer" -m "$tmp/$family" -r "$tmp/s.jsonl" -o "$tmp/shared.jsonl" --parallel 2 --prefix-reuse on 2>"$tmp/err"
    n_cached=$(cached "$tmp/shared.timing.csv")
    ok "$family: --prefix-reuse on: the same bytes, and what was reused is in timings and on stderr" '[ $last -eq 0 ] && cmp -s "$tmp/alone.jsonl" "$tmp/shared.jsonl" && [ "$n_cached" -ge 2560 ] && grep -q " $n_cached of 5172 prompt tok reused" "$tmp/err"'
    "$infer" -q -m "$tmp/$family" -r "$tmp/s.jsonl" -o "$tmp/tight.jsonl" --parallel 3 --prefix-reuse on --kv-memory 2MiB --prefill-chunk 100 2>"$tmp/err"
    ok "$family: ... also where little memory is left for it" '[ $last -eq 0 ] && cmp -s "$tmp/alone.jsonl" "$tmp/tight.jsonl"'
done
"$infer" -q -m "$tmp/gptoss" -r - <"$tmp/r.jsonl" >"$tmp/stdout.jsonl" 2>"$tmp/err"
ok "standard input to standard output" 'cmp -s "$tmp/stdout.jsonl" "$tmp/gptoss.jsonl"'

# --- a killed run goes on
awk 'BEGIN {for (i = 0; i < 40; i++) printf "{\"id\":\"k/%02d\",\"prompt_token_ids\":[%d,7,9],\"max_tokens\":%d}\n", i, i + 5, 40 + i}' >"$tmp/k.jsonl"
(cd "$tmp" && "$infer" -q -m yi -r k.jsonl -o whole.jsonl) 2>"$tmp/err"
(cd "$tmp" && exec "$infer" -q -m yi -r k.jsonl -o cut.jsonl --parallel 2) 2>>"$tmp/err" &
pid=$!
for _ in $(seq 400); do
    if [ "$(cat "$tmp/cut.jsonl.journal" 2>/dev/null | wc -l)" -ge 6 ]; then break; fi
    sleep 0.01
done
kill -9 "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
lines=$(wc -l <"$tmp/cut.jsonl.journal")
ok "a kill leaves a journal and no output" '[ "$lines" -ge 6 ] && [ "$lines" -le 40 ] && [ ! -e "$tmp/cut.jsonl" ] && [ ! -e "$tmp/cut.timing.csv" ]'
(cd "$tmp" && "$infer" -m yi -r k.jsonl -o cut.jsonl --seed 9) >/dev/null 2>"$tmp/err"
ok "another recipe does not continue it" '[ $last -eq 2 ] && grep -q "belongs to another run" "$tmp/err" && [ -e "$tmp/cut.jsonl.journal" ]'
truncate -s -7 "$tmp/cut.jsonl.journal" # torn in the last record
(cd "$tmp" && "$infer" -m yi -r k.jsonl -o cut.jsonl) >/dev/null 2>"$tmp/err"
ok "it goes on behind the last whole record and ends in the same bytes" '[ $last -eq 0 ] && grep -q "$((lines - 2)) of 40 requests are in the journal" "$tmp/err" && cmp -s "$tmp/cut.jsonl" "$tmp/whole.jsonl" && [ "$(wc -l <"$tmp/cut.timing.csv")" -eq 41 ] && [ ! -e "$tmp/cut.jsonl.journal" ]'

# --- an interrupt keeps what is finished: the journal goes on, the caller sees the signal
for signal in INT:130 TERM:143; do
    set -m # a job of its own, or the shell would have it ignore the signal
    (cd "$tmp" && exec env --default-signal=INT "$infer" -q -m yi -r k.jsonl -o int.jsonl --parallel 2) 2>"$tmp/err" &
    pid=$!
    set +m
    for _ in $(seq 400); do
        if [ "$(cat "$tmp/int.jsonl.journal" 2>/dev/null | wc -l)" -ge 4 ]; then break; fi
        sleep 0.01
    done
    kill "-${signal%:*}" "$pid"
    wait "$pid"
    ok "SIG${signal%:*}: one line, the signal passed on, a journal of whole lines and no output" '[ $last -eq ${signal#*:} ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q "stays in the journal" "$tmp/err" && [ "$(wc -l <"$tmp/int.jsonl.journal")" -ge 4 ] && [ -z "$(tail -c 1 "$tmp/int.jsonl.journal")" ] && [ ! -e "$tmp/int.jsonl" ] && [ ! -e "$tmp/int.timing.csv" ]'
    (cd "$tmp" && "$infer" -m yi -r k.jsonl -o int.jsonl) >/dev/null 2>"$tmp/err"
    ok "... and it goes on to the same bytes" '[ $last -eq 0 ] && grep -q "requests are in the journal" "$tmp/err" && cmp -s "$tmp/int.jsonl" "$tmp/whole.jsonl"'
    rm -f "$tmp"/int.*
done

# --- a long prompt shows on a terminal how far it is, and only there
ids=$(awk 'BEGIN {for (k = 0; k < 3000; k++) printf k ? ",%d" : "%d", 5 + k * k % 600}')
"$infer" -m "$tmp/gptoss" --tokens "$ids" -n 1 >"$tmp/out" 2>"$tmp/err"
ok "a long prompt, no terminal: one line of figures" '[ $last -eq 0 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && ! grep -q "prompt 0/" "$tmp/err"'
if command -v script >/dev/null; then
    env -u NO_COLOR script -qec "'$infer' -m '$tmp/gptoss' --tokens $ids -n 1" /dev/null >"$tmp/tty" 2>&1 </dev/null
    ok "... on a terminal: how far it is, gone when the text comes" '[ $last -eq 0 ] && grep -q "prompt 0/3000" "$tmp/tty" && tail -n 1 "$tmp/tty" | grep -q "3000 prompt tok"'
    env -u NO_COLOR script -qec "'$infer' -q -m '$tmp/gptoss' --tokens $ids -n 1" /dev/null >"$tmp/tty" 2>&1 </dev/null
    ok "... and not with --quiet" '[ $last -eq 0 ] && ! grep -q "prompt" "$tmp/tty"'
else
    for what in "on a terminal" "with --quiet"; do
        n=$((n + 1))
        echo "ok $n - # SKIP no script(1) for a test $what"
    done
fi

# --- a fault while running is a row with its status
cp -r "$tmp/qwen3" "$tmp/loud"
weights=$tmp/loud/model.safetensors
header=$(($(od -An -tu4 -N4 "$weights")))
offset=$(head -c $((8 + header)) "$weights" | tail -c "$header" | grep -oE '"model.embed_tokens.weight":\{[^}]*\}' | grep -oE '"data_offsets": ?\[[0-9]+' | grep -oE '[0-9]+$')
# row 77 of the embedding as large as a weight may be: its sum of squares leaves fp32
head -c 640 /dev/zero | tr '\0' '\135' | sed 's/./\x7f]/g' | head -c 640 | dd of="$weights" bs=1 seek=$((8 + header + offset + 77 * 640)) conv=notrunc 2>/dev/null
printf '{"id":"good","prompt_token_ids":[5,6],"max_tokens":3}\n{"id":"loud","prompt_token_ids":[5,77,6],"max_tokens":3}\n' >"$tmp/loud.r"
"$infer" -q -m "$tmp/qwen3" -r "$tmp/loud.r" -o "$tmp/calm.jsonl" 2>"$tmp/err"
"$infer" -q -m "$tmp/loud" -r "$tmp/loud.r" -o "$tmp/loud.jsonl" 2>"$tmp/err"
ok "an overflow is a row that names the layer, exit 1" '[ $last -eq 1 ] && grep -q "\"id\":\"loud\".*\"status\":\"numeric\"" "$tmp/loud.jsonl" && grep -q "\"error\":\"position 1: .* layer 0, norm\"" "$tmp/loud.jsonl"'
ok "the request beside it is not disturbed" '[ "$(grep "\"good\"" "$tmp/loud.jsonl")" = "$(grep "\"good\"" "$tmp/calm.jsonl")" ]'

# --- bad input: exit 2, one line, nothing written
m=$tmp/gptoss o=$tmp/bad/t.jsonl
bad() { # WHAT TEXT ROWS... - requests that must be refused
    local what=$1 text=$2
    shift 2
    printf '%s\n' "$@" >"$tmp/bad.r"
    refuse "$what" 2 "$text" -m "$m" -r "$tmp/bad.r" -o "$o"
}
good='{"id":"g","prompt":"x"}'
bad "an unknown key" '"temprature"' "$good" '{"id":"h","prompt":"x","temprature":1}'
bad "an id twice" 'g' "$good" "$good"
bad "no id" '"id"' "$good" '{"prompt":"x"}'
bad "damaged JSON, with file and line" 'bad.r:2' "$good" '{"id":"h","prompt":"x"'
bad "a prompt and messages" 'several' '{"id":"h","prompt":"x","messages":[{"role":"user","content":"y"}]}'
bad "no prompt" 'found none' '{"id":"h"}'
bad "an empty prompt" 'at least one token' '{"id":"h","prompt":""}'
bad "a score without continuation" 'continuation' '{"id":"h","kind":"score","prompt":"x"}'
bad "a continuation without score" 'continuation' '{"id":"h","prompt":"x","continuation":"y"}'
bad "an empty continuation" 'at least one token' '{"id":"h","kind":"score","prompt":"x","continuation":""}'
bad "a token outside the vocabulary" '0 to 639' '{"id":"h","prompt_token_ids":[640]}'
bad "a temperature below 0" 'temperature' '{"id":"h","prompt":"x","temperature":-1}'
bad "a top_p above 1" 'top_p' '{"id":"h","prompt":"x","top_p":1.5}'
bad "more tokens than the context" 'max_tokens: expected at most' '{"id":"h","prompt":"x","max_tokens":2000000000}'
bad "messages of another form" 'role' '{"id":"h","messages":[{"content":"y"}]}'
bad "an unknown kind" 'kind' '{"id":"h","prompt":"x","kind":"guess"}'
: >"$tmp/bad.r"
refuse "an empty requests file" 2 "empty" -m "$m" -r "$tmp/bad.r" -o "$o"
printf '{"id":"h","prompt":"\xff"}\n' >"$tmp/bad.r"
refuse "bytes that are no UTF-8" 2 "UTF-8" -m "$m" -r "$tmp/bad.r" -o "$o"
refuse "no such requests file" 2 "nothing-here" -m "$m" -r "$tmp/nothing-here" -o "$o"
refuse "no such model" 2 "config.json" -m "$tmp/nothing-here" --prompt x
refuse "no prompt at all" 2 "expected one of --prompt" -m "$m"
refuse "two sources" 2 "several" -m "$m" --prompt x --tokens 1
refuse "a request that never fits into the KV memory" 3 "at most 49152 bytes of key-value cache (the limit), found 65536" -m "$m" --prompt x -n 9 --kv-memory 50000
refuse "a size that is none" 2 "such as" -m "$m" --prompt x --kv-memory 1MB
refuse "a number that is none" 2 "max-tokens" -m "$m" --prompt x --max-tokens 1x
refuse "an unknown instruction set" 2 "scalar" -m "$m" --prompt x --isa none
refuse "fast numerics on a cpu" 2 "--numerics" -m "$m" --prompt x --numerics fast
refuse "an output that cannot be written" 2 "nothing-here" -m "$m" -r "$tmp/r.jsonl" -o "$tmp/nothing-here/t.jsonl"
refuse "a token beyond the vocabulary by hand" 2 "0 to 639" -m "$m" --tokens 640
refuse "a text that is no JSON" 2 "<stdin>:1" --tokenize -m "$m" <<<'x'
if [ -w /dev/full ]; then
    "$infer" -q -m "$m" -r "$tmp/r.jsonl" >/dev/full 2>"$tmp/err"
    ok "a full disk is an error" '[ $last -eq 2 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ]'
fi

# damaged models
hurt() { # WHAT TEXT COMMAND - a copy of the model, damaged by COMMAND in its folder
    rm -rf "$tmp/hurt"
    cp -r "$tmp/gptoss" "$tmp/hurt"
    (cd "$tmp/hurt" && eval "$3")
    refuse "$1" 2 "$2" -m "$tmp/hurt" -r "$tmp/r.jsonl" -o "$o"
}
hurt "a truncated checkpoint" "truncated" 'truncate -s 900 model.safetensors'
hurt "a checkpoint without its last byte" "model.safetensors" 'truncate -s -1 model.safetensors'
hurt "a checkpoint with a byte too many" "model.safetensors" 'printf x >>model.safetensors'
hurt "an empty checkpoint" "8 bytes of header length" ': >model.safetensors'
hurt "a header of 2^64 bytes" "header" 'printf "\377\377\377\377\377\377\377\377" | dd of=model.safetensors conv=notrunc 2>/dev/null'
hurt "a tensor of another name" "input_layernorm" 'sed -i "s/layers.1.input_layernorm/layers.1.input_layernorx/" model.safetensors'
hurt "a dtype that is not the architecture's" "expected weights, found I16" 'sed -i -E "0,/\"BF16\"/s//\"I16\" /" model.safetensors'
hurt "a tensor that has no place" "no such tensor" 'sed -i -z -E "s/\"num_hidden_layers\": ?4/\"num_hidden_layers\":2/; s/(\"layer_types\": ?\[)[^]]*/\1\"sliding_attention\",\"full_attention\"/" config.json'
hurt "a shape other than the config's" "expected shape" 'sed -i -E "s/\"num_local_experts\": ?6/\"num_local_experts\":5/" config.json'
hurt "an unknown architecture" "FooForCausalLM" 'sed -i "s/GptOssForCausalLM/FooForCausalLM/" config.json'
hurt "an unknown rope type" "rope" 'sed -i -E "s/\"yarn\"/\"yawn\"/" config.json'
hurt "an empty config" "config.json" ': >config.json'
hurt "no config" "config.json" 'rm config.json'
hurt "no weights" "model.safetensors" 'rm model.safetensors'
hurt "a damaged tokenizer" "tokenizer.json" 'truncate -s 500 tokenizer.json'
scales=$(head -c 200000 "$tmp/gptoss/model.safetensors" | tail -c +9 | grep -aoE '"model.layers.2.mlp.experts.down_proj_scales":\{[^}]*\}' | head -n 1 | grep -oE '"data_offsets": ?\[[0-9]+' | grep -oE '[0-9]+$')
base=$((8 + $(od -An -tu4 -N4 "$tmp/gptoss/model.safetensors")))
hurt "a NaN scale byte" "model.layers.2.mlp.experts.down_proj" "printf '\377' | dd of=model.safetensors bs=1 seek=$((base + scales + 3)) conv=notrunc 2>/dev/null"
echo "1..$n"
exit "$failed"
