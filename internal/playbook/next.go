package playbook

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Status is where a step stands.
type Status string

// The ways in which a step can stand.
const (
	Done    Status = "done"
	Allowed Status = "allowed"
	Waiting Status = "waiting"
	Over    Status = "over"    // the incident is closed
	Refused Status = "refused" // a gate stands before it
)

// SecondPerson is the gate that asks for somebody's approval. It does not keep
// a step from being the next: asking is how it begins.
const SecondPerson = "G6"

// Refusal is what a gate would say to a step now.
type Refusal struct{ Gate, Reason, Hint string }

// Blocked holds what gates would say now, by kind of step.
type Blocked map[Kind][]Refusal

// Standing is a step and where it stands.
type Standing struct {
	Step
	Status Status `json:"status"`
	// WaitsFor lists the ids of the steps that have to come before.
	WaitsFor []string `json:"waits_for"`
	// Because says in a sentence why the step is done, allowed or not.
	Because string `json:"because"`
	// Hindered says that people may do an allowed step, while a gate would
	// refuse the program's part of it.
	Hindered bool `json:"hindered,omitempty"`
}

// FactPrefix starts the name of the fact by which people say that a step is
// done.
const FactPrefix = "step_"

// Next returns the ids of the steps that the record allows now, in their
// order: not seen to be done, and with nothing to wait for that the record
// shows to be open.
func (p Playbook) Next(inc *incident.Incident, b Blocked) []string {
	next := []string{}
	for _, s := range p.Board(inc, b) {
		if s.Status == Allowed {
			next = append(next, s.ID)
		}
	}
	return next
}

// Board says of every step where it stands, and what gates would refuse now.
func (p Playbook) Board(inc *incident.Incident, b Blocked) []Standing {
	return b.stop(p.Standings(inc))
}

// Standings says of every step where it stands. Steps that only people do
// (freezing, cutting traffic) leave no trace of their own in the record; they
// are taken as done when a step behind them is, or when a fact says so.
func (p Playbook) Standings(inc *incident.Incident) []Standing {
	done := map[string]string{}
	byKind := doneBy(inc)
	for _, s := range p.Steps {
		f, stated := inc.Facts[FactPrefix+s.ID]
		switch {
		case stated && slices.Contains([]string{"done", "yes", "true"}, f.Value):
			done[s.ID] = "stated by " + f.By
		case byKind[s.Kind] != "":
			done[s.ID] = byKind[s.Kind]
		}
	}
	out := make([]Standing, 0, len(p.Steps))
	for _, s := range p.Steps {
		out = append(out, p.standing(inc, s, done))
	}
	return out
}

func (p Playbook) standing(inc *incident.Incident, s Step, done map[string]string) Standing {
	out := Standing{Step: s, Status: Allowed, WaitsFor: []string{}, Because: s.Reason}
	for _, id := range p.waits(s) {
		if done[id] == "" {
			out.WaitsFor = append(out.WaitsFor, id)
		}
	}
	switch {
	case done[s.ID] != "":
		out.Status, out.WaitsFor, out.Because = Done, []string{}, done[s.ID]
	case inc.State == incident.Done:
		out.Status, out.Because = Over, "the incident is closed"
	case len(out.WaitsFor) > 0:
		out.Status, out.Because = Waiting, p.because(s, out.WaitsFor)
	}
	return out
}

// stop takes from what is allowed the steps that gates would refuse.
func (b Blocked) stop(list []Standing) []Standing {
	for n := range list {
		s := &list[n]
		for _, r := range b[s.Kind] {
			switch {
			case s.Status != Allowed && s.Status != Refused:
			case r.Gate == SecondPerson:
				s.Because += "; gate " + r.Gate + ": " + r.Reason
			default:
				text := "gate " + r.Gate + ": " + r.Reason + "; " + r.Hint
				if s.Status == Refused {
					text = s.Because + "; " + text
				}
				s.Status, s.Because = Refused, text
			}
		}
		b.hinder(s)
	}
	return list
}

// hinder tells of an allowed step whose command is that of a step which a gate
// would refuse, as the deny-list is filled by an isolation.
func (b Blocked) hinder(s *Standing) {
	for kind, command := range map[Kind]string{Quarantine: "weightwarden incident isolate ", Restore: "weightwarden incident rollback "} {
		runs := slices.ContainsFunc(s.Commands, func(c string) bool { return strings.HasPrefix(c, command) && strings.Contains(c, " --apply") })
		at := slices.IndexFunc(b[kind], func(r Refusal) bool { return r.Gate != SecondPerson })
		if s.Status != Allowed || s.Kind == kind || !runs || at < 0 {
			continue
		}
		r := b[kind][at]
		s.Hindered = true
		s.Because += " The command is for later: gate " + r.Gate + " would refuse it now, because " + r.Reason + "."
	}
}

