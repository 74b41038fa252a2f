// Package respond carries out plans so that nothing is lost: every step is
// written down with its inverse before it is taken, is done only when its
// post-condition was observed, and can be continued after a crash at any
// moment, because what happened is asked of the world and not of memory. It
// asks the gates and the people before, and looks again afterwards. It knows
// neither models nor machines; executors do.
package respond

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/lease"
)

// Responder carries out plans on behalf of one actor.
type Responder struct {
	Ledger evidence.Ledger
	// Executors carry out steps, by driver name.
	Executors map[string]action.Executor
	// Lock excludes other processes of this host. It returns a Conflict fault
	// when another holds it, and is free when its holder has died.
	Lock func(name string) (unlock func() error, err error)
	// Leases, where set, exclude others also where the lock cannot, for
	// LeaseTTL at a time; Holder names this process in them.
	Leases   lease.Store
	LeaseTTL time.Duration
	Holder   string
	// Wait is how long to wait for whoever else is acting.
	Wait  time.Duration
	Actor string
	Now   func() time.Time
	// Journal, where set, is told each point of the journal as it is passed.
	// Crash tests stop the process there.
	Journal func(point string)

	// Roster says who takes part, as configured. What an incident has on
	// record goes before it.
	Roster approval.Roster
	// Key is set where the actor has proven to hold the private half.
	Key *approval.Key
	// Signed are approvals that were made elsewhere.
	Signed []approval.Signed
	// BreakGlass is the reason to go past gates that allow it; Alert queues
	// the news for one of the approvers.
	BreakGlass string
	Alert      func(ctx context.Context, to, key, text string) error
	// Policy, where set, is what allows to act without a person.
	Policy *Policy
	Limits Limits
	Tries  Tries
	// Verify says why the version that a plan rolls back to may not be put in
	// place now, and what to do, or "". It is asked when a plan is continued:
	// since it was made the version may have been denied, or the first bad
	// moment moved.
	Verify func(ctx context.Context, inc *incident.Incident, plan action.Plan) (reason, hint string, err error)
	// Clock, where set, says how right the host's clock is.
	Clock func() string

	fence uint64    // number of the lease on the target
	seen  time.Time // when the clock was last asked
	jumps []incident.ClockCheck
}

// Load returns the incident as its log tells it.
func (r *Responder) Load(ctx context.Context, id string) (*incident.Incident, error) {
	inc, _, err := r.load(ctx, id)
	return inc, err
}

// Board is an incident with the record that it was folded from: what is asked
// about it is asked of one reading of the record, and a long record is read
// once.
type Board struct {
	*incident.Incident

	r       *Responder
	entries []evidence.Entry
}

// Board reads the incident as [Responder.Load], for questions about it.
func (r *Responder) Board(ctx context.Context, id string) (*Board, error) {
	inc, entries, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Board{inc, r, entries}, nil
}

func (r *Responder) load(ctx context.Context, id string) (*incident.Incident, []evidence.Entry, error) {
	if err := incident.CheckID(id); err != nil {
		return nil, nil, err
	}
	entries, err := r.Ledger.Entries(ctx, id, 1)
	if err != nil {
		return nil, nil, err
	}
	if len(entries) == 0 {
		return nil, nil, fault.New(fault.NotFound, "there is no incident %s", id).
			WithHint("list the incidents: weightwarden incident list")
	}
	inc, err := incident.Fold(entries)
	return inc, entries, err
}

// Draft makes an entry of what happens now.
func (r *Responder) Draft(kind string, body any) evidence.Draft {
	return evidence.Draft{Time: r.clock(), Actor: r.Actor, Kind: kind, Body: body}
}

// Record appends entries to the incident's log, wherever it ends.
func (r *Responder) Record(ctx context.Context, id string, drafts ...evidence.Draft) error {
	if _, err := r.Ledger.Append(ctx, id, evidence.Any, r.withJumps(drafts)...); err != nil {
		return fmt.Errorf("record in incident %s: %w", id, err)
	}
	return nil
}

// Apply carries out a plan that was made for the incident as it is, unless a
// gate refuses. Extra entries are written together with the plan. On return
// without error every step was observed done, and still held after a while.
func (r *Responder) Apply(ctx context.Context, plan action.Plan, extra ...evidence.Draft) error {
	return r.locked(ctx, plan.Incident, []string{plan.Target}, func(ctx context.Context, r *Responder) error {
		if err := r.takeSigned(ctx, plan.Incident); err != nil {
			return err
		}
		if err := r.lookAtOpen(ctx, plan); err != nil {
			return err
		}
		if err := r.begin(ctx, plan, extra); err != nil {
			return err
		}
		return r.carryOut(ctx, plan.Incident, plan.Hash(), 0)
	})
}

