// Package agent watches: it runs a cycle at once and then at an interval, puts
// what is new into the outbox and delivers the outbox until it is empty. It
// decides nothing about incidents.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/fault"
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
		report = &check.Report{CheckTime: now, Indicators: []indicator.Indicator{
			indicator.New(indicator.CheckFailed, "watch", now, "the check could not be carried out: "+err.Error(), nil),
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

// active is what the last cycle found: indicator id to the moment since when
// it is there without a break.
type active map[string]time.Time

// memoryKind and memoryName are where the active set is kept.
const (
	memoryKind = "watch"
	memoryName = "active"
)

// alert puts one alert per source into the outbox for what was not there in
// the cycle before. An indicator that went away and came back is new.
func (a *Agent) alert(ctx context.Context, report *check.Report) error {
	before, err := a.recall(ctx)
	if err != nil {
		return err
	}
	now, fresh := active{}, map[string][]indicator.Indicator{}
	for _, i := range report.Indicators {
		since, known := before[i.ID]
		if !known {
			since = report.CheckTime
			if i.Severity >= a.MinSeverity {
				fresh[i.Source] = append(fresh[i.Source], i)
				a.Log.Warn("new indicator", "type", string(i.Type), "severity", i.Severity.String(), "source", i.Source, "description", i.Description)
			}
		}
		now[i.ID] = since
	}
	for source, list := range fresh {
		if err := a.keep(ctx, source, list, report.CheckTime); err != nil {
			return err
		}
	}
	a.kick()
	// Last, so that a crash before it repeats the alert instead of losing it.
	return a.remember(ctx, now, report.CheckTime)
}

func (a *Agent) recall(ctx context.Context) (active, error) {
	doc, _, err := a.Memory.Get(ctx, memoryKind, memoryName)
	if k := fault.KindOf(err); err != nil && (k == fault.NotFound || k == fault.Untrusted) {
		return active{}, nil // nothing to rely on: everything is new
	} else if err != nil {
		return nil, err
	}
	known := active{}
	if err := json.Unmarshal(doc, &known); err != nil {
		return active{}, nil //nolint:nilerr // unreadable memory is no memory: everything is new
	}
	return known, nil
}

func (a *Agent) remember(ctx context.Context, now active, at time.Time) error {
	doc, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return a.Memory.Put(ctx, memoryKind, memoryName, doc, at)
}

// Alert is what is sent, in the guide's form.
type Alert struct {
	Text     string           `json:"text"`
	Severity finding.Severity `json:"severity"`
}

// shown bounds the indicators that one alert spells out.
const shown = 20

// keep puts one alert into the outbox, under a key that the same alert has
// again after a crash.
func (a *Agent) keep(ctx context.Context, source string, list []indicator.Indicator, at time.Time) error {
	if a.Target == "" {
		return nil
	}
	slices.SortStableFunc(list, indicator.Compare)
	var text strings.Builder
	fmt.Fprintf(&text, "weightwarden: %d new for %s", len(list), artifact.Quote(source))
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
	if err != nil {
		return err
	}
	id := artifact.SHA256Of([]byte(strings.Join(key, "\n")))
	_, err = a.Outbox.Add(ctx, outbox.Item{Key: id.Hex(), Target: a.Target, Payload: payload, CreatedAt: at, NextAt: at})
	return err
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
	due, err := a.Outbox.Due(ctx, time.Now(), 100)
	if err != nil {
		return err
	}
	for _, item := range due {
		if err := a.send(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

func (a *Agent) send(ctx context.Context, item outbox.Item) error {
	retry, err := a.Sender.Send(ctx, item.Target, item.Payload)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil // stopped: it stays in the outbox
	}
	if err == nil {
		a.Log.Info("alert delivered", "attempts", item.Attempts+1)
		return a.Outbox.Delivered(ctx, item.ID, time.Now())
	}
	delay := min(firstRetry<<min(item.Attempts, 10), lastRetry)
	if !retry {
		delay = lastRetry // the receiver refuses it: kept, and tried at the slowest pace
	}
	a.Log.Warn("alert not delivered", "error", err, "attempts", item.Attempts+1, "next", delay.String())
	return a.Outbox.Failed(ctx, item.ID, time.Now().Add(delay), err.Error())
}
