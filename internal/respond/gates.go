package respond

import (
	"context"
	"slices"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Gate is a rule that a plan has to pass before anything happens.
type Gate struct {
	// ID is the gate's name in messages and in the record.
	ID string `json:"id"`
	// Rule is the rule in one sentence.
	Rule string `json:"rule"`
	// refuses returns why the plan does not pass, and what to do, or "".
	refuses func(inc *incident.Incident, p action.Plan) (reason, hint string)
}

// Gates returns every gate, in the order in which they are asked.
func Gates() []Gate {
	return append(resumeGates(), Gate{"G9", "A plan that was begun is continued or taken back before another begins.", begun})
}

// resumeGates are those that a plan has to pass again when it is continued:
// the incident may have been closed since.
func resumeGates() []Gate {
	return []Gate{
		{"G1", "Nothing is changed without a declared incident that has a commander.", notDeclared},
		{incident.EvidenceGate, "Nothing that evidence can be taken from is ended before that evidence is sealed.", notSealed},
	}
}

// pass asks gates. A refusal is itself an entry of the record.
func (r *Responder) pass(ctx context.Context, inc *incident.Incident, p action.Plan, gates []Gate) error {
	for _, g := range gates {
		reason, hint := g.refuses(inc, p)
		if reason == "" {
			continue
		}
		return r.Refuse(ctx, inc.ID, incident.Refused{Gate: g.ID, Action: string(p.Action), Reason: reason}, hint)
	}
	return nil
}

// Refuse records that a gate was not passed and returns the Refused fault.
func (r *Responder) Refuse(ctx context.Context, id string, body incident.Refused, hint string) error {
	if err := r.Record(ctx, id, r.Draft(incident.KindRefused, body)); err != nil {
		return err
	}
	return fault.New(fault.Refused, "%s refused by gate %s: %s", body.Action, body.Gate, body.Reason).WithHint("%s", hint)
}

func notDeclared(inc *incident.Incident, _ action.Plan) (reason, hint string) {
	switch {
	case inc.State == incident.Done:
		return "the incident is closed", "open a new one: weightwarden incident open"
	case inc.Commander == "":
		return "the incident has no commander", "name one: weightwarden incident fact " + inc.ID + " commander NAME"
	}
	return "", ""
}

func notSealed(inc *incident.Incident, p action.Plan) (reason, hint string) {
	if !slices.ContainsFunc(p.Steps, func(s action.Step) bool { return s.Destroys }) {
		return "", ""
	}
	a, known := inc.Assessed[p.Model]
	switch {
	case known && a.Sealed, inc.EvidenceWaived(p.Model):
		return "", ""
	case known:
		return "the evidence of " + p.Model + " is not sealed: " + a.Reason,
			"capture it: weightwarden incident assess " + inc.ID + "; where that cannot be done, say why: weightwarden incident waive " + inc.ID + " --reason TEXT"
	}
	return "the evidence of " + p.Model + " is not sealed", "capture it first: weightwarden incident assess " + inc.ID
}

func begun(inc *incident.Incident, p action.Plan) (reason, hint string) {
	for n := range inc.Plans {
		q := &inc.Plans[n]
		interrupted := resumable(inc, n) && !q.Failed()
		if interrupted && p.Action != action.Undo {
			return "the plan to " + string(q.Action) + " " + q.Model + " was begun and not finished",
				"continue it: weightwarden incident resume " + inc.ID
		}
	}
	return "", ""
}
