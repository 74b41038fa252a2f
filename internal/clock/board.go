package clock

import (
	"fmt"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/incident"
)

// State is how far a clock is. That it is overdue is a property beside it.
type State string

// The states of a clock.
const (
	NotApplicable State = "not_applicable"
	Proposed      State = "proposed"
	Running       State = "running"
	DraftReady    State = "draft_ready"
	Approved      State = "approved"
	Sent          State = "sent"
	Acknowledged  State = "acknowledged"
)

// Clock is one deadline as it stands.
type Clock struct {
	// ID is PROFILE.RULE.
	ID       string `json:"id"`
	Profile  string `json:"profile"`
	Title    string `json:"title"`
	Kind     Kind   `json:"kind"`
	State    State  `json:"state"`
	To       string `json:"to"`
	Template string `json:"template"`
	Citation string `json:"citation"`
	Status   Status `json:"status"`
	AsOf     string `json:"as_of"`
	Confirm  string `json:"confirm,omitempty"`
	// Rule says in words what is counted.
	Rule string `json:"rule"`
	// Trigger names the time that started the clock.
	Trigger       string    `json:"trigger,omitempty"`
	TriggeredAt   time.Time `json:"triggered_at,omitzero"`
	TriggerSource string    `json:"trigger_source,omitempty"`
	// Due is when the message has to be sent; nil as long as nothing is
	// known to count from.
	Due *Due `json:"due,omitempty"`
	// Projection says that Due is the worst case: what starts the clock is
	// not recorded yet.
	Projection bool `json:"projection"`
	// Overdue says that Due is past and nothing was sent. LateBy is by how
	// much it is, or was when it was sent.
	Overdue bool    `json:"overdue"`
	LateBy  float64 `json:"late_by_seconds,omitempty"`
	// Alarm is the last of 50, 80, 95 and 100 percent that was passed.
	Alarm int `json:"alarm_percent"`
	// Round counts the sendings of a rolling clock, from 1.
	Round  int     `json:"round"`
	Rounds []Round `json:"rounds,omitempty"`

	DraftedAt      time.Time `json:"drafted_at,omitzero"`
	ApprovedAt     time.Time `json:"approved_at,omitzero"`
	SentAt         time.Time `json:"sent_at,omitzero"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	Receipt        string    `json:"receipt,omitempty"`
	// Reason and By say why a clock does not apply, and who says so.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
	Note   string `json:"note,omitempty"`

	start time.Time
}

// Round is a sending of a rolling clock that is over.
type Round struct {
	Due    time.Time `json:"due"`
	SentAt time.Time `json:"sent_at"`
	LateBy float64   `json:"late_by_seconds,omitempty"`
}

// Open reports whether something remains to be sent.
func (c Clock) Open() bool {
	return slices.Contains([]State{Proposed, Running, DraftReady, Approved}, c.State)
}

// Question is a profile about which nobody has said whether it applies.
type Question struct {
	Profile   string `json:"profile"`
	Title     string `json:"title"`
	Authority string `json:"authority"`
	Citation  string `json:"citation"`
	Status    Status `json:"status"`
	AsOf      string `json:"as_of"`
	Note      string `json:"note,omitempty"`
	Unchecked bool   `json:"unchecked,omitempty"`
	Applies   string `json:"applies"`
	Confirm   string `json:"confirm,omitempty"`
}

// Board is every deadline of an incident at a moment.
type Board struct {
	IncidentID string    `json:"incident_id"`
	At         time.Time `json:"evaluated_at"`
	Clocks     []Clock   `json:"clocks"`
	// Questions are the profiles that wait for an answer.
	Questions []Question `json:"questions"`
	// Remarks say what in the record was not followed, and what is not sure.
	Remarks []string `json:"remarks"`
}

// Clock returns the clock with the id.
func (b Board) Clock(id string) (Clock, bool) {
	i := slices.IndexFunc(b.Clocks, func(c Clock) bool { return c.ID == id })
	if i < 0 {
		return Clock{}, false
	}
	return b.Clocks[i], true
}

// Next returns the open clock of the template with the earliest due time.
func (b Board) Next(template string) (next Clock, ok bool) {
	for _, c := range b.Clocks {
		if c.Template == template && c.Open() && c.Due != nil && (!ok || c.Due.Strict.Before(next.Due.Strict)) {
			next, ok = c, true
		}
	}
	return next, ok
}

// Evaluate derives the board of the incident at now.
func (s Set) Evaluate(inc *incident.Incident, now time.Time) Board {
	e := evaluation{
		set: s, inc: inc, now: now.UTC(), moments: moments{inc: inc, said: map[string]bool{}},
		board: Board{IncidentID: inc.ID, At: now.UTC(), Clocks: []Clock{}, Questions: []Question{}, Remarks: []string{}},
	}
	for _, p := range s.Profiles {
		e.profile(p)
	}
	for i := range e.board.Clocks {
		e.messages(i)
	}
	e.board.Remarks = append(e.board.Remarks, e.moments.remarks...)
	return e.board
}

type evaluation struct {
	set     Set
	inc     *incident.Incident
	now     time.Time
	moments moments
	board   Board
}

// answer is what is known about whether a profile applies.
type answer int

const (
	undecided answer = iota
	applies
	doesNot
)

// FactPrefix starts the name of the fact that switches a profile on or off.
const FactPrefix = "clock_"

// answer returns whether the profile applies, and for doesNot who says so and
// why. Without a reason a profile cannot be switched off.
func (e *evaluation) answer(p Profile) (a answer, reason, by string) {
	if p.Kind == Product || slices.Contains(e.set.On, p.ID) {
		a = applies
	}
	f, ok := e.inc.Facts[FactPrefix+p.ID]
	switch {
	case !ok:
	case yes(f.Value):
		a = applies
	case !no(f.Value):
		e.moments.remark(fmt.Sprintf("fact %s: %q is neither on nor off", f.Name, f.Value))
	case f.Reason == "":
		e.moments.remark(fmt.Sprintf("fact %s: switched off without a reason, which does not count", f.Name))
	default:
		return doesNot, f.Reason, f.By
	}
	return a, "", ""
}

func yes(s string) bool { return s == "on" || s == "yes" || s == "true" }
func no(s string) bool  { return s == "off" || s == "no" || s == "false" }

// CheckFact refuses a fact about a clock that would not count: an answer that
// is none, or "off" without a reason. Facts about anything else pass.
func (s Set) CheckFact(f incident.Fact) error {
	for _, p := range s.Profiles {
		if f.Name != FactPrefix+p.ID {
			continue
		}
		switch {
		case !yes(f.Value) && !no(f.Value):
			return fmt.Errorf("fact %s: %.40q is neither on nor off", f.Name, f.Value)
		case no(f.Value) && f.Reason == "":
			return fmt.Errorf("fact %s: off needs a reason", f.Name)
		}
	}
	return nil
}

func (e *evaluation) profile(p Profile) {
	a, reason, by := e.answer(p)
	before := len(e.board.Clocks)
	proposed := false
	for _, r := range p.Clocks {
		c := e.rule(p, r)
		if a == doesNot {
			c.State, c.Reason, c.By = NotApplicable, reason, by
		}
		proposed = proposed || e.moments.stated(r.Needs) || slices.ContainsFunc(r.Due, func(l Limit) bool { return e.moments.stated(l.From) })
		e.board.Clocks = append(e.board.Clocks, c)
	}
	if a != undecided {
		if p.Status != InForce && a == applies {
			e.moments.remark(fmt.Sprintf("profile %s is on, and its source is %s: %s", p.ID, p.Status, p.Note))
		}
		return
	}
	e.board.Questions = append(e.board.Questions, Question{p.ID, p.Title, p.Authority, p.Citation, p.Status, p.AsOf, p.Note, p.Unchecked, p.Applies, p.Confirm})
	if !proposed { // nothing in the record points to it
		e.board.Clocks = e.board.Clocks[:before]
		return
	}
	for i := before; i < len(e.board.Clocks); i++ {
		if c := &e.board.Clocks[i]; c.State == Running {
			c.State = Proposed
		}
	}
}
