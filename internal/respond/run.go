package respond

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Tries says how stubborn the responder is. The zero value has the defaults.
type Tries struct {
	// Attempts bounds how often a step is executed; 5 by default.
	Attempts int
	// Jitter returns a number from 0 to 1 by which the waiting between
	// attempts is spread, so that many do not come back at once; nil is 1.
	Jitter func() float64
	// Settle is how long everything is watched after the last step; nil
	// leaves it to the plan. See [Responder.settle].
	Settle *time.Duration
	// Reverts bounds how often a step is repeated that somebody else takes
	// back; 3 by default.
	Reverts int
}

// The waiting between attempts: doubled from the first to the last.
const (
	firstDelay = 200 * time.Millisecond
	lastDelay  = 10 * time.Second
	// looks is how often a post-condition is looked for that takes its time.
	looks = 250 * time.Millisecond
)

func (t Tries) attempts() int { return orDefault(t.Attempts, 5) }
func (t Tries) reverts() int  { return orDefault(t.Reverts, 3) }

func orDefault(n, other int) int {
	if n <= 0 {
		return other
	}
	return n
}

// delay returns how long to wait behind the n-th attempt, counted from 1.
func (t Tries) delay(n int) time.Duration {
	d := min(firstDelay<<min(n-1, 10), lastDelay)
	spread := 1.0
	if t.Jitter != nil {
		spread = min(max(t.Jitter(), 0), 1)
	}
	return d/2 + time.Duration(float64(d/2)*spread)
}

// run takes the steps of a plan in the log that are not done, in order.
func (r *Responder) run(ctx context.Context, id string, hash artifact.Digest) error {
	inc, err := r.Load(ctx, id)
	if err != nil {
		return err
	}
	plan := inc.Plan(hash)
	if plan == nil {
		return fault.New(fault.NotFound, "incident %s has no plan %s", id, hash)
	}
	for n, s := range plan.Steps {
		if s.Status == incident.StepDone {
			continue
		}
		if err := r.step(ctx, inc, hash, s.Step, guardsOf(inc, plan, n)); err != nil {
			return partial(err, plan, n)
		}
	}
	return nil
}

// partial says which steps of a plan hold where one does not.
func partial(err error, plan *incident.PlanState, at int) error {
	if at == 0 || fault.KindOf(err) == fault.Internal {
		return err
	}
	var hold, open []string
	for n, s := range plan.Steps {
		if n < at {
			hold = append(hold, s.ID)
		} else {
			open = append(open, s.ID)
		}
	}
	return fault.New(fault.KindOf(err), "%w; the plan is done in part: %s done, %s not", err, strings.Join(hold, ", "), strings.Join(open, ", ")).
		WithHint("%s", fault.HintOf(err))
}

// attempt is a step on its way.
type attempt struct {
	inc  *incident.Incident
	plan artifact.Digest
	step action.Step
	x    action.Executor
	// deadline is when the step has to be done; zero where it may take as
	// long as it takes.
	deadline time.Time
}

// step takes one step. It asks the world first: after a crash the step may be
// done already, and what somebody else changed is not ours to overwrite.
func (r *Responder) step(ctx context.Context, inc *incident.Incident, plan artifact.Digest, s action.Step, guards []action.Step) error {
	x, err := r.executor(s)
	if err != nil {
		return err
	}
	a := attempt{inc: inc, plan: plan, step: s, x: x}
	if s.Timeout > 0 {
		a.deadline = r.Now().Add(time.Duration(s.Timeout) * time.Second)
	}
	before, err := r.look(ctx, a)
	switch {
	case err != nil:
		return r.failed(ctx, a, action.Observation{Outcome: action.NotDone, Detail: "could not look: " + err.Error(), At: r.Now()}, err)
	case before.Outcome == action.Done:
		return r.observed(ctx, a, before)
	case before.Outcome == action.Diverged:
		return r.failed(ctx, a, before, nil)
	}
	if s.Detaches {
		if err := r.guarded(ctx, inc, s, guards); err != nil {
			return err
		}
	}
	for n := 1; ; n++ {
		again, err := r.try(ctx, a, n)
		if !again {
			return err
		}
		if err := sleep(ctx, r.Tries.delay(n)); err != nil {
			return err
		}
	}
}

