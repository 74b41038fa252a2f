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
	d := &declarer{session: s, method: "weightwarden watch, policy " + p.Name}
	id, _, err := d.Declare(ctx, m.ID, of(report.Indicators, m.ID))
	if err != nil {
		return err
	}
	if inc, err = s.fold(ctx, id); err != nil {
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
	ctx, done := lasting(ctx, containGrace)
	defer done()
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

// of returns the indicators of one source.
func of(all []indicator.Indicator, source string) []indicator.Indicator {
	return slices.DeleteFunc(slices.Clone(all), func(i indicator.Indicator) bool { return i.Source != source })
}

// saidBefore reports whether the first gate that would refuse has said the
// same before: it is not asked to repeat itself with every check.
func saidBefore(inc *incident.Incident, answers []respond.Answer) bool {
	return len(answers) > 0 && slices.ContainsFunc(inc.Refusals, func(r incident.Refused) bool {
		return r.Gate == answers[0].Gate && r.Reason == answers[0].Reason
	})
}

// containing contains by policy what the watcher finds, until ctx ends. The
// watcher goes on meanwhile: its alerts do not wait for evidence to be sealed.
func (s *session) containing(ctx context.Context, found <-chan *check.Report) {
	for {
		select {
		case <-ctx.Done():
			return
		case report := <-found:
			switch err := s.autoContain(ctx, report); {
			case err == nil || ctx.Err() != nil:
			case fault.KindOf(err) == fault.Refused:
				s.log().Warn("not contained: a gate refuses", "error", err)
			default:
				s.log().Error("not contained", "error", err)
			}
		}
	}
}

// offer hands over what was found without waiting. What still waits there is
// kept, but for what the later report is about. Calls must not overlap.
func offer(found chan *check.Report, report *check.Report) {
	select {
	case waiting := <-found:
		report = joined(waiting, report)
	default:
	}
	found <- report
}

// joined is the later report with what only the earlier one is about.
func joined(earlier, later *check.Report) *check.Report {
	newer := map[string]bool{}
	for _, m := range later.Models {
		newer[m.ID] = true
	}
	both := *later
	both.Models = slices.Clone(later.Models)
	both.Indicators = slices.Clone(later.Indicators)
	for _, m := range earlier.Models {
		if !newer[m.ID] {
			both.Models = append(both.Models, m)
		}
	}
	for _, i := range earlier.Indicators {
		if !newer[i.Source] {
			both.Indicators = append(both.Indicators, i)
		}
	}
	return &both
}

// containGrace is how long an action under way may go on after the end, or
// after a new configuration: what is broken off is left to people.
const containGrace = 5 * time.Second

// lasting returns a context that ends a while after ctx does.
func lasting(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}
