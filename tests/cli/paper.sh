#!/usr/bin/env bash
# paper.sh - the paper on made-up data: it builds, twice to the same bytes, every number in it is a macro,
# and what is missing stops it.
set -u
cd "$(dirname "$0")/../.."
plot=${BIN:-build/release/bin}/plot
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
ok() { n=$((n + 1)); if eval "$2"; then echo "ok $n - $1"; else echo "not ok $n - $1"; fi; }

# The prose of a .tex file without comments and without what the allow-list names: no digit may remain.
literals() {
    sed -n '/\\begin{document}/,/\\begin{thebibliography}/p' "$1" | sed 's/\([^\\]\|^\)%.*/\1/' |
        awk -F '\t' 'NR == FNR { allow[++n] = $1; next }
            { for (i = 1; i <= n; i++) while ((at = index($0, allow[i])) > 0) $0 = substr($0, 1, at - 1) substr($0, at + length(allow[i])) }
            /[0-9]/ { print FNR ": " $0; bad = 1 } END { exit bad }' paper/literals.allow -
}
literals paper/paper.tex >"$tmp/found"
ok "no literal number in paper.tex" '[ ! -s "$tmp/found" ]'
sed 's/^/# /' "$tmp/found"
sed 's/Whether a model fits/The model is 31.8 \\% faster. Whether a model fits/' paper/paper.tex >"$tmp/bad.tex"
ok "a literal number would be seen" '! literals "$tmp/bad.tex" >/dev/null'
ok "every allowed literal has a reason" '! grep -vP "^[^\t]+\t.+" paper/literals.allow'

if ! command -v pdflatex >/dev/null || ! command -v gnuplot >/dev/null; then
    echo "ok $((n + 1)) # SKIP no pdflatex or no gnuplot"; echo "1..$((n + 1))"; exit 0
fi
d=$tmp/data
tests/figdata/make.sh "$d"
mkdir "$tmp/figs"
for desc in figs/*.gp; do
    name=$(basename "$desc" .gp)
    [ "$name" = style ] || "$plot" figure --quiet --unified "$d/unified.csv" --ape "$d/ape.csv" --requests "$d/requests.csv" \
        --out "$tmp/figs/$name.gp" "$desc" || echo "not ok - figure $name"
done
(cd "$tmp/figs" && sha256sum -- *.gp) >"$tmp/SHA256SUMS"
numbers() { "$plot" numbers --quiet --unified "$d/unified.csv" --ape "$d/ape.csv" --manifest "$tmp/SHA256SUMS" --out "$@" "$tmp"/figs/*.gp; }
numbers "$tmp/with.tex" --headlines "$d/headlines.csv" --corrected "$d/corrected.csv"
numbers "$tmp/without.tex" --absent headlines --absent corrected
paper/build.sh paper/paper.tex "$tmp/with.tex" "$tmp/figs" "$tmp/one.pdf" 2>"$tmp/err"
rc=$?
ok "the paper builds" '[ $rc -eq 0 ] && [ ! -s "$tmp/err" ]'
sed 's/^/# /' "$tmp/err"
sleep 1
mkdir "$tmp/elsewhere"
(cd "$tmp/elsewhere" && env LC_ALL=C.UTF-8 TZ=Asia/Tokyo "$OLDPWD/paper/build.sh" "$OLDPWD/paper/paper.tex" "$tmp/with.tex" "$tmp/figs" "$tmp/elsewhere/two.pdf")
ok "and again to the same bytes, later and elsewhere" 'cmp -s "$tmp/one.pdf" "$tmp/elsewhere/two.pdf"'
ok "no path of this machine in it" '! grep -aqF "$tmp" "$tmp/one.pdf"'
paper/build.sh paper/paper.tex "$tmp/without.tex" "$tmp/figs" "$tmp/three.pdf" 2>"$tmp/err"
rc=$?
ok "it builds where the published study is absent" '[ $rc -eq 0 ] && [ ! -s "$tmp/err" ]'
ok "and says so" 'grep -q "not available on this machine" "$tmp/without.tex" && ! cmp -s "$tmp/one.pdf" "$tmp/three.pdf"'
ok "random models score at chance, in as many words" 'tr "\n" " " <paper/paper.tex | grep -q "small random models score at chance"'

refuse() {
    local text=$5
    paper/build.sh "$2" "$3" "$4" "$tmp/no.pdf" 2>"$tmp/err"
    rc=$?
    ok "$1" '[ $rc -eq 2 ] && grep -qF -- "$text" "$tmp/err" && [ ! -e "$tmp/no.pdf" ] && [ -z "$(find "$tmp" -maxdepth 1 -name "no.pdf*")" ]'
}
grep -v '{rows}' "$tmp/with.tex" >"$tmp/short.tex"
refuse "a value that nobody defines" paper/paper.tex "$tmp/short.tex" "$tmp/figs" "no value is called 'rows'"
refuse "no numbers at all" paper/paper.tex "$tmp/none.tex" "$tmp/figs" "missing"
mkdir "$tmp/fewer" && cp "$tmp"/figs/*.pdf "$tmp/fewer" && rm "$tmp/fewer/kv.pdf"
refuse "a figure that is not there" paper/paper.tex "$tmp/with.tex" "$tmp/fewer" "kv.pdf"
sed 's/\\ref{fig:kv}/\\ref{fig:nowhere}/' paper/paper.tex >"$tmp/ref.tex"
refuse "a reference to nothing" "$tmp/ref.tex" "$tmp/with.tex" "$tmp/figs" "fig:nowhere"
echo "1..$n"
