package clock

import (
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// moment is a time that can start or end a clock, and how it is known.
type moment struct {
	at           time.Time
	name, source string
}

// derived are the times that the record knows without anybody stating them.
var derived = map[string]func(*incident.Incident) time.Time{
	"first_bad_at": func(i *incident.Incident) time.Time { at, _ := i.FirstBad(); return at },
	"detected_at":  func(i *incident.Incident) time.Time { return i.DetectedAt },
	"declared_at":  func(i *incident.Incident) time.Time { return i.OpenedAt },
	"contained_at": func(i *incident.Incident) time.Time { return i.MovedAt(action.Isolate) },
	"recovered_at": func(i *incident.Incident) time.Time { return i.MovedAt(action.Rollback) },
	"closed_at":    func(i *incident.Incident) time.Time { return i.ClosedAt },
}

// general reports whether a time says nothing about one duty in particular.
func general(name string) bool {
	_, ok := derived[name]
	return ok || name == "aware_at"
}

// moments answers for the recorded times of one incident.
type moments struct {
	inc     *incident.Incident
	remarks []string
	said    map[string]bool
}

// find returns the time of the name. The earliest statement holds until
// somebody records a later one with a reason: a clock is not turned back in
// passing.
func (m *moments) find(name string) (moment, bool) {
	var found moment
	if from, ok := derived[name]; ok {
		found = moment{from(m.inc), name, "the record"}
	}
	for _, f := range m.inc.History {
		if f.Name != name {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, f.Value)
		switch {
		case err != nil:
			m.remark(fmt.Sprintf("fact %s: %q is no time and starts nothing", name, f.Value))
		case found.at.IsZero() || at.Before(found.at) || f.Reason != "":
			found = moment{at, name, "stated by " + f.By}
		case at.After(found.at):
			m.remark(fmt.Sprintf("fact %s: the later time %s has no reason, the earlier one counts", name, at.UTC().Format(time.RFC3339)))
		}
	}
	return found, !found.at.IsZero()
}

// first returns the first time of the names that is known.
func (m *moments) first(names []string) (moment, bool) {
	for _, name := range names {
		if found, ok := m.find(name); ok {
			return found, true
		}
	}
	return moment{}, false
}

// earliest returns the earliest known time of the names.
func (m *moments) earliest(names []string) (earliest moment, ok bool) {
	for _, name := range names {
		if found, known := m.find(name); known && (!ok || found.at.Before(earliest.at)) {
			earliest, ok = found, true
		}
	}
	return earliest, ok
}

// stated reports whether somebody has stated one of the names as a fact that
// belongs to this duty in particular.
func (m *moments) stated(names []string) bool {
	for _, name := range names {
		if _, ok := m.inc.Facts[name]; ok && !general(name) {
			return true
		}
	}
	return false
}

func (m *moments) remark(text string) {
	if !m.said[text] {
		m.said[text] = true
		m.remarks = append(m.remarks, text)
	}
}
