package agent_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/outbox"
	"github.com/weightwarden/weightwarden/internal/store"
)

// box opens the real outbox.
func box(t *testing.T, dir string) *store.Outbox {
	t.Helper()
	key := evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	db, err := store.Open(t.Context(), dir, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db.Outbox()
}

// phone is a receiver of one's own: trouble says what goes wrong at a time.
type phone struct {
	mu      sync.Mutex
	trouble func(at time.Duration, a notify.Alert) (retry bool, err error)
	start   time.Time
	got     []string // titles, first time each
	keys    map[string]int
	tries   int
}

func newPhone(trouble func(time.Duration, notify.Alert) (bool, error)) *phone {
	return &phone{trouble: trouble, start: time.Now(), keys: map[string]int{}}
}

func (p *phone) Send(ctx context.Context, a notify.Alert) (bool, error) {
	p.mu.Lock()
	p.tries++
	p.mu.Unlock()
	if p.trouble != nil {
		if retry, err := p.trouble(time.Since(p.start), a); err != nil {
			if errors.Is(err, errHangs) {
				<-ctx.Done()
			}
			return retry, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[a.Key]++; p.keys[a.Key] == 1 {
		p.got = append(p.got, a.Title)
	}
	return false, nil
}

var (
	errAway  = errors.New("connection refused")
	errHangs = errors.New("hangs")
)

// hour is ten minutes where only what runs side by side is looked at.
func hour() time.Duration {
	if testing.Short() {
		return 10 * time.Minute
	}
	return time.Hour
}

func awayUntil(d time.Duration) func(time.Duration, notify.Alert) (bool, error) {
	return func(at time.Duration, _ notify.Alert) (bool, error) {
		if at < d {
			return true, errAway
		}
		return false, nil
	}
}

// put queues alerts named "group/n" as the agent does.
func put(t *testing.T, o outbox.Store, names ...string) {
	t.Helper()
	for _, name := range names {
		group, _, _ := strings.Cut(name, "/")
		payload, err := json.Marshal(notify.Alert{Key: name, Group: group, Status: notify.Firing, Severity: finding.Critical, Source: group, Title: name, Text: name})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if _, err := o.Add(t.Context(), outbox.Item{Key: name, Target: "alert_webhook", Group: group, Priority: outbox.Critical, Payload: payload, CreatedAt: now, NextAt: now}); err != nil {
			t.Fatal(err)
		}
	}
}

// deliver runs a delivery for some time.
func deliver(t *testing.T, o agent.Outbox, to agent.Receivers, long time.Duration) string {
	t.Helper()
	var log bytes.Buffer
	ctx, stop := context.WithTimeout(t.Context(), long)
	defer stop()
	agent.NewDelivery(o, to, slog.New(slog.NewTextHandler(&log, nil))).Run(ctx)
	return log.String()
}

func phones(list map[string]*phone) map[string]notify.Transport {
	out := map[string]notify.Transport{}
	for name, p := range list {
		out[name] = p
	}
	return out
}

var six = []string{"m/1", "n/1", "m/2", "m/3", "n/2", "m/4"}

// Whatever a receiver does for an hour: afterwards every alert is there once
// by its key, in order within its group, and the other receiver had it at once.
func TestTroubleForAnHour(t *testing.T) {
	hour := hour()
	for name, trouble := range map[string]func(time.Duration, notify.Alert) (bool, error){
		"away": awayUntil(hour),
		"half_open": func(at time.Duration, _ notify.Alert) (bool, error) {
			return true, map[bool]error{true: errors.New("timeout")}[at < hour]
		},
		"every_second_fails": func(at time.Duration, a notify.Alert) (bool, error) {
			return true, map[bool]error{true: errAway}[at < hour && int(at/time.Second)%2 == 0 && a.Key != ""]
		},
		"one_group_fails": func(at time.Duration, a notify.Alert) (bool, error) {
			return true, map[bool]error{true: errors.New("answered 500")}[at < hour && a.Group == "m"]
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := box(t, t.TempDir())
				put(t, o, six...)
				troubled, well := newPhone(trouble), newPhone(nil)
				to := agent.Receivers{Transports: phones(map[string]*phone{"troubled": troubled, "well": well})}
				deliver(t, o, to, time.Second)
				if len(well.got) != len(six) {
					t.Errorf("the other receiver had %v after a second", well.got)
				}
				deliver(t, o, to, 2*hour)
				wantAll(t, troubled)
				wantAll(t, well)
				if troubled.tries > 200 {
					t.Errorf("tried %d times", troubled.tries)
				}
				if n, err := o.Pending(t.Context()); n != 0 || err != nil {
					t.Errorf("%d wait, %v", n, err)
				}
			})
		})
	}
}

