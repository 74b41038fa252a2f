package clock

import (
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestDue(t *testing.T) {
	tests := []struct {
		name, calendar, from string
		offset               int
		unit                 Unit
		strict, statutory    string
		doubt                string
	}{
		{"hours", "eu-target", "2026-11-23T04:00:00Z", 72, Hours, "2026-11-26T04:00:00Z", "", ""},
		{"hours_over_the_end_of_summer_time", "eu-target", "2026-10-24T22:00:00Z", 24, Hours, "2026-10-25T22:00:00Z", "", ""},
		{"hours_over_new_year", "eu-target", "2026-12-31T20:00:00Z", 24, Hours, "2027-01-01T20:00:00Z", "", ""},

		{"days_end_at_local_midnight", "eu-target", "2026-11-02T10:00:00Z", 2, Days, "2026-11-04T10:00:00Z", "2026-11-04T23:00:00Z", ""},
		{"days_the_local_date_counts", "eu-target", "2026-11-02T23:30:00Z", 2, Days, "2026-11-04T23:30:00Z", "2026-11-05T23:00:00Z", ""},
		{"days_end_on_saturday", "eu-target", "2026-11-05T10:00:00Z", 2, Days, "2026-11-07T10:00:00Z", "2026-11-09T23:00:00Z", ""},
		{"two_days_hold_two_working_days", "eu-target", "2026-11-06T10:00:00Z", 3, Days, "2026-11-09T10:00:00Z", "2026-11-10T23:00:00Z", ""},
		{"one_day_needs_no_two_working_days", "eu-target", "2026-11-09T10:00:00Z", 1, Days, "2026-11-10T10:00:00Z", "2026-11-10T23:00:00Z", ""},
		{"days_end_on_good_friday", "eu-target", "2026-03-19T10:00:00Z", 15, Days, "2026-04-03T10:00:00Z", "2026-04-07T22:00:00Z", ""},
		{"days_over_a_leap_day", "eu-target", "2028-02-20T10:00:00Z", 10, Days, "2028-03-01T10:00:00Z", "2028-03-01T23:00:00Z", ""},
		{"days_over_summer_time_are_24_hours_in_the_strict_reading", "eu-target", "2026-03-23T10:00:00Z", 10, Days, "2026-04-02T10:00:00Z", "2026-04-02T22:00:00Z", ""},
		{"days_beyond_the_calendar", "eu-target", "2030-12-28T10:00:00Z", 15, Days, "2031-01-12T10:00:00Z", "2031-01-13T23:00:00Z", "holidays of 2031 are unknown"},

		{"months", "eu-target", "2026-11-09T10:00:00Z", 1, Months, "2026-12-09T10:00:00Z", "2026-12-09T23:00:00Z", ""},
		{"month_clamped", "eu-target", "2027-01-31T10:00:00Z", 1, Months, "2027-02-28T10:00:00Z", "2027-03-01T23:00:00Z", ""},
		{"month_clamped_in_a_leap_year", "eu-target", "2028-01-31T10:00:00Z", 1, Months, "2028-02-29T10:00:00Z", "2028-02-29T23:00:00Z", ""},
		{"month_over_new_year", "eu-target", "2026-12-31T10:00:00Z", 1, Months, "2027-01-31T10:00:00Z", "2027-02-01T23:00:00Z", ""},
		{"month_keeps_the_local_time_over_summer_time", "eu-target", "2026-03-10T10:00:00Z", 1, Months, "2026-04-10T09:00:00Z", "2026-04-10T22:00:00Z", ""},

		{"business_days_over_thanksgiving", "us-sec", "2026-11-23T15:00:00Z", 4, BusinessDays, "2026-11-30T22:30:00Z", "", ""},
		{"business_days_in_summer_time", "us-sec", "2026-07-01T15:00:00Z", 4, BusinessDays, "2026-07-08T21:30:00Z", "", ""},
		{"business_days_from_a_saturday", "us-sec", "2026-11-07T15:00:00Z", 4, BusinessDays, "2026-11-13T22:30:00Z", "", ""},
		{"business_days_the_local_date_counts", "us-sec", "2026-11-03T03:00:00Z", 1, BusinessDays, "2026-11-03T22:30:00Z", "", ""},
		{"business_days_beyond_the_calendar", "us-sec", "2030-12-30T15:00:00Z", 4, BusinessDays, "2031-01-03T22:30:00Z", "", "holidays of 2031 are unknown"},
		{"business_days_without_a_cut_off", "weekdays", "2026-11-05T10:00:00Z", 5, BusinessDays, "2026-11-12T10:00:00Z", "", "knows weekends only"},
	}
	set := Default()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Limit{Offset: tt.offset, Unit: tt.unit}.due(at(t, tt.from), set.Calendars[tt.calendar])
			if want := at(t, tt.strict); !got.Strict.Equal(want) {
				t.Errorf("strict %s, want %s", got.Strict, want)
			}
			if tt.statutory == "" != got.Statutory.IsZero() || tt.statutory != "" && !got.Statutory.Equal(at(t, tt.statutory)) {
				t.Errorf("statutory %s, want %s", got.Statutory, tt.statutory)
			}
			if tt.doubt == "" != (got.Doubt == "") || !strings.Contains(got.Doubt, tt.doubt) {
				t.Errorf("doubt %q, want %q", got.Doubt, tt.doubt)
			}
		})
	}
}

