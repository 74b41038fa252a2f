package clock

import (
	"fmt"
	"time"
)

// thresholds are the shares of a clock's time at which alarms are due, in
// percent.
var thresholds = []int{50, 80, 95, 100}

// alarm says how far the clock is at now.
func (c *Clock) alarm(now time.Time) {
	if c.Due == nil {
		return
	}
	for _, percent := range thresholds {
		if !now.Before(c.at(percent)) {
			c.Alarm = percent
		}
	}
	c.Overdue = now.After(c.Due.Strict)
	c.LateBy = late(c.Due, now)
}

// at returns when the share of the clock's time has passed.
func (c *Clock) at(percent int) time.Time {
	whole := c.Due.Strict.Sub(c.start)
	return c.start.Add(whole / 100 * time.Duration(percent)).Add(whole % 100 * time.Duration(percent) / 100)
}

// Alarm is one that has to be raised now.
type Alarm struct {
	Clock   string    `json:"clock"`
	Round   int       `json:"round"`
	Percent int       `json:"percent"`
	Due     time.Time `json:"due"`
	// LateBy is the time since the alarm should have been raised, because
	// nobody was awake then.
	LateBy time.Duration `json:"late_by"`
}

// Key names the clock's round among the alarms that were raised.
func (a Alarm) Key() string { return key(a.Clock, a.Round) }

func key(clock string, round int) string { return fmt.Sprintf("%s#%d", clock, round) }

// Alarms returns what has to be raised now, given the highest percentage that
// was raised for each key before. After a pause only the highest alarm of a
// clock is raised, with how late it is: never none at all.
func (b Board) Alarms(raised map[string]int) []Alarm {
	out := []Alarm{}
	for _, c := range b.Clocks {
		if c.Open() && c.Alarm > raised[key(c.ID, c.Round)] {
			out = append(out, Alarm{c.ID, c.Round, c.Alarm, c.Due.Strict, b.At.Sub(c.at(c.Alarm))})
		}
	}
	return out
}

// NextAlarm returns when the next alarm of an open clock comes due, as far as
// is known now.
func (b Board) NextAlarm() (next time.Time, ok bool) {
	for _, c := range b.Clocks {
		if !c.Open() || c.Due == nil {
			continue
		}
		for _, percent := range thresholds {
			if at := c.at(percent); at.After(b.At) && (!ok || at.Before(next)) {
				next, ok = at, true
			}
		}
	}
	return next, ok
}
