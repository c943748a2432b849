#!/usr/bin/env bash
# embed.sh OUT FILE... - write OUT, a C file with the bytes of every FILE (NAME.json), for schema_text.h.
# OUT is touched only if its content changes, so that nothing is rebuilt for nothing.
set -euo pipefail
out=$1
shift
tmp=$out.tmp.$$
trap 'rm -f "$tmp"' EXIT
{
    echo '#include "lib/schema_text.h"'
    i=0
    for f in "$@"; do
        echo "static const unsigned char text_$i[] = {"
        od -An -v -tu1 -w24 "$f" | sed -E 's/ +/ /g; s/^ //; s/ /, /g; s/$/,/'
        echo '};'
        i=$((i + 1))
    done
    echo 'const struct schema_text schema_texts[] = {'
    i=0
    for f in "$@"; do
        name=${f##*/}
        printf '    {"%s", text_%d, sizeof text_%d},\n' "${name%.json}" $i $i
        i=$((i + 1))
    done
    echo '    {NULL, NULL, 0},'
    echo '};'
} >"$tmp"
cmp -s "$tmp" "$out" || mv "$tmp" "$out"
