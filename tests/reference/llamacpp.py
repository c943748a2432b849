"""llamacpp.py MODELS_DIR BIN OUT_DIR - golden logits of converted files from llama.cpp (llama-cpp-python).

For every tiny model and type: the file that convert writes, and the same values as F32 weights, which llama.cpp
multiplies without rounding activations (K and V as F32 too). Those rows are golden: they test what convert and our
reader of GGUF make of a type, apart from any rounding of activations. How far llama.cpp's own run of the file is from
them is recorded: ours must not be farther.

OUT_DIR/index.json       versions, positions, errors of llama.cpp's own run
OUT_DIR/NAME-TYPE.f32    little-endian fp32 rows (prompts, vocabulary): the last position of each short prompt of
                         tests/golden/parity
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from llama_cpp import Llama

MODELS = ["gptoss-tiny", "qwen3-tiny", "qwen3-tied-tiny", "yi-tiny"]
TYPES = ["f32", "q8_0", "q4_0"]
N_PROMPTS = 5
F32 = 0  # ggml's number


@contextlib.contextmanager
def silence():
    """llama.cpp writes to file descriptor 2 whatever it is told."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def last_rows(path, prompts):
    rows = []
    for ids in prompts:
        with silence():
            m = Llama(str(path), n_ctx=len(ids) + 1, n_batch=len(ids), n_ubatch=len(ids), logits_all=True, verbose=False,
                      type_k=F32, type_v=F32, flash_attn=False, n_threads=1, n_threads_batch=1)
            m.eval(ids)
            rows.append(np.array(m.scores[len(ids) - 1], dtype=np.float32))
            m.close()
    return np.stack(rows)


def convert(binaries, source, out, *options):
    subprocess.run([binaries / "convert", "--quiet", "--model", source, "--out", out, *options], check=True)


def main():
    models, binaries, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    golden = {m["name"]: m for m in json.loads((out.parent / "parity/index.json").read_text())["models"]}
    out.mkdir(parents=True, exist_ok=True)
    index = {"made_by": "tests/reference/llamacpp.py", "n_prompts": N_PROMPTS, "models": [],
             "versions": {"llama-cpp-python": version("llama-cpp-python"), "numpy": np.__version__}}
    with tempfile.TemporaryDirectory() as scratch:
        for name in MODELS:
            prompts = [p["ids"] for p in golden[name]["prompts"][:N_PROMPTS]]
            experts = ["--experts", "f32"] if name.startswith("gptoss") else []
            entry = {"name": name, "types": {}}
            for kind in TYPES:
                file, values = Path(scratch) / f"{name}-{kind}.gguf", Path(scratch) / f"{name}-{kind}-values.gguf"
                convert(binaries, models / name, file, "--type", kind)
                convert(binaries, file, values, "--type", "f32", *experts)
                rows = last_rows(values, prompts).astype("<f4")
                error = np.linalg.norm(last_rows(file, prompts) - rows, axis=1) / np.linalg.norm(rows, axis=1)
                rows.tofile(out / f"{name}-{kind}.f32")
                entry["types"][kind] = {"own_rel_l2": float(np.median(error))}
                print(f"{name} {kind}: llama.cpp's own run is {np.median(error):.5f} from its F32 run", flush=True)
            index["models"].append(entry)
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")


main()
