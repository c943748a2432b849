#!/usr/bin/env bash
# parity.sh - the parity test must fail for each single fault of models.md 8, put in on purpose by a
# build with CONFIG=fault, and pass in that build without one: a test that nothing can fail shows nothing.
# FAULT_BUILD (default build/fault) must hold tests/test_parity: make CONFIG=fault unit-bin
set -u
test=${FAULT_BUILD:-build/fault}/tests/test_parity
out=$(mktemp)
trap 'rm -f "$out"' EXIT
n=0 failed=0

report() { # ok|"not ok", what
    n=$((n + 1))
    echo "$1 $n - $2"
    if [ "$1" != ok ]; then failed=1; sed 's/^/# /' "$out"; fi
}

# A fault must break the comparison it belongs to, by its message: a crash would prove nothing.
expect() { # fault, test, message, what it says; fault "" must pass
    local rc=0 verdict='not ok'
    ASSAY_FAULT=$1 CMOCKA_MESSAGE_OUTPUT=STDOUT "$test" "$2" >"$out" 2>&1 || rc=$?
    if [ -z "$1" ]; then
        if [ "$rc" -eq 0 ]; then verdict=ok; fi
    elif [ "$rc" -gt 0 ] && [ "$rc" -lt 126 ] && grep -q "$3" "$out"; then
        verdict=ok
    fi
    report "$verdict" "$4"
}

logits='expected relative L2 <= '
expect "" 'gptoss_*' '' "no fault: parity holds in the fault build"
for fault in no_sinks window_ignored window_off_by_one no_up_plus_one no_clamp; do
    expect "$fault" gptoss_computed "$logits" "$fault is noticed, routing as computed"
    expect "$fault" gptoss_forced "$logits" "$fault is noticed, routing forced"
done
expect yarn_truncate gptoss_yarn_table 'w\[' "yarn_truncate is noticed in the table of frequencies"
echo "1..$n"
exit "$failed"
