package census_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/census"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

func key(name string) evidence.SigningKey {
	seed := sha256.Sum256([]byte(name))
	return evidence.SigningKey{Name: "weightwarden/" + name, Key: ed25519.NewKeyFromSeed(seed[:])}
}

var (
	noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	good = artifact.SHA256Of([]byte("good")).String()
	bad  = artifact.SHA256Of([]byte("bad")).String()
)

// said is an API that lists what agents said.
type said struct {
	cluster.API
	reports, leases []cluster.Object
	missing         bool
}

func (s *said) List(_ context.Context, kind cluster.Kind, ns, _ string) ([]cluster.Object, error) {
	switch {
	case s.missing:
		return nil, fault.New(fault.NotFound, "no such kind")
	case kind == cluster.Reports && ns == "serving":
		return s.reports, nil
	case kind == cluster.Leases && ns == "":
		return s.leases, nil
	}
	return nil, nil
}

// agent says things as one of a node does.
type agent struct {
	t    *testing.T
	key  evidence.SigningKey
	node string
	v    verdict.Verdict
	s    verdict.Standing
}

func newAgent(t *testing.T, node string) *agent {
	return &agent{t, key(node), node, verdict.Verdict{
		Model: "fraud", State: verdict.Trusted, Root: good, Path: "/m", Place: verdict.Place{Claim: "serving/models", Inside: "fraud"},
		Cluster: "c", Node: node, Agent: "1", At: noon.Add(-time.Hour), Sequence: 9,
	}, verdict.Standing{Cluster: "c", Node: node, At: noon.Add(-10 * time.Second), Verdicts: map[string]uint64{"fraud": 9}}}
}

