#!/usr/bin/env bash
# build.sh PAPER.tex NUMBERS.tex FIGS_DIR OUT.pdf - set the paper. The same inputs give the same bytes:
# fixed dates, a working folder of its own (no path of this machine reaches TeX), two passes for the
# references, and a third if they still move. On failure: TeX's own error lines, exit 2; no pdflatex: exit 3.
set -euo pipefail
tex=$1 numbers=$2 figs=$3 out=$4
command -v pdflatex >/dev/null || { echo "paper: cannot find 'pdflatex' (package texlive-latex-base)" >&2; exit 3; }
for f in "$tex" "$numbers"; do
    [ -s "$f" ] || { echo "paper: missing '$f'" >&2; exit 2; }
done
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp "$tex" "$work/paper.tex"
cp "$numbers" "$work/numbers.tex"
cp "$figs"/*.pdf "$work/"
cd "$work"
export SOURCE_DATE_EPOCH=0 FORCE_SOURCE_DATE=1 TZ=UTC LC_ALL=C max_print_line=1000
for pass in 1 2 3 4; do
    if ! pdflatex -no-shell-escape -interaction=nonstopmode -halt-on-error -file-line-error paper.tex >log.txt 2>&1; then
        { grep -aE '^(\./)?[^ ]+:[0-9]+: |^! ' log.txt || tail -n 5 log.txt; } | sed 's/^/paper: /' >&2
        exit 2
    fi
    [ "$pass" -ge 2 ] && ! grep -aq 'Rerun to get' log.txt && break
done
# What TeX only mutters about is an error here: a paper with ?? in it, or text across the margin, is not done.
if grep -aE 'LaTeX Warning: (Reference|Citation|There were undefined)|Missing character|multiply defined|Overfull .hbox \([0-9]{2}' log.txt | sed 's/^/paper: /' >&2; then
    exit 2
fi
cd - >/dev/null
if cmp -s "$work/paper.pdf" "$out"; then exit 0; fi
mv "$work/paper.pdf" "$out"
