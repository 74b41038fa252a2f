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
	events        map[string]cluster.Object
	create, get   error
	createdAnyway bool
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
	a := &api{}
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
		"regarding": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "ml", "name": "fraud"},
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
			if tt.api.create = nil; tt.retry {
				if again, err := tr.Send(t.Context(), alert()); again || err != nil || len(tt.api.events) != 1 {
					t.Errorf("afterwards: retry %v, %v, %d events", again, err, len(tt.api.events))
				}
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for want, c := range map[string]kubernetes.Config{
		"namespace": {Name: "fraud"}, "object": {Namespace: "ml"}, "kind": {Namespace: "ml", Name: "fraud", Kind: "Pigeon"},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := (&kubernetes.Config{Namespace: "ml", Name: "fraud"}).Open(notify.World{}); err == nil {
		t.Error("events without a cluster")
	}
}
