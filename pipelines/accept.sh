#!/usr/bin/env bash
# accept.sh PROFILE TREE BIN [REASON] - make a run's results the committed ones: the digests that must come
# out (results/expected/PROFILE.sha256) and the model digests (pipelines/models.lock). The only writer of
# either (provenance.md 5). COPY=1 also copies the tree to results/PROFILE, for results that are published.
set -euo pipefail
profile=$1 tree=$2 bin=$3 reason=${4-}
expected=results/expected/$profile.sha256
if [ -n "$(git status --porcelain --untracked-files=no 2>/dev/null)" ]; then
    echo "accept: the source tree has uncommitted changes; commit first, so that the results name their code" >&2
    exit 2
fi
[ -f "$tree/SHA256SUMS" ] || { echo "accept: '$tree' is no finished results tree; run make reproduce PROFILE=$profile" >&2; exit 2; }
if [ -f "$expected" ] && ! "$bin/verify" --tree "$tree" --expected "$expected"; then
    [ -n "$reason" ] || { echo "accept: the check failed; say why it may: make accept REASON='...'" >&2; exit 1; }
    echo "accept: accepting against the check: $reason" >&2
fi
mkdir -p results/expected
"$bin/verify" expected --quiet --out "$expected" "$tree"
"$bin/verify" models --quiet "$tree" | cat - pipelines/models.lock 2>/dev/null | sort -u -k2,2 >pipelines/models.lock.tmp
mv pipelines/models.lock.tmp pipelines/models.lock
if [ "${COPY-}" = 1 ]; then
    rm -rf "results/$profile.tmp"
    cp -R "$tree" "results/$profile.tmp"
    rm -rf "results/$profile"
    mv "results/$profile.tmp" "results/$profile"
fi
echo "accept: $(wc -l <"$expected") digests in $expected; review and commit them on their own${reason:+ (reason: $reason)}"
