package respond

import (
	"context"
	"fmt"
	"strings"

	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Waive lets a gate pass that would refuse, where that is somebody's to
// decide. The waiver is on record with its reason.
func (r *Responder) Waive(ctx context.Context, id string, w incident.Waived) (incident.Waived, error) {
	err := r.locked(ctx, id, nil, func(ctx context.Context, r *Responder) error {
		if err := r.takeSigned(ctx, id); err != nil {
			return err
		}
		inc, entries, err := r.load(ctx, id)
		if err != nil {
			return err
		}
		if inc.State == incident.Done {
			return closed(id)
		}
		role, soft := incident.MayWaive(w.Gate)
		if !soft {
			return r.Refuse(ctx, id, incident.Refused{Gate: w.Gate, Action: "waive", Reason: "nobody may waive this gate"},
				"gates that can be waived: "+strings.Join(incident.Waivable(), ", "))
		}
		if err := r.May(ctx, inc, w.Gate, "waive", role); err != nil {
			return err
		}
		var drafts []evidence.Draft
		if w.Gate == incident.EvidenceGate {
			rests, extra, err := r.decide(ctx, inc, entries, approval.Waive, incident.WaivePlan(id, w))
			if err != nil {
				return err
			}
			w.Rests, drafts = rests, extra
		}
		if roster := r.rosterOf(inc); !roster.Empty() {
			w.Person = r.name(roster)
		}
		return r.Record(ctx, id, append(drafts, r.Draft(incident.KindWaived, w))...)
	})
	return w, err
}

func closed(id string) error {
	return fault.New(fault.Refused, "incident %s is closed", id).WithHint("open a new one: weightwarden incident open")
}

// Close ends an incident, unless messages are unsent that had to be, or a
// second person has to agree: unsent names the messages.
func (r *Responder) Close(ctx context.Context, id string, c incident.Closed, unsent []string) error {
	return r.locked(ctx, id, nil, func(ctx context.Context, r *Responder) error {
		if err := r.takeSigned(ctx, id); err != nil {
			return err
		}
		inc, entries, err := r.load(ctx, id)
		if err != nil {
			return err
		}
		if inc.State == incident.Done {
			return closed(id)
		}
		if err := r.May(ctx, inc, "G1", "close", approval.Commander); err != nil {
			return err
		}
		if _, waived := inc.WaiverOf(incident.GateComms, ""); len(unsent) > 0 && !waived {
			return r.Refuse(ctx, id, incident.Refused{Gate: incident.GateComms, Action: "close", Reason: Unsent(unsent)}, UnsentHint(id))
		}
		var drafts []evidence.Draft
		if inc.Severity >= finding.High {
			rests, extra, err := r.decide(ctx, inc, entries, approval.Close, incident.ClosePlan(id, c))
			if err != nil {
				return err
			}
			c.Rests, drafts = rests, extra
		}
		return r.Record(ctx, id, append(drafts, r.Draft(incident.KindClosed, c))...)
	})
}

// Unsent says which messages keep an incident from being closed.
func Unsent(messages []string) string {
	return "messages are not sent: " + strings.Join(messages, ", ")
}

// UnsentHint says what to do about it.
func UnsentHint(id string) string {
	return fmt.Sprintf("send them and record it: weightwarden incident message %s TEMPLATE --sent-to WHOM; or let the commander accept it: weightwarden incident waive %s --gate G12 --reason TEXT", id, id)
}

// AdoptPeople puts the configured people in the place of those on record, with
// the approval of one of those.
func (r *Responder) AdoptPeople(ctx context.Context, id, reason string) error {
	return r.locked(ctx, id, nil, func(ctx context.Context, r *Responder) error {
		if err := r.takeSigned(ctx, id); err != nil {
			return err
		}
		inc, entries, err := r.load(ctx, id)
		if err != nil {
			return err
		}
		switch {
		case inc.State == incident.Done:
			return closed(id)
		case inc.People == nil || inc.People.Roster.Hash() == r.Roster.Hash():
			return fault.New(fault.Invalid, "incident %s: the people on record are those that are configured", id)
		}
		if err := r.May(ctx, inc, "G1", "people", approval.Responder); err != nil {
			return err
		}
		rests, extra, err := r.decide(ctx, inc, entries, approval.People, incident.PeoplePlan(id, r.Roster, reason))
		if err != nil {
			return err
		}
		body := incident.People{Roster: r.Roster, Reason: reason, Rests: rests}
		return r.Record(ctx, id, append(extra, r.Draft(incident.KindPeople, body))...)
	})
}

// Strangers says that the configured people are not those on record, or "".
func (r *Responder) Strangers(inc *incident.Incident) string {
	if inc.People == nil || inc.People.Roster.Hash() == r.Roster.Hash() {
		return ""
	}
	return fmt.Sprintf("the people in the configuration are not those on record for %s, which count; to change that: weightwarden incident people %s --adopt --reason TEXT",
		artifact.Quote(inc.ID), inc.ID)
}
