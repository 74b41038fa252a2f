#!/usr/bin/env bash
# The tests under the race detector, which is the one thing here that needs a
# C compiler. The exhaustive ones have been run without it: they are about
# bytes, not about goroutines, and take ten times as long here.
set -euo pipefail
cd "$(dirname "$0")/.."
unset WEIGHTWARDEN_TEST_ALL
# The command line's tests start the program hundreds of times; what runs side
# by side in it is in the packages below.
packages=$(go list ./... | grep -v '/internal/cli')
# shellcheck disable=SC2086 # a list of packages
CGO_ENABLED=1 go test -race -shuffle=on -timeout=20m $packages
