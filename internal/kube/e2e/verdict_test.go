package e2e_test

import (
	"bytes"
	"crypto/ed25519"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cli"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

//go:embed testdata/openreports.yaml
var openReports string

//go:embed testdata/claims/objects.yaml
var claimed string

var (
	kindVolume     = cluster.Kind{Version: "v1", Resource: "persistentvolumes", Name: "PersistentVolume"}
	kindDefinition = cluster.Kind{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Name: "CustomResourceDefinition"}
)

// printed runs a command of the program that needs no state.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := cli.Main(t.Context(), world(&out, &errs), args); code != 0 {
		t.Fatal(errs.String())
	}
	return out.String()
}

// listens makes the control plane take in what agents say, from a user who may
// do just that.
func (p *plane) listens(t *testing.T, namespaces ...string) (kubeconfig string) {
	t.Helper()
	for _, o := range append(objects(t, openReports), objects(t, printed(t, "kube", "crds"))...) {
		if _, err := p.api.Create(t.Context(), kindDefinition, o, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []cluster.Kind{cluster.Reports, cluster.ProtectedModels} {
		waitFor(t, k.Resource, 30*time.Second, func() error {
			_, err := p.api.List(t.Context(), k, "", "")
			return err
		})
	}
	if _, err := p.api.Create(t.Context(), cluster.Namespaces, cluster.Object{"metadata": map[string]any{"name": "weightwarden"}}, false); err != nil {
		t.Fatal(err)
	}
	agentRoles(t, p, "agent", namespaces...)
	return p.pki.kubeconfig(t, "agent", p.url())
}

// watcher is the program watching on one node.
type watcher struct {
	node, dir string
	cmd       *exec.Cmd
}

// fleet are the agents of all nodes, who all have the claim mounted.
type fleet struct {
	t          *testing.T
	kubeconfig string
	agents     []*watcher
}

func newFleet(t *testing.T, h *host, kubeconfig, namespace, claim string) *fleet {
	t.Helper()
	f := &fleet{t: t, kubeconfig: kubeconfig}
	for n := range nodes {
		w := &watcher{node: fmt.Sprintf("node-%d", n), dir: t.TempDir()}
		h.write(filepath.Join(w.dir, "config.yaml"), fmt.Sprintf(`check_interval_seconds: 30
models: [{id: fraud, path: %s}]
trust: {public_keys: [%s]}
python: {environments: []}
cluster: {namespace: weightwarden, models: [{model: fraud, namespace: %s, claim: models}]}
`, claim, filepath.Join(h.dir, "release.pub"), namespace))
		f.agents = append(f.agents, w)
	}
	t.Cleanup(f.stop)
	return f
}

func (f *fleet) start() {
	f.t.Helper()
	for _, w := range f.agents {
		log, err := os.OpenFile(filepath.Join(w.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			f.t.Fatal(err)
		}
		w.cmd = exec.Command(os.Args[0])
		w.cmd.Env = append(os.Environ(), childPoint+"=-1", childArgs+"="+strings.Join([]string{
			"--state", filepath.Join(w.dir, "state"), "--config", filepath.Join(w.dir, "config.yaml"), "--log-level", "info",
			"watch", "--node", w.node, "--kubeconfig", f.kubeconfig,
		}, "\n"))
		w.cmd.Stdout, w.cmd.Stderr = log, log
		w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := w.cmd.Start(); err != nil {
			f.t.Fatal(err)
		}
		_ = log.Close()
	}
}

func (f *fleet) stop() {
	for _, w := range f.agents {
		if w.cmd != nil {
			_ = w.cmd.Process.Kill()
			_ = w.cmd.Wait()
			w.cmd = nil
		}
		if f.t.Failed() {
			data, _ := os.ReadFile(filepath.Join(w.dir, "log"))
			f.t.Logf("%s: %s", w.node, data[max(0, len(data)-2000):])
		}
	}
}

// pins are the agents' keys as a responder's configuration has them.
func (f *fleet) pins() string {
	var b strings.Builder
	for _, w := range f.agents {
		waitFor(f.t, "key of "+w.node, time.Minute, func() error {
			key, err := os.ReadFile(filepath.Join(w.dir, "state", "state.pub"))
			if err == nil {
				fmt.Fprintf(&b, "      - {node: %s, key: %q}\n", w.node, strings.TrimSpace(string(key)))
			}
			return err
		})
	}
	return b.String()
}

// census runs kube census with a state directory of its own.
func (h *host) census(t *testing.T) (code int, replicas []cluster.Object, text string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Main(t.Context(), world(&out, &errs), []string{
		"--state", filepath.Join(h.dir, "looker"), "--config", h.config, "-o", "json", "kube", "census", "fraud", "--kubeconfig", h.kubeconfig,
	})
	var o map[string]any
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return code, cluster.Object(o).Items("/replicas"), out.String()
}

// serving are the replicas that no incident holds.
func serving(replicas []cluster.Object) (out []cluster.Object) {
	for _, r := range replicas {
		if r.Text("/incident_id") == "" {
			out = append(out, r)
		}
	}
	return out
}

// unknown looks until no replica that serves is known, each for the reason.
func (h *host) unknown(t *testing.T, why string) {
	t.Helper()
	waitFor(t, "unknown because "+why, 40*time.Second, func() error {
		_, replicas, text := h.census(t)
		list := serving(replicas)
		for _, r := range list {
			if r.Text("/evidence") != "nothing" || !strings.Contains(r.Text("/why"), why) {
				return fmt.Errorf("%s", text)
			}
		}
		if len(list) != 3 {
			return fmt.Errorf("%d replicas: %s", len(list), text)
		}
		return nil
	})
}

// TestVerdicts rolls back a model that lies in a claim: which content the
// replicas have only the agents on their nodes can tell.
func TestVerdicts(t *testing.T) {
	p := newPlane(t)
	kinds := map[string]string{"deployment": "Deployment", "statefulset": "StatefulSet"}
	namespaces := []string{"claims-deployment", "claims-statefulset"}
	responder := p.responder(t, namespaces...)
	agent := p.listens(t, namespaces...)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			c := claimStory{scenario: scenario{name: "claims", namespaces: []string{"claims-" + name}, replicas: 3}, kind: kind, outage: name == "deployment"}
			c.run(t, p, responder, agent)
		})
	}
}

