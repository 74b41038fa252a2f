package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/watch"
)

// host is a world that can be touched: what is bad in it, and who listens.
type host struct {
	mu    sync.Mutex
	bad   map[string]string // by file of model m: what is in it
	tell  func(watch.Event)
	looks []string
	count uint64
	slow  time.Duration
	// writers are files that somebody has open.
	writers []string
	large   map[string]time.Time // when each was last read
	passes  []string
	start   time.Time
	fail    error
}

func newHost() *host {
	return &host{bad: map[string]string{}, large: map[string]time.Time{}, start: time.Now()}
}

func (h *host) report() *check.Report {
	r := &check.Report{CheckTime: time.Now(), Indicators: []indicator.Indicator{}}
	h.count++
	r.Models = []check.Model{{ID: "m", Verdict: check.Clean, Look: h.count, Baseline: &check.BaselineInfo{}}}
	for file, content := range h.bad {
		r.Models[0].Verdict = check.Tampered
		r.Indicators = append(r.Indicators, indicator.New(indicator.ModelFileTampered, "m", r.CheckTime, content, map[string]any{"file": file}, file, content))
	}
	slices.SortFunc(r.Indicators, indicator.Compare)
	return r
}

func (h *host) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(h.slow):
		return nil
	}
}

// Run looks at everything at once, and says so when slow has passed.
func (h *host) Run(ctx context.Context, _ []string) (*check.Report, error) {
	h.mu.Lock()
	r := h.report()
	h.mu.Unlock()
	return r, h.wait(ctx)
}

func (h *host) Look(_ context.Context, model string, paths []string) (*check.Report, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looks = append(h.looks, fmt.Sprintf("%v %s %s", time.Since(h.start).Round(time.Millisecond), model, strings.Join(paths, ",")))
	if h.fail != nil {
		return nil, h.fail
	}
	return h.report(), nil
}

func (h *host) Read(_ context.Context, _, path string, rate int64) (*check.Report, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.large[path] = time.Now()
	h.passes = append(h.passes, fmt.Sprintf("%v %s %d", time.Since(h.start).Round(time.Minute), path, rate))
	return h.report(), nil
}

const largeSize = 10 << 30

func (h *host) Stalest() (s check.Stalest, v check.Volume, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path, at := range h.large {
		v.Large += largeSize
		if !ok || at.Before(s.Read) || at.Equal(s.Read) && path < s.Path {
			s, ok = check.Stalest{Model: "m", Path: path, Size: largeSize, Read: at}, true
		}
	}
	return s, v, ok
}

func (h *host) Unsettled(string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.writers)
}

// watcher is what the host tells through.
type watcher struct {
	host     *host
	degraded bool
	ends     error
}

func (w *watcher) Run(ctx context.Context, tell func(watch.Event)) error {
	if w.ends != nil {
		return w.ends
	}
	w.host.mu.Lock()
	w.host.tell = tell
	w.host.mu.Unlock()
	<-ctx.Done()
	return nil
}

func (w *watcher) Coverage() []watch.Coverage {
	return []watch.Coverage{{Root: "m", Mode: watch.Polling, Degraded: w.degraded, Reason: "no more watches"}}
}

func (w *watcher) Who(_, path string) (watch.Process, bool) {
	return watch.Process{PID: 7, Executable: "/bin/evil"}, path == "known"
}

// touch changes a file and tells of it.
func (h *host) touch(file, content string, kind watch.Kind) {
	h.mu.Lock()
	if content == "" {
		delete(h.bad, file)
	} else {
		h.bad[file] = content
	}
	tell := h.tell
	h.mu.Unlock()
	tell(watch.Event{Root: "m", Path: file, Kind: kind})
}

