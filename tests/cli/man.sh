#!/usr/bin/env bash
# man.sh - what every command tells about itself: its manual page, its version, and one clear line on standard
# error for each mistake people make (manners.sh has what all commands have in common). BIN is the folder of
# the tools; the pages (make man) lie beside it.
set -u
cd "$(dirname "$0")/../.."
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
MAN=${MAN:-$BIN/../man/man1}
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
        head -n 5 "$tmp/err" 2>/dev/null | sed 's/^/# /'
    fi
}

run() { # ARGS... - run a tool with empty input; its outputs in $tmp/out, $tmp/err, its status in $rc
    local tool=$1
    shift
    "$BIN/$tool" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    rc=$?
}

# Commands of a tool, as its --help lists them.
commands() { "$BIN/$1" --help | sed -n '/^commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p'; }

# Every long option that --help of the tool and of its commands shows.
options() {
    { "$BIN/$1" --help; for c in $(commands "$1"); do "$BIN/$1" "$c" --help; done; } |
        grep -oE '^ +(-[a-z], )?--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u
}

# page_is_whole TOOL PAGE - all sections in order, every option as an entry of its own, no mark left over,
# no column without a text
page_is_whole() {
    local o want='NAME|SYNOPSIS|DESCRIPTION|OPTIONS|OUTPUT|EXIT STATUS|EXAMPLES|SEE ALSO'
    : >"$tmp/err"
    [ "$(sed -n 's/^\.SH //p' "$2" | grep -xE "$want" | paste -sd '|')" = "$want" ] || echo "sections of $1" >>"$tmp/err"
    for o in $(options "$1"); do
        grep -qE "^(\\\\fB\\\\-.\\\\fR, )?\\\\fB${o//-/\\\\-}\\\\fR" "$2" || echo "no entry of $o" >>"$tmp/err"
    done
    grep -n 'generated:' "$2" >>"$tmp/err"
    grep -n -B 1 '^\.$' "$2" >>"$tmp/err" # a column that does not say what it holds
    [ ! -s "$tmp/err" ]
}

