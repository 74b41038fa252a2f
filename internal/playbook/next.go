package playbook

import (
	"slices"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Next returns the ids of the steps of the built-in playbook that the record
// allows now, in their order: not seen to be done, and with nothing to wait
// for that the record shows to be open. Steps that only people do (triage,
// freezing, cutting traffic, notifying by hand) leave no trace of their own in
// the record; they are taken as done once a step behind them is.
func Next(inc *incident.Incident) []string {
	done := doneBy(inc)
	next := []string{}
	if inc.State == incident.Done {
		return next
	}
	for _, s := range Default().Steps {
		if !done[s.ID] && !slices.ContainsFunc(waits(s), func(id string) bool { return !done[id] }) {
			next = append(next, s.ID)
		}
	}
	return next
}

// waits returns what the program makes a step wait for. Moving a model
// directory ends its state, so quarantine waits for the evidence, and the
// evidence for nothing but the declaration.
func waits(s Step) []string {
	switch s.ID {
	case Quarantine:
		return []string{Declare, Preserve}
	case Preserve:
		return []string{Declare}
	default:
		return s.After
	}
}

// doneBy says which steps the record shows to be done.
func doneBy(inc *incident.Incident) map[string]bool {
	contained := !inc.MovedAt(action.Isolate).IsZero()
	recovered := !inc.MovedAt(action.Rollback).IsZero()
	_, rooted := inc.Facts["root_cause_analysis"]
	return map[string]bool{
		Record: true, Triage: true,
		Declare:     inc.Commander != "",
		Freeze:      contained,
		CutTraffic:  contained,
		Quarantine:  contained,
		Preserve:    allSealed(inc),
		BlastRadius: len(inc.Inquiries) > 0,
		Notify:      sent(inc, "initial_alert"),
		Rotate:      contained && len(inc.OpenTasks()) == 0,
		Select:      recovered,
		Restore:     recovered,
		RootCause:   rooted,
		Review:      inc.State == incident.Done,
	}
}

func allSealed(inc *incident.Incident) bool {
	return len(inc.Models) > 0 && !slices.ContainsFunc(inc.Models, func(m string) bool {
		_, ok := inc.Sealed(m)
		return !ok
	})
}

func sent(inc *incident.Incident, template string) bool {
	return slices.ContainsFunc(inc.Messages, func(m incident.RenderedMessage) bool { return m.Template == template })
}
