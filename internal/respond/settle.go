package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// controllers is how long a plan is watched that changes what controllers
// manage: they take back within seconds what they were not told.
const controllers = 10 * time.Second

// maxEscalations bounds how far up a chain of owners a step is taken.
const maxEscalations = 4

// window returns how long to watch after the last step. Files stay where they
// were observed a moment ago, and hashing a model again takes long; so plans
// that only move files are not watched unless that is asked for.
func (t Tries) window(steps []incident.StepState) time.Duration {
	if t.Settle != nil {
		return *t.Settle
	}
	if slices.ContainsFunc(steps, func(s incident.StepState) bool { return s.Guards || s.Detaches || s.Opens || s.Timeout > 0 }) {
		return controllers
	}
	return 0
}

// errEscalated ends the watching of a plan in whose place another holds.
var errEscalated = errors.New("another plan holds in its place")

// settle looks at all steps of a plan again for a while. A step that somebody
// else takes back is put on record and repeated, a bounded number of times;
// then the driver is asked for the step that does the same one owner further
// up; then it is said plainly.
func (r *Responder) settle(ctx context.Context, id string, hash artifact.Digest, depth int) error {
	inc, err := r.Load(ctx, id)
	if err != nil {
		return err
	}
	plan := inc.Plan(hash)
	if plan == nil || r.Tries.window(plan.Steps) <= 0 {
		return nil
	}
	window := r.Tries.window(plan.Steps)
	every := max(window/8, 100*time.Millisecond)
	times := map[string]int{}
	for since := r.Now(); ; {
		if err := sleep(ctx, every); err != nil {
			return err
		}
		held, err := r.lookAgain(ctx, inc, plan, times, depth)
		switch {
		case errors.Is(err, errEscalated):
			return nil
		case err != nil:
			return err
		case !held:
			since = r.Now()
		case r.Now().Sub(since) >= window:
			return r.Record(ctx, id, r.Draft(incident.KindSettled, incident.Settled{Plan: hash, Seconds: window.Seconds()}))
		}
	}
}

// lookAgain observes all steps once. held is false where one had been taken
// back, and was repeated.
func (r *Responder) lookAgain(ctx context.Context, inc *incident.Incident, plan *incident.PlanState, times map[string]int, depth int) (held bool, err error) {
	for n, s := range plan.Steps {
		x, err := r.executor(s.Step)
		if err != nil {
			return false, err
		}
		a := attempt{inc: inc, plan: plan.Hash, step: s.Step, x: x}
		o, err := r.look(ctx, a)
		if err != nil {
			return false, fault.New(fault.Incomplete, "step %s (%s) is done, and could not be looked at again: %w", s.ID, s.Summary, err).
				WithHint("look at it: weightwarden incident show %s", inc.ID)
		}
		if o.Outcome == action.Done {
			continue
		}
		times[s.ID]++
		if err := r.reverted(ctx, a, o, times[s.ID]); err != nil {
			return false, err
		}
		if o.Outcome == action.Diverged {
			return false, r.failed(ctx, a, o, nil)
		}
		if times[s.ID] > r.Tries.reverts() {
			return false, r.escalate(ctx, a, plan, times[s.ID], depth)
		}
		return false, r.step(ctx, inc, plan.Hash, s.Step, guardsOf(inc, plan, n))
	}
	return true, nil
}

// reverted puts on record that a step was taken back: what was done, and a
// sign of somebody who works against it.
func (r *Responder) reverted(ctx context.Context, a attempt, o action.Observation, times int) error {
	at := r.clock()
	sign := indicator.New(indicator.ContainmentReverted, a.inc.Plan(a.plan).Model, at,
		fmt.Sprintf("somebody else took back step %s: %s", a.step.ID, o.Detail),
		map[string]any{"step": a.step.ID, "target": a.step.Target, "times": times, "plan_hash": a.plan.Hex()}, a.plan.Hex(), a.step.ID)
	return r.Record(ctx, a.inc.ID,
		evidence.Draft{Time: at, Actor: r.Actor, Kind: incident.KindReverted, Body: incident.Reverted{Plan: a.plan, Step: a.step.ID, Times: times, Observation: o}},
		evidence.Draft{Time: at, Actor: r.Actor, Kind: incident.KindIndicator, Body: sign})
}

// escalate does one owner further up what somebody takes back again and again.
func (r *Responder) escalate(ctx context.Context, a attempt, plan *incident.PlanState, times, depth int) error {
	plain := fault.New(fault.Incomplete, "step %s (%s) was taken back %d times by somebody else, and does not hold", a.step.ID, a.step.Summary, times).
		WithHint("find out who changes %s and stop it there; then: weightwarden incident resume %s", artifact.Quote(a.step.Target), a.inc.ID)
	up, ok := a.x.(action.Escalator)
	if !ok || depth >= maxEscalations {
		return plain
	}
	step, err := up.Escalate(ctx, a.step)
	if fault.KindOf(err) == fault.NotFound {
		return plain
	}
	if err != nil {
		return fault.New(fault.Incomplete, "%w; who is above could not be found: %w", plain, err).WithHint("%s", fault.HintOf(plain))
	}
	next := action.Plan{
		Incident: a.inc.ID, Action: plan.Action, Model: plan.Model, Target: plan.Target,
		Observed: map[string]string{"escalates": incident.StepRef(plan.Hash, a.step.ID)}, Steps: []action.Step{step},
	}
	if err := r.begin(ctx, next, nil); err != nil {
		return fault.New(fault.KindOf(err), "%w; doing it one owner further up was not allowed: %w", plain, err).WithHint("%s", fault.HintOf(err))
	}
	if err := r.carryOut(ctx, a.inc.ID, next.Hash(), depth+1); err != nil {
		return err
	}
	return errEscalated
}
