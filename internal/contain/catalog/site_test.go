package catalog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/contain/catalog"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// held is an API that holds objects and changes none. admit, where there is
// one, is asked about what is made.
type held struct {
	objects map[string]cluster.Object
	admit   func(o cluster.Object) error
	patches int
}

func holding(t *testing.T, texts ...string) *held {
	t.Helper()
	h := &held{objects: map[string]cluster.Object{}}
	for _, text := range append(texts, `{"kind":"Namespace","metadata":{"name":"kube-system","uid":"cluster-1"}}`) {
		var o map[string]any
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		h.put(o)
	}
	return h
}

func (h *held) put(o cluster.Object) {
	h.objects[o.Text("/kind")+" "+o.Namespace()+"/"+o.ObjectName()] = o
}

func (h *held) Get(_ context.Context, ref cluster.Ref) (cluster.Object, error) {
	if o := h.objects[ref.Name+" "+ref.Namespace+"/"+ref.Object]; o != nil {
		return o, nil
	}
	return nil, fault.New(fault.NotFound, "%s is not there", ref)
}

func (h *held) List(_ context.Context, kind cluster.Kind, namespace, _ string) (out []cluster.Object, err error) {
	for _, o := range h.objects {
		if o.Text("/kind") == kind.Name && o.Namespace() == namespace {
			out = append(out, o)
		}
	}
	return out, nil
}

func (h *held) Create(_ context.Context, kind cluster.Kind, o cluster.Object, dry bool) (cluster.Object, error) {
	o["kind"] = kind.Name
	if h.admit != nil && kind == cluster.Pods {
		if err := h.admit(o); err != nil {
			return nil, err
		}
	}
	if !dry {
		h.put(o)
	}
	return o, nil
}

func (h *held) Patch(context.Context, cluster.Ref, []cluster.Op, bool) (cluster.Object, error) {
	h.patches++
	return nil, nil
}

func (h *held) Delete(context.Context, cluster.Ref, string) error { return nil }

func (h *held) Resource(_ context.Context, apiVersion, kind string) (cluster.Kind, error) {
	for _, k := range []cluster.Kind{cluster.Deployments, cluster.InferenceServices, cluster.Kustomizations} {
		if k.APIVersion() == apiVersion && k.Name == kind {
			return k, nil
		}
	}
	return cluster.Kind{}, fault.New(fault.NotFound, "no such kind")
}

