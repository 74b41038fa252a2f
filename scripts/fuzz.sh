#!/usr/bin/env bash
# Runs every fuzz target, two of them side by side. Those that read what others
# wrote, below internal/format and internal/detect, run for FORMAT_FUZZTIME
# (default 10m) each, the others for FUZZTIME (default 5s). Every target runs,
# whatever the others say.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
export FUZZTIME="${FUZZTIME:-5s}" FORMAT_FUZZTIME="${FORMAT_FUZZTIME:-10m}"

# targets prints "package target" lines. go test lists the names of a package
# first and then its "ok" line.
targets() {
  go test -list '^Fuzz' ./... | awk '
    /^Fuzz/ { name[n++] = $1 }
    /^ok/   { for (i = 0; i < n; i++) print $2, name[i]; n = 0 }'
}

# fuzz PACKAGE TARGET fuzzes one target and prints what it said. The fuzzer of
# Go at times reports its own deadline as a failure: a failure without an
# input that fails is tried once more.
fuzz() {
  local log result=1 time=$FUZZTIME
  case $1 in
    */internal/format/* | */internal/detect/*) time=$FORMAT_FUZZTIME ;;
  esac
  log=$(mktemp)
  for _ in 1 2; do
    if go test -run='^$' -fuzz="^$2\$" -fuzztime="$time" -fuzzminimizetime=10x -parallel=1 -timeout=0 "$1" </dev/null >"$log" 2>&1; then
      result=0
      break
    fi
    grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log" || break
  done
  { echo "fuzz $1 $2 for $time"; cat "$log"; } # at once, not mixed with the other's
  rm -f "$log"
  [ "$result" = 0 ] || echo "fuzz: $2 of $1 failed" >&2
  return "$result"
}
export -f fuzz

list=$(targets)
failed=0
xargs -r -P 2 -L 1 bash -c 'fuzz "$@"' fuzz <<<"$list" || failed=1
echo "fuzz: $(wc -l <<<"$list") targets"
exit "$failed"
