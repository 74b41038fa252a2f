#!/usr/bin/env bash
# Builds the program twice, from two places and with two caches, and fails when
# the results differ.
set -euo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/elsewhere"
git ls-files -z | xargs -0 cp --parents -t "$tmp/elsewhere"
scripts/release.sh "$tmp/one"
GOCACHE="$tmp/cache" "$tmp/elsewhere/scripts/release.sh" "$tmp/two"
cmp "$tmp/one" "$tmp/two"
sha256sum "$tmp/one" | cut -d' ' -f1
