package stop_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/census"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/contain/stop"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// held is an API that holds objects, by kind.
type held struct {
	cluster.API
	mu      sync.Mutex
	objects map[string][]cluster.Object
}

func (h *held) List(_ context.Context, kind cluster.Kind, _, _ string) ([]cluster.Object, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if list, ok := h.objects[kind.Name]; ok {
		return list, nil
	}
	return nil, fault.New(fault.NotFound, "no such kind")
}

func (h *held) Get(ctx context.Context, ref cluster.Ref) (cluster.Object, error) {
	list, err := h.List(ctx, ref.Kind, "", "")
	for _, o := range list {
		if o.ObjectName() == ref.Object {
			return o, nil
		}
	}
	if err == nil {
		err = fault.New(fault.NotFound, "%s is not there", ref)
	}
	return nil, err
}

func (h *held) put(kind cluster.Kind, list ...cluster.Object) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.objects[kind.Name] = list
}

func object(t *testing.T, text string) cluster.Object {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

var (
	version = artifact.SHA256Of([]byte("verified"))
	key     = evidence.SigningKey{Name: "weightwarden/n", Key: ed25519.NewKeyFromSeed(make([]byte, 32))}
)

const workload = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"fraud","namespace":"ml","uid":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"fraud"}},
 "template":{"metadata":{"labels":{"app":"fraud","model":"fraud"}},"spec":{"containers":[{"name":"s","image":"r/s@sha256:00","volumeMounts":[{"name":"m","mountPath":"/mnt"}]}],"volumes":[{"name":"m","persistentVolumeClaim":{"claimName":"models"}}]}}}}`

// replica is a pod of it on a node.
func replica(t *testing.T, name, node string) cluster.Object {
	t.Helper()
	return object(t, fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"ml","uid":%q,"labels":{"app":"fraud"},"annotations":{%q:%q}},
 "status":{"phase":"Running","startTime":%q,"conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"s","imageID":"r/s@sha256:00"}]},
 "spec":{"nodeName":%q,"containers":[{"name":"s","image":"r/s@sha256:00","volumeMounts":[{"name":"m","mountPath":"/mnt"}]}],"volumes":[{"name":"m","persistentVolumeClaim":{"claimName":"models"}}]}}`,
		name, name, cluster.NoteVersion, version.String(), time.Now().UTC().Format(time.RFC3339), node))
}

// says makes the report and the lease of the agent of a node, as of now.
func says(t *testing.T, node string, root artifact.Digest) (report, lease cluster.Object) {
	t.Helper()
	now := time.Now().UTC()
	v, err := verdict.Verdict{
		Model: "fraud", State: verdict.Trusted, Root: root.String(), Path: "/m", Place: verdict.Place{Claim: "ml/models"}, Cluster: "c", Node: node, At: now, Sequence: 5,
	}.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := verdict.Standing{Cluster: "c", Node: node, At: now, Verdicts: map[string]uint64{"fraud": 5}}.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	report = cluster.Object{"metadata": map[string]any{"name": node}, "results": []any{map[string]any{"rule": cluster.RuleOnSeen, "properties": map[string]any{
		cluster.NoteVerdict: v.Text, cluster.NoteSignature: v.Signature,
	}}}}
	return report, cluster.Object{"metadata": map[string]any{"name": node, "annotations": map[string]any{cluster.NoteStanding: s.Text, cluster.NoteSigned: s.Signature}}}
}

