package respond_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/respond"
	"github.com/weightwarden/weightwarden/internal/store"
)

const id = "INC-20261123-AAAAAAAA"

var (
	key   = evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
)

// world is what the steps change: the set of steps that are done. It plays
// the executor, and can be told to fail.
type world struct {
	done map[string]bool
	// took lists what was executed, in order.
	took []string
	// lies makes Execute return without having done anything; breaks makes it
	// fail, after having done it when the value is true.
	lies   string
	breaks map[string]bool
	// blind makes Observe fail, diverged makes it see somebody else's work.
	blind, diverged string
}

func (w *world) Execute(_ context.Context, s action.Step) error {
	w.took = append(w.took, s.ID)
	works, fails := w.breaks[s.ID]
	if w.lies != s.ID && (!fails || works) {
		of, inverse := strings.CutPrefix(s.ID, "undo-")
		w.done[of] = !inverse
	}
	if fails {
		return errors.New("the disk is on fire")
	}
	return nil
}

func (w *world) Observe(_ context.Context, s action.Step) (action.Observation, error) {
	of, inverse := strings.CutPrefix(s.ID, "undo-")
	switch {
	case w.blind == s.ID:
		return action.Observation{}, errors.New("no light")
	case w.diverged == s.ID:
		return action.Observation{Outcome: action.Diverged, Detail: "somebody was here"}, nil
	case w.done[of] != inverse:
		return action.Observation{Outcome: action.Done, Detail: "it is there"}, nil
	}
	return action.Observation{Outcome: action.NotDone, Detail: "it is not there"}, nil
}

// bench is a responder over a real ledger and a made-up world.
type bench struct {
	mu sync.Mutex // of held
	*respond.Responder
	t     *testing.T
	world *world
	db    *store.DB
	held  map[string]bool // locks
	clock time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bench{t: t, db: db, world: &world{done: map[string]bool{}, breaks: map[string]bool{}}, held: map[string]bool{}, clock: start}
	b.Responder = b.responder(db.Ledger())
	b.record(incident.KindOpened, incident.Opened{Models: []string{"m"}, Severity: finding.Critical, Commander: "ana", Summary: "s", DetectedAt: start})
	b.record(incident.KindAssessed, incident.Assessed{Model: "m", Sealed: true})
	return b
}

func (b *bench) responder(l evidence.Ledger) *respond.Responder {
	return &respond.Responder{
		Ledger: l, Executors: map[string]action.Executor{"fake": b.world}, Actor: "ana@host",
		Now: func() time.Time { b.clock = b.clock.Add(time.Second); return b.clock },
		Lock: func(name string) (func() error, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.held[name] {
				return nil, fault.New(fault.Conflict, "locked")
			}
			b.held[name] = true
			return func() error {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.held[name] = false
				return nil
			}, nil
		},
	}
}

func (b *bench) record(kind string, body any) {
	b.t.Helper()
	if err := b.Record(b.t.Context(), id, b.Draft(kind, body)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) load() *incident.Incident {
	b.t.Helper()
	inc, err := b.Load(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return inc
}

// kinds returns the kinds of the entries behind the first n.
func (b *bench) kinds(n int) []string {
	b.t.Helper()
	entries, err := b.Ledger.Entries(b.t.Context(), id, uint64(n)+1)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Kind)
	}
	return out
}

func (b *bench) status() (out []string) {
	inc := b.load()
	for _, s := range inc.Plans[len(inc.Plans)-1].Steps {
		out = append(out, s.ID+" "+string(s.Status))
	}
	return out
}

func plan(name action.Name, steps ...string) action.Plan {
	p := action.Plan{Incident: id, Action: name, Model: "m", Target: "/models/m", Observed: map[string]string{"n": string(name)}}
	for _, s := range steps {
		p.Steps = append(p.Steps, action.Step{
			ID: s, Driver: "fake", Kind: s, Summary: "do " + s, Destroys: s == "exchange",
			Inverse: &action.Step{ID: "back-" + s, Driver: "fake", Kind: "undo-" + s, Summary: "undo " + s},
		})
	}
	return p
}