// try executes a step once. again says that it did not work and that this may
// pass.
func (r *Responder) try(ctx context.Context, a attempt, n int) (again bool, err error) {
	intent := incident.StepIntent{Plan: a.plan, Step: a.step.ID, Inverse: a.step.Inverse, Fence: r.fence}
	if n > 1 {
		intent.Attempt = n
	}
	if err := r.Record(ctx, a.inc.ID, r.Draft(incident.KindIntent, intent)); err != nil {
		return false, err
	}
	r.point("intended " + a.step.ID)
	failure := r.execute(ctx, a)
	r.point("executed " + a.step.ID)
	text := ""
	if failure != nil {
		text = failure.Error()
	}
	if err := r.Record(ctx, a.inc.ID, r.Draft(incident.KindExecuted, incident.StepExecuted{Plan: a.plan, Step: a.step.ID, Error: text})); err != nil {
		return false, err
	}
	r.point("returned " + a.step.ID)
	after, err := r.await(ctx, a, failure == nil)
	switch {
	case err != nil:
		return false, r.failed(ctx, a, action.Observation{Outcome: action.NotDone, Detail: "could not look: " + err.Error(), At: r.Now()}, err)
	case after.Outcome == action.Done:
		return false, r.observed(ctx, a, after)
	case after.Outcome == action.NotDone && action.MayPass(failure) && n < r.Tries.attempts() && !r.late(a):
		return true, nil
	}
	return false, r.failed(ctx, a, after, failure)
}

// execute lets the executor act, no longer than the step may take.
func (r *Responder) execute(ctx context.Context, a attempt) error {
	if a.deadline.IsZero() {
		return a.x.Execute(ctx, a.step)
	}
	ctx, cancel := context.WithTimeout(ctx, a.deadline.Sub(r.Now()))
	defer cancel()
	return a.x.Execute(ctx, a.step)
}

func (r *Responder) late(a attempt) bool { return !a.deadline.IsZero() && !r.Now().Before(a.deadline) }

// await looks until the post-condition holds, where the step says how long
// that may take, and else once.
func (r *Responder) await(ctx context.Context, a attempt, patient bool) (action.Observation, error) {
	for {
		o, err := r.look(ctx, a)
		if err != nil || o.Outcome != action.NotDone || !patient || a.deadline.IsZero() {
			return o, err
		}
		if r.late(a) {
			o.Detail = fmt.Sprintf("not within %d s: %s", a.step.Timeout, o.Detail)
			return o, nil
		}
		if err := sleep(ctx, looks); err != nil {
			return o, err
		}
	}
}

// look observes a step, more than once where looking fails and that may pass.
func (r *Responder) look(ctx context.Context, a attempt) (action.Observation, error) {
	for n := 1; ; n++ {
		o, err := a.x.Observe(ctx, a.step)
		if err == nil && o.At.IsZero() {
			o.At = r.Now() // drivers have no clock
		}
		if err == nil || !action.MayPass(err) || n >= r.Tries.attempts() {
			return o, err
		}
		if err := sleep(ctx, r.Tries.delay(n)); err != nil {
			return o, err
		}
	}
}

func (r *Responder) executor(s action.Step) (action.Executor, error) {
	x, ok := r.Executors[s.Driver]
	if !ok {
		return nil, fault.New(fault.Invalid, "step %s needs the driver %s, which this program has not (it has %s)",
			s.ID, artifact.Quote(s.Driver), fmt.Sprint(slices.Sorted(maps.Keys(r.Executors))))
	}
	return x, nil
}

func (r *Responder) observed(ctx context.Context, a attempt, o action.Observation) error {
	body := incident.StepObserved{Plan: a.plan, Step: a.step.ID, Observation: o}
	if err := r.Record(ctx, a.inc.ID, r.Draft(incident.KindObserved, body)); err != nil {
		return err
	}
	r.point("observed " + a.step.ID)
	return nil
}

// failed records that a step is not done, and says how to go on. A target that
// somebody else has changed is what gate G9 keeps from being overwritten.
func (r *Responder) failed(ctx context.Context, a attempt, o action.Observation, cause error) error {
	if err := r.observed(ctx, a, o); err != nil {
		return err
	}
	id, s := a.inc.ID, a.step
	if o.Outcome == action.Diverged {
		return fault.New(fault.Refused, "gate G9: step %s (%s): somebody else changed the target: %s", s.ID, s.Summary, o.Detail).
			WithHint("look at it, then plan anew; what was done so far can be taken back: weightwarden incident undo %s", id)
	}
	if cause == nil {
		cause = fmt.Errorf("%s", o.Detail)
	}
	kind := fault.KindOf(cause)
	if kind == fault.Internal {
		kind = fault.Incomplete
	}
	return fault.New(kind, "step %s (%s) is not done: %w", s.ID, s.Summary, cause).
		WithHint("%s, then: weightwarden incident resume %s (or take back what was done: weightwarden incident undo %s)",
			cmp.Or(fault.HintOf(cause), "remove the cause"), id, id)
}
