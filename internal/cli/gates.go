package cli

import (
	"context"
	"slices"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/playbook"
	"github.com/weightwarden/weightwarden/internal/respond"
)

// refusal is what a gate would say now.
type refusal struct {
	Action action.Name `json:"action"`
	Model  string      `json:"model,omitempty"`
	respond.Answer
}

// refusals asks the gates about what has not been done yet: isolating, rolling
// back, closing. The plans are not made for that, so what depends on their
// steps shows only when they are.
func (s *session) refusals(ctx context.Context, inc *respond.Board, board clock.Board) []refusal {
	out := []refusal{}
	if inc.State == incident.Done {
		return out
	}
	for _, model := range inc.Models {
		for _, what := range []action.Name{action.Isolate, action.Rollback} {
			if done(inc.Incident, model, what) {
				continue
			}
			stub := action.Plan{Incident: inc.ID, Action: what, Model: model, Steps: []action.Step{{ID: string(what), Destroys: true, Inverse: &action.Step{}}}}
			for _, a := range inc.Ask(ctx, stub) {
				out = append(out, refusal{what, model, withoutPlan(a, inc.ID)})
			}
		}
	}
	if list := unsent(inc.Incident, board); len(list) > 0 {
		if _, waived := inc.WaiverOf(incident.GateComms, ""); !waived {
			out = append(out, refusal{action.Close, "", respond.Answer{Gate: incident.GateComms, Reason: respond.Unsent(list), Hint: respond.UnsentHint(inc.ID)}})
		}
	}
	if inc.People != nil && inc.Severity >= finding.High && inc.People.Roster.Needs(approval.Close) > 0 {
		out = append(out, refusal{action.Close, "", respond.Answer{Gate: "G6", Reason: "closing it needs the approval of a second person"}})
	}
	return out
}

// withoutPlan drops the hash of a plan that does not exist.
func withoutPlan(a respond.Answer, id string) respond.Answer {
	if a.Gate == "G6" {
		a.Hint = "ask for it with --apply or --plan-out FILE; then another person: weightwarden incident approve " + id + " --plan HASH --key FILE"
	}
	return a
}

// done reports whether a plan of the action for the model was finished and
// none that undoes it.
func done(inc *incident.Incident, model string, what action.Name) bool {
	return slices.ContainsFunc(inc.Plans, func(p incident.PlanState) bool {
		return p.Model == model && p.Action == what && p.Finished()
	})
}

// blocked sorts refusals by the kind of step that they are about.
func blocked(list []refusal) playbook.Blocked {
	kinds := map[action.Name]playbook.Kind{action.Isolate: playbook.Quarantine, action.Rollback: playbook.Restore, action.Close: playbook.Review}
	out := playbook.Blocked{}
	for _, r := range list {
		out[kinds[r.Action]] = append(out[kinds[r.Action]], playbook.Refusal{Gate: r.Gate, Reason: r.Reason, Hint: r.Hint})
	}
	return out
}

func printRefusals(p *printer, list []refusal) {
	for _, r := range list {
		of := ""
		if r.Model != "" {
			of = " of " + artifact.Quote(r.Model)
		}
		p.printf("gate %-5s would refuse %s%s: %s\n", r.Gate, r.Action, of, oneLine(r.Reason))
	}
}

// printPeopleInvolved writes who asked for what, who approved it, and what was
// done past the gates.
func printPeopleInvolved(p *printer, inc *incident.Incident) {
	if inc.People != nil {
		p.printf("people     %s on record: weightwarden incident people %s\n", plural(len(inc.People.Roster.People), "person", "people"), inc.ID)
	}
	for _, r := range inc.Requests {
		if plan := inc.Plan(r.Hash); plan == nil {
			p.printf("asked for  %s of %s by %s  (plan %s)\n", r.Action, artifact.Quote(r.Model), artifact.Quote(r.By), short(r.Hash.String()))
		}
	}
	for _, a := range inc.Approvals {
		used := "until " + stamp(a.Expires)
		if a.Used {
			used = "used"
		}
		p.printf("approved   %s by %s, %s  (plan %s)\n", artifact.Quote(a.Action), artifact.Quote(a.By), used, short(a.Plan.String()))
	}
	for _, b := range inc.BrokenGlass {
		p.printf("BREAK GLASS  %s  %s went past %v: %s\n", stamp(b.At), artifact.Quote(b.By), b.Gates, artifact.Quote(b.Reason))
	}
	for _, w := range inc.Waivers {
		p.printf("waived     gate %s by %s: %s\n", w.Gate, artifact.Quote(w.By), artifact.Quote(w.Reason))
	}
	for _, a := range inc.Automatic {
		p.printf("automatic  %s  by policy %s: %s\n", stamp(a.At), artifact.Quote(a.Policy), artifact.Quote(a.Because))
	}
	for _, r := range inc.Reverts {
		p.printf("TAKEN BACK  %s  step %s, %d times: %s\n", stamp(r.Reverted.At), artifact.Quote(r.Step), r.Times, oneLine(r.Detail))
	}
	for _, c := range inc.ClockJumps {
		p.printf("clock      set by %.1f s at %s, since %s\n", c.Jump, stamp(c.At), artifact.Quote(c.Since))
	}
}
