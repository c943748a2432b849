#!/usr/bin/env bash
# kill.sh - SIGKILL at seeded byte counts inside the journal, inside the outputs and on either side of each
# rename: the run that follows must end in the same exact bytes, nothing lost or doubled, nothing left
# behind, and a tree that verifies. Tools without a journal: old or new, never half, and mended next time.
# The kills come from a build with CONFIG=fault (tools/lib/crash.h); FAULT_BUILD (default build/fault) holds it.
set -u
cd "$(dirname "$0")/../.."
F=$(cd "${FAULT_BUILD:-build/fault}/bin" && pwd) || exit 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export ASSAY_CACHE=/dev/null # no cache of model digests, whose writing would move the counts
n=0 failed=0

ok() { # what, command...
    local what=$1
    shift
    n=$((n + 1))
    if "$@" >"$tmp/log" 2>&1; then
        echo "ok $n - $what"
    else
        failed=1
        echo "not ok $n - $what"
        tail -n 12 "$tmp/log" | sed 's/^/# /'
    fi
}
sha() { sha256sum <"$1" | cut -d' ' -f1; }
# The next of a fixed row of numbers: at = 1 to $1.
x=2
seeded() {
    x=$(((x * 1103515245 + 12345) & 0x7fffffff))
    at=$((x / 8 % $1 + 1))
}
# killed AT COMMAND... - it must die of SIGKILL, or the point was never reached and nothing was tested
killed() {
    local at=$1 rc=0
    shift
    { ASSAY_KILL_AT=$at "$@"; } >"$tmp/out" 2>&1 || rc=$?
    [ $rc -eq 137 ] || { echo "ASSAY_KILL_AT=$at: expected death by SIGKILL, found status $rc"; cat "$tmp/out"; return 1; }
}
size_is() {
    local found
    found=$(stat -c %s "$2")
    [ "$found" -eq "$1" ] || { echo "$2: expected $1 bytes, found $found"; return 1; }
}
no_leftovers() {
    local found
    found=$(find "$tree" \( -name '.*' -o -name '*.tmp*' -o -name '*.journal' \) ! -path "$tree")
    [ -z "$found" ] || { echo "left behind: $found"; return 1; }
}

verified() {
    "$F/verify" manifest -q "$tree" >"$tmp/sums" && cp "$tmp/sums" "$tree/SHA256SUMS" &&
        "$F/verify" -q --tree "$tree" --models "$tmp/models.lock" && rm "$tree/SHA256SUMS"
}

# ---- infer: a journal, two outputs, each with its statement ----
model=$tmp/gptoss-tiny tree=$tmp/tree
"$F/synth" --quiet --family gptoss-tiny --out "$model" || exit 2
mkdir "$tree"
"$F/accuracy" make-requests -q --task tasks/sums --shots 0 --limit 12 --max-tokens 8 --out "$tree/requests.jsonl" || exit 2
infer() { "$F/infer" -q -m "$model" -r "$tree/requests.jsonl" --out "$tree/transcripts.jsonl" "$@"; }

infer || exit 2
want=$(sha "$tree/transcripts.jsonl")
"$F/verify" models -q "$tree" >"$tmp/models.lock" || exit 2
start_over() { rm -f "$tree"/transcripts.* "$tree"/.t*; }
whole() { # the outputs are those of an uninterrupted run, and the tree verifies
    local rows ids
    rows=$(wc -l <"$tree/transcripts.jsonl")
    ids=$(grep -o '"id":"[^"]*"' "$tree/transcripts.jsonl" | sort -u | wc -l)
    [ "$rows" -eq 12 ] && [ "$ids" -eq 12 ] || { echo "expected 12 rows with 12 ids, found $rows with $ids"; return 1; }
    [ "$(sha "$tree/transcripts.jsonl")" = "$want" ] || { echo "expected transcripts $want, found others"; return 1; }
    [ "$(wc -l <"$tree/transcripts.timing.csv")" -eq 13 ] || { echo "expected 12 timing rows"; return 1; }
    no_leftovers && verified
}
resume() { infer "$@" && whole; }
ok "uninterrupted: the tree verifies" whole

