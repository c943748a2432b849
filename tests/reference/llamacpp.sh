#!/usr/bin/env bash
# llamacpp.sh MODELS_DIR BIN GOLDEN_DIR - what convert writes, against the package gguf (every tensor, exit 1 at a
# difference) and llama.cpp (golden logits, made anew in GOLDEN_DIR).
#
# Builds a virtual environment from requirements-llamacpp.txt under build/reference/llamacpp-venv (once), unless
# LLAMACPP_PYTHON names an interpreter that already has those versions. Needs a compiler, minutes and a network the
# first time; `make test` needs none of it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
models=$1 bin=$2 golden=$3
python=${LLAMACPP_PYTHON:-}
if [ -z "$python" ]; then
    venv=build/reference/llamacpp-venv
    python=$venv/bin/python
    if ! cmp -s "$here/requirements-llamacpp.txt" "$venv/requirements.txt"; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --requirement "$here/requirements-llamacpp.txt"
        cp "$here/requirements-llamacpp.txt" "$venv/requirements.txt"
    fi
fi
"$python" "$here/gguf_check.py" "$models" "$bin"
"$python" "$here/llamacpp.py" "$models" "$bin" "$golden/llamacpp"