// told is a change in a few words.
func inWords(c agent.Change) (out []string) {
	for _, part := range []struct {
		word string
		list []indicator.Indicator
	}{{"new", c.New}, {"updated", c.Updated}, {"resolved", c.Resolved}} {
		for _, i := range part.list {
			out = append(out, fmt.Sprintf("%s %s %s", part.word, i.File(), i.Description))
		}
	}
	return out
}

// guardPost is an agent at a host.
type guardPost struct {
	*host
	notes   notes
	log     bytes.Buffer
	passAge time.Duration
	watcher watcher
	changes []string
	declare agent.Declarer
}

func newPost() *guardPost {
	p := &guardPost{host: newHost(), notes: notes{docs: map[string][]byte{}}}
	p.watcher.host = p.host
	return p
}

// run runs the agent while do acts upon the host.
func (p *guardPost) run(t *testing.T, do func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	eyes := &agent.Eyes{Watcher: &p.watcher, Looker: p.host, PassAge: p.passAge}
	a := &agent.Agent{
		Checker: p.host, Memory: &p.notes, Interval: time.Hour, Log: slog.New(slog.NewTextHandler(&p.log, nil)), Eyes: eyes, Declare: p.declare,
		Changed: func(c agent.Change) { p.changes = append(p.changes, inWords(c)...) },
	}
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	synctest.Wait()
	do()
	synctest.Wait()
	stop()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestLooksAtWhatIsTouched(t *testing.T) {
	tests := []struct {
		name    string
		do      func(*guardPost)
		looks   []string
		changes []string
	}{
		{"closed_after_writing", func(p *guardPost) { p.touch("w", "evil", watch.Written) }, []string{"3ms m w"}, []string{"new w evil"}},
		{"not_closed_yet", func(p *guardPost) { p.touch("w", "evil", watch.Changed) }, []string{"50ms m w"}, []string{"new w evil"}},
		{"closed_soon", func(p *guardPost) {
			p.touch("w", "evil", watch.Changed)
			time.Sleep(10 * time.Millisecond)
			p.touch("w", "evil", watch.Written)
		}, []string{"13ms m w"}, []string{"new w evil"}},
		{"together", func(p *guardPost) {
			p.touch("w", "evil", watch.Written)
			p.touch("v", "evil", watch.Named)
		}, []string{"3ms m v,w"}, []string{"new v evil", "new w evil"}},
		{"and_back_at_once", func(p *guardPost) {
			p.touch("w", "mode", watch.Attributes)
			time.Sleep(10 * time.Millisecond)
			p.touch("w", "", watch.Attributes)
		}, []string{"50ms m w"}, nil},
		{"again_otherwise_and_back", func(p *guardPost) {
			p.touch("w", "evil", watch.Written)
			time.Sleep(time.Second)
			p.touch("w", "worse", watch.Written)
			time.Sleep(time.Second)
			p.touch("w", "", watch.Written)
		}, []string{"3ms m w", "1.003s m w", "2.003s m w"}, []string{"new w evil", "updated w worse", "resolved w worse"}},
		{"lost", func(p *guardPost) { p.touch("w", "evil", watch.Lost) }, []string{"3ms m "}, []string{"new w evil"}},
		{"found_by_both", func(p *guardPost) {
			p.touch("w", "evil", watch.Written)
			time.Sleep(2 * time.Hour)
		}, []string{"3ms m w"}, []string{"new w evil"}},
		{"writer_stays", func(p *guardPost) {
			p.writers = []string{"w"}
			p.touch("w", "writer", watch.Changed)
			time.Sleep(8 * time.Second)
			p.mu.Lock()
			p.writers, p.bad["w"] = nil, "evil"
			p.mu.Unlock()
		}, []string{"50ms m w", "1.05s m w", "3.05s m w", "7.05s m w", "15.05s m w"}, []string{"new w writer", "updated w evil"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPost()
				p.run(t, func() {
					tt.do(p)
					time.Sleep(10 * time.Second)
				})
				if diff := cmp.Diff(tt.looks, p.looks); diff != "" {
					t.Errorf("looks (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.changes, p.changes); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A cycle that began before somebody touched a file ends after it was looked
// at: what the cycle saw is older.
func TestLateCycleResolvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.slow = time.Minute
		p.run(t, func() {
			time.Sleep(time.Second)
			p.touch("w", "evil", watch.Written)
			time.Sleep(30 * time.Minute)
		})
		if diff := cmp.Diff([]string{"new w evil"}, p.changes); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	})
}

// A look that fails is not silence, and is tried again.
func TestFailedLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.run(t, func() {
			p.fail = errors.New("no disk")
			p.touch("w", "evil", watch.Written)
			time.Sleep(5 * time.Second)
			p.mu.Lock()
			p.fail = nil
			p.mu.Unlock()
			time.Sleep(5 * time.Second)
		})
		want := []string{"new  the check could not be carried out: no disk", "new w evil", "resolved  the check could not be carried out: no disk"}
		if diff := cmp.Diff(want, p.changes); diff != "" || len(p.looks) != 4 {
			t.Errorf("%d looks, changes (-want +got):\n%s", len(p.looks), diff)
		}
	})
}

// What is not watched as it should be is said, and so is who did something.
func TestShortcomings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.watcher.degraded = true
		p.run(t, func() { p.touch("known", "evil", watch.Written); time.Sleep(time.Second) })
		if len(p.changes) != 2 || !strings.Contains(p.changes[0], "no more watches") {
			t.Errorf("changes: %q", p.changes)
		}
		q := newPost()
		q.watcher.ends = errors.New("descriptor closed")
		q.run(t, func() { time.Sleep(2 * time.Hour) })
		if len(q.changes) != 1 || !strings.Contains(q.changes[0], "descriptor closed") {
			t.Errorf("changes: %q", q.changes)
		}
	})
}

