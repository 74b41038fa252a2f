package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/respond"
)

// autoContain contains what a check found and a policy covers: it declares an
// incident, seals the evidence, and isolates. What a gate refuses is on record
// and left to people. One model that fails does not keep it from the next.
func (s *session) autoContain(ctx context.Context, report *check.Report) error {
	var errs []error
	for _, p := range s.conf.AutoContain {
		for _, m := range s.conf.Models {
			policy := policyOf(p)
			at := slices.IndexFunc(report.Indicators, func(i indicator.Indicator) bool { return policy.Covers(m.ID, i, s.Now()) })
			if at < 0 {
				continue
			}
			if err := s.containOne(ctx, p, m, report, report.Indicators[at]); err != nil {
				errs = append(errs, fmt.Errorf("contain %s by policy %s: %w", artifact.Quote(m.ID), artifact.Quote(p.Name), err))
			}
		}
	}
	return errors.Join(errs...)
}

func policyOf(p config.AutoContain) respond.Policy {
	out := respond.Policy{Name: p.Name, Models: p.Models, Severity: p.Severity, Expires: p.Expires, PerHour: p.PerHour}
	for _, a := range p.Actions {
		out.Actions = append(out.Actions, action.Name(a))
	}
	return out
}

func (s *session) containOne(ctx context.Context, p config.AutoContain, m config.Model, report *check.Report, because indicator.Indicator) error {
	all, used, err := s.incidents(ctx, p.Name)
	if err != nil {
		return err
	}
	inc := openAbout(all, m.ID)
	if inc != nil && slices.ContainsFunc(inc.Plans, func(q incident.PlanState) bool { return q.Model == m.ID }) {
		return nil // somebody acts, or it is contained: the rest is for people
	}
	if inc, err = s.declare(ctx, inc, p.Name, m, report, because); err != nil {
		return err
	}
	if _, sealed := inc.Sealed(m.ID); !sealed {
		if _, err := s.assess(ctx, inc, m, false, false); err != nil {
			return err
		}
		if inc, err = s.fold(ctx, inc.ID); err != nil {
			return err
		}
	}
	plan, err := s.planIsolate(ctx, inc, m, p.Mode == "mark", false)
	if err != nil {
		return err
	}
	policy := policyOf(p)
	policy.Used = used
	r := s.responder()
	r.Policy = &policy
	answers, err := r.Ask(ctx, plan)
	if err != nil || saidBefore(inc, answers) {
		return err
	}
	body := incident.Automatic{Policy: p.Name, Model: m.ID, Plan: plan.Hash(), Expires: p.Expires, Because: string(because.Type) + ": " + because.Description}
	if err := r.Apply(ctx, plan, append(s.secretTasks(inc), r.Draft(incident.KindAutomatic, body))...); err != nil {
		return err
	}
	after, err := s.fold(ctx, inc.ID)
	if err != nil {
		return err
	}
	if err := s.draftNews(ctx, inc, after); err != nil {
		return err
	}
	return s.alertPeople(ctx, "contained without a person: "+m.ID, plan.Hash().Hex()+"/"+inc.ID,
		fmt.Sprintf("%s was isolated in %s by the policy %s (%s). Take over: weightwarden incident next %s",
			artifact.Quote(m.ID), inc.ID, artifact.Quote(p.Name), artifact.Quote(because.Description), inc.ID))
}

// incidents returns the open incidents, and how often a policy was used within
// the last hour. An incident that cannot be read could have used it.
func (s *session) incidents(ctx context.Context, policy string) (open []*incident.Incident, used int, err error) {
	ids, err := s.ledger.Logs(ctx, incident.Prefix)
	if err != nil {
		return nil, 0, err
	}
	since := s.Now().Add(-time.Hour)
	for _, id := range ids {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		for _, a := range inc.Automatic {
			if a.Policy == policy && a.At.After(since) {
				used++
			}
		}
		if inc.State != incident.Done {
			open = append(open, inc)
		}
	}
	return open, used, nil
}

func openAbout(list []*incident.Incident, model string) *incident.Incident {
	for _, inc := range list {
		if slices.Contains(inc.Models, model) {
			return inc
		}
	}
	return nil
}

// declare opens an incident about what was found of a model, where none is
// open, and puts on record there what is not yet.
func (s *session) declare(ctx context.Context, inc *incident.Incident, policy string, m config.Model, report *check.Report, because indicator.Indicator) (*incident.Incident, error) {
	now := s.Now()
	draft := func(kind string, body any) evidence.Draft {
		return evidence.Draft{Time: now, Actor: s.Actor, Kind: kind, Body: body}
	}
	var drafts []evidence.Draft
	known := map[string]bool{}
	id, expected := "", evidence.Any
	if inc == nil {
		var err error
		if id, err = incident.NewID(now, s.Random); err != nil {
			return nil, err
		}
		expected = 0
		drafts = append(drafts, draft(incident.KindOpened, incident.Opened{
			Models: []string{m.ID}, Severity: because.Severity, Summary: because.Description,
			DetectedAt: report.CheckTime, Method: "weightwarden watch, policy " + policy,
		}))
		if !s.people.Empty() {
			drafts = append(drafts, draft(incident.KindPeople, incident.People{Roster: s.people, Reason: "configured"}))
		}
	} else {
		id = inc.ID
		for _, i := range inc.Indicators {
			known[i.ID] = true
		}
	}
	for _, i := range report.Indicators {
		if i.Source == m.ID && !known[i.ID] {
			drafts = append(drafts, draft(incident.KindIndicator, i))
		}
	}
	if len(drafts) > 0 {
		if _, err := s.ledger.Append(ctx, id, expected, drafts...); err != nil {
			return nil, fmt.Errorf("declare incident: %w", err)
		}
	}
	return s.fold(ctx, id)
}

// saidBefore reports whether the first gate that would refuse has said the
// same before: it is not asked to repeat itself with every check.
func saidBefore(inc *incident.Incident, answers []respond.Answer) bool {
	return len(answers) > 0 && slices.ContainsFunc(inc.Refusals, func(r incident.Refused) bool {
		return r.Gate == answers[0].Gate && r.Reason == answers[0].Reason
	})
}

// afterCheck is what watch does with the outcome of a cycle beside alerting.
func (s *session) afterCheck(ctx context.Context, report *check.Report) {
	if len(s.conf.AutoContain) == 0 {
		return
	}
	switch err := s.autoContain(ctx, report); {
	case err == nil || ctx.Err() != nil:
	case fault.KindOf(err) == fault.Refused:
		s.log().Warn("not contained: a gate refuses", "error", err)
	default:
		s.log().Error("not contained", "error", err)
	}
}
