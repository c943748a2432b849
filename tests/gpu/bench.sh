#!/usr/bin/env bash
# bench.sh OUT - time of each product beside the device's copy rate; latency, memory and energy of the three models on a GPU, with synthetic weights of the true
# shapes, by the tools themselves: CSV with records in OUT. MODELS, CONTEXTS and SEQUENCES choose less.
# DEVICE=cuda-sim with MODELS=<directory of a tiny model> is a dry run of the same commands.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?bench.sh OUT}
if [ -d "$here/bin" ]; then
    export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    bin=$here/bin tests=$here/tests
else
    root=$(cd "$here/../.." && pwd)
    bin=$root/${BIN:-build/release/bin} tests=$root/${TESTS:-build/release/tests}
fi
DEVICE=${DEVICE:-cuda}
MODELS=${MODELS:-synthetic:gpt-oss-20b synthetic:Qwen3-32B synthetic:Yi-34B}
CONTEXTS=${CONTEXTS:-} # default: up to what the model takes
SEQUENCES=${SEQUENCES:-1,8,32,64}
OUT_TOK=${OUT_TOK:-64}
BLOCKS=${BLOCKS:-5}
EXTRA=${EXTRA:-} # e.g. --draft --requests 2
if [ "$DEVICE" = cuda ] && ! nvidia-smi -L >/dev/null 2>&1; then
    echo "bench-gpu: SKIP no GPU here (nvidia-smi finds none). Not run on a GPU."
    exit 3
fi
mkdir -p "$out"
failed=0
# shellcheck disable=SC2046 # one word or none
"$tests/gpu_kernels" "$DEVICE" $([ "$DEVICE" = cuda ] || echo tiny) >"$out/kernels.csv" || failed=$((failed + 1))
for model in $MODELS; do
    name=$(basename "${model#synthetic:}")
    contexts=128,1024,8192,32000
    if [ "$name" = Yi-34B ]; then contexts=128,512,2048,3968; fi
    contexts=${CONTEXTS:-$contexts}
    # shellcheck disable=SC2086 # EXTRA is a list
    "$bin/latency" -m "$model" --backend "$DEVICE" --in-tok "$contexts" --out-tok "$OUT_TOK" --concurrency "$SEQUENCES" \
        --blocks "$BLOCKS" $EXTRA -o "$out/$name.latency.csv" || failed=$((failed + 1))
    "$bin/memory" -m "$model" --backend "$DEVICE" --contexts "$contexts" -o "$out/$name.memory.csv" || failed=$((failed + 1))
    if [ "$DEVICE" = cuda ]; then
        "$bin/energy" -m "$model" --backend "$DEVICE" --contexts "${contexts%%,*}" --batches "$SEQUENCES" \
            -o "$out/$name.energy.csv" || failed=$((failed + 1))
    fi
done
where="on a GPU"
if [ "$DEVICE" != cuda ]; then where="DRY RUN on the CPU ($DEVICE): not run on a GPU, its times mean nothing"; fi
echo "bench-gpu: $out, $failed commands failed, $where"
[ "$failed" -eq 0 ]
