package message

import (
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
	Due time.Time `json:"due,omitzero"`
	// External says that people outside the organisation read it.
	External bool `json:"external"`
}

// Text returns the message as it goes into the record.
func (r Rendered) Text() string {
	return "Subject: " + r.Subject + "\nTo: " + r.Audience + "\nTiming: " + r.Timing + "\n\n" + r.Body
}

// Input is what a message is made from beside the incident.
type Input struct {
	// Now is the time of rendering.
	Now time.Time
	// Timeline is the incident's timeline as lines.
	Timeline []string
	// Overrides are values for fields, before all others.
	Overrides map[string]string
	// Due is when the message is to be sent; zero when nothing says so.
	Due time.Time
	// Deadlines are the incident's deadlines as lines.
	Deadlines []string
}

// Render fills the template in from the record. A field takes its value from
// the overrides, else from a fact of the same name, else from what the record
// knows. What nobody knows is printed as UNKNOWN with the time by which it
// follows, and listed in Open. The only error is a template with a stray
// brace.
func Render(t Template, inc *incident.Incident, in Input) (Rendered, error) {
	v := values{inc: inc, Input: in}
	v.Now = in.Now.UTC()
	follows := "UNKNOWN – will follow by " + stamp(v.follows(t.Name))
	r := Rendered{Template: t.Name, Fields: map[string]string{}, Due: in.Due.UTC(), External: t.External}
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

// follows returns by when an unknown value follows: when the message is due
// where that is still ahead, else with the next update.
func (v values) follows(template string) time.Time {
	if template != StakeholderUpdate && v.Due.After(v.Now) {
		return v.Due
	}
	return v.Now.Add(updateEvery)
}

// updateEvery is the guide's rhythm of stakeholder updates.
const updateEvery = 4 * time.Hour

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
