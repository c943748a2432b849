#!/usr/bin/env bash
# synthetic.sh - synthetic:NAME at full size, with the smallest model there is (1.5 GB in memory, seconds a
# load): equal bits however it runs, other bits of another seed, rows that say what they are of, statements
# that verify believes without a list, and clear refusals. BIN is the folder of the tools.
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
end() { echo "1..$n"; exit $failed; }

available_kib=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
m=synthetic:Qwen3-0.6B
no() { # what, words in the message, exit status, command...
    local what=$1 words=$2 status=$3
    shift 3
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    ok "$what" '[ $last -eq '"$status"' ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -qF -- "$words" "$tmp/err"'
}

no "an unknown model is told the known ones" "expected one of gpt-oss-20b, gpt-oss-120b, Qwen3-0.6B" 2 "$BIN/infer" -m synthetic:gpt-3 --tokens 1
no "an unknown option" "expected synthetic:NAME[,seed=N][,format=q8_0|q4_0]" 2 "$BIN/infer" -m $m,sed=1 --tokens 1
no "a seed that is none" "seed: expected an integer" 2 "$BIN/infer" -m $m,seed=x --tokens 1
if [ "$available_kib" -lt 60000000 ]; then
    no "a model beyond the memory is refused before it is made, with both sizes" "expected 65.52 GB of memory for its weights, found" 3 "$BIN/infer" -m synthetic:Qwen3-32B --tokens 1
else
    n=$((n + 1))
    echo "ok $n - a model beyond the memory # SKIP there is memory for it"
fi
if [ "$available_kib" -lt 3000000 ]; then
    n=$((n + 1))
    echo "ok $n - the smallest model # SKIP less than 3 GB of memory available"
    end
fi

sha() { grep -oE '"logits_sha256":"[0-9a-f]{64}"' "$1"; }
"$BIN/infer" -q -m $m --tokens 5,6,7,8,9 -n 3 --format json -t 2 >"$tmp/a" 2>"$tmp/err"
ok "it runs on ids" '[ $last -eq 0 ] && [ -n "$(sha "$tmp/a")" ] && grep -q "\"model\":\"Qwen3-0.6B\"" "$tmp/a"'
"$BIN/infer" -q -m synthetic:qwen/QWEN3:0.6b,seed=0 --tokens 5,6,7,8,9 -n 3 --format json -t 3 --isa avx2 --prefill-chunk 2 >"$tmp/b" 2>"$tmp/err" ||
    "$BIN/infer" -q -m $m,seed=0 --tokens 5,6,7,8,9 -n 3 --format json -t 3 --isa scalar --prefill-chunk 2 >"$tmp/b" 2>"$tmp/err"
ok "the same bits by another way to name it, of other threads, instructions and chunks" '[ -n "$(sha "$tmp/b")" ] && [ "$(sha "$tmp/a")" = "$(sha "$tmp/b")" ]'

"$BIN/convert" -q -m $m --type q4_0 -o "$tmp/c.gguf" 2>"$tmp/err" && "$BIN/infer" -q -m "$tmp/c.gguf" --tokens 5,6,7,8,9 -n 3 --format json >"$tmp/c" 2>"$tmp/err"
ok "it can be converted" '[ $last -eq 0 ] && [ -n "$(sha "$tmp/c")" ] && [ "$(sha "$tmp/a")" != "$(sha "$tmp/c")" ]'
"$BIN/infer" -q -m $m,format=q4_0 --tokens 5,6,7,8,9 -n 3 --format json >"$tmp/d" 2>"$tmp/err"
ok "and a format says what it would be, without the file" '[ $last -eq 0 ] && [ "$(sha "$tmp/c")" = "$(sha "$tmp/d")" ] && grep -q "\"model\":\"Qwen3-0.6B-q4_0\"" "$tmp/d"'
rm -f "$tmp/c.gguf"

# Another seed; no text.
echo '{"id":"a","prompt_token_ids":[5,6,7,8,9],"max_tokens":3}' >"$tmp/q.jsonl"
mkdir -p "$tmp/tree/infer"
"$BIN/infer" -q -m $m,seed=1 --requests "$tmp/q.jsonl" --root "$tmp/tree" -o "$tmp/tree/infer/transcripts.jsonl" 2>"$tmp/err"
ok "another seed, other bits" '[ $last -eq 0 ] && [ "$(sha "$tmp/a")" != "$(sha "$tmp/tree/infer/transcripts.jsonl")" ]'
no "text is refused: there is no tokenizer" "expected token ids for the synthetic model 'Qwen3-0.6B'" 2 "$BIN/infer" -m $m -p hello

"$BIN/latency" -q -m $m,seed=1 --in-tok 8 --out-tok 2 -c 1 --blocks 1 -n 1 --warmup 0 --draft --root "$tmp/tree" -o "$tmp/tree/latency.csv" 2>"$tmp/err"
ok "latency draws its own ids" '[ $last -eq 0 ] && grep -q ",ok," "$tmp/tree/latency.csv"'
ok "every row says synthetic" '[ "$(tail -n +2 "$tmp/tree/latency.csv" | grep -vc "^assay,Qwen3-0.6B,qwen3,synthetic,bf16,")" -eq 0 ]'
text="assay synthetic 1 Qwen3-0.6B,seed=1"
hex=$(printf %s "$text" | sha256sum | cut -d' ' -f1)
ok "the statement holds the definition and its digest" 'grep -qF "{\"definition\":\"$text\",\"digest\":{\"sha256\":\"$hex\"},\"name\":\"model:Qwen3-0.6B\"}" "$tmp/tree/latency.csv.prov.json"'

cp "$tmp/q.jsonl" "$tmp/tree/infer/q.jsonl"
"$BIN/verify" manifest --out "$tmp/tree/SHA256SUMS" "$tmp/tree" 2>"$tmp/err"
"$BIN/verify" --tree "$tmp/tree" --models /dev/null --all >"$tmp/report" 2>"$tmp/err"
ok "verify asks for no list" 'grep -qE "^PASS +inputs +.*latency.csv.prov.json: .model:Qwen3-0.6B.: .$text" "$tmp/report"'
ok "and lists nothing for one" '[ -z "$("$BIN/verify" models "$tmp/tree")" ]'
sed -i 's/Qwen3-0.6B,seed=1"/Qwen3-0.6B,seed=2"/' "$tmp/tree/latency.csv.prov.json"
"$BIN/verify" --tree "$tmp/tree" --models /dev/null >"$tmp/report" 2>"$tmp/err"
ok "another definition fails" 'grep -qE "^FAIL +inputs +.*latency.csv.prov.json: .*expected the SHA-256 of its definition" "$tmp/report"'
end
