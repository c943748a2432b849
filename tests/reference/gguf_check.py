"""gguf_check.py MODELS_DIR BIN - what convert writes against the PyPI package gguf and numpy.

Every tiny model in every type: gguf's reader reads the file, and each tensor has the very bytes that numpy and
gguf's quantiser make of the safetensors file by the rules of the formats, written here a second time: q and k of
llama reshaped, gate and up taken apart, MXFP4's nibbles reordered. Exit 1 at the first difference.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, quants

MODELS = ["gptoss-tiny", "gptoss-tiny-bf16", "qwen3-tiny", "qwen3-tied-tiny", "yi-tiny"]
TYPES = ["q8_0", "q4_0", "bf16", "f16", "f32"]

LAYER = {
    "input_layernorm.weight": "attn_norm.weight", "self_attn.sinks": "attn_sinks.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight", "mlp.down_proj.weight": "ffn_down.weight",
    "mlp.router.weight": "ffn_gate_inp.weight", "mlp.router.bias": "ffn_gate_inp.bias",
}
for a, b in (("q", "q"), ("k", "k"), ("v", "v"), ("o", "output")):
    for end in ("weight", "bias"):
        LAYER[f"self_attn.{a}_proj.{end}"] = f"attn_{b}.{end}"


def read_safetensors(path):
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    out = {}
    for name, t in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        raw = np.frombuffer(data, np.uint8)[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]
        if t["dtype"] == "BF16":
            raw = (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        out[name] = raw.reshape(t["shape"])
    return out


def paired(w, heads):
    """Halves of each head become neighbours."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def mxfp4_blocks(codes, scales):
    """[.., groups, 16] bytes and [.., groups] scales to rows of 17-byte blocks."""
    c = np.stack([codes & 15, codes >> 4], axis=-1).reshape(*codes.shape[:-1], 32)
    joined = np.concatenate([scales[..., None], c[..., :16] | c[..., 16:] << 4], axis=-1)
    return joined.reshape(*joined.shape[:-2], -1).astype(np.uint8)


def expected(source, config):
    """GGUF name -> values, or the finished bytes of what keeps them; and which names are matrices."""
    llama = config["model_type"] == "llama"
    heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}
    ends = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight"}
    out = {}
    for name, w in source.items():
        if name in ends:
            out[ends[name]] = w
            continue
        _, _, n, end = name.split(".", 3)
        if end == "post_attention_layernorm.weight":
            end = "post_attention_norm.weight" if config["model_type"] == "gpt_oss" else "ffn_norm.weight"
            out[f"blk.{n}.{end}"] = w
        elif end.startswith("mlp.experts."):
            end = end[len("mlp.experts."):]
            if end.endswith("_scales"):
                continue
            if end.endswith("_blocks"):
                w = mxfp4_blocks(w, source[name[:-len("_blocks")] + "_scales"])
                end = end[:-len("_blocks")]
            elif not end.endswith("_bias"):
                w = np.ascontiguousarray(w.swapaxes(1, 2))
            kind = "bias" if end.endswith("_bias") else "weight"
            if end.startswith("gate_up"):
                out[f"blk.{n}.ffn_gate_exps.{kind}"] = np.ascontiguousarray(w[:, 0::2])
                out[f"blk.{n}.ffn_up_exps.{kind}"] = np.ascontiguousarray(w[:, 1::2])
            else:
                out[f"blk.{n}.ffn_down_exps.{kind}"] = w
        else:
            if llama and end.startswith(("self_attn.q_", "self_attn.k_")):
                w = paired(w, heads[end[len("self_attn.")]])
            out[f"blk.{n}.{LAYER[end]}"] = w
    return out


def type_of(name, w, kind, tied):
    head = "token_embd.weight" if tied else "output.weight"
    if w.ndim == 1 or name.endswith(".bias") or "ffn_gate_inp" in name:
        return "f32"
    if "_exps" in name:
        return "mxfp4"
    return "q8_0" if name == head and kind == "q4_0" else kind


def check(model, kind, binaries, scratch):
    config = json.loads((model / "config.json").read_text())
    path = scratch / f"{model.name}-{kind}.gguf"
    subprocess.run([binaries / "convert", "--quiet", "--model", model, "--type", kind, "--out", path], check=True)
    want = expected(read_safetensors(model / "model.safetensors"), config)
    found = {t.name: t for t in GGUFReader(path).tensors}
    assert sorted(want) == sorted(found), set(want) ^ set(found)
    for name, w in want.items():
        t = found[name]
        q = GGMLQuantizationType[type_of(name, w, kind, config["tie_word_embeddings"]).upper()]
        assert t.tensor_type == q, (path, name, t.tensor_type, q)
        bytes_ = w if w.dtype == np.uint8 else quants.quantize(np.ascontiguousarray(w, np.float32), q)
        if w.dtype != np.uint8:
            assert list(reversed(t.shape.tolist())) == list(w.shape), (path, name, t.shape, w.shape)
        a, b = np.ascontiguousarray(bytes_).view(np.uint8).ravel(), np.ascontiguousarray(t.data).view(np.uint8).ravel()
        assert a.size == b.size and (a == b).all(), (path, name, int((a != b).sum()) if a.size == b.size else (a.size, b.size))
    path.unlink()
    return len(want)


def main():
    models, binaries = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        for name in MODELS:
            n = sum(check(models / name, kind, binaries, Path(scratch)) for kind in TYPES)
            print(f"{name}: {n} tensors in {len(TYPES)} types, 0 differences", flush=True)


main()
