package timeline

import (
	"fmt"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// Ledger is the source of events whose entries name no other.
const Ledger = "ledger"

// FromEntries describes each entry of an incident's log in one sentence,
// oldest first. An entry of a kind that is not known, or whose content cannot
// be read, is an event that says so.
func FromEntries(entries []evidence.Entry) []Event {
	t := teller{plans: map[artifact.Digest]action.Plan{}}
	events := make([]Event, 0, len(entries))
	for _, e := range entries {
		events = append(events, t.event(e))
	}
	return Merge(events)
}

// teller keeps the plans seen so far, because the entries of their steps name
// them by hash only.
type teller struct {
	plans map[artifact.Digest]action.Plan
}

func (t *teller) event(e evidence.Entry) Event {
	event := Event{Timestamp: e.Time.UTC(), Source: Ledger, Kind: e.Kind, Seq: e.Seq, Actor: e.Actor}
	tell, ok := tellers[e.Kind]
	if !ok {
		event.Description = fmt.Sprintf("Entry of a kind that this program does not know: %s.", quote(e.Kind))
		return event
	}
	if err := tell(t, e, &event); err != nil {
		event.Description = fmt.Sprintf("Entry that cannot be read: %s.", quote(err.Error()))
	}
	return event
}

// tellers describe entries, by kind.
var tellers = map[string]func(*teller, evidence.Entry, *Event) error{
	incident.KindOpened:    tell(opened),
	incident.KindIndicator: tell(seen),
	incident.KindFinding:   tell(found),
	incident.KindInquiry:   tell(inquired),
	incident.KindFact: tell(func(_ *teller, e *Event, b incident.Fact) {
		e.Description = fmt.Sprintf("Fact stated: %s is %s%s.", quote(b.Name), quote(b.Value), because(b.Reason))
	}),
	incident.KindNote: tell(func(_ *teller, e *Event, b incident.Note) { e.Description = "Note: " + quote(b.Text) }),
	incident.KindSealed: tell(func(_ *teller, e *Event, b evidence.Item) {
		e.Source, e.Timestamp = origin(b.Origin), at(b.CollectedAt, e.Timestamp)
		e.Description = fmt.Sprintf("Evidence sealed: %s %s, %d bytes, SHA-256 %s%s.",
			quote(b.Type), quote(b.Name), b.Size, b.SHA256.Hex(), lacking(b.Missing))
	}),
	incident.KindGap: tell(func(_ *teller, e *Event, b evidence.Gap) {
		e.Source = origin(b.Origin)
		e.Description = fmt.Sprintf("Evidence could not be captured: %s %s: %s.", quote(b.Type), quote(b.Name), quote(b.Reason))
	}),
	incident.KindAssessed: tell(assessed),
	incident.KindPlanned:  tell(planned),
	incident.KindApproved: tell(approved),
	incident.KindIntent: tell(func(t *teller, e *Event, b incident.StepIntent) {
		e.Description = fmt.Sprintf("About to carry out step %s.", t.step(b.Plan, b.Step))
	}),
	incident.KindExecuted: tell(func(t *teller, e *Event, b incident.StepExecuted) {
		e.Description = fmt.Sprintf("Step %s was called%s.", t.step(b.Plan, b.Step), failing(b.Error))
	}),
	incident.KindObserved: tell(observed),
	incident.KindRefused: tell(func(_ *teller, e *Event, b incident.Refused) {
		e.Description = fmt.Sprintf("Gate %s refused %s: %s.", quote(b.Gate), quote(b.Action), quote(b.Reason))
	}),
	incident.KindWaived: tell(func(_ *teller, e *Event, b incident.Waived) {
		e.Description = fmt.Sprintf("Gate %s waived%s%s.", quote(b.Gate), forModel(b.Model), because(b.Reason))
	}),
	incident.KindTask: tell(func(_ *teller, e *Event, b incident.Task) {
		e.Description = fmt.Sprintf("Task %s opened: %s", quote(b.ID), quote(b.Text))
	}),
	incident.KindTaskDone: tell(func(_ *teller, e *Event, b incident.TaskDone) {
		e.Description = fmt.Sprintf("Task %s done%s.", quote(b.ID), because(b.Reason))
	}),
	incident.KindMessage: tell(func(_ *teller, e *Event, b incident.Message) {
		e.Description = fmt.Sprintf("Message %s rendered as number %d%s.", quote(b.Template), b.Number, open(b.Open))
	}),
	incident.KindCustody: tell(func(_ *teller, e *Event, b incident.Custody) {
		e.Description = fmt.Sprintf("Evidence %s %s: SHA-256 %s, to %s%s.", quote(b.Name), quote(string(b.Event)), b.SHA256.Hex(), quote(b.To), because(b.Reason))
	}),
	incident.KindHold: tell(func(_ *teller, e *Event, b incident.Hold) {
		word := "put on"
		if !b.On {
			word = "lifted"
		}
		e.Description = fmt.Sprintf("Hold on the evidence %s%s.", word, because(b.Reason))
	}),
	incident.KindStamped: tell(func(_ *teller, e *Event, b incident.Stamped) {
		e.Description = fmt.Sprintf("The record up to here was time stamped by %s for %s: checkpoint with SHA-256 %s.",
			quote(b.Signer), b.StampedAt.UTC().Format(time.RFC3339), b.SHA256.Hex())
	}),
	incident.KindScope: tell(func(_ *teller, e *Event, b incident.Scope) {
		e.Description = fmt.Sprintf("Scope of model %s assessed: %d places looked at, %d affected, %d of them because they could not be read; first bad %s (%s).",
			quote(b.Model), len(b.Places), b.Affected(), b.Unknown(), b.FirstBad.UTC().Format(time.RFC3339), quote(b.FirstBadSource))
	}),
	incident.KindMessageApproved: tell(func(_ *teller, e *Event, b incident.MessageApproved) {
		e.Description = fmt.Sprintf("Message %s number %d approved by %s.", quote(b.Template), b.Number, quote(b.By))
	}),
	incident.KindMessageSent: tell(func(_ *teller, e *Event, b incident.MessageSent) {
		e.Description = fmt.Sprintf("Message %s number %d sent to %s%s%s.",
			quote(b.Template), b.Number, recipients(b.Recipients), over(b.Channel), because(b.Receipt))
	}),
	incident.KindMessageAcknowledged: tell(func(_ *teller, e *Event, b incident.MessageAcknowledged) {
		e.Description = fmt.Sprintf("Message %s number %d acknowledged by %s%s.", quote(b.Template), b.Number, quote(b.By), because(b.Receipt))
	}),
	incident.KindPeople: tell(func(_ *teller, e *Event, b incident.People) {
		e.Description = fmt.Sprintf("People put on record: %s%s.", list(names(b.Roster)), because(b.Reason))
	}),
	incident.KindRequested: tell(func(_ *teller, e *Event, b incident.Requested) {
		e.Description = fmt.Sprintf("Plan %s asked for by %s: %s model %s.", short(b.Plan.Hash()), quote(b.By), quote(string(b.Plan.Action)), quote(b.Plan.Model))
	}),
	incident.KindApproval: tell(func(_ *teller, e *Event, b incident.SignedApproval) {
		e.Description = fmt.Sprintf("Plan %s signed by %s as %s, until %s.", short(b.Plan), quote(b.By), quote(string(b.Role)), b.Expires.UTC().Format(time.RFC3339))
	}),
	incident.KindBreakGlass: tell(func(_ *teller, e *Event, b incident.BreakGlass) {
		e.Description = fmt.Sprintf("BREAK GLASS: %s goes past gate %s to %s, %s alerted%s.", quote(b.By), list(b.Gates), quote(b.Action), list(b.Alerted), because(b.Reason))
	}),
	incident.KindReverted: tell(func(t *teller, e *Event, b incident.Reverted) {
		e.Description = fmt.Sprintf("Step %s was taken back by somebody else, for the %d. time: %s", t.step(b.Plan, b.Step), b.Times, quote(b.Detail))
	}),
	incident.KindSettled: tell(func(_ *teller, e *Event, b incident.Settled) {
		e.Description = fmt.Sprintf("Plan %s was looked at again for %.0f s and holds.", short(b.Plan), b.Seconds)
	}),
	incident.KindClock: tell(clocked),
	incident.KindAutomatic: tell(func(_ *teller, e *Event, b incident.Automatic) {
		e.Description = fmt.Sprintf("Model %s is contained without a person, by policy %s until %s, plan %s%s.",
			quote(b.Model), quote(b.Policy), b.Expires.UTC().Format(time.RFC3339), short(b.Plan), because(b.Because))
	}),
	incident.KindClosed: tell(func(_ *teller, e *Event, b incident.Closed) {
		e.Description = fmt.Sprintf("Incident closed%s.", because(b.Resolution))
	}),
}

// tell decodes an entry's body before it is described.
func tell[T any](describe func(*teller, *Event, T)) func(*teller, evidence.Entry, *Event) error {
	return func(t *teller, entry evidence.Entry, e *Event) error {
		var body T
		if err := entry.Decode(&body); err != nil {
			return err
		}
		describe(t, e, body)
		return nil
	}
}

func opened(_ *teller, e *Event, b incident.Opened) {
	e.Description = fmt.Sprintf("Incident declared, severity %s, for %s: %s", b.Severity, list(b.Models), quote(b.Summary))
}

func seen(_ *teller, e *Event, b indicator.Indicator) {
	e.Timestamp = at(b.Timestamp, e.Timestamp)
	if b.Source != "" {
		e.Source = quote(b.Source)
	}
	e.Description = fmt.Sprintf("Indicator %s (%s): %s", quote(string(b.Type)), b.Severity, quote(b.Description))
}

func found(_ *teller, e *Event, b finding.Finding) {
	e.Description = fmt.Sprintf("Finding %s (%s) in %s: %s", quote(b.Rule), b.Severity, quote(b.File), quote(b.Summary))
}

func inquired(_ *teller, e *Event, b incident.Inquiry) {
	e.Description = fmt.Sprintf("Investigated model %s: %d files read, %d not readable, %d logs%s.",
		quote(b.Model), b.Files, len(b.Unread), len(b.Logs), against(b))
}

func against(b incident.Inquiry) string {
	if b.Comparison == nil {
		return ", no reference to compare with"
	}
	c := b.Comparison
	return fmt.Sprintf("; compared with %s: %d modified, %d only in the suspect, %d only in the reference",
		quote(b.Reference), len(c.Modified), len(c.OnlyInCompromised), len(c.OnlyInReference))
}

func assessed(_ *teller, e *Event, b incident.Assessed) {
	verdict := "the evidence is sealed"
	if !b.Sealed {
		verdict = "the evidence is not complete" + because(b.Reason)
	}
	e.Description = fmt.Sprintf("Model %s assessed: %d items, %d gaps; %s.", quote(b.Model), b.Items, b.Gaps, verdict)
}

func planned(t *teller, e *Event, b action.Plan) {
	t.plans[b.Hash()] = b
	e.Description = fmt.Sprintf("Plan %s made: %s model %s at %s in %d steps.",
		short(b.Hash()), quote(string(b.Action)), quote(b.Model), quote(b.Target), len(b.Steps))
}

func forModel(id string) string {
	if id == "" {
		return ""
	}
	return " for model " + quote(id)
}

func names(r approval.Roster) (out []string) {
	for _, p := range r.People {
		out = append(out, p.Name)
	}
	return out
}

func clocked(_ *teller, e *Event, b incident.ClockCheck) {
	if b.Jump == 0 {
		e.Description = fmt.Sprintf("The clock: %s.", quote(b.Offset))
		return
	}
	e.Description = fmt.Sprintf("The clock was set by %.1f s since %s.", b.Jump, quote(b.Since))
}

func approved(_ *teller, e *Event, b incident.Approved) {
	self := ""
	switch {
	case b.BreakGlass:
		self = ", past the gates"
	case b.Policy != "":
		self = ", by policy " + quote(b.Policy)
	case b.Self:
		self = ", who also asked for it"
	case len(b.Rests) > 0:
		self = fmt.Sprintf(", by %d signed approvals", len(b.Rests))
	}
	e.Description = fmt.Sprintf("Plan %s approved by %s%s.", short(b.Plan), quote(b.By), self)
}

func observed(t *teller, e *Event, b incident.StepObserved) {
	e.Timestamp = at(b.At, e.Timestamp)
	e.Description = fmt.Sprintf("Step %s observed as %s: %s", t.step(b.Plan, b.Step),
		strings.ReplaceAll(quote(string(b.Outcome)), "_", " "), quote(b.Detail))
}

// step names a step of a plan with what it does.
func (t *teller) step(plan artifact.Digest, id string) string {
	for _, s := range t.plans[plan].Steps {
		if s.ID == id {
			return fmt.Sprintf("%s of plan %s (%s)", quote(id), short(plan), quote(s.Summary))
		}
	}
	return fmt.Sprintf("%s of plan %s", quote(id), short(plan))
}

func quote(s string) string { return artifact.Quote(s) }

func short(d artifact.Digest) string { return d.Hex()[:min(12, len(d.Hex()))] }

func at(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t.UTC()
}

func origin(s string) string {
	if s == "" {
		return Ledger
	}
	return quote(s)
}

func list(names []string) string {
	if len(names) == 0 {
		return "no model"
	}
	quoted := make([]string, 0, len(names))
	for _, n := range names {
		quoted = append(quoted, quote(n))
	}
	return strings.Join(quoted, ", ")
}

func recipients(names []string) string {
	if len(names) == 0 {
		return "nobody named"
	}
	return list(names)
}

func over(channel string) string {
	if channel == "" {
		return ""
	}
	return " over " + quote(channel)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(quote(reason), ".")
}

func lacking(missing []string) string {
	if len(missing) == 0 {
		return ""
	}
	const shown = 3 // the item itself names all of them
	if len(missing) > shown {
		return fmt.Sprintf("; incomplete, lacks %s and %d more", list(missing[:shown]), len(missing)-shown)
	}
	return "; incomplete, lacks " + list(missing)
}

func failing(text string) string {
	if text == "" {
		return ""
	}
	return " and returned an error: " + strings.TrimSuffix(quote(text), ".")
}

func open(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return "; not known yet: " + list(fields)
}
