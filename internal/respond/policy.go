package respond

import (
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// Policy lets plans be carried out without a person: for some models, from
// some severity upwards, and not for ever. Only steps that can be taken back
// come under it.
type Policy struct {
	Name string
	// Models are the ids that it is about; empty is all.
	Models []string
	// Severity is the least severity of an indicator that counts.
	Severity finding.Severity
	Actions  []action.Name
	Expires  time.Time
	// PerHour is how many models may be contained by it within an hour; Used
	// is how many were.
	PerHour, Used int
}

// Covers reports whether the policy is about an indicator of a model: one that
// says that something was found, not that something could not be looked at.
func (p Policy) Covers(model string, i indicator.Indicator, now time.Time) bool {
	return i.Source == model && i.Class() == indicator.Found && i.Severity >= p.Severity &&
		(len(p.Models) == 0 || slices.Contains(p.Models, model)) && now.Before(p.Expires)
}

// refuses is gate G1 for what is done without a person.
func (p Policy) refuses(q *question) (reason, hint string) {
	now := q.r.Now()
	hint = "let a person decide: weightwarden incident " + string(q.plan.Action) + " " + q.inc.ID
	covered := slices.ContainsFunc(q.inc.Indicators, func(i indicator.Indicator) bool { return p.Covers(q.plan.Model, i, now) })
	irreversible := slices.IndexFunc(q.plan.Steps, func(s action.Step) bool { return s.Inverse == nil })
	name := "the policy " + artifact.Quote(p.Name)
	switch {
	case !now.Before(p.Expires):
		return name + " has expired at " + p.Expires.UTC().Format(time.RFC3339), hint
	case !slices.Contains(p.Actions, q.plan.Action):
		return name + " does not allow to " + string(q.plan.Action), hint
	case !covered:
		return name + " does not cover what was found of " + artifact.Quote(q.plan.Model), hint
	case irreversible >= 0:
		return name + " allows only what can be taken back, which step " + q.plan.Steps[irreversible].ID + " cannot", hint
	case p.PerHour > 0 && p.Used >= p.PerHour:
		return name + " has been used as often within an hour as it may", hint
	}
	return "", ""
}
