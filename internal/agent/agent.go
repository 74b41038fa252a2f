// Package agent watches: it runs a cycle at once and then at an interval, looks
// between cycles at what somebody touched, puts what changed into the outbox
// and delivers the outbox until it is empty. What it came to is recorded. It
// decides nothing about incidents: policy is its caller's.
package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
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
	// Report, where set, is told the outcome of every cycle, and of every look
	// between cycles that found something. Calls do not overlap.
	Report func(*check.Report)
	// Sync, where set, makes durable what Memory and Record were given, when no
	// alert follows that the outbox makes durable with all that came before it.
	Sync func(context.Context) error
	// Respond, where set, is told what was found, after it was recorded and its
	// alerts are kept. It does not wait for what it begins.
	Respond func(*check.Report)
	// Changed, where set, is told what a look changed about what is known, before
	// any of it is delivered. Calls do not overlap.
	Changed func(Change)
	// Eyes, where set, look between cycles.
	Eyes *Eyes
	// Record, where set, keeps every verdict.
	Record *Record
	// Pulse, where set, is the sign of life.
	Pulse *Pulse
	// Broadcast, where set, tells others what is seen.
	Broadcast *Broadcast
	// Declare, where set, is told of indicators that no incident knows of.
	Declare Declarer

	mu     sync.Mutex // of all that follows
	memory *memory    // nil before it was read
	looks  map[string]uint64
	state  progress
	// queued is that the outbox has the alerts of the memory.
	queued bool
	// unsynced is that something was kept that is not durable yet.
	unsynced bool
}

// progress is what the agent has done so far.
type progress struct {
	cycles    uint64
	lastCycle time.Time
	took      time.Duration
	models    map[string]ModelState
}

// Run watches until ctx ends, which is no error.
func (a *Agent) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	if a.Delivery != nil {
		parts.Go(func() { a.Delivery.Run(ctx) })
	}
	defer parts.Wait()
	if a.Eyes != nil {
		parts.Go(func() { a.watch(ctx) })
		parts.Go(func() { a.patrol(ctx) })
	}
	if a.Pulse != nil {
		parts.Go(func() { a.beat(ctx) })
	}
	if a.Broadcast != nil {
		parts.Go(func() { a.Broadcast.run(ctx) })
		parts.Go(func() { a.renew(ctx) })
	}
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
