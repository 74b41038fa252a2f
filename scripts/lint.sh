#!/usr/bin/env bash
# Everything that judges the source without running it. All checks run, so
# that one visit shows all remarks.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0

failed=0
check() {
  local name=$1
  shift
  "$@" || { echo "lint: $name: failed" >&2; failed=1; }
}

formatted() {
  local files
  files=$(git ls-files -z --cached --others --exclude-standard -- '*.go' ':!**/testdata/**' | xargs -0r gofmt -l)
  [ -z "$files" ] || { printf 'not gofmt-ed: %s\n' "$files"; return 1; }
}

golangci=$(scripts/golangci.sh)
check gofmt formatted
check "go vet" go vet ./...
check "go mod tidy" go mod tidy -diff
check golangci-lint "$golangci" run
exit "$failed"