// TestBuiltInCalendars compares the data with the rules that the days follow.
func TestBuiltInCalendars(t *testing.T) {
	set := Default()
	for id, rule := range map[string]func(time.Time) bool{"us-sec": federal, "eu-target": target} {
		c := set.Calendars[id]
		end := time.Date(c.LastYear+1, 1, 1, 0, 0, 0, 0, time.UTC)
		for day := time.Date(c.FirstYear, 1, 1, 0, 0, 0, 0, time.UTC); day.Before(end); day = day.AddDate(0, 0, 1) {
			name, listed := c.Holidays[day.Format(time.DateOnly)]
			if want := rule(day); listed != want {
				t.Errorf("%s: %s listed as %q: %v, by the rule: %v", id, day.Format(time.DateOnly), name, listed, want)
			}
		}
	}
}

// federal follows 5 U.S.C. 6103: what falls on a Saturday is observed on the
// Friday before, what falls on a Sunday on the Monday after.
func federal(day time.Time) bool {
	for _, d := range []struct{ days, shift int }{{1, -1}, {-1, 1}} {
		near := day.AddDate(0, 0, d.days)
		weekend := d.days == 1 && near.Weekday() == time.Saturday || d.days == -1 && near.Weekday() == time.Sunday
		if weekend && fixed(near) {
			return true
		}
	}
	if wd := day.Weekday(); fixed(day) && wd != time.Saturday && wd != time.Sunday {
		return true
	}
	nth := (day.Day() + 6) / 7
	last := day.AddDate(0, 0, 7).Month() != day.Month()
	switch day.Weekday() {
	case time.Monday:
		m := day.Month()
		return m == time.January && nth == 3 || m == time.February && nth == 3 || m == time.May && last ||
			m == time.September && nth == 1 || m == time.October && nth == 2
	case time.Thursday:
		return day.Month() == time.November && nth == 4
	default:
		return false
	}
}

func fixed(day time.Time) bool {
	switch day.Format("01-02") {
	case "01-01", "06-19", "07-04", "11-11", "12-25":
		return true
	}
	return false
}

func target(day time.Time) bool {
	switch day.Format("01-02") {
	case "01-01", "05-01", "12-25", "12-26":
		return true
	}
	easter := map[int]string{2026: "04-05", 2027: "03-28", 2028: "04-16", 2029: "04-01", 2030: "04-21"}[day.Year()]
	return day.AddDate(0, 0, 2).Format("01-02") == easter || day.AddDate(0, 0, -1).Format("01-02") == easter
}
