# refuse.bash - for command tests of bad input (sourced): every refusal is exit 2, one line on stderr that
# names the file and says what is wrong, nothing on stdout, and nothing left in the output folder.
# After sourcing: $tmp (removed at the end), $out (folder for outputs), n, failed.
tmp=$(mktemp -d)
trap 'cleanup' EXIT
cleanup() { rm -rf "$tmp"; }
out=$tmp/out
mkdir "$out"
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
        head -n 8 "$tmp/log" | sed 's/^/# /'
    fi
}

# refused FILE TEXT COMMAND... - FILE is what the line must name, TEXT (grep -E) what it must say
refused() {
    local name=$1 text=$2 rc=0 left wrong=
    shift 2
    "$@" >"$tmp/stdout" 2>"$tmp/stderr" </dev/null || rc=$?
    left=$(find "$out" -mindepth 1)
    wrong() { wrong=1 && echo "expected $*"; }
    [ $rc -eq 2 ] || wrong "exit 2, found $rc"
    [ "$(wc -l <"$tmp/stderr")" -eq 1 ] || wrong "one line on stderr, found $(wc -l <"$tmp/stderr")"
    grep -qF -- "$name" "$tmp/stderr" || wrong "a line that names '$name'"
    grep -qE -- "$text" "$tmp/stderr" || wrong "a line that says '$text'"
    ! LC_ALL=C grep -q '[^ -~]' "$tmp/stderr" || wrong "printable text alone"
    [ ! -s "$tmp/stdout" ] || wrong "nothing on stdout"
    [ -z "$left" ] || wrong "nothing left behind, found $left"
    if [ -n "$wrong" ]; then
        head -n 3 "$tmp/stderr" | cat -v
        rm -rf "$out" && mkdir "$out"
        return 1
    fi
}
refuse() { # what, FILE, TEXT, COMMAND...
    local what=$1
    shift
    ok "$what" refused "$@"
    if [ -n "${SHOW:-}" ]; then sed 's/^/    # /' "$tmp/stderr" | cut -c1-230; fi
}
finish() { echo "1..$n"; exit $failed; }
