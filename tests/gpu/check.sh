#!/usr/bin/env bash
# check.sh - does a GPU compute the CPU's bits? Sweeps of every kernel against its scalar twin with inputs of a
# fresh seed, whole models by the digests of their logits, and compute-sanitizer where it is installed.
# Runs inside a kit (make gpu-kit) or, through make check-gpu, from the source tree.
# DEVICE=cuda-sim is a dry run: the same kernels, run by the CPU. It ends with one line that says what it was.
set -u
cd "$(dirname "$0")"
if [ -d bin ]; then
    kit=$PWD
    export LD_LIBRARY_PATH=$kit/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    sha256sum --quiet -c SHA256SUMS || exit 2
    bin=$kit/bin tests=$kit/tests models=$kit/tests/cli/cuda.sh
else
    cd ../..
    bin=$PWD/${BIN:-build/release/bin} tests=$PWD/${TESTS:-build/release/tests} models=$PWD/tests/cli/cuda.sh
fi
export DEVICE=${DEVICE:-cuda}
export ASSAY_TEST_DEVICE=$DEVICE
export ASSAY_TEST_SEED=${ASSAY_TEST_SEED:-$(date +%s)}
failed=0 passed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

part() { # what, command...
    local what=$1 begin=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        printf 'ok    %-44s %4d s\n' "$what" $((SECONDS - begin))
    else
        failed=$((failed + 1))
        printf 'FAIL  %-44s %4d s\n' "$what" $((SECONDS - begin))
        grep -vE '^ok |^\[ .* OK|^\[ RUN' "$log" | tail -n 20 | sed 's/^/      /'
    fi
}

if [ "$DEVICE" = cuda ] && ! nvidia-smi -L >"$log" 2>&1; then
    echo "check-gpu: SKIP no GPU here (nvidia-smi finds none); DEVICE=cuda-sim is the dry run. Not run on a GPU."
    exit 3
fi
if [ "$DEVICE" = cuda ]; then nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader; fi
echo "device $DEVICE, seed $ASSAY_TEST_SEED (ASSAY_TEST_SEED repeats it)"
for t in rows product attention; do part "kernels against their twins: $t" "$tests/test_cuda_$t"; done
part "whole models: digests equal the CPU engine's" env BIN="$bin" WRONG=none "$models"
if [ "$DEVICE" = cuda ] && command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        part "compute-sanitizer $tool: rows" compute-sanitizer --tool $tool --error-exitcode 1 "$tests/test_cuda_rows"
    done
    part "compute-sanitizer memcheck: product" compute-sanitizer --error-exitcode 1 "$tests/test_cuda_product"
else
    skipped=$((skipped + 1))
    echo "SKIP  compute-sanitizer: $([ "$DEVICE" = cuda ] && echo 'not installed' || echo 'needs a GPU')"
fi
where="on a GPU"
if [ "$DEVICE" != cuda ]; then where="DRY RUN on the CPU ($DEVICE): not run on a GPU"; fi
echo "check-gpu: $passed passed, $failed failed, $skipped skipped, $SECONDS s, $where"
[ "$failed" -eq 0 ]
