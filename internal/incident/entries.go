package incident

import (
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// The kinds of entry in an incident's log. Each has one body type, named in
// its comment.
const (
	KindOpened    = "incident_opened"   // Opened
	KindIndicator = "indicator_seen"    // indicator.Indicator
	KindFinding   = "finding_made"      // finding.Finding
	KindFact      = "fact_stated"       // Fact
	KindNote      = "note_written"      // Note
	KindSealed    = "evidence_sealed"   // evidence.Item
	KindGap       = "evidence_missing"  // evidence.Gap
	KindAssessed  = "evidence_assessed" // Assessed
	KindPlanned   = "plan_made"         // action.Plan
	KindApproved  = "plan_approved"     // Approved
	KindIntent    = "step_intended"     // StepIntent
	KindExecuted  = "step_executed"     // StepExecuted
	KindObserved  = "step_observed"     // StepObserved
	KindRefused   = "gate_refused"      // Refused
	KindWaived    = "gate_waived"       // Waived
	KindTask      = "task_opened"       // Task
	KindTaskDone  = "task_done"         // TaskDone
	KindMessage   = "message_rendered"  // Message
	// What became of a message after it was rendered.
	KindMessageApproved     = "message_approved"     // MessageApproved
	KindMessageSent         = "message_sent"         // MessageSent
	KindMessageAcknowledged = "message_acknowledged" // MessageAcknowledged
	KindInquiry             = "inquiry_made"         // Inquiry
	KindClosed              = "incident_closed"      // Closed
)

// Opened declares the incident.
type Opened struct {
	Models    []string         `json:"models"`
	Severity  finding.Severity `json:"severity"`
	Summary   string           `json:"summary"`
	Commander string           `json:"commander"`
	// DetectedAt is the time of the earliest sign, or of the declaration.
	DetectedAt time.Time `json:"detected_at"`
	// Method says how it was detected.
	Method string `json:"detection_method"`
}

// Fact is something that a person states about the incident. A later fact of
// the same name replaces the earlier one; both stay in the log.
type Fact struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Reason string `json:"reason,omitempty"`
}

// Note is free text.
type Note struct {
	Text string `json:"text"`
}

// Assessed says that one round of capturing evidence has ended.
type Assessed struct {
	Model string `json:"model"`
	// Root is the root digest of the model as captured; zero when it could
	// not be read.
	Root artifact.Digest `json:"root_digest,omitzero"`
	// Items and Gaps count what was sealed and what could not be captured.
	Items int `json:"items"`
	Gaps  int `json:"gaps"`
	// Sealed says that what containment ends was captured: the manifest and
	// every file that differs from the baseline.
	Sealed bool   `json:"sealed"`
	Reason string `json:"reason,omitempty"`
}

// Approved lets a plan be carried out.
type Approved struct {
	Plan artifact.Digest `json:"plan_hash"`
	By   string          `json:"by"`
	// Self says that who asks is who approves, which is allowed only where
	// no approvers are configured.
	Self bool `json:"self_approved"`
	// Requester asked for the plan, where that was somebody else.
	Requester string `json:"requested_by,omitempty"`
	// Rests are the entries of the signed approvals that it was carried out
	// by.
	Rests []uint64 `json:"rests_on,omitempty"`
	// BreakGlass says that gates were not passed; Policy names the policy of
	// automatic containment.
	BreakGlass bool   `json:"break_glass,omitempty"`
	Policy     string `json:"policy,omitempty"`
}

// StepIntent is written, and synced, before the step's side effect.
type StepIntent struct {
	Plan artifact.Digest `json:"plan_hash"`
	Step string          `json:"step"`
	// Inverse is what takes the step back.
	Inverse *action.Step `json:"inverse,omitempty"`
	// Attempt counts the tries, from the second on.
	Attempt int `json:"attempt,omitempty"`
	// Fence is the number of the lease on the target under which it is
	// taken; 0 where there is none.
	Fence uint64 `json:"fence,omitempty"`
}

// StepExecuted says that the call has returned, which is not yet a result.
type StepExecuted struct {
	Plan  artifact.Digest `json:"plan_hash"`
	Step  string          `json:"step"`
	Error string          `json:"error,omitempty"`
}

// StepObserved says what was seen of the step's post-condition.
type StepObserved struct {
	Plan artifact.Digest `json:"plan_hash"`
	Step string          `json:"step"`
	action.Observation
}

// Refused records a gate that was not passed.
type Refused struct {
	Gate   string `json:"gate"`
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// Waived lets a gate pass that would refuse, for one model, with a reason. It
// stands in the report.
type Waived struct {
	Gate   string `json:"gate"`
	Model  string `json:"model"`
	Reason string `json:"reason"`
	// Person is who waived it, by name, where people are on record.
	Person string `json:"person,omitempty"`
	// Rests are the entries of the approvals of a second person.
	Rests []uint64 `json:"rests_on,omitempty"`
}

// Task is work for people.
type Task struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// TaskDone ends a task.
type TaskDone struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
}

// Message is a text that was rendered for people.
type Message struct {
	Template string          `json:"template"`
	Number   int             `json:"number"`
	SHA256   artifact.Digest `json:"sha256"`
	Open     []string        `json:"open_fields,omitempty"`
	// Text is what was rendered, so that the record shows what was said.
	Text string `json:"text"`
}

// MessageRef names one rendering of a template by its digest, so that what was
// approved and sent is exactly what the record holds.
type MessageRef struct {
	Template string          `json:"template"`
	Number   int             `json:"number"`
	SHA256   artifact.Digest `json:"sha256"`
	// Clocks are the deadlines that the message answers; needed only where
	// several wait for one template.
	Clocks []string `json:"clocks,omitempty"`
}

// MessageApproved says that somebody lets a message go out.
type MessageApproved struct {
	MessageRef
	By string `json:"by"`
}

// MessageSent says that a person, or a transport, has sent a message.
type MessageSent struct {
	MessageRef
	Recipients []string `json:"recipients"`
	Channel    string   `json:"channel,omitempty"`
	// Receipt is what the other side or the channel answered: a reference
	// number, a message id.
	Receipt string `json:"receipt,omitempty"`
}

// MessageAcknowledged says that a recipient has confirmed a message.
type MessageAcknowledged struct {
	MessageRef
	By      string `json:"by"`
	Receipt string `json:"receipt,omitempty"`
}

// Inquiry says what an investigation looked at, so that silence about a thing
// means that it was looked at.
type Inquiry struct {
	Model     string   `json:"model"`
	Reference string   `json:"reference,omitempty"`
	Logs      []string `json:"logs,omitempty"`
	// Files counts what was read, Unread names what could not be.
	Files  int      `json:"files"`
	Unread []string `json:"unread,omitempty"`
	// NotUnderstood names what was read and could not be judged.
	NotUnderstood []string `json:"not_understood,omitempty"`
	// Comparison has the guide's field names; nil without a reference.
	Comparison *Comparison `json:"comparison,omitempty"`
}

// Comparison of a suspect with a reference, file by file.
type Comparison struct {
	OnlyInCompromised []string `json:"files_only_in_compromised"`
	OnlyInReference   []string `json:"files_only_in_reference"`
	Modified          []string `json:"modified_files"`
	Identical         []string `json:"identical_files"`
}

// Closed ends the incident.
type Closed struct {
	Resolution string `json:"resolution"`
	// Rests are the entries of the approvals of a second person.
	Rests []uint64 `json:"rests_on,omitempty"`
}