type claimStory struct {
	scenario
	kind string
	// outage says that the API is away when the model is tampered with.
	outage bool
	claim  string // the directory that stands for it
	host   *host
	fleet  *fleet
}

// prepare deploys the workload on a claim with the good version, and an agent
// to each node.
func (c *claimStory) prepare(t *testing.T, p *plane, responder, agent string) {
	ns := c.namespaces[0]
	c.host = newHost(t, responder, "fraud", "  - model: fraud\n", 2)
	c.claim = filepath.Join(t.TempDir(), "claim")
	if err := os.CopyFS(c.claim, os.DirFS(filepath.Join(c.host.dir, "archive", "fraud-v1"))); err != nil {
		t.Fatal(err)
	}
	c.fleet = newFleet(t, c.host, agent, ns, c.claim)
	c.fleet.start()
	conf, err := os.ReadFile(c.host.config)
	if err != nil {
		t.Fatal(err)
	}
	c.host.write(c.host.config, strings.TrimSuffix(string(conf), "  - model: fraud\n")+fmt.Sprintf(
		"  - model: fraud\n    namespaces: [%s]\n    mounted: /mnt/models\n    versions: {fraud-v1: {in_place: true}}\n    agents:\n%s", ns, c.fleet.pins()))
	volume := cluster.Object{"metadata": map[string]any{"name": ns + "-models"}, "spec": map[string]any{
		"capacity": map[string]any{"storage": "1Gi"}, "accessModes": []any{"ReadWriteMany"}, "storageClassName": "",
		"hostPath": map[string]any{"path": "/models"}, "claimRef": map[string]any{"namespace": ns, "name": "models"},
	}}
	if _, err := p.api.Create(t.Context(), kindVolume, volume, false); err != nil {
		t.Fatal(err)
	}
	extra := "strategy: {type: RollingUpdate}"
	if c.kind == "StatefulSet" {
		extra = "serviceName: fraud"
	}
	text := strings.NewReplacer("KIND", c.kind, "EXTRA", extra, "NAMESPACE", ns, "GOOD", good).Replace(claimed)
	for _, o := range objects(t, text) {
		o["metadata"].(map[string]any)["namespace"] = ns
		kind, err := p.api.Resource(t.Context(), o.Text("/apiVersion"), o.Text("/kind"))
		if err == nil {
			_, err = p.api.Create(t.Context(), kind, o, false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "replicas", 2*time.Minute, func() error {
		if n := len(c.endpoints(t.Context(), p.api)); n != c.replicas {
			return fmt.Errorf("%d of %d replicas serve", n, c.replicas)
		}
		return nil
	})
}

func (c *claimStory) run(t *testing.T, p *plane, responder, agent string) {
	c.prepare(t, p, responder, agent)
	ns, h := c.namespaces[0], c.host
	known := func(what string, state verdict.State, want int) {
		t.Helper()
		waitFor(t, what, time.Minute, func() error {
			code, replicas, text := h.census(t)
			for _, r := range serving(replicas) {
				if r.Text("/evidence") != "verdict" || r.Text("/state") != string(state) || r.Text("/node") == "" {
					return fmt.Errorf("%s", text)
				}
			}
			if len(serving(replicas)) != 3 || code != want {
				return fmt.Errorf("exit code %d: %s", code, text)
			}
			return nil
		})
	}
	known("every replica is known", verdict.Trusted, 0)
	reports, leases := p.all(t, cluster.Reports, ns), p.all(t, cluster.Leases, "weightwarden")
	if c.outage {
		p.end("apiserver", syscall.SIGKILL)
	}
	began := time.Now()
	h.write(filepath.Join(c.claim, "model.safetensors"), "bad weights")
	if c.outage {
		time.Sleep(3 * time.Second) // so long the agents try in vain
		p.startAPI(t)
	}
	known("tampering is known of every replica", verdict.Tampered, 1)
	t.Logf("the census shows the tampering after %v", time.Since(began).Round(time.Millisecond))
	c.published(t, p, "fail", "False")

	h.declare("fraud")
	served := c.pods(t, p.api)
	h.act(0, "isolate", "--apply")
	c.contained(t, p.api, h, served)
	h.rotated()
	c.fleet.stop()
	done := make(chan string, 1)
	go func() {
		code, stdout, stderr := h.try("incident", "rollback", h.incident, "--kubeconfig", h.kubeconfig, "--apply")
		done <- fmt.Sprintf("exit code %d: %s%s", code, stdout, stderr)
	}()
	h.unknown(t, "since it started") // what the agents said before they were killed
	p.restore(t, reports, leases)
	h.unknown(t, "later one")
	c.forge(t, p)
	h.unknown(t, "signed by no key that is configured")
	if left := c.endpoints(t.Context(), p.api); len(left) != 0 {
		t.Errorf("requests are let through to %v", left)
	}
	if err := os.CopyFS(filepath.Join(c.claim, "new"), os.DirFS(filepath.Join(h.dir, "archive", "fraud-v1"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(c.claim, "new", "model.safetensors"), filepath.Join(c.claim, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.claim, "new")); err != nil {
		t.Fatal(err)
	}
	c.fleet.start()
	began = time.Now()
	if said := <-done; !strings.HasPrefix(said, "exit code 0") || !strings.Contains(said, "3 of them by the verdict of the agent") {
		t.Fatalf("not rolled back: %s", said)
	}
	t.Logf("rolled back %v after the agents were there again", time.Since(began).Round(time.Millisecond))
	known("every replica has the verified version", verdict.Trusted, 0)
	waitFor(t, "all replicas serve", time.Minute, func() error {
		if n := len(c.endpoints(t.Context(), p.api)); n != c.replicas {
			return fmt.Errorf("%d of %d replicas serve", n, c.replicas)
		}
		return nil
	})
}

// published looks at what people see of it.
func (c *claimStory) published(t *testing.T, p *plane, result, trusted string) {
	t.Helper()
	// A census asks only for the nodes that have replicas; all of them tell.
	waitFor(t, "every node has told", time.Minute, func() error {
		for _, o := range p.all(t, cluster.Reports, c.namespaces[0]) {
			if o.Text("/results/0/result") != result || o.Number("/summary/pass") != 0 || o.Text("/results/1/rule") == "" {
				return fmt.Errorf("report %v", o)
			}
		}
		models := p.all(t, cluster.ProtectedModels, c.namespaces[0])
		if len(models) != 1 || models[0].Text("/status/conditions/0/status") != trusted || models[0].Number("/status/observed") != nodes {
			return fmt.Errorf("models %v", models)
		}
		return nil
	})
	api := connected(t, c.fleet.kubeconfig)
	report := p.all(t, cluster.Reports, c.namespaces[0])[0]
	if err := api.Delete(t.Context(), cluster.Reports.In(report.Namespace(), report.ObjectName()), report.UID()); fault.KindOf(err) != fault.Refused {
		t.Errorf("an agent may delete reports: %v", err)
	}
	if _, err := api.List(t.Context(), cluster.Pods, c.namespaces[0], ""); fault.KindOf(err) != fault.Refused {
		t.Errorf("an agent may list pods: %v", err)
	}
}

func (p *plane) all(t *testing.T, kind cluster.Kind, namespace string) []cluster.Object {
	t.Helper()
	list, err := p.api.List(t.Context(), kind, namespace, cluster.Managed+"="+cluster.ManagedBy)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d of %s: %v", len(list), kind.Resource, err)
	}
	return list
}

// restore puts old statements in the place of new ones, as somebody can who may
// write to them.
func (p *plane) restore(t *testing.T, reports, leases []cluster.Object) {
	t.Helper()
	for _, o := range reports {
		v, _ := o.At("/results")
		p.overwrite(t, cluster.Reports.In(o.Namespace(), o.ObjectName()), "/results", v)
	}
	for _, o := range leases {
		p.overwrite(t, cluster.Leases.In(o.Namespace(), o.ObjectName()), "/spec", o["spec"])
	}
}

func (p *plane) overwrite(t *testing.T, ref cluster.Ref, pointer string, value any) {
	t.Helper()
	op := cluster.Op{Op: "add", Path: pointer, Value: cluster.Encode(value)}
	if _, err := p.api.Patch(t.Context(), ref, []cluster.Op{op}, false); err != nil {
		t.Fatal(err)
	}
}

// forge signs everything anew with a key of one's own: fresh, and about the
// verified version.
func (c *claimStory) forge(t *testing.T, p *plane) {
	t.Helper()
	_, secret, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range p.all(t, cluster.Reports, c.namespaces[0]) {
		v, err := verdict.Parse(o.Text("/results/0/properties/verdict"))
		if err != nil {
			t.Fatal(err)
		}
		key := evidence.SigningKey{Name: strings.SplitN(o.Text("/results/0/properties/key"), "+", 2)[0], Key: secret}
		v.At, v.Sequence, v.State = time.Now().UTC(), v.Sequence+100, verdict.Trusted
		sealed, err := v.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		ref := cluster.Reports.In(o.Namespace(), o.ObjectName())
		p.overwrite(t, ref, "/results/0/properties/verdict", sealed.Text)
		p.overwrite(t, ref, "/results/0/properties/signature", sealed.Signature)
		s, err := verdict.Standing{Cluster: v.Cluster, Node: v.Node, At: v.At, Verdicts: map[string]uint64{"fraud": v.Sequence}}.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.all(t, cluster.Leases, "weightwarden") {
			if strings.Contains(l.Annotations()[cluster.NoteStanding], `"`+v.Node+`"`) {
				p.overwrite(t, cluster.Leases.In(l.Namespace(), l.ObjectName()), "/metadata/annotations",
					map[string]string{cluster.NoteStanding: s.Text, cluster.NoteSigned: s.Signature})
			}
		}
	}
}

// agentRoles makes a user with what an agent may do in the namespaces.
func agentRoles(t *testing.T, p *plane, user string, namespaces ...string) {
	t.Helper()
	p.pki.user(t, user, user)
	args := []string{"kube", "rbac", "--agent", "--user", user}
	for _, ns := range namespaces {
		args = append(args, "--namespace", ns)
	}
	for _, o := range objects(t, printed(t, args...))[0].Items("/items") {
		kind, err := p.api.Resource(t.Context(), o.Text("/apiVersion"), o.Text("/kind"))
		if err == nil {
			_, err = p.api.Create(t.Context(), kind, o, false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
