#!/usr/bin/env bash
# plot.sh - the plot tool on made-up data: every figure draws, repeats byte for byte, and says why it is
# empty; bad input is one line, exit 2 and no file.
set -u
cd "$(dirname "$0")/../.."
plot=${BIN:-build/release/bin}/plot
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
ok() { n=$((n + 1)); if eval "$2"; then echo "ok $n - $1"; else echo "not ok $n - $1"; fi; }
figure() { "$plot" figure --unified "$d/unified.csv" --ape "$d/ape.csv" --requests "$d/requests.csv" "$@"; }
# refuse NAME EXIT TEXT ARGS... - the command fails so, says TEXT on one line, and writes nothing
refuse() {
    local name=$1 code=$2 text=$3 rc lines
    shift 3
    rm -rf "$tmp/bad" && mkdir "$tmp/bad"
    "$@" 2>"$tmp/err" >/dev/null
    rc=$?
    lines=$(wc -l <"$tmp/err")
    ok "$name" '[ $rc -eq $code ] && [ $lines -eq 1 ] && grep -qF -- "$text" "$tmp/err" && [ -z "$(ls -A "$tmp/bad")" ]'
    [ "$rc" -eq "$code" ] || sed "s/^/# exit $rc: /" "$tmp/err"
}
if ! command -v gnuplot >/dev/null; then echo "ok 1 # SKIP no gnuplot"; echo "1..1"; exit 0; fi

d=$tmp/data
tests/figdata/make.sh "$d"
mkdir "$tmp/one" "$tmp/two"
for desc in figs/*.gp; do
    name=$(basename "$desc" .gp)
    [ "$name" = style ] && continue
    figure --quiet --out "$tmp/one/$name.gp" "$desc" 2>"$tmp/err"
    rc=$?
    ok "$name draws" '[ $rc -eq 0 ] && [ ! -s "$tmp/err" ] && [ -s "$tmp/one/$name.svg" ] && [ -s "$tmp/one/$name.pdf" ]'
    sed 's/^/# /' "$tmp/err"
done

# A second run, later, elsewhere and in another locale, gives the same bytes.
sleep 1
for name in ttft kv; do
    env LC_ALL=de_DE.UTF-8 "$plot" figure --unified "$d/unified.csv" --ape "$d/ape.csv" --requests "$d/requests.csv" --quiet --out "$tmp/two/$name.gp" "figs/$name.gp"
    for x in gp svg pdf; do
        ok "$name.$x repeats byte for byte" 'cmp -s "$tmp/one/$name.$x" "$tmp/two/$name.$x"'
    done
done
ok "the PDF carries no date of today" '! grep -aq "CreationDate (D:$(date +%Y)" "$tmp/one/ttft.pdf"'
(cd "$tmp/two" && gnuplot -e "format='svg'; output='again.svg'" "$tmp/one/ttft.gp" 2>/dev/null)
ok "the script is self-contained" 'cmp -s "$tmp/two/again.svg" "$tmp/one/ttft.svg"'
ok "each file has its statement" '[ -s "$tmp/one/ttft.gp.prov.json" ] && [ -s "$tmp/one/ttft.svg.prov.json" ] && [ -s "$tmp/one/ttft.pdf.prov.json" ]'
ok "an empty figure says why" 'grep -q "not measured: no energy meter on this machine" "$tmp/one/energy.svg"'
ok "and its state says so" 'grep -q "^# state: empty: not measured: no energy meter" "$tmp/one/energy.gp"'
figure figs/ttft.gp >"$tmp/stdout.gp" 2>"$tmp/err"
ok "without --out the script goes to stdout" 'cmp -s "$tmp/stdout.gp" "$tmp/one/ttft.gp"'
sed 's/1024,32,1056,1,1,full,ttft_ms,ms,p50,40,[0-9.]*/1024,32,1056,1,1,full,ttft_ms,ms,p50,40,99.5/' "$d/unified.csv" >"$tmp/changed.csv"
"$plot" figure --quiet --unified "$tmp/changed.csv" --out "$tmp/two/ttft.gp" figs/ttft.gp
ok "other data, other picture" '! cmp -s "$tmp/two/ttft.svg" "$tmp/one/ttft.svg"'

