#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (default 5s), one after the other: Go
# fuzzes one target at a time. Every target runs, whatever the others say.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
: "${FUZZTIME:=5s}"

# targets prints "package target" lines. go test lists the names of a package
# first and then its "ok" line.
targets() {
  go test -list '^Fuzz' ./... | awk '
    /^Fuzz/ { name[n++] = $1 }
    /^ok/   { for (i = 0; i < n; i++) print $2, name[i]; n = 0 }'
}

# fuzz PACKAGE TARGET fuzzes one target. The fuzzer of Go at times reports its
# own deadline as a failure: a failure without an
# input that fails is tried once more.
fuzz() {
  local log
  log=$(mktemp)
  for _ in 1 2; do
    if go test -run='^$' -fuzz="^$2\$" -fuzztime="$FUZZTIME" -fuzzminimizetime=10x -parallel=2 "$1" </dev/null 2>&1 | tee "$log"; then
      rm -f "$log"
      return 0
    fi
    grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log" || break
  done
  rm -f "$log"
  return 1
}

list=$(targets)
failed=0
count=0
while read -r package target; do
  [ -n "$target" ] || continue
  count=$((count + 1))
  echo "fuzz $package $target"
  fuzz "$package" "$target" || { echo "fuzz: $target of $package failed" >&2; failed=1; }
done <<<"$list"
echo "fuzz: $count targets"
exit "$failed"
