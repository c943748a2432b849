#!/usr/bin/env bash
# buildinfo.sh OUT CC FLAGS CONFIG - write the header that --version and every statement speak from.
# Trees are git tree ids when the folders equal the commit, else a digest of their contents marked
# "sha256:", so that two different codes never share a recipe. OUT changes only if its content does.
set -euo pipefail
out=$1 cc=$2 flags=$3 config=$4
version=0.2.0
tmp=$out.tmp.$$
trap 'rm -f "$tmp"' EXIT
contents() { # digest of the folder's files as they are, names included
    find "$1" -type f ! -name '.*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}
tree() {
    if [ -n "$commit" ] && [ -z "$(git status --porcelain -- "$1")" ]; then
        git rev-parse "HEAD:$1"
    else
        echo "sha256:$(contents "$1")"
    fi
}
commit=
dirty=0
# Only a clone of this project counts, not a repository some directory above an unpacked archive.
if top=$(git rev-parse --show-toplevel 2>/dev/null) && [ "$top" = "$(pwd -P)" ]; then
    commit=$(git rev-parse --verify -q HEAD || true)
    [ -z "$(git status --porcelain --untracked-files=no)" ] || dirty=1
fi
esc() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }
mkdir -p "$(dirname "$out")"
cat >"$tmp" <<END
#define BUILD_VERSION "$version"
#define BUILD_COMMIT "${commit:-unknown}"
#define BUILD_DIRTY $dirty
#define BUILD_ENGINE "$(tree engine)"
#define BUILD_TOOLS "$(tree tools)"
#define BUILD_COMPILER "$(esc "$("$cc" --version | head -n 1)")"
#define BUILD_FLAGS "$(esc "$flags")"
#define BUILD_CONFIG "$config"
END
cmp -s "$tmp" "$out" || mv "$tmp" "$out"