func wantAll(t *testing.T, p *phone) {
	t.Helper()
	groups := map[string][]string{}
	for _, title := range p.got {
		group, _, _ := strings.Cut(title, "/")
		groups[group] = append(groups[group], title)
	}
	want := map[string][]string{"m": {"m/1", "m/2", "m/3", "m/4"}, "n": {"n/1", "n/2"}}
	if d := cmp.Diff(want, groups); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A receiver that takes ten seconds for each alert holds up nobody else.
func TestSlowReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := box(t, t.TempDir())
		put(t, o, six...)
		slow := newPhone(func(time.Duration, notify.Alert) (bool, error) {
			<-time.After(10 * time.Second)
			return false, nil
		})
		well := newPhone(nil)
		deliver(t, o, agent.Receivers{Transports: phones(map[string]*phone{"slow": slow, "well": well})}, 5*time.Second)
		if len(well.got) != len(six) || len(slow.got) > 1 {
			t.Errorf("well %v, slow %v", well.got, slow.got)
		}
		deliver(t, o, agent.Receivers{Transports: phones(map[string]*phone{"slow": slow, "well": well})}, 2*time.Minute)
		wantAll(t, slow)
	})
}

// Restarts at any moment, also between the answer and its record: everything
// arrives, once by its key.
func TestRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put(t, box(t, dir), six...)
		p := newPhone(awayUntil(3 * time.Minute))
		for n := range 300 {
			deliver(t, box(t, dir), agent.Receivers{Transports: phones(map[string]*phone{"p": p})}, time.Duration(n*37%2900)*time.Millisecond)
		}
		wantAll(t, p)
	})
}

// tenMinutes is about once a minute, as jitter has it.
var tenMinutes = regexp.MustCompile(`^given up after 10m0s and 1[0-2] tries: answered 413$`)

// What its receiver refuses for good goes to the dead letters with the reason,
// the others are told once, and what comes after it is delivered.
func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := box(t, t.TempDir())
		put(t, o, six...)
		picky := newPhone(func(_ time.Duration, a notify.Alert) (bool, error) {
			if a.Group == "n" {
				return false, errors.New("answered 413")
			}
			return false, nil
		})
		well := newPhone(nil)
		to := agent.Receivers{Transports: phones(map[string]*phone{"picky": picky, "well": well}), Refused: 10 * time.Minute}
		log := deliver(t, o, to, time.Hour)
		if d := cmp.Diff([]string{"m/1", "m/2", "m/3", "m/4"}, picky.got); d != "" {
			t.Error(d)
		}
		dead, err := o.List(t.Context(), true)
		if err != nil || len(dead) != 2 || !tenMinutes.MatchString(dead[0].LastError) {
			t.Errorf("%v, dead letters %+v", err, dead)
		}
		if got := well.got[len(well.got)-1]; got != "weightwarden: an alert did not reach picky" || len(well.got) != len(six)+1 {
			t.Errorf("the other was told %q", well.got)
		}
		if strings.Count(log, "alert given up") != 2 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// An alert that cannot be delivered for as long as is configured is given up,