var (
	approved = []string{incident.KindPlanned, incident.KindApproved}
	taken    = []string{incident.KindIntent, incident.KindExecuted, incident.KindObserved}
)

func TestStep(t *testing.T) {
	tests := []struct {
		name   string
		world  func(*world)
		kind   fault.Kind // Internal where it succeeds
		text   string
		status string
		record []string // behind plan and approval
		took   int
	}{
		{name: "taken", status: "done", record: taken, took: 1},
		{
			name: "done_already", world: func(w *world) { w.done["a"] = true },
			status: "done", record: []string{incident.KindObserved},
		},
		{
			name: "somebody_else_was_there", world: func(w *world) { w.diverged = "a" },
			kind: fault.Refused, text: "somebody was here", status: "failed", record: []string{incident.KindObserved},
		},
		{
			name: "cannot_look_before", world: func(w *world) { w.blind = "a" },
			kind: fault.Incomplete, text: "no light", status: "failed", record: []string{incident.KindObserved},
		},
		{
			name: "says_so_and_did_nothing", world: func(w *world) { w.lies = "a" },
			kind: fault.Incomplete, text: "it is not there", status: "failed", record: taken, took: 1,
		},
		{
			name: "fails", world: func(w *world) { w.breaks["a"] = false },
			kind: fault.Incomplete, text: "on fire", status: "failed", record: taken, took: 1,
		},
		{
			name: "says_that_it_failed_and_did_it", world: func(w *world) { w.breaks["a"] = true },
			status: "done", record: taken, took: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			if tt.world != nil {
				tt.world(b.world)
			}
			err := b.Apply(t.Context(), plan(action.Isolate, "a"))
			if (err != nil) != (tt.text != "") || fault.KindOf(err) != tt.kind {
				t.Fatalf("got %v (%v)", err, fault.KindOf(err))
			}
			if err != nil && (!strings.Contains(err.Error(), tt.text) || fault.HintOf(err) == "") {
				t.Errorf("text %q, hint %q", err, fault.HintOf(err))
			}
			if diff := cmp.Diff(slices.Concat(approved, tt.record), b.kinds(2)); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			if got := b.status(); !slices.Equal(got, []string{"a " + tt.status}) || len(b.world.took) != tt.took {
				t.Errorf("status %v, executed %v", got, b.world.took)
			}
			if b.held[id] {
				t.Error("the lock is still held")
			}
		})
	}
}

// A step that could not be looked at afterwards is not done.
func TestCannotLookAfterwards(t *testing.T) {
	b := newBench(t)
	b.Journal = func(point string) {
		if point == "returned a" {
			b.world.blind = "a"
		}
	}
	err := b.Apply(t.Context(), plan(action.Isolate, "a", "b"))
	if fault.KindOf(err) != fault.Incomplete || !slices.Equal(b.status(), []string{"a failed", "b planned"}) {
		t.Errorf("got %v, %v", err, b.status())
	}
}

func TestStateFollowsFromObservation(t *testing.T) {
	b := newBench(t)
	b.world.lies = "exchange"
	if err := b.Apply(t.Context(), plan(action.Isolate, "deny", "exchange")); err == nil {
		t.Error("a step that did nothing is done")
	}
	if inc := b.load(); inc.State != incident.Open {
		t.Errorf("state is %s", inc.State)
	}
	b.world.lies = ""
	if _, err := b.Resume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if inc := b.load(); inc.State != incident.Contained {
		t.Errorf("state is %s", inc.State)
	}
}

func TestUnknownDriver(t *testing.T) {
	b := newBench(t)
	p := plan(action.Isolate, "a")
	p.Steps[0].Driver = "teleporter"
	if err := b.Apply(t.Context(), p); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "teleporter") {
		t.Errorf("got %v", err)
	}
}

var errCrash = errors.New("crash")

