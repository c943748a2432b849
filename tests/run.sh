#!/usr/bin/env bash
# run.sh PROGRAM... - run TAP programs one after another, show what failed, end with the sum.
# A program that exits non-zero without a "not ok" counts as one failure, so a crash is never silent.
set -u
passed=0 failed=0 skipped=0
for t in "$@"; do
    out=$(mktemp)
    CMOCKA_MESSAGE_OUTPUT=TAP "$t" >"$out" 2>&1 </dev/null
    rc=$?
    ok=$(grep -cE '^[[:space:]]*ok ' "$out")
    no=$(grep -cE '^[[:space:]]*not ok ' "$out")
    sk=$(grep -ciE '^[[:space:]]*(not )?ok .*# *skip' "$out")
    no_skip=$(grep -ciE '^[[:space:]]*not ok .*# *skip' "$out")
    no=$((no - no_skip))
    ok=$((ok - (sk - no_skip)))
    if [ "$rc" -ne 0 ] && [ "$no" -eq 0 ]; then no=1; fi
    if [ "$ok" -eq 0 ] && [ "$no" -eq 0 ] && [ "$sk" -eq 0 ]; then no=1; fi
    passed=$((passed + ok)) failed=$((failed + no)) skipped=$((skipped + sk))
    printf '%-44s %4d ok %3d failed %3d skipped\n' "${t#build/}" "$ok" "$no" "$sk"
    if [ "$no" -gt 0 ]; then sed 's/^/    /' "$out" | tail -n 60; fi
    grep -iE '^[[:space:]]*(not )?ok .*# *skip' "$out" | sed 's/^/    /'
    rm -f "$out"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
