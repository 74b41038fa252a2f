package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// Clocks raises the alarms of the deadlines of all incidents that are open, at
// 50, 80, 95 and 100 percent of their time. An alarm that came due while nobody
// watched is raised late and says so. None is raised twice: its key says which
// deadline and which share of it, and the outbox takes each key once for ever,
// so that neither a restart nor a second watcher repeats one.
type Clocks struct {
	// Boards returns the deadlines of every open incident at now. What could
	// be read is returned beside an error about the rest.
	Boards func(ctx context.Context, now time.Time) ([]clock.Board, error)
	// Outbox takes the alarms; nil means only into the log.
	Outbox interface {
		Add(ctx context.Context, item outbox.Item) (added bool, err error)
	}
	// Host is this host's name in alarms.
	Host string
	Log  *slog.Logger

	logged map[string]bool // what was raised where there is no outbox
}

// often is how long an incident that was opened, or a message that was sent
// meanwhile, may go unnoticed.
const often = time.Minute

// punctual is how late an alarm may be without a word about it.
const punctual = 2 * often

// Run raises alarms until ctx ends.
func (c *Clocks) Run(ctx context.Context) {
	c.logged = map[string]bool{}
	for {
		next := c.look(ctx, time.Now())
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// look raises what is due and returns how long to wait.
func (c *Clocks) look(ctx context.Context, now time.Time) time.Duration {
	boards, err := c.Boards(ctx, now)
	if err != nil && ctx.Err() == nil {
		c.Log.Error("deadlines not read", "error", err)
	}
	wait := often
	for _, b := range boards {
		for _, alarm := range b.Alarms(nil) {
			if err := c.raise(ctx, b, alarm, now); err != nil && ctx.Err() == nil {
				c.Log.Error("alarm of a deadline not kept", "incident", b.IncidentID, "clock", alarm.Clock, "error", err)
			}
		}
		if at, ok := b.NextAlarm(); ok {
			wait = min(wait, max(at.Sub(now), time.Millisecond))
		}
	}
	return wait
}

// raise puts one alarm into the outbox, unless it is known there.
func (c *Clocks) raise(ctx context.Context, b clock.Board, a clock.Alarm, now time.Time) error {
	// The due time belongs to the key: a fact that was corrected makes another
	// deadline of the same clock.
	key := fmt.Sprintf("clock/%s/%s/%s/%d", b.IncidentID, a.Key(), a.Due.UTC().Format(time.RFC3339), a.Percent)
	alert := alarmAlert(b, a, c.Host)
	alert.Key = key
	fresh := !c.logged[key]
	if c.Outbox != nil {
		payload, err := json.Marshal(alert)
		if err != nil {
			return err
		}
		fresh, err = c.Outbox.Add(ctx, outbox.Item{
			Key: key, Target: channel, Group: alert.Group, Priority: priority(alert.Severity, alert.Critical),
			Payload: payload, CreatedAt: now, NextAt: now,
		})
		if err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	c.logged[key] = true
	c.Log.Warn("deadline", "incident", b.IncidentID, "clock", a.Clock, "percent", a.Percent, "due", a.Due, "late_by", a.LateBy.Round(time.Second).String())
	return nil
}

// alarmAlert says what has to be done by when. Alarms of one deadline follow
// each other; those of another do not wait for them.
func alarmAlert(b clock.Board, a clock.Alarm, host string) notify.Alert {
	title := fmt.Sprintf("weightwarden: %s: %d %% of the time for %s has passed", b.IncidentID, a.Percent, a.Clock)
	if a.Percent >= 100 {
		title = fmt.Sprintf("weightwarden: %s: %s is OVERDUE", b.IncidentID, a.Clock)
	}
	text := title + ", due " + a.Due.UTC().Format(time.RFC3339)
	if c, ok := b.Clock(a.Clock); ok {
		text += fmt.Sprintf("\n%s: %s\nnext: weightwarden incident message %s %s", artifact.Quote(c.To), c.Title, b.IncidentID, c.Template)
	}
	if a.LateBy > punctual {
		text += fmt.Sprintf("\nThis alarm comes %s late: nobody was watching when it was due.", a.LateBy.Round(time.Second))
	}
	severity := finding.Medium
	switch {
	case a.Percent >= 95:
		severity = finding.Critical
	case a.Percent >= 80:
		severity = finding.High
	}
	return notify.Alert{
		Group: "clock/" + b.IncidentID + "/" + a.Clock, Status: notify.Message, Severity: severity, Source: b.IncidentID,
		Title: title, Text: text, At: b.At, Host: host,
	}
}
