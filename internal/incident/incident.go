// Package incident makes an incident out of its log. Nothing about a case is
// stored anywhere else: what is shown, reported and decided is a fold over
// the entries. It does no I/O and has no clock.
package incident

import (
	"encoding/base32"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// State is where an incident stands.
type State string

// The states. The state follows from what was observed, never from what was
// asked for.
const (
	Open      State = "open"
	Contained State = "contained"
	Recovered State = "recovered"
	Done      State = "closed"
)

// Incident is the fold over an incident's entries.
type Incident struct {
	ID         string                `json:"incident_id"`
	State      State                 `json:"state"`
	Severity   finding.Severity      `json:"severity"`
	Models     []string              `json:"models"`
	Summary    string                `json:"summary"`
	Commander  string                `json:"commander"`
	Method     string                `json:"detection_method"`
	DetectedAt time.Time             `json:"detected_at"`
	OpenedAt   time.Time             `json:"opened_at"`
	ClosedAt   time.Time             `json:"closed_at,omitzero"`
	Resolution string                `json:"resolution,omitempty"`
	Facts      map[string]StatedFact `json:"facts"`
	Indicators []indicator.Indicator `json:"indicators"`
	Findings   []finding.Finding     `json:"findings"`
	Inquiries  []Inquiry             `json:"inquiries"`
	Plans      []PlanState           `json:"plans"`
	Evidence   []evidence.Item       `json:"evidence"`
	Gaps       []evidence.Gap        `json:"evidence_missing"`
	Assessed   map[string]AssessedAt `json:"assessed"`
	Refusals   []Refused             `json:"refusals"`
	Waivers    []WaivedAt            `json:"waivers"`
	Tasks      []TaskState           `json:"tasks"`
	Messages   []RenderedMessage     `json:"messages"`
	// Approved, Sent and Acknowledged say what became of the messages.
	Approved     []ApprovedMessage     `json:"messages_approved"`
	Sent         []SentMessage         `json:"messages_sent"`
	Acknowledged []AcknowledgedMessage `json:"messages_acknowledged"`
	// History holds every fact as it was stated, oldest first; Facts has the
	// last of each name.
	History []StatedFact  `json:"fact_history"`
	Notes   []WrittenNote `json:"notes"`
	Custody []CustodyAt   `json:"custody"`
	// Hold is nil when none was ever put on.
	Hold *HoldAt `json:"evidence_hold,omitempty"`
	// Stamps say since when parts of the record provably exist.
	Stamps []StampedAt `json:"time_stamps,omitempty"`
	// Scopes are the newest assessments of how far it reaches, by model.
	Scopes map[string]ScopeAt `json:"scopes"`
	// People is who takes part, nil for a single person who may do all.
	People      *PeopleAt      `json:"people,omitempty"`
	Requests    []RequestAt    `json:"plan_requests"`
	Approvals   []ApprovalAt   `json:"approvals"`
	BrokenGlass []BreakGlassAt `json:"break_glass"`
	// Reverts are steps that somebody else took back.
	Reverts []RevertedAt `json:"containment_reverted"`
	// Automatic is what was done by policy, without a person.
	Automatic  []AutomaticAt `json:"automatic_containment"`
	ClockJumps []ClockJump   `json:"clock_jumps"`
	// Unknown lists entries of kinds that this program does not know: they
	// were written by a newer one, and are not understood here.
	Unknown []string `json:"unknown_entries,omitempty"`
	// UpdatedAt is the time of the newest entry.
	UpdatedAt time.Time `json:"updated_at"`
	// Entries is the number of entries folded, which is the position that an
	// append has to expect.
	Entries uint64 `json:"entries"`
	// LastChange is the last entry that makes approvals void which were signed
	// before it: a plan was carried out, a step was taken or taken back,
	// others take part, another first bad time holds, the incident was closed.
	LastChange uint64 `json:"last_change"`
	// Asked are the entries since which gates ask anew, whatever was waived
	// before; see waiver.go.
	Asked map[string]uint64 `json:"-"`
}

// StatedFact is a fact with who stated it and when.
type StatedFact struct {
	Fact
	At time.Time `json:"at"`
	By string    `json:"by"`
}

// AssessedAt is an assessment with its time.
type AssessedAt struct {
	Assessed
	At time.Time `json:"at"`
}

// TaskState is a task and whether it is done.
type TaskState struct {
	Task
	OpenedAt time.Time `json:"opened_at"`
	DoneAt   time.Time `json:"done_at,omitzero"`
}

// RenderedMessage is a message with its time.
type RenderedMessage struct {
	Message
	At time.Time `json:"at"`
}

// ApprovedMessage is the approval of a message with its time.
type ApprovedMessage struct {
	MessageApproved
	At time.Time `json:"at"`
}

// SentMessage is the sending of a message with its time and who recorded it.
type SentMessage struct {
	MessageSent
	At time.Time `json:"at"`
	// Actor is who recorded that it was sent.
	Actor string `json:"actor"`
}

// AcknowledgedMessage is the confirmation of a message with its time.
type AcknowledgedMessage struct {
	MessageAcknowledged
	At time.Time `json:"at"`
}

// WrittenNote is a note with its time and author.
type WrittenNote struct {
	Note
	At time.Time `json:"at"`
	By string    `json:"by"`
}

// WaivedAt is a waiver with who gave it and when.
type WaivedAt struct {
	Waived
	Seq uint64    `json:"entry"`
	At  time.Time `json:"at"`
	By  string    `json:"by"`
}

// Prefix starts the name of every incident's log.
const Prefix = "INC-"

// NewID returns an id for an incident opened at now: the day for people, 40
// random bits against collision.
func NewID(now time.Time, random io.Reader) (string, error) {
	var b [5]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make incident id: %w", err)
	}
	return Prefix + now.UTC().Format("20060102") + "-" + base32.StdEncoding.EncodeToString(b[:]), nil
}

