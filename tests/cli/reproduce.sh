#!/usr/bin/env bash
# The whole study into a scratch tree: it completes, verifies, comes out as expected, does nothing the
# second time, heals a deleted or torn file, resumes after a kill, and has the same exact bytes from
# another folder, locale, umask and thread count.
set -u
cd "$(dirname "$0")/../.." || exit 1
n=0
out=build/test/reproduce
log=build/test/reproduce.log
mkdir -p build/test
rm -rf "$out" "$out.make"
check() { # check NAME COMMAND...
    local name=$1
    shift
    n=$((n + 1))
    if "$@" >"$log.step" 2>&1; then echo "ok $n - $name"; else
        echo "not ok $n - $name"
        tail -n 15 "$log.step" | sed 's/^/# /'
    fi
    cat "$log.step" >>"$log"
}
: >"$log"
run() { make --no-print-directory reproduce-run PROFILE=tiny OUT="$out" PAPER_PDF=build/test/tiny.pdf "$@"; }
says() { local want=$1; shift; "$@" | grep -q -- "$want"; }
mtimes() { find "$out" build/test/tiny.pdf -type f -printf '%T@ %p\n' | sort; }
exact() { (cd "$1/any" && find . -name '*.prov.json' -prune -o -path './study' -prune -o -type f -print | sort | xargs sha256sum); }

check 'make reproduce completes and says so' says 'reproduced: [0-9]* of' run
check 'the results verify' build/release/bin/verify --quiet --tree "$out" --expected results/expected/tiny.sha256
check 'exact results have their committed digests' diff <(build/release/bin/verify expected --quiet "$out") results/expected/tiny.sha256
check 'the paper was built' test -s build/test/tiny.pdf
mtimes >build/test/before
check 'a second run does nothing and says so' says 'nothing to do: all' run
mtimes >build/test/after
check 'and touches no file' cmp build/test/before build/test/after

rm -f "$out/any/yi-tiny/accuracy-facts/accuracy.csv"
check 'a deleted result is made again' run
printf 'x' >>"$out/any/yi-tiny/accuracy-words/accuracy.csv"
check 'a damaged result fails verify' bash -c "! build/release/bin/verify --quiet --tree $out"
rm -f "$out.make/any/yi-tiny/accuracy-words/grade"
check 'and is repaired by its step' run
check 'then verify passes again' build/release/bin/verify --quiet --tree "$out"

# Killed with everything below it at three moments, the exact part still ends in the same bytes.
exact "$out" >build/test/exact.before
rm -rf "$out/any" "$out.make/any"
for s in 0.4 1.1 2.3; do
    setsid bash -c "make --no-print-directory exact PROFILE=tiny OUT=$out" >>"$log" 2>&1 &
    sleep "$s"
    kill -9 -- "-$!" 2>/dev/null
    wait "$!" 2>/dev/null
done
check 'killed three times, the exact part resumes' make --no-print-directory exact PROFILE=tiny OUT="$out"
exact "$out" >build/test/exact.after
check 'to the same bytes' cmp build/test/exact.before build/test/exact.after
check 'with nothing left lying about' bash -c "! find $out -name '*.tmp*' -o -name '*journal*' | grep ."
# New statements (durations differ) were made for the exact part alone: the rest follows them.
check 'the whole study is completed after it' run
check 'and verifies' build/release/bin/verify --quiet --tree "$out"

# A clone elsewhere, another locale, umask and thread count.
other=$(mktemp -d)
git clone -q . "$other/other clone" 2>>"$log" && mkdir -p "$other/other clone/build" && (
    cd "$other/other clone" && umask 077 && LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8 make --no-print-directory exact PROFILE=tiny THREADS=3
) >>"$log" 2>&1
exact "$other/other clone/build/out/tiny" >build/test/exact.other
check 'a clone in another folder, locale, umask and thread count gives the same exact bytes' cmp build/test/exact.before build/test/exact.other
rm -rf "$other"
echo "1..$n"
