#!/usr/bin/env bash
# full_disk.sh - no room, no right to write, no folder: every command that writes a file ends with exit 2 and
# one line that names it, and leaves neither a file nor a temporary. Room comes to an end by a limit on the
# size of files, which needs no rights; where root can mount one, a small tmpfs is filled as well.
set -u
cd "$(dirname "$0")/../.."
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
. tests/refuse.bash
mounted=
cleanup() {
    [ -z "$mounted" ] || umount "$tmp/disk"
    rm -rf "$tmp"
}
export ASSAY_CACHE=$tmp/cache
d=$tmp/good
mkdir "$d" "$tmp/disk"
run() { "$BIN/$1" "${@:2}" -q || { echo "cannot make the undamaged files: $*" >&2; exit 2; }; }
run synth --family yi --layers 2 --d-model 64 --d-ff 64 --heads 4 --kv-heads 2 --head-dim 16 --context 2048 --out "$tmp/yi"
run memory -m "$tmp/yi" --draft --contexts 8,16,24,32 -o "$d/memory.csv"
run latency -m "$tmp/yi" --draft --in-tok 4 --out-tok 2 --blocks 1 -n 2 --warmup 0 -o "$d/latency.csv"
run unify --memory "$d/memory.csv" --latency "$d/latency.csv" -o "$d/unified.csv"
run ape --unified "$d/unified.csv" -o "$d/ape.csv"
run accuracy make-requests --task tasks/facts --limit 2 -o "$d/requests.jsonl"
run infer -m "$tmp/yi" -r "$d/requests.jsonl" -o "$d/transcripts.jsonl"
printf '{"text":"hello"}\n' >"$d/text.jsonl"

# Every command with every file it writes; OUT stands for the folder, the word before the colon names it.
commands=(
    "infer, a prompt: infer -q -m $tmp/yi -p hello -n 4 -o OUT/x"
    "infer --logits-out: infer -q -m $tmp/yi -p hello -n 4 -o OUT/x --logits-out OUT/logits"
    "infer --requests: infer -q -m $tmp/yi -r $d/requests.jsonl -o OUT/t.jsonl"
    "infer --tokenize: infer -q -m $tmp/yi --tokenize -o OUT/ids"
    "latency: latency -q -m $tmp/yi --draft --in-tok 4 --out-tok 2 --blocks 1 -n 2 --warmup 0 -o OUT/x.csv --requests-out OUT/r.csv --events-out OUT/e.csv --throughput-out OUT/t.csv"
    "memory: memory -q -m $tmp/yi --draft --contexts 8,16 -o OUT/x.csv"
    "ablate: ablate -q -m $tmp/yi --draft --factors threads --in-tok 4 --out-tok 2 --blocks 1 -n 1 -o OUT/x.csv"
    "accuracy make-requests: accuracy make-requests -q --task tasks/facts -o OUT/r.jsonl"
    "accuracy grade: accuracy grade -q --task tasks/facts --limit 2 --transcripts $d/transcripts.jsonl --model yi -o OUT/x.csv --items OUT/items.jsonl"
    "safety make-requests: safety make-requests -q --suite safety/snapshot -o OUT/r.jsonl"
    "safety governance: safety governance -q --table safety/governance.csv -o OUT/g.csv"
    "unify: unify -q --memory $d/memory.csv -o OUT/x.csv"
    "ape: ape -q --unified $d/unified.csv -o OUT/x.csv"
    "plot figure: plot figure -q --unified $d/unified.csv -o OUT/kv.gp figs/kv.gp"
    "verify: verify -q --tree $d -o OUT/report"
    "synth: synth -q --family yi-tiny --out OUT/model"
)
each() { # WHAT TEXT RUNNER - every command, through the function RUNNER
    local c words
    for c in "${commands[@]}"; do
        case "$c" in "${only:-}"*) ;; *) continue ;; esac
        read -ra words <<<"${c#*: }"
        refuse "$1: ${c%%:*}" "$out" "$2" "$3" "$BIN/${words[0]}" "${words[@]:1}"
    done
}

# ---- a limit on the size of files; stderr goes through a pipe, since the limit would cut it off as well ----
limited() {
    (
        trap '' XFSZ
        ulimit -f "$blocks"
        exec "${@//OUT/$out}" <"$d/text.jsonl" 2>&1 >/dev/null
    ) | cat >&2
    return "${PIPESTATUS[0]}"
}
all=("${commands[@]}")
commands=()
for c in "${all[@]}"; do case $c in plot*) ;; *) commands+=("$c") ;; esac; done # gnuplot needs a file of its own first
blocks=0
each "files of 0 bytes" "cannot write '$out.*': File too large" limited
# room for some files of a command and not for all: none appears
blocks=1
for only in latency memory "accuracy grade" "infer --requests" synth; do
    each "files of 1 KiB" "cannot write '$out.*': File too large" limited
done
only=

# ---- a disk that is full, and one with room for some of the files ----
plain() { "${@//OUT/$out}" <"$d/text.jsonl"; }
commands=("${all[@]}")
mount -t tmpfs -o size=128k,mode=700 tmpfs "$tmp/disk" 2>/dev/null && mounted=1
here=$out
if [ -n "$mounted" ]; then
    out=$tmp/disk/out
    mkdir "$out"
    dd if=/dev/zero of="$tmp/disk/filler" bs=4096 status=none 2>/dev/null
    each "a full disk" "cannot write '$out.*': No space left|cannot draw '$out.*a full disk" plain
    truncate -s -12288 "$tmp/disk/filler"
    for only in latency "plot figure" synth; do
        each "a disk with room for three small files" "cannot write '$out.*': No space left|cannot draw '$out.*a full disk" plain
    done
    only=
    transcribe() { "$BIN/infer" -q -m "$tmp/yi" -r "$d/requests.jsonl" -o "$out/t.jsonl"; }
    # finished answers are not thrown away: they stay in the journal, and nothing else does
    kept() { ! transcribe && [ "$(ls -A "$out")" = t.jsonl.journal ]; }
    ok "infer --requests: what was answered before stays in the journal alone" kept
    rm "$tmp/disk/filler"
    goes_on() { transcribe && cmp "$out/t.jsonl" "$d/transcripts.jsonl" && [ ! -e "$out/t.jsonl.journal" ]; }
    ok "... and with room again it goes on to the same bytes" goes_on
    out=$here
    umount "$tmp/disk" && mounted=
else
    n=$((n + 1))
    echo "ok $n - a full disk # SKIP no right to mount a tmpfs"
fi

# ---- no folder, no right ----
elsewhere() { "${@//OUT/$place}" <"$d/text.jsonl"; }
refused_at() { # WHAT TEXT
    local c words
    for c in "${commands[@]}"; do
        read -ra words <<<"${c#*: }"
        refuse "$1: ${c%%:*}" "$place" "$2" elsewhere "$BIN/${words[0]}" "${words[@]:1}"
    done
}
place=$tmp/nowhere
refused_at "no such folder" "No such file"
: >"$tmp/file"
place=$tmp/file
refused_at "a file where the folder should be" "Not a directory"
finish
