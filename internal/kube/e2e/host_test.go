package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cli"
	"github.com/weightwarden/weightwarden/internal/kube"
)

// host is where the responder works: a state directory, an archive with one
// signed version, and a configuration.
type host struct {
	t                *testing.T
	dir, kubeconfig  string
	incident, config string
	// journal is told the points of the journal; nil for nobody.
	journal func(point string)
}

// newHost makes the archive; workloads is that section of the configuration.
func newHost(t *testing.T, kubeconfig, model, workloads string, settle int) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), kubeconfig: kubeconfig}
	h.config = filepath.Join(h.dir, "config.yaml")
	good := filepath.Join(h.dir, "archive", model+"-v1")
	if err := os.MkdirAll(good, 0o700); err != nil {
		t.Fatal(err)
	}
	h.write(filepath.Join(good, "model.safetensors"), "good weights of "+model)
	h.write(h.config, fmt.Sprintf("models:\n  - id: %s\n    path: %s\narchive: archive\nsecrets_to_rotate: [registry/token]\nresponse: {settle_seconds: %d}\ntrust:\n  public_keys: [release.pub]\nworkloads:\n%s",
		model, filepath.Join(h.dir, "not-on-this-host"), settle, workloads))
	h.run(0, "key", "generate", "--out", filepath.Join(h.dir, "release"))
	h.run(0, "sign", good, "--private-key", filepath.Join(h.dir, "release.pem"))
	return h
}

func (h *host) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// connected returns a client of the API for one user.
func connected(t *testing.T, kubeconfig string) *kube.Client {
	t.Helper()
	api, err := kube.Connect(kube.Options{Kubeconfig: kubeconfig, Version: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func world(out, errs *bytes.Buffer) cli.Env {
	return cli.Env{
		Stdin: strings.NewReader(""), Stdout: out, Stderr: errs, Getenv: func(string) string { return "" },
		Now: time.Now, Random: rand.Reader, Actor: "ana@host", Version: "e2e", TempDir: os.TempDir(),
	}
}

func (h *host) arguments(args []string) []string {
	return append([]string{"--state", filepath.Join(h.dir, "state"), "--config", h.config, "-o", "json"}, args...)
}

// try runs the program and returns its exit code and what it printed.
func (h *host) try(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	env := world(&out, &errs)
	env.Journal = h.journal
	code = cli.Main(context.Background(), env, h.arguments(args))
	return code, out.String(), errs.String()
}

// run runs the program, which has to end with the code, and returns the
// document that it printed.
func (h *host) run(code int, args ...string) map[string]any {
	h.t.Helper()
	got, stdout, stderr := h.try(args...)
	if got != code {
		h.t.Fatalf("weightwarden %s: exit code %d instead of %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	var v map[string]any
	if json.Unmarshal([]byte(stdout), &v) != nil {
		return map[string]any{"text": stdout, "stderr": stderr}
	}
	return v
}

// act runs a command of the incident against the cluster.
func (h *host) act(code int, command string, args ...string) map[string]any {
	h.t.Helper()
	return h.run(code, append([]string{"incident", command, h.incident, "--kubeconfig", h.kubeconfig}, args...)...)
}

// rotated ends the task that keeps requests from being let through again.
func (h *host) rotated() {
	h.t.Helper()
	h.run(0, "incident", "task", h.incident, "rotate-1")
}

// declare opens an incident and seals the evidence.
func (h *host) declare(model string) {
	h.t.Helper()
	opened := h.run(0, "incident", "open", "--model", model, "--severity", "critical", "--summary", "weights differ")
	h.incident, _ = opened["incident_id"].(string)
	h.act(0, "assess")
}
