package respond_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// moody is an executor whose steps fail and come undone as they are told.
type moody struct {
	done map[string]bool
	// failures are what the next executions of a step fail with.
	failures map[string][]error
	// slow is how long after its execution a step's post-condition holds.
	slow map[string]time.Duration
	// undoes is how often somebody else takes a step back, and how long after
	// it was done.
	undoes map[string]int
	after  time.Duration
	// blind are errors of the next observations.
	blind []error
	took  []string
	since map[string]time.Time
	above map[string]action.Step
	hangs string
}

func newMoody() *moody {
	return &moody{
		done: map[string]bool{}, failures: map[string][]error{}, slow: map[string]time.Duration{},
		undoes: map[string]int{}, since: map[string]time.Time{}, above: map[string]action.Step{},
	}
}

func (m *moody) Execute(ctx context.Context, s action.Step) error {
	m.took = append(m.took, s.ID)
	if m.hangs == s.ID {
		<-ctx.Done()
		return ctx.Err()
	}
	if f := m.failures[s.ID]; len(f) > 0 {
		m.failures[s.ID] = f[1:]
		return f[0]
	}
	m.done[s.ID], m.since[s.ID] = true, time.Now()
	return nil
}

func (m *moody) Observe(_ context.Context, s action.Step) (action.Observation, error) {
	if len(m.blind) > 0 {
		err := m.blind[0]
		m.blind = m.blind[1:]
		return action.Observation{}, err
	}
	age := time.Since(m.since[s.ID])
	if m.done[s.ID] && m.undoes[s.ID] > 0 && m.after > 0 && age >= m.after {
		m.undoes[s.ID]--
		m.done[s.ID] = false
	}
	if m.done[s.ID] && age >= m.slow[s.ID] {
		return action.Observation{Outcome: action.Done, Detail: "it is there", At: time.Now()}, nil
	}
	return action.Observation{Outcome: action.NotDone, Detail: "it is not there", At: time.Now()}, nil
}

func (m *moody) Escalate(_ context.Context, s action.Step) (action.Step, error) {
	up, ok := m.above[s.ID]
	if !ok {
		return up, fault.New(fault.NotFound, "nobody is above")
	}
	return up, nil
}

// moodily applies a plan over a moody executor, in a bubble with a clock of
// its own.
func moodily(t *testing.T, test func(t *testing.T, b *bench, m *moody)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b, m := newBench(t), newMoody()
		b.Responder = b.responder(b.Ledger) // with another clock
		b.Executors["fake"], b.Now = m, time.Now
		test(t, b, m)
	})
}

func passing() error { return fmt.Errorf("the server restarts: %w", action.ErrMayPass) }

func timed(p action.Plan, seconds int) action.Plan {
	for n := range p.Steps {
		p.Steps[n].Timeout = seconds
	}
	return p
}

func TestTriesAgainWhatMayPass(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, m *moody) {
		m.failures["a"] = []error{passing(), passing()}
		start := time.Now()
		if err := b.Apply(t.Context(), plan(action.Isolate, "a")); err != nil {
			t.Fatal(err)
		}
		// 200 ms and 400 ms, without jitter.
		if took := time.Since(start); took != 600*time.Millisecond || len(m.took) != 3 {
			t.Errorf("%d attempts in %v", len(m.took), took)
		}
		want := slices.Concat(approved, []string{
			incident.KindIntent, incident.KindExecuted, incident.KindIntent, incident.KindExecuted,
		}, taken)
		if got := b.kinds(2); !slices.Equal(got, want) {
			t.Errorf("record %v", got)
		}
	})
}

func TestGivesUp(t *testing.T) {
	for name, tt := range map[string]struct {
		failures []error
		attempts int
	}{
		"what_may_pass_and_does_not":  {slices.Repeat([]error{passing()}, 9), 5},
		"what_will_not_pass":          {[]error{errors.New("no such thing")}, 1},
		"a_time_out_is_tried_again":   {slices.Repeat([]error{context.DeadlineExceeded}, 9), 5},
		"and_what_does_not_pass_then": {[]error{passing(), errors.New("no such thing")}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			moodily(t, func(t *testing.T, b *bench, m *moody) {
				m.failures["a"] = tt.failures
				err := b.Apply(t.Context(), plan(action.Isolate, "a"))
				if fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" || len(m.took) != tt.attempts {
					t.Errorf("%d attempts, %v", len(m.took), err)
				}
			})
		})
	}
}