// because says what a step waits for, and why it stands behind it.
func (p Playbook) because(s Step, waits []string) string {
	titles := make([]string, 0, len(waits))
	for _, id := range waits {
		before, _ := p.Step(id)
		titles = append(titles, fmt.Sprintf("%s (%s)", id, before.Title))
	}
	return "not before " + strings.Join(titles, ", ") + ": " + s.Reason
}

// waits returns what the program makes a step wait for. Moving a model
// directory ends its state, so quarantine waits for the evidence, and the
// evidence for nothing but the declaration.
func (p Playbook) waits(s Step) []string {
	switch s.Kind {
	case Quarantine:
		return p.ofKind(Declare, Preserve)
	case Preserve:
		return p.ofKind(Declare)
	default:
		return s.After
	}
}

// Advice is the one next thing to do.
type Advice struct {
	IncidentID string `json:"incident_id"`
	// Next is nil when nothing remains to be done.
	Next *Standing `json:"next"`
	// Also are the other steps that are allowed now.
	Also []Standing `json:"also_allowed"`
	// Others are all further steps, with the reason why not now.
	Others []Standing `json:"others"`
}

// Advise names the one next thing: the first step that is allowed and that
// nothing hinders, and before it any allowed step of an urgent kind.
func (p Playbook) Advise(inc *incident.Incident, b Blocked, urgent ...Kind) Advice {
	a := Advice{IncidentID: inc.ID, Also: []Standing{}, Others: []Standing{}}
	for _, s := range p.Board(inc, b) {
		if s.Status == Allowed {
			a.Also = append(a.Also, s)
		} else {
			a.Others = append(a.Others, s)
		}
	}
	if len(a.Also) == 0 {
		return a
	}
	first := slices.IndexFunc(a.Also, func(s Standing) bool { return slices.Contains(urgent, s.Kind) })
	if first < 0 {
		first = max(0, slices.IndexFunc(a.Also, func(s Standing) bool { return !s.Hindered }))
	}
	next := a.Also[first]
	a.Next, a.Also = &next, slices.Delete(a.Also, first, first+1)
	return a
}

// doneBy says how the record shows that steps of a kind are done; "" is that
// it does not.
func doneBy(inc *incident.Incident) map[Kind]string {
	contained := seen(!inc.MovedAt(action.Isolate).IsZero(), "the model was observed out of serving")
	recovered := seen(!inc.MovedAt(action.Rollback).IsZero(), "a verified version was observed in place")
	_, rooted := inc.Facts["root_cause_analysis"]
	return map[Kind]string{
		Record: "the record has begun", Triage: "the incident was declared",
		Declare:     seen(inc.Commander != "", "a commander is named"),
		Freeze:      contained,
		CutTraffic:  contained,
		Quarantine:  contained,
		Preserve:    seen(allSealed(inc), "the evidence of every model is sealed"),
		BlastRadius: cmp.Or(seen(len(inc.Inquiries) > 0, "an investigation is recorded"), seen(scoped(inc), "every place that is known was looked at")),
		Notify:      seen(alerted(inc), "the initial alert was sent"),
		Rotate:      seen(contained != "" && len(inc.OpenTasks()) == 0, "no task is open"),
		Select:      recovered,
		Restore:     recovered,
		RootCause:   seen(rooted, "the root cause is stated"),
		Review:      seen(inc.State == incident.Done, "the incident is closed"),
	}
}

func seen(yes bool, how string) string {
	if yes {
		return how
	}
	return ""
}

func allSealed(inc *incident.Incident) bool {
	return len(inc.Models) > 0 && !slices.ContainsFunc(inc.Models, func(m string) bool {
		_, ok := inc.Sealed(m)
		return !ok
	})
}

// scoped reports whether the scope of every model is on record, with nothing
// in it that is not known.
func scoped(inc *incident.Incident) bool {
	return len(inc.Models) > 0 && !slices.ContainsFunc(inc.Models, func(m string) bool {
		s, ok := inc.Scopes[m]
		return !ok || s.Unknown() > 0
	})
}

// alerted reports whether the initial alert was sent: rendering it tells
// nobody anything.
func alerted(inc *incident.Incident) bool {
	return slices.ContainsFunc(inc.Sent, func(m incident.SentMessage) bool { return m.Template == "initial_alert" })
}
