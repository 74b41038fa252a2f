#!/usr/bin/env bash
# Runs the program against a Kubernetes control plane, which is built when it
# is missing. Fails where anything of it cannot be built or does not run.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$(scripts/e2e-build.sh)
for program in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  [ -x "$bin/$program" ] || { echo "e2e: there is no $program in $bin" >&2; exit 1; }
done
# The tests that need a control plane; the others of the package are run by make test.
run=${RUN:-'^Test(Deploy|Faults|Scenarios|Verdicts)$'}
WEIGHTWARDEN_E2E=$bin go test -count=1 -timeout 30m -v -run "$run" ./internal/kube/e2e
