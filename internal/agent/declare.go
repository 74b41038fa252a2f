package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// Declarer declares incidents.
type Declarer interface {
	// Declare adds the indicators to the model's open incident, or opens one,
	// and returns its id. Called again with the same, as after a crash, it
	// changes nothing.
	Declare(ctx context.Context, model string, signs []indicator.Indicator) (id string, opened bool, err error)
	// Least is the severity from which an indicator is worth an incident.
	Least() finding.Severity
}

// declare sees to it that each sign of compromise of a model belongs to an
// incident. One that was closed is not opened again by what it was about.
func (a *Agent) declare(ctx context.Context, r *check.Report) error {
	if a.Declare == nil {
		return nil
	}
	before, err := a.recall(ctx)
	if err != nil {
		return err
	}
	models := map[string]bool{}
	for _, m := range r.Models {
		models[m.ID] = true
	}
	undeclared := map[string][]indicator.Indicator{}
	for _, i := range r.Indicators {
		s, known := before.Active[i.ID]
		if known && s.Incident == "" && models[i.Source] && i.Class() == indicator.Found && i.Severity >= a.Declare.Least() {
			undeclared[i.Source] = append(undeclared[i.Source], i)
		}
	}
	if len(undeclared) == 0 {
		return nil
	}
	now := memory{Active: maps.Clone(before.Active), Pending: before.Pending}
	for _, model := range slices.Sorted(maps.Keys(undeclared)) {
		id, isNew, err := a.Declare.Declare(ctx, model, undeclared[model])
		if err != nil {
			return fmt.Errorf("declare incident of %s: %w", model, err)
		}
		for _, i := range undeclared[model] {
			s := now.Active[i.ID]
			s.Incident = id
			now.Active[i.ID] = s
		}
		if isNew {
			a.Log.Warn("incident declared", "incident", id, "model", model)
		}
	}
	return a.remember(ctx, before, now, r.CheckTime)
}