// crash applies a plan until the journal passes the n-th point, and reports
// which one that was; "" when the plan ended before.
func (b *bench) crash(n int, do func() error) (at string, err error) {
	defer func() {
		if e := recover(); e != nil && !errors.Is(e.(error), errCrash) {
			panic(e)
		}
		b.Journal = nil
		b.held = map[string]bool{} // the locks of a process end with it
	}()
	b.Journal = func(point string) {
		if n--; n == 0 {
			at = point
			panic(errCrash)
		}
	}
	err = do()
	return at, err
}

func TestCrashAtEveryPoint(t *testing.T) {
	want := []string{
		"planned",
		"intended deny", "executed deny", "returned deny", "observed deny",
		"intended exchange", "executed exchange", "returned exchange", "observed exchange",
	}
	var points []string
	for n := 1; ; n++ {
		b := newBench(t)
		at, err := b.crash(n, func() error { return b.Apply(t.Context(), plan(action.Isolate, "deny", "exchange")) })
		if at == "" {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		points = append(points, at)
		before := b.kinds(0)
		b.Responder = b.responder(b.Ledger) // another process
		resumed, err := b.Resume(t.Context(), id)
		if finished := at == want[len(want)-1]; err != nil || len(resumed) == 1 == finished {
			t.Fatalf("%s: resumed %v, %v", at, resumed, err)
		}
		if inc := b.load(); inc.State != incident.Contained || !inc.Plans[0].Finished() {
			t.Errorf("%s: state %s, steps %v", at, inc.State, b.status())
		}
		if !slices.Equal(b.world.took, []string{"deny", "exchange"}) {
			t.Errorf("%s: executed %v", at, b.world.took)
		}
		if after := b.kinds(0); !slices.Equal(after[:len(before)], before) {
			t.Errorf("%s: the record was rewritten: %v, then %v", at, before, after)
		}
		b.resumeAgain(at)
	}
	if diff := cmp.Diff(want, points); diff != "" {
		t.Errorf("points of the journal (-want +got):\n%s", diff)
	}
}

// resumeAgain checks that resuming what is finished does nothing.
func (b *bench) resumeAgain(at string) {
	b.t.Helper()
	before := len(b.kinds(0))
	resumed, err := b.Resume(b.t.Context(), id)
	if err != nil || len(resumed) != 0 || len(b.kinds(0)) != before {
		b.t.Errorf("%s: resumed again: %v, %v", at, resumed, err)
	}
}

// The intent with its inverse is in the record before anything happens.
func TestIntentComesFirst(t *testing.T) {
	b := newBench(t)
	if at, _ := b.crash(2, func() error { return b.Apply(t.Context(), plan(action.Isolate, "a")) }); at != "intended a" {
		t.Fatalf("stopped at %q", at)
	}
	entries, err := b.Ledger.Entries(t.Context(), id, 1)
	if err != nil {
		t.Fatal(err)
	}
	var intent incident.StepIntent
	if err := entries[len(entries)-1].Decode(&intent); err != nil || intent.Inverse == nil || intent.Step != "a" {
		t.Errorf("intent is %+v, %v", intent, err)
	}
	if len(b.world.took) != 0 {
		t.Errorf("executed %v", b.world.took)
	}
}

func TestGates(t *testing.T) {
	sealed := func(b *bench, sealed bool, model string) {
		b.record(incident.KindAssessed, incident.Assessed{Model: model, Sealed: sealed, Reason: "the disk is full"})
	}
	tests := []struct {
		name  string
		setup func(b *bench)
		plan  action.Plan
		gate  string // "" where the plan passes
	}{
		{"all_in_order", nil, plan(action.Isolate, "exchange"), ""},
		{"closed", func(b *bench) { b.record(incident.KindClosed, incident.Closed{}) }, plan(action.Isolate, "a"), "G1"},
		{"no_commander", func(b *bench) { b.record(incident.KindFact, incident.Fact{Name: "commander"}) }, plan(action.Isolate, "a"), "G1"},
		{"sealed_once_stays_sealed", func(b *bench) { sealed(b, false, "m") }, plan(action.Isolate, "exchange"), ""},
		{"evidence_of_another_model", func(b *bench) { sealed(b, true, "n") }, of("n2", plan(action.Isolate, "exchange")), "G2"},
		{"evidence_with_holes", func(b *bench) { sealed(b, false, "n") }, of("n", plan(action.Isolate, "exchange")), "G2"},
		{"nothing_is_ended", nil, of("n", plan(action.Isolate, "mark")), ""},
		{"another_plan_was_begun", interrupted, plan(action.Rollback, "b"), "G9"},
		{"taking_back_what_was_begun", interrupted, plan(action.Undo, "b"), ""},
		{"another_plan_failed", failed, plan(action.Rollback, "b"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			if tt.setup != nil {
				tt.setup(b)
			}
			before, took := len(b.kinds(0)), len(b.world.took)
			err := b.Apply(t.Context(), tt.plan)
			if tt.gate == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate "+tt.gate) || fault.HintOf(err) == "" {
				t.Errorf("got %v (%v)", err, fault.KindOf(err))
			}
			if diff := cmp.Diff([]string{incident.KindRefused}, b.kinds(before)); diff != "" || len(b.world.took) != took {
				t.Errorf("executed %v, record (-want +got):\n%s", b.world.took, diff)
			}
			if r := b.load().Refusals; len(r) != 1 || r[0].Gate != tt.gate || r[0].Reason == "" {
				t.Errorf("refusals are %+v", r)
			}
		})
	}
}

