#!/usr/bin/env bash
# run.sh MODELS_DIR GOLDEN_DIR - make the golden files anew with the reference implementations.
#
# Builds a virtual environment from requirements.txt under build/reference/venv (once), unless
# REFERENCE_PYTHON names an interpreter that already has those versions. Reads the tiny models under
# MODELS_DIR, writes GOLDEN_DIR. Needs some 8 GB of disk and memory, minutes, and a network the first
# time; `make test` needs none of it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
models=$1 golden=$2
python=${REFERENCE_PYTHON:-}
if [ -z "$python" ]; then
    venv=${REFERENCE_VENV:-build/reference/venv}
    python=$venv/bin/python
    if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
        cp "$here/requirements.txt" "$venv/requirements.txt"
    fi
fi
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
"$python" "$here/parity.py" "$models" "$golden/parity"
"$python" "$here/tokenizers_golden.py" "$models" "$golden/tokenizers"
"$python" "$here/quant_golden.py" "$golden/quant"
