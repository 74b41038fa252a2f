package announce_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/announce"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// server is an API that keeps what it is given. fail, where set, is asked
// before each change; after, where set, changes what was kept.
type server struct {
	mu      sync.Mutex
	objects map[string]cluster.Object
	writes  int
	fail    func(verb string, ref cluster.Ref) error
	after   func(o cluster.Object)
}

func newServer() *server {
	return &server{objects: map[string]cluster.Object{
		"Namespace /kube-system": {"metadata": map[string]any{"name": "kube-system", "uid": "cluster-1"}},
	}}
}

func keyOf(ref cluster.Ref) string { return ref.Name + " " + ref.Namespace + "/" + ref.Object }

func (s *server) Get(_ context.Context, ref cluster.Ref) (cluster.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[keyOf(ref)]; o != nil {
		return clone(o), nil
	}
	return nil, fault.New(fault.NotFound, "%s is not there", ref)
}

func clone(o cluster.Object) cluster.Object {
	var out map[string]any
	if err := json.Unmarshal(cluster.Encode(o), &out); err != nil {
		panic(err)
	}
	return out
}

func (s *server) List(context.Context, cluster.Kind, string, string) ([]cluster.Object, error) {
	return nil, nil
}

func (s *server) Create(_ context.Context, kind cluster.Kind, o cluster.Object, _ bool) (cluster.Object, error) {
	ref := kind.In(o.Namespace(), o.ObjectName())
	return s.change("create", ref, func(was cluster.Object) (cluster.Object, error) {
		if was != nil {
			return nil, fault.New(fault.Conflict, "exists")
		}
		o := clone(o)
		o["metadata"].(map[string]any)["uid"] = "u-" + ref.Object
		return o, nil
	})
}

func (s *server) change(verb string, ref cluster.Ref, do func(cluster.Object) (cluster.Object, error)) (cluster.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(verb, ref); err != nil {
			return nil, err
		}
	}
	s.writes++
	now, err := do(s.objects[keyOf(ref)])
	if err != nil {
		return nil, err
	}
	now["metadata"].(map[string]any)["resourceVersion"] = fmt.Sprint(s.writes)
	if s.after != nil {
		s.after(now)
	}
	s.objects[keyOf(ref)] = now
	return clone(now), nil
}

func (s *server) Patch(_ context.Context, ref cluster.Ref, ops []cluster.Op, _ bool) (cluster.Object, error) {
	return s.change("patch", ref, func(was cluster.Object) (cluster.Object, error) {
		o := clone(was)
		for _, op := range ops {
			var v any
			if err := json.Unmarshal(op.Value, &v); err != nil {
				return nil, err
			}
			if now, _ := o.At(op.Path); op.Op == "test" && fmt.Sprint(now) != fmt.Sprint(v) {
				return nil, fault.New(fault.Conflict, "%s is %v", op.Path, now)
			}
			if op.Op == "add" {
				at := strings.LastIndex(op.Path, "/")
				in := map[string]any(o)
				if at > 0 {
					parent, _ := o.At(op.Path[:at])
					in = parent.(map[string]any)
				}
				in[op.Path[at+1:]] = v
			}
		}
		return o, nil
	})
}

func (s *server) Delete(context.Context, cluster.Ref, string) error { return nil }

func (s *server) Resource(context.Context, string, string) (cluster.Kind, error) {
	return cluster.Kind{}, nil
}

// shelf keeps documents.
type shelf map[string][]byte

func (s shelf) Put(_ context.Context, kind, name string, doc []byte, _ time.Time) error {
	s[kind+"/"+name] = doc
	return nil
}

func (s shelf) Get(_ context.Context, kind, name string) ([]byte, time.Time, error) {
	if doc, ok := s[kind+"/"+name]; ok {
		return doc, time.Time{}, nil
	}
	return nil, time.Time{}, fault.New(fault.NotFound, "no document")
}

