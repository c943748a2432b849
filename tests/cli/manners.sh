#!/usr/bin/env bash
# manners.sh - what every command owes its caller (architecture.md, Commands): help and version on stdout
# with exit 0, usage errors on stderr with exit 2 and one sentence, no file left behind by bad input.
# shellcheck disable=SC2015
set -u
BIN=${BIN:-build/release/bin}
here=$(cd "$(dirname "$0")/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
ok() { n=$((n + 1)); echo "ok $n - $*"; }
no() { n=$((n + 1)); echo "not ok $n - $*"; [ -s "$tmp/err" ] && sed 's/^/# /' "$tmp/err" | head -n 5; }
check() { local what=$1; shift; if "$@"; then ok "$what"; else no "$what"; fi; }

# run ARGS... -> $rc, $tmp/out, $tmp/err
run() { "$@" >"$tmp/out" 2>"$tmp/err" </dev/null; rc=$?; }
sentence() { # one line on stderr, `NAME: lower case`, and nothing on stdout
    [ "$(wc -l <"$tmp/err")" -eq 1 ] && [ ! -s "$tmp/out" ] && grep -qE "^$1: [^A-Z]" "$tmp/err"
}

one() { # one tool, or one command of it: words, name in messages
    local name=$1
    shift
    run "$@" --help
    check "$name --help: stdout, exit 0" test "$rc" -eq 0 -a -s "$tmp/out" -a ! -s "$tmp/err"
    check "$name --help says its usage" grep -q "^usage: $name" "$tmp/out"
    run "$@" --no-such-option
    check "$name: unknown option, exit 2" test "$rc" -eq 2
    check "$name: and one sentence" sentence "$name"
    run "$@" --hepl
    check "$name: names the nearest option" grep -q "nearest is '--help'" "$tmp/err"
    run "$@" --quiet=yes
    check "$name: a flag takes no value, exit 2" test "$rc" -eq 2
}

for t in "$BIN"/*; do
    name=${t##*/}
    run "$t" --version
    check "$name --version: exit 0, commit and build" test "$rc" -eq 0 -a "$(grep -cE '^(commit|build) ' "$tmp/out")" -eq 2
    run "$t" --help-man
    check "$name --help-man: options for the manual" test "$rc" -eq 0 -a "$(grep -c '^\.TP' "$tmp/out")" -gt 4
    run "$t" --help
    commands=$(sed -n '/^commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' "$tmp/out")
    if ! grep -q 'COMMAND \[options\]' "$tmp/out"; then one "$name" "$t"; fi
    for c in $commands; do one "$name $c" "$t" "$c"; done
    "$t" --help >/dev/full 2>"$tmp/err"
    check "$name: help to a full disk is a failure" test $? -ne 0
    check "$name has a manual page" test -s "$here/tools/man/$name.1"
done
echo "1..$n"
