#!/usr/bin/env bash
# tile_cache.sh - --tile-cache: the second start takes the tiles from the file, with the same bits and without the
# weights; a changed model, damage, and a folder that is not there are told apart.
set -u
cd "$(dirname "$0")/../.." || exit 1
BIN=$(cd "${BIN:-build/release/bin}" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
ok() { # ok NAME COMMAND...
    local name=$1
    shift
    n=$((n + 1))
    if "$@" >"$tmp/out" 2>&1; then echo "ok $n - $name"; else
        echo "not ok $n - $name"
        head -n 5 "$tmp/out" | sed 's/^/# /'
    fi
}
digest() { "$BIN/infer" --quiet --model "$1" --tokens 5,6,7,8 --max-tokens 6 --format json "${@:2}" | grep -o '"logits_sha256":"[0-9a-f]*"'; }
for name in gptoss-tiny qwen3-tied-tiny yi-tiny; do
    m=$tmp/$name c=$tmp/cache-$name
    cp -r "build/models/$name" "$m" && mkdir "$c"
    plain=$(digest "$m")
    ok "$name: the first start makes one file" test "$(digest "$m" --tile-cache "$c")" = "$plain" -a "$(ls "$c" | grep -c '\.tiles$')" = 1
    before=$(stat -c %Y.%s "$c"/*.tiles)
    ok "$name: the second start has the same bits" test "$(digest "$m" --tile-cache "$c" --threads 3)" = "$plain"
    ok "$name: and leaves the file alone" test "$(stat -c %Y.%s "$c"/*.tiles)" = "$before" -a "$(ls "$c" | wc -l)" = 1
    ok "$name: another instruction set takes it, or makes its own" test "$(digest "$m" --tile-cache "$c" --isa scalar)" = "$plain"
    touch "$m/model.safetensors"
    k=$(ls "$c" | wc -l)
    ok "$name: a touched model is another model" test "$(digest "$m" --tile-cache "$c")" = "$plain" -a "$(ls "$c" | wc -l)" = $((k + 1))
done
m=build/models/yi-tiny c=$tmp/cache
mkdir "$c"
plain=$(digest $m --tile-cache "$c")
f=$(ls "$c"/*.tiles)
# a byte of the tiles themselves: other bits show that the file is what is read
printf '\x55\x3f\x55\x3f' | dd of="$f" bs=1 seek=4096 conv=notrunc 2>/dev/null
ok "the tiles come from the file" test "$(digest $m --tile-cache "$c")" != "$plain"
truncate -s -1 "$f"
refused() { "$BIN/infer" --model $m --tokens 1 --tile-cache "$1" >"$tmp/o" 2>"$tmp/e"; [ $? -eq "$2" ] && grep -q -- "$3" "$tmp/e" && [ "$(wc -l <"$tmp/e")" -eq 1 ]; }
ok "a file cut short is refused by name" refused "$c" 2 "expected a whole tile cache"
ok "a folder that is not there is refused" refused "$tmp/nowhere" 2 "nowhere"
rm "$f"
touch "$f.part"
ok "what a killed start left is taken over" test "$(digest $m --tile-cache "$c")" = "$plain" -a "$(ls "$c")" = "$(basename "$f")"
echo "1..$n"