o=$tmp/bad/x.gp
refuse "a missing input" 2 "'$tmp/none.csv'" "$plot" figure --unified "$tmp/none.csv" --out "$o" figs/ttft.gp
refuse "an input that is not given" 2 "no input is called 'requests'" "$plot" figure --unified "$d/unified.csv" --out "$o" figs/tpot.gp
head -c 5000 "$d/unified.csv" >"$tmp/cut.csv"
refuse "a truncated CSV" 2 "cut.csv:" "$plot" figure --unified "$tmp/cut.csv" --out "$o" figs/ttft.gp
: >"$tmp/empty.csv"
refuse "an empty CSV" 2 "empty.csv" "$plot" figure --unified "$tmp/empty.csv" --out "$o" figs/ttft.gp
refuse "a name that is not .gp" 2 "ends in '.gp'" figure --out "$tmp/bad/x.svg" figs/ttft.gp
refuse "no description" 2 "" figure --out "$o"
sed 's/metric=ttft_ms/metrik=ttft_ms/' figs/ttft.gp >"$tmp/d.gp"
refuse "an unknown column" 2 "has no column 'metrik'" figure --out "$o" "$tmp/d.gp"
sed 's/ stat=p50//' figs/ttft.gp >"$tmp/d.gp"
refuse "a query that means two rows" 2 "two rows with equal keys" figure --out "$o" "$tmp/d.gp"
sed 's/{ttft.n}/{ttft.m}/' figs/ttft.gp >"$tmp/d.gp"
refuse "an unknown placeholder" 2 "expected {NAME.COL}" figure --out "$o" "$tmp/d.gp"
{ cat figs/ttft.gp; echo 'plot no_such_function(x)'; } >"$tmp/d.gp"
refuse "a script that gnuplot refuses" 2 "gnuplot:" figure --out "$o" "$tmp/d.gp"
refuse "no gnuplot" 3 "gnuplot" env PATH="$tmp" "$(realpath "$plot")" figure --unified "$d/unified.csv" --out "$o" figs/ttft.gp
refuse "an unwritable folder" 2 "/no/such" figure --out /no/such/folder/x.gp figs/ttft.gp

# The numbers of the paper.
echo 'aa  file' >"$tmp/SHA256SUMS"
numbers() { "$plot" numbers --quiet --unified "$d/unified.csv" --ape "$d/ape.csv" --manifest "$tmp/SHA256SUMS" "$@"; }
cat >"$tmp/v.def" <<'EOF'
# number: least min g3 from unified where metric=ttft_ms stat=p50 take value
# number: models distinct f0 from unified take model
# number: names list text from unified take model
# number: joules min g3 from unified where metric=j_per_out_tok take value
# number: gone only f1 from headlines take corrected
EOF
numbers --absent headlines --values "$tmp/v.def" --out "$tmp/v.tex" "$tmp/one/ttft.gp" "$tmp/one/energy.gp"
ok "a value" 'grep -qxF "\assayvalue{least}{4.65}" "$tmp/v.tex"'
ok "a count" 'grep -qxF "\assayvalue{models}{3}" "$tmp/v.tex"'
ok "a list" 'grep -qxF "\assayvalue{names}{demo-gptoss, demo-qwen3, demo-yi}" "$tmp/v.tex"'
ok "a missing value is its reason" 'grep -qxF "\assayvalue{joules}{\emph{no energy meter on this machine}}" "$tmp/v.tex"'
ok "an absent input is its reason" 'grep -qxF "\assayvalue{gone}{\emph{not available on this machine}}" "$tmp/v.tex"'
ok "a figure's payload digest" 'grep -qF "\assayvalue{fig:ttft:sha}{$(sha256sum <"$tmp/one/ttft.gp" | cut -c1-64)}" "$tmp/v.tex"'
ok "a figure's recipe digest" 'grep -qE "fig:ttft:recipe}\{[0-9a-f]{64}}" "$tmp/v.tex"'
ok "empty figures are counted" 'grep -qxF "\assayvalue{figures:empty}{1}" "$tmp/v.tex"'
ok "the manifest's digest" 'grep -qF "{$(sha256sum <"$tmp/SHA256SUMS" | cut -c1-64)}" "$tmp/v.tex"'
bad_value() { echo "# $2" >"$tmp/w.def" && refuse "$1" 2 "$3" numbers --absent headlines --values "$tmp/w.def" --out "$tmp/bad/v.tex"; }
bad_value "a value without rows or reason" 'number: x min g3 from unified where metric=nothing take value' "nothing says why"
bad_value "only of several" 'number: x only g3 from unified where metric=ttft_ms take value' "expected 1 row"
bad_value "an unknown reduction" 'number: x mean g3 from unified where metric=ttft_ms take value' "found 'mean'"
bad_value "an unknown format" 'number: x min e3 from unified where metric=ttft_ms take value' "expected format"
bad_value "a word as a number" 'number: x min g3 from unified where metric=ttft_ms take model' "x"
bad_value "a table without columns" 'table: x key model metric from unified where metric=kv_b_per_tok_full take value' "has no column"
echo "1..$n"