// and no notice about that goes to the receiver that is away.
func TestGivenUpAfterATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := box(t, t.TempDir())
		put(t, o, "m/1")
		away := newPhone(awayUntil(1000 * time.Hour))
		to := agent.Receivers{Transports: phones(map[string]*phone{"away": away}), GiveUp: 2 * hour()}
		deliver(t, o, to, 3*hour())
		s, err := o.Stats(t.Context())
		if err != nil || s.Pending != 0 || s.Dead != 1 {
			t.Errorf("%+v, %v", s, err)
		}
		dead, _ := o.List(t.Context(), true)
		if err := o.Revive(t.Context(), dead[0].ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		away.trouble = nil
		deliver(t, o, to, time.Minute)
		if !slices.Equal(away.got, []string{"m/1"}) {
			t.Errorf("after its revival: %v", away.got)
		}
	})
}

// A receiver that asks to wait is left alone for so long.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := box(t, t.TempDir())
		put(t, o, "m/1", "n/1")
		busy := newPhone(func(at time.Duration, _ notify.Alert) (bool, error) {
			if at < 10*time.Minute {
				return true, &wait{30 * time.Minute}
			}
			return false, nil
		})
		deliver(t, o, agent.Receivers{Transports: phones(map[string]*phone{"busy": busy})}, time.Hour)
		if busy.tries != 3 || len(busy.got) != 2 {
			t.Errorf("tried %d times, %v arrived", busy.tries, busy.got)
		}
	})
}

type wait struct{ d time.Duration }

func (w *wait) Error() string       { return "answered 429" }
func (w *wait) Wait() time.Duration { return w.d }

// The disk is full: what was delivered is not sent again by this process, and
// is recorded when there is room.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{ended: map[int64]string{}}
		put(t, q, six...)
		full := true
		q.crash = func(op string) bool { return full && op != "split" }
		p := newPhone(nil)
		d := agent.NewDelivery(q, agent.Receivers{Transports: phones(map[string]*phone{"p": p})}, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		time.AfterFunc(30*time.Minute, func() { q.mu.Lock(); full = false; q.mu.Unlock() })
		d.Run(ctx)
		wantAll(t, p)
		if n, _ := q.Pending(t.Context()); n != 0 || p.tries != len(six) {
			t.Errorf("%d wait, %d tries", n, p.tries)
		}
	})
}

// Of too many the least severe go, the critical stay, and it is said.
func TestTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := box(t, t.TempDir())
		away := newPhone(awayUntil(time.Hour))
		for n := range 50 {
			name := fmt.Sprintf("low%d/1", n)
			payload, _ := json.Marshal(notify.Alert{Key: name, Severity: finding.Low, Title: name})
			if _, err := o.Add(t.Context(), outbox.Item{Key: name, Target: "alert_webhook", Priority: outbox.Low, Payload: payload, CreatedAt: time.Now(), NextAt: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		put(t, o, six...)
		to := agent.Receivers{Transports: phones(map[string]*phone{"away": away}), Keep: 20}
		log := deliver(t, o, to, 2*time.Hour)
		if n := strings.Count(strings.Join(away.got, " "), "low"); n > 20 || n < 10 {
			t.Errorf("%d of the low ones arrived", n)
		}
		for _, name := range six {
			if !slices.Contains(away.got, name) {
				t.Errorf("%s is lost", name)
			}
		}
		if !strings.Contains(log, "alerts dropped") || !slices.ContainsFunc(away.got, func(s string) bool { return strings.Contains(s, "alerts were dropped") }) {
			t.Errorf("nobody was told: %v", away.got)
		}
	})
}

func TestRoutes(t *testing.T) {
	to := agent.Receivers{
		Transports: phones(map[string]*phone{"a": nil, "b": nil, "c": nil, "always": nil}), Always: []string{"always"},
		Routes: []agent.Route{
			{Receivers: []string{"a"}, MinSeverity: finding.Critical},
			{Receivers: []string{"b"}, Models: []string{"fraud-*", "x"}, Unresolved: true},
			{Receivers: []string{"c", "gone"}, CriticalModels: true},
		},
	}
	for _, tt := range []struct {
		alert notify.Alert
		want  string
	}{
		{notify.Alert{Severity: finding.Critical, Source: "y"}, "a always"},
		{notify.Alert{Severity: finding.High, Source: "fraud-1"}, "always b"},
		{notify.Alert{Severity: finding.Critical, Source: "x", Critical: true}, "a always b c"},
		{notify.Alert{Severity: finding.High, Source: "x", Status: notify.Resolved}, "always"},
		{notify.Alert{Severity: finding.High, Source: "watch"}, "always"},
	} {
		if got := strings.Join(to.For(tt.alert), " "); got != tt.want {
			t.Errorf("%+v goes to %s, want %s", tt.alert, got, tt.want)
		}
	}
}

