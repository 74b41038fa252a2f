package kubernetes_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/kubernetes"
)

// api keeps events, and fails as it is told.
type api struct {
	cluster.API
	events map[string]cluster.Object
	// object is what the events are about, about the error of looking for it.
	object             cluster.Object
	create, get, about error
	createdAnyway      bool
}

func (a *api) Create(_ context.Context, kind cluster.Kind, o cluster.Object, _ bool) (cluster.Object, error) {
	if a.create != nil && !a.createdAnyway {
		return nil, a.create
	}
	name := kind.Group + "/" + o.Namespace() + "/" + o.ObjectName()
	if a.events[name] != nil {
		return nil, fault.New(fault.Conflict, "already exists")
	}
	if a.events == nil {
		a.events = map[string]cluster.Object{}
	}
	a.events[name] = o
	return o, a.create
}

func (a *api) Get(_ context.Context, ref cluster.Ref) (cluster.Object, error) {
	if ref.Kind == cluster.Deployments {
		if a.object == nil && a.about == nil {
			return nil, fault.New(fault.NotFound, "none")
		}
		return a.object, a.about
	}
	if o := a.events[ref.Group+"/"+ref.Namespace+"/"+ref.Object]; o != nil || a.get != nil {
		return o, a.get
	}
	return nil, fault.New(fault.NotFound, "none")
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)

func alert() notify.Alert {
	i := indicator.New(indicator.ModelFileTampered, "fraud", noon, "w.bin is not the file of the baseline", nil)
	return notify.Alert{
		Key: "5e", Group: "model/fraud", Status: notify.Firing, Severity: finding.Critical, Source: "fraud", At: noon,
		Title: "weightwarden: 1 new for fraud", Text: "weightwarden: 1 new for fraud\n\x1b[2J" + notify.Word(i), New: []indicator.Indicator{i},
	}
}

