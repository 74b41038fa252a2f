package clock

import (
	"cmp"
	"fmt"
	"time"
	_ "time/tzdata" // deadlines must not depend on what a host has installed
)

// Calendar says which days are business days, and where.
type Calendar struct {
	ID     string `yaml:"id" json:"id"`
	Title  string `yaml:"title" json:"title"`
	Source string `yaml:"source" json:"source"`
	// Zone is the name of a time zone in the IANA database.
	Zone string `yaml:"zone" json:"zone"`
	// CutOff is the time of day, "17:30", at which the last of some business
	// days ends; "" is the time of day at which they began.
	CutOff string `yaml:"cut_off" json:"cut_off,omitempty"`
	// FirstYear and LastYear are the years whose holidays are listed. With
	// zeros none are.
	FirstYear int `yaml:"first_year" json:"first_year,omitempty"`
	LastYear  int `yaml:"last_year" json:"last_year,omitempty"`
	// Holidays maps days, "2026-12-25", to names. Saturdays and Sundays are
	// no business days in any calendar.
	Holidays map[string]string `yaml:"holidays" json:"holidays,omitempty"`

	location *time.Location
	cutOff   time.Duration
}

// prepare checks the calendar and makes it ready for use.
func (c *Calendar) prepare() error {
	var err error
	if c.location, err = time.LoadLocation(c.Zone); err != nil || c.Zone == "" || c.Zone == "Local" {
		return fmt.Errorf("calendar %.80q: zone %.80q is no time zone such as Europe/Berlin", c.ID, c.Zone)
	}
	if c.ID == "" {
		return fmt.Errorf("calendar: id is missing")
	}
	if c.CutOff != "" {
		at, err := time.Parse("15:04", c.CutOff)
		if err != nil {
			return fmt.Errorf("calendar %.80q: cut_off %.40q is no time such as 17:30", c.ID, c.CutOff)
		}
		c.cutOff = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	if c.FirstYear > c.LastYear || (c.FirstYear == 0) != (c.LastYear == 0) {
		return fmt.Errorf("calendar %.80q: first_year %d and last_year %d are no range", c.ID, c.FirstYear, c.LastYear)
	}
	for day := range c.Holidays {
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return fmt.Errorf("calendar %.80q: holiday %.40q is no day such as 2026-12-25", c.ID, day)
		}
		if !c.covers(t.Year()) {
			return fmt.Errorf("calendar %.80q: holiday %s lies outside the years %d to %d", c.ID, day, c.FirstYear, c.LastYear)
		}
	}
	return nil
}

func (c Calendar) covers(year int) bool { return c.FirstYear <= year && year <= c.LastYear }

// zone returns the calendar's zone, UTC for the zero calendar.
func (c Calendar) zone() *time.Location { return cmp.Or(c.location, time.UTC) }

// business reports whether the day of t, which is in the calendar's zone, is a
// business day as far as the calendar knows.
func (c Calendar) business(t time.Time) bool {
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		return false
	}
	_, holiday := c.Holidays[t.Format(time.DateOnly)]
	return !holiday
}

// doubt says what the calendar does not know about the days from one to the
// other, or "".
func (c Calendar) doubt(from, to time.Time) string {
	if c.FirstYear == 0 {
		return fmt.Sprintf("calendar %s knows weekends only: a holiday would move this", c.ID)
	}
	for year := from.Year(); year <= to.Year(); year++ {
		if !c.covers(year) {
			return fmt.Sprintf("calendar %s covers %d to %d: the holidays of %d are unknown and would move this", c.ID, c.FirstYear, c.LastYear, year)
		}
	}
	return ""
}
