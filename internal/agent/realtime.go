package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/watch"
)

// Watcher tells what happens.
type Watcher interface {
	// Run tells, from any goroutine, until ctx ends, which is no error.
	Run(ctx context.Context, tell func(watch.Event)) error
	// Coverage says how each root is watched.
	Coverage() []watch.Coverage
	// Who returns who did something at the path last, if that is known.
	Who(root, path string) (watch.Process, bool)
}

// Looker looks at a part of what a cycle looks at.
type Looker interface {
	// Look looks at one model, of which the paths may have changed; with none
	// at all of it. A nil report means that there is nothing to compare with.
	Look(ctx context.Context, model string, paths []string) (*check.Report, error)
	// Read reads one file again.
	Read(ctx context.Context, model, path string, rate int64) (*check.Report, error)
	// Stalest returns the large file that was not read for the longest time.
	Stalest() (check.Stalest, check.Volume, bool)
	// Unsettled returns files that could not be relied on when last read.
	Unsettled(model string) []string
}

// Eyes look between cycles: at what somebody touches, and by turn at what is
// too large to be read in every cycle.
type Eyes struct {
	Watcher Watcher
	Looker  Looker
	// PassAge is how old the last reading of a large file may get.
	PassAge time.Duration
	// Rate is the most bytes read in a second; 0 is no limit.
	Rate int64
	// Came, where set, is told of a root in which something came or that is
	// another one, before it is looked at. Set it before the agent runs.
	Came func(root string)

	mu      sync.Mutex
	pending map[string]*touched
	busy    map[string]bool
	wake    chan struct{}
	deaf    error // why nothing is told any more
}

// touched is what somebody touched of a model.
type touched struct {
	paths map[string]bool
	all   bool
	due   time.Time
	calls int // looks in a row at what does not settle
}

// How long to wait after an event: what belongs together comes together, and
// who writes is let finish, for a moment.
const (
	afterWrite = 3 * time.Millisecond
	afterTouch = 50 * time.Millisecond
)

// maxPaths is how many paths of a model are told apart until it is looked at.
const maxPaths = 4096

// Bounds of how soon what does not settle is looked at again.
const (
	soonest = time.Second
	latest  = time.Minute
)

// lookers is how many models are looked at the same time between cycles.
const lookers = 4

// Touch notes that something happened to a model. It may be called from any
// goroutine, before the agent runs too.
func (e *Eyes) Touch(ev watch.Event) {
	wait := afterTouch
	if ev.Kind == watch.Written || ev.Kind == watch.Named || ev.Kind == watch.Lost {
		wait = afterWrite
	}
	if e.Came != nil && (ev.Kind == watch.Named || ev.Kind == watch.Lost) {
		e.Came(ev.Root)
	}
	e.note(ev.Root, ev.Path, ev.Kind == watch.Lost, time.Now().Add(wait), 0)
}

func (e *Eyes) note(model, path string, all bool, due time.Time, calls int) {
	e.mu.Lock()
	t := e.pending[model]
	if t == nil {
		t = &touched{paths: map[string]bool{}, due: due}
		if e.pending == nil {
			e.pending = map[string]*touched{}
		}
		e.pending[model] = t
	}
	if due.Before(t.due) {
		t.due = due
	}
	t.all = t.all || all || len(t.paths) >= maxPaths
	t.calls = max(t.calls, calls)
	if !all {
		t.paths[path] = true
	}
	wake := e.waker()
	e.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default:
	}
}

// waker is called under the mutex.
func (e *Eyes) waker() chan struct{} {
	if e.wake == nil {
		e.wake = make(chan struct{}, 1)
	}
	return e.wake
}

// watch looks at what is touched until ctx ends.
func (a *Agent) watch(ctx context.Context) {
	e := a.Eyes
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() {
		err := e.Watcher.Run(ctx, e.Touch)
		if ctx.Err() == nil {
			a.Log.Error("nothing is told any more: only the cycles remain", "error", err)
			e.mu.Lock()
			e.deaf = fmt.Errorf("the watcher ended: %w", err)
			e.mu.Unlock()
		}
	})
	slots := make(chan struct{}, lookers)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		ready, next := e.ready(time.Now())
		for model, t := range ready {
			parts.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				a.lookAt(ctx, model, t)
			})
		}
		timer.Reset(next)
		e.mu.Lock()
		wake := e.waker()
		e.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-timer.C:
		}
	}
}

// ready takes out what is due, but of models that are being looked at, and says
// how long to wait for the next.
func (e *Eyes) ready(now time.Time) (map[string]*touched, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ready, next := map[string]*touched{}, time.Hour
	for model, t := range e.pending {
		switch wait := t.due.Sub(now); {
		case e.busy[model]:
		case wait > 0:
			next = min(next, wait)
		default:
			if e.busy == nil {
				e.busy = map[string]bool{}
			}
			e.busy[model] = true
			ready[model] = t
			delete(e.pending, model)
		}
	}
	return ready, next
}

// lookAt looks at what was touched of a model, and again later at what did not
// settle: who has a file open for writing may write to it without a trace.
func (a *Agent) lookAt(ctx context.Context, model string, t *touched) {
	e := a.Eyes
	var paths []string
	if !t.all {
		for p := range t.paths {
			paths = append(paths, p)
		}
		slices.Sort(paths)
	}
	began := time.Now()
	report, err := e.Looker.Look(ctx, model, paths)
	took := time.Since(began)
	if err != nil && ctx.Err() == nil {
		a.Log.Error("look failed", "model", model, "error", err)
		report = failed(model, err)
	}
	if ctx.Err() == nil && report != nil {
		a.Log.Debug("looked", "model", model, "paths", len(paths), "took", took.String(), "indicators", len(report.Indicators))
		a.take(ctx, report, false)
	}
	e.mu.Lock()
	delete(e.busy, model)
	wake := e.waker()
	e.mu.Unlock()
	again := min(max(soonest, 4*took)<<min(t.calls, 6), latest)
	switch unsettled := e.Looker.Unsettled(model); {
	case err != nil:
		e.note(model, "", true, time.Now().Add(again), t.calls+1)
	default:
		for _, path := range unsettled {
			e.note(model, path, false, time.Now().Add(again), t.calls+1)
		}
	}
	select {
	case wake <- struct{}{}:
	default:
	}
}

// witness adds who did it to what is new, where that is known.
func (a *Agent) witness(before memory, r *check.Report) {
	if a.Eyes == nil {
		return
	}
	for n, i := range r.Indicators {
		if _, known := before.Active[i.ID]; known || i.Source == source {
			continue
		}
		if p, ok := a.Eyes.Watcher.Who(i.Source, i.File()); ok {
			r.Indicators[n].Evidence["process"] = p
		}
	}
}

// shortcomings are indicators of what is not watched as it should be.
func (e *Eyes) shortcomings(now time.Time) (out []indicator.Indicator) {
	e.mu.Lock()
	deaf := e.deaf
	e.mu.Unlock()
	if deaf != nil {
		out = append(out, indicator.New(indicator.WatchDegraded, source, now, deaf.Error(), map[string]any{"reason": deaf.Error()}, "watcher"))
	}
	for _, c := range e.Watcher.Coverage() {
		if c.Degraded {
			out = append(out, indicator.New(indicator.WatchDegraded, source, now,
				fmt.Sprintf("model %s is looked at again and again instead of being watched: %s", c.Root, c.Reason),
				map[string]any{"model_id": c.Root, "mode": string(c.Mode), "reason": c.Reason}, c.Root, c.Reason))
		}
	}
	if i, late := e.late(now); late {
		out = append(out, i)
	}
	return out
}