// planned returns the driver and the steps of a rollback of the workload.
func planned(t *testing.T, api *held, v stop.Version) (*stop.Driver, []action.Step, error) {
	t.Helper()
	o := object(t, workload)
	w := cluster.Workload{Root: cluster.Node{Ref: cluster.Deployments.In("ml", "fraud"), Object: o}}
	w.Control = w.Root
	scene := &cluster.Scene{Cluster: "c", Workloads: []cluster.Workload{w}}
	d := stop.New(api, func(context.Context, artifact.Model) (*cluster.Scene, error) { return scene, nil },
		func(string, string) (stop.Version, bool) { return v, true })
	stopped := action.Step{Driver: stop.Name, Kind: "scale_deployments", Destroys: true, Inverse: &action.Step{Kind: "scale_deployments"}, Params: cluster.Encode(map[string]any{
		"cluster": "c", "incident_id": "INC-1",
		"edit":  cluster.Edit{Object: cluster.Deployments.In("ml", "fraud")},
		"group": map[string]any{"workload": cluster.Deployments.In("ml", "fraud"), "uid": "d", "replicas": 2, "selector": map[string]any{"matchLabels": map[string]any{"app": "fraud"}}},
	})}
	draft, err := d.Rollback(t.Context(), action.Request{
		Incident: "INC-1", Model: artifact.Model{ID: "fraud"}, Version: "v1", Installed: version, Done: []action.Step{stopped},
	})
	return d, draft.Steps, err
}

func inPlace(agents ...census.Agent) stop.Version {
	return stop.Version{InPlace: true, Mounted: "/mnt", Agents: agents}
}

func pins() []census.Agent {
	return []census.Agent{{Node: "n-1", Key: key.Public().String()}, {Node: "n-2", Key: key.Public().String()}}
}

func censusOf(t *testing.T, steps []action.Step) action.Step {
	t.Helper()
	s := steps[len(steps)-1]
	if s.Kind != "census" {
		t.Fatalf("the last step is %s", s.ID)
	}
	return s
}