// begin asks the gates and puts the plan on record.
func (r *Responder) begin(ctx context.Context, plan action.Plan, extra []evidence.Draft) error {
	inc, entries, err := r.load(ctx, plan.Incident)
	if err != nil {
		return err
	}
	q := r.about(ctx, inc, entries, plan)
	by, drafts, err := r.admit(ctx, q, Gates())
	if err != nil {
		return err
	}
	drafts = append([]evidence.Draft{r.Draft(incident.KindPlanned, plan), r.Draft(incident.KindApproved, by)}, drafts...)
	if r.Clock != nil {
		drafts = append(drafts, r.Draft(incident.KindClock, incident.ClockCheck{Offset: r.Clock()}))
	}
	// The position pins the plan to the incident it was made for.
	if _, err := r.Ledger.Append(ctx, inc.ID, inc.Entries, r.withJumps(append(drafts, extra...))...); err != nil {
		return fmt.Errorf("record plan: %w", err)
	}
	r.point("planned")
	return nil
}

// carryOut takes the steps of a plan on record and looks again afterwards.
func (r *Responder) carryOut(ctx context.Context, id string, hash artifact.Digest, depth int) error {
	if err := r.run(ctx, id, hash); err != nil {
		return err
	}
	return r.settle(ctx, id, hash, depth)
}

// Resume continues every plan of the incident that was approved and neither
// finished nor taken back nor followed by another for the same model. It
// returns the plans it continued.
func (r *Responder) Resume(ctx context.Context, id string) ([]artifact.Digest, error) {
	inc, err := r.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	var targets []string
	for _, p := range inc.Plans {
		targets = append(targets, p.Target)
	}
	var resumed []artifact.Digest
	err = r.locked(ctx, id, targets, func(ctx context.Context, r *Responder) error {
		inc, entries, err := r.load(ctx, id)
		if err != nil {
			return err
		}
		for n := range inc.Plans {
			if !resumable(inc, n) {
				continue
			}
			resumed = append(resumed, inc.Plans[n].Hash)
			q := r.about(ctx, inc, entries, planOf(inc, n))
			q.resumed = inc.Plans[n].Approval
			if _, _, err := r.admit(ctx, q, resumeGates()); err != nil {
				return err
			}
			if err := r.stillGood(ctx, q); err != nil {
				return err
			}
			if err := r.carryOut(ctx, id, inc.Plans[n].Hash, 0); err != nil {
				return err
			}
		}
		return nil
	})
	return resumed, err
}

// stillGood is gate G4 for a plan that is continued.
func (r *Responder) stillGood(ctx context.Context, q *question) error {
	if q.plan.Action != action.Rollback || r.Verify == nil {
		return nil
	}
	reason, hint, err := r.Verify(ctx, q.inc, q.plan)
	if err != nil || reason == "" {
		return err
	}
	if err := r.abandon(ctx, q); err != nil {
		return err
	}
	return r.Refuse(ctx, q.inc.ID, incident.Refused{Gate: "G4", Action: string(q.plan.Action), Reason: reason}, hint)
}

// abandon puts on record how far a plan came that is not continued, so that
// another may begin and what was done can be taken back.
func (r *Responder) abandon(ctx context.Context, q *question) error {
	hash := q.plan.Hash()
	for _, s := range q.inc.Plan(hash).Steps {
		if s.Status == incident.StepDone {
			continue
		}
		if o, err := r.glance(ctx, q.inc, hash, s.Step); err != nil || o.Outcome != action.Done {
			return err
		}
	}
	return nil
}

// lookAtOpen puts on record, before something is taken back, what became of the
// steps that were begun and that nobody has looked at since: after that nobody
// resumes them, and what they did would be in the world but not in the record.
func (r *Responder) lookAtOpen(ctx context.Context, next action.Plan) error {
	if next.Action != action.Undo {
		return nil // one that is under way is resumed first
	}
	inc, err := r.Load(ctx, next.Incident)
	if err != nil {
		return err
	}
	for _, p := range inc.Plans {
		for _, s := range p.Steps {
			if p.Model != next.Model || s.Status != incident.StepIntended && s.Status != incident.StepReturned {
				continue
			}
			if _, err := r.glance(ctx, inc, p.Hash, s.Step); err != nil {
				return err
			}
		}
	}
	return nil
}

// glance looks at a step once and records what it saw.
func (r *Responder) glance(ctx context.Context, inc *incident.Incident, plan artifact.Digest, s action.Step) (action.Observation, error) {
	x, err := r.executor(s)
	if err != nil {
		return action.Observation{}, err
	}
	a := attempt{inc: inc, plan: plan, step: s, x: x}
	o, err := r.look(ctx, a)
	if err != nil {
		return o, fmt.Errorf("look at step %s: %w", s.ID, err)
	}
	return o, r.observed(ctx, a, o)
}

// planOf returns the plan that a state was folded from, as far as gates ask.
func planOf(inc *incident.Incident, n int) action.Plan {
	p := &inc.Plans[n]
	plan := action.Plan{Incident: inc.ID, Action: p.Action, Model: p.Model, Target: p.Target, Observed: p.Observed, Remarks: p.Remarks}
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

func (r *Responder) point(name string) {
	if r.Journal != nil {
		r.Journal(name)
	}
}
