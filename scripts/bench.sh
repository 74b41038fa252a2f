#!/usr/bin/env bash
# Runs every benchmark. BENCHTIME=1x only shows that they still run, without
# the largest; the default measures.
set -euo pipefail
cd "$(dirname "$0")/.."
short=()
[ "${BENCHTIME:-}" != 1x ] || short=(-short)
CGO_ENABLED=0 go test "${short[@]}" -run='^$' -bench=. -benchmem -benchtime="${BENCHTIME:-1s}" ./...
