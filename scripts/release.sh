#!/usr/bin/env bash
# Builds the program as it is released: scripts/release.sh FILE. The same source,
# Go and VERSION give the same bytes, wherever they lie.
set -euo pipefail
out=$(realpath -m "${1:?usage: scripts/release.sh FILE}")
cd "$(dirname "$0")/.."
mkdir -p "$(dirname "$out")"
CGO_ENABLED=0 GOFLAGS='' GOAMD64=v1 go build -trimpath -buildvcs=false -mod=readonly \
  -ldflags "-s -w -buildid= -X main.version=${VERSION:-devel}" -o "$out" ./cmd/weightwarden