func TestDelaysAreSpread(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, m *moody) {
		m.failures["a"] = slices.Repeat([]error{passing()}, 4)
		b.Tries.Jitter = func() float64 { return 0 }
		start := time.Now()
		if err := b.Apply(t.Context(), plan(action.Isolate, "a")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 1500*time.Millisecond { // half of 0.2+0.4+0.8+1.6 s
			t.Errorf("took %v", took)
		}
	})
}

func TestLooksAgainWhereLookingMayFail(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, m *moody) {
		m.blind = []error{passing(), passing()}
		if err := b.Apply(t.Context(), plan(action.Isolate, "a")); err != nil {
			t.Error(err)
		}
	})
}

func TestTimeout(t *testing.T) {
	settle := time.Duration(0)
	for name, tt := range map[string]struct {
		slow time.Duration
		hang string
		want string
		took time.Duration
	}{
		"in_time":  {slow: 3 * time.Second, took: 3 * time.Second},
		"too_late": {slow: time.Minute, want: "not within 5 s: it is not there", took: 5 * time.Second},
		"hangs":    {hang: "a", want: "deadline exceeded", took: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			moodily(t, func(t *testing.T, b *bench, m *moody) {
				b.Tries.Settle = &settle
				m.slow["a"], m.hangs = tt.slow, tt.hang
				start := time.Now()
				err := b.Apply(t.Context(), timed(plan(action.Isolate, "a"), 5))
				if (err != nil) != (tt.want != "") || err != nil && (!strings.Contains(err.Error(), tt.want) || fault.KindOf(err) != fault.Incomplete) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Half of a plan is told as half of a plan.
func TestPartial(t *testing.T) {
	b := newBench(t)
	b.world.breaks["b"] = false
	err := b.Apply(t.Context(), plan(action.Isolate, "a", "b", "c"))
	if fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "the plan is done in part: a done, b, c not") || fault.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
	if got := b.status(); !slices.Equal(got, []string{"a done", "b failed", "c planned"}) || b.load().State != incident.Open {
		t.Errorf("steps %v, state %s", got, b.load().State)
	}
}

func TestSettles(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, _ *moody) {
		if err := b.Apply(t.Context(), timed(plan(action.Isolate, "a", "b"), 5)); err != nil {
			t.Fatal(err)
		}
		p := b.load().Plans[0]
		if p.SettledAt.IsZero() || p.SettledAt.Sub(p.EndedAt) < 10*time.Second {
			t.Errorf("ended %v, settled %v", p.EndedAt, p.SettledAt)
		}
	})
}

// What somebody else takes back is put on record, done again, and watched anew.
func TestTakenBack(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, m *moody) {
		m.undoes["a"], m.after = 2, 4*time.Second
		if err := b.Apply(t.Context(), timed(plan(action.Isolate, "a", "b"), 5)); err != nil {
			t.Fatal(err)
		}
		inc := b.load()
		if len(inc.Reverts) != 2 || inc.Reverts[1].Times != 2 || inc.State != incident.Contained || !inc.Plans[0].Finished() {
			t.Errorf("taken back %+v, state %s", inc.Reverts, inc.State)
		}
		if len(inc.Indicators) != 2 || inc.Indicators[0].Type != "containment_reverted" || inc.Indicators[0].ID != inc.Indicators[1].ID {
			t.Errorf("indicators %+v", inc.Indicators)
		}
		if !slices.Equal(m.took, []string{"a", "b", "a", "a"}) {
			t.Errorf("executed %v", m.took)
		}
	})
}

func TestTakenBackAgainAndAgain(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, m *moody) {
		m.undoes["a"], m.after = 99, time.Second
		err := b.Apply(t.Context(), timed(plan(action.Isolate, "a"), 5))
		if fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "was taken back 4 times by somebody else, and does not hold") {
			t.Errorf("got %v", err)
		}
		if inc := b.load(); inc.State != incident.Open || len(m.took) != 4 {
			t.Errorf("state %s, executed %v", inc.State, m.took)
		}
	})
}

