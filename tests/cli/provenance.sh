#!/usr/bin/env bash
# provenance.sh - statements as the tools write them: pipes chain as files do, a recipe is the same wherever
# and however it runs, it can be run again, and nothing is written for nothing or for bad input.
set -u
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
cd "$(dirname "$0")/../.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
check() {
    local what=$1
    shift
    n=$((n + 1))
    if "$@"; then echo "ok $n - $what"; else
        echo "not ok $n - $what"
        sed 's/^/# /' "$tmp/err" | head -n 5
    fi
}
# member STATEMENT NAME: the first member of that name, whatever its depth
member() { grep -oE "\"$2\":(\"[^\"]*\"|[0-9a-z.]+)" "$1" | head -n 1 | cut -d: -f2- | tr -d '"'; }
sha() { sha256sum "$1" | cut -d' ' -f1; }
requests() { "$BIN/accuracy" make-requests --quiet --task tasks/facts "$@" 2>"$tmp/err"; }

mkdir -p "$tmp/a" "$tmp/b c"
requests --out "$tmp/a/r.jsonl"
check "a payload has a statement beside it" test -s "$tmp/a/r.jsonl" -a -s "$tmp/a/r.jsonl.prov.json"
check "which names the payload's digest" grep -q "\"subject\":\[{\"digest\":{\"sha256\":\"$(sha "$tmp/a/r.jsonl")\"},\"name\":\"r.jsonl\"}\]" "$tmp/a/r.jsonl.prov.json"
check "and its inputs by paths of the sources" grep -q "\"name\":\"tasks/facts/items.jsonl\"" "$tmp/a/r.jsonl.prov.json"
check "and no path of this machine" test -z "$(grep -oE '"[^"]*(/tmp/|/home/|/root/)[^"]*"' "$tmp/a/r.jsonl.prov.json")"

requests --statement "$tmp/stdout.json" >"$tmp/stdout"
check "standard output has one where --statement says" test "$(sha "$tmp/stdout")" = "$(sha "$tmp/a/r.jsonl")"
check "of the same recipe" test "$(member "$tmp/stdout.json" recipeDigest)" = "$(member "$tmp/a/r.jsonl.prov.json" recipeDigest)"

(umask 077 && LC_ALL=de_DE.UTF-8 requests --out "$tmp/b c/other.jsonl")
check "another place, umask and locale: same bytes" cmp -s "$tmp/a/r.jsonl" "$tmp/b c/other.jsonl"
check "and the same recipeDigest" test "$(member "$tmp/a/r.jsonl.prov.json" recipeDigest)" = "$(member "$tmp/b c/other.jsonl.prov.json" recipeDigest)"
requests --limit 2 --out "$tmp/b c/less.jsonl"
check "another parameter is another recipe" test "$(member "$tmp/a/r.jsonl.prov.json" recipeDigest)" != "$(member "$tmp/b c/less.jsonl.prov.json" recipeDigest)"

mkdir "$tmp/again"
"$BIN/accuracy" make-requests --quiet --recipe "$tmp/b c/less.jsonl.prov.json" --into "$tmp/again" 2>"$tmp/err"
check "--recipe --into runs a statement again" cmp -s "$tmp/b c/less.jsonl" "$tmp/again/less.jsonl"
"$BIN/safety" make-requests --quiet --recipe "$tmp/b c/less.jsonl.prov.json" --into "$tmp/again" 2>"$tmp/err"
check "not that of another tool: exit 2" test $? -eq 2

"$BIN/safety" governance --quiet --table - --out "$tmp/g.csv" <safety/governance.csv 2>"$tmp/err"
check "standard input is an input like a file" grep -q "{\"digest\":{\"sha256\":\"$(sha safety/governance.csv)\"},\"name\":\"<stdin>\"}" "$tmp/g.csv.prov.json"

before=$(stat -c '%i %y' "$tmp/a/r.jsonl")
requests --out "$tmp/a/r.jsonl"
check "the same bytes are not written again" test "$before" = "$(stat -c '%i %y' "$tmp/a/r.jsonl")"

printf x >>"$tmp/g.csv"
cp "$tmp/g.csv.prov.json" "$tmp/altered.prov.json"
cp "$tmp/g.csv" "$tmp/altered"
"$BIN/safety" governance --quiet --table "$tmp/altered" --out "$tmp/none.csv" 2>"$tmp/err"
check "an input that its own statement disowns: exit 2" test $? -eq 2 -a ! -e "$tmp/none.csv" -a ! -e "$tmp/none.csv.prov.json"
check "with the two digests in one sentence" grep -q 'as its statement says' "$tmp/err"

requests --out "$tmp/full/r.jsonl"
check "an unwritable folder: exit 2" test $? -eq 2
requests --out /dev/full
check "a full disk: exit 2" test $? -eq 2
check "and no statement for a device" test ! -e /dev/full.prov.json
check "nothing temporary is left" test -z "$(find "$tmp" -name '.*.tmp.*')"
echo "1..$n"
