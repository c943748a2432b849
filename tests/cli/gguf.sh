#!/usr/bin/env bash
# gguf.sh - commands on GGUF files: the same transcripts as from the directory they were made of, statements that
# name the file, and one clear line for files that are damaged, cut or called by another name.
# BIN is the folder of the tools.
set -u
cd "$(dirname "$0")/../.."
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export ASSAY_CACHE=$tmp/cache
n=0 failed=0

ok() { # what, condition
    n=$((n + 1))
    if eval "$2"; then
        echo "ok $n - $1"
    else
        failed=1
        echo "not ok $n - $1"
        head -n 5 "$tmp/err" 2>/dev/null | sed 's/^/# /'
    fi
}

# refuse WHAT TEXT MODEL [OPTION...] - exit 2, TEXT in the one line, nothing written
refuse() {
    local what=$1 text=$2 model=$3 rc
    shift 3
    rm -f "$tmp/bad.jsonl"*
    "$BIN/infer" -q -m "$model" -r "$tmp/r.jsonl" -o "$tmp/bad.jsonl" "$@" >"$tmp/stdout" 2>"$tmp/err"
    rc=$?
    ok "$what" '[ $rc -eq 2 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -qF -- "$text" "$tmp/err" && ! ls "$tmp"/bad.jsonl* >/dev/null 2>&1'
}

cat >"$tmp/r.jsonl" <<'END'
{"id":"a","prompt":"hello there, this is a prompt that is longer than the window of the smallest model","max_tokens":9}
{"id":"b","messages":[{"role":"user","content":"hello"}],"max_tokens":5,"temperature":0.8}
{"id":"c","prompt":"one two","continuation":" three four","kind":"score"}
END
for family in gptoss qwen3 yi; do
    "$BIN/synth" -q --family $family-tiny --out "$tmp/$family" || exit 2
    "$BIN/convert" -q -m "$tmp/$family" --type bf16 -o "$tmp/$family.gguf" || exit 2
    "$BIN/infer" -q -m "$tmp/$family" -r "$tmp/r.jsonl" -o "$tmp/a.jsonl" 2>"$tmp/err" || exit 2
    "$BIN/infer" -q -m "$tmp/$family.gguf" -r "$tmp/r.jsonl" -o "$tmp/b.jsonl" 2>"$tmp/err"
    ok "$family: the same transcripts from the directory and the file" 'cmp -s "$tmp/a.jsonl" "$tmp/b.jsonl"'
    digest=$(printf '%s  %s\n' "$(sha256sum <"$tmp/$family.gguf" | cut -c1-64)" "$family.gguf" | sha256sum | cut -c1-64)
    ok "$family: the statement names the model by the digest of its file" 'grep -q "$digest" "$tmp/b.jsonl.prov.json"'
    echo '{"text":"hello there"}' >"$tmp/line"
    ok "$family: the same token ids" \
        '[ "$("$BIN/infer" --tokenize -m "$tmp/$family" <"$tmp/line")" = "$("$BIN/infer" --tokenize -m "$tmp/$family.gguf" <"$tmp/line")" ]'
done
"$BIN/memory" -q -m "$tmp/gptoss.gguf" --contexts 512 -o "$tmp/m.csv" 2>"$tmp/err"
ok "memory takes a file, and says what it stores" 'grep -q "assay,gptoss,gpt-oss,synthetic,mxfp4+bf16," "$tmp/m.csv"'

# YaRN as llama.cpp rounds it
"$BIN/infer" -q -m "$tmp/gptoss.gguf" -r "$tmp/r.jsonl" -o "$tmp/y.jsonl" --yarn-truncate 2>"$tmp/err"
ok "--yarn-truncate gives other logits" '[ -s "$tmp/y.jsonl" ] && ! cmp -s "$tmp/a.jsonl" "$tmp/y.jsonl"'
ok "and says so in the statement" 'grep -q "gptoss+yarn-truncate" "$tmp/y.jsonl.prov.json"'
refuse "--yarn-truncate of a model without YaRN" "expected YaRN" "$tmp/qwen3.gguf" --yarn-truncate

size=$(stat -c %s "$tmp/yi.gguf")
for cut in 3 20 100 5000 $((size / 2)) $((size - 1000)); do
    head -c "$cut" "$tmp/yi.gguf" >"$tmp/cut.gguf"
    refuse "a file cut after $cut bytes" "$tmp/cut.gguf" "$tmp/cut.gguf"
done
{ cat "$tmp/yi.gguf"; printf x; } >"$tmp/long.gguf"
refuse "a byte behind the data" "bytes of data behind the table" "$tmp/long.gguf"
sed 's/rope.freq_base/rope.freq_bass/' "$tmp/yi.gguf" >"$tmp/hurt.gguf"
refuse "a model without its rope base" "llama.rope.freq_bas" "$tmp/hurt.gguf"
sed 's/general.architecture\(.\{12\}\)llama/general.architecture\1lamma/' "$tmp/yi.gguf" >"$tmp/hurt.gguf"
refuse "an unknown architecture" "found 'lamma'" "$tmp/hurt.gguf"
sed 's/tokenizer.ggml.pre/tokenizer.ggml.prf/' "$tmp/qwen3.gguf" >"$tmp/hurt.gguf"
refuse "a byte-level vocabulary without its split rule" "tokenizer.ggml.pre" "$tmp/hurt.gguf"
sed 's/blk.1.attn_k.weight/blk.1.attn_x.weight/' "$tmp/yi.gguf" >"$tmp/hurt.gguf"
refuse "a tensor by another name" "blk.1.attn_k.weight" "$tmp/hurt.gguf"
refuse "a file that is not there" "none.gguf" "$tmp/none.gguf"
mkdir "$tmp/folder.gguf"
refuse "a folder by the name of a file" "folder.gguf" "$tmp/folder.gguf"
printf '{}' >"$tmp/json.gguf"
refuse "another kind of file" "expected 'GGUF'" "$tmp/json.gguf"
echo "1..$n"
exit $failed
