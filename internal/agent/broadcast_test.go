package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// told is a cluster that notes what it is told.
type told struct {
	mu        sync.Mutex
	broken    bool
	announced []verdict.Sight
	withdrawn int
	tries     int
	renewed   []time.Time
}

func (o *told) Announce(_ context.Context, s verdict.Sight) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tries++
	if o.broken {
		return errors.New("the API does not answer")
	}
	o.announced = append(o.announced, s)
	return nil
}

func (o *told) Withdraw(string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.withdrawn++
}

func (o *told) Renew(_ context.Context, at time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.renewed = append(o.renewed, at)
	return nil
}

// all is what was announced so far.
func (o *told) all() []verdict.Sight {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.announced)
}

func (o *told) states() (out []verdict.State) {
	for _, s := range o.all() {
		out = append(out, s.State)
	}
	return out
}

// fixed is a checker of one model that comes to what it is told to.
type fixed struct {
	mu      sync.Mutex
	verdict check.Verdict
	err     error
	hangs   bool
	look    uint64
}

func (c *fixed) set(v check.Verdict, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verdict, c.err = v, err
}

func (c *fixed) looks() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look
}

func (c *fixed) Run(ctx context.Context, _ []string) (*check.Report, error) {
	c.mu.Lock()
	hangs := c.hangs
	c.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	c.look++
	r := &check.Report{CheckTime: time.Now().UTC(), Indicators: []indicator.Indicator{}, Models: []check.Model{
		{ID: "fraud", Path: "/models/fraud", Verdict: c.verdict, Root: "r-" + string(c.verdict), Look: c.look, Baseline: &check.BaselineInfo{Trusted: true, Root: "r-clean"}},
		{ID: "other", Path: "/models/other", Verdict: check.Clean, Look: c.look},
	}}
	if c.verdict != check.Clean {
		r.Indicators = append(r.Indicators, indicator.New(indicator.ModelFileTampered, "fraud", time.Now(), "another file", map[string]any{"file": "w"}, "w"))
	}
	return r, nil
}

// shelf keeps documents.
type shelf map[string][]byte

func (s shelf) Put(_ context.Context, kind, name string, doc []byte, _ time.Time) error {
	s[kind+"/"+name] = doc
	return nil
}

func (s shelf) Get(_ context.Context, kind, name string) ([]byte, time.Time, error) {
	if doc, ok := s[kind+"/"+name]; ok {
		return doc, time.Time{}, nil
	}
	return nil, time.Time{}, fault.New(fault.NotFound, "no document")
}

// broadcasting runs an agent that tells o; counts are by what and outcome.
func broadcasting(t *testing.T, o *told, c *fixed, every time.Duration) (counts func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	n := map[string]int{}
	b := NewBroadcast(o, map[string]string{"fraud": "/models/fraud"}, func(what, outcome string) {
		mu.Lock()
		defer mu.Unlock()
		n[what+" "+outcome]++
	}, slog.New(slog.DiscardHandler))
	a := &Agent{Checker: c, Memory: shelf{}, Interval: every, Log: slog.New(slog.DiscardHandler), Broadcast: b}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = a.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(n)
	}
}

func TestTellsOnChangeAndHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &told{}, &fixed{verdict: check.Clean}
		broadcasting(t, o, c, time.Minute)
		time.Sleep(time.Second)
		c.set(check.Tampered, nil)
		time.Sleep(10 * time.Minute)
		if d := cmp.Diff([]verdict.State{verdict.Trusted, verdict.Tampered}, o.states()); d != "" {
			t.Error(d)
		}
		if signs := o.all()[1].Signs; len(signs) != 1 || signs[0].Type != string(indicator.ModelFileTampered) {
			t.Errorf("signs %+v", signs)
		}
		time.Sleep(3 * time.Hour)
		if n := len(o.states()); n != 5 {
			t.Errorf("%d announcements after three more hours", n)
		}
		if last := o.all()[len(o.all())-1]; time.Since(last.At) > time.Hour+time.Minute {
			t.Errorf("the last is of a look %v ago", time.Since(last.At))
		}
	})
}

