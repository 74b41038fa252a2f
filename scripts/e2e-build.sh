#!/usr/bin/env bash
# Builds the control plane that make e2e runs against, from Go modules and
# outside the tree, and prints the directory that holds it: etcd, and in one
# file the Kubernetes API server, controller manager and scheduler. The tests
# play the nodes. tools/e2e pins the versions; what is there already is kept.
# The first build takes about ten minutes of two processors and needs 2.5 GB
# of memory.
set -euo pipefail
cd "$(dirname "$0")/../tools/e2e"

cache="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/weightwarden-tools/e2e"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-buildvcs=false -p=2'

# version DIR MODULE: the version that DIR's module pins
version() { sed -n "s#^require $2 \(v[^ ]*\)\$#\1#p; s#^\t$2 \(v[^ ]*\)\$#\1#p" "$1/go.mod" | head -n 1; }

# build DIR MODULE LDFLAGS PACKAGE NAME...: builds what the cache lacks into a
# directory named by the version and what that was built of, and gives it the
# names.
build() {
  local dir=$1 module=$2 flags=$3 package=$4 sums out name
  shift 4
  sums=$(cat "$dir"/go.mod "$dir"/go.sum "$dir"/*.go | sha256sum | cut -c1-8)
  out="$cache/$dir-$(version "$dir" "$module")-$sums"
  mkdir -p "$out"
  if [ ! -x "$out/$1" ]; then
    echo "e2e: build $* into $out" >&2
    # Renamed when complete: a build that was stopped leaves nothing behind
    # that the next one would take for a program.
    (cd "$dir" && go build -trimpath -ldflags "-s -w $flags" -o "$out/.$1.$$" "$package") >&2
    mv "$out/.$1.$$" "$out/$1"
  fi
  for name in "$@"; do
    ln -sfn "$out/$1" "$bin/$name"
  done
}

# Of its own for each set of versions: other clones may run others meanwhile.
bin="$cache/bin-$(cat ./*/go.mod ./*/go.sum ./*/*.go | sha256sum | cut -c1-8)"
mkdir -p "$bin"
build etcd go.etcd.io/etcd/server/v3 '' go.etcd.io/etcd/server/v3 etcd
k8s=$(version kube k8s.io/kubernetes)
minor=${k8s#v1.}
stamp=k8s.io/component-base/version
build kube k8s.io/kubernetes \
  "-X $stamp.gitVersion=$k8s -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*} -X $stamp.gitTreeState=clean" \
  . kube-apiserver kube-controller-manager kube-scheduler
echo "$bin"