for f in tools/*.c; do
    t=$(basename "$f" .c)
    run "$t" --help
    ok "$t --help: options in at most 80 columns" '! sed "1,2d; /^commands:/,\$d" "$tmp/out" | grep -vE "^ {28}[^ ]+\$" | grep -qE "^.{81}"'
    run "$t" --version
    ok "$t --version: name, version, commit, dirty flag" '[ $rc -eq 0 ] && [ ! -s "$tmp/err" ] &&
        [[ "$(sed -n 1p "$tmp/out")" =~ ^$t\ [0-9]+\.[0-9]+\.[0-9]+$ ]] &&
        [[ "$(sed -n 2p "$tmp/out")" =~ ^commit\ +([0-9a-f]{40}|unknown)(\ \(built\ with\ uncommitted\ changes\))?$ ]]'
    ok "$t has a whole manual page" 'page_is_whole $t "$MAN/$t.1"'
    if command -v groff >/dev/null; then
        groff -man -ww -z "$MAN/$t.1" >"$tmp/out" 2>"$tmp/err"
        ok "$t.1 is formatted without a warning" '[ ! -s "$tmp/err" ]'
    else
        n=$((n + 1))
        echo "ok $n - $t.1 is formatted without a warning # SKIP no groff here"
    fi
done

# the checks above can fail
sed '/fB.-.-threads/d' "$MAN/infer.1" >"$tmp/page"
ok "a page without one option is not whole" '! page_is_whole infer "$tmp/page"'
sed '/^\.SH OUTPUT/d' "$MAN/infer.1" >"$tmp/page"
ok "nor one without a section" '! page_is_whole infer "$tmp/page"'

# commit and dirty flag are those of the tree that was built
git_in() { git -C "$tmp/tree" -c user.name=t -c user.email=t@example.org "$@" >/dev/null; }
if command -v git >/dev/null; then
    mkdir -p "$tmp/tree/engine" "$tmp/tree/tools"
    touch "$tmp/tree/engine/a" "$tmp/tree/tools/a"
    info=$PWD/tools/lib/buildinfo.sh
    git_in init -q && git_in add -A && git_in commit -q -m one
    (cd "$tmp/tree" && "$info" "$tmp/clean.h" cc '' release)
    echo 1 >"$tmp/tree/tools/a"
    (cd "$tmp/tree" && "$info" "$tmp/dirty.h" cc '' release)
    ok "the version knows its commit" 'grep -q "BUILD_COMMIT \"$(git -C "$tmp/tree" rev-parse HEAD)\"" "$tmp/clean.h"'
    ok "a clean tree is not dirty, a changed one is" 'grep -qx "#define BUILD_DIRTY 0" "$tmp/clean.h" && grep -qx "#define BUILD_DIRTY 1" "$tmp/dirty.h"'
    ok "changed sources are not named by the commit's tree" '! grep -F "$(grep BUILD_TOOLS "$tmp/clean.h")" "$tmp/dirty.h"'
fi

# mistakes of a user: one line on standard error that names the thing, exit 2, nothing written
mistake() { # WHAT TEXT TOOL ARGS...
    local what=$1 text=$2 before
    shift 2
    mkdir -p "$tmp/bad"
    run "$@"
    ok "$what" '[ $rc -eq 2 ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -qF -- "$text" "$tmp/err" && [ -z "$(ls -A "$tmp/bad")" ]'
    rm -rf "$tmp/bad"
}
no="$tmp/none"
out="$tmp/bad/out"
for t in infer latency memory ablate; do
    p=; [ $t = infer ] && p="--prompt x"
    # shellcheck disable=SC2086
    mistake "$t: no such model" "cannot open '$no/config.json'" $t --model "$no" $p --out "$out"
done
mistake "energy: no such model" "cannot open '$no/config.json'" energy --model "$no" --meter none --out "$out"
mistake "infer: nothing to do" "expected one of --prompt" infer
mistake "infer: two sources" "found several" infer --model "$no" --prompt a --tokens 1
mistake "infer: no tokenizer" "--tokenizer FILE" infer --tokenize
mistake "infer: a number with a letter" "--max-tokens: expected an integer, found '1o'" infer --model "$no" --max-tokens 1o
mistake "infer: out of range" "--parallel: expected 1 to 2048, found 0" infer --model "$no" --parallel 0
mistake "latency: a word that is no choice" "--format: expected csv|json, found 'xml'" latency --model "$no" --format xml
mistake "memory: a required option" "option '--model SOURCE' is required" memory
mistake "ablate: no such factor" "found 'foo'" ablate --model "$no" --factors foo --out "$out"
mistake "accuracy: no command" "expected a command, found none" accuracy
mistake "accuracy: no such command" "unknown command 'score'; --help lists them" accuracy score
mistake "accuracy: an option in its place" "expected a command before '--chat'" accuracy --chat
mistake "accuracy: a command mistyped" "the nearest is 'grade'" accuracy graed
mistake "verify: a command mistyped" "the nearest is 'compare'" verify compar
mistake "accuracy: no such task" "cannot open '$no/task.json'" accuracy make-requests --task "$no" --out "$out"
mistake "safety: no such suite" "cannot open '$no/suite.json'" safety make-requests --suite "$no" --out "$out"
mistake "unify: no input" "name at least one result file" unify --out "$out"
mistake "unify: no such input" "cannot open '$no'" unify --latency "$no" --out "$out"
mistake "ape: no such input" "cannot open '$no'" ape --unified "$no" --out "$out"
mistake "plot: no such description" "cannot open '$no'" plot figure --out "$out.gp" "$no"
mistake "verify: no such tree" "cannot open '$no'" verify --tree "$no"
mistake "synth: no such family" "unknown family 'nope'" synth --family nope --out "$out"
echo "1..$n"
exit $failed
