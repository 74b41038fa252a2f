package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cli"
	"github.com/weightwarden/weightwarden/internal/cluster"
)

// good is the digest of the verified image.
var good = strings.Repeat("1", 64)

// scenario is a directory of testdata/scenarios and what is to be seen of it.
type scenario struct {
	name       string
	namespaces []string
	// replicas is how many pods serve before, and after a rollback.
	replicas int
	// remade says that a controller deletes and makes what is between the
	// root and the pods, so that only these are the same after an undo.
	remade bool
	// bare says that nobody controls the pods, so that nobody rolls them back.
	bare bool
	// within is how long after --apply the endpoints may take to be empty.
	within time.Duration
}

// bad is the digest of the tampered image: one for each scenario, because one
// that was denied in the cluster cannot be deployed again.
func (s scenario) bad() string { return artifact.SHA256Of([]byte(s.namespaces[0])).Hex() }

func (s scenario) read(t *testing.T, file, namespace string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "scenarios", s.name, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("BAD", s.bad(), "GOOD", good, "NAMESPACE", namespace).Replace(string(data))
}

// objects reads a file of YAML documents.
func objects(t *testing.T, text string) (out []cluster.Object) {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var o map[string]any
		d := json.NewDecoder(bytes.NewReader(data))
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		if o != nil {
			out = append(out, whole(o).(map[string]any))
		}
	}
}

// whole makes whole numbers of JSON's.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case []any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case float64:
		return int64(v)
	}
	return v
}