// Every large file is read again before it is older than was promised, and no
// faster than it has to be.
func TestPatrol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		for _, path := range []string{"a", "b", "c"} {
			p.large[path] = time.Now()
		}
		p.passAge = 10 * time.Hour
		worst := time.Duration(0)
		p.run(t, func() {
			for range 50 * 60 {
				time.Sleep(time.Minute)
				s, _, _ := p.Stalest()
				worst = max(worst, time.Since(s.Read))
			}
		})
		if worst > p.passAge || len(p.passes) < 3*4 || len(p.passes) > 3*8 || len(p.changes) > 0 {
			t.Errorf("the stalest was %v old, passes %q, changes %q", worst, p.passes, p.changes)
		}
		if !strings.HasSuffix(p.passes[0], " 16777216") {
			t.Errorf("read at another rate: %s", p.passes[0])
		}
	})
}

// declarer notes what it is told.
type declarer struct {
	calls []string
	fails int
}

func (d *declarer) Declare(_ context.Context, model string, signs []indicator.Indicator) (string, bool, error) {
	if d.fails--; d.fails >= 0 {
		return "", false, errors.New("disk full")
	}
	for _, s := range signs {
		d.calls = append(d.calls, model+" "+s.File())
	}
	return "INC-1", len(d.calls) == len(signs), nil
}

func (d *declarer) Least() finding.Severity { return finding.High }

// Each sign belongs to an incident once, over restarts too, and a failure is
// made up for.
func TestDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		d := &declarer{fails: 1}
		p.declare = d
		act := func() {
			p.touch("w", "evil", watch.Written)
			time.Sleep(2 * time.Hour)
			p.touch("v", "evil", watch.Written)
			time.Sleep(2 * time.Hour)
			p.touch("w", "worse", watch.Written)
			time.Sleep(time.Second)
		}
		p.run(t, act)
		p.run(t, func() { time.Sleep(2 * time.Hour) })
		if diff := cmp.Diff([]string{"m w", "m v"}, d.calls); diff != "" {
			t.Errorf("declared (-want +got):\n%s", diff)
		}
	})
}
