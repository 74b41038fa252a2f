// Package agent watches: it runs a cycle at once and then at an interval, puts
// what is new into the outbox and delivers the outbox until it is empty. It
// decides nothing about incidents.
package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// Checker runs one cycle.
type Checker interface {
	// Run returns what was found. An error means that no cycle took place.
	Run(ctx context.Context, only []string) (*check.Report, error)
}

// Sender delivers one alert.
type Sender interface {
	// Send tries once. When it fails, retry says whether to try again.
	Send(ctx context.Context, target string, payload []byte) (retry bool, err error)
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
	Sender   Sender
	Outbox   outbox.Store
	Memory   Memory
	Interval time.Duration
	// Target is where alerts go; empty means only into the log.
	Target string
	// MinSeverity is the severity from which an indicator is worth an alert.
	MinSeverity finding.Severity
	Log         *slog.Logger
	// Report, where set, is told the outcome of every cycle.
	Report func(*check.Report)

	wake chan struct{}
}

// Delays between tries of the same alert.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Run watches until ctx ends, which is no error.
func (a *Agent) Run(ctx context.Context) error {
	a.wake = make(chan struct{}, 1)
	var parts sync.WaitGroup
	parts.Go(func() { a.deliver(ctx) })
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
	if now.Pending, err = a.alerts(worth, report); err != nil {
		return err
	}
	if err := a.remember(ctx, before, now, report.CheckTime); err != nil {
		return err
	}
	return a.enqueue(ctx, now.Pending)
}

// enqueue puts alerts into the outbox and wakes who delivers them.
func (a *Agent) enqueue(ctx context.Context, list []pending) error {
	for _, p := range list {
		_, err := a.Outbox.Add(ctx, outbox.Item{Key: p.Key, Target: channel, Payload: p.Payload, CreatedAt: p.At, NextAt: p.At})
		if err != nil {
			return err
		}
	}
	if len(list) > 0 {
		a.kick()
	}
	return nil
}

// channel is the target of the alerts in the outbox. The address itself is a
// secret, and may be corrected while alerts wait.
const channel = "alert_webhook"

// Alert is what is sent, in the guide's form.
type Alert struct {
	Text     string           `json:"text"`
	Severity finding.Severity `json:"severity"`
}

// shown bounds the indicators that one alert spells out.
const shown = 20

// alerts makes one alert per source, critical models first, then the worst.
func (a *Agent) alerts(fresh []indicator.Indicator, report *check.Report) ([]pending, error) {
	if a.Target == "" {
		return nil, nil
	}
	critical := map[string]bool{}
	for _, m := range report.Models {
		critical[m.ID] = m.Critical
	}
	bySource := map[string][]indicator.Indicator{}
	for _, i := range slices.SortedStableFunc(slices.Values(fresh), indicator.Compare) {
		bySource[i.Source] = append(bySource[i.Source], i)
	}
	sources := slices.SortedFunc(maps.Keys(bySource), func(x, y string) int {
		switch {
		case critical[x] != critical[y] && critical[x]:
			return -1
		case critical[x] != critical[y]:
			return 1
		}
		return indicator.Compare(bySource[x][0], bySource[y][0])
	})
	var out []pending
	for _, name := range sources {
		p, err := compose(name, bySource[name], report.CheckTime)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// compose writes the alert about what is new of one source, the worst first.
func compose(name string, list []indicator.Indicator, at time.Time) (pending, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "weightwarden: %d new for %s", len(list), artifact.Quote(name))
	key := []string{at.UTC().Format(time.RFC3339Nano)}
	for n, i := range list {
		key = append(key, i.ID)
		if n < shown {
			fmt.Fprintf(&text, "\n[%s] %s: %s", i.Severity, i.Type, i.Description)
		}
	}
	if more := len(list) - shown; more > 0 {
		fmt.Fprintf(&text, "\nand %d more: weightwarden check", more)
	}
	payload, err := json.Marshal(Alert{Text: text.String(), Severity: list[0].Severity})
	return pending{Key: artifact.SHA256Of([]byte(strings.Join(key, "\n"))).Hex(), Payload: payload, At: at}, err
}

func (a *Agent) kick() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// deliver sends what is due, oldest first, until ctx ends.
func (a *Agent) deliver(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-timer.C:
		}
		if err := a.sendDue(ctx); err != nil && ctx.Err() == nil {
			a.Log.Error("outbox", "error", err)
		}
		timer.Reset(firstRetry)
	}
}

func (a *Agent) sendDue(ctx context.Context) error {
	if a.Target == "" {
		return nil // what waits is kept until there is somebody to tell
	}
	due, err := a.Outbox.Due(ctx, time.Now(), 100)
	if err != nil {
		return err
	}
	for _, item := range due {
		if err := a.send(ctx, item); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

func (a *Agent) send(ctx context.Context, item outbox.Item) error {
	retry, err := a.Sender.Send(ctx, a.Target, item.Payload)
	if err == nil {
		a.Log.Info("alert delivered", "attempts", item.Attempts+1)
		// Also when stopped just now: else it would be sent again.
		return a.Outbox.Delivered(context.WithoutCancel(ctx), item.ID, time.Now())
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // stopped: it stays in the outbox
	}
	delay := min(firstRetry<<min(item.Attempts, 10), lastRetry)
	if !retry {
		delay = lastRetry // the receiver refuses it: kept, and tried at the slowest pace
	}
	a.Log.Warn("alert not delivered", "error", err, "attempts", item.Attempts+1, "next", delay.String())
	return a.Outbox.Failed(ctx, item.ID, time.Now().Add(delay), err.Error())
}