// isolate returns the drivers and what they plan against the model fraud.
func isolate(t *testing.T, api cluster.API) (map[string]catalog.ClusterDriver, map[string]action.Step, []string) {
	t.Helper()
	scenes := func(ctx context.Context, m artifact.Model) (*cluster.Scene, error) {
		return cluster.Find(ctx, api, cluster.Selector{Model: m.ID, Namespaces: []string{"ml"}})
	}
	drivers, steps := map[string]catalog.ClusterDriver{}, map[string]action.Step{}
	var remarks []string
	for _, d := range catalog.Cluster(api, scenes, nil) {
		drivers[d.Name()] = d
		draft, err := d.Isolate(t.Context(), action.Request{Incident: "INC-1", Model: artifact.Model{ID: "fraud"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range draft.Steps {
			steps[s.ID] = s
		}
		remarks = append(remarks, draft.Remarks...)
	}
	return drivers, steps, remarks
}

const (
	deployment = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"fraud","namespace":"ml","uid":"d","labels":{"kustomize.toolkit.fluxcd.io/name":"apps","kustomize.toolkit.fluxcd.io/namespace":"flux"}},
 "spec":{"replicas":1,"selector":{"matchLabels":{"app":"fraud"}},"template":{"metadata":{"labels":{"app":"fraud","model":"fraud"}},"spec":{"containers":[{"name":"s","image":"r/fraud@sha256:00"}]}}}}`
	service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"fraud","namespace":"ml","uid":"s"},"spec":{"selector":{"app":"fraud"}}}`
	apps    = `{"kind":"Kustomization","metadata":{"name":"apps","namespace":"flux","uid":"k","labels":{"kustomize.toolkit.fluxcd.io/name":"all","kustomize.toolkit.fluxcd.io/namespace":"flux"}},"spec":{"suspend":true}}`
	all     = `{"kind":"Kustomization","metadata":{"name":"all","namespace":"flux","uid":"a"},"spec":{}}`
)

// A step that was planned in one cluster says nothing about another, where
// the same names are something else.
func TestStepsStayInTheirCluster(t *testing.T) {
	api := holding(t, deployment, service)
	_, steps, _ := isolate(t, api)
	other := holding(t, deployment, service, `{"kind":"Namespace","metadata":{"name":"kube-system","uid":"cluster-2"}}`)
	other.objects["Namespace /kube-system"]["metadata"].(map[string]any)["uid"] = "cluster-2"
	drivers, _, _ := isolate(t, other)
	if len(steps) < 4 {
		t.Fatalf("only %d steps", len(steps))
	}
	for id, s := range steps {
		if _, err := drivers[s.Driver].Observe(t.Context(), s); fault.KindOf(err) != fault.Refused {
			t.Errorf("observe %s: %v", id, err)
		}
		if err := drivers[s.Driver].Execute(t.Context(), s); fault.KindOf(err) != fault.Refused || !strings.Contains(fault.HintOf(err), "--context") {
			t.Errorf("execute %s: %v", id, err)
		}
	}
	if other.patches > 0 {
		t.Error("something was changed")
	}
}

// What is taken back again and again is stopped where it is applied from; one
// that is suspended already is applied from further up itself.
func TestWhoAppliesIsSuspended(t *testing.T) {
	api := holding(t, deployment, service, apps, all)
	drivers, steps, _ := isolate(t, api)
	up := drivers["stop"].(action.Escalator)
	s, err := up.Escalate(t.Context(), steps["stop-deployments-ml-fraud"])
	if err != nil || s.Target != `Kustomization flux/all` || s.Driver != "suspend" || s.Inverse == nil {
		t.Errorf("%+v, %v", s, err)
	}
	var p struct {
		Again []cluster.Edit `json:"again"`
	}
	if err := json.Unmarshal(s.Params, &p); err != nil || len(p.Again) != 1 || p.Again[0].Object.Sub != "scale" {
		t.Errorf("it does again %+v, %v", p.Again, err)
	}
	if o, err := drivers["suspend"].Observe(t.Context(), s); err != nil || o.Outcome != action.NotDone {
		t.Errorf("it is not suspended: %+v, %v", o, err)
	}
	// Suspending alone is not all of it: what was taken back has to be done.
	api.objects["Kustomization flux/all"]["spec"].(map[string]any)["suspend"] = true
	if o, err := drivers["suspend"].Observe(t.Context(), s); err != nil || o.Outcome != action.NotDone || !strings.Contains(o.Detail, "Deployment") {
		t.Errorf("what was taken back is not done: %+v, %v", o, err)
	}
	api.objects["Deployment ml/fraud"]["spec"].(map[string]any)["replicas"] = 0
	if o, err := drivers["suspend"].Observe(t.Context(), s); err != nil || o.Outcome != action.Done {
		t.Errorf("all is done: %+v, %v", o, err)
	}
	if edit, ok := cluster.EditOf(s); !ok || len(edit.Fields) != 1 || edit.Fields[0].Path != "/spec/suspend" {
		t.Errorf("it changes %+v", edit)
	}
	for _, id := range []string{"cut-ml-fraud", "deny_pods"} { // nobody says that it applies these
		if _, err := up.Escalate(t.Context(), steps[id]); fault.KindOf(err) != fault.NotFound {
			t.Errorf("escalate %s: %v", id, err)
		}
	}
}

// A controller that puts its service's selector back would keep the whole
// plan from going on.
func TestOwnedServicesAreNotCut(t *testing.T) {
	owned := strings.Replace(service, `"uid":"s"`, `"uid":"s","ownerReferences":[{"kind":"InferenceService","name":"fraud","uid":"i","controller":true}]`, 1)
	_, steps, remarks := isolate(t, holding(t, deployment, owned))
	if _, cut := steps["cut-ml-fraud"]; cut || !strings.Contains(fmt.Sprint(remarks), "InferenceService fraud") {
		t.Errorf("cut: %t; remarks %q", cut, remarks)
	}
}

// The API names only the first policy that refuses: where another incident has
// denied the same version, what is proven is that this one is in force too.
func TestDenialBesideAnother(t *testing.T) {
	for name, tt := range map[string]struct {
		inForce bool
		want    action.Outcome
	}{"in_force": {true, action.Done}, "not_yet": {false, action.NotDone}} {
		t.Run(name, func(t *testing.T) {
			api := holding(t, deployment)
			drivers, steps, _ := isolate(t, api)
			s := steps["deny_pods"]
			var p struct {
				Policy string `json:"policy"`
			}
			if err := json.Unmarshal(s.Params, &p); err != nil || p.Policy == "" {
				t.Fatal(err)
			}
			for _, kind := range []cluster.Kind{cluster.AdmissionPolicies, cluster.AdmissionBindings} {
				api.put(cluster.Object{"kind": kind.Name, "metadata": map[string]any{"name": p.Policy, "labels": map[string]any{cluster.LabelIncident: "INC-1"}}})
			}
			api.admit = func(o cluster.Object) error {
				refused := func(by string) error {
					return fault.New(fault.Refused, "ValidatingAdmissionPolicy '%s' with binding '%s' denied request", by, by)
				}
				switch {
				case strings.Contains(fmt.Sprint(o), "sha256:00"):
					return refused("weightwarden-inc-0-other")
				case o.Annotations()[cluster.NoteTrial] == "INC-1" && tt.inForce:
					return refused(p.Policy)
				}
				return nil
			}
			o, err := drivers["denypolicy"].Observe(t.Context(), s)
			if err != nil || o.Outcome != tt.want {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}