// CheckID refuses what cannot be the id of an incident.
func CheckID(id string) error {
	if err := artifact.CheckID(id); err != nil || !strings.HasPrefix(id, Prefix) {
		return fault.New(fault.Invalid, "incident id %.140q: not of the form %sYYYYMMDD-XXXXXXXX", id, Prefix).
			WithHint("list the incidents: weightwarden incident list")
	}
	return nil
}

// Sealed reports whether evidence of the model was sealed, and when.
func (i *Incident) Sealed(model string) (AssessedAt, bool) {
	a, ok := i.Assessed[model]
	return a, ok && a.Sealed
}

// Detected returns when the incident was detected, and how that is known: as it
// was declared, unless somebody stated an earlier time, or a later one with a
// reason. That is what deadlines are counted from.
func (i *Incident) Detected() (at time.Time, source string) {
	at, source = i.DetectedAt, "declared"
	for _, f := range i.History {
		t, err := time.Parse(time.RFC3339Nano, f.Value)
		if f.Name == "detected_at" && err == nil && (at.IsZero() || t.Before(at) || f.Reason != "") {
			at, source = t.UTC(), "stated by "+f.By
		}
	}
	return at, source
}

// FirstBad returns the earliest moment from which the model has to be taken
// as tampered with, and how that is known: a stated fact, else the earliest
// sign. A sign without a time says nothing about it.
func (i *Incident) FirstBad() (at time.Time, source string) {
	if f, ok := i.Facts["first_bad_at"]; ok {
		if t, err := time.Parse(time.RFC3339Nano, f.Value); err == nil {
			return t, "stated by " + f.By
		}
	}
	if at, _ = i.Detected(); !at.IsZero() {
		source = "time of detection"
	} else {
		at, source = i.OpenedAt, "time of declaration"
	}
	for _, ind := range i.Indicators {
		if !ind.Timestamp.IsZero() && ind.Timestamp.Before(at) {
			at, source = ind.Timestamp, "earliest indicator"
		}
	}
	return at, source
}

