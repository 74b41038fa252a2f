package incident

import (
	"slices"

	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// EvidenceGate is the gate that asks for sealed evidence.
const EvidenceGate = "G2"

// The gates that somebody may waive, beside [EvidenceGate] and [GateHold].
const (
	GateScope   = "G7"
	GateSecrets = "G8"
	GateLimits  = "G11"
	GateComms   = "G12"
)

// MayWaive returns the role that may waive a gate. All others are hard.
func MayWaive(gate string) (approval.Role, bool) {
	role, ok := map[string]approval.Role{
		EvidenceGate: approval.Responder, // and a second person
		GateScope:    approval.Commander, GateSecrets: approval.Commander, GateLimits: approval.Commander,
		GateComms: approval.Commander, GateHold: approval.Legal,
	}[gate]
	return role, ok
}

// Waivable returns the gates that somebody may waive.
func Waivable() []string {
	return []string{EvidenceGate, GateScope, GateSecrets, GateLimits, GateComms, GateHold}
}

// WaiverOf returns the waiver of a gate that holds now. One for a model holds
// for that model, one without for all. Whatever changes what was waived asks
// anew: another assessment, another scope, a new task, a plan that was carried
// out, a message that was rendered, a hold.
func (i *Incident) WaiverOf(gate, model string) (WaivedAt, bool) {
	since := max(i.Asked[gate], i.Asked[gate+"/"+model])
	at := slices.IndexFunc(i.Waivers, func(w WaivedAt) bool {
		return w.Gate == gate && (w.Model == "" || w.Model == model) && w.Seq > since
	})
	if at < 0 {
		return WaivedAt{}, false
	}
	return i.Waivers[at], true
}

// ask makes a gate ask anew, of one model or of all.
func (i *Incident) ask(gate, model string, e evidence.Entry) {
	if model != "" {
		gate += "/" + model
	}
	i.Asked[gate] = e.Seq
}

// EvidenceWaived reports whether somebody accepted that the newest assessment
// of the model could not seal everything. A later assessment asks anew.
func (i *Incident) EvidenceWaived(model string) bool {
	_, assessed := i.Assessed[model]
	_, waived := i.WaiverOf(EvidenceGate, model)
	return assessed && waived
}