func of(model string, p action.Plan) action.Plan {
	p.Model = model
	return p
}

func interrupted(b *bench) {
	_, _ = b.crash(2, func() error { return b.Apply(b.t.Context(), plan(action.Isolate, "a")) })
}

func failed(b *bench) {
	b.world.breaks["a"] = false
	_ = b.Apply(b.t.Context(), plan(action.Isolate, "a"))
	delete(b.world.breaks, "a")
}

// Resuming passes the gates again, as the incident may be another by now.
func TestResumeOfAClosedIncident(t *testing.T) {
	b := newBench(t)
	interrupted(b)
	b.record(incident.KindClosed, incident.Closed{})
	_, err := b.Resume(t.Context(), id)
	if fault.KindOf(err) != fault.Refused || len(b.world.took) != 0 {
		t.Errorf("got %v, executed %v", err, b.world.took)
	}
}

func TestLock(t *testing.T) {
	b := newBench(t)
	second := b.responder(b.Ledger)
	var during error
	b.Journal = func(point string) {
		if point == "intended a" {
			during = second.Apply(t.Context(), plan(action.Rollback, "b"))
			_, resume := second.Resume(t.Context(), id)
			during = errors.Join(during, resume)
		}
	}
	if err := b.Apply(t.Context(), plan(action.Isolate, "a")); err != nil {
		t.Fatal(err)
	}
	if fault.KindOf(during) != fault.Conflict || !slices.Equal(b.world.took, []string{"a"}) {
		t.Errorf("the second got %v; executed %v", during, b.world.took)
	}
	// Afterwards it may, and finds everything done.
	if err := second.Apply(t.Context(), plan(action.Isolate, "a")); err != nil || len(b.world.took) != 1 {
		t.Errorf("afterwards: %v, executed %v", err, b.world.took)
	}
}

// late appends an entry right before the plan is recorded, as somebody who
// writes a note does.
type late struct {
	evidence.Ledger
	note func()
}

func (l *late) Append(ctx context.Context, log string, expected uint64, drafts ...evidence.Draft) ([]evidence.Entry, error) {
	if expected != evidence.Any {
		l.note()
	}
	return l.Ledger.Append(ctx, log, expected, drafts...)
}

