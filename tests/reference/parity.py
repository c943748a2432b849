"""parity.py MODELS_DIR OUT_DIR - golden logits of the tiny models from Hugging Face transformers.

For every model: fp32 logits (weights upcast from the bf16 and MXFP4 of the files, eager attention) at
chosen positions of fixed prompts; the routing they were computed with; and how far transformers' own
bf16 run is from its fp32 run, with the routing as computed and with the fp32 routing forced. That
error is the yardstick of numerics.md: ours must not be larger.

OUT_DIR/index.json      versions, digests, prompts, positions, errors, RoPE frequencies
OUT_DIR/NAME.f32        little-endian fp32 rows (positions, vocabulary), prompts one after another
OUT_DIR/NAME.routing    u8 expert ids (layers, tokens, k) of each prompt one after another, MoE only
"""

import gc
import hashlib
import json
import platform
import sys
from pathlib import Path

import numpy
import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, Mxfp4Config

MODELS = ["gptoss-tiny", "qwen3-tiny", "qwen3-tied-tiny", "yi-tiny"]
# All but the first longer than three windows of 16; the last past 4096 positions, where the model goes so far.
LENGTHS = [40, 56, 75, 100, 130]
LONG = 4200
MIN_ROUTER_GAP = 1e-3  # in the short prompts: a nearer tie may flip in any rounding


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prompt_ids(model, prompt, attempt, length, base):
    """Uniform ids in [0, base), the same everywhere and for ever."""
    def one(i):
        h = hashlib.sha256(f"{model}/{prompt}/{attempt}/{i}".encode()).digest()
        return int.from_bytes(h[:8], "little") % base
    return [one(i) for i in range(length)]


def chosen_positions(length):
    """Both sides of the first window's end, then evenly to the last; both sides of 4096 when there."""
    at = {0, 16, 17}
    at.update(numpy.linspace(24, length - 1, 8).astype(int).tolist())
    if length > 4096:
        at.update([4095, 4096, 4097])
    return sorted(at)


class Routing:
    """Records the experts each router chooses, or forces those of an earlier run."""

    def __init__(self, model):
        self.routers = [m for _, m in model.named_modules() if type(m).__name__ == "GptOssTopKRouter"]
        self.seen, self.gaps, self.forced = [], [], None
        for layer, router in enumerate(self.routers):
            router.forward = self._forward(router, layer)

    def _forward(self, router, layer):
        def forward(hidden):
            logits = torch.nn.functional.linear(hidden, router.weight, router.bias)
            top, ids = torch.topk(logits, router.top_k, dim=-1)
            if self.forced is not None:
                ids = self.forced[layer]
                top = logits.gather(-1, ids)
            two = torch.topk(logits.float(), router.top_k + 1, dim=-1).values
            self.gaps.append((two[:, -2] - two[:, -1]).min().item())
            self.seen.append(ids)
            return logits, torch.nn.functional.softmax(top, dim=1, dtype=top.dtype), ids
        return forward

    def start(self, forced=None):
        self.seen, self.gaps, self.forced = [], [], forced


def run(model, routing, ids, forced=None):
    routing.start(forced)
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    return logits.float().numpy(), list(routing.seen), min(routing.gaps, default=None)


def errors(reference, other):
    """Relative L2 and KL(reference || other) of each row, in double."""
    a, b = reference.astype(numpy.float64), other.astype(numpy.float64)
    l2 = numpy.linalg.norm(b - a, axis=1) / numpy.linalg.norm(a, axis=1)

    def log_softmax(x):
        x = x - x.max(axis=1, keepdims=True)
        return x - numpy.log(numpy.exp(x).sum(axis=1, keepdims=True))
    la, lb = log_softmax(a), log_softmax(b)
    return l2, (numpy.exp(la) * (la - lb)).sum(axis=1)


def medians(pairs):
    l2 = numpy.concatenate([p[0] for p in pairs])
    kl = numpy.concatenate([p[1] for p in pairs])
    return {"n": int(l2.size), "rel_l2": float(numpy.median(l2)), "kl": float(numpy.median(kl))}


def load(directory, dtype):
    more = {}
    if "quantization_config" in json.loads((directory / "config.json").read_text()):
        more["quantization_config"] = Mxfp4Config(dequantize=True)
    # Always as bf16, as the files are, then upcast: exact.
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16, attn_implementation="eager", **more)
    # Buffers such as the RoPE frequencies stay fp32 either way (a cast of the whole bf16 model would round them).
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32
    return (model if dtype == torch.bfloat16 else model.to(dtype)).eval()


def reference_rope(directory):
    """The frequencies as the model class computes them, before any cast."""
    config = transformers.AutoConfig.from_pretrained(directory)
    kind = config.rope_parameters["rope_type"]
    if kind == "default":
        return None
    inv_freq, factor = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
    return {"inv_freq": [float(x) for x in inv_freq], "attention_factor": float(factor)}


def make(name, models, out):
    directory = models / name
    config = json.loads((directory / "config.json").read_text())
    base = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab_size(with_added_tokens=False)
    lengths = LENGTHS + [LONG if config["max_position_embeddings"] > LONG else 1000]
    f32 = load(directory, torch.float32)
    routing = Routing(f32)
    prompts, rows, routes, full = [], [], [], []
    for p, length in enumerate(lengths):
        attempt = 0
        while True:
            ids = prompt_ids(name, p, attempt, length, base)
            logits, seen, gap = run(f32, routing, ids)
            if gap is None or gap >= MIN_ROUTER_GAP or length > max(LENGTHS):
                break
            attempt += 1
        at = chosen_positions(length)
        prompts.append({"ids": ids, "attempt": attempt, "positions": at, "min_router_gap": gap})
        rows.append(logits[at])
        routes += [s.numpy().astype(numpy.uint8) for s in seen]
        full.append((logits, seen))
    del f32
    gc.collect()
    bf16 = load(directory, torch.bfloat16)
    routing = Routing(bf16)
    result = {}
    for how in ["computed", "forced"] if routing.routers else ["computed"]:
        every, some = [], []
        for prompt, (logits, seen) in zip(prompts, full):
            other, _, _ = run(bf16, routing, prompt["ids"], seen if how == "forced" else None)
            every.append(errors(logits, other))
            some.append(errors(logits[prompt["positions"]], other[prompt["positions"]]))
        result[how] = {"all_positions": medians(every), "golden_positions": medians(some)}
    numpy.concatenate(rows).astype("<f4").tofile(out / f"{name}.f32")
    if routes:
        (out / f"{name}.routing").write_bytes(b"".join(r.tobytes() for r in routes))
    files = sorted(f for f in directory.iterdir() if f.is_file())
    print(name, json.dumps(result), [p["min_router_gap"] for p in prompts], [p["attempt"] for p in prompts], flush=True)
    return {
        "name": name,
        "files": {f.name: digest(f) for f in files},
        "vocab_size": config["vocab_size"],
        "prompts": prompts,
        "bf16_error": result,
        "rope": reference_rope(directory),
    }


def main():
    models, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    index = {
        "made_by": "tests/reference/parity.py",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "numpy": numpy.__version__,
        },
        "models": [make(name, models, out) for name in MODELS],
    }
    (out / "index.json").write_text(json.dumps(index, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")


main()
