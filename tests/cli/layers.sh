#!/usr/bin/env bash
# layers.sh - dependencies point one way (architecture.md, Rooms): which room may include which, and which
# programs hold no part of a model. BIN is the folder of the tools.
set -u
cd "$(dirname "$0")/../.."
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 failed=0
ok() { # what, condition
    n=$((n + 1))
    if eval "$2"; then
        echo "ok $n - $1"
    else
        failed=1
        echo "not ok $n - $1"
        head -n 5 "$tmp/wrong" 2>/dev/null | sed 's/^/# /'
    fi
}

drivers='infer|latency|memory|energy|ablate|bench'

# The rooms (first part of an include), or single headers, that a file may name; nothing for a file of no known room.
may_include() {
    case $1 in
    engine/base/*) echo base ;;
    engine/format/*) echo base quant format ;;
    engine/text/*) echo base format text ;;
    engine/quant/*) echo base quant ;;
    engine/kv/*) echo base backend.h kv ;;
    engine/cpu/*) echo base quant backend.h kv cpu ;;
    engine/cuda/*) echo base quant backend.h kv cuda ;;
    engine/remote/*) echo base text remote ;;
    engine/model/*) echo base format text quant backend.h engine.h model ;;
    engine/run/*) echo base format text quant backend.h engine.h model run ;;
    engine/backend.h) echo base quant ;;
    engine/engine.h) echo base text ;;
    tools/lib/* | tools/man/*) echo base lib ;;
    tools/check/*) echo base lib check ;;
    tools/convert/*) echo base quant format lib convert model/synthetic.h ;;
    tools/eval/*) echo base lib eval ;;
    tools/figure/*) echo base lib figure ;;
    tools/meter/*) echo base lib meter ;;
    tools/study/*) echo base lib study ;;
    tools/synth/*) echo base lib synth ;;
    tools/drive/*) echo base lib meter drive engine.h ;;
    tools/*.c) [[ $1 =~ ^tools/($drivers)\.c$ ]] && echo base lib meter drive engine.h || echo base lib check convert eval figure study synth ;;
    esac
}

# wrong_includes DIR - lines `file: include` that no rule allows, below a source tree
wrong_includes() {
    local f i rooms
    (cd "$1" && find engine tools -name '*.[ch]' | sort) | while read -r f; do
        rooms=$(may_include "$f")
        grep -oE '^ *# *include +"[^"]+"' "$1/$f" | sed -E 's/.*"(.*)"/\1/' | while read -r i; do
            case " $rooms " in *" ${i%%/*} "* | *" $i "*) ;; *) echo "$f: $i" ;; esac
        done
    done
}

# has_model PROGRAM - it holds the loader, a session, a backend or an operator
has_model() { nm "$BIN/$1" | grep -qE ' [TtRrDd] (model_open|session_new|cpu_backend[a-z_]*|tokenizer_open|drive_[a-z_]*)$'; }

wrong_includes . >"$tmp/wrong"
ok "no file includes what stands above it" '[ ! -s "$tmp/wrong" ]'
while read -r file include; do
    mkdir -p "$tmp/tree/engine" "$tmp/tree/tools" "$tmp/tree/$(dirname "$file")"
    printf '#include "%s"\n' "$include" >"$tmp/tree/$file"
    ok "the check finds $include in $file" '[ "$(wrong_includes "$tmp/tree")" = "$file: $include" ]'
    rm -rf "$tmp/tree"
done <<'END'
engine/base/x.c lib/cli.h
engine/format/x.h text/bpe.h
engine/cpu/x.c model/model.h
engine/kv/x.c cpu/cpu.h
engine/model/x.c run/session_internal.h
tools/lib/x.c engine.h
tools/accuracy.c engine.h
tools/unify.c drive/load.h
tools/convert/x.c model/model.h
tools/synth/x.c format/gguf.h
tools/latency.c run/forward.h
engine/attic/x.c base/err.h
END
for f in tools/*.c; do
    t=$(basename "$f" .c)
    if [[ $t =~ ^($drivers)$ ]]; then
        ok "$t runs a model" 'has_model $t'
    else
        ok "$t holds no part of a model" '! has_model $t'
    fi
done
echo "1..$n"
exit $failed