// OpenTasks returns the tasks that are not done.
func (i *Incident) OpenTasks() []TaskState {
	return slices.DeleteFunc(slices.Clone(i.Tasks), func(t TaskState) bool { return !t.DoneAt.IsZero() })
}

// Rendered returns the newest rendering of the template.
func (i *Incident) Rendered(template string) (RenderedMessage, bool) {
	for _, m := range slices.Backward(i.Messages) {
		if m.Template == template {
			return m, true
		}
	}
	return RenderedMessage{}, false
}

// Ref names the message in the entries about it.
func (m RenderedMessage) Ref() MessageRef {
	return MessageRef{Template: m.Template, Number: m.Number, SHA256: m.SHA256}
}

// Plan returns the newest plan with the hash, or nil.
func (i *Incident) Plan(hash artifact.Digest) *PlanState {
	for n := len(i.Plans) - 1; n >= 0; n-- {
		if i.Plans[n].Hash == hash {
			return &i.Plans[n]
		}
	}
	return nil
}

// StepStatus is how far a step is.
type StepStatus string

// The ways of a step: planned, intended, returned from, then done or failed; a
// done step can be undone.
const (
	StepPlanned  StepStatus = "planned"
	StepIntended StepStatus = "intended"
	StepReturned StepStatus = "returned"
	StepDone     StepStatus = "done"
	StepFailed   StepStatus = "failed"
	StepUndone   StepStatus = "undone"
)

// StepState is a step and how far it is.
type StepState struct {
	action.Step
	Status StepStatus `json:"status"`
	// Observation is the last one made, or of the error that prevented it.
	Observation action.Observation `json:"observation,omitzero"`
	Error       string             `json:"error,omitempty"`
	// IntendedAt is when it was last begun.
	IntendedAt time.Time `json:"intended_at,omitzero"`
}

// PlanState is a plan and how far it is.
type PlanState struct {
	Hash     artifact.Digest   `json:"plan_hash"`
	Action   action.Name       `json:"action"`
	Model    string            `json:"model"`
	Target   string            `json:"target"`
	Observed map[string]string `json:"observed"`
	Remarks  []string          `json:"remarks,omitempty"`
	MadeAt   time.Time         `json:"made_at"`
	MadeBy   string            `json:"made_by"`
	Approval *Approved         `json:"approval,omitempty"`
	Steps    []StepState       `json:"steps"`
	EndedAt  time.Time         `json:"ended_at,omitzero"`
	// SettledAt is when all of it was looked at again and still held.
	SettledAt time.Time `json:"settled_at,omitzero"`
}

// Started reports whether a side effect of the plan may have happened.
func (p *PlanState) Started() bool {
	return slices.ContainsFunc(p.Steps, func(s StepState) bool { return s.Status != StepPlanned })
}

// Finished reports whether every step was observed done and none was undone. A
// plan without steps never is: nothing was observed of it.
func (p *PlanState) Finished() bool {
	return len(p.Steps) > 0 && !slices.ContainsFunc(p.Steps, func(s StepState) bool { return s.Status != StepDone })
}

// Stands reports whether the plan was finished, and what it did to what is
// served was not taken back since: its last step that changes more than the
// host's record. With the denial of a digest taken back, a model is isolated
// all the same.
func (p *PlanState) Stands() bool {
	for _, s := range slices.Backward(p.Steps) {
		if s.Driver != action.RecordDriver {
			return !p.EndedAt.IsZero() && s.Status == StepDone
		}
	}
	return p.Finished()
}

// Unfinished reports whether the plan was started, and neither finished nor
// taken back.
func (p *PlanState) Unfinished() bool {
	return p.Started() && !p.Finished() && !p.TakenBack()
}

// TakenBack reports whether a step of the plan was undone.
func (p *PlanState) TakenBack() bool {
	return slices.ContainsFunc(p.Steps, func(s StepState) bool { return s.Status == StepUndone })
}

// Failed reports whether a step of the plan was observed not to be done.
func (p *PlanState) Failed() bool {
	return slices.ContainsFunc(p.Steps, func(s StepState) bool { return s.Status == StepFailed })
}
