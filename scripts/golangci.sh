#!/usr/bin/env bash
# Prints the path of golangci-lint in the version this project is checked
# with, and installs it outside the tree where it is missing.
set -euo pipefail

version=2.15.0
cache="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/weightwarden-tools/golangci-lint-$version"

right() { "$1" version 2>/dev/null | grep -qF "version $version "; }

for candidate in golangci-lint "$cache/golangci-lint"; do
  if path=$(command -v "$candidate") && right "$path"; then
    echo "$path"
    exit 0
  fi
done
echo "install golangci-lint $version into $cache" >&2
mkdir -p "$cache"
GOBIN="$cache" GOFLAGS='' CGO_ENABLED=0 \
  go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$version" >&2
right "$cache/golangci-lint" || { echo "golangci-lint $version: installed, but reports another version" >&2; exit 1; }
echo "$cache/golangci-lint"