func (a *agent) report() cluster.Object {
	a.t.Helper()
	sealed, err := a.v.Seal(a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return cluster.Object{"metadata": map[string]any{"name": "r"}, "results": []any{map[string]any{"rule": cluster.RuleOnSeen, "properties": map[string]any{
		cluster.NoteVerdict: sealed.Text, cluster.NoteSignature: sealed.Signature,
	}}}}
}

func (a *agent) lease() cluster.Object {
	a.t.Helper()
	sealed, err := a.s.Seal(a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return cluster.Object{"metadata": map[string]any{"name": "l", "annotations": map[string]any{cluster.NoteStanding: sealed.Text, cluster.NoteSigned: sealed.Signature}}}
}

func object(t *testing.T, text string) cluster.Object {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

const podText = `{"metadata":{"name":"fraud-0","namespace":"serving","uid":"p-0"},"status":{"startTime":"2026-11-30T11:59:00Z"},"spec":{"nodeName":"node-1",
 "containers":[{"name":"server","image":"r/s@sha256:00","volumeMounts":[{"name":"m","mountPath":"/mnt/models","subPath":"fraud"}]},{"name":"proxy","image":"r/p@sha256:11"}],
 "volumes":[{"name":"m","persistentVolumeClaim":{"claimName":"models"}}]}}`

func ask(t *testing.T, api cluster.API, seen *census.Seen, pod cluster.Object, agents ...census.Agent) census.Replica {
	t.Helper()
	all, err := census.Gather(t.Context(), api, []string{"serving", "serving"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := census.Hear(all, census.Question{Model: "fraud", Cluster: "c", Agents: agents}, seen, noon)
	if err != nil {
		t.Fatal(err)
	}
	return w.Replica(pod, "/mnt/models")
}

func pin(node string) census.Agent {
	return census.Agent{Node: node, Key: key(node).Public().String()}
}

// Only what its own agent signed, about what the replica has, and says still
// stands, tells what it has. Everything else is unknown.
func TestWhatCounts(t *testing.T) {
	tests := map[string]struct {
		change func(a *agent, api *said)
		pod    string
		known  bool
		why    string
	}{
		"as_it_should_be":       {known: true},
		"tampered":              {change: func(a *agent, _ *said) { a.v.State, a.v.Root = verdict.Tampered, bad }, known: true},
		"unreadable":            {change: func(a *agent, _ *said) { a.v.State = verdict.Unreadable }, why: "could not look"},
		"nothing_said":          {change: func(_ *agent, api *said) { api.missing = true }, why: "no agent of node node-1 reports"},
		"stale_sign_of_life":    {change: func(a *agent, _ *said) { a.s.At = noon.Add(-3 * time.Minute) }, why: "no sign of life for 3m0s"},
		"no_sign_of_life":       {change: func(a *agent, _ *said) { a.s.Node = "node-2" }, why: "gives no sign of life"},
		"stale_verdict":         {change: func(a *agent, _ *said) { a.v.At = noon.Add(-3 * time.Hour) }, why: "is 3h0m0s old"},
		"from_the_future":       {change: func(a *agent, _ *said) { a.s.At = noon.Add(time.Hour) }, why: "from the future"},
		"withdrawn":             {change: func(a *agent, _ *said) { a.s.Verdicts = map[string]uint64{} }, why: "has not said that its verdict still stands"},
		"replayed":              {change: func(a *agent, _ *said) { a.v.Sequence = 8 }, why: "there was a later one, 9"},
		"another_node":          {change: func(a *agent, _ *said) { a.v.Node, a.s.Node = "node-2", "node-2" }, why: "no agent of node node-1"},
		"another_cluster":       {change: func(a *agent, _ *said) { a.v.Cluster = "d" }, why: "no agent of node node-1"},
		"lease_of_another":      {change: func(a *agent, _ *said) { a.s.Cluster = "d" }, why: "gives no sign of life"},
		"another_model":         {change: func(a *agent, _ *said) { a.v.Model = "other" }, why: "no agent of node node-1"},
		"another_claim":         {change: func(a *agent, _ *said) { a.v.Place.Claim = "serving/other" }, why: "reports on claim serving/models, fraud in it"},
		"another_part":          {change: func(a *agent, _ *said) { a.v.Place.Inside = "" }, why: "no agent of node node-1"},
		"of_another_pod":        {change: func(a *agent, _ *said) { a.v.Pod, a.s.Pod = "p-1", "p-1" }, why: "no agent of node node-1"},
		"of_this_pod":           {change: func(a *agent, _ *said) { a.v.Pod, a.s.Pod = "p-0", "p-0" }, known: true},
		"key_of_another_node":   {change: func(a *agent, _ *said) { a.key = key("node-2") }, why: "signed by no key that is configured"},
		"forged":                {change: func(a *agent, _ *said) { a.key.Key = key("attacker").Key }, why: "signed by no key that is configured"},
		"before_it_started":     {change: func(a *agent, _ *said) { a.s.At = noon.Add(-90 * time.Second) }, why: "has not said anything since it started"},
		"not_started":           {pod: strings.Replace(podText, `"startTime":"2026-11-30T11:59:00Z"`, `"x":""`, 1), why: "not started"},
		"no_node":               {pod: strings.Replace(podText, `"nodeName":"node-1",`, ``, 1), why: "on no node"},
		"nothing_there":         {pod: strings.Replace(podText, `"mountPath":"/mnt/models"`, `"mountPath":"/mnt/model"`, 1), why: "no container has a volume there"},
		"by_an_expression":      {pod: strings.Replace(podText, `"subPath":`, `"subPathExpr":"$(X)","subPath":`, 1), why: "an expression"},
		"below_what_is_mounted": {pod: strings.Replace(podText, `"mountPath":"/mnt/models","subPath":"fraud"`, `"mountPath":"/mnt","subPath":"x"`, 1), why: "claim serving/models, x/models in it"},
		"containers_disagree": {
			pod: strings.Replace(podText, `"image":"r/p@sha256:11"`, `"image":"r/p@sha256:11","volumeMounts":[{"name":"m","mountPath":"/mnt/models"}]`, 1),
			why: "its containers have different things there",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, api := newAgent(t, "node-1"), &said{}
			if tt.change != nil {
				tt.change(a, api)
			}
			api.reports, api.leases = []cluster.Object{a.report()}, []cluster.Object{a.lease()}
			if tt.pod == "" {
				tt.pod = podText
			}
			r := ask(t, api, nil, object(t, tt.pod), pin("node-1"), pin("node-2"))
			if r.Known() != tt.known || !strings.Contains(r.Why, tt.why) || tt.known && (r.Digest != a.v.Root || r.By != census.ByVerdict) {
				t.Errorf("%+v", r)
			}
			if !r.Known() && r.Digest != "" {
				t.Errorf("unknown, and it has %s", r.Digest)
			}
		})
	}
}

// A replay is noticed by whoever has seen what came later, also when the lease
// was taken back with it.
func TestReplayOfBoth(t *testing.T) {
	a, api, seen := newAgent(t, "node-1"), &said{}, &census.Seen{}
	old := *a
	old.v.Sequence, old.s.Verdicts = 8, map[string]uint64{"fraud": 8}
	a.v.State, a.v.Root = verdict.Tampered, bad
	api.reports, api.leases = []cluster.Object{a.report()}, []cluster.Object{a.lease()}
	if r := ask(t, api, seen, object(t, podText), pin("node-1")); r.State != verdict.Tampered {
		t.Fatalf("%+v", r)
	}
	api.reports, api.leases = []cluster.Object{old.report()}, []cluster.Object{old.lease()}
	if r := ask(t, api, seen, object(t, podText), pin("node-1")); r.Known() || !strings.Contains(r.Why, "later one, 9") {
		t.Errorf("%+v", r)
	}
	// A copy of the old report beside the new one changes nothing.
	api.reports, api.leases = []cluster.Object{old.report(), a.report(), old.report()}, []cluster.Object{old.lease(), a.lease()}
	if r := ask(t, api, nil, object(t, podText), pin("node-1")); r.State != verdict.Tampered {
		t.Errorf("%+v", r)
	}
}

func TestTwoAgentsDisagree(t *testing.T) {
	a, b, api := newAgent(t, "node-1"), newAgent(t, "node-1"), &said{}
	b.key, b.v.Root = key("second"), bad
	api.reports, api.leases = []cluster.Object{a.report(), b.report()}, []cluster.Object{a.lease(), b.lease()}
	r := ask(t, api, nil, object(t, podText), pin("node-1"), census.Agent{Key: key("second").Public().String()})
	if r.Known() || !strings.Contains(r.Why, "different things") {
		t.Errorf("%+v", r)
	}
}

// Without a path, or with a mounted image, the digests that pods name count,
// and what the node says that it runs.
func TestByDigest(t *testing.T) {
	one, two := strings.Repeat("1", 64), strings.Repeat("2", 64)
	const form = `{"metadata":{"name":"p","namespace":"serving"},"status":{"containerStatuses":[{"name":"s","imageID":%q}]},"spec":{"nodeName":"n","containers":[{"name":"s","image":%q,"volumeMounts":[{"name":"m","mountPath":"/mnt"}]}],"volumes":[{"name":"m","image":{"reference":%q}}]}}`
	tests := map[string]struct {
		imageID, image, volume string
		mounted                string
		by                     census.By
		why                    string
	}{
		"mounted_image":    {"", "r/s:1", "r/m@sha256:" + two, "/mnt", census.ByVolume, ""},
		"mounted_tag":      {"", "r/s:1", "r/m:1", "/mnt", census.ByNothing, "by no digest"},
		"volume_it_names":  {"", "r/s:1", "r/m@sha256:" + two, "", census.ByVolume, ""},
		"image":            {"r/s@sha256:" + one, "r/s@sha256:" + one, "", "", census.ByImage, ""},
		"image_id_without": {"sha256:" + two, "r/s@sha256:" + one, "", "", census.ByImage, ""},
		"tag":              {"", "r/s:1", "", "", census.ByNothing, "by no digest"},
		"runs_another":     {"r/s@sha256:" + two, "r/s@sha256:" + one, "", "", census.ByNothing, "runs the image sha256:" + two},
		"nothing_there":    {"", "r/s@sha256:" + one, "", "/else", census.ByNothing, "no container has a volume"},
		"plain_volume":     {"", "r/s@sha256:" + one, "", "/mnt", census.ByVolume, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := fmt.Sprintf(form, tt.imageID, tt.image, tt.volume)
			if name == "plain_volume" {
				tt.by, tt.why = census.ByNothing, "no agent's key is configured"
				text = strings.Replace(text, `"image":{"reference":""}`, `"emptyDir":{}`, 1)
			}
			r := census.Witnesses{}.Replica(object(t, text), tt.mounted)
			if r.By != tt.by || !strings.Contains(r.Why, tt.why) || r.Known() != (r.Digest != "") {
				t.Errorf("%+v", r)
			}
		})
	}
}