// What flaps does not flood: ever fewer reports, and the last
// one is what is there.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &told{}, &fixed{verdict: check.Clean}
		broadcasting(t, o, c, time.Second)
		for n := range 60 {
			time.Sleep(time.Second)
			c.set([]check.Verdict{check.Tampered, check.Clean}[n%2], nil)
		}
		c.set(check.Tampered, nil)
		time.Sleep(10 * time.Second)
		states := o.states()
		if len(states) > 16 || states[len(states)-1] != verdict.Tampered {
			t.Errorf("%d announcements, the last %s", len(states), states[len(states)-1])
		}
	})
}

// A cluster that is away is tried again and again, ever less often, while the
// checks go on; what is told then is what is seen then.
func TestClusterAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &told{broken: true}, &fixed{verdict: check.Clean}
		counts := broadcasting(t, o, c, 10*time.Second)
		time.Sleep(30 * time.Minute)
		if n := counts(); n["verdict announced"] != 0 || n["verdict failed"] < 25 || n["verdict failed"] > 80 {
			t.Errorf("tries: %v", n)
		}
		c.set(check.Tampered, nil)
		time.Sleep(15 * time.Second)
		if n := c.looks(); n < 180 {
			t.Errorf("only %d checks in half an hour", n)
		}
		o.mu.Lock()
		o.broken = false
		o.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if d := cmp.Diff([]verdict.State{verdict.Tampered}, o.states()); d != "" {
			t.Error(d)
		}
	})
}

// A look that failed is told as unreadable, never as what stood before.
func TestFailedCheckIsUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &told{}, &fixed{verdict: check.Clean}
		broadcasting(t, o, c, time.Minute)
		time.Sleep(time.Second)
		c.set("", errors.New("the disk is gone"))
		time.Sleep(2 * time.Minute)
		if d := cmp.Diff([]verdict.State{verdict.Trusted, verdict.Unreadable}, o.states()); d != "" {
			t.Error(d)
		}
	})
}

// An agent whose cycles do not end any more does not say that anything stands.
func TestLeaseIsWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &told{}, &fixed{verdict: check.Clean}
		counts := broadcasting(t, o, c, time.Minute)
		time.Sleep(5 * time.Minute)
		c.mu.Lock()
		c.hangs = true
		c.mu.Unlock()
		time.Sleep(time.Hour)
		o.mu.Lock()
		defer o.mu.Unlock()
		last := o.renewed[len(o.renewed)-1]
		if n := len(o.renewed); n < 20 || time.Since(last) < 50*time.Minute || counts()["lease withheld"] < 100 {
			t.Errorf("%d renewals, the last %v ago, %v", n, time.Since(last), counts())
		}
	})
}

// What the first cycle came to stands as soon as that has ended.
func TestStandsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &told{}, &fixed{verdict: check.Clean}
		broadcasting(t, o, c, time.Minute)
		time.Sleep(time.Second)
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.announced) != 1 || len(o.renewed) == 0 {
			t.Errorf("%d announcements, %d signs of life", len(o.announced), len(o.renewed))
		}
	})
}

func TestStateOf(t *testing.T) {
	vouched := &check.BaselineInfo{Trusted: true}
	tests := map[string]struct {
		m    check.Model
		want verdict.State
	}{
		"vouched_for":  {check.Model{Verdict: check.Clean, Baseline: vouched}, verdict.Trusted},
		"first_use":    {check.Model{Verdict: check.Clean, Baseline: &check.BaselineInfo{}}, verdict.Unverified},
		"taken_now":    {check.Model{Verdict: check.Unverified}, verdict.Unverified},
		"tampered":     {check.Model{Verdict: check.Tampered, Baseline: vouched}, verdict.Tampered},
		"untrusted":    {check.Model{Verdict: check.Untrusted, Baseline: vouched}, verdict.Untrusted},
		"error":        {check.Model{Verdict: check.Error, Baseline: vouched}, verdict.Unreadable},
		"another_word": {check.Model{Verdict: "splendid", Baseline: vouched}, verdict.Unreadable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := stateOf(tt.m); got != tt.want {
				t.Errorf("%s", got)
			}
		})
	}
	if s := sightOf(check.Model{ID: "m", Verdict: check.Clean, Baseline: vouched}, "/m", time.Now(), nil); s.State != verdict.Unreadable {
		t.Errorf("a model without a root digest is %s", fmt.Sprint(s.State))
	}
}