// A receiver that is taken out of the configuration leaves its alerts to the
// others; those who have them get no second one.
func TestReceiverTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := box(t, t.TempDir())
		put(t, o, six...)
		away, old, fresh := newPhone(awayUntil(1000*time.Hour)), newPhone(nil), newPhone(nil)
		deliver(t, o, agent.Receivers{Transports: phones(map[string]*phone{"away": away, "old": old})}, time.Minute)
		deliver(t, o, agent.Receivers{Transports: phones(map[string]*phone{"old": old, "fresh": fresh})}, time.Hour)
		wantAll(t, old)
		wantAll(t, fresh)
		if old.tries != len(six) {
			t.Errorf("tried %d times", old.tries)
		}
	})
}

// New receivers take over while the delivery runs; what is being sent is sent
// to its end.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := box(t, t.TempDir())
		put(t, o, six...)
		slow := newPhone(func(time.Duration, notify.Alert) (bool, error) { <-time.After(10 * time.Second); return false, nil })
		d := agent.NewDelivery(o, agent.Receivers{Transports: phones(map[string]*phone{"p": slow})}, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		quick := newPhone(nil)
		time.AfterFunc(15*time.Second, func() { d.Set(agent.Receivers{Transports: phones(map[string]*phone{"p": quick})}) })
		d.Run(ctx)
		if got := append(slow.got, quick.got...); len(slow.got) != 2 || len(got) != len(six) {
			t.Errorf("slow %v, quick %v", slow.got, quick.got)
		}
	})
}

// The stop waits for a delivery under way, and not for ever.
func TestGrace(t *testing.T) {
	for _, tt := range []struct {
		takes, want time.Duration
		got         int
	}{{3 * time.Second, 3 * time.Second, 1}, {time.Hour, 6 * time.Second, 0}} {
		synctest.Test(t, func(t *testing.T) {
			o := box(t, t.TempDir())
			put(t, o, "m/1")
			p := newPhone(nil)
			p.trouble = func(at time.Duration, _ notify.Alert) (bool, error) {
				if tt.takes == time.Hour {
					return true, errHangs
				}
				<-time.After(tt.takes)
				return false, nil
			}
			d := agent.NewDelivery(o, agent.Receivers{Transports: phones(map[string]*phone{"p": p})}, slog.New(slog.DiscardHandler))
			d.Grace = 5 * time.Second
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			start := time.Now()
			d.Run(ctx)
			if took := time.Since(start); took != tt.want || len(p.got) != tt.got {
				t.Errorf("stopped after %v with %v", took, p.got)
			}
			if n, _ := o.Pending(t.Context()); n != 1-tt.got {
				t.Errorf("%d wait", n)
			}
		})
	}
}

// What others put into the outbox in the guide's form goes to everybody.
func TestGuidesForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := box(t, t.TempDir())
		for key, payload := range map[string]string{"k1": `{"text":"clock\nruns out","severity":"high"}`, "k2": "\x00"} {
			if _, err := o.Add(t.Context(), outbox.Item{Key: key, Target: "alert_webhook", Payload: []byte(payload), CreatedAt: time.Now(), NextAt: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		p := newPhone(nil)
		deliver(t, o, agent.Receivers{Transports: phones(map[string]*phone{"p": p})}, time.Minute)
		if !slices.Equal(p.got, []string{"clock"}) || p.keys["k1"] != 1 {
			t.Errorf("received %v %v", p.got, p.keys)
		}
		if s, _ := o.Stats(t.Context()); s.Dead != 1 {
			t.Errorf("%+v", s)
		}
	})
}
