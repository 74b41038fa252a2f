#!/usr/bin/env bash
# Formats the source the way lint.sh wants it.
set -euo pipefail
cd "$(dirname "$0")/.."
golangci=$(scripts/golangci.sh)
"$golangci" fmt
