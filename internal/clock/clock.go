// Package clock derives deadlines from what an incident's record says: the
// rhythm of our own messages, and profiles of legal and contractual duties
// that are data with a source, never code.
//
// It is no legal advice and does not know whether a duty applies: a person
// states that as a fact. It keeps no timer and no state: the same record, the
// same profiles and the same moment give the same board, also after a restart.
package clock

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// Kind says what sort of duty a profile is.
type Kind string

// The kinds of profile.
const (
	Product    Kind = "product"    // our own rhythm
	Regulatory Kind = "regulatory" // law and regulation
	Contract   Kind = "contract"   // what was agreed with customers and insurers
)

// Status says whether a duty is in force as far as our sources go.
type Status string

// The states of a profile's source.
const (
	InForce   Status = "in_force"
	Unsettled Status = "unsettled" // the sources disagree; off until somebody asks
	NotLaw    Status = "not_law"   // proposed, or not published; disabled
)

// Unit is the unit of an offset.
type Unit string

// The units. Days and months follow Regulation (EEC, Euratom) No 1182/71 in
// their statutory reading.
const (
	Hours        Unit = "hours"
	Days         Unit = "days"
	BusinessDays Unit = "business_days"
	Months       Unit = "months"
)

// Profile is one source of deadlines.
type Profile struct {
	ID        string `yaml:"id" json:"id"`
	Title     string `yaml:"title" json:"title"`
	Kind      Kind   `yaml:"kind" json:"kind"`
	Authority string `yaml:"authority" json:"authority"`
	// Citation is where the duty is written.
	Citation string `yaml:"citation" json:"citation"`
	Status   Status `yaml:"status" json:"status"`
	// Note says what has to be known about the status.
	Note string `yaml:"note" json:"note,omitempty"`
	// Unchecked says that the profile comes from general knowledge and was
	// not compared with its source.
	Unchecked bool `yaml:"unchecked" json:"unchecked,omitempty"`
	// AsOf is the month of the sources, "2026-09".
	AsOf string `yaml:"as_of" json:"as_of"`
	// Applies is the question whose answer switches the profile on or off.
	Applies string `yaml:"applies" json:"applies"`
	// Confirm says with whom the answer has to be confirmed.
	Confirm string `yaml:"confirm" json:"confirm,omitempty"`
	// Calendar names the calendar for days and business days; "" is that of
	// the organisation.
	Calendar string `yaml:"calendar" json:"calendar,omitempty"`
	Clocks   []Rule `yaml:"clocks" json:"clocks"`
}

// Rule is one deadline of a profile.
type Rule struct {
	// ID is unique in its profile; the clock is PROFILE.ID.
	ID    string `yaml:"id" json:"id"`
	Title string `yaml:"title" json:"title"`
	// To is who has to be told.
	To string `yaml:"to" json:"to"`
	// Template is the message whose sending meets the deadline.
	Template string `yaml:"template" json:"template"`
	// Needs names recorded times without which the clock does not run; it is
	// proposed until one of them is stated.
	Needs []string `yaml:"needs" json:"needs,omitempty"`
	// If names a fact that has to be "yes".
	If string `yaml:"if" json:"if,omitempty"`
	// Due lists the limits; the earliest that is known counts.
	Due []Limit `yaml:"due" json:"due"`
	// Project names recorded times from which the worst case is counted as
	// long as no limit is known.
	Project []string `yaml:"project" json:"project,omitempty"`
	// Rolling starts the clock anew with every sending.
	Rolling bool `yaml:"rolling" json:"rolling,omitempty"`
	// Until names recorded times that end a rolling clock.
	Until []string `yaml:"until" json:"until,omitempty"`
	Note  string   `yaml:"note" json:"note,omitempty"`
}

// Limit is an offset from a recorded time, or from the sending of another
// message of the same profile.
type Limit struct {
	// From names recorded times; the first that is known counts.
	From []string `yaml:"from" json:"from,omitempty"`
	// After is the id of another clock of the profile, whose sending starts
	// this one: the first, or with Last the last.
	After  string `yaml:"after" json:"after,omitempty"`
	Last   bool   `yaml:"last" json:"last,omitempty"`
	Offset int    `yaml:"offset" json:"offset"`
	Unit   Unit   `yaml:"unit" json:"unit"`
}

// String returns the limit for people: "72 hours after aware_at".
func (l Limit) String() string {
	unit := strings.ReplaceAll(string(l.Unit), "_", " ")
	if l.Offset == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	from := strings.Join(l.From, " or ")
	if l.After != "" {
		from = "the sending of " + l.After
	}
	return fmt.Sprintf("%d %s after %s", l.Offset, unit, from)
}

// Set is the profiles and calendars that deadlines are derived from.
type Set struct {
	Profiles  []Profile
	Calendars map[string]Calendar
	// On lists the profiles that the configuration switches on.
	On []string
	// Org is the id of the organisation's calendar.
	Org string
}

// Profile returns the profile with the id, or a NotFound fault.
func (s Set) Profile(id string) (Profile, error) {
	i := slices.IndexFunc(s.Profiles, func(p Profile) bool { return p.ID == id })
	if i < 0 {
		return Profile{}, fault.New(fault.NotFound, "no clock profile %.80q", id).WithHint("use one of: %s", strings.Join(s.ids(), ", "))
	}
	return s.Profiles[i], nil
}

func (s Set) ids() []string {
	ids := make([]string, 0, len(s.Profiles))
	for _, p := range s.Profiles {
		ids = append(ids, p.ID)
	}
	return ids
}

// calendar returns the calendar that the profile names.
func (s Set) calendar(p Profile) Calendar {
	if p.Calendar != "" {
		return s.Calendars[p.Calendar]
	}
	return s.Calendars[s.Org]
}
