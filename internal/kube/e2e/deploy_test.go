package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/cli"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/deploy/charttest"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/kubernetes"
	"github.com/weightwarden/weightwarden/internal/rollout"
)

// deployer runs deploy kubernetes as one user, with one configuration.
type deployer struct {
	t                  *testing.T
	kubeconfig, config string
}

const watched = "models: [{id: fraud, path: /models/fraud}]\noperations: {listen: \":9464\"}\n"

func newDeployer(t *testing.T, kubeconfig string) *deployer {
	t.Helper()
	d := &deployer{t: t, kubeconfig: kubeconfig, config: filepath.Join(t.TempDir(), "config.yaml")}
	d.configure(watched)
	return d
}

func (d *deployer) configure(text string) {
	d.t.Helper()
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// deployed is what the command prints with -o json.
type deployed struct {
	Applied bool
	Objects []rollout.Change
	Rollout *rollout.Status
	Error   string
}

func (d deployed) outcomes() map[string]rollout.Outcome {
	out := map[string]rollout.Outcome{}
	for _, c := range d.Objects {
		out[c.Kind] = c.Outcome
	}
	return out
}

// run runs the command, which has to end with the code.
func (d *deployer) run(code int, args ...string) (out deployed, stderr string) {
	d.t.Helper()
	var stdout, errs bytes.Buffer
	all := append([]string{"--config", d.config, "-o", "json", "deploy", "kubernetes", "--kubeconfig", d.kubeconfig, "--image", "registry.invalid/weightwarden:1"}, args...)
	if got := cli.Main(d.t.Context(), world(&stdout, &errs), all); got != code {
		d.t.Fatalf("%s: exit code %d instead of %d\n%s%s", strings.Join(args, " "), got, code, &stdout, &errs)
	}
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
			d.t.Fatalf("%v\n%s", err, &stdout)
		}
	}
	return out, errs.String()
}

// revisions are the states of the watcher's objects in a namespace.
func (p *plane) revisions(t *testing.T, namespace string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, kind := range []cluster.Kind{cluster.DaemonSets, cluster.Deployments, cluster.StatefulSets, configMaps} {
		list, err := p.api.List(t.Context(), kind, namespace, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			delete(o, "status")
			delete(o["metadata"].(map[string]any), "managedFields")
			out[kind.Resource+"/"+o.ObjectName()] = fmt.Sprint(o.Number("/metadata/generation"), o.Texts("/data"))
		}
	}
	return out
}

var configMaps = cluster.Kind{Version: "v1", Resource: "configmaps", Name: "ConfigMap"}

func all(o rollout.Outcome, kinds ...string) map[string]rollout.Outcome {
	out := map[string]rollout.Outcome{}
	for _, k := range kinds {
		out[k] = o
	}
	return out
}

var ofDaemonSet = []string{"Namespace", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "DaemonSet"}

// TestDeploy applies what deploy kubernetes prints, form by form, and looks at
// the cluster.
func TestDeploy(t *testing.T) {
	p := newPlane(t)
	t.Run("daemonset", func(t *testing.T) { daemonSet(t, p) })
	t.Run("owned_by_others", func(t *testing.T) { ownedByOthers(t, p) })
	t.Run("never_ready", func(t *testing.T) { neverReady(t, p) })
	t.Run("beside_a_server", func(t *testing.T) { besideServer(t, p) })
	t.Run("chart", func(t *testing.T) { charted(t, p) })
	t.Run("mistakes", func(t *testing.T) { deployMistakes(t, p) })
	t.Run("events", func(t *testing.T) { events(t, p) })
}

