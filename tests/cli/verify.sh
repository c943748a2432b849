#!/usr/bin/env bash
# verify.sh - the command verify: exit codes, report forms, lists. Its checks are tried one by one in
# tests/unit/test_lib_verify.c; here only what the program adds.
set -u
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
check() {
    local what=$1
    shift
    n=$((n + 1))
    if "$@"; then echo "ok $n - $what"; else
        echo "not ok $n - $what"
        sed 's/^/# /' "$tmp/out" "$tmp/err" | head -n 8
    fi
}
run() { "$BIN/verify" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null; rc=$?; }
last() { tail -n 1 "$tmp/out"; }

run --tree "$tmp/none"
check "a tree that is not there: exit 2" test "$rc" -eq 2 -a ! -s "$tmp/out"

mkdir "$tmp/tree"
run --tree "$tmp/tree"
check "an empty tree is not a good tree: exit 1" test "$rc" -eq 1
check "and the last line counts each kind" grep -qE '^verify: [01] PASS, 0 FAIL, [1-9][0-9]* MISSING, 0 SKIP, 0 OLD, 0 DERIVED$' <(last)

echo 'a,b' >"$tmp/tree/x.csv"
run manifest --out "$tmp/tree/SHA256SUMS" "$tmp/tree"
run --tree "$tmp/tree"
check "a file without a statement: exit 1" test "$rc" -eq 1
check "named by the check pair" grep -qE '^MISSING pair +x.csv' "$tmp/out"
check "the manifest is in coreutils' form" env -C "$tmp/tree" sha256sum --quiet -c SHA256SUMS
run --tree "$tmp/tree" --format json --quiet
check "--format json is one canonical object" grep -qE '^\{"counts":\{.*\},"findings":\[.*\],"good":false\}$' "$tmp/out"
echo 'a,c' >"$tmp/tree/x.csv"
run --tree "$tmp/tree" --all
check "a changed byte fails the manifest" grep -qE '^FAIL +manifest +x.csv: expected SHA-256' "$tmp/out"

# From a folder without sources there is nothing to look for.
(cd "$tmp" && "$BIN/verify" >out 2>err)
check "outside of a source tree it asks for --tree: exit 2" test $? -eq 2

mkdir "$tmp/e1" "$tmp/e2"
run compare "$tmp/e1" "$tmp/e2"
check "two empty trees are not good: exit 1" test "$rc" -eq 1
run compare "$tmp/tree" "$tmp/tree"
check "compare wants statements" test "$rc" -eq 1
run expected "$tmp/tree"
check "expected: nothing exact, nothing listed" test "$rc" -eq 0 -a ! -s "$tmp/out"
run compare "$tmp/tree"
check "compare needs two trees: exit 2" test "$rc" -eq 2
run --tree "$tmp/tree" --allow "$tmp/tree/x.csv"
check "a malformed allow-list: exit 2" test "$rc" -eq 2
run --tree "$tmp/tree" --out "$tmp/no/report"
check "an unwritable report: exit 2" test "$rc" -eq 2
echo "1..$n"
