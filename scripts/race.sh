#!/usr/bin/env bash
# The tests under the race detector, which is the one thing here that needs a
# C compiler. The exhaustive ones have been run without it: they are about
# bytes, not about goroutines, and take ten times as long here, as do those
# that only repeat (-short).
set -euo pipefail
cd "$(dirname "$0")/.."
unset WEIGHTWARDEN_TEST_ALL

# All timers of a synctest bubble share one context of the race detector, which
# two threads at once corrupt (Go 1.26.8: SIGSEGV below runtime.maybeRunChan).
# Packages with bubbles get one thread; a race is told from the order of events,
# not from a collision.
bubbled=$(grep -rl --include='*_test.go' '"testing/synctest"' internal | xargs -n1 dirname | sort -u)
# The command line's tests start the program hundreds of times; what runs side
# by side in it is in the other packages.
bubbled=$(go list $(printf './%s ' $bubbled) | grep -v '/internal/cli\|/kube/e2e')
others=$(go list ./... | grep -v '/internal/cli\|/kube/e2e' | grep -vxF "$bubbled")

export CGO_ENABLED=1
race() { go test -race -short -shuffle=on -timeout=20m "$@"; }
status=0
# shellcheck disable=SC2086 # lists of packages
{
  race -cpu 1 $bubbled || status=1
  race $others || status=1
}
exit "$status"
