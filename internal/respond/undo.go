package respond

import (
	"context"
	"fmt"
	"slices"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// PlanUndo makes the plan that takes back the newest plan of the incident
// that changed something, last step first; with a step's id only that step.
// What the journal leaves open is asked of the world.
func (r *Responder) PlanUndo(ctx context.Context, inc *incident.Incident, step string) (action.Plan, error) {
	for n := len(inc.Plans) - 1; n >= 0; n-- {
		p := &inc.Plans[n]
		if p.Action == action.Undo {
			continue
		}
		steps, err := r.inverses(ctx, p, step)
		if err != nil {
			return action.Plan{}, err
		}
		if len(steps) > 0 {
			if err := r.detachable(ctx, inc, steps, step); err != nil {
				return action.Plan{}, err
			}
			return action.Plan{
				Incident: inc.ID, Action: action.Undo, Model: p.Model, Target: p.Target,
				Observed: map[string]string{"undoes": p.Hash.Hex()}, Steps: steps,
			}, nil
		}
	}
	if step != "" {
		return action.Plan{}, fault.New(fault.Invalid, "incident %s has no step %s that can be taken back", inc.ID, artifact.Quote(step)).
			WithHint("see the steps: weightwarden incident show %s", inc.ID)
	}
	return action.Plan{}, fault.New(fault.Invalid, "incident %s: there is nothing to take back", inc.ID).
		WithHint("see the steps: weightwarden incident show %s", inc.ID)
}

func (r *Responder) inverses(ctx context.Context, p *incident.PlanState, only string) ([]action.Step, error) {
	var out []action.Step
	for _, s := range slices.Backward(p.Steps) {
		if s.Inverse == nil || only != "" && s.ID != only {
			continue
		}
		done, err := r.isDone(ctx, s)
		if err != nil {
			return nil, err
		}
		if done {
			inverse := *s.Inverse
			inverse.ID, inverse.Undoes = "undo-"+s.ID, incident.StepRef(p.Hash, s.ID)
			out = append(out, inverse)
		}
	}
	return out, nil
}

// detachable refuses to take back a single step on which later ones rest.
func (r *Responder) detachable(ctx context.Context, inc *incident.Incident, steps []action.Step, only string) error {
	if only == "" {
		return nil
	}
	for _, s := range steps {
		x, err := r.executor(s)
		if err != nil {
			return err
		}
		if o, err := x.Observe(ctx, s); err == nil && o.Outcome == action.Diverged {
			return fault.New(fault.Refused, "step %s cannot be taken back by itself: %s", artifact.Quote(only), o.Detail).
				WithHint("take back the whole plan: weightwarden incident undo %s", inc.ID)
		}
	}
	return nil
}

// isDone reports whether there is something of the step to take back. A step
// that was begun and of which nothing is known is observed.
func (r *Responder) isDone(ctx context.Context, s incident.StepState) (bool, error) {
	switch s.Status {
	case incident.StepDone:
		return true, nil
	case incident.StepIntended, incident.StepReturned, incident.StepFailed:
	case incident.StepPlanned, incident.StepUndone:
		return false, nil
	}
	x, err := r.executor(s.Step)
	if err != nil {
		return false, err
	}
	o, err := x.Observe(ctx, s.Step)
	if err != nil {
		return false, fmt.Errorf("look at step %s: %w", s.ID, err)
	}
	return o.Outcome == action.Done, nil
}
