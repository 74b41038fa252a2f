package agent

import (
	"context"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// source is that of the agent's own indicators.
const source = "watch"

// cycle runs one check and alerts about what is new. A cycle that could not
// be run is itself an indicator: silence must mean that all is well.
func (a *Agent) cycle(ctx context.Context) {
	began := time.Now()
	report, err := a.Checker.Run(ctx, nil)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		report = failed(source, err)
	}
	if a.Eyes != nil {
		report.Indicators = append(report.Indicators, a.Eyes.shortcomings(time.Now())...)
		tally(report)
	}
	a.Log.Info("cycle done", "indicators", len(report.Indicators), "critical", report.Critical)
	a.take(ctx, report, true)
	a.mu.Lock()
	a.state.cycles++
	a.state.lastCycle, a.state.took = time.Now(), time.Since(began)
	a.mu.Unlock()
	a.Pulse.kick()
	if a.Broadcast != nil {
		kick(a.Broadcast.cycled)
	}
}

// failed is the report of a look that could not take place.
func failed(who string, err error) *check.Report {
	now := time.Now()
	return &check.Report{CheckTime: now, TotalIndicators: 1, Models: []check.Model{}, Indicators: []indicator.Indicator{
		indicator.New(indicator.CheckFailed, who, now, "the check could not be carried out: "+err.Error(), nil),
	}}
}

// tally counts again, after something was added.
func tally(r *check.Report) {
	slices.SortStableFunc(r.Indicators, indicator.Compare)
	r.TotalIndicators, r.Critical = len(r.Indicators), 0
	for _, i := range r.Indicators {
		if i.Severity == finding.Critical {
			r.Critical++
		}
	}
}

// take takes in what a look came to: of everything when it was whole, else of
// the files of the models in the report. Looks may end in another order than
// they began in; what is older than what is known of a model is left out.
//
// First the verdicts are recorded, then it is remembered what there is, with
// the alerts about it, then these go into the outbox, and then an incident is
// declared: a crash in between neither loses nor repeats any of it. The disk is
// waited for once, when the alerts are in the outbox: that makes durable what
// came before, too.
func (a *Agent) take(ctx context.Context, report *check.Report, whole bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.fresh(report, whole)
	if a.Report != nil && (whole || len(report.Indicators) > 0) {
		a.Report(report)
	}
	for _, m := range report.Models {
		if !l.stale[m.ID] {
			a.looked(m, report)
		}
	}
	written, err := a.Record.verdicts(ctx, report, l)
	if err != nil && ctx.Err() == nil {
		a.Log.Error("verdict not recorded", "error", err)
	}
	a.unsynced = a.unsynced || written
	if err := a.alert(ctx, report, l); err != nil && ctx.Err() == nil {
		a.Log.Error("alert not kept", "error", err)
	}
	if a.Broadcast != nil {
		a.Broadcast.see(report, l, a.active())
	}
	if err := a.declare(ctx, report); err != nil && ctx.Err() == nil {
		a.Log.Error("incident not declared", "error", err)
	}
	if err := a.sync(ctx); err != nil && ctx.Err() == nil {
		a.Log.Error("record not synced", "error", err)
	}
	if a.Respond != nil && len(report.Indicators) > 0 {
		a.Respond(report)
	}
}

// look says what a report is about.
type look struct {
	// whole is one at everything.
	whole bool
	// stale are models that somebody looked at later.
	stale map[string]bool
	// models are those looked at.
	models map[string]bool
}

// fresh tells what of a report is news from what was overtaken.
func (a *Agent) fresh(r *check.Report, whole bool) look {
	l := look{whole: whole, stale: map[string]bool{}, models: map[string]bool{}}
	if a.looks == nil {
		a.looks = map[string]uint64{}
	}
	for _, m := range r.Models {
		if m.Look > 0 && m.Look < a.looks[m.ID] {
			l.stale[m.ID] = true
			continue
		}
		a.looks[m.ID] = m.Look
		l.models[m.ID] = true
	}
	for _, i := range r.Indicators { // a look that failed has no models
		if !whole && i.Type == indicator.CheckFailed {
			l.models[i.Source] = true
		}
	}
	r.Indicators = slices.DeleteFunc(r.Indicators, func(i indicator.Indicator) bool {
		return l.stale[i.Source] && !behaviour(i.Type)
	})
	return l
}

// covers reports whether the look would have seen the sign, were it there.
func (l look) covers(s sign) bool {
	files := !behaviour(s.Type)
	switch {
	case l.whole:
		return !files || !l.stale[s.Source]
	default:
		return files && l.models[s.Source]
	}
}

// alert puts one alert per source into the outbox for what was not there in
// the look before. An indicator that went away and came back is new; one that
// could not be looked for has not gone away.
//
// The alerts are remembered together with what they are about before they go
// into the outbox, which takes each only once: a crash between the two neither
// loses nor repeats one.
func (a *Agent) alert(ctx context.Context, report *check.Report, l look) error {
	before, err := a.recall(ctx)
	if err != nil {
		return err
	}
	if !a.queued {
		if err := a.enqueue(ctx, before.Pending); err != nil {
			return err
		}
	}
	a.witness(before, report)
	now, change := before.update(report, l)
	a.say(change)
	if a.Changed != nil && len(change.New)+len(change.Updated)+len(change.Resolved) > 0 {
		a.Changed(change)
	}
	change = change.from(a.MinSeverity)
	if now.Pending, err = a.compose(change); err != nil {
		return err
	}
	if err := a.remember(ctx, before, now, report.CheckTime); err != nil {
		return err
	}
	return a.enqueue(ctx, now.Pending)
}

// say writes what changed to the log.
func (a *Agent) say(c Change) {
	for _, part := range []struct {
		text string
		list []indicator.Indicator
	}{{"new indicator", c.New}, {"indicator changed", c.Updated}, {"indicator resolved", c.Resolved}} {
		for _, i := range part.list {
			if i.Severity >= a.MinSeverity {
				//nolint:sloglint // one of three constants
				a.Log.Warn(part.text, "type", string(i.Type), "severity", i.Severity.String(), "source", i.Source, "description", i.Description)
			}
		}
	}
}

// from leaves out what is less than the severity.
func (c Change) from(least finding.Severity) Change {
	less := func(i indicator.Indicator) bool { return i.Severity < least }
	c.New = slices.DeleteFunc(slices.Clone(c.New), less)
	c.Updated = slices.DeleteFunc(slices.Clone(c.Updated), less)
	c.Resolved = slices.DeleteFunc(slices.Clone(c.Resolved), less)
	return c
}

// compose writes the alerts about a change; none where nobody is told.
func (a *Agent) compose(c Change) ([]pending, error) {
	if a.Delivery == nil || !a.Delivery.Tells() {
		return nil, nil
	}
	return compose(c, a.Host)
}

func (a *Agent) enqueue(ctx context.Context, list []pending) error {
	if a.Delivery != nil && len(list) > 0 {
		fresh, err := a.Delivery.add(ctx, list)
		if err != nil {
			return err
		}
		a.unsynced = a.unsynced && !fresh
	}
	a.queued = true
	return nil
}

// sync makes durable what no alert made so.
func (a *Agent) sync(ctx context.Context) error {
	if a.Sync == nil || !a.unsynced {
		return nil
	}
	err := a.Sync(ctx)
	a.unsynced = err != nil
	return err
}

// active are the signs that are known to be there.
func (a *Agent) active() map[string]sign {
	if a.memory == nil {
		return nil
	}
	return a.memory.Active
}
