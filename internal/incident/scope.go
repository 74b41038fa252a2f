package incident

import (
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// KindScope is the entry that says how far an incident reaches: [Scope].
const KindScope = "scope_assessed"

// PlaceVerdict says whether a place holds what is suspect.
type PlaceVerdict string

// The verdicts on a place. Unknown counts as affected.
const (
	PlaceAffected PlaceVerdict = "affected"
	PlaceClear    PlaceVerdict = "clear"
	PlaceUnknown  PlaceVerdict = "unknown"
)

// Place is somewhere that was looked at for the suspect.
type Place struct {
	// Kind is "model", "archive", "hub_cache" or "serving".
	Kind string `json:"kind"`
	// Model is the model that is configured there, if one is.
	Model   string       `json:"model,omitempty"`
	Path    string       `json:"path"`
	Verdict PlaceVerdict `json:"verdict"`
	// SameRoot says that the whole is the suspect; Files are the files there
	// with the content of one that is suspect, at most a hundred.
	SameRoot bool     `json:"same_root"`
	Files    []string `json:"files"`
	Matches  int      `json:"matches"`
	// Reason says why a verdict is unknown.
	Reason string `json:"reason,omitempty"`
}

// Counts reports whether the place has to be treated as affected.
func (p Place) Counts() bool { return p.Verdict != PlaceClear }

// Scope says where else the suspect is, and since when it is bad.
type Scope struct {
	Model string          `json:"model"`
	Root  artifact.Digest `json:"root_digest"`
	// Suspects counts the contents that were looked for: files of the suspect
	// that differ from the baseline, or all of them without a baseline.
	Suspects int     `json:"suspect_contents"`
	Places   []Place `json:"places"`
	// FirstBad is the earliest time from which the model has to be taken as
	// bad, with how that was concluded.
	FirstBad       time.Time `json:"first_bad_at,omitzero"`
	FirstBadSource string    `json:"first_bad_source"`
	// Considered are the times that spoke for or against it.
	Considered []Considered `json:"considered"`
	// Missing is what could not be looked at anywhere.
	Missing []string `json:"missing,omitempty"`
}

// Considered is a time and what it says.
type Considered struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	// Weak says that whoever could change the files could set it.
	Weak bool `json:"weak,omitempty"`
}

// Affected counts the places that have to be treated as affected.
func (s Scope) Affected() (n int) {
	for _, p := range s.Places {
		if p.Counts() {
			n++
		}
	}
	return n
}

// Unknown counts the places of which it is not known.
func (s Scope) Unknown() (n int) {
	for _, p := range s.Places {
		if p.Verdict == PlaceUnknown {
			n++
		}
	}
	return n
}

// ScopeAt is an assessment of the scope with its time.
type ScopeAt struct {
	Scope
	At time.Time `json:"at"`
	By string    `json:"by"`
}

func foldScope(i *Incident, e evidence.Entry, b Scope) {
	i.Scopes[b.Model] = ScopeAt{b, e.Time, e.Actor}
	i.ask(GateScope, b.Model, e)
}
