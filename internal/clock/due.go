package clock

import "time"

// Due is when something has to be done.
type Due struct {
	// Strict is the earliest reading; alarms go by it.
	Strict time.Time `json:"strict"`
	// Statutory is the reading of Regulation 1182/71 for periods in days and
	// months: the day of the event is not counted, the period ends with the
	// last hour of its last day and does not end on a day off. Zero where it
	// does not differ from Strict by its unit.
	Statutory time.Time `json:"statutory,omitzero"`
	// Doubt says what a calendar did not know. The time shown is the earlier
	// one.
	Doubt string `json:"doubt,omitempty"`
}

// due returns when the limit ends that begins at from.
func (l Limit) due(from time.Time, c Calendar) Due {
	local := from.In(c.zone())
	switch l.Unit {
	case Days:
		d := Due{Strict: from.Add(time.Duration(l.Offset) * 24 * time.Hour)}
		return c.statutory(d, local, local.AddDate(0, 0, l.Offset))
	case Months:
		end := addMonths(local, l.Offset)
		return c.statutory(Due{Strict: end}, local, end)
	case BusinessDays:
		return c.businessDays(local, l.Offset)
	case Hours:
	}
	return Due{Strict: from.Add(time.Duration(l.Offset) * time.Hour).UTC()}
}

// statutory adds the reading of Regulation 1182/71, Article 3: the period runs
// to the end of its last day, on to the next working day when that is a day
// off (paragraph 4), and holds two working days when it is two days or longer
// (paragraph 5).
func (c Calendar) statutory(d Due, start, last time.Time) Due {
	length := days(start, last)
	for !c.business(last) || length >= 2 && c.workingDays(start, last) < 2 {
		last = last.AddDate(0, 0, 1)
	}
	y, m, day := last.Date()
	d.Statutory = time.Date(y, m, day+1, 0, 0, 0, 0, c.zone()).UTC()
	d.Strict = d.Strict.UTC()
	d.Doubt = c.doubt(start, last)
	return d
}

// days returns how many days lie between the dates of two times of one zone.
func days(from, to time.Time) int {
	date := func(t time.Time) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	}
	return int(date(to).Sub(date(from)).Hours() / 24)
}

// workingDays counts business days after start up to last, two at most.
func (c Calendar) workingDays(start, last time.Time) (n int) {
	for day := 1; day <= days(start, last) && n < 2; day++ {
		if c.business(start.AddDate(0, 0, day)) {
			n++
		}
	}
	return n
}

// businessDays returns the end of the n-th business day after the day of
// start. An event on a day off counts as one on the business day before.
func (c Calendar) businessDays(start time.Time, n int) Due {
	day := start
	for left := n; left > 0; {
		day = day.AddDate(0, 0, 1)
		if c.business(day) {
			left--
		}
	}
	if c.CutOff != "" {
		y, m, d := day.Date()
		day = time.Date(y, m, d, int(c.cutOff/time.Hour), int(c.cutOff%time.Hour/time.Minute), 0, 0, c.zone())
	}
	return Due{Strict: day.UTC(), Doubt: c.doubt(start, day)}
}

// addMonths returns the same day and time n months later, or the last day of
// that month where it is shorter.
func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, 0, 0, 0, 0, t.Location())
	last := time.Date(first.Year(), first.Month()+1, 0, 0, 0, 0, 0, t.Location()).Day()
	return time.Date(first.Year(), first.Month(), min(t.Day(), last), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
}