// Where the driver knows who is above, the same is done there.
func TestEscalates(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, m *moody) {
		m.undoes["a"], m.after = 99, time.Second
		m.above["a"] = action.Step{
			ID: "a-parent", Driver: "fake", Summary: "do a at the parent", Timeout: 5, Inverse: &action.Step{ID: "undo-a-parent", Driver: "fake"},
		}
		if err := b.Apply(t.Context(), timed(plan(action.Isolate, "a"), 5)); err != nil {
			t.Fatal(err)
		}
		inc := b.load()
		if inc.State != incident.Contained || len(inc.Plans) != 2 || inc.Plans[1].Observed["escalates"] != incident.StepRef(inc.Plans[0].Hash, "a") {
			t.Errorf("state %s, plans %+v", inc.State, inc.Plans)
		}
		if inc.Plans[1].SettledAt.IsZero() || m.took[len(m.took)-1] != "a-parent" {
			t.Errorf("executed %v", m.took)
		}
	})
}

// What is not allowed one owner further up is not done, and said.
func TestEscalationPassesTheGates(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, m *moody) {
		m.undoes["a"], m.after = 99, time.Second
		m.above["a"] = action.Step{ID: "a-parent", Driver: "fake", Detaches: true, Inverse: &action.Step{}}
		err := b.Apply(t.Context(), timed(plan(action.Isolate, "a"), 5))
		if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "one owner further up was not allowed") || slices.Contains(m.took, "a-parent") {
			t.Errorf("got %v, executed %v", err, m.took)
		}
	})
}

func TestSettlingFindsSomebodyElsesWork(t *testing.T) {
	b := newBench(t)
	short := 200 * time.Millisecond
	b.Tries.Settle, b.Now = &short, time.Now
	b.Journal = func(point string) {
		if point == "observed a" {
			b.world.diverged = "a"
		}
	}
	err := b.Apply(t.Context(), plan(action.Isolate, "a"))
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate G9") || len(b.world.took) != 1 || len(b.load().Reverts) != 1 {
		t.Errorf("got %v, executed %v", err, b.world.took)
	}
}

// G3: a step that detaches is taken only while a guard is seen to hold.
func TestGuardHolds(t *testing.T) {
	guarded := func(steps ...string) action.Plan {
		p := plan(action.Isolate, steps...)
		for n := range p.Steps {
			p.Steps[n].Guards, p.Steps[n].Detaches = p.Steps[n].ID == "guard", p.Steps[n].ID == "detach"
		}
		return p
	}
	settle := time.Duration(0)
	tests := []struct {
		name    string
		plan    action.Plan
		world   func(b *bench)
		refused bool
	}{
		{"guarded", guarded("guard", "detach"), func(*bench) {}, false},
		{"no_guard", guarded("a", "detach"), func(*bench) {}, true},
		{"guard_comes_too_late", guarded("detach", "guard"), func(*bench) {}, true},
		{"guard_fell", guarded("guard", "a", "detach"), func(b *bench) {
			b.Journal = func(point string) {
				if point == "observed a" {
					b.world.done["guard"] = false
				}
			}
		}, true},
		{"guard_of_an_earlier_plan", guarded("detach"), func(b *bench) {
			if err := b.Apply(b.t.Context(), guarded("guard")); err != nil {
				b.t.Fatal(err)
			}
		}, false},
		{"guard_of_an_earlier_plan_fell", guarded("detach"), func(b *bench) {
			if err := b.Apply(b.t.Context(), guarded("guard")); err != nil {
				b.t.Fatal(err)
			}
			b.world.done["guard"] = false
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.Tries.Settle = &settle
			tt.world(b)
			err := b.Apply(t.Context(), tt.plan)
			if !tt.refused {
				if err != nil || !b.world.done["detach"] {
					t.Errorf("got %v", err)
				}
				return
			}
			if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate G3") || b.world.done["detach"] || fault.HintOf(err) == "" {
				t.Errorf("got %v, hint %q", err, fault.HintOf(err))
			}
			if r := b.load().Refusals; len(r) != 1 || r[0].Gate != "G3" {
				t.Errorf("refusals %+v", r)
			}
		})
	}
}