// Without verdicts a rollback of what lies in a claim ends incomplete, when its
// time is over, and says of which replicas it is not known what they have; with
// them it is complete.
func TestCensusOfAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &held{objects: map[string][]cluster.Object{}}
		d, steps, err := planned(t, api, inPlace(pins()...))
		if err != nil {
			t.Fatal(err)
		}
		api.put(cluster.Deployments, object(t, workload))
		api.put(cluster.Pods, replica(t, "fraud-a", "n-1"), replica(t, "fraud-b", "n-2"))
		s := censusOf(t, steps)
		began := time.Now()
		if err := d.Execute(t.Context(), s); err != nil || time.Since(began) < 5*time.Minute {
			t.Errorf("gave up after %v: %v", time.Since(began), err)
		}
		o, err := d.Observe(t.Context(), s)
		if err != nil || o.Outcome != action.NotDone {
			t.Fatalf("%+v, %v", o, err)
		}
		for _, want := range []string{"fraud-a is unknown (on node n-1)", "fraud-b is unknown (on node n-2)", "no agent of node n-1 reports on claim ml/models", "nobody is let through"} {
			if !strings.Contains(o.Detail, want) {
				t.Errorf("%q does not say %q", o.Detail, want)
			}
		}
		// One node of two tells: the other replica is named.
		r1, l1 := says(t, "n-1", version)
		api.put(cluster.Reports, r1)
		api.put(cluster.Leases, l1)
		if o, err = d.Observe(t.Context(), s); err != nil || o.Outcome != action.NotDone || strings.Contains(o.Detail, "fraud-a") || !strings.Contains(o.Detail, "fraud-b is unknown") {
			t.Errorf("%+v, %v", o, err)
		}
		// The other one has something else.
		r2, l2 := says(t, "n-2", artifact.SHA256Of([]byte("another")))
		api.put(cluster.Reports, r1, r2)
		api.put(cluster.Leases, l1, l2)
		if o, err = d.Observe(t.Context(), s); err != nil || o.Outcome != action.NotDone || !strings.Contains(o.Detail, "fraud-b has the root digest "+artifact.SHA256Of([]byte("another")).String()) {
			t.Errorf("%+v, %v", o, err)
		}
		// Execute waits for it.
		time.AfterFunc(time.Minute, func() {
			r1, l1 := says(t, "n-1", version)
			r2, l2 := says(t, "n-2", version)
			r2["results"].([]any)[0].(map[string]any)["properties"] = resigned(t, "n-2", 6)
			l2["metadata"].(map[string]any)["annotations"] = restood(t, "n-2", 6)
			api.put(cluster.Reports, r1, r2)
			api.put(cluster.Leases, l1, l2)
		})
		began = time.Now()
		if err := d.Execute(t.Context(), s); err != nil || time.Since(began) > 2*time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if o, err = d.Observe(t.Context(), s); err != nil || o.Outcome != action.Done || !strings.Contains(o.Detail, "2 of them by the verdict") {
			t.Errorf("%+v, %v", o, err)
		}
		// What was said is too old some minutes later: looked at again, it is unknown.
		time.Sleep(5 * time.Minute)
		if o, err = d.Observe(t.Context(), s); err != nil || o.Outcome != action.NotDone || !strings.Contains(o.Detail, "gave no sign of life") {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

func resigned(t *testing.T, node string, n uint64) map[string]any {
	t.Helper()
	v, err := verdict.Verdict{
		Model: "fraud", State: verdict.Tampered, Root: version.String(), Path: "/m", Place: verdict.Place{Claim: "ml/models"}, Cluster: "c", Node: node, At: time.Now().UTC(), Sequence: n,
	}.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{cluster.NoteVerdict: v.Text, cluster.NoteSignature: v.Signature}
}

func restood(t *testing.T, node string, n uint64) map[string]any {
	t.Helper()
	s, err := verdict.Standing{Cluster: "c", Node: node, At: time.Now().UTC(), Verdicts: map[string]uint64{"fraud": n}}.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{cluster.NoteStanding: s.Text, cluster.NoteSigned: s.Signature}
}

// A container that runs another image than its pod names is affected.
func TestCensusByImageID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &held{objects: map[string][]cluster.Object{}}
		one := strings.Repeat("1", 64)
		d, steps, err := planned(t, api, stop.Version{Images: map[string]string{"s": "r/s@sha256:" + one}})
		if err != nil {
			t.Fatal(err)
		}
		api.put(cluster.Deployments, object(t, workload))
		pod := func(name, imageID string) cluster.Object {
			o := replica(t, name, "n-1")
			o.Items("/spec/containers")[0]["image"] = "r/s@sha256:" + one
			o.Items("/status/containerStatuses")[0]["imageID"] = imageID
			return o
		}
		s := censusOf(t, steps)
		api.put(cluster.Pods, pod("fraud-a", "r/s@sha256:"+one), pod("fraud-b", "r/s@sha256:"+one))
		if o, err := d.Observe(t.Context(), s); err != nil || o.Outcome != action.Done {
			t.Errorf("%+v, %v", o, err)
		}
		api.put(cluster.Pods, pod("fraud-a", "r/s@sha256:"+one), pod("fraud-b", "r/s@sha256:"+strings.Repeat("2", 64)))
		if o, err := d.Observe(t.Context(), s); err != nil || o.Outcome != action.NotDone || !strings.Contains(o.Detail, "fraud-b has not what it names") {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

// A version in another claim is named in the template, where the model is.
func TestRollbackToAClaim(t *testing.T) {
	v := inPlace(pins()...)
	v.InPlace, v.Claim = false, "models-v1"
	_, steps, err := planned(t, &held{}, v)
	if err != nil {
		t.Fatal(err)
	}
	edit, ok := cluster.EditOf(steps[0])
	const at = "/spec/template/spec/volumes/0/persistentVolumeClaim/claimName"
	if !ok || len(edit.Fields) != 2 || edit.Fields[1].Path != at || string(edit.Fields[1].After) != `"models-v1"` || string(edit.Fields[1].Before) != `"models"` {
		t.Errorf("%+v", edit)
	}
	if !strings.Contains(string(censusOf(t, steps).Params), `"/volumes/0/persistentVolumeClaim/claimName":"models-v1"`) {
		t.Errorf("the census does not ask for the claim: %s", censusOf(t, steps).Params)
	}
	v.Mounted = "/elsewhere"
	if _, _, err := planned(t, &held{}, v); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "no container has a volume there") {
		t.Errorf("%v", err)
	}
}

// What an owner that nobody here knows would put back is not changed below it.
func TestRollbackBelowAnUnknownOwner(t *testing.T) {
	o := object(t, workload)
	owner := cluster.Kind{Group: "serving.knative.dev", Version: "v1", Resource: "services", Name: "Service"}
	scene := &cluster.Scene{Cluster: "c", Workloads: []cluster.Workload{{
		Root:    cluster.Node{Ref: owner.In("ml", "fraud"), Object: cluster.Object{}},
		Control: cluster.Node{Ref: cluster.Deployments.In("ml", "fraud"), Object: o},
	}}}
	d := stop.New(&held{}, func(context.Context, artifact.Model) (*cluster.Scene, error) { return scene, nil },
		func(string, string) (stop.Version, bool) { return inPlace(), true })
	draft, err := d.Rollback(t.Context(), action.Request{Incident: "INC-1", Model: artifact.Model{ID: "fraud"}, Version: "v1", Installed: version})
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "is owned by") || len(draft.Steps) > 0 || !strings.Contains(fault.HintOf(err), "kube census fraud") {
		t.Errorf("%+v, %v (%s)", draft.Steps, err, fault.HintOf(err))
	}
}

