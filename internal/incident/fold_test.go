package incident_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

const logName = "INC-20260301-AAAAAAAA"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// minute returns the time n minutes after the declaration.
func minute(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// record writes entries one minute apart, the first at noon.
type record struct {
	t       testing.TB
	entries []evidence.Entry
}

func opened(t testing.TB) *record {
	t.Helper()
	r := &record{t: t}
	return r.add(incident.KindOpened, incident.Opened{
		Models: []string{"fraud"}, Severity: finding.Critical, Summary: "weights changed",
		Commander: "ana", DetectedAt: minute(-5), Method: "check",
	})
}

func (r *record) add(kind string, body any) *record {
	r.t.Helper()
	var prev artifact.Digest
	if n := len(r.entries); n > 0 {
		prev = r.entries[n-1].Hash()
	}
	e, err := evidence.Seal(logName, uint64(len(r.entries))+1, prev, evidence.Draft{
		Time: minute(len(r.entries)), Actor: "ana@host", Kind: kind, Body: body,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.entries = append(r.entries, e)
	return r
}

func (r *record) fold() *incident.Incident {
	r.t.Helper()
	i, err := incident.Fold(r.entries)
	if err != nil {
		r.t.Fatal(err)
	}
	return i
}

// carryOut writes what carrying out a step of p leaves in the log.
func (r *record) carryOut(p action.Plan, step string, o action.Outcome) *record {
	r.t.Helper()
	return r.add(incident.KindIntent, incident.StepIntent{Plan: p.Hash(), Step: step}).
		add(incident.KindExecuted, incident.StepExecuted{Plan: p.Hash(), Step: step}).
		observe(p, step, o)
}

func (r *record) observe(p action.Plan, step string, o action.Outcome) *record {
	r.t.Helper()
	return r.add(incident.KindObserved, incident.StepObserved{
		Plan: p.Hash(), Step: step, Observation: action.Observation{Outcome: o, At: minute(len(r.entries))},
	})
}

// undo returns the plan that takes steps of p back.
func undo(p action.Plan, steps ...string) action.Plan {
	u := action.Plan{Action: action.Undo, Model: p.Model}
	for _, s := range steps {
		u.Steps = append(u.Steps, action.Step{ID: "undo-" + s, Undoes: incident.StepRef(p.Hash(), s)})
	}
	return u
}

var (
	isolate  = action.Plan{Action: action.Isolate, Model: "fraud", Steps: []action.Step{{ID: "move"}, {ID: "mark"}}}
	rollback = action.Plan{Action: action.Rollback, Model: "fraud", Steps: []action.Step{{ID: "swap"}}}
)

// The whole story, and the state after each of its chapters.
func TestFoldTellsTheStory(t *testing.T) {
	root := artifact.SHA256Of([]byte("tampered"))
	undoIsolate, undoRollback := undo(isolate, "mark", "move"), undo(rollback, "swap")
	r := opened(t)
	chapters := []struct {
		name  string
		tell  func()
		state incident.State
	}{
		{"open", func() {}, incident.Open},
		{"assessed", func() {
			r.add(incident.KindAssessed, incident.Assessed{Model: "fraud", Root: root, Items: 3, Sealed: true})
		}, incident.Open},
		{"isolation_planned", func() {
			r.add(incident.KindPlanned, isolate).
				add(incident.KindApproved, incident.Approved{Plan: isolate.Hash(), By: "ana", Self: true})
		}, incident.Open},
		{"half_isolated", func() { r.carryOut(isolate, "move", action.Done) }, incident.Open},
		{"returned_but_not_done", func() { r.carryOut(isolate, "mark", action.NotDone) }, incident.Open},
		{"contained", func() { r.carryOut(isolate, "mark", action.Done) }, incident.Contained},
		{"rolled_back", func() { r.add(incident.KindPlanned, rollback).carryOut(rollback, "swap", action.Done) }, incident.Recovered},
		{"rollback_undone", func() {
			r.add(incident.KindPlanned, undoRollback).carryOut(undoRollback, "undo-swap", action.Done)
		}, incident.Contained},
		{"isolation_undone", func() {
			r.add(incident.KindPlanned, undoIsolate).carryOut(undoIsolate, "undo-mark", action.Done).carryOut(undoIsolate, "undo-move", action.Done)
		}, incident.Open},
		{"isolated_again", func() {
			r.add(incident.KindPlanned, isolate).carryOut(isolate, "move", action.Done).carryOut(isolate, "mark", action.Done)
		}, incident.Contained},
		{"closed", func() { r.add(incident.KindClosed, incident.Closed{Resolution: "model retired"}) }, incident.Done},
	}
	for _, c := range chapters {
		t.Run(c.name, func(t *testing.T) {
			c.tell()
			i := r.fold()
			if i.State != c.state {
				t.Errorf("state is %s, want %s", i.State, c.state)
			}
			if i.Entries != uint64(len(r.entries)) {
				t.Errorf("%d entries were folded of %d", i.Entries, len(r.entries))
			}
		})
	}
	i := r.fold()
	if i.ClosedAt != r.entries[len(r.entries)-1].Time || i.Resolution != "model retired" {
		t.Errorf("closed at %v as %q", i.ClosedAt, i.Resolution)
	}
	if a, ok := i.Sealed("fraud"); !ok || a.Root != root || a.At != minute(1) {
		t.Errorf("evidence is %+v", a)
	}
}

func TestFoldOfTheDeclaration(t *testing.T) {
	i := opened(t).fold()
	want := &incident.Incident{
		ID: logName, State: incident.Open, Severity: finding.Critical, Models: []string{"fraud"}, Summary: "weights changed",
		Commander: "ana", Method: "check", DetectedAt: minute(-5), OpenedAt: noon, Entries: 1,
		Facts: map[string]incident.StatedFact{}, Assessed: map[string]incident.AssessedAt{},
		Indicators: []indicator.Indicator{}, Findings: []finding.Finding{}, Inquiries: []incident.Inquiry{},
		Plans: []incident.PlanState{}, Evidence: []evidence.Item{}, Gaps: []evidence.Gap{}, Refusals: []incident.Refused{}, Waivers: []incident.WaivedAt{},
		Tasks: []incident.TaskState{}, Messages: []incident.RenderedMessage{}, Notes: []incident.WrittenNote{},
		Custody: []incident.CustodyAt{}, Scopes: map[string]incident.ScopeAt{},
		Approved: []incident.ApprovedMessage{}, Sent: []incident.SentMessage{}, Acknowledged: []incident.AcknowledgedMessage{},
		History: []incident.StatedFact{}, UpdatedAt: noon,
		Requests: []incident.RequestAt{}, Approvals: []incident.ApprovalAt{}, BrokenGlass: []incident.BreakGlassAt{},
		Reverts: []incident.RevertedAt{}, Automatic: []incident.AutomaticAt{}, ClockJumps: []incident.ClockJump{}, Asked: map[string]uint64{},
	}
	if d := cmp.Diff(want, i, cmp.Comparer(func(a, b artifact.Digest) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestFoldCollects(t *testing.T) {
	r := opened(t).
		add(incident.KindIndicator, indicator.New(indicator.ModelFileTampered, "fraud", noon, "changed", nil, "a")).
		add(incident.KindFinding, finding.Finding{Rule: "R1", Severity: finding.High, Verdict: finding.Suspicious}).
		add(incident.KindFact, incident.Fact{Name: "commander", Value: "bo"}).
		add(incident.KindFact, incident.Fact{Name: "cause", Value: "unknown"}).
		add(incident.KindFact, incident.Fact{Name: "cause", Value: "stolen token"}).
		add(incident.KindNote, incident.Note{Text: "called the owner"}).
		add(incident.KindSealed, evidence.Item{Type: "manifest"}).
		add(incident.KindGap, evidence.Gap{Type: "sockets", Reason: "no /proc"}).
		add(incident.KindRefused, incident.Refused{Gate: "evidence"}).
		add(incident.KindMessage, incident.Message{Template: "initial_alert"}).
		add(incident.KindMessageApproved, incident.MessageApproved{By: "bo"}).
		add(incident.KindMessageSent, incident.MessageSent{Recipients: []string{"security"}}).
		add(incident.KindMessageAcknowledged, incident.MessageAcknowledged{By: "security"}).
		add(incident.KindInquiry, incident.Inquiry{Model: "fraud", Files: 2})
	i := r.fold()
	counts := map[string]int{
		"indicators": len(i.Indicators), "findings": len(i.Findings), "facts": len(i.Facts), "notes": len(i.Notes),
		"evidence": len(i.Evidence), "gaps": len(i.Gaps), "refusals": len(i.Refusals), "messages": len(i.Messages), "inquiries": len(i.Inquiries),
		"approved": len(i.Approved), "sent": len(i.Sent), "acknowledged": len(i.Acknowledged), "history": len(i.History),
	}
	want := map[string]int{
		"indicators": 1, "findings": 1, "facts": 2, "notes": 1, "evidence": 1, "gaps": 1, "refusals": 1, "messages": 1, "inquiries": 1,
		"approved": 1, "sent": 1, "acknowledged": 1, "history": 3,
	}
	if d := cmp.Diff(want, counts); d != "" {
		t.Error(d)
	}
	if f := i.Facts["cause"]; f.Value != "stolen token" || f.At != minute(5) || f.By != "ana@host" {
		t.Errorf("the later fact does not count: %+v", f)
	}
	if i.Commander != "bo" {
		t.Errorf("commander is %q", i.Commander)
	}
}

func TestFoldRefuses(t *testing.T) {
	raw := func(kind, body string) func(*record) {
		return func(r *record) { r.add(kind, json.RawMessage(body)) }
	}
	tests := []struct {
		name string
		tell func(*record)
		text string
	}{
		{"unreadable_body", raw(incident.KindFact, `{"name":3}`), "read fact_stated entry 2"},
		{"unreadable_digest", raw(incident.KindApproved, `{"plan_hash":"00"}`), "read plan_approved entry 2"},
		{"unreadable_severity", raw(incident.KindFinding, `{"severity":"awful"}`), "read finding_made entry 2"},
		{"unreadable_plan", raw(incident.KindPlanned, `[]`), "read plan_made entry 2"},
		{"declared_twice", raw(incident.KindOpened, `{"models":["other"]}`), "declares the incident again"},
		{"one_cut_out", func(r *record) {
			r.add(incident.KindNote, incident.Note{}).add(incident.KindNote, incident.Note{})
			r.entries = append(r.entries[:1], r.entries[2])
		}, "entry 3 stands where entry 2 belongs"},
		{"one_told_twice", func(r *record) { r.entries = append(r.entries, r.entries[0]) }, "entry 1 stands where entry 2 belongs"},
		{"of_another_log", func(r *record) {
			r.add(incident.KindNote, incident.Note{})
			r.entries[1].Log = "INC-other"
		}, "entry 2 is of log"},
		{"beginning_cut_off", func(r *record) {
			r.add(incident.KindNote, incident.Note{})
			r.entries = r.entries[1:]
		}, "not with its declaration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := opened(t)
			tt.tell(r)
			i, err := incident.Fold(r.entries)
			if i != nil || fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("folded to %v with %v, want %q", i, err, tt.text)
			}
			if fault.HintOf(err) == "" {
				t.Error("no word on what to do next")
			}
		})
	}
	if _, err := incident.Fold(nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no entries give %v", err)
	}
}

func TestFoldKeepsWhatItDoesNotKnow(t *testing.T) {
	i := opened(t).add("verdict_of_2031", map[string]int{"a": 1}).fold()
	if d := cmp.Diff([]string{"2 verdict_of_2031"}, i.Unknown); d != "" || i.Entries != 2 {
		t.Error(d, i.Entries)
	}
}

// A fact of the past does not change because a later look was worse.
func TestSealedStaysSealed(t *testing.T) {
	root := artifact.SHA256Of(nil)
	i := opened(t).
		add(incident.KindAssessed, incident.Assessed{Model: "fraud", Root: root, Sealed: true}).
		add(incident.KindAssessed, incident.Assessed{Model: "fraud", Gaps: 9, Reason: "model is gone"}).fold()
	if a, ok := i.Sealed("fraud"); !ok || a.Root != root || a.At != minute(1) {
		t.Errorf("evidence is %+v, %v", a, ok)
	}
	if _, ok := i.Sealed("other"); ok {
		t.Error("evidence of another model counts")
	}
	if _, ok := opened(t).add(incident.KindAssessed, incident.Assessed{Model: "fraud"}).fold().Sealed("fraud"); ok {
		t.Error("an assessment that sealed nothing counts")
	}
}

// The plan that ended last decides, not the one that was made last.
func TestStateFollowsTheLastEnd(t *testing.T) {
	r := opened(t).add(incident.KindPlanned, rollback).add(incident.KindPlanned, isolate).
		carryOut(isolate, "move", action.Done).carryOut(isolate, "mark", action.Done)
	contained := minute(len(r.entries) - 1)
	r.carryOut(rollback, "swap", action.Done)
	recovered := minute(len(r.entries) - 1)
	i := r.observe(isolate, "mark", action.Done).fold() // a later look ends nothing again
	if i.State != incident.Recovered {
		t.Errorf("state is %s", i.State)
	}
	if got := i.MovedAt(action.Isolate); got != contained {
		t.Errorf("contained at %v, want %v", got, contained)
	}
	if got := i.MovedAt(action.Rollback); got != recovered {
		t.Errorf("recovered at %v", got)
	}
	if got := i.MovedAt(action.Undo); !got.IsZero() {
		t.Errorf("undone at %v, and nothing was", got)
	}
}

func TestEmptyPlanReachesNothing(t *testing.T) {
	i := opened(t).add(incident.KindPlanned, action.Plan{Action: action.Isolate}).fold()
	if i.State != incident.Open || i.Plans[0].Finished() || i.Plans[0].Unfinished() {
		t.Errorf("state is %s with a plan that did nothing", i.State)
	}
}

// FuzzFold promises that any record gives either an error or the state of all
// of it, and that a state can be shown.
func FuzzFold(f *testing.F) {
	f.Add(incident.KindFact, `{"name":"first_bad_at","value":"2026-03-01T00:00:00Z"}`, incident.KindNote, `{}`)
	f.Add(incident.KindPlanned, `{"action":"isolate","steps":[{"id":"1","params":{"a":[]},"inverse":{"id":"2"}}]}`, incident.KindObserved, `{"step":"1"}`)
	f.Add(incident.KindPlanned, `{"action":"isolate"}`, incident.KindAssessed, `null`)
	f.Add(incident.KindTask, `{"id":"t"}`, incident.KindTaskDone, `{"id":"t"}`)
	f.Add("unknown", `[]`, incident.KindClosed, `{"resolution":3}`)
	f.Fuzz(func(t *testing.T, kind1, body1, kind2, body2 string) {
		entries := opened(t).entries
		for n, e := range []evidence.Entry{{Kind: kind1, Body: []byte(body1)}, {Kind: kind2, Body: []byte(body2)}} {
			e.Log, e.Seq, e.Time = logName, uint64(n)+2, minute(n+1)
			entries = append(entries, e)
		}
		i, err := incident.Fold(entries)
		if (i == nil) == (err == nil) {
			t.Fatalf("folded to %v with %v", i, err)
		}
		if err != nil {
			return
		}
		if i.Entries != uint64(len(entries)) || i.State == "" {
			t.Fatalf("%d entries folded of %d, state %q", i.Entries, len(entries), i.State)
		}
		if i.State == incident.Recovered || i.State == incident.Contained {
			done := i.Plans[0].Steps[0].Observation.Outcome
			if done != action.Done {
				t.Fatalf("state %s, and what was observed is %q", i.State, done)
			}
		}
		i.FirstBad()
		if _, err := json.Marshal(i); err != nil {
			t.Fatalf("cannot be shown: %v", err)
		}
	})
}

// What is done to what is served decides, not what is done to the host's
// record beside it.
func TestStateOfAPlanTakenBackInPart(t *testing.T) {
	p := action.Plan{Action: action.Isolate, Model: "fraud", Steps: []action.Step{
		{ID: "deny", Driver: action.RecordDriver}, {ID: "move", Driver: "directory"},
	}}
	undo := func(step string) action.Plan {
		return action.Plan{Action: action.Undo, Model: "fraud", Steps: []action.Step{{ID: "undo-" + step, Undoes: incident.StepRef(p.Hash(), step)}}}
	}
	r := opened(t).add(incident.KindPlanned, p).carryOut(p, "deny", action.Done).carryOut(p, "move", action.Done)
	r.add(incident.KindPlanned, undo("deny")).carryOut(undo("deny"), "undo-deny", action.Done)
	if i := r.fold(); i.State != incident.Contained || i.MovedAt(action.Isolate).IsZero() {
		t.Errorf("without the denial it is %s", i.State)
	}
	r.add(incident.KindPlanned, undo("move")).carryOut(undo("move"), "undo-move", action.Done)
	if i := r.fold(); i.State != incident.Open {
		t.Errorf("put back it is %s", i.State)
	}
}

// A second plan finds the marker of the first, and one removal takes it from
// both; a step of the same name on something else stays.
func TestTakenFromAllThatHadIt(t *testing.T) {
	marking := func(target, remark string) action.Plan {
		return action.Plan{Action: action.Isolate, Model: "fraud", Remarks: []string{remark}, Steps: []action.Step{
			{ID: "mark", Driver: "directory", Kind: "mark", Inverse: &action.Step{ID: "unmark", Driver: "directory", Kind: "unmark", Target: target}},
		}}
	}
	first, second, other := marking("/a", "1"), marking("/a", "2"), marking("/b", "3")
	undo := *second.Steps[0].Inverse
	undo.Undoes = incident.StepRef(second.Hash(), "mark")
	undoing := action.Plan{Action: action.Undo, Model: "fraud", Steps: []action.Step{undo}}
	r := opened(t)
	for _, p := range []action.Plan{first, second, other} {
		r.add(incident.KindPlanned, p).carryOut(p, "mark", action.Done)
	}
	i := r.add(incident.KindPlanned, undoing).carryOut(undoing, "unmark", action.Done).fold()
	got := []bool{i.Plans[0].TakenBack(), i.Plans[1].TakenBack(), i.Plans[2].TakenBack()}
	if d := cmp.Diff([]bool{true, true, false}, got); d != "" {
		t.Error(d)
	}
}
