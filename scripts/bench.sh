#!/usr/bin/env bash
# Runs every benchmark. BENCHTIME=1x only shows that they still run; the
# default measures.
set -euo pipefail
cd "$(dirname "$0")/.."
CGO_ENABLED=0 go test -run='^$' -bench=. -benchmem -benchtime="${BENCHTIME:-1s}" ./...
