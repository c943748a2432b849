#!/usr/bin/env bash
# readers_model.sh - damaged model directories: weights, config, tokenizer, index. Each is refused with one
# line that names the file, and nothing is written. (infer.sh has the simplest cases: truncated, empty, missing.)
set -u
cd "$(dirname "$0")/../.."
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
. tests/refuse.bash
export ASSAY_CACHE=$tmp/cache
small=(--layers 2 --d-model 64 --d-ff 64 --heads 4 --kv-heads 2 --head-dim 16 --context 512)
"$BIN/synth" -q --family gptoss "${small[@]}" --out "$tmp/moe" || exit 2
"$BIN/synth" -q --family qwen3 "${small[@]}" --shards 2 --out "$tmp/sharded" || exit 2
"$BIN/synth" -q --family yi "${small[@]}" --out "$tmp/yi" || exit 2
echo '{"id":"a","prompt":"hello","max_tokens":2}' >"$tmp/r.jsonl"
infer=("$BIN/infer" -q -m "$tmp/bad" -r "$tmp/r.jsonl" -o "$out/t.jsonl")

copy() { rm -rf "$tmp/bad" && cp -r "$tmp/$1" "$tmp/bad"; }
header_b() { echo $(($(od -An -tu4 -N4 "$1"))); }
le64() { # a number as eight bytes, little-endian
    local v=$1 i
    for i in 1 2 3 4 5 6 7 8; do
        printf "\\x$(printf %02x $((v & 255)))"
        v=$((v >> 8))
    done
}
# reheader SED - the header edited, its length put right, the data as it was
reheader() {
    local f=$tmp/bad/model.safetensors h
    h=$(header_b "$f")
    head -c $((8 + h)) "$f" | tail -c "$h" | sed -E "$1" >"$tmp/h"
    truncate -s "$(sed -z 's/\n$//' "$tmp/h" | wc -c)" "$tmp/h" # sed may end what had no end of line
    { le64 "$(stat -c %s "$tmp/h")"; cat "$tmp/h"; tail -c +$((9 + h)) "$f"; } >"$tmp/new"
    mv "$tmp/new" "$f"
}
weights() { # what, text, header edit
    copy moe
    reheader "$3"
    refuse "weights: $1" model.safetensors "$2" "${infer[@]}"
}

copy moe
ok "the undamaged model answers" "${infer[@]}"
copy moe && reheader 's/x^//'
ok "... and so does its rewritten header" cmp "$tmp/moe/model.safetensors" "$tmp/bad/model.safetensors"
rm -rf "$out" && mkdir "$out"

