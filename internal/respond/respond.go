// Package respond carries out plans so that nothing is lost: every step is
// written down with its inverse before it is taken, is done only when its
// post-condition was observed, and can be continued after a crash at any
// moment, because what happened is asked of the world and not of memory. It
// knows neither models nor machines; executors do.
package respond

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Responder carries out plans on behalf of one actor.
type Responder struct {
	Ledger evidence.Ledger
	// Executors carry out steps, by driver name.
	Executors map[string]action.Executor
	// Lock excludes other processes from an incident. It returns a Conflict
	// fault when another holds it.
	Lock  func(name string) (unlock func() error, err error)
	Actor string
	Now   func() time.Time
	// Journal, where set, is told each point of the journal as it is passed.
	// Crash tests stop the process there.
	Journal func(point string)
}

// Load returns the incident as its log tells it.
func (r *Responder) Load(ctx context.Context, id string) (*incident.Incident, error) {
	if err := incident.CheckID(id); err != nil {
		return nil, err
	}
	entries, err := r.Ledger.Entries(ctx, id, 1)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fault.New(fault.NotFound, "there is no incident %s", id).
			WithHint("list the incidents: weightwarden incident list")
	}
	return incident.Fold(entries)
}

// Draft makes an entry of what happens now.
func (r *Responder) Draft(kind string, body any) evidence.Draft {
	return evidence.Draft{Time: r.Now(), Actor: r.Actor, Kind: kind, Body: body}
}

// Record appends entries to the incident's log, wherever it ends.
func (r *Responder) Record(ctx context.Context, id string, drafts ...evidence.Draft) error {
	if _, err := r.Ledger.Append(ctx, id, evidence.Any, drafts...); err != nil {
		return fmt.Errorf("record in incident %s: %w", id, err)
	}
	return nil
}

// Apply carries out a plan that was made for the incident as it is, unless a
// gate refuses. Extra entries are written together with the plan. On return
// without error every step was observed done.
func (r *Responder) Apply(ctx context.Context, plan action.Plan, extra ...evidence.Draft) error {
	return r.locked(plan.Incident, func() error {
		inc, err := r.Load(ctx, plan.Incident)
		if err != nil {
			return err
		}
		if err := r.pass(ctx, inc, plan, Gates()); err != nil {
			return err
		}
		drafts := append([]evidence.Draft{
			r.Draft(incident.KindPlanned, plan),
			r.Draft(incident.KindApproved, incident.Approved{Plan: plan.Hash(), By: r.Actor, Self: true}),
		}, extra...)
		// The position pins the plan to the incident it was made for.
		if _, err := r.Ledger.Append(ctx, inc.ID, inc.Entries, drafts...); err != nil {
			return fmt.Errorf("record plan: %w", err)
		}
		r.point("planned")
		return r.run(ctx, inc.ID, plan.Hash())
	})
}

// Resume continues every plan of the incident that was approved and neither
// finished nor taken back nor followed by another for the same model. It
// returns the plans it continued.
func (r *Responder) Resume(ctx context.Context, id string) ([]artifact.Digest, error) {
	var resumed []artifact.Digest
	err := r.locked(id, func() error {
		inc, err := r.Load(ctx, id)
		if err != nil {
			return err
		}
		for n := range inc.Plans {
			if !resumable(inc, n) {
				continue
			}
			resumed = append(resumed, inc.Plans[n].Hash)
			if err := r.pass(ctx, inc, planOf(inc, n), resumeGates()); err != nil {
				return err
			}
			if err := r.run(ctx, id, inc.Plans[n].Hash); err != nil {
				return err
			}
		}
		return nil
	})
	return resumed, err
}

// planOf returns the plan that a state was folded from, as far as gates ask.
func planOf(inc *incident.Incident, n int) action.Plan {
	p := &inc.Plans[n]
	plan := action.Plan{Incident: inc.ID, Action: p.Action, Model: p.Model, Target: p.Target}
	for _, s := range p.Steps {
		plan.Steps = append(plan.Steps, s.Step)
	}
	return plan
}

func resumable(inc *incident.Incident, n int) bool {
	p := &inc.Plans[n]
	later := slices.ContainsFunc(inc.Plans[n+1:], func(q incident.PlanState) bool { return q.Model == p.Model })
	return p.Approval != nil && !p.Finished() && !p.TakenBack() && !later
}

