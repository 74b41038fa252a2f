package incident

import (
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// The kinds of entry about who takes part, who asked for what, and who let it
// happen.
const (
	KindPeople     = "people_recorded" // People
	KindRequested  = "plan_requested"  // Requested
	KindApproval   = "approval_given"  // SignedApproval
	KindBreakGlass = "break_glass"     // BreakGlass
)

// People puts on record who takes part and what needs whose approval. From
// then on the record decides, and not the configuration.
type People struct {
	Roster approval.Roster `json:"roster"`
	Reason string          `json:"reason,omitempty"`
	// Rests are the entries of the approvals by which others were replaced.
	Rests []uint64 `json:"rests_on,omitempty"`
}

// Requested says that somebody asks for a plan to be approved.
type Requested struct {
	Plan action.Plan `json:"plan"`
	By   string      `json:"by"`
}

// SignedApproval is an approval with the signature that proves it.
type SignedApproval struct {
	Plan    artifact.Digest `json:"plan_hash"`
	Action  string          `json:"action"`
	By      string          `json:"by"`
	Role    approval.Role   `json:"role"`
	Expires time.Time       `json:"expires"`
	// Statement is the text that was signed; Signature is armored.
	Statement string `json:"statement"`
	Signature string `json:"signature"`
}

// BreakGlass says that somebody went past gates, and why. It is never silent.
type BreakGlass struct {
	Plan   artifact.Digest `json:"plan_hash"`
	Action string          `json:"action"`
	By     string          `json:"by"`
	Reason string          `json:"reason"`
	// Gates were not passed; Refusals is what each of them said.
	Gates    []string `json:"gates"`
	Refusals []string `json:"refusals"`
	// Alerted are the people to whom an alert was queued.
	Alerted []string `json:"alerted"`
}

// PeopleAt is who takes part since when.
type PeopleAt struct {
	People
	At time.Time `json:"at"`
	By string    `json:"by"`
}

// RequestAt is a plan that somebody has asked for.
type RequestAt struct {
	Hash   artifact.Digest `json:"plan_hash"`
	Action action.Name     `json:"action"`
	Model  string          `json:"model"`
	By     string          `json:"by"`
	At     time.Time       `json:"at"`
	// Plan is what was asked for.
	Plan action.Plan `json:"-"`
}

// ApprovalAt is an approval with its place in the record.
type ApprovalAt struct {
	SignedApproval
	Seq uint64    `json:"entry"`
	At  time.Time `json:"at"`
	// Used says that something was done by it. It holds for one thing once.
	Used bool `json:"used"`
}

// Signed returns the approval in the form whose signature can be verified.
func (a SignedApproval) Signed() (approval.Signed, error) {
	return approval.Parse(a.Statement + a.Signature)
}

// BreakGlassAt is a break-glass with its time.
type BreakGlassAt struct {
	BreakGlass
	At time.Time `json:"at"`
}

func foldPeople(i *Incident, e evidence.Entry, b People) {
	i.People = &PeopleAt{b, e.Time, e.Actor}
	i.use(b.Rests)
	i.changed(e)
}

func foldRequested(i *Incident, e evidence.Entry, b Requested) {
	i.Requests = append(i.Requests, RequestAt{b.Plan.Hash(), b.Plan.Action, b.Plan.Model, b.By, e.Time, b.Plan})
}

func foldApproval(i *Incident, e evidence.Entry, b SignedApproval) {
	i.Approvals = append(i.Approvals, ApprovalAt{SignedApproval: b, Seq: e.Seq, At: e.Time})
}

func foldBreakGlass(i *Incident, e evidence.Entry, b BreakGlass) {
	i.BrokenGlass = append(i.BrokenGlass, BreakGlassAt{b, e.Time})
}

// use marks approvals as used.
func (i *Incident) use(entries []uint64) {
	for n := range i.Approvals {
		if slices.Contains(entries, i.Approvals[n].Seq) {
			i.Approvals[n].Used = true
		}
	}
}

// changed notes that what an approval was given for is not as it was.
func (i *Incident) changed(e evidence.Entry) { i.LastChange = e.Seq }

// Requested returns the newest request for a plan.
func (i *Incident) Requested(plan artifact.Digest) (RequestAt, bool) {
	for _, r := range slices.Backward(i.Requests) {
		if r.Hash == plan {
			return r, true
		}
	}
	return RequestAt{}, false
}