func TestIncidentChangedUnderThePlan(t *testing.T) {
	b := newBench(t)
	r := b.responder(&late{b.Ledger, func() { b.record(incident.KindNote, incident.Note{Text: "wait"}) }})
	err := r.Apply(t.Context(), plan(action.Isolate, "a"))
	if fault.KindOf(err) != fault.Conflict || len(b.world.took) != 0 || len(b.load().Plans) != 0 {
		t.Errorf("got %v (%v), executed %v", err, fault.KindOf(err), b.world.took)
	}
}

func TestExtraEntriesComeWithThePlan(t *testing.T) {
	b := newBench(t)
	task := b.Draft(incident.KindTask, incident.Task{ID: "rotate-1", Text: "rotate"})
	if at, _ := b.crash(1, func() error { return b.Apply(t.Context(), plan(action.Isolate, "a"), task) }); at != "planned" {
		t.Fatalf("stopped at %q", at)
	}
	if tasks := b.load().OpenTasks(); len(tasks) != 1 {
		t.Errorf("tasks are %v", tasks)
	}
}

func TestNoSuchIncident(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct {
		id   string
		want fault.Kind
	}{{"INC-20261123-BBBBBBBB", fault.NotFound}, {"../INC", fault.Invalid}, {"INC-\n", fault.Invalid}, {"host", fault.Invalid}} {
		p := plan(action.Isolate, "a")
		p.Incident = tt.id
		if err := b.Apply(t.Context(), p); fault.KindOf(err) != tt.want {
			t.Errorf("%q: got %v", tt.id, err)
		}
		if _, err := b.Resume(t.Context(), tt.id); fault.KindOf(err) != tt.want {
			t.Errorf("resume %q: got %v", tt.id, err)
		}
	}
}

// Where the context ends between two steps, the rest is for resuming.
func TestStopped(t *testing.T) {
	b := newBench(t)
	ctx, stop := context.WithCancel(t.Context())
	b.Journal = func(point string) {
		if point == "executed a" {
			stop()
		}
	}
	if err := b.Apply(ctx, plan(action.Isolate, "a", "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.Journal = nil
	if _, err := b.Resume(t.Context(), id); err != nil || !slices.Equal(b.world.took, []string{"a", "b"}) {
		t.Errorf("resumed: %v, executed %v", err, b.world.took)
	}
}

func hash(p action.Plan) artifact.Digest { return p.Hash() }

func refs(p action.Plan) (out []string) {
	for _, s := range p.Steps {
		out = append(out, s.ID+"/"+s.Kind)
	}
	return out
}

// A version that was denied since the plan was made is not put in place by
// continuing the plan.
func TestResumedRollbackIsVerifiedAgain(t *testing.T) {
	b := newBench(t)
	if at, _ := b.crash(1, func() error { return b.Apply(t.Context(), plan(action.Rollback, "stage", "exchange")) }); at != "planned" {
		t.Fatalf("stopped at %q", at)
	}
	b.Verify = func(_ context.Context, _ *incident.Incident, p action.Plan) (string, string, error) {
		if p.Action != action.Rollback {
			t.Errorf("asked about %s", p.Action)
		}
		return "it is on the deny-list", "take it back", nil
	}
	if _, err := b.Resume(t.Context(), id); fault.KindOf(err) != fault.Refused || fault.HintOf(err) != "take it back" {
		t.Errorf("got %v", err)
	}
	if inc := b.load(); len(b.world.took) != 0 || len(inc.Refusals) != 1 || inc.Refusals[0].Gate != "G4" {
		t.Errorf("executed %v, refused %v", b.world.took, inc.Refusals)
	}
	b.Verify = nil // another version
	if err := b.Apply(t.Context(), plan(action.Rollback, "stage two", "exchange two")); err != nil || b.load().State != incident.Recovered {
		t.Errorf("got %v", err)
	}
}

// Drivers have no clock: when something was seen is told by who looked.
func TestObservationsHaveATime(t *testing.T) {
	b := newBench(t)
	b.apply(plan(action.Isolate, "a"))
	if at := b.load().Plans[0].Steps[0].Observation.At; at.IsZero() {
		t.Error("nobody knows when it was seen")
	}
}
