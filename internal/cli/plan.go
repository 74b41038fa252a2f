package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/knowngood"
	"github.com/weightwarden/weightwarden/internal/respond"
)

// planOptions are the flags of every command that plans before it acts.
type planOptions struct {
	actingOptions
	model   string
	apply   bool
	planOut string
	cluster clusterFlags
}

func (o *planOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.model, "model", "", "`id` of the model (default: the only one of the incident)")
	o.addPlanFlags(f)
}

func (o *planOptions) addPlanFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.apply, "apply", false, "carry the plan out; without it nothing is changed")
	f.StringVar(&o.planOut, "plan-out", "", "write the plan to this `file`; where approvers are named, that asks them for it")
	o.actingOptions.addFlags(f)
	o.addGlass(f, true)
	o.cluster.add(f)
}

// planned is what commands that plan print.
type planned struct {
	PlanHash   artifact.Digest       `json:"plan_hash"`
	Plan       action.Plan           `json:"plan"`
	Candidates []knowngood.Candidate `json:"candidates,omitempty"`
	Applied    bool                  `json:"applied"`
	// Partial says that some steps are done and some are not.
	Partial bool `json:"partial,omitempty"`
	// Waits are the gates that would refuse the plan now.
	Waits []respond.Answer     `json:"gates,omitempty"`
	State incident.State       `json:"state"`
	Steps []incident.StepState `json:"steps,omitempty"`
}

// settle shows a plan, writes it out and carries it out, as the flags say.
func (s *session) settle(ctx context.Context, o planOptions, inc *incident.Incident, out planned, extra ...evidence.Draft) error {
	out.PlanHash, out.State = out.Plan.Hash(), inc.State
	r, err := s.acting(o.actingOptions, o.why)
	if err != nil {
		return err
	}
	if o.planOut != "" {
		if err := s.writePlan(ctx, r, o.planOut, out.Plan); err != nil {
			return err
		}
	}
	if !o.apply {
		if out.Waits, err = r.Ask(ctx, out.Plan); err != nil {
			return err
		}
		return s.print(out, func(p *printer) {
			printPlan(p, out)
			for _, a := range out.Waits {
				p.printf("gate %s would refuse it now: %s\n", a.Gate, oneLine(a.Reason))
			}
			p.printf("nothing was changed; to carry it out: add --apply\n")
		})
	}
	failure := r.Apply(ctx, out.Plan, extra...)
	after, err := s.fold(ctx, inc.ID)
	if err != nil {
		return errors.Join(failure, err)
	}
	state := after.Plan(out.PlanHash)
	if state == nil || failure != nil && !state.Started() {
		return failure
	}
	out.Applied, out.State, out.Steps = failure == nil, after.State, state.Steps
	out.Partial = failure != nil
	if failure == nil {
		if err := s.draftNews(ctx, inc, after); err != nil {
			return err
		}
	}
	return errors.Join(failure, s.print(out, func(p *printer) { printOutcome(p, inc.ID, out) }))
}

// writePlan writes a plan to a file, and asks for its approval where there is
// somebody to approve.
func (s *session) writePlan(ctx context.Context, r *respond.Responder, path string, plan action.Plan) error {
	data, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	if err := fsop.WriteFileAtomic(path, append(data, '\n'), 0o600); err != nil {
		return fault.New(fault.Incomplete, "write plan: %w", err)
	}
	if err := s.putPeople(ctx, r, plan.Incident); err != nil {
		return err
	}
	inc, err := s.fold(ctx, plan.Incident)
	if err != nil || inc.People == nil {
		return err
	}
	return r.Request(ctx, plan)
}

func printOutcome(p *printer, id string, out planned) {
	for _, step := range out.Steps {
		p.printf("%-8s  %-14s  %s\n", step.Status, step.ID, oneLine(step.Observation.Detail))
	}
	for _, r := range out.Plan.Remarks {
		p.printf("note      %s\n", oneLine(r))
	}
	if out.Partial {
		p.printf("done in part\n")
	}
	p.printf("%s is %s\n", id, out.State)
}

func printPlan(p *printer, out planned) {
	p.printf("plan %s: %s of %s (%s)\n", short(out.PlanHash.String()), out.Plan.Action, artifact.Quote(out.Plan.Model), artifact.Quote(out.Plan.Target))
	for n, step := range out.Plan.Steps {
		p.printf("%2d  %s\n      target  %s\n      done when  %s\n", n+1, oneLine(step.Summary), artifact.Quote(step.Target), oneLine(step.Post))
		if step.Inverse != nil {
			p.printf("      taken back by  %s\n", oneLine(step.Inverse.Summary))
		}
	}
	printCandidates(p, out.Candidates)
	for _, r := range out.Plan.Remarks {
		p.printf("note  %s\n", oneLine(r))
	}
}

func printCandidates(p *printer, list []knowngood.Candidate) {
	for _, c := range list {
		p.printf("version %s  %s", artifact.Quote(c.Ref), c.Verdict)
		if !c.VouchedAt.IsZero() {
			p.printf("  vouched for since %s (%s)", stamp(c.VouchedAt), artifact.Quote(c.VouchedBy))
		}
		for _, r := range c.Refusals {
			p.printf("\n      refused: %s", oneLine(r))
		}
		p.printf("\n")
	}
}

// driver returns the driver for the place that a model is served from.
func (s *session) driver() (action.Driver, error) {
	at := slices.IndexFunc(s.drivers, func(d action.Driver) bool { return d.Name() == "directory" })
	if at < 0 {
		return nil, fmt.Errorf("this program has no driver for directories")
	}
	return s.drivers[at], nil
}