// After an isolation nobody else serves the model from where it lies, unless
// the agent of its node says that what is there is good.
func TestOthersWhoServeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &held{objects: map[string][]cluster.Object{}}
		o := object(t, workload)
		w := cluster.Workload{Root: cluster.Node{Ref: cluster.Deployments.In("ml", "fraud"), Object: o}, Pods: []cluster.Object{replica(t, "fraud-a", "n-1")}}
		w.Control = w.Root
		scene := &cluster.Scene{Cluster: "c", Workloads: []cluster.Workload{w}}
		scenes := func(context.Context, artifact.Model) (*cluster.Scene, error) { return scene, nil }
		d := stop.New(scaled{api}, scenes, func(string, string) (stop.Version, bool) { return inPlace(pins()...), false })
		draft, err := d.Isolate(t.Context(), action.Request{Incident: "INC-1", Model: artifact.Model{ID: "fraud"}})
		if err != nil || len(draft.Steps) != 2 || draft.Steps[1].Kind != "served" {
			t.Fatalf("%+v, %v", draft.Steps, err)
		}
		s := draft.Steps[1]
		look := func(want action.Outcome, detail string) {
			t.Helper()
			if o, err := d.Observe(t.Context(), s); err != nil || o.Outcome != want || !strings.Contains(o.Detail, detail) {
				t.Errorf("%+v, %v", o, err)
			}
		}
		look(action.Done, "no request")
		other := replica(t, "other", "n-1")
		api.put(cluster.Pods, other)
		time.Sleep(2 * time.Second)
		look(action.Done, "no request") // nobody is led to it
		api.put(cluster.EndpointSlices, cluster.Object{"endpoints": []any{map[string]any{"targetRef": map[string]any{"uid": "other"}}}})
		look(action.NotDone, "other (unknown: no agent of node n-1")
		other.Items("/spec/containers/0/volumeMounts")[0]["subPath"] = "part"
		look(action.NotDone, "other (unknown")
		r, l := says(t, "n-1", version)
		api.put(cluster.Reports, r)
		api.put(cluster.Leases, l)
		look(action.Done, "no request")
		r["results"].([]any)[0].(map[string]any)["properties"] = resigned(t, "n-1", 6)
		l["metadata"].(map[string]any)["annotations"] = restood(t, "n-1", 6)
		look(action.NotDone, "says: tampered")
		other.Items("/spec/volumes")[0]["persistentVolumeClaim"] = map[string]any{"claimName": "another"}
		look(action.Done, "no request")
	})
}

// scaled is an API that knows the scale of everything.
type scaled struct{ *held }

func (s scaled) Get(ctx context.Context, ref cluster.Ref) (cluster.Object, error) {
	if ref.Sub == "scale" {
		return cluster.Object{"metadata": map[string]any{"uid": "d"}, "spec": map[string]any{"replicas": float64(1)}}, nil
	}
	return s.held.Get(ctx, ref)
}
