package incident

import (
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// The kinds of entry about how plans went, beyond their steps.
const (
	KindReverted  = "containment_reverted"  // Reverted
	KindSettled   = "plan_settled"          // Settled
	KindClock     = "clock_checked"         // ClockCheck
	KindAutomatic = "automatic_containment" // Automatic
)

// Reverted says that somebody else took back a step that was done.
type Reverted struct {
	Plan artifact.Digest `json:"plan_hash"`
	Step string          `json:"step"`
	// Times counts how often that was seen.
	Times int `json:"times"`
	action.Observation
}

// Settled says that everything a plan did was looked at again after a while,
// and still holds.
type Settled struct {
	Plan artifact.Digest `json:"plan_hash"`
	// Seconds is how long nothing was taken back.
	Seconds float64 `json:"seconds"`
}

// ClockCheck is what is known of the clock when something is done.
type ClockCheck struct {
	// Offset is what the host knows of how right its clock is.
	Offset string `json:"offset,omitempty"`
	// Jump is how far the clock was set while something was done, in
	// seconds, forwards or, negative, back; Since is where it was seen.
	Jump  float64 `json:"jump_seconds,omitempty"`
	Since string  `json:"since,omitempty"`
}

// Automatic says by which policy something is done without a person.
type Automatic struct {
	Policy  string          `json:"policy"`
	Model   string          `json:"model"`
	Plan    artifact.Digest `json:"plan_hash"`
	Expires time.Time       `json:"expires"`
	// Because names the indicator that the policy covers.
	Because string `json:"because"`
}

// RevertedAt is a step that was taken back, with the time.
type RevertedAt struct {
	Reverted
	At time.Time `json:"seen_at"`
}

// ClockJump is a clock that was set while something was done.
type ClockJump struct {
	ClockCheck
	At time.Time `json:"at"`
}

// AutomaticAt is something that was done without a person, with the time.
type AutomaticAt struct {
	Automatic
	At time.Time `json:"at"`
}

func foldReverted(i *Incident, e evidence.Entry, b Reverted) {
	i.Reverts = append(i.Reverts, RevertedAt{b, e.Time})
	i.changed(e)
	i.onStep(b.Plan, b.Step, func(p *PlanState, s *StepState) {
		s.Status, s.Observation = StepFailed, b.Observation
		p.EndedAt = time.Time{}
	})
}

func foldClock(i *Incident, e evidence.Entry, b ClockCheck) {
	if b.Jump != 0 {
		i.ClockJumps = append(i.ClockJumps, ClockJump{b, e.Time})
	}
}

func foldAutomatic(i *Incident, e evidence.Entry, b Automatic) {
	i.Automatic = append(i.Automatic, AutomaticAt{b, e.Time})
}
