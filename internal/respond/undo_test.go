package respond_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

func (b *bench) planUndo(step string) action.Plan {
	b.t.Helper()
	p, err := b.PlanUndo(b.t.Context(), b.load(), step)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) apply(p action.Plan) {
	b.t.Helper()
	if err := b.Apply(b.t.Context(), p); err != nil {
		b.t.Fatal(err)
	}
}

func TestUndo(t *testing.T) {
	b := newBench(t)
	p := plan(action.Isolate, "deny", "prepare", "exchange")
	b.apply(p)
	undo := b.planUndo("")
	want := []string{"undo-exchange/undo-exchange", "undo-prepare/undo-prepare", "undo-deny/undo-deny"}
	if diff := cmp.Diff(want, refs(undo)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if undo.Model != p.Model || undo.Target != p.Target || undo.Steps[0].Undoes != incident.StepRef(hash(p), "exchange") {
		t.Errorf("plan is %+v", undo)
	}
	if again := b.planUndo(""); again.Hash() != undo.Hash() {
		t.Error("the same incident gives another plan")
	}
	b.apply(undo)
	for step, done := range b.world.done {
		if done {
			t.Errorf("%s is still done", step)
		}
	}
	if inc := b.load(); inc.State != incident.Open || !inc.Plans[0].TakenBack() {
		t.Errorf("state %s, plan %+v", inc.State, inc.Plans[0])
	}
	if _, err := b.PlanUndo(t.Context(), b.load(), ""); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
		t.Errorf("undone twice: %v", err)
	}
	if resumed, err := b.Resume(t.Context(), id); err != nil || len(resumed) != 0 {
		t.Errorf("what was taken back is resumed: %v, %v", resumed, err)
	}
}

func TestUndoOneStep(t *testing.T) {
	b := newBench(t)
	b.apply(plan(action.Isolate, "deny", "exchange"))
	if _, err := b.PlanUndo(t.Context(), b.load(), "launch"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a step that is not there: %v", err)
	}
	b.apply(b.planUndo("deny"))
	if b.world.done["deny"] || !b.world.done["exchange"] {
		t.Errorf("done is %v", b.world.done)
	}
	if got := refs(b.planUndo("")); len(got) != 1 || !strings.HasPrefix(got[0], "undo-exchange") {
		t.Errorf("what is left is %v", got)
	}
}

// Taking back one step of a plan that a crash cut off first puts on record what
// became of the step that nobody had looked at.
func TestUndoOneStepAfterACrash(t *testing.T) {
	b := newBench(t)
	if at, _ := b.crash(8, func() error { return b.Apply(t.Context(), plan(action.Isolate, "deny", "exchange")) }); at != "returned exchange" {
		t.Fatalf("stopped at %q", at)
	}
	b.apply(b.planUndo("deny"))
	if inc := b.load(); inc.State != incident.Contained || b.world.done["deny"] {
		t.Errorf("state %s, done %v", inc.State, b.world.done)
	}
}

func TestUndoOfTheNewestPlanFirst(t *testing.T) {
	b := newBench(t)
	b.apply(plan(action.Isolate, "a"))
	b.apply(plan(action.Rollback, "b"))
	b.apply(b.planUndo(""))
	if inc := b.load(); b.world.done["b"] || !b.world.done["a"] || inc.State != incident.Contained {
		t.Errorf("done %v, state %s", b.world.done, inc.State)
	}
	b.apply(b.planUndo(""))
	if inc := b.load(); b.world.done["a"] || inc.State != incident.Open {
		t.Errorf("done %v, state %s", b.world.done, inc.State)
	}
}

// Undoing overwrites nothing that somebody else has changed since.
func TestUndoIsGuarded(t *testing.T) {
	b := newBench(t)
	b.apply(plan(action.Isolate, "deny", "exchange"))
	b.world.diverged, b.world.took = "undo-exchange", nil
	err := b.Apply(t.Context(), b.planUndo(""))
	if fault.KindOf(err) != fault.Refused || len(b.world.took) != 0 {
		t.Errorf("got %v, executed %v", err, b.world.took)
	}
	if inc := b.load(); inc.State != incident.Contained {
		t.Errorf("state is %s", inc.State)
	}
}