func open(t *testing.T, a *api) notify.Transport {
	t.Helper()
	c := &kubernetes.Config{Namespace: "ml", Name: "fraud"}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	tr, err := c.Open(notify.World{Host: "gpu-7", Cluster: func() (cluster.API, error) { return a, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestEvent(t *testing.T) {
	a := &api{object: cluster.Object{"metadata": map[string]any{"uid": "u-1"}}}
	tr := open(t, a)
	for range 2 { // an alert that is sent again is the same event
		if retry, err := tr.Send(t.Context(), alert()); err != nil || retry {
			t.Fatalf("retry %v, %v", retry, err)
		}
	}
	want := cluster.Object{
		"apiVersion": "events.k8s.io/v1", "kind": "Event", "eventTime": "2026-03-01T12:00:00.000001Z", "type": "Warning",
		"metadata": map[string]any{
			"name": "weightwarden-0f2ffd4e08c1ac0ddbd6a2c4", "namespace": "ml", "labels": map[string]any{"app.kubernetes.io/managed-by": "weightwarden"},
		},
		"reason": "ModelFileTampered", "action": "Watch", "reportingController": "weightwarden.dev/watch", "reportingInstance": "gpu-7",
		"regarding": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "ml", "name": "fraud", "uid": "u-1"},
		"note":      "weightwarden: 1 new for fraud\n\"\\x1b[2J[critical] model_file_tampered: w.bin is not the file of the baseline\"",
	}
	if len(a.events) != 1 {
		t.Errorf("%d events", len(a.events))
	}
	for _, got := range a.events {
		want["metadata"].(map[string]any)["name"] = got.ObjectName()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	other, over := alert(), alert()
	other.Key, other.Text = "5f", strings.Repeat("ä\n", 5000)
	over.Key, over.Status, over.New = "60", notify.Resolved, nil
	for _, next := range []notify.Alert{other, over} {
		if retry, err := tr.Send(t.Context(), next); err != nil || retry {
			t.Fatalf("retry %v, %v", retry, err)
		}
	}
	kinds := map[string]string{}
	for _, got := range a.events {
		kinds[got.Text("/reason")] = got.Text("/type")
		if len(got.Text("/note")) > 1024 {
			t.Errorf("a note of %d bytes", len(got.Text("/note")))
		}
	}
	if d := cmp.Diff(map[string]string{"ModelFileTampered": "Warning", "Resolved": "Normal"}, kinds); d != "" || len(a.events) != 3 {
		t.Errorf("%d events: %s", len(a.events), d)
	}
}

func TestFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		api   *api
		retry bool
		lost  bool
	}{
		"away":           {api: &api{create: fault.New(fault.Incomplete, "no answer")}, retry: true, lost: true},
		"answer_lost":    {api: &api{create: fault.New(fault.Incomplete, "no answer"), createdAnyway: true}, retry: true},
		"forbidden":      {api: &api{create: fault.New(fault.Refused, "forbidden")}, lost: true},
		"no_namespace":   {api: &api{create: fault.New(fault.NotFound, "none")}, lost: true},
		"not_readable":   {api: &api{get: fault.New(fault.Refused, "forbidden")}},
		"object_unknown": {api: &api{about: fault.New(fault.Incomplete, "no answer")}, retry: true, lost: true},
		"somebody_elses": {api: &api{events: map[string]cluster.Object{}}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := open(t, tt.api)
			if name == "somebody_elses" {
				if _, err := tr.Send(t.Context(), alert()); err != nil {
					t.Fatal(err)
				}
				for _, e := range tt.api.events {
					e["note"] = "another"
				}
			}
			retry, err := tr.Send(t.Context(), alert())
			if err == nil || retry != tt.retry || (len(tt.api.events) == 0) != tt.lost {
				t.Fatalf("retry %v, %v, %d events", retry, err, len(tt.api.events))
			}
			if tt.api.create, tt.api.about = nil, nil; tt.retry {
				if again, err := tr.Send(t.Context(), alert()); again || err != nil || len(tt.api.events) != 1 {
					t.Errorf("afterwards: retry %v, %v, %d events", again, err, len(tt.api.events))
				}
			}
		})
	}
}

// What the events are about may be gone, or be hidden: it is told of all the same.
func TestObjectThatIsNotSeen(t *testing.T) {
	for name, err := range map[string]error{"gone": nil, "hidden": fault.New(fault.Refused, "forbidden")} {
		a := &api{about: err}
		if retry, err := open(t, a).Send(t.Context(), alert()); err != nil || retry || len(a.events) != 1 {
			t.Errorf("%s: retry %v, %v", name, retry, err)
		}
		for _, e := range a.events {
			if _, there := e.At("/regarding/uid"); there || e.Text("/regarding/name") != "fraud" {
				t.Errorf("%s: about %v", name, e["regarding"])
			}
		}
	}
}

// Without an object, events are about the pod that the program is in.
func TestOwnPod(t *testing.T) {
	c := &kubernetes.Config{}
	if err := c.Check(); err != nil || c.Regarding() != (cluster.Ref{}) {
		t.Fatal(err)
	}
	env := map[string]string{"POD_NAMESPACE": "ww", "POD_NAME": "ww-x7", "POD_UID": "u-7"}
	a := &api{about: fault.New(fault.Refused, "forbidden")}
	w := notify.World{Getenv: func(k string) string { return env[k] }, Cluster: func() (cluster.API, error) { return a, nil }}
	tr, err := c.Open(w)
	if err != nil {
		t.Fatal(err)
	}
	if retry, err := tr.Send(t.Context(), alert()); err != nil || retry {
		t.Fatalf("retry %v, %v", retry, err)
	}
	want := map[string]any{"apiVersion": "v1", "kind": "Pod", "namespace": "ww", "name": "ww-x7", "uid": "u-7"}
	for _, e := range a.events {
		if d := cmp.Diff(want, e["regarding"]); d != "" || e.Namespace() != "ww" {
			t.Errorf("in %s (-want +got):\n%s", e.Namespace(), d)
		}
	}
	env["WEIGHTWARDEN_POD_UID"], want["uid"], a.events = "u-8", "u-8", nil
	if tr, err = c.Open(w); err != nil {
		t.Fatal(err)
	}
	_, _ = tr.Send(t.Context(), alert())
	for _, e := range a.events {
		if d := cmp.Diff(want, e["regarding"]); d != "" || len(a.events) != 1 {
			t.Errorf("of a whole node (-want +got):\n%s", d)
		}
	}
	delete(env, "POD_NAME")
	if _, err := c.Open(w); err == nil || !strings.Contains(err.Error(), "POD_NAME") {
		t.Errorf("a pod that is not known: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	for want, c := range map[string]kubernetes.Config{
		"namespace": {Name: "fraud"}, "object": {Namespace: "ml"}, "kind": {Namespace: "ml", Name: "fraud", Kind: "Pigeon"},
		"object is missing": {Namespace: "ml", Kind: "Pod"},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := (&kubernetes.Config{Namespace: "ml", Name: "fraud"}).Open(notify.World{}); err == nil {
		t.Error("events without a cluster")
	}
}
