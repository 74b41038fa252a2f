// Package e2e runs the program against a real Kubernetes control plane on the
// loopback interface: etcd, API server, controller manager and scheduler; the
// nodes are played by the tests. It holds tests only; make e2e builds what they
// start and runs them.
package e2e
