#!/usr/bin/env bash
# The tests under the race detector, which is the one thing here that needs a
# C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
CGO_ENABLED=1 go test -race -shuffle=on -timeout=20m ./...