func (r *Responder) locked(id string, do func() error) (err error) {
	if err := incident.CheckID(id); err != nil {
		return err
	}
	unlock, err := r.Lock(id)
	if err != nil {
		return err
	}
	defer func() {
		if e := unlock(); err == nil {
			err = e
		}
	}()
	return do()
}

func (r *Responder) point(name string) {
	if r.Journal != nil {
		r.Journal(name)
	}
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
	for _, s := range plan.Steps {
		if s.Status == incident.StepDone {
			continue
		}
		if err := r.step(ctx, id, hash, s.Step); err != nil {
			return err
		}
	}
	return nil
}

// step takes one step. It asks the world first: after a crash the step may be
// done already, and what somebody else changed is not ours to overwrite.
func (r *Responder) step(ctx context.Context, id string, plan artifact.Digest, s action.Step) error {
	x, err := r.executor(s)
	if err != nil {
		return err
	}
	before, err := x.Observe(ctx, s)
	if err != nil {
		return r.failed(ctx, id, plan, s, action.Observation{Outcome: action.NotDone, Detail: "could not look: " + err.Error(), At: r.Now()}, err)
	}
	switch before.Outcome {
	case action.Done:
		return r.observed(ctx, id, plan, s, before)
	case action.Diverged:
		return r.failed(ctx, id, plan, s, before, nil)
	case action.NotDone:
	}
	if err := r.Record(ctx, id, r.Draft(incident.KindIntent, incident.StepIntent{Plan: plan, Step: s.ID, Inverse: s.Inverse})); err != nil {
		return err
	}
	r.point("intended " + s.ID)
	failure := x.Execute(ctx, s)
	r.point("executed " + s.ID)
	text := ""
	if failure != nil {
		text = failure.Error()
	}
	if err := r.Record(ctx, id, r.Draft(incident.KindExecuted, incident.StepExecuted{Plan: plan, Step: s.ID, Error: text})); err != nil {
		return err
	}
	r.point("returned " + s.ID)
	after, err := x.Observe(ctx, s)
	switch {
	case err != nil:
		return r.failed(ctx, id, plan, s, action.Observation{Outcome: action.NotDone, Detail: "could not look: " + err.Error(), At: r.Now()}, err)
	case after.Outcome != action.Done:
		return r.failed(ctx, id, plan, s, after, failure)
	}
	return r.observed(ctx, id, plan, s, after)
}

func (r *Responder) executor(s action.Step) (action.Executor, error) {
	x, ok := r.Executors[s.Driver]
	if !ok {
		return nil, fault.New(fault.Invalid, "step %s needs the driver %s, which this program has not (it has %s)",
			s.ID, artifact.Quote(s.Driver), fmt.Sprint(slices.Sorted(maps.Keys(r.Executors))))
	}
	return x, nil
}

func (r *Responder) observed(ctx context.Context, id string, plan artifact.Digest, s action.Step, o action.Observation) error {
	body := incident.StepObserved{Plan: plan, Step: s.ID, Observation: o}
	if err := r.Record(ctx, id, r.Draft(incident.KindObserved, body)); err != nil {
		return err
	}
	r.point("observed " + s.ID)
	return nil
}

// failed records that a step is not done, and says how to go on.
func (r *Responder) failed(ctx context.Context, id string, plan artifact.Digest, s action.Step, o action.Observation, cause error) error {
	if err := r.observed(ctx, id, plan, s, o); err != nil {
		return err
	}
	if o.Outcome == action.Diverged {
		return fault.New(fault.Refused, "step %s (%s): somebody else changed the target: %s", s.ID, s.Summary, o.Detail).
			WithHint("look at it, then plan anew; what was done so far can be taken back: weightwarden incident undo %s", id)
	}
	if cause == nil {
		cause = fmt.Errorf("%s", o.Detail)
	}
	kind := fault.KindOf(cause)
	if kind == fault.Internal {
		kind = fault.Incomplete
	}
	hint := fault.HintOf(cause)
	if hint == "" {
		hint = fmt.Sprintf("remove the cause, then: weightwarden incident resume %s (or take back what was done: weightwarden incident undo %s)", id, id)
	}
	return fault.New(kind, "step %s (%s) is not done: %w", s.ID, s.Summary, cause).WithHint("%s", hint)
}
