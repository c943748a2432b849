#!/usr/bin/env python3
"""A peer of `bench` (bench(1), PEERS): llama.cpp through the package llama-cpp-python.

    peer_llama.py MODEL.gguf THREADS CELL...

Does what bench does with our engine, in the same order and with the same rules: weights loaded into
memory (not mapped: mapped and repacked they would be held twice), 8-bit and other settings left as the
library sets them; a prefill is timed the second time it runs, a decode after its first step; the next
token is the greatest logit. Times begin when the library is loaded, not when Python starts.
"""
import ctypes
import json
import sys
import time

import llama_cpp as lc
import numpy as np


@lc.llama_log_callback
def quiet(_level, _text, _data):
    pass


def say(**row):
    print(json.dumps(row), flush=True)


class Run:
    """One context, as large as a cell needs it."""

    def __init__(self, model, threads, n_ctx, n_seq):
        p = lc.llama_context_default_params()
        p.n_ctx = max(n_ctx, 256) * n_seq
        p.n_batch = 2048
        p.n_ubatch = 512
        p.n_seq_max = n_seq
        p.n_threads = p.n_threads_batch = threads
        p.no_perf = True
        self.ctx = lc.llama_init_from_model(model, p)
        if not self.ctx:
            raise RuntimeError("no context")
        self.n_vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
        self.batch = lc.llama_batch_init(2048, 0, 1)

    def close(self):
        lc.llama_batch_free(self.batch)
        lc.llama_free(self.ctx)

    def decode(self, rows):
        """rows: (token, position, sequence, wants logits)."""
        b = self.batch
        b.n_tokens = len(rows)
        for i, (token, pos, seq, logits) in enumerate(rows):
            b.token[i] = token
            b.pos[i] = pos
            b.n_seq_id[i] = 1
            b.seq_id[i][0] = seq
            b.logits[i] = logits
        if lc.llama_decode(self.ctx, b):
            raise RuntimeError("llama_decode failed")

    def best(self, row):
        lc.llama_synchronize(self.ctx)
        p = lc.llama_get_logits_ith(self.ctx, row)
        return int(np.ctypeslib.as_array(p, shape=(self.n_vocab,)).argmax())

    def prefill(self, tokens):
        """Nanoseconds from an empty cache to the token after the last."""
        lc.llama_memory_clear(lc.llama_get_memory(self.ctx), True)
        begin = time.monotonic_ns()
        for i in range(0, len(tokens), 2048):
            part = tokens[i : i + 2048]
            self.decode([(t, i + k, 0, i + k == len(tokens) - 1) for k, t in enumerate(part)])
        self.best((len(tokens) - 1) % 2048)
        return time.monotonic_ns() - begin


def prefill(model, threads, rng, n_tok):
    run = Run(model, threads, n_tok + 1, 1)
    for _ in range(2):
        ns = run.prefill([int(t) for t in rng.integers(0, run.n_vocab, n_tok)])
    run.close()
    return ns, n_tok


def decode(model, threads, rng, n_tok, n_seq):
    run = Run(model, threads, n_tok + 2, n_seq)
    tokens = [int(t) for t in rng.integers(0, run.n_vocab, n_seq)]
    for step in range(n_tok + 1):
        if step == 1:
            begin = time.monotonic_ns()
        run.decode([(t, step, s, 1) for s, t in enumerate(tokens)])
        tokens = [run.best(s) for s in range(n_seq)]
    ns = time.monotonic_ns() - begin
    run.close()
    return ns, n_tok * n_seq


def peak_rss_b():
    with open("/proc/self/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def main():
    path, threads, cells = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    rng = np.random.default_rng(1)
    lc.llama_log_set(quiet, ctypes.c_void_p(0))
    say(engine="llama.cpp", version="llama-cpp-python " + lc.__version__)
    begin = time.monotonic_ns()
    lc.llama_backend_init()
    p = lc.llama_model_default_params()
    p.load_mode = lc.LLAMA_LOAD_MODE_NONE
    model = lc.llama_model_load_from_file(path.encode(), p)
    if not model:
        sys.exit("cannot load " + path)
    loaded = time.monotonic_ns()
    run = Run(model, threads, 64, 1)
    run.prefill([int(rng.integers(0, run.n_vocab))])
    first = time.monotonic_ns()
    run.prefill([int(t) for t in rng.integers(0, run.n_vocab, 32)])  # warm up, as bench does
    run.close()
    n_ctx_train = lc.llama_model_n_ctx_train(model)
    for cell in cells:
        kind, *sizes = cell.split("/")
        sizes = [int(n) for n in sizes]
        if kind == "load":
            say(cell=cell, ns=loaded - begin)
        elif kind == "first":
            say(cell=cell, ns=first - begin)
        elif kind != "peak" and sizes[0] + 2 > n_ctx_train:
            say(cell=cell, reason=f"beyond the model's context of {n_ctx_train} tokens")
        elif kind in ("prefill", "decode"):
            ns, n_tok = (prefill if kind == "prefill" else decode)(model, threads, rng, *sizes)
            say(cell=cell, ns=ns, n_tok=n_tok)
    peak = peak_rss_b()
    if "peak" in cells and peak:
        say(cell="peak", peak_rss_b=peak)


if __name__ == "__main__":
    main()
