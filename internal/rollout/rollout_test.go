package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

func object(t *testing.T, text string) cluster.Object {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

const sum = "abc"

// workload has the checksum in its template, in generation 2.
func workload(t *testing.T, kind, spec, status string) cluster.Object {
	t.Helper()
	return object(t, fmt.Sprintf(`{"kind":%q,"metadata":{"name":"ww","namespace":"ml","uid":"u","generation":2},
		"spec":{"selector":{"matchLabels":{"app":"ww"}},"template":{"metadata":{"annotations":{"weightwarden.io/config-sha256":%q}}}%s},"status":{%s}}`, kind, sum, spec, status))
}

func TestLook(t *testing.T) {
	const seen = `"observedGeneration":2,`
	tests := map[string]struct {
		kind, spec, status string
		finished           bool
		words              string
	}{
		"daemonset_done":      {"DaemonSet", "", seen + `"desiredNumberScheduled":4,"updatedNumberScheduled":4,"currentNumberScheduled":4,"numberAvailable":4`, true, "4 of 4 available"},
		"daemonset_stale":     {"DaemonSet", "", `"observedGeneration":1,"desiredNumberScheduled":4,"updatedNumberScheduled":4,"numberAvailable":4`, false, "not yet seen by its controller"},
		"daemonset_never":     {"DaemonSet", "", ``, false, "not yet seen by its controller"},
		"daemonset_old":       {"DaemonSet", "", seen + `"desiredNumberScheduled":4,"updatedNumberScheduled":1,"currentNumberScheduled":4,"numberAvailable":4`, false, "1 of 4 updated, 4 available"},
		"daemonset_down":      {"DaemonSet", "", seen + `"desiredNumberScheduled":4,"updatedNumberScheduled":4,"currentNumberScheduled":4,"numberAvailable":3`, false, "4 of 4 updated, 3 available"},
		"deployment_done":     {"Deployment", `,"replicas":3`, seen + `"replicas":3,"updatedReplicas":3,"availableReplicas":3`, true, "3 of 3 available"},
		"deployment_surge":    {"Deployment", `,"replicas":3`, seen + `"replicas":4,"updatedReplicas":3,"availableReplicas":4`, false, "3 of 3 updated, 4 available, 1 old ones end"},
		"deployment_default":  {"Deployment", ``, seen + `"replicas":1,"updatedReplicas":1,"availableReplicas":1`, true, "1 of 1 available"},
		"statefulset_done":    {"StatefulSet", `,"replicas":2`, seen + `"replicas":2,"updatedReplicas":2,"availableReplicas":2,"currentRevision":"b","updateRevision":"b"`, true, "2 of 2 available"},
		"statefulset_between": {"StatefulSet", `,"replicas":2`, seen + `"replicas":2,"updatedReplicas":2,"availableReplicas":2,"currentRevision":"a","updateRevision":"b"`, false, "2 of 2 updated, 2 available"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := look(workload(t, tt.kind, tt.spec, tt.status))
			if s.Finished != tt.finished || s.String() != tt.words {
				t.Errorf("finished %v, %s", s.Finished, s)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	before := object(t, `{"kind":"DaemonSet","metadata":{"uid":"u","resourceVersion":"1","labels":{"a":"1"}},"spec":{"min":1,"gone":true,
		"containers":[{"name":"x","image":"i:1","env":[1,2]},{"name":"y"}],"mounts":[{"name":"m","mountPath":"/a"},{"name":"m","mountPath":"/b"}]},"status":{"n":1}}`)
	after := object(t, `{"kind":"DaemonSet","metadata":{"uid":"u","resourceVersion":"2","labels":{"a":"1","b.c/d":"2"}},"spec":{"min":1,
		"containers":[{"name":"y"},{"name":"x","image":"i:2","env":[1]}],"mounts":[{"name":"m","mountPath":"/a","readOnly":true},{"name":"m","mountPath":"/b"}]},"status":{"n":2}}`)
	var got []string
	for _, f := range compare(before, after) {
		got = append(got, fmt.Sprintf("%s: %s -> %s", f.Path, f.Before, f.After))
	}
	want := []string{
		`metadata.labels[b.c/d]:  -> "2"`, `spec.containers[x].env: [1,2] -> [1]`, `spec.containers[x].image: "i:1" -> "i:2"`, `spec.gone: true -> `, `spec.mounts[/a].readOnly:  -> true`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	hidden := compare(object(t, `{"kind":"ConfigMap","data":{"config.yaml":"token: a\nb\n"}}`), object(t, `{"kind":"ConfigMap","data":{"config.yaml":"token: c\n"}}`))
	if text := fmt.Sprintf("%s", hidden); len(hidden) != 1 || strings.Contains(text, "token") || !strings.Contains(text, "(2 lines)") {
		t.Errorf("%s", hidden)
	}
}

func TestWaits(t *testing.T) {
	tests := map[string]struct{ status, want string }{
		"image":     {`"containerStatuses":[{"name":"w","state":{"waiting":{"reason":"ErrImagePull","message":"no\nsuch"}}}]`, "container w: ErrImagePull: no such"},
		"init":      {`"initContainerStatuses":[{"name":"i","state":{"terminated":{"exitCode":1}}}],"containerStatuses":[{"name":"w","state":{"waiting":{"reason":"PodInitializing"}}}]`, "container i: ended with exit code 1"},
		"scheduled": {`"conditions":[{"type":"PodScheduled","status":"False","message":"0/4 nodes"}]`, "no node takes the pod: 0/4 nodes"},
		"readiness": {`"conditions":[{"type":"PodScheduled","status":"True"},{"type":"Ready","status":"False","message":"containers with unready status"}]`, "runs, and is not ready: containers with unready status"},
		"begins":    {`"containerStatuses":[{"name":"w","state":{"waiting":{"reason":"ContainerCreating"}}}]`, ""},
		"hostile":   {`"containerStatuses":[{"name":"w","state":{"waiting":{"reason":"X","message":"\u001b[2J"}}}]`, `container w: X: \x1b[2J`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := waits(object(t, `{"status":{`+tt.status+`}}`)); got != tt.want {
				t.Errorf("%q", got)
			}
		})
	}
}

// scripted is a cluster of one workload, which is in one state after another.
type scripted struct {
	API
	states       []cluster.Object
	pods, events []cluster.Object
}

func (s *scripted) Get(context.Context, cluster.Ref) (cluster.Object, error) {
	o := s.states[0]
	if len(s.states) > 1 {
		s.states = s.states[1:]
	}
	return o, nil
}

func (s *scripted) List(_ context.Context, kind cluster.Kind, _, _ string) ([]cluster.Object, error) {
	if kind == cluster.Events {
		return s.events, nil
	}
	return s.pods, nil
}

func TestWait(t *testing.T) {
	const seen = `"observedGeneration":2,`
	none := `"observedGeneration":2`
	behind := `"observedGeneration":1`
	half, done := seen+`"desiredNumberScheduled":2,"updatedNumberScheduled":1,"numberAvailable":1`, seen+`"desiredNumberScheduled":2,"updatedNumberScheduled":2,"numberAvailable":2`
	of := func(kind, spec string, statuses ...string) (out []cluster.Object) {
		for _, s := range statuses {
			out = append(out, workload(t, kind, spec, s))
		}
		return out
	}
	foreign := workload(t, "DaemonSet", "", half)
	foreign["spec"].(map[string]any)["template"] = map[string]any{}
	event := object(t, `{"involvedObject":{"uid":"u"},"type":"Warning","reason":"FailedCreate","message":"violates PodSecurity \"restricted:latest\""}`)
	tests := map[string]struct {
		api        *scripted
		kind       fault.Kind
		text, hint string
		told       int
	}{
		"finishes":       {&scripted{states: of("DaemonSet", "", behind, behind, half, half, done)}, 0, "", "", 3},
		"late":           {&scripted{states: of("DaemonSet", "", half), events: []cluster.Object{event}}, fault.Incomplete, "did not finish within 1m0s: 1 of 2 updated, 1 available", "see Pod Security", 1},
		"changed_back":   {&scripted{states: append(of("DaemonSet", "", half), foreign)}, fault.Conflict, "no longer has the configuration", "GitOps", 1},
		"no_nodes":       {&scripted{states: of("DaemonSet", "", none)}, fault.Incomplete, "nothing is watched", "no node", 1},
		"scaled_to_zero": {&scripted{states: of("Deployment", `,"replicas":0`, none)}, fault.Incomplete, "nothing is watched", "scaled to 0", 1},
		"paused":         {&scripted{states: of("Deployment", `,"paused":true`, none)}, fault.Incomplete, "is paused", "rollout resume deployment/ww", 1},
		"on_delete":      {&scripted{states: of("DaemonSet", `,"updateStrategy":{"type":"OnDelete"}`, half)}, fault.Incomplete, "only when they are deleted", "delete its pods", 1},
		"partition":      {&scripted{states: of("StatefulSet", `,"updateStrategy":{"rollingUpdate":{"partition":1}}`, none)}, fault.Incomplete, "from number 1 on", "lower", 1},
		"given_up":       {&scripted{states: of("Deployment", "", seen+`"conditions":[{"type":"Progressing","reason":"ProgressDeadlineExceeded","message":"timed out"}]`)}, fault.Incomplete, "given up: timed out", "kubectl", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				s, err := Wait(t.Context(), tt.api, cluster.DaemonSets.In("ml", "ww"), sum, time.Minute, func(Status) { told++ })
				switch {
				case (err == nil) != (tt.text == "") || err != nil && fault.KindOf(err) != tt.kind:
					t.Fatalf("%+v, %v", s, err)
				case err != nil && (!strings.Contains(err.Error(), tt.text) || !strings.Contains(fault.HintOf(err), tt.hint)):
					t.Errorf("%v\nhint: %s", err, fault.HintOf(err))
				case told != tt.told:
					t.Errorf("told %d times", told)
				case s.Seconds > 61:
					t.Errorf("after %v s", s.Seconds)
				}
			})
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		api := &scripted{states: of("DaemonSet", "", half)}
		if _, err := Wait(ctx, api, cluster.DaemonSets.In("ml", "ww"), sum, time.Minute, func(Status) { cancel() }); err == nil || fault.KindOf(err) == fault.Incomplete {
			t.Errorf("%v", err)
		}
	})
}

// hanging answers a few lists, and then none before the time is over.
type hanging struct {
	*scripted
	lists int
}

func (h *hanging) List(ctx context.Context, kind cluster.Kind, namespace, selector string) ([]cluster.Object, error) {
	if h.lists++; h.lists > 4 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.scripted.List(ctx, kind, namespace, selector)
}

// The reason that was seen is not lost when the time is over in the middle of
// the next look.
func TestLateInTheMiddleOfALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half := workload(t, "DaemonSet", "", `"observedGeneration":2,"desiredNumberScheduled":2,"updatedNumberScheduled":1,"numberAvailable":1`)
		event := object(t, `{"involvedObject":{"uid":"u"},"type":"Warning","reason":"FailedCreate","message":"no room"}`)
		api := &hanging{scripted: &scripted{states: []cluster.Object{half}, events: []cluster.Object{event}}}
		s, err := Wait(t.Context(), api, cluster.DaemonSets.In("ml", "ww"), sum, time.Minute, func(Status) {})
		if api.lists <= 4 || fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "no room") || len(s.Reasons) != 1 {
			t.Errorf("%d lists, %+v, %v", api.lists, s, err)
		}
	})
}
