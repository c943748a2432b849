"""quant_golden.py OUT_DIR [BLOCKS] - vectors of the weight formats from the PyPI package gguf (numpy, written
independently of ggml and of us).

OUT_DIR/decode.txt: TYPE, one block's bytes, the fp32 values it stands for (hex, little-endian images).
OUT_DIR/encode.txt: TYPE, fp32 values, the block they are written as.
BLOCKS is how many blocks of 32 values a type gets (256: a quarter); what `make reference` commits is small.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

HALVES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]
# type: where its halves lie
DECODED = {"F16": [0], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
           "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "MXFP4": []}
ENCODED = ["F16", "BF16", "Q8_0", "Q4_0", "MXFP4"]


def finite_half(rng):
    while True:
        h = int(rng.integers(0, 1 << 16))
        if h & 0x7C00 != 0x7C00:
            return h


def random_blocks(rng, name, n, size):
    """Random bytes; halves are finite and the first blocks have the extreme ones."""
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for i in range(n):
        for k, at in enumerate(DECODED[name]):
            h = HALVES[(i + 3 * k) % len(HALVES)] if i < len(HALVES) else finite_half(rng)
            blocks[i, at], blocks[i, at + 1] = h & 255, h >> 8
    if name == "MXFP4":  # 255 is no number
        blocks[:, 0] %= 255
        blocks[:5, 0] = [0, 1, 2, 253, 254][:n]
    if name == "BF16":  # images of infinities and NaN stay out: their payloads are nobody's promise
        view = blocks.view(np.uint16)
        view[view & 0x7F80 == 0x7F80] = 0x0042  # a subnormal
    return blocks


def random_rows(rng, name, n):
    """Rows of 32 to encode: all scales, ties of the rounding, ties of the largest value, zeros."""
    rows = []
    for i in range(n):
        x = rng.standard_normal(32).astype(np.float32)
        kind = i % 6
        if kind == 1:  # many values half way between two codes
            x = np.round(x * 4).astype(np.float32) / 4 + rng.choice([0.25, 0.5, 1.0], 32).astype(np.float32) * 0.5
        elif kind == 2:  # two values of the largest size, signs at random
            x[rng.choice(32, 2, replace=False)] = np.float32(5) * rng.choice([-1, 1], 2)
        elif kind == 3:  # nearly empty
            x *= rng.random(32) < 0.1
        lo, hi = (-24, 14) if name == "F16" else (-40, 16)  # no scale beyond the largest half
        x *= np.float32(2.0) ** rng.integers(lo, hi)
        if i == 5:
            x[:] = 0
        if i == 11:  # a largest value that is a power of two, and negative
            x = np.clip(x, -np.abs(x[0]), np.abs(x[0]))
            x[7] = -(np.float32(2) ** np.ceil(np.log2(np.abs(x).max())))
        if i == 4 and name == "BF16":  # subnormals are kept
            x *= np.float32(2.0) ** -110
        rows.append(x.astype(np.float32))
    return np.stack(rows)


def hex_of(a):
    return np.ascontiguousarray(a).view(np.uint8).tobytes().hex()


def main():
    out, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 12
    out.mkdir(parents=True, exist_ok=True)
    made_with = f"# gguf {version('gguf')}, numpy {version('numpy')}; type, bytes, values: tests/reference/quant_golden.py\n"
    np.seterr(over="ignore", under="ignore")
    with open(out / "decode.txt", "w", encoding="ascii") as f:
        f.write(made_with)
        for name in DECODED:
            qtype = GGMLQuantizationType[name]
            block, size = GGML_QUANT_SIZES[qtype]
            if block == 1:  # one line is 32 of them
                block, size = 32, 64
            count = max(4, n // 4) if block == 256 else n
            blocks = random_blocks(np.random.default_rng([1, int(qtype)]), name, count, size)
            values = quants.dequantize(blocks, qtype)
            assert values.shape == (count, block) and values.dtype == np.float32
            for b, v in zip(blocks, values):
                f.write(f"{name.lower()} {hex_of(b)} {hex_of(v)}\n")
    with open(out / "encode.txt", "w", encoding="ascii") as f:
        f.write(made_with)
        for name in ENCODED:
            qtype = GGMLQuantizationType[name]
            rows = random_rows(np.random.default_rng([2, int(qtype)]), name, n)
            for x, b in zip(rows, quants.quantize(rows, qtype)):
                f.write(f"{name.lower()} {hex_of(x)} {hex_of(b)}\n")
    print(f"{out}: {n} blocks a type", flush=True)


main()
