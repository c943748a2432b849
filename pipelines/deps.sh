#!/usr/bin/env bash
# deps.sh [PACKAGE...] - install the Debian packages the build, the tests and the paper need, and those named
# (`make test` names clang, for the fuzzers), only those missing.
# Without the right to install it prints the one command to run and fails.
set -euo pipefail
packages=(gcc libc6-dev libcjson-dev libcsv-dev libssl-dev libcmocka-dev gnuplot-nox
    texlive-latex-base texlive-latex-recommended "$@")
missing=()
for p in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
cmd="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -eq 0 ]; then run=""; elif sudo -n true 2>/dev/null; then run="sudo"; else
    echo "deps: missing packages; run as root:  apt-get update && $cmd" >&2
    exit 3
fi
echo "deps: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # run is empty or one word
$run apt-get update -qq >&2
# shellcheck disable=SC2086
$run $cmd >&2