func key() evidence.SigningKey {
	seed := sha256.Sum256([]byte("node"))
	return evidence.SigningKey{Name: "weightwarden/node", Key: ed25519.NewKeyFromSeed(seed[:])}
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func announcer(s *server, m announce.Memory, node string) *announce.Announcer {
	return announce.New(s, key(), m, announce.Config{
		Node: node, Version: "1.0", Namespace: "weightwarden", Every: 15 * time.Second,
		Targets: map[string]announce.Target{"Fraud_v1": {Namespace: "serving", Place: verdict.Place{Host: "/models", Inside: "fraud"}}},
	})
}

func sight(state verdict.State, at time.Time) verdict.Sight {
	return verdict.Sight{Model: "Fraud_v1", State: state, Root: artifact.SHA256Of([]byte(state)).String(), Path: "/m", At: at, Signs: []verdict.Sign{
		{Type: "model_file_unreadable", Severity: finding.High, Unseen: true, Count: 2, Text: "a file could not be read"},
		{Type: "model_file_tampered", Severity: finding.Critical, Count: 1, Text: "a file is another"},
	}}
}

func (s *server) only(t *testing.T, kind string) cluster.Object {
	t.Helper()
	var found cluster.Object
	for at, o := range s.objects {
		if strings.HasPrefix(at, kind+" ") {
			if found != nil {
				t.Fatalf("more than one %s", kind)
			}
			found = o
		}
	}
	if found == nil {
		t.Fatalf("no %s", kind)
	}
	return found
}

func TestAnnounce(t *testing.T) {
	s, m := newServer(), shelf{}
	a := announcer(s, m, "node-1")
	if err := a.Announce(t.Context(), sight(verdict.Unreadable, noon)); err != nil {
		t.Fatal(err)
	}
	report := s.only(t, "Report")
	outcomes := map[string]string{}
	for _, r := range report.Items("/results") {
		outcomes[r.Text("/rule")] = r.Text("/result")
		if r.Text("/policy") != "Fraud_v1" {
			t.Errorf("policy %q", r.Text("/policy"))
		}
	}
	want := map[string]string{cluster.RuleOnSeen: "error", "model_file_unreadable": "error", "model_file_tampered": "fail"}
	if fmt.Sprint(outcomes) != fmt.Sprint(want) || report.Number("/summary/error") != 2 || report.Number("/summary/pass") != 0 {
		t.Errorf("results %v, summary %v", outcomes, report["summary"])
	}
	first := report.Items("/results")[0]
	v, err := verdict.Open(verdict.Sealed{Text: first.Text("/properties/verdict"), Signature: first.Text("/properties/signature")}, key().Public())
	if err != nil || v.Cluster != "cluster-1" || v.Node != "node-1" || v.Sequence != 1 || v.Place.Host != "/models/fraud" {
		t.Errorf("%+v, %v", v, err)
	}
	model := s.only(t, "ProtectedModel")
	if model.Text("/status/conditions/0/status") != "Unknown" || model.Text("/status/nodes/node-1/state") != "unreadable" {
		t.Errorf("status %v", model["status"])
	}

	// Another agent adds its own; a restart goes on counting.
	if err := announcer(s, shelf{}, "node-2").Announce(t.Context(), sight(verdict.Trusted, noon)); err != nil {
		t.Fatal(err)
	}
	again := announcer(s, m, "node-1")
	if err := again.Announce(t.Context(), sight(verdict.Trusted, noon.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	model = s.only(t, "ProtectedModel")
	if model.Text("/status/conditions/0/status") != "True" || model.Number("/status/nodes/node-1/sequence") != 2 || model.Number("/status/trusted") != 2 {
		t.Errorf("status %v", model["status"])
	}
	writes := s.writes
	if err := again.Announce(t.Context(), sight(verdict.Trusted, noon.Add(time.Minute))); err != nil || s.writes != writes+1 {
		t.Errorf("the same sight made %d writes, %v", s.writes-writes, err)
	}
}

// The sign of life names what was announced, and nothing that another sight
// has overtaken.
func TestStanding(t *testing.T) {
	s := newServer()
	a := announcer(s, shelf{}, "node-1")
	stands := func() map[string]uint64 {
		t.Helper()
		if err := a.Renew(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		notes := s.only(t, "Lease").Annotations()
		st, err := verdict.OpenStanding(verdict.Sealed{Text: notes[cluster.NoteStanding], Signature: notes[cluster.NoteSigned]}, key().Public())
		if err != nil {
			t.Fatal(err)
		}
		return st.Verdicts
	}
	if got := stands(); len(got) != 0 {
		t.Errorf("nothing was announced: %v", got)
	}
	if err := a.Announce(t.Context(), sight(verdict.Trusted, noon)); err != nil {
		t.Fatal(err)
	}
	if got := stands(); got["Fraud_v1"] != 1 {
		t.Errorf("stands %v", got)
	}
	s.fail = func(_ string, ref cluster.Ref) error {
		if ref.Name == "Report" {
			return fault.New(fault.Incomplete, "etcd is away")
		}
		return nil
	}
	if err := a.Announce(t.Context(), sight(verdict.Tampered, noon)); fault.KindOf(err) != fault.Incomplete {
		t.Errorf("announced: %v", err)
	}
	if got := stands(); len(got) != 0 {
		t.Errorf("what was overtaken stands: %v", got)
	}
}

// What is not there when it is read back is not announced.
func TestReadBack(t *testing.T) {
	for _, kind := range []string{"Report", "ProtectedModel", "Lease"} {
		t.Run(kind, func(t *testing.T) {
			s := newServer()
			s.after = func(o cluster.Object) {
				switch {
				case o.Text("/results/0/rule") != "" && kind == "Report":
					o.Items("/results")[0]["result"] = "pass"
				case o.Text("/spec/model") != "" && kind == "ProtectedModel":
					delete(o, "status")
				case o.Text("/spec/renewTime") != "" && kind == "Lease":
					o["metadata"].(map[string]any)["annotations"] = nil
				}
			}
			a := announcer(s, shelf{}, "node-1")
			err := a.Announce(t.Context(), sight(verdict.Tampered, noon))
			if kind == "Lease" {
				err = a.Renew(t.Context(), noon)
			}
			if fault.KindOf(err) != fault.Conflict {
				t.Errorf("taken for announced: %v", err)
			}
		})
	}
}

// A change that somebody else's came between is made again.
func TestConflictIsTriedAgain(t *testing.T) {
	s := newServer()
	a := announcer(s, shelf{}, "node-1")
	if err := a.Announce(t.Context(), sight(verdict.Trusted, noon)); err != nil {
		t.Fatal(err)
	}
	left := 3
	s.fail = func(string, cluster.Ref) error {
		if left--; left >= 0 {
			return fault.New(fault.Conflict, "somebody was faster")
		}
		return nil
	}
	if err := a.Announce(t.Context(), sight(verdict.Tampered, noon)); err != nil {
		t.Error(err)
	}
	s.objects["ProtectedModel serving/"+s.only(t, "ProtectedModel").ObjectName()]["spec"] = map[string]any{"model": "other"}
	if err := a.Announce(t.Context(), sight(verdict.Trusted, noon)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("the status of another model was written: %v", err)
	}
}