start_over
killed rename:1 infer
journal_b=$(stat -c %s "$tree/transcripts.jsonl.journal")
n_lines=$(wc -l <"$tree/transcripts.jsonl.journal")
ok "all rows are in the journal before the first rename" [ "$n_lines" -eq 13 ]
resume >/dev/null
out_b=$(cat "$tree"/transcripts.* | wc -c)
# Timings have more digits or fewer, so the journal's length wavers by some bytes.
in_range() { [ "$journal_b" -gt 6700 ] && [ "$journal_b" -lt 7900 ] && [ "$out_b" -gt 9000 ] || { echo "journal $journal_b, outputs $out_b bytes"; return 1; }; }
ok "the counts below lie inside the journal and inside the outputs" in_range

for i in 1 2 3 4 5 6; do
    seeded 6500
    start_over
    ok "killed after $at bytes, inside the journal" killed "$at" infer
    ok "... which is cut exactly there" size_is "$at" "$tree/transcripts.jsonl.journal"
    ok "... and resumes to the same bytes" resume --threads $((i % 3 + 1)) --parallel $i
done
start_over
torn() { # three kills in a row, each further on: what is done stays done
    local before=0 now
    for _ in 1 2 3; do
        killed $((journal_b / 4)) infer || return 1
        now=$(wc -l <"$tree/transcripts.jsonl.journal")
        [ "$now" -gt "$before" ] || { echo "expected more than $before finished lines, found $now"; return 1; }
        before=$now
    done
}
ok "killed three times in a row, each time further on" torn
ok "... and resumes to the same bytes" resume
for i in 1 2 3; do
    seeded 7500
    at=$((at + 8000))
    start_over
    ok "killed after $at bytes, inside an output" killed "$at" infer
    ok "... and resumes to the same bytes" resume
done
for at in rename:1 renamed:1 rename:2 renamed:2 rename:3 renamed:3 rename:4 renamed:4; do
    start_over
    ok "killed at $at of 4" killed $at infer
    if [ $at = rename:3 ]; then ok "... no transcripts yet" [ ! -e "$tree/transcripts.jsonl" ]; fi
    if [ $at = renamed:3 ]; then ok "... the transcripts are whole" [ "$(sha "$tree/transcripts.jsonl")" = "$want" ]; fi
    ok "... and resumes to the same bytes" resume
done
start_over
killed $((journal_b / 2)) infer
echo '{"id":"sums/0","kind":"generate","prompt":"other"}' >"$tmp/other.jsonl"
other() { "$F/infer" -q -m "$model" -r "$tmp/other.jsonl" --out "$tree/transcripts.jsonl"; }
refused() { other; [ $? -eq 2 ] && [ ! -e "$tree/transcripts.jsonl" ]; }
ok "a journal of other requests is refused" refused
ok "... and is still good for its own" resume

# ---- no journal: the payload is the old one or the new one, and the next run mends the pair ----
rm -rf "$tree" && mkdir "$tree"
memory() { "$F/memory" -q -m "$model" --contexts 16,32 --out "$tree/memory.csv" "$@"; }
matches() { grep -q "\"sha256\":\"$(sha "$1")\"}.*\"name\":\"$(basename "$1")\"" "$1.prov.json"; }
memory || exit 2
ok "memory: the statement names its payload's digest" matches "$tree/memory.csv"
"$F/verify" models -q "$tree" >"$tmp/models.lock" || exit 2
seeded 400
for at in $at rename:1 renamed:1 rename:2 renamed:2; do
    rm -f "$tree"/.m* "$tree"/m*
    memory
    old=$(sha "$tree/memory.csv")
    ok "memory: killed at $at while it replaces a result" killed "$at" memory --draft
    drafts=$(grep -c ',1,' "$tree/memory.csv")
    case $at in
    renamed:* | rename:2) ok "... the payload is the new one, whole" [ "$(wc -l <"$tree/memory.csv")" -eq 3 ] && [ "$drafts" -gt 0 ] ;;
    *) ok "... the payload is the old one" [ "$(sha "$tree/memory.csv")" = "$old" ] ;;
    esac
    mended() { memory --draft && matches "$tree/memory.csv" && no_leftovers && verified; }
    ok "... the next run leaves a pair that verifies" mended
done

# ---- the hook itself ----
wrong() { ASSAY_KILL_AT=soon "$F/unify" --help >/dev/null; ASSAY_KILL_AT=soon memory; [ $? -eq 134 ]; }
ok "a place that means nothing aborts: such a test would kill nobody" wrong
release=${BIN:-build/release/bin}
unhurt() { ASSAY_KILL_AT=1 "$release/accuracy" make-requests -q --task tasks/sums --out "$tmp/r"; }
ok "a release build has no such hook" unhurt
echo "1..$n"
exit $failed
