package respond_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/respond"
	"github.com/weightwarden/weightwarden/internal/store"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// host is the executor of the host's record over a real ledger.
type host struct {
	*respond.Record
	t *testing.T
}

func newHost(t *testing.T) *host {
	t.Helper()
	b := newBench(t) // for its clock
	db, err := store.Open(t.Context(), t.TempDir(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &host{t: t, Record: &respond.Record{
		Ledger: db.Ledger(), Baselines: baseline.Store{Documents: db.Documents(), Ledger: db.Ledger()}, Actor: "ana@host", Now: b.Now,
	}}
}

func (h *host) wants(s action.Step, want action.Outcome) {
	h.t.Helper()
	o, err := h.Observe(h.t.Context(), s)
	if err != nil || o.Outcome != want || o.Detail == "" || o.At.IsZero() {
		h.t.Fatalf("%s: saw %+v, %v; want %s", s.ID, o, err, want)
	}
}

// takes executes a step that is not done and sees it done.
func (h *host) takes(s action.Step) {
	h.t.Helper()
	h.wants(s, action.NotDone)
	if err := h.Execute(h.t.Context(), s); err != nil {
		h.t.Fatal(err)
	}
	h.wants(s, action.Done)
}

func (h *host) append(kind string, body any) {
	h.t.Helper()
	if _, err := h.Ledger.Append(h.t.Context(), trust.Log, evidence.Any, evidence.Draft{Time: start, Actor: "bob", Kind: kind, Body: body}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) state() *trust.State {
	h.t.Helper()
	entries, err := h.Ledger.Entries(h.t.Context(), trust.Log, 1)
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := trust.Fold(entries)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func TestDenyAndLift(t *testing.T) {
	h := newHost(t)
	d := trust.Denial{Subject: trust.Root, Value: artifact.SHA256Of(nil).String(), Incident: id}
	deny := respond.Deny(d)
	h.takes(deny)
	if got, ok := h.state().Denied(d.Subject, d.Value); !ok || got.Body != d {
		t.Errorf("denial is %+v", got)
	}
	h.takes(*deny.Inverse)
	h.wants(deny, action.NotDone)
}

// What somebody else put on the deny-list is not this incident's to take off.
func TestLiftLeavesTheDenialsOfOthers(t *testing.T) {
	h := newHost(t)
	d := trust.Denial{Subject: trust.Root, Value: artifact.SHA256Of(nil).String(), Incident: "INC-20260101-BBBBBBBB"}
	h.append(trust.KindDenied, d)
	d.Incident = id
	deny := respond.Deny(d)
	h.wants(deny, action.Done)
	h.wants(*deny.Inverse, action.Done)
	if _, ok := h.state().Denied(d.Subject, d.Value); !ok {
		t.Error("the denial of another incident is gone")
	}
}

func model(t *testing.T, content string) (dir string, root artifact.Digest) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "weights"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Take(t.Context(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dir, m.Root()
}

func TestSetBaselineAndReturn(t *testing.T) {
	h := newHost(t)
	dir, root := model(t, "good")
	set := trust.BaselineSet{Model: "m", Path: dir, Voucher: trust.BySignature, Who: "key:1", Reason: "rolled back in " + id}
	first := respond.SetBaseline(set, root, nil)
	if first.Inverse != nil {
		t.Error("there is nothing to return to, and an inverse")
	}
	h.takes(first)
	before, _ := h.state().Baseline("m")

	set.Reason = "rolled back in INC-20261124-CCCCCCCC"
	second := respond.SetBaseline(set, root, &before.Body)
	h.takes(second) // the digest is the same, the baseline is not
	h.takes(*second.Inverse)
	if now, _ := h.state().Baseline("m"); now.Body != before.Body {
		t.Errorf("baseline is %+v, want %+v", now.Body, before.Body)
	}
}

func TestReturnIsGuarded(t *testing.T) {
	h := newHost(t)
	dir, root := model(t, "good")
	set := trust.BaselineSet{Model: "m", Path: dir, Voucher: trust.BySignature, Reason: "rolled back in " + id}
	former := trust.BaselineSet{Model: "m", Path: dir, Voucher: trust.FirstUse, Document: artifact.SHA256Of(nil)}
	step := respond.SetBaseline(set, root, &former)
	h.takes(step)
	h.append(trust.KindBaseline, trust.BaselineSet{Model: "m", Voucher: trust.ByPerson, Who: "bob"})
	h.wants(*step.Inverse, action.Diverged)
}

func TestSetBaselineOfAnotherModel(t *testing.T) {
	h := newHost(t)
	dir, _ := model(t, "tampered")
	_, root := model(t, "good")
	step := respond.SetBaseline(trust.BaselineSet{Model: "m", Path: dir, Voucher: trust.BySignature}, root, nil)
	if err := h.Execute(t.Context(), step); fault.KindOf(err) != fault.Conflict {
		t.Errorf("got %v", err)
	}
	h.wants(step, action.NotDone)
}

func TestStepsThatAreNotUnderstood(t *testing.T) {
	h := newHost(t)
	good := respond.Deny(trust.Denial{Subject: trust.Root, Value: "ab", Incident: id})
	for name, change := range map[string]func(*action.Step){
		"unknown_kind":  func(s *action.Step) { s.Kind = "dance" },
		"no_parameters": func(s *action.Step) { s.Params = nil },
		"other_form":    func(s *action.Step) { s.Params = json.RawMessage(`[]`) },
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			change(&s)
			if _, err := h.Observe(t.Context(), s); err == nil {
				t.Error("observed")
			}
			if err := h.Execute(t.Context(), s); err == nil {
				t.Error("executed")
			}
			if n := len(h.state().Denials()); n != 0 {
				t.Errorf("%d denials", n)
			}
		})
	}
}
