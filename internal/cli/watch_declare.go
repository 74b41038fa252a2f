package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// declarer opens incidents without a person, by the policy of watch.declare or
// one of auto_contain. Such an incident has no commander until somebody is
// named.
type declarer struct {
	*session
	least  finding.Severity
	method string
}

// Least implements [agent.Declarer].
func (d *declarer) Least() finding.Severity { return d.least }

// Declare implements [agent.Declarer]. The record says what was declared: a
// model has one open incident at a time, and it lists a sign once.
func (d *declarer) Declare(ctx context.Context, model string, signs []indicator.Indicator) (string, bool, error) {
	d.declaring.Lock()
	defer d.declaring.Unlock()
	open, err := d.openIncident(ctx, model)
	if err != nil {
		return "", false, err
	}
	now := d.Now()
	var drafts []evidence.Draft
	for _, i := range signs {
		if open == nil || !slices.ContainsFunc(open.Indicators, func(o indicator.Indicator) bool { return o.ID == i.ID }) {
			drafts = append(drafts, evidence.Draft{Time: now, Actor: d.Actor, Kind: incident.KindIndicator, Body: i})
		}
	}
	if open != nil {
		if len(drafts) == 0 {
			return open.ID, false, nil
		}
		_, err := d.ledger.Append(ctx, open.ID, evidence.Any, drafts...)
		return open.ID, false, err
	}
	id, err := incident.NewID(now, d.Random)
	if err != nil {
		return "", false, err
	}
	first := []evidence.Draft{{Time: now, Actor: d.Actor, Kind: incident.KindOpened, Body: d.declared(model, signs)}}
	if !d.people.Empty() {
		first = append(first, evidence.Draft{Time: now, Actor: d.Actor, Kind: incident.KindPeople, Body: incident.People{Roster: d.people, Reason: "configured"}})
	}
	drafts = append(first, drafts...)
	if _, err := d.ledger.Append(ctx, id, 0, drafts...); err != nil {
		return "", false, fmt.Errorf("declare incident: %w", err)
	}
	return id, true, nil
}

// openIncident returns the oldest incident of the model that is not closed, or
// nil.
func (d *declarer) openIncident(ctx context.Context, model string) (*incident.Incident, error) {
	logs, err := d.ledger.Logs(ctx, incident.Prefix)
	if err != nil {
		return nil, err
	}
	for _, id := range logs {
		inc, err := d.fold(ctx, id)
		if err != nil {
			d.log().Warn("incident not readable", "incident", id, "error", err)
			continue // it does not keep another from being declared
		}
		if inc.State != incident.Done && slices.Contains(inc.Models, model) {
			return inc, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

func (d *declarer) declared(model string, signs []indicator.Indicator) incident.Opened {
	worst := slices.MinFunc(signs, indicator.Compare)
	body := incident.Opened{
		Models: []string{model}, Severity: worst.Severity, DetectedAt: worst.Timestamp, Method: d.method,
		Summary: fmt.Sprintf("%s of %s, the worst: %s", plural(len(signs), "indicator", "indicators"), artifact.Quote(model), worst.Description),
	}
	for _, i := range signs {
		if i.Timestamp.Before(body.DetectedAt) {
			body.DetectedAt = i.Timestamp
		}
	}
	if m, ok := d.conf.Model(model); ok && m.Critical {
		body.Severity = finding.Critical
	}
	return body
}
