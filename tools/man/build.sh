#!/usr/bin/env bash
# build.sh PAGE BIN COLUMNS - print a manual page: its prose as it stands, and in place of each line
#   .\" generated: TOOL --help-man      the options, from the tool's own table
#   .\" generated: columns SCHEMA...    the columns, from results/schemas
# what that program prints. Nothing that a program knows is written twice.
set -euo pipefail
page=$1 bin=$2 columns=$3
mark='.\" generated: '
while IFS= read -r line; do
    case $line in
    "${mark}columns "*)
        read -ra names <<<"${line#"${mark}columns "}"
        "$columns" "${names[@]}"
        ;;
    "$mark"*" --help-man")
        tool=${line#"$mark"}
        "$bin/${tool% --help-man}" --help-man
        ;;
    "$mark"*)
        echo "$page: unknown mark: $line" >&2
        exit 2
        ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$page"
