package agent

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// Announcer makes known elsewhere what the agent sees. Errors are faults; with
// any of them it is tried again later.
type Announcer interface {
	// Announce is nil only when what it wrote was read back. What was seen is
	// withdrawn until then.
	Announce(ctx context.Context, s verdict.Sight) error
	// Withdraw notes that the last verdict on a model does not stand any more.
	Withdraw(model string)
	// Renew says that the agent is alive, and which verdicts stand.
	Renew(ctx context.Context, at time.Time) error
}

// Bounds of how often something is announced.
const (
	// AnnounceEvery is after how long a verdict is announced again that stayed.
	AnnounceEvery = time.Hour
	// shortestGap is the least time between two reports on one model, for who
	// changes a file changes it twice; it doubles with each up to longestGap
	// while they follow each other within a minute.
	shortestGap = 250 * time.Millisecond
	longestGap  = 8 * time.Second
	// announceWait bounds one try, announceRest the time between two.
	announceWait = 30 * time.Second
	announceRest = time.Minute
)

// Broadcast keeps others told what the agent sees of some models. It
// never holds up what it tells about.
type Broadcast struct {
	To Announcer
	// Models are told about, with where each is looked for.
	Models map[string]string
	// Count is told what became of each try: "announced" or "failed" for a
	// verdict, "renewed", "withheld" or "failed" for the sign of life.
	Count func(what, outcome string)
	Log   *slog.Logger

	mu      sync.Mutex
	notices map[string]*notice
	wake    chan struct{}
	said    chan struct{} // something was told, or could not be
	cycled  chan struct{} // a cycle ended
}

// notice is what there is to tell about one model.
type notice struct {
	now    *verdict.Sight // what is seen
	trying *verdict.Sight // what is being told, nil for nothing
	told   *verdict.Sight // what was told last
	due    time.Time
	last   time.Time // when something was told
	hasty  int       // how often in a row that was soon after the time before
	fails  int
}

// NewBroadcast returns one that has told nothing.
func NewBroadcast(to Announcer, models map[string]string, count func(what, outcome string), log *slog.Logger) *Broadcast {
	return &Broadcast{To: to, Models: models, Count: count, Log: log, notices: map[string]*notice{}, wake: make(chan struct{}, 1), said: make(chan struct{}, 1), cycled: make(chan struct{}, 1)}
}

// see takes in what a look came to, with what is there by then.
func (b *Broadcast) see(r *check.Report, l look, active map[string]sign) {
	for _, m := range r.Models {
		if path, ours := b.Models[m.ID]; ours && !l.stale[m.ID] {
			b.note(sightOf(m, cmp.Or(m.Path, path), r.CheckTime, active))
		}
	}
	for _, i := range r.Indicators {
		if i.Type != indicator.CheckFailed {
			continue
		}
		for id, path := range b.Models { // a look that failed has no models
			looked := slices.ContainsFunc(r.Models, func(m check.Model) bool { return m.ID == id })
			if !looked && (i.Source == id || i.Source == source && l.whole) {
				b.note(verdict.Sight{Model: id, State: verdict.Unreadable, Path: path, At: r.CheckTime, Signs: []verdict.Sign{
					{Type: string(i.Type), Severity: i.Severity, Unseen: true, Count: 1, Text: i.Description},
				}})
			}
		}
	}
}

// sightOf is what is to be told about a model.
func sightOf(m check.Model, path string, at time.Time, active map[string]sign) verdict.Sight {
	s := verdict.Sight{Model: m.ID, State: stateOf(m), Root: m.Root, Path: path, At: at}
	if m.Baseline != nil {
		s.Baseline = m.Baseline.Root
	}
	if s.Root == "" && (s.State == verdict.Trusted || s.State == verdict.Unverified) {
		s.State = verdict.Unreadable
	}
	byType := map[indicator.Type]*verdict.Sign{}
	for _, id := range slices.Sorted(maps.Keys(active)) {
		a := active[id]
		if a.Source != m.ID || behaviour(a.Type) {
			continue
		}
		t := byType[a.Type]
		if t == nil {
			info := indicator.InfoOf(a.Type)
			t = &verdict.Sign{Type: string(a.Type), Severity: info.Severity, Unseen: info.Class == indicator.Incomplete, Text: a.Description}
			byType[a.Type] = t
		}
		t.Count++
		t.Severity = max(t.Severity, a.Severity)
	}
	for _, t := range slices.Sorted(maps.Keys(byType)) {
		s.Signs = append(s.Signs, *byType[t])
	}
	return s
}

// stateOf is the state that a verdict of a check stands for. Whatever is not
// understood is unreadable.
func stateOf(m check.Model) verdict.State {
	switch m.Verdict {
	case check.Clean:
		if m.Baseline != nil && m.Baseline.Trusted {
			return verdict.Trusted
		}
		return verdict.Unverified
	case check.Unverified:
		return verdict.Unverified
	case check.Tampered:
		return verdict.Tampered
	case check.Untrusted:
		return verdict.Untrusted
	case check.Error:
	}
	return verdict.Unreadable
}

