#!/usr/bin/env bash
# tree.sh - a vandal and a forger at a real results tree (TREE, default build/out/tiny): what each does must
# be found by the check that is meant for it (provenance.md 9). test_lib_verify.c tries every check on a tree
# of its own; this shows that nothing about the real one keeps verify from seeing.
set -u
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
cd "$(dirname "$0")/../.." || exit 1
TREE=${TREE:-build/out/tiny}
if [ ! -s "$TREE/SHA256SUMS" ]; then
    echo "1..0 # SKIP no results tree at $TREE; make reproduce makes one"
    echo "ok 1 # SKIP no results tree at $TREE; make reproduce makes one"
    exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
t=$tmp/tree
n=0
fresh() { rm -rf "$t" && cp -r "$TREE" "$t"; }
sha() { sha256sum "$1" | cut -d' ' -f1; }
# edit FILE SED: change it; forge FILE SED: and make its statement and the manifest agree again
edit() {
    cp "$t/$1" "$tmp/was"
    sed -i "$2" "$t/$1"
    ! cmp -s "$tmp/was" "$t/$1" || echo "# the edit of $1 changed nothing"
}
remanifest() { "$BIN/verify" manifest --quiet "$t" --out "$t/SHA256SUMS"; }
forge() {
    edit "$1" "$2"
    sed -i "s/$(sha "$tmp/was")/$(sha "$t/$1")/" "$t/$1.prov.json"
    remanifest
}
# expect WHAT CHECK FILE: verify exits 1 and this check speaks of this file. Where nothing has to be made
# again, it gets no tools to do it with (seconds each).
expect() {
    local bin=$tmp/none
    case $2 in *rerun*) bin=$BIN ;; esac
    n=$((n + 1))
    "$BIN/verify" --tree "$t" --quiet --bin "$bin" >"$tmp/out" 2>&1
    if [ $? -eq 1 ] && grep -qE "^(FAIL|MISSING) +$2 +[^ ]*$3" "$tmp/out"; then
        echo "ok $n - $1: $2"
    else
        echo "not ok $n - $1: expected $2 about $3"
        head -n 8 "$tmp/out" | sed 's/^/# /'
    fi
}

fresh
n=$((n + 1))
mv "$t" "$tmp/somewhere else"
if (umask 077 && LC_ALL=de_DE.UTF-8 "$BIN/verify" --tree "$tmp/somewhere else" --quiet >"$tmp/out" 2>&1); then
    echo "ok $n - untouched, at another path, umask and locale"
else
    echo "not ok $n - untouched, at another path, umask and locale"
    grep -v '^OLD' "$tmp/out" | head -n 8 | sed 's/^/# /'
fi
rm -rf "$tmp/somewhere else"

acc=$(cd "$TREE" && find any -name accuracy.csv | sort | head -n 1)
transcripts=$(cd "$TREE" && find any -name transcripts.jsonl | sort | head -n 1)
unified=$(cd "$TREE" && find . -name unified.csv | head -n 1 | sed 's|^\./||')
latency=$(cd "$TREE" && find . -name latency.csv | head -n 1 | sed 's|^\./||')
figure=$(cd "$TREE" && find . -name '*.gp' | sort | head -n 1 | sed 's|^\./||')

fresh; edit "$acc" '2s/[0-9]/7/2'; expect "a flipped digit" manifest "$acc"
fresh; forge "$acc" '2s/,\([0-9]*\),\([0-9]*\),\([0-9.]*\),/,\1,\2,99.5,/'; expect "forged totals" "(rerun|schema)" "$acc"
fresh; forge "$transcripts" '1d'; expect "a transcript dropped" inputs "$(dirname "$acc")"
fresh; forge "$transcripts" '1s/"status":"ok"/"status":"ok","status":"ok"/'; expect "a key twice" schema "$transcripts"
fresh; forge "$unified" '$d'; expect "a row dropped from what is derived" rerun "$unified"
fresh; forge "$latency" '1s/metric/metrik/'; expect "a column renamed" schema "$latency"
fresh; forge "$latency" 's/$/\r/'; expect "CRLF" schema "$latency"
fresh; forge "$latency" '1s/^/\xEF\xBB\xBF/'; expect "a byte order mark" schema "$latency"
fresh; forge "$latency" '2{h;d};3{G}'; expect "two rows swapped" schema "$latency"
fresh; edit "$unified.prov.json" 's/"class":"measured"/"class":"exact"/'; remanifest; expect "a better class" class "$unified"
fresh; edit "$unified.prov.json" 's/{"digest":{"sha256":"[0-9a-f]*"},"name":"[^"]*latency.csv"},//'; remanifest; expect "an input dropped" recipe "$unified"
fresh; edit "$acc.prov.json" 's/"engine":"[^"]*"/"engine":"\/home\/someone\/src"/'; remanifest; expect "an absolute path" privacy "$acc"
fresh; rm "$t/$latency.prov.json"; remanifest; expect "a statement removed" pair "$latency"
if [ -n "$figure" ]; then
    fresh; rm "$t/$figure.prov.json"; expect "an orphan figure" pair "$figure"
    fresh; forge "$figure" '$s/$/ /'; expect "a figure touched up" rerun "$figure"
fi
echo "1..$n"
