package message

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/incident"
)

// Rendered is a message ready to be read by a person before it is sent.
type Rendered struct {
	Template string `json:"template"`
	Subject  string `json:"subject"`
	Audience string `json:"audience"`
	Timing   string `json:"timing"`
	Body     string `json:"body"`
	// Open lists the fields that the record does not know, sorted.
	Open []string `json:"open_fields"`
	// Fields holds every field of the template with the value it was given.
	Fields map[string]string `json:"fields"`
	// Due is when the message is to be sent.
	Due time.Time `json:"due"`
}

// Text returns the message as it goes into the record.
func (r Rendered) Text() string {
	return "Subject: " + r.Subject + "\nTo: " + r.Audience + "\nTiming: " + r.Timing + "\n\n" + r.Body
}

// Render fills the template in from the record as of now. A field takes its
// value from overrides, else from a fact of the same name, else from what the
// record knows; timeline is the incident's timeline as lines. What nobody
// knows is printed as UNKNOWN with the time by which it follows, and listed in
// Open. The only error is a template with a stray brace.
func Render(t Template, inc *incident.Incident, timeline []string, now time.Time, overrides map[string]string) (Rendered, error) {
	v := values{inc: inc, timeline: timeline, now: now.UTC(), overrides: overrides}
	follows := "UNKNOWN – will follow by " + stamp(v.follows(t.Name))
	r := Rendered{Template: t.Name, Fields: map[string]string{}, Due: v.due(t.Name)}
	unknown := map[string]bool{}
	value := func(name string) string {
		s := plain(v.get(name))
		if s == "" {
			unknown[name] = true
			s = follows
		}
		r.Fields[name] = s
		return s
	}
	for _, part := range []struct {
		from string
		to   *string
	}{{t.Subject, &r.Subject}, {t.Body, &r.Body}} {
		text, err := expand(part.from, value)
		if err != nil {
			return Rendered{}, fmt.Errorf("render template %.80q: %w", t.Name, err)
		}
		*part.to = text
	}
	r.Subject, r.Audience, r.Timing = flat(r.Subject), flat(t.Audience), flat(t.Timing)
	r.Open = slices.AppendSeq([]string{}, maps.Keys(unknown))
	slices.Sort(r.Open)
	return r, nil
}

// due returns when a message is to be sent: the alert an hour after
// detection, an update four hours after the one before, the report five
// business days after closing.
func (v values) due(template string) time.Time {
	detected := cmp.Or(v.inc.DetectedAt, v.inc.OpenedAt, v.now).UTC()
	switch template {
	case InitialAlert:
		return detected.Add(time.Hour)
	case StakeholderUpdate:
		from := detected
		for _, m := range v.inc.Messages {
			if m.Template == StakeholderUpdate {
				from = m.At
			}
		}
		return from.UTC().Add(updateEvery)
	default:
		from := v.now
		if !v.inc.ClosedAt.IsZero() {
			from = v.inc.ClosedAt.UTC()
		}
		return businessDays(from, 5)
	}
}

// follows returns by when an unknown value follows: the next due time that is
// still ahead.
func (v values) follows(template string) time.Time {
	switch template {
	case InitialAlert:
		if due := v.due(template); due.After(v.now) {
			return due
		}
		return v.now.Add(time.Hour)
	case StakeholderUpdate:
		return v.now.Add(updateEvery)
	default:
		if due := v.due(template); due.After(v.now) {
			return due
		}
		return businessDays(v.now, 5)
	}
}

// updateEvery is the guide's rhythm of stakeholder updates.
const updateEvery = 4 * time.Hour

// businessDays returns from plus n days that are neither Saturday nor Sunday.
// Holidays are not known here.
func businessDays(from time.Time, n int) time.Time {
	for n > 0 {
		from = from.AddDate(0, 0, 1)
		if d := from.Weekday(); d != time.Saturday && d != time.Sunday {
			n--
		}
	}
	return from
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// span writes a duration for people: "2 h 05 min", "3 d 04 h", "12 min".
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		day := 24 * time.Hour
		return fmt.Sprintf("%d d %02d h", d/day, d%day/time.Hour)
	}
}