// same reports whether two sights tell the same, but for when.
func same(a, b *verdict.Sight) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.At, y.At = time.Time{}, time.Time{}
	return reflect.DeepEqual(x, y)
}

func (b *Broadcast) note(s verdict.Sight) {
	b.mu.Lock()
	n := b.notices[s.Model]
	if n == nil {
		n = &notice{}
		b.notices[s.Model] = n
	}
	n.now = &s
	changed := !same(n.now, n.told)
	if changed {
		if n.fails == 0 { // else it is tried again at its time
			n.due = n.last.Add(n.gap())
		}
		b.To.Withdraw(s.Model)
	}
	b.mu.Unlock()
	if changed {
		kick(b.wake)
	}
}

func kick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// gap is the least time until the next report.
func (n *notice) gap() time.Duration { return min(shortestGap<<min(n.hasty, 10), longestGap) }

// pause is how long to wait after failures in a row, with jitter.
func pause(fails int) time.Duration {
	wait := min(time.Second<<min(fails, 6), announceRest)
	return wait/2 + rand.N(wait/2) //nolint:gosec // keeps agents apart
}

// next returns a sight that is due, or how long to wait for one.
func (b *Broadcast) next(now time.Time) (*verdict.Sight, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := time.Hour
	for _, id := range slices.Sorted(maps.Keys(b.notices)) {
		n := b.notices[id]
		if left := n.due.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if n.trying == nil || !same(n.trying, n.now) {
			n.trying = n.now
		}
		return n.trying, 0
	}
	return nil, wait
}

// done notes what became of a try.
func (b *Broadcast) done(s *verdict.Sight, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, now := b.notices[s.Model], time.Now()
	if err != nil {
		n.fails++
		n.due = now.Add(pause(n.fails))
		return
	}
	if n.hasty++; now.Sub(n.last) > announceRest {
		n.hasty = 0
	}
	n.told, n.trying, n.last, n.fails = s, nil, now, 0
	n.due = now.Add(AnnounceEvery)
	if !same(n.now, n.told) {
		n.due = now.Add(n.gap())
		b.To.Withdraw(s.Model)
	}
}

// run announces what is due, one after the other, until ctx ends.
func (b *Broadcast) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-timer.C:
		}
		for {
			s, wait := b.next(time.Now())
			if s == nil {
				timer.Reset(wait)
				break
			}
			b.tell(ctx, s)
			if ctx.Err() != nil {
				return
			}
		}
	}
}

func (b *Broadcast) tell(ctx context.Context, s *verdict.Sight) {
	one, stop := context.WithTimeout(ctx, announceWait)
	defer stop()
	err := b.To.Announce(one, *s)
	if ctx.Err() != nil {
		return
	}
	b.done(s, err)
	kick(b.said)
	if err != nil {
		b.Count("verdict", "failed")
		b.Log.Warn("verdict not announced in the cluster", "model", s.Model, "error", err)
		return
	}
	b.Count("verdict", "announced")
	b.Log.Info("verdict announced in the cluster", "model", s.Model, "state", string(s.State))
}

// renew says at an interval that the agent is alive and what stands, for as
// long as its cycles take place.
func (a *Agent) renew(ctx context.Context) {
	b := a.Broadcast
	tick := time.NewTicker(BeatEvery)
	defer tick.Stop()
	for {
		outcome := a.renewOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		b.Count("lease", outcome)
		cycled := b.cycled
		if outcome != withheld {
			cycled = nil // a cycle that ends makes a difference only then
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.said:
		case <-cycled:
		}
	}
}

// withheld is what became of a sign of life that would not be true.
const withheld = "withheld"

// renewOnce gives one sign of life, and says what became of it. None is given
// while a cycle is overdue: nothing can be said to stand then.
func (a *Agent) renewOnce(ctx context.Context) (outcome string) {
	now := time.Now()
	if !a.onTime(now) {
		return withheld
	}
	one, stop := context.WithTimeout(ctx, announceWait)
	defer stop()
	if err := a.Broadcast.To.Renew(one, now); err != nil {
		if ctx.Err() == nil {
			a.Broadcast.Log.Warn("sign of life not given in the cluster", "error", err)
		}
		return "failed"
	}
	return "renewed"
}

// onTime reports whether a cycle took place, and lately.
func (a *Agent) onTime(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := Heartbeat{At: now, Interval: int64(a.Interval.Seconds()), LastCycle: a.state.lastCycle, TookMS: a.state.took.Milliseconds()}
	return !h.LastCycle.IsZero() && h.Silence(now) == ""
}
