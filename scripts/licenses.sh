#!/usr/bin/env bash
# Compares NOTICE with the modules that the program is linked from, on every
# platform it is built for, and fails when one is missing there or has a
# licence it cannot name. With -w it writes the list anew.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
heading='Modules linked into the program:'

# modules prints "path directory" of every module but this one.
modules() {
  local os
  for os in linux darwin windows; do
    GOOS=$os go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}' ./cmd/...
  done | sed '/^$/d' | sort -u
}

# licence names the licence in a module's directory by phrases that only it has.
licence() {
  local text
  text=$(find "$1" -maxdepth 1 -type f \( -iname 'LICEN[CS]E' -o -iname 'LICEN[CS]E.*' -o -iname 'COPYING*' \) -exec cat {} + | tr -s '[:space:]' ' ')
  case $text in
    *"Apache License"*"Permission is hereby granted, free of charge"* | *"Permission is hereby granted, free of charge"*"Apache License"*) echo "Apache-2.0 and MIT" ;;
    *"Apache License"*) echo Apache-2.0 ;;
    *"Mozilla Public License"*) echo MPL-2.0 ;;
    *"GNU "*"GENERAL PUBLIC LICENSE"*) echo unknown ;;
    *"Permission is hereby granted, free of charge"*) echo MIT ;;
    *"Redistribution and use in source and binary forms"*"Neither the name"* | *"Redistribution and use in source and binary forms"*"names of its contributors may be used"*) echo BSD-3-Clause ;;
    *"Redistribution and use in source and binary forms"*) echo BSD-2-Clause ;;
    *"Permission to use, copy, modify, and/or distribute"*) echo ISC ;;
    *"CC0 1.0 Universal"* | *"Creative Commons Legal Code"*"CC0"*) echo CC0-1.0 ;;
    *) echo unknown ;;
  esac
}

# lines prints what NOTICE has to hold.
lines() {
  local path dir
  modules | while read -r path dir; do
    printf -- '- %s: %s\n' "$path" "$(licence "$dir")"
  done
}

wanted=$(lines)
[ -n "$wanted" ] || { echo "licenses: ./cmd/... is linked from no module: is it there?" >&2; exit 1; }
if unnamed=$(grep ': unknown$' <<<"$wanted"); then
  printf 'licenses: look at the licence yourself and teach scripts/licenses.sh:\n%s\n' "$unnamed" >&2
  exit 1
fi
if [ "${1:-}" = -w ]; then
  head=$(sed "/^$heading\$/q" NOTICE)
  printf '%s\n\n%s\n' "$head" "$wanted" >NOTICE
  exit 0
fi
listed=$(sed "1,/^$heading\$/d" NOTICE)
if missing=$(grep -vxF -f <(printf '%s\n' "$listed" | sed '/^$/d') <<<"$wanted"); then
  printf 'licenses: not in NOTICE (scripts/licenses.sh -w writes it):\n%s\n' "$missing" >&2
  exit 1
fi
