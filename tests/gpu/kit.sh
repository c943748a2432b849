#!/usr/bin/env bash
# kit.sh BIN TESTS OUT - pack what a bare machine with a GPU needs (glibc 2.34 and a driver; no nvcc, no Debian
# libraries, no network): tools, the tests that take a device, scripts, shared libraries beside them.
# make gpu-kit calls it; there, OUT/check.sh and OUT/bench.sh do the rest.
set -eu
bin=$1 tests=$2 out=$3
rm -rf "$out"
mkdir -p "$out/bin" "$out/tests" "$out/lib" "$out/tests/cli"
for t in infer synth latency memory energy; do cp "$bin/$t" "$out/bin/"; done
for t in test_cuda_rows test_cuda_product test_cuda_attention gpu_kernels; do cp "$tests/$t" "$out/tests/"; done
cp tests/gpu/check.sh tests/gpu/bench.sh "$out/"
cp tests/cli/cuda.sh "$out/tests/cli/"
strip "$out"/bin/* "$out"/tests/*_*
ldd "$out"/bin/* "$out"/tests/*_* | awk '$2 == "=>" { print $3 }' | sort -u |
    grep -vE '/(libc|libm|libpthread|libdl|librt)\.so' | while read -r lib; do cp -L "$lib" "$out/lib/"; done
(cd "$out" && find . -type f | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
size=$(du -sm "$out" | cut -f1)
if [ "$size" -gt 64 ]; then
    echo "kit.sh: expected at most 64 MiB, found $size" >&2
    exit 1
fi
echo "$out: $size MiB; not run on a GPU"