# ---- safetensors ----
t=model.layers.0.input_layernorm.weight
f=$tmp/moe/model.safetensors
header=$(head -c $((8 + $(header_b "$f"))) "$f" | tail -c +9)
at=$(grep -o "\"$t\":{[^}]*}" <<<"$header" | grep -oE '\[[0-9]+,[0-9]+\]' | tail -n 1)
from=${at:1} from=${from%,*} to=${at#*,} to=${to%]}
data_b=$(($(stat -c %s "$f") - 8 - $(header_b "$f")))
offsets() { echo "s/(\"$t\":\{[^}]*\"data_offsets\":)\[[0-9,]*\]/\1$1/"; }
weights "overlapping tensors" "overlap|begin" "$(offsets "[$((from - 2)),$((to - 2))]")"
weights "a hole between tensors" "expected|gap|begin" "$(offsets "[$((from + 2)),$((to + 2))]")"
weights "a tensor beyond the data" "$data_b|beyond|out of range" "$(offsets "[$data_b,$((data_b + 128))]")"
weights "an offset beyond 2^64" "offset|integer|number" "$(offsets "[$from,99999999999999999999]")"
weights "a negative offset" "offset|integer|number" "$(offsets "[-2,$to]")"
weights "an end before its beginning" "offset|end" "$(offsets "[$to,$from]")"
weights "three offsets" "offset" "$(offsets "[$from,$to,$to]")"
weights "bytes that are not shape x dtype" "shape|bytes" "s/(\"$t\":\{\"dtype\":\"BF16\",\"shape\":)\[64\]/\1[65]/"
weights "another dtype of the same size" "I16" "s/(\"$t\":\{\"dtype\":)\"BF16\"/\1\"I16\"/"
weights "a dtype that is none" "BF17" "s/(\"$t\":\{\"dtype\":)\"BF16\"/\1\"BF17\"/"
weights "scales that are no bytes" "U8|I8" 's/(down_proj_scales":\{"dtype":)"U8"/\1"I8"/'
weights "another shape of the same size" "shape" "s/(\"$t\":\{\"dtype\":\"BF16\",\"shape\":)\[64\]/\1[8,8]/"
weights "a size that overflows" "shape|overflow|large|bytes" "s/(\"$t\":\{\"dtype\":\"BF16\",\"shape\":)\[64\]/\1[4294967296,4294967296,64]/"
weights "a negative size" "shape|integer|number" "s/(\"$t\":\{\"dtype\":\"BF16\",\"shape\":)\[64\]/\1[-64]/"
weights "a missing tensor" "model.layers.1.post_attention_layernorm" 's/layers.1.post_attention_layernorm/layers.1.post_attention_layernormal/'
weights "a name twice" "twice|duplicate|again|unique" 's/layers.1.input_layernorm/layers.0.input_layernorm/'
weights "a key twice in a tensor" "twice|duplicate|again|unique" "s/(\"$t\":\{)/\1\"dtype\":\"BF16\",/"
weights "an unknown key in a tensor" "strides" "s/(\"$t\":\{)/\1\"strides\":[1],/"
weights "no dtype" "dtype" "s/(\"$t\":\{)\"dtype\":\"BF16\",/\1/"
weights "a header that is no object" "object|header" 's/^.*$/[]/'
weights "a header cut short" "header|JSON|expected" 's/.{40}$//'
weights "an escape that is none" "escape|JSON|expected" "s/$t/\\\\q/"
weights "a name with a control byte" "control|JSON|byte" "s/$t/\x01/"
weights "a name that is no UTF-8" "UTF-8" "s/$t/a\xff/"
weights "metadata that is no text" "metadata|string" 's/"format":"pt"/"format":7/'
copy moe && le64 200000000 | dd of="$tmp/bad/model.safetensors" conv=notrunc status=none
refuse "weights: a header longer than the file" model.safetensors "header" "${infer[@]}"
copy moe && truncate -s 7 "$tmp/bad/model.safetensors"
refuse "weights: a file of 7 bytes" model.safetensors "8 bytes" "${infer[@]}"
copy moe && rm "$tmp/bad/model.safetensors" && mkdir "$tmp/bad/model.safetensors"
refuse "weights: a folder" model.safetensors "regular file|directory" "${infer[@]}"

# a value that a canonical product cannot hold (numerics.md): bf16 infinity in a matrix
copy yi
f=$tmp/bad/model.safetensors
h=$(header_b "$f")
q=$(head -c $((8 + h)) "$f" | grep -aoE '"model.layers.1.self_attn.q_proj.weight":\{[^}]*\}' | grep -oE 'offsets":\[[0-9]+' | grep -oE '[0-9]+$')
printf '\x80\x7f' | dd of="$f" bs=1 seek=$((8 + h + q + 6)) conv=notrunc status=none
refuse "weights: an infinite value" "model.layers.1.self_attn.q_proj.weight" "infinit|finite|range|2\^60" "${infer[@]}"

# ---- shards and their index ----
index() { # what, text, file named, edit of the index
    copy sharded
    sed -i -E "$4" "$tmp/bad/model.safetensors.index.json"
    refuse "index: $1" "$3" "$2" "${infer[@]}"
}
index "a shard that is not there" "No such file|cannot open" "model-00009-of-00002.safetensors" 's/model-00002-of/model-00009-of/'
index "a shard outside of the folder" "expected|outside|name" "model.safetensors.index.json" 's,"model-00001-of,"../moe/model-00001-of,'
index "a tensor in the other shard" "model.norm.weight|shard|not" "model" 's/("model.norm.weight": ?"model-0000)2/\11/; t; s/("model.norm.weight": ?"model-0000)1/\12/'
index "no weight_map" "weight_map" "model.safetensors.index.json" 's/weight_map/weightmap/'
index "a name twice" "twice|duplicate|again|unique" "model.safetensors.index.json" 's/("model.norm.weight": ?"[^"]*")/\1,\1/'
index "a map of numbers" "string|expected" "model.safetensors.index.json" 's/("model.norm.weight": ?)"[^"]*"/\17/'
copy sharded && rm "$tmp/bad/model-00001-of-00002.safetensors"
refuse "index: its first shard is gone" "model-00001-of-00002.safetensors" "No such file" "${infer[@]}"

# ---- config.json ----
config() { # what, text, edit
    copy moe
    sed -i -E "$3" "$tmp/bad/config.json"
    ! cmp -s "$tmp/bad/config.json" "$tmp/moe/config.json" || { ok "config: $1: the edit changes nothing" false; return; }
    refuse "config: $1" config.json "$2" "${infer[@]}"
}
config "an unknown architecture" "BertModel" 's/GptOssForCausalLM/BertModel/'
config "no architecture" "architectures" 's/"architectures"/"architecture"/; s/"model_type"/"type"/'
config "a size that is text" "hidden_size" 's/("hidden_size": ?)[0-9]+/\1"64"/'
config "a size that is no integer" "hidden_size" 's/("hidden_size": ?)[0-9]+/\164.5/'
config "a negative size" "num_hidden_layers" 's/("num_hidden_layers": ?)[0-9]+/\1-2/'
config "no layers" "num_hidden_layers" 's/("num_hidden_layers": ?)[0-9]+/\10/'
config "more layers than a machine has" "num_hidden_layers" 's/("num_hidden_layers": ?)[0-9]+/\19007199254740991/'
config "an integer beyond 2^53" "found '9007199254740993'" 's/("vocab_size": ?)[0-9]+/\19007199254740993/'
config "a number with a leading zero" "found '0640'" 's/("vocab_size": ?)[0-9]+/\10640/'
config "heads that do not divide" "head" 's/("num_key_value_heads": ?)[0-9]+/\13/'
config "a key that is missing" "rms_norm_eps" 's/"rms_norm_eps"/"rms_eps"/'
config "an epsilon of 0" "rms_norm_eps" 's/("rms_norm_eps": ?)[^,]*/\1-1/'
config "an unknown kind of layer" "layer_types|linear_attention" '0,/"full_attention"/s//"linear_attention"/'
config "too few kinds of layers" "layer_types" '0,/"full_attention",?/s///; s/"sliding_attention",$/"sliding_attention"/'
config "an unknown activation" "hidden_act|swish" 's/("hidden_act": ?)"silu"/\1"gelu_new"/'
config "an unknown weight format" "quant" 's/("quant_method": ?)"mxfp4"/\1"awq"/'
config "more experts a token than experts" "experts" 's/("num_experts_per_tok": ?)[0-9]+/\199/; s/("experts_per_token": ?)[0-9]+/\199/'
config "a key twice" "twice|duplicate|again|unique" 's/("vocab_size": ?[0-9]+)/\1, \1/'
config "bytes that are no UTF-8" "UTF-8" 's/GptOss/Gpt\xffOss/'
config "a byte order mark" "config.json:1" '1s/^/\xef\xbb\xbf/'
config "text behind the object" "config.json" '$s/$/ {}/'
config "a comment" "config.json:2" '2s,^,// ,'
copy moe && : >"$tmp/bad/config.json"
refuse "config: empty" config.json "empty|expected" "${infer[@]}"
copy moe && head -c 300 "$tmp/moe/config.json" >"$tmp/bad/config.json"
refuse "config: cut short" config.json "config.json:" "${infer[@]}"
copy moe && { head -c 20 "$tmp/moe/config.json" && printf '\0' && tail -c +21 "$tmp/moe/config.json"; } >"$tmp/bad/config.json"
refuse "config: a NUL byte" config.json "config.json:" "${infer[@]}"
copy moe && { for _ in {1..5000}; do printf '['; done; } >"$tmp/bad/config.json"
refuse "config: 5000 brackets deep" config.json "deep|nest|config.json:" "${infer[@]}"
copy moe && echo '{"eos_token_id":"x"}' >"$tmp/bad/generation_config.json"
refuse "generation config: an id that is text" generation_config.json "eos_token_id" "${infer[@]}"

# ---- tokenizer.json ----
tokenizer() { # what, text, edit, family
    copy "${4:-moe}"
    sed -i -E "$3" "$tmp/bad/tokenizer.json"
    ! cmp -s "$tmp/bad/tokenizer.json" "$tmp/${4:-moe}/tokenizer.json" || { ok "tokenizer: $1: the edit changes nothing" false; return; }
    refuse "tokenizer: $1" tokenizer.json "$2" "${infer[@]}"
}
tokenizer "another model than BPE" "WordPiece" 's/"BPE"/"WordPiece"/'
tokenizer "an id twice" "twice|again|unique|same id|id [0-9]+" '0,/": 300,/s//": 301,/'
tokenizer "an id beyond bounds" "found 99999999999" '0,/": 300,/s//": 99999999999,/'
tokenizer "a negative id" "found -1" '0,/": 300,/s//": -1,/'
tokenizer "a byte without a token" "none with id 0" '0,/"!": [0-9]+,/s///'
tokenizer "an unknown pre-tokenizer" "pre_tokenizer|Whitespace" 's/"type": "ByteLevel"/"type": "Whitespace"/'
tokenizer "an unknown pattern" "pattern|regex|Regex" '0,/"Regex": ".{20}/s//"Regex": "[[/'
tokenizer "a merge of unknown parts" "merge" '/"merges"/,/"h",/s/"h",/"qqqq",/'
tokenizer "bytes that are no UTF-8" "UTF-8" 's/startoftext/start\xfftext/'
tokenizer "a byte fallback that lacks a byte" "byte|<0x41>" 's/"<0x41>"/"<0x41x>"/' yi
copy moe && : >"$tmp/bad/tokenizer.json"
refuse "tokenizer: empty" tokenizer.json "empty|expected" "${infer[@]}"
copy moe && head -c 9000 "$tmp/moe/tokenizer.json" >"$tmp/bad/tokenizer.json"
refuse "tokenizer: cut short" tokenizer.json "tokenizer.json:" "${infer[@]}"
copy moe && echo '{"id":"a","prompt":"hello"}' >"$tmp/bad/tokenizer.json"
refuse "tokenizer: another file" tokenizer.json "unknown member \"id\"" "${infer[@]}"

# ---- lengths ----
awk 'BEGIN {printf "{\"id\":\"a\",\"prompt\":\"x\",\"max_tokens\":2}\n{\"id\":\"b\",\"prompt_token_ids\":["; for (i = 0; i < 600; i++) printf i ? ",7" : "7"; print "],\"max_tokens\":2}"}' >"$tmp/long.jsonl"
refuse "a request beyond the model's length, among good ones" "long.jsonl:2" "512, found 600" "$BIN/infer" -q -m "$tmp/yi" -r "$tmp/long.jsonl" -o "$out/t.jsonl"
refuse "a prompt by hand beyond it" --tokens "512, found 600" "$BIN/infer" -q -m "$tmp/yi" --tokens "$(seq -s, 1 600)" -n 1 -o "$out/t"
refuse "an answer beyond it" --tokens "at most 509 .* context of 512, found 510" "$BIN/infer" -q -m "$tmp/yi" --tokens 1,2,3 -n 510 -o "$out/t"

# ---- every tool that opens a model says the same ----
copy moe && reheader "$(offsets "[$((from - 2)),$((to - 2))]")"
for tool in latency memory ablate energy; do
    refuse "$tool: damaged weights" model.safetensors "model.safetensors" "$BIN/$tool" -q -m "$tmp/bad" --draft -o "$out/x.csv"
    refuse "$tool: no such model" nowhere "No such file" "$BIN/$tool" -q -m "$tmp/nowhere" --draft -o "$out/x.csv"
done
finish
