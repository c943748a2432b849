#!/usr/bin/env bash
# run.sh NAME SECONDS - build tests/fuzz/fuzz_NAME.c with clang's libFuzzer, ASan and UBSan, and run it on
# its seeds. New inputs go to build/fuzz/NAME; a crash leaves its input there and ends with status 1.
set -euo pipefail
name=$1 seconds=${2:-60}
cd "$(dirname "$0")/../.."
clang=${CLANG:-$(command -v clang || command -v clang-14)}
work=build/fuzz/$name
mkdir -p "$work/corpus"
tools/lib/embed.sh "$work/schema_text.c" results/schemas/*.json
lib=(tools/lib/{csvio,canon,schema,table,table_io,records}.c "$work/schema_text.c")
"$clang" -std=c17 -D_POSIX_C_SOURCE=200809L -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    -ffp-contract=off -Iengine -Itools "tests/fuzz/fuzz_$name.c" engine/base/*.c engine/format/*.c engine/text/*.c \
    "${lib[@]}" -lcjson -lcsv -lcrypto -lm -pthread -o "$work/fuzz"
"$work/fuzz" -max_total_time="$seconds" -artifact_prefix="$work/" -max_len=20000 -timeout=10 "$work/corpus" "tests/fuzz/seeds/$name"
