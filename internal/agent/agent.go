// Package agent watches: it runs a cycle at once and then at an interval, puts
// what is new into the outbox and delivers the outbox until it is empty. It
// decides nothing about incidents.
package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// Checker runs one cycle.
type Checker interface {
	// Run returns what was found. An error means that no cycle took place.
	Run(ctx context.Context, only []string) (*check.Report, error)
}

// Memory keeps documents over restarts.
type Memory interface {
	// Put stores a document under its name.
	Put(ctx context.Context, kind, name string, doc []byte, at time.Time) error
	// Get returns a document, or a NotFound fault.
	Get(ctx context.Context, kind, name string) (doc []byte, at time.Time, err error)
}

// Agent watches until its context ends.
type Agent struct {
	Checker  Checker
	Memory   Memory
	Interval time.Duration
	// Delivery is what becomes of alerts; nil means only into the log.
	Delivery *Delivery
	// Host is this machine, in alerts.
	Host string
	// MinSeverity is the severity from which an indicator is worth an alert.
	MinSeverity finding.Severity
	Log         *slog.Logger
	// Report, where set, is told the outcome of every cycle.
	Report func(*check.Report)
}

// Run watches until ctx ends, which is no error.
func (a *Agent) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	if a.Delivery != nil {
		parts.Go(func() { a.Delivery.Run(ctx) })
	}
	defer parts.Wait()
	tick := time.NewTicker(a.Interval)
	defer tick.Stop()
	for {
		a.cycle(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// cycle runs one check and alerts about what is new. A cycle that could not
// be run is itself an indicator: silence must mean that all is well.
func (a *Agent) cycle(ctx context.Context) {
	report, err := a.Checker.Run(ctx, nil)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		now := time.Now()
		report = &check.Report{CheckTime: now, TotalIndicators: 1, Models: []check.Model{}, Indicators: []indicator.Indicator{
			indicator.New(indicator.CheckFailed, source, now, "the check could not be carried out: "+err.Error(), nil),
		}}
	}
	a.Log.Info("cycle done", "indicators", len(report.Indicators), "critical", report.Critical)
	if a.Report != nil {
		a.Report(report)
	}
	if err := a.alert(ctx, report); err != nil && ctx.Err() == nil {
		a.Log.Error("alert not kept", "error", err)
	}
}

// source is that of the agent's own indicators.
const source = "watch"

// alert puts one alert per source into the outbox for what was not there in
// the cycle before. An indicator that went away and came back is new; one that
// could not be looked for has not gone away.
//
// The alerts are remembered together with what they are about before they go
// into the outbox, which takes each only once: a crash between the two neither
// loses nor repeats one.
func (a *Agent) alert(ctx context.Context, report *check.Report) error {
	before, err := a.recall(ctx)
	if err != nil {
		return err
	}
	if err := a.enqueue(ctx, before.Pending); err != nil {
		return err
	}
	now, fresh := before.update(report)
	worth := slices.DeleteFunc(fresh, func(i indicator.Indicator) bool { return i.Severity < a.MinSeverity })
	for _, i := range worth {
		a.Log.Warn("new indicator", "type", string(i.Type), "severity", i.Severity.String(), "source", i.Source, "description", i.Description)
	}
	if now.Pending, err = a.compose(changeOf(report, worth)); err != nil {
		return err
	}
	if err := a.remember(ctx, before, now, report.CheckTime); err != nil {
		return err
	}
	return a.enqueue(ctx, now.Pending)
}

// compose writes the alerts about a change; none where nobody is told.
func (a *Agent) compose(c Change) ([]pending, error) {
	if a.Delivery == nil || !a.Delivery.Tells() {
		return nil, nil
	}
	return compose(c, a.Host)
}

func (a *Agent) enqueue(ctx context.Context, list []pending) error {
	if a.Delivery == nil || len(list) == 0 {
		return nil
	}
	return a.Delivery.add(ctx, list)
}
