package incident

import (
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// The kinds of entry that tell the way of the evidence after it was sealed.
// That it was collected, by whom and when, is what [KindSealed] says.
const (
	KindCustody = "evidence_custody" // Custody
	KindHold    = "evidence_hold"    // Hold
)

// CustodyEvent is what was done with evidence.
type CustodyEvent string

// What can be done with sealed evidence.
const (
	Accessed    CustodyEvent = "accessed"    // a copy was taken out of the vault
	Transferred CustodyEvent = "transferred" // somebody else got a copy
	Exported    CustodyEvent = "exported"    // all of it was written into a bundle
)

// Custody says what was done with sealed evidence. Who did it and when stands
// in the entry.
type Custody struct {
	Event CustodyEvent `json:"event"`
	// SHA256 is that of the evidence, or of the manifest of a bundle.
	SHA256 artifact.Digest `json:"sha256"`
	Name   string          `json:"name"`
	Reason string          `json:"reason"`
	// To is the person, place or file that it went to.
	To string `json:"to"`
	// Person is who did it, by name, where people are on record.
	Person string `json:"person,omitempty"`
	// Clock is what was known of this host's clock at that time.
	Clock string `json:"clock,omitempty"`
}

// Hold begins or ends the legal hold on the evidence of an incident.
type Hold struct {
	On     bool   `json:"on"`
	Reason string `json:"reason"`
}

// CustodyAt is a custody event with its time and actor.
type CustodyAt struct {
	Custody
	At time.Time `json:"at"`
	By string    `json:"by"`
}

// HoldAt is the last that was said of the hold.
type HoldAt struct {
	Hold
	At time.Time `json:"at"`
	By string    `json:"by"`
}

func foldCustody(i *Incident, e evidence.Entry, b Custody) {
	i.Custody = append(i.Custody, CustodyAt{b, e.Time, e.Actor})
}

func foldHold(i *Incident, e evidence.Entry, b Hold) {
	i.Hold = &HoldAt{b, e.Time, e.Actor}
	i.ask(GateHold, "", e)
}

// GateHold names the gate that keeps evidence under a hold.
const GateHold = "G13"

// MayDelete is gate G13: it refuses to let evidence of the incident go while a
// hold is on. Nothing in this program deletes evidence; whatever comes to
// delete or to age it out has to ask here first.
func (i *Incident) MayDelete() error {
	if i.Hold == nil || !i.Hold.On {
		return nil
	}
	return fault.New(fault.Refused, "%s: the evidence of incident %s is under a hold since %s: %s", GateHold, i.ID,
		i.Hold.At.UTC().Format(time.RFC3339), artifact.Quote(i.Hold.Reason)).
		WithHint("when the hold is over: weightwarden incident hold %s --release --reason TEXT", i.ID)
}
