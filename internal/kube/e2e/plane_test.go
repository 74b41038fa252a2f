package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/kube"
)

// binaries names the variable with the directory that scripts/e2e-build.sh
// prints.
const binaries = "WEIGHTWARDEN_E2E"

// nodes is how many nodes the control plane is given.
const nodes = 4

// plane is a control plane on the loopback interface.
type plane struct {
	dir, bin   string
	etcd, port int
	pki        *authority
	admin      string // kubeconfig
	api        *kube.Client
	processes  map[string]*exec.Cmd
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	bin := os.Getenv(binaries)
	if bin == "" {
		t.Skipf("needs a control plane: make e2e builds one and runs this")
	}
	dir := t.TempDir()
	p := &plane{dir: dir, bin: bin, etcd: freePort(t), port: freePort(t), processes: map[string]*exec.Cmd{}}
	p.pki = newAuthority(t, dir)
	p.pki.user(t, "apiserver", "kube-apiserver")
	p.pki.user(t, "admin", "admin", "system:masters")
	p.pki.user(t, "kcm", "system:kube-controller-manager")
	p.pki.user(t, "scheduler", "system:kube-scheduler")
	p.pki.user(t, "accounts", "accounts")
	url := p.url()
	for _, user := range []string{"kcm", "scheduler"} {
		p.pki.kubeconfig(t, user, url)
	}
	p.admin = p.pki.kubeconfig(t, "admin", url)
	t.Cleanup(func() {
		for _, name := range []string{"scheduler", "kcm", "apiserver", "etcd"} {
			p.end(name, syscall.SIGKILL)
		}
	})
	began := time.Now()
	p.startEtcd(t)
	p.startAPI(t)
	p.startControllers(t)
	p.startNodes(t)
	t.Logf("control plane ready after %v", time.Since(began).Round(10*time.Millisecond))
	return p
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (p *plane) url() string { return fmt.Sprintf("https://127.0.0.1:%d", p.port) }

func (p *plane) path(name string) string { return filepath.Join(p.dir, name) }

// start runs a program; what it says goes into name.log.
func (p *plane) start(t *testing.T, name, program string, args ...string) {
	t.Helper()
	log, err := os.OpenFile(p.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.processes[name] = cmd
}

// end ends a program that was started here.
func (p *plane) end(name string, sig syscall.Signal) {
	if cmd := p.processes[name]; cmd != nil {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(sig)
		_ = cmd.Wait()
		delete(p.processes, name)
	}
}

// waitFor waits until look returns nil.
func waitFor(t *testing.T, what string, limit time.Duration, look func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v: %v", what, limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *plane) startEtcd(t *testing.T) {
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", p.etcd), fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	p.start(t, "etcd", "etcd", "--data-dir", p.path("etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--unsafe-no-fsync", "--log-level", "warn")
	waitFor(t, "etcd", time.Minute, func() error { return healthy(http.DefaultClient, client+"/health") })
}

func healthy(c *http.Client, url string) error {
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", r.Status)
	}
	return nil
}

func (p *plane) startAPI(t *testing.T) {
	p.start(t, "apiserver", "kube-apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", p.etcd), "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.port),
		"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", "--authorization-mode=RBAC", "--profiling=false",
		"--tls-cert-file="+p.path("apiserver.crt"), "--tls-private-key-file="+p.path("apiserver.key"), "--client-ca-file="+p.path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+p.path("accounts.pub"),
		"--service-account-signing-key-file="+p.path("accounts.key"), "--service-cluster-ip-range=10.96.0.0/16")
	ca := x509.NewCertPool()
	ca.AddCert(p.pki.cert)
	pem, err := os.ReadFile(p.path("ca.crt"))
	if err != nil || !ca.AppendCertsFromPEM(pem) {
		t.Fatal("no authority", err)
	}
	pair, err := tls.LoadX509KeyPair(p.path("admin.crt"), p.path("admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca, Certificates: []tls.Certificate{pair}}}}
	waitFor(t, "apiserver", 2*time.Minute, func() error { return healthy(c, fmt.Sprintf("https://127.0.0.1:%d/readyz", p.port)) })
	if p.api == nil {
		if p.api, err = kube.Connect(kube.Options{Kubeconfig: p.admin, Version: "e2e"}); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *plane) startControllers(t *testing.T) {
	kcm, scheduler := p.path("kcm.kubeconfig"), p.path("scheduler.kubeconfig")
	p.start(t, "kcm", "kube-controller-manager", "--kubeconfig="+kcm, "--authentication-kubeconfig="+kcm, "--authorization-kubeconfig="+kcm,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", freePort(t)), "--service-account-private-key-file="+p.path("accounts.key"),
		"--root-ca-file="+p.path("ca.crt"), "--use-service-account-credentials=true", "--leader-elect=false", "--cert-dir="+p.path("kcm-pki"),
		"--node-monitor-grace-period=24h") // the nodes of the tests send no heartbeats
	p.start(t, "scheduler", "kube-scheduler", "--kubeconfig="+scheduler, "--authentication-kubeconfig="+scheduler, "--authorization-kubeconfig="+scheduler,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", freePort(t)), "--leader-elect=false", "--cert-dir="+p.path("scheduler-pki"))
}

// startNodes makes nodes and plays their kubelets.
func (p *plane) startNodes(t *testing.T) {
	ctx := t.Context()
	for n := range nodes {
		name := fmt.Sprintf("node-%d", n)
		room := map[string]any{"cpu": "64", "memory": "256Gi", "pods": "500"}
		_, err := p.api.Create(ctx, kindNode, cluster.Object{
			"metadata": map[string]any{"name": name, "labels": map[string]any{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
			"status":   map[string]any{"allocatable": room, "capacity": room},
		}, false)
		if err != nil {
			t.Fatal(err)
		}
	}
	go p.play(t)
	waitFor(t, "nodes", time.Minute, func() error {
		list, err := p.api.List(ctx, kindNode, "", "")
		if err != nil {
			return err
		}
		for _, o := range list {
			if !condition(o, "Ready") {
				return fmt.Errorf("%s is not ready", o.ObjectName())
			}
		}
		return nil
	})
	waitFor(t, "service account", time.Minute, func() error {
		_, err := p.api.Get(ctx, cluster.Kind{Version: "v1", Resource: "serviceaccounts", Name: "ServiceAccount"}.In("default", "default"))
		return err
	})
}

var kindNode = cluster.Kind{Version: "v1", Resource: "nodes", Name: "Node"}

func condition(o cluster.Object, name string) bool {
	for _, c := range o.Items("/status/conditions") {
		if c.Text("/type") == name {
			return c.Text("/status") == "True"
		}
	}
	return false
}
