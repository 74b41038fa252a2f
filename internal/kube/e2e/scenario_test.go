package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	// patience is how long to wait for what controllers do.
	patience time.Duration
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
func (s scenario) deploy(t *testing.T, api cluster.API) {
	t.Helper()
	ctx := t.Context()
	for _, ns := range s.namespaces {
		waitFor(t, "service account in "+ns, 30*time.Second, func() error {
			_, err := api.Get(ctx, cluster.Kind{Version: "v1", Resource: "serviceaccounts", Name: "ServiceAccount"}.In(ns, "default"))
			return err
		})
		for _, o := range objects(t, s.read(t, "objects.yaml", ns)) {
			o["metadata"].(map[string]any)["namespace"] = ns
			kind, err := api.Resource(ctx, o.Text("/apiVersion"), o.Text("/kind"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := api.Create(ctx, kind, o, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitFor(t, "replicas", 2*s.patience, func() error {
		if n := len(s.endpoints(ctx, api)); n != s.replicas {
			return fmt.Errorf("%d of %d replicas serve", n, s.replicas)
		}
		return nil
	})
}

// endpoints returns the UIDs of the pods that are ready behind services.
func (s scenario) endpoints(ctx context.Context, api cluster.API) map[string]bool {
	out := map[string]bool{}
	for _, ns := range s.namespaces {
		list, err := api.List(ctx, cluster.EndpointSlices, ns, "")
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
func (s scenario) pods(t *testing.T, api cluster.API) map[string]cluster.Object {
	t.Helper()
	out := map[string]cluster.Object{}
	for _, ns := range s.namespaces {
		list, err := api.List(t.Context(), cluster.Pods, ns, "")
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
func (s scenario) state(t *testing.T, api cluster.API) map[string]any {
	t.Helper()
	out := map[string]any{}
	kinds := []cluster.Kind{
		cluster.Pods, cluster.Services, cluster.Deployments, cluster.ReplicaSets, cluster.StatefulSets, cluster.DaemonSets,
		cluster.NetworkPolicies, cluster.Autoscalers, cluster.InferenceServices, cluster.Rollouts, cluster.ScaledObjects,
		cluster.Kustomizations, cluster.HelmReleases, cluster.Applications, cluster.HTTPRoutes,
	}
	for _, ns := range s.namespaces {
		for _, kind := range kinds {
			list, err := api.List(t.Context(), kind, ns, "")
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
func (s scenario) emptied(ctx context.Context, api cluster.API) (since func(time.Time) time.Duration, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var at atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if len(s.endpoints(ctx, api)) == 0 && ctx.Err() == nil {
				at.CompareAndSwap(0, time.Now().UnixNano())
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func(from time.Time) time.Duration { <-done; return time.Duration(at.Load() - from.UnixNano()) }, cancel
}

// scenarios are the directories of testdata/scenarios.
func scenarios() []scenario {
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
		{name: "keda", replicas: 3},
		{name: "helm", replicas: 3},
		{name: "argocd", replicas: 3},
		{name: "routes", replicas: 3},
	}
	for n := range all {
		if all[n].namespaces == nil {
			all[n].namespaces = []string{all[n].name}
		}
		all[n].patience = time.Minute
	}
	return all
}

// TestScenarios takes each model out of serving in a real control plane, gives
// it back, takes it out again and rolls it back.
func TestScenarios(t *testing.T) {
	p := newPlane(t)
	p.extend(t)
	var namespaces []string
	for _, s := range scenarios() {
		namespaces = append(namespaces, s.namespaces...)
	}
	responder := p.responder(t, namespaces...)
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			if s.within == 0 { // where nothing is timed
				t.Parallel()
			}
			s.story(t, p.api, responder, 2)
		})
	}
}

// story is what happens in every scenario. The responder looks again for some
// seconds whether what it did holds.
func (s scenario) story(t *testing.T, api cluster.API, kubeconfig string, settle int) {
	s.deploy(t, api)
	h := newHost(t, kubeconfig, "fraud", s.read(t, "workloads.yaml", s.namespaces[0]), settle)
	before, pods := s.state(t, api), s.pods(t, api)

	h.declare("fraud")
	plan := planOf(t, h.act(0, "isolate"))
	s.golden(t, "plan.golden", planned(plan.Steps, plan.Remarks, h.incident))
	s.isolate(t, api, h, pods)
	s.golden(t, "isolated.golden", s.end(t, api, h.incident))
	h.rotated()
	h.act(0, "undo", "--apply")
	s.returned(t, api, before)

	h.declare("fraud")
	s.isolate(t, api, h, pods)
	if !s.bare {
		s.rollback(t, api, h, pods)
	}
	s.golden(t, "journal.golden", h.journaled())
	s.golden(t, "end.golden", s.end(t, api, h.incident))
}

// isolate takes the model out of serving and looks at the cluster: nobody is
// reached, nothing was made anew, and every pod that served lives.
func (s scenario) isolate(t *testing.T, api cluster.API, h *host, served map[string]cluster.Object) {
	t.Helper()
	since, stop := s.emptied(t.Context(), api)
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
	s.contained(t, api, h, served)
}

func (s scenario) contained(t *testing.T, api cluster.API, h *host, served map[string]cluster.Object) {
	t.Helper()
	if left := s.endpoints(t.Context(), api); len(left) != 0 {
		t.Errorf("endpoints lead to %v", left)
	}
	now := s.pods(t, api)
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
func (s scenario) rollback(t *testing.T, api cluster.API, h *host, evidence map[string]cluster.Object) {
	t.Helper()
	h.rotated()
	began := time.Now()
	h.act(0, "rollback", "--apply")
	t.Logf("rolled back in %v", time.Since(began).Round(time.Millisecond))
	s.restored(t, api, evidence)
}

// restored looks at every replica: all serve the verified version, and nobody
// the other; and the evidence lives.
func (s scenario) restored(t *testing.T, api cluster.API, evidence map[string]cluster.Object) {
	t.Helper()
	waitFor(t, "all replicas serve", s.patience, func() error {
		if n := len(s.endpoints(t.Context(), api)); n != s.replicas {
			return fmt.Errorf("%d of %d replicas serve", n, s.replicas)
		}
		return nil
	})
	pods := s.pods(t, api)
	for uid := range s.endpoints(t.Context(), api) {
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

// returned looks whether everything is as it was.
func (s scenario) returned(t *testing.T, api cluster.API, before map[string]any) {
	t.Helper()
	waitFor(t, "all replicas serve again", s.patience, func() error {
		if d := cmp.Diff(before, s.state(t, api)); d != "" {
			return errors.New(d)
		}
		if n := len(s.endpoints(t.Context(), api)); n != s.replicas {
			return fmt.Errorf("%d of %d replicas serve", n, s.replicas)
		}
		return nil
	})
}

// responder returns the kubeconfig of a user who has the generated roles in
// these namespaces and nothing else.
func (p *plane) responder(t *testing.T, namespaces ...string) string {
	t.Helper()
	p.pki.user(t, "responder", "responder")
	bind(t, p.api, "responder", namespaces...)
	return p.pki.kubeconfig(t, "responder", p.url())
}

// bind makes the namespaces, and gives a user the generated roles there.
func bind(t *testing.T, api cluster.API, user string, namespaces ...string) {
	t.Helper()
	args := []string{"kube", "rbac", "--user", user}
	for _, ns := range namespaces {
		if _, err := api.Create(t.Context(), cluster.Namespaces, cluster.Object{"metadata": map[string]any{"name": ns}}, false); err != nil {
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
			kind, err := api.Resource(t.Context(), o.Text("/apiVersion"), o.Text("/kind"))
			if err == nil {
				_, err = api.Create(t.Context(), kind, o, false)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
