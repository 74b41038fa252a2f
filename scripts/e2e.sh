#!/usr/bin/env bash
# Runs the program against a Kubernetes control plane, which is built when it
# is missing. Fails where anything of it cannot be built or does not run, and
# leaves no process and no file behind, however it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$(scripts/e2e-build.sh)
for program in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  [ -x "$bin/$program" ] || { echo "e2e: there is no $program in $bin" >&2; exit 1; }
done
# The tests that need a control plane; the others of the package are run by make test.
run=${RUN:-'^Test(Deploy|Faults|Scenarios|Verdicts)$'}

dir=$(mktemp -d)
test=""
# The programs of the control plane die with the test (the kernel sees to
# that), and the test with this script.
clean() {
  if [ -n "$test" ]; then
    kill -KILL "$test" 2>/dev/null || true
    wait "$test" 2>/dev/null || true
  fi
  rm -rf "$dir" || { sleep 1; rm -rf "$dir"; } # they may be about to die, and write
}
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

go test -c -o "$dir/e2e.test" ./internal/kube/e2e
cd internal/kube/e2e
TMPDIR=$dir WEIGHTWARDEN_E2E=$bin "$dir/e2e.test" -test.timeout 30m -test.v -test.run "$run" </dev/null &
test=$!
status=0
wait "$test" || status=$?
test=""
exit "$status"
