package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// logbook is an outbox that remembers every key, as all of them do.
type logbook struct {
	keys  map[string]bool
	got   []notify.Alert
	at    []time.Duration
	start time.Time
	full  bool
}

func (b *logbook) Add(_ context.Context, item outbox.Item) (bool, error) {
	if b.full {
		return false, errors.New("no space")
	}
	if b.keys[item.Key] {
		return false, nil
	}
	b.keys[item.Key] = true
	var a notify.Alert
	if err := json.Unmarshal(item.Payload, &a); err != nil || item.Target != "alert_webhook" {
		return false, err
	}
	b.got, b.at = append(b.got, a), append(b.at, time.Since(b.start))
	return true, nil
}

// desk is one incident that is detected at the start and watched in spells.
type desk struct {
	inc *incident.Incident
	box *logbook
}

func newDesk() *desk {
	now := time.Now()
	return &desk{
		inc: &incident.Incident{
			ID: "INC-20261123-AAAAAAAA", State: incident.Open, DetectedAt: now, OpenedAt: now, Models: []string{"m"},
			Severity: finding.Critical, Facts: map[string]incident.StatedFact{},
		},
		box: &logbook{keys: map[string]bool{}, start: now},
	}
}

// watch runs a watcher of its own for a while.
func (d *desk) watch(t *testing.T, spell time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), spell)
	defer cancel()
	c := agent.Clocks{
		Boards: func(_ context.Context, now time.Time) ([]clock.Board, error) {
			return []clock.Board{clock.Default().Evaluate(d.inc, now)}, nil
		},
		Outbox: d.box, Log: slog.New(slog.DiscardHandler),
	}
	c.Run(ctx)
}

// of returns the alarms of a clock with when they were raised.
func (d *desk) of(clock string) (out []string) {
	for n, a := range d.box.got {
		if strings.Contains(a.Text, clock+" ") {
			first, _, _ := strings.Cut(strings.TrimPrefix(a.Text, "weightwarden: INC-20261123-AAAAAAAA: "), ",")
			out = append(out, d.box.at[n].String()+" "+a.Severity.String()+" "+first)
		}
	}
	return out
}

// initial is the clock of the alert that is due within an hour of detection.
const initial = "product.initial_alert"

func expectAlarms(t *testing.T, d *desk, want ...string) {
	t.Helper()
	got := d.of(initial)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("alarms:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var each = []string{
	"30m0s medium 50 % of the time for product.initial_alert has passed",
	"48m0s high 80 % of the time for product.initial_alert has passed",
	"57m0s critical 95 % of the time for product.initial_alert has passed",
	"1h0m0s critical product.initial_alert is OVERDUE",
}

// Each alarm is raised at its moment, once.
func TestClockAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.watch(t, 3*time.Hour)
		expectAlarms(t, d, each...)
		if strings.Contains(d.box.got[0].Text, "late") {
			t.Errorf("punctual, and it says %q", d.box.got[0].Text)
		}
	})
}

// A watcher that is started again every few minutes, and two at once, raise
// what one does.
func TestClockAlarmsOfManyWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		for range 45 {
			d.watch(t, 2*time.Minute)
			d.watch(t, 2*time.Minute)
		}
		expectAlarms(t, d, each...)
	})
}

// What came due while nobody watched is raised as soon as somebody does, the
// highest only, and says how late it is.
func TestClockAlarmsAfterDowntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.watch(t, 31*time.Minute)
		time.Sleep(24 * time.Minute) // nobody
		d.watch(t, time.Minute)
		expectAlarms(t, d, each[0], "55m0s high 80 % of the time for product.initial_alert has passed")
		if text := d.box.got[len(d.box.got)-1].Text; !strings.Contains(text, "7m0s late") {
			t.Errorf("seven minutes late, and it says %q", text)
		}
		time.Sleep(72 * time.Hour)
		d.watch(t, time.Minute)
		got := d.of(initial)
		if len(got) != 3 || !strings.HasSuffix(got[2], "product.initial_alert is OVERDUE") {
			t.Errorf("after three days: %v", got)
		}
	})
}

// An outbox that takes nothing now takes it later.
func TestClockAlarmsWhenTheOutboxIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.box.full = true
		d.watch(t, 50*time.Minute)
		expectAlarms(t, d)
		d.box.full = false
		d.watch(t, time.Minute)
		expectAlarms(t, d, "50m0s high 80 % of the time for product.initial_alert has passed")
	})
}

// A deadline that is met raises nothing more.
func TestClockAlarmsEndWithTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		c, ok := clock.Default().Evaluate(d.inc, time.Now()).Clock(initial)
		if !ok {
			t.Fatalf("there is no clock %s", initial)
		}
		d.watch(t, 35*time.Minute)
		m := incident.Message{Template: c.Template, Number: 1, Text: "x"}
		d.inc.Messages = []incident.RenderedMessage{{Message: m, At: time.Now()}}
		d.inc.Sent = []incident.SentMessage{{MessageSent: incident.MessageSent{MessageRef: d.inc.Messages[0].Ref(), Recipients: []string{"all"}}, At: time.Now()}}
		d.watch(t, 3*time.Hour)
		expectAlarms(t, d, each[0])
	})
}

// Without an outbox an alarm is logged once.
func TestClockAlarmsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		var log strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		c := agent.Clocks{
			Boards: func(_ context.Context, now time.Time) ([]clock.Board, error) {
				return []clock.Board{clock.Default().Evaluate(d.inc, now)}, errors.New("one record cannot be read")
			},
			Log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		c.Run(ctx)
		if n := strings.Count(log.String(), "clock="+initial); n != 4 {
			t.Errorf("logged %d times: %s", n, log.String())
		}
	})
}