// events has an agent tell of an alert, with the rights of an agent.
func events(t *testing.T, p *plane) {
	ns := cluster.Object{"metadata": map[string]any{"name": "told"}}
	if _, err := p.api.Create(t.Context(), cluster.Namespaces, ns, false); err != nil {
		t.Fatal(err)
	}
	agentRoles(t, p, "teller", "told")
	conf := &kubernetes.Config{Namespace: "told", Name: "fraud"}
	transport, err := conf.Open(notify.World{Host: "gpu-7", Cluster: func() (cluster.API, error) {
		return connected(t, p.pki.kubeconfig(t, "teller", p.url())), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []notify.Alert{
		{Key: "1", Status: notify.Firing, Title: "one", Text: "one\n" + strings.Repeat("ä", 2000), At: time.Now()},
		{Key: "1", Status: notify.Firing, Title: "one", Text: "one\n" + strings.Repeat("ä", 2000), At: time.Now()},
		{Key: "2", Status: notify.Resolved, Title: "two", At: time.Now()},
	} {
		if retry, err := transport.Send(t.Context(), a); err != nil || retry {
			t.Fatalf("retry %v, %v", retry, err)
		}
	}
	list, err := p.api.List(t.Context(), cluster.Events, "told", "") // as kubectl describe looks for them
	if err != nil || len(list) != 2 {
		t.Fatalf("%d events, %v", len(list), err)
	}
	for _, e := range list {
		if e.Text("/involvedObject/kind") != "Deployment" || e.Text("/involvedObject/name") != "fraud" || e.Text("/message") == "" {
			t.Errorf("%v", e)
		}
	}
}

func daemonSet(t *testing.T, p *plane) {
	d := newDeployer(t, p.admin)
	plan, _ := d.run(0, "--dry-run")
	want := all(rollout.Waits, ofDaemonSet...)
	want["Namespace"] = rollout.Created
	if diff := cmp.Diff(want, plan.outcomes()); diff != "" || plan.Applied {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	if len(p.revisions(t, "weightwarden")) != 0 {
		t.Fatal("the dry run made something")
	}
	first, _ := d.run(0, "--apply")
	if diff := cmp.Diff(all(rollout.Created, ofDaemonSet...), first.outcomes()); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if r := first.Rollout; r == nil || !r.Finished || r.Desired != nodes || r.Available != nodes {
		t.Errorf("rollout %+v", r)
	}
	p.runs(t, "weightwarden", cluster.DaemonSets, "weightwarden", nodes)

	before := p.revisions(t, "weightwarden")
	again, _ := d.run(0, "--apply")
	if diff := cmp.Diff(all(rollout.Unchanged, ofDaemonSet...), again.outcomes()); diff != "" {
		t.Errorf("second (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, p.revisions(t, "weightwarden")); diff != "" {
		t.Errorf("applying twice changed (-before +after):\n%s", diff)
	}

	d.configure(watched + "check_interval_seconds: 60\n")
	plan, _ = d.run(0, "--dry-run")
	if got := plan.outcomes(); got["ConfigMap"] != rollout.Changed || got["DaemonSet"] != rollout.Changed || got["Role"] != rollout.Unchanged {
		t.Errorf("outcomes %v", got)
	}
	if diff := cmp.Diff(before, p.revisions(t, "weightwarden")); diff != "" {
		t.Errorf("the dry run changed (-before +after):\n%s", diff)
	}
	changed, _ := d.run(0, "--apply")
	for _, c := range changed.Objects {
		if c.Kind == "DaemonSet" && (len(c.Fields) != 1 || !strings.Contains(c.Fields[0].Path, rollout.NoteConfig)) {
			t.Errorf("changed fields %v", c.Fields)
		}
		if c.Kind == "ConfigMap" && strings.Contains(fmt.Sprintf("%s", c.Fields), "/models") {
			t.Errorf("the configuration is shown: %s", c.Fields)
		}
	}
	p.runs(t, "weightwarden", cluster.DaemonSets, "weightwarden", nodes)
	root, _ := d.run(0, "--root", "--who", "--apply")
	if root.outcomes()["DaemonSet"] != rollout.Changed {
		t.Errorf("%+v", root)
	}
	p.runs(t, "weightwarden", cluster.DaemonSets, "weightwarden", nodes)
}

// runs looks whether every pod of a workload has its newest template, and is
// ready.
func (p *plane) runs(t *testing.T, namespace string, kind cluster.Kind, name string, replicas int) {
	t.Helper()
	o, err := p.api.Get(t.Context(), kind.In(namespace, name))
	if err != nil {
		t.Fatal(err)
	}
	pods, err := p.api.List(t.Context(), cluster.Pods, namespace, cluster.Equality(o.Texts("/spec/selector/matchLabels")))
	if err != nil || len(pods) != replicas {
		t.Fatalf("%d pods instead of %d, %v", len(pods), replicas, err)
	}
	want := o.Text(cluster.Pointer("spec", "template", "metadata", "annotations", rollout.NoteConfig))
	for _, pod := range pods {
		if got := pod.Annotations()[rollout.NoteConfig]; got != want || want == "" || !condition(pod, "Ready") {
			t.Errorf("pod %s: configuration %s instead of %s, ready %v", pod.ObjectName(), got, want, condition(pod, "Ready"))
		}
	}
}

// ownedByOthers lets somebody else own a field: it is named, and kept.
func ownedByOthers(t *testing.T, p *plane) {
	d := newDeployer(t, p.admin)
	d.run(0, "--into", "owned", "--apply")
	ref := cluster.DaemonSets.In("owned", "weightwarden")
	p.applyAs(t, "platform-team", cluster.Object{
		"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": map[string]any{"name": "weightwarden", "namespace": "owned"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"priorityClassName": "system-cluster-critical"}}},
	})
	before := p.revisions(t, "owned")
	d.configure(watched + "check_interval_seconds: 60\n")
	for _, how := range []string{"--dry-run", "--apply"} {
		_, stderr := d.run(5, "--into", "owned", how)
		for _, word := range []string{"platform-team", "priorityClassName", "hint:", "--force-conflicts"} {
			if !strings.Contains(stderr, word) {
				t.Errorf("%s: no word of %s: %s", how, word, stderr)
			}
		}
	}
	if diff := cmp.Diff(before, p.revisions(t, "owned")); diff != "" {
		t.Errorf("something was changed although it was refused (-before +after):\n%s", diff)
	}
	if o, err := p.api.Get(t.Context(), ref); err != nil || o.Text("/spec/template/spec/priorityClassName") != "system-cluster-critical" {
		t.Errorf("the field of others was taken: %v", err)
	}
}

// neverReady gives it images that cannot run.
func neverReady(t *testing.T, p *plane) {
	d := newDeployer(t, p.admin)
	out, stderr := d.run(4, "--into", "bad", "--image", "registry.invalid/missing:1", "--timeout", "6s", "--apply")
	if !out.Applied || out.Rollout == nil || out.Rollout.Finished || !strings.Contains(out.Error, "ImagePullBackOff") {
		t.Errorf("%+v", out)
	}
	for _, word := range []string{"did not finish within 6s", "Back-off pulling image", "(4 pods)", "hint: check --image", "rollout undo daemonset/weightwarden"} {
		if !strings.Contains(stderr, word) {
			t.Errorf("no word of %q: %s", word, stderr)
		}
	}
	_, stderr = d.run(4, "--into", "bad", "--image", "registry.invalid/broken:1", "--timeout", "12s", "--apply")
	if !strings.Contains(stderr, "exit code 2 (Error)") || !strings.Contains(stderr, "hint: the configuration does not hold") {
		t.Errorf("%s", stderr)
	}
	d.run(0, "--into", "bad", "--apply")
	p.runs(t, "bad", cluster.DaemonSets, "weightwarden", nodes)
	// A namespace whose owner admits no such pods: its label is not taken.
	p.namespace(t, "strict", "restricted")
	_, stderr = d.run(5, "--into", "strict", "--apply")
	if !strings.Contains(stderr, "pod-security.kubernetes.io/enforce") {
		t.Errorf("%s", stderr)
	}
}

const server = `apiVersion: apps/v1
kind: %s
metadata: {name: fraud, namespace: serving}
spec:
  replicas: 3
  serviceName: fraud
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: server
          image: registry.invalid/server:1
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: models, mountPath: /models}]
      volumes: [{name: models, emptyDir: {}}]
`

// namespace makes one that admits pods of a level of Pod Security.
func (p *plane) namespace(t *testing.T, name, level string) {
	t.Helper()
	_, err := p.api.Create(t.Context(), cluster.Namespaces, cluster.Object{"metadata": map[string]any{
		"name": name, "labels": map[string]any{"pod-security.kubernetes.io/enforce": level},
	}}, false)
	if err != nil {
		t.Fatal(err)
	}
}

// besideServer puts the watcher into servers, in a namespace that admits only
// what the strictest level of Pod Security does.
func besideServer(t *testing.T, p *plane) {
	p.namespace(t, "serving", "restricted")
	for kind, resource := range map[string]cluster.Kind{"Deployment": cluster.Deployments, "StatefulSet": cluster.StatefulSets} {
		text := fmt.Sprintf(server, kind, strings.ToLower(kind))
		if kind == "Deployment" {
			text = strings.Replace(text, "  serviceName: fraud\n", "", 1)
		}
		for _, o := range objects(t, text) {
			if _, err := p.api.Create(t.Context(), resource, o, false); err != nil {
				t.Fatal(err)
			}
		}
		for _, form := range []string{"sidecar", "init"} {
			t.Run(strings.ToLower(kind)+"_"+form, func(t *testing.T) {
				d := newDeployer(t, p.admin)
				args := []string{"--form", form, "--volume", "models", "--workload", strings.ToLower(kind) + "/fraud", "-n", "serving"}
				out, _ := d.run(0, append(args, "--apply")...)
				if out.Rollout == nil || !out.Rollout.Finished || out.Rollout.Updated != 3 {
					t.Errorf("%+v", out.Rollout)
				}
				p.runs(t, "serving", resource, "fraud", 3)
				o, err := p.api.Get(t.Context(), resource.In("serving", "fraud"))
				if err != nil || o.Text("/spec/template/spec/containers/0/name") == "" {
					t.Fatal(err)
				}
				if n := len(o.Items("/spec/template/spec/containers")); n != map[string]int{"sidecar": 2, "init": 1}[form] {
					t.Errorf("%d containers", n)
				}
				again, _ := d.run(0, append(args, "--apply")...)
				if diff := cmp.Diff(all(rollout.Unchanged, "ConfigMap", kind), again.outcomes()); diff != "" {
					t.Errorf("second (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// charted applies what the Helm chart makes, in a namespace that admits it, and
// a change of its configuration.
func charted(t *testing.T, p *plane) {
	p.namespace(t, "charted", "privileged")
	for n, config := range []string{"models: []", "models: []\ncheck_interval_seconds: 60"} {
		for _, root := range []bool{false, true} {
			var values any
			for _, o := range objects(t, config) {
				values = map[string]any(o)
			}
			text, err := charttest.Render("../../../deploy/helm/weightwarden", "charted", map[string]any{"root": root, "config": values})
			if err != nil {
				t.Fatal(err)
			}
			list := objects(t, string(text))
			changes, err := rollout.Apply(t.Context(), p.api, list)
			if err != nil || len(changes) != len(list) {
				t.Fatalf("%v: %v", changes, err)
			}
			last := list[len(list)-1]
			sum := last.Text(cluster.Pointer("spec", "template", "metadata", "annotations", rollout.NoteConfig))
			s, err := rollout.Wait(t.Context(), p.api, cluster.DaemonSets.In("charted", "weightwarden"), sum, time.Minute, func(rollout.Status) {})
			if err != nil || s.Available != nodes {
				t.Fatalf("configuration %d, root %v: %s, %v", n, root, s, err)
			}
			p.runs(t, "charted", cluster.DaemonSets, "weightwarden", nodes)
			if again, err := rollout.Plan(t.Context(), p.api, list); err != nil || slices.ContainsFunc(again, func(c rollout.Change) bool { return c.Outcome != rollout.Unchanged }) {
				t.Errorf("applied again: %v, %v", again, err)
			}
		}
	}
}

// deployMistakes are those of an operator.
func deployMistakes(t *testing.T, p *plane) {
	p.pki.user(t, "visitor", "visitor")
	visitor := p.pki.kubeconfig(t, "visitor", p.url())
	admin := p.admin
	for name, tt := range map[string]struct {
		kubeconfig string
		code       int
		args, want []string
	}{
		"no_rights":     {visitor, 5, []string{"--apply"}, []string{"forbidden", "hint: deploying takes the right"}},
		"no_workload":   {admin, 2, []string{"--form", "sidecar", "--volume", "models", "--workload", "deployment/frod", "-n", "serving", "--apply"}, []string{"there is no Deployment serving/frod", "hint: see kubectl get"}},
		"no_namespace":  {admin, 2, []string{"--form", "init", "--volume", "models", "--workload", "deployment/fraud", "-n", "sreving", "--dry-run"}, []string{"there is no Deployment sreving/fraud"}},
		"wrong_volume":  {admin, 2, []string{"--form", "sidecar", "--volume", "model", "--workload", "deployment/fraud", "-n", "serving", "--dry-run"}, []string{"no volume model", "there are:", "models"}},
		"wrong_name":    {admin, 2, []string{"--into", "Watch_Tower", "--apply"}, []string{"Watch_Tower"}},
		"missing_claim": {admin, 4, []string{"--form", "sidecar", "--volume", "models", "--workload", "deployment/fraud", "-n", "serving", "--claim", "state", "--timeout", "6s", "--apply"}, []string{"no node takes the pod", "state"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr := newDeployer(t, tt.kubeconfig).run(tt.code, tt.args...)
			for _, word := range tt.want {
				if !strings.Contains(stderr, word) {
					t.Errorf("no word of %q: %s", word, stderr)
				}
			}
		})
	}
}
