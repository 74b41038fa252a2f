#!/usr/bin/env bash
# Fails when there is a function that neither the program nor a test reaches.
set -euo pipefail
cd "$(dirname "$0")/.."
dead=$(CGO_ENABLED=0 go tool -modfile=tools/go.mod deadcode -test ./...)
[ -z "$dead" ] || { printf '%s\n' "$dead"; exit 1; }
