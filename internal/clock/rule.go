package clock

import (
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/incident"
)

// rule evaluates one rule as if its profile applied.
func (e *evaluation) rule(p Profile, r Rule) Clock {
	c := Clock{
		ID: p.ID + "." + r.ID, Profile: p.ID, Title: r.Title, Kind: p.Kind, State: Running, To: r.To, Template: r.Template,
		Citation: p.Citation, Status: p.Status, AsOf: p.AsOf, Confirm: p.Confirm, Rule: words(r.Due), Note: r.Note, Round: 1,
	}
	e.condition(r, &c)
	e.start(p, r, &c)
	if _, met := e.moments.earliest(r.Needs); len(r.Needs) > 0 && !met {
		c.propose()
	}
	return c
}

func words(limits []Limit) string {
	texts := make([]string, 0, len(limits))
	for _, l := range limits {
		texts = append(texts, l.String())
	}
	return strings.Join(texts, "; at most ")
}

// propose says that it is not known whether, or from when, the clock runs.
func (c *Clock) propose() {
	if c.State == Running {
		c.State = Proposed
	}
	c.Projection = c.Due != nil
}

// condition applies the fact on which the rule depends.
func (e *evaluation) condition(r Rule, c *Clock) {
	if r.If == "" {
		return
	}
	f, ok := e.inc.Facts[r.If]
	switch {
	case ok && yes(f.Value):
	case ok && no(f.Value):
		c.State, c.Reason, c.By = NotApplicable, r.If+" is "+f.Value+because(f.Reason), f.By
	default:
		c.State = Proposed
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// start finds what the clock counts from: the earliest of its limits, else the
// worst case.
func (e *evaluation) start(p Profile, r Rule, c *Clock) {
	for _, l := range r.Due {
		from, ok := e.moments.first(l.From)
		if l.After != "" {
			from, ok = e.sending(p.ID+"."+l.After, l.Last)
		}
		if ok {
			c.count(from, l.due(from.at, e.set.calendar(p)))
		}
	}
	if c.Due != nil {
		return
	}
	for _, l := range r.Due {
		if l.After != "" {
			e.project(p, l, c)
		} else if from, ok := e.moments.earliest(r.Project); ok {
			c.count(from, l.due(from.at, e.set.calendar(p)))
		}
	}
	c.propose()
}

// count takes a due time when it is the earliest so far.
func (c *Clock) count(from moment, due Due) {
	if c.Due == nil || due.Strict.Before(c.Due.Strict) {
		c.Due, c.Trigger, c.TriggeredAt, c.TriggerSource, c.start = &due, from.name, from.at.UTC(), from.source, from.at
	}
}

// sending returns the first or the last sending of another clock.
func (e *evaluation) sending(id string, last bool) (moment, bool) {
	parent, ok := e.board.Clock(id)
	if !ok {
		return moment{}, false
	}
	sent := e.sent(parent)
	if len(sent) == 0 {
		return moment{}, false
	}
	which := 0
	if last {
		which = len(sent) - 1
	}
	return moment{sent[which].At, "sending of " + id, "the record"}, true
}

// project counts from the due time of the clock that has to be sent before.
func (e *evaluation) project(p Profile, l Limit, c *Clock) {
	parent, ok := e.board.Clock(p.ID + "." + l.After)
	if ok && parent.Due != nil {
		from := moment{parent.Due.Strict, "due time of " + parent.ID, "worst case: it is not sent yet"}
		c.count(from, l.due(from.at, e.set.calendar(p)))
	}
}

// sent returns the sendings that answer the clock, oldest first. Where several
// clocks that may apply wait for one template, a sending has to name its own.
func (e *evaluation) sent(c Clock) []incident.SentMessage {
	var out []incident.SentMessage
	for _, m := range e.inc.Sent {
		if e.answers(m.MessageRef, c) {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b incident.SentMessage) int { return a.At.Compare(b.At) })
	return out
}

func (e *evaluation) answers(m incident.MessageRef, c Clock) bool {
	switch {
	case m.Template != c.Template:
		return false
	case len(m.Clocks) > 0:
		return slices.Contains(m.Clocks, c.ID)
	case len(e.waiting(c.Template)) > 1:
		e.moments.remark("message " + m.Template + " does not say which clock it answers: " + strings.Join(e.waiting(c.Template), ", "))
		return false
	default:
		return true
	}
}

// waiting returns the ids of the clocks that wait for a template in profiles
// that apply.
func (e *evaluation) waiting(template string) (ids []string) {
	for _, p := range e.set.Profiles {
		if a, _, _ := e.answer(p); a != applies {
			continue
		}
		for _, r := range p.Clocks {
			f := e.inc.Facts[r.If]
			if r.Template == template && (r.If == "" || yes(f.Value)) {
				ids = append(ids, p.ID+"."+r.ID)
			}
		}
	}
	return ids
}

// messages moves a clock on by what became of its messages, and says how late
// it is.
func (e *evaluation) messages(i int) {
	c := &e.board.Clocks[i]
	sent := e.sent(*c)
	var since time.Time
	if r := e.ruleOf(*c); r.Rolling {
		since = e.roll(r, c, sent)
		sent = nil
	}
	if len(sent) > 0 {
		c.SentAt, c.Receipt = sent[0].At.UTC(), sent[0].Receipt
		c.LateBy = late(c.Due, c.SentAt)
		if c.State != NotApplicable {
			c.State = Sent
		}
		for _, a := range e.inc.Acknowledged {
			if e.answers(a.MessageRef, *c) && c.State == Sent {
				c.State, c.AcknowledgedAt = Acknowledged, a.At.UTC()
			}
		}
	}
	if c.Open() {
		e.draft(c, since)
		c.alarm(e.now)
	}
}

func (e *evaluation) ruleOf(c Clock) Rule {
	p, _ := e.set.Profile(c.Profile)
	for _, r := range p.Clocks {
		if p.ID+"."+r.ID == c.ID {
			return r
		}
	}
	return Rule{}
}

// draft looks for what is written and approved since the last sending.
func (e *evaluation) draft(c *Clock, since time.Time) {
	for _, m := range e.inc.Messages {
		if m.Template == c.Template && m.At.After(since) {
			c.DraftedAt = m.At.UTC()
			c.State = DraftReady
			c.ApprovedAt = time.Time{} // a newer text is not the approved one
			for _, a := range e.inc.Approved {
				if a.SHA256 == m.SHA256 && a.Number == m.Number && e.answers(a.MessageRef, *c) {
					c.State, c.ApprovedAt = Approved, a.At.UTC()
				}
			}
		}
	}
}

// roll walks through the sendings of a rolling clock, each of which starts it
// anew, and returns the time of the last. A clock ends when what ends it comes
// before the time at which the next message is due.
func (e *evaluation) roll(r Rule, c *Clock, sent []incident.SentMessage) (since time.Time) {
	end, ended := e.moments.earliest(r.Until)
	limit := r.Due[0]
	p, _ := e.set.Profile(c.Profile)
	for _, m := range sent {
		if c.Due == nil {
			break
		}
		c.Rounds = append(c.Rounds, Round{c.Due.Strict, m.At.UTC(), late(c.Due, m.At)})
		c.Round++
		since = m.At
		c.Due = nil
		c.count(moment{m.At, "sending of " + c.ID, "the record"}, limit.due(m.At, e.set.calendar(p)))
	}
	if c.Due != nil && ended && (!end.at.After(c.Due.Strict) || !end.at.After(since)) && c.State != NotApplicable {
		c.State, c.Reason, c.By = NotApplicable, end.name+" is "+end.at.UTC().Format(time.RFC3339)+": no further one is due", end.source
	}
	return since
}

// late returns by how many seconds t is behind the due time.
func late(due *Due, t time.Time) float64 {
	if due == nil || !t.After(due.Strict) {
		return 0
	}
	return t.Sub(due.Strict).Seconds()
}