// deploy makes the scenario's objects in its namespaces and waits until all
// replicas serve.
func (s scenario) deploy(t *testing.T, p *plane) {
	t.Helper()
	ctx := t.Context()
	for _, ns := range s.namespaces {
		waitFor(t, "service account in "+ns, 30*time.Second, func() error {
			_, err := p.api.Get(ctx, cluster.Kind{Version: "v1", Resource: "serviceaccounts", Name: "ServiceAccount"}.In(ns, "default"))
			return err
		})
		for _, o := range objects(t, s.read(t, "objects.yaml", ns)) {
			o["metadata"].(map[string]any)["namespace"] = ns
			kind, err := p.api.Resource(ctx, o.Text("/apiVersion"), o.Text("/kind"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.api.Create(ctx, kind, o, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitFor(t, "replicas", 2*time.Minute, func() error {
		if n := len(s.endpoints(ctx, p)); n != s.replicas {
			return fmt.Errorf("%d of %d replicas serve", n, s.replicas)
		}
		return nil
	})
}

// endpoints returns the UIDs of the pods that are ready behind services.
func (s scenario) endpoints(ctx context.Context, p *plane) map[string]bool {
	out := map[string]bool{}
	for _, ns := range s.namespaces {
		list, err := p.api.List(ctx, cluster.EndpointSlices, ns, "")
		if err != nil {
			return map[string]bool{"unknown: " + err.Error(): true}
		}
		_, pods := cluster.Endpoints(list)
		for uid := range pods {
			out[uid] = true
		}
	}
	return out
}

// pods returns the pods of the namespaces, by UID.
func (s scenario) pods(t *testing.T, p *plane) map[string]cluster.Object {
	t.Helper()
	out := map[string]cluster.Object{}
	for _, ns := range s.namespaces {
		list, err := p.api.List(t.Context(), cluster.Pods, ns, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			out[o.UID()] = o
		}
	}
	return out
}

// state is everything of the namespaces that containment could have touched,
// without what the API itself counts and dates.
func (s scenario) state(t *testing.T, p *plane) map[string]any {
	t.Helper()
	out := map[string]any{}
	kinds := []cluster.Kind{
		cluster.Pods, cluster.Services, cluster.Deployments, cluster.ReplicaSets, cluster.StatefulSets, cluster.DaemonSets,
		cluster.NetworkPolicies, cluster.Autoscalers, cluster.InferenceServices, cluster.Rollouts,
	}
	for _, ns := range s.namespaces {
		for _, kind := range kinds {
			list, err := p.api.List(t.Context(), kind, ns, "")
			if err != nil {
				continue // a kind that this control plane has not
			}
			for _, o := range list {
				meta := o["metadata"].(map[string]any)
				for _, counted := range []string{"managedFields", "resourceVersion", "generation"} {
					delete(meta, counted)
				}
				if counted, ok := meta["annotations"].(map[string]any); ok {
					delete(counted, "deprecated.daemonset.template.generation")
				}
				delete(o, "status")
				if s.remade {
					delete(meta, "ownerReferences")
					if kind != cluster.Pods && kind != cluster.InferenceServices {
						continue
					}
				}
				out[kind.In(ns, o.ObjectName()).String()] = map[string]any(o)
			}
		}
	}
	return out
}

// emptied measures when the endpoints are empty after a moment.
func (s scenario) emptied(ctx context.Context, p *plane) (since func(time.Time) time.Duration, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var at atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if len(s.endpoints(ctx, p)) == 0 && ctx.Err() == nil {
				at.CompareAndSwap(0, time.Now().UnixNano())
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func(from time.Time) time.Duration { <-done; return time.Duration(at.Load() - from.UnixNano()) }, cancel
}

// TestScenarios takes each model out of serving, gives it back, takes it out
// again and rolls it back.
func TestScenarios(t *testing.T) {
	p := newPlane(t)
	p.extend(t)
	all := []scenario{
		{name: "deployment", replicas: 3, within: time.Second},
		{name: "large", replicas: 150, within: 5 * time.Second},
		{name: "statefulset", replicas: 3},
		{name: "daemonset", replicas: nodes},
		{name: "autoscaled", replicas: 3},
		{name: "namespaces", namespaces: []string{"namespaces-a", "namespaces-b"}, replicas: 4},
		{name: "gitops", replicas: 3},
		{name: "pods", replicas: 2, bare: true},
		{name: "rollout", replicas: 3},
		{name: "kserve", replicas: 3, remade: true},
	}
	var namespaces []string
	for n := range all {
		if all[n].namespaces == nil {
			all[n].namespaces = []string{all[n].name}
		}
		namespaces = append(namespaces, all[n].namespaces...)
	}
	responder := p.responder(t, namespaces...)
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			if s.within == 0 { // where nothing is timed
				t.Parallel()
			}
			s.story(t, p, responder)
		})
	}
}

func (s scenario) story(t *testing.T, p *plane, kubeconfig string) {
	s.deploy(t, p)
	h := newHost(t, kubeconfig, "fraud", s.read(t, "workloads.yaml", s.namespaces[0]))
	before, pods := s.state(t, p), s.pods(t, p)

	h.declare("fraud")
	s.planned(t, h)
	s.isolate(t, p, h, pods)
	h.rotated()
	h.act(0, "undo", "--apply")
	waitFor(t, "all replicas serve again", time.Minute, func() error {
		if d := cmp.Diff(before, s.state(t, p)); d != "" {
			return errors.New(d)
		}
		if n := len(s.endpoints(t.Context(), p)); n != s.replicas {
			return fmt.Errorf("%d of %d replicas serve", n, s.replicas)
		}
		return nil
	})

	h.declare("fraud")
	s.isolate(t, p, h, pods)
	if !s.bare {
		s.rollback(t, p, h, pods)
	}
}

var update = flag.Bool("update", false, "rewrite the golden files")

// planned compares the plan with the scenario's golden one: which steps, on
// what, in which order, and what is remarked.
func (s scenario) planned(t *testing.T, h *host) {
	t.Helper()
	text, _ := json.Marshal(h.act(0, "isolate")["plan"])
	var plan action.Plan
	if err := json.Unmarshal(text, &plan); err != nil || len(plan.Steps) == 0 {
		t.Fatalf("no plan: %v", err)
	}
	var b strings.Builder
	for _, step := range plan.Steps {
		fmt.Fprintf(&b, "%s (%s) of %s\n  %s\n  done when: %s\n", step.ID, step.Kind, step.Target, step.Summary, step.Post)
		if step.Inverse != nil {
			fmt.Fprintf(&b, "  taken back by %s: %s\n", step.Inverse.Kind, step.Inverse.Summary)
		}
	}
	for _, remark := range plan.Remarks {
		fmt.Fprintf(&b, "remark: %s\n", remark)
	}
	got := strings.NewReplacer(h.incident, "INCIDENT", strings.ToLower(h.incident), "incident").Replace(b.String())
	file := filepath.Join("testdata", "scenarios", s.name, "plan.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("the plan is another one than in %s (write it with -update):\n%s", file, d)
	}
}

// isolate takes the model out of serving and looks at the cluster: nobody is
// reached, nothing was made anew, and every pod that served lives.
func (s scenario) isolate(t *testing.T, p *plane, h *host, served map[string]cluster.Object) {
	t.Helper()
	since, stop := s.emptied(t.Context(), p)
	defer stop()
	began := time.Now()
	out := h.act(0, "isolate", "--apply")
	took := time.Since(began)
	if state := out["state"]; state != "contained" {
		t.Errorf("state is %v", state)
	}
	empty := since(began)
	t.Logf("isolated in %v, endpoints empty after %v", took.Round(time.Millisecond), empty.Round(time.Millisecond))
	if s.within > 0 && empty > s.within {
		t.Errorf("endpoints were empty after %v, not within %v", empty, s.within)
	}
	s.contained(t, p, h, served)
}

func (s scenario) contained(t *testing.T, p *plane, h *host, served map[string]cluster.Object) {
	t.Helper()
	if left := s.endpoints(t.Context(), p); len(left) != 0 {
		t.Errorf("endpoints lead to %v", left)
	}
	now := s.pods(t, p)
	for uid, o := range served {
		held := now[uid]
		if held == nil || !cluster.Running(held) || held.Labels()[cluster.LabelIncident] != h.incident || held.Controller() != nil {
			t.Errorf("evidence pod %s is lost, or not detached: %v", o.ObjectName(), held["metadata"])
		}
	}
	for uid, o := range now {
		if served[uid] == nil && o.Labels()[cluster.LabelIncident] == "" {
			t.Errorf("pod %s was made anew", o.ObjectName())
		}
	}
}

// rollback puts the verified version in place and looks at every replica.
func (s scenario) rollback(t *testing.T, p *plane, h *host, evidence map[string]cluster.Object) {
	t.Helper()
	h.rotated()
	began := time.Now()
	h.act(0, "rollback", "--apply")
	t.Logf("rolled back in %v", time.Since(began).Round(time.Millisecond))
	waitFor(t, "all replicas serve", time.Minute, func() error {
		if n := len(s.endpoints(t.Context(), p)); n != s.replicas {
			return fmt.Errorf("%d of %d replicas serve", n, s.replicas)
		}
		return nil
	})
	pods := s.pods(t, p)
	for uid := range s.endpoints(t.Context(), p) {
		if text, _ := json.Marshal(pods[uid]["spec"]); !strings.Contains(string(text), good) || strings.Contains(string(text), s.bad()) {
			t.Errorf("pod %s serves %s", pods[uid].ObjectName(), text)
		}
	}
	for uid, o := range evidence {
		if !cluster.Running(pods[uid]) {
			t.Errorf("evidence pod %s is lost", o.ObjectName())
		}
	}
}

// responder returns the kubeconfig of a user who has the generated roles in
// these namespaces and nothing else.
func (p *plane) responder(t *testing.T, namespaces ...string) string {
	t.Helper()
	p.pki.user(t, "responder", "responder")
	args := []string{"kube", "rbac", "--user", "responder"}
	for _, ns := range namespaces {
		if _, err := p.api.Create(t.Context(), cluster.Namespaces, cluster.Object{"metadata": map[string]any{"name": ns}}, false); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--namespace", ns)
	}
	var out, errs bytes.Buffer
	if code := cli.Main(t.Context(), world(&out, &errs), args); code != 0 {
		t.Fatal(errs.String())
	}
	for _, list := range objects(t, out.String()) {
		for _, o := range list.Items("/items") {
			kind, err := p.api.Resource(t.Context(), o.Text("/apiVersion"), o.Text("/kind"))
			if err == nil {
				_, err = p.api.Create(t.Context(), kind, o, false)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return p.pki.kubeconfig(t, "responder", p.url())
}
