package report

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/clock"
)

// deadlines writes what was due when, and what became of it.
func (p *printer) deadlines(c Case) {
	if rows := c.deadlineRows(); rows != nil {
		p.section("Deadlines", "None.", deadlineHeader(), rows)
	}
	if rows := c.sentRows(); rows != nil {
		p.section("Messages sent", "None.", sentHeader(), rows)
	}
}

func deadlineHeader() []string {
	return []string{"Clock", "What", "State", "Due (UTC)", "Sent (UTC)", "Late by", "Source", "Reason"}
}

func sentHeader() []string {
	return []string{"Time (UTC)", "Template", "Number", "SHA-256", "To", "Channel", "Receipt", "Recorded by"}
}

func deadlineRow(d clock.Clock) []string {
	due, late := "not known", ""
	if d.Due != nil {
		due = stamp(d.Due.Strict)
	}
	if d.Projection {
		due += " (worst case)"
	}
	if d.LateBy > 0 {
		late = fmt.Sprintf("%.0f s", d.LateBy)
	}
	return []string{d.ID, d.Title, string(d.State), due, stamp(d.SentAt), late, d.Citation, d.Reason}
}

// clauses writes the frameworks' view of the case.
func (p *printer) clauses(c Case) {
	if rows := c.clauseRows(); rows != nil {
		p.section("Clauses", "None.", []string{"Framework", "Id", "Name", "State", "Follows from"}, rows)
	}
}