// Two responders with leases: of two at once one waits or is refused, and who
// slept through the lease finds its entries refused.
func TestLeases(t *testing.T) {
	moodily(t, func(t *testing.T, b *bench, m *moody) {
		b.Leases, b.Holder = leasesOf(b), "one"
		settle := time.Duration(0)
		b.Tries.Settle = &settle
		m.slow["a"] = 3 * time.Second
		second := b.responder(b.Ledger)
		second.Executors, second.Now, second.Leases, second.Holder = b.Executors, time.Now, b.Leases, "two"
		p := timed(plan(action.Isolate, "a"), 10)
		refused := make(chan error, 2)
		b.Journal = func(point string) {
			if point == "executed a" {
				go func() {
					refused <- second.Apply(t.Context(), plan(action.Rollback, "b"))
					second.Wait = time.Minute
					refused <- second.Apply(t.Context(), plan(action.Rollback, "b"))
				}()
			}
		}
		if err := b.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; fault.KindOf(err) != fault.Conflict {
			t.Errorf("without waiting: %v", err)
		}
		if err := <-refused; err != nil || !slices.Equal(m.took, []string{"a", "b"}) {
			t.Errorf("waiting: %v, executed %v", err, m.took)
		}
		if intents := fences(b); len(intents) != 2 || intents[0] == 0 || intents[1] <= intents[0] {
			t.Errorf("numbers of the leases in the intents: %v", intents)
		}
	})
}

func TestSleptThroughTheLease(t *testing.T) {
	b := newBench(t)
	b.Leases, b.Holder = leasesOf(b), "one"
	second := b.responder(b.Ledger)
	second.Leases, second.Holder = b.Leases, "two"
	second.Lock = func(string) (func() error, error) { return nil, fault.New(fault.Conflict, "it lives") }
	b.Journal = func(point string) {
		if point != "intended a" {
			return
		}
		// It is stopped here, for longer than its lease lasts.
		b.clock = b.clock.Add(time.Hour)
		if err := second.Apply(t.Context(), of("m", plan(action.Undo, "b"))); err != nil {
			t.Errorf("who takes over: %v", err)
		}
	}
	err := b.Apply(t.Context(), plan(action.Isolate, "a", "c"))
	if fault.KindOf(err) != fault.Conflict || slices.Contains(b.world.took, "c") {
		t.Errorf("who slept: %v, executed %v", err, b.world.took)
	}
}

// Whoever has the lock and not the lease is about to take it, or has just given
// it back: nobody else takes it from under the lock, of the same name or not.
func TestLockWithoutLease(t *testing.T) {
	for _, holder := range []string{"one", "two"} {
		t.Run(holder, func(t *testing.T) {
			b := newBench(t)
			second := b.responder(b.Ledger)
			second.Leases, second.Holder = leasesOf(b), holder
			second.Lock = func(string) (func() error, error) { return nil, fault.New(fault.Conflict, "it lives") }
			if err := second.Apply(t.Context(), plan(action.Isolate, "a")); fault.KindOf(err) != fault.Conflict || len(b.world.took) > 0 {
				t.Errorf("got %v, executed %v", err, b.world.took)
			}
			b.Leases, b.Holder = leasesOf(b), "one"
			b.Journal = func(point string) {
				if point == "executed a" {
					if err := second.Apply(t.Context(), plan(action.Rollback, "b")); fault.KindOf(err) != fault.Conflict {
						t.Errorf("beside one that acts: %v", err)
					}
				}
			}
			if err := b.Apply(t.Context(), plan(action.Isolate, "a")); err != nil || !slices.Equal(b.world.took, []string{"a"}) {
				t.Errorf("who has both: %v, executed %v", err, b.world.took)
			}
		})
	}
}

func TestClockThatIsSet(t *testing.T) {
	b := newBench(t)
	b.Journal = func(point string) {
		if point == "executed a" {
			b.clock = b.clock.Add(-time.Hour)
		}
	}
	b.Clock = func() string { return "synchronised, 3 ms" }
	if err := b.Apply(t.Context(), plan(action.Isolate, "a")); err != nil {
		t.Fatal(err)
	}
	inc := b.load()
	if len(inc.ClockJumps) != 1 || inc.ClockJumps[0].Jump > -3500 || inc.ClockJumps[0].Since == "" || inc.State != incident.Contained {
		t.Errorf("jumps %+v, state %s", inc.ClockJumps, inc.State)
	}
}