// What a crash left open is asked of the world: the step may be done or not.
func TestUndoOfAHalfDonePlan(t *testing.T) {
	for point, want := range map[string][]string{
		"planned":           nil,
		"observed deny":     {"undo-deny/undo-deny"},
		"intended exchange": {"undo-deny/undo-deny"},
		"executed exchange": {"undo-exchange/undo-exchange", "undo-deny/undo-deny"},
		"returned exchange": {"undo-exchange/undo-exchange", "undo-deny/undo-deny"},
	} {
		t.Run(strings.ReplaceAll(point, " ", "_"), func(t *testing.T) {
			b := newBench(t)
			n := 1 + slices.Index([]string{
				"planned", "intended deny", "executed deny", "returned deny", "observed deny",
				"intended exchange", "executed exchange", "returned exchange",
			}, point)
			if at, _ := b.crash(n, func() error { return b.Apply(t.Context(), plan(action.Isolate, "deny", "exchange")) }); at != point {
				t.Fatalf("stopped at %q", at)
			}
			p, err := b.PlanUndo(t.Context(), b.load(), "")
			if diff := cmp.Diff(want, refs(p)); diff != "" || (err != nil) != (want == nil) {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			if want == nil {
				return
			}
			b.apply(p)
			if b.world.done["deny"] || b.world.done["exchange"] {
				t.Errorf("done is %v", b.world.done)
			}
			if resumed, err := b.Resume(t.Context(), id); err != nil || len(resumed) != 0 {
				t.Errorf("what was taken back is resumed: %v, %v", resumed, err)
			}
		})
	}
}

func TestUndoThatCannotLook(t *testing.T) {
	b := newBench(t)
	_, _ = b.crash(2, func() error { return b.Apply(t.Context(), plan(action.Isolate, "a")) })
	b.world.blind = "a"
	if p, err := b.PlanUndo(t.Context(), b.load(), ""); err == nil {
		t.Errorf("a plan made without looking: %v", refs(p))
	}
}

func TestInterruptedUndoIsResumed(t *testing.T) {
	b := newBench(t)
	b.apply(plan(action.Isolate, "deny", "exchange"))
	undo := b.planUndo("")
	if at, _ := b.crash(6, func() error { return b.Apply(t.Context(), undo) }); at != "intended undo-deny" {
		t.Fatalf("stopped at %q", at)
	}
	resumed, err := b.Resume(t.Context(), id)
	if err != nil || len(resumed) != 1 || resumed[0] != hash(undo) {
		t.Errorf("resumed %v, %v", resumed, err)
	}
	if b.world.done["deny"] || b.world.done["exchange"] {
		t.Errorf("done is %v", b.world.done)
	}
}

// A later plan for the same model replaces one that failed.
func TestSupersededPlanIsNotResumed(t *testing.T) {
	b := newBench(t)
	failed(b)
	b.apply(plan(action.Rollback, "b"))
	b.world.took = nil
	resumed, err := b.Resume(t.Context(), id)
	if err != nil || len(resumed) != 0 || len(b.world.took) != 0 {
		t.Errorf("resumed %v, %v; executed %v", resumed, err, b.world.took)
	}
	if inc := b.load(); inc.State != incident.Recovered {
		t.Errorf("state is %s", inc.State)
	}
}

func TestStepsWithoutInverse(t *testing.T) {
	b := newBench(t)
	p := plan(action.Isolate, "a", "b")
	p.Steps[1].Inverse = nil
	b.apply(p)
	if got := refs(b.planUndo("")); len(got) != 1 || got[0] != "undo-a/undo-a" {
		t.Errorf("plan is %v", got)
	}
}

// A step that others rest on is not taken back from under them.
func TestUndoOfAStepThatOthersRestOn(t *testing.T) {
	b := newBench(t)
	b.apply(plan(action.Isolate, "prepare", "exchange"))
	b.world.diverged = "undo-prepare"
	_, err := b.PlanUndo(t.Context(), b.load(), "prepare")
	if fault.KindOf(err) != fault.Refused || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if n := len(b.load().Plans); n != 1 {
		t.Errorf("%d plans on record", n)
	}
}
