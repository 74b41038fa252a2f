package report

import (
	"cmp"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Metrics are durations in seconds. One that is not known, or would be
// negative because a stated time cannot be right, is absent.
type Metrics struct {
	// MTTD is from the first bad time to detection.
	MTTD *float64 `json:"mttd_seconds,omitempty"`
	// MTTA is from detection to the declaration of the incident.
	MTTA *float64 `json:"mtta_seconds,omitempty"`
	// MTTC is from detection to containment as observed.
	MTTC *float64 `json:"mttc_seconds,omitempty"`
	// MTTR is from detection to recovery as observed.
	MTTR *float64 `json:"mttr_seconds,omitempty"`
	// Dwell is from the first bad time to containment.
	Dwell *float64 `json:"dwell_seconds,omitempty"`
	// FirstBad is the earliest moment from which the model has to be taken as
	// tampered with; Source says how that is known.
	FirstBad time.Time `json:"first_bad_at,omitzero"`
	Source   string    `json:"first_bad_source,omitempty"`
	// Measured are the same figures against their targets.
	Measured []Measured `json:"measured"`
}

// Measured is a figure against its target.
type Measured struct {
	Name    string   `json:"name"`
	From    string   `json:"from"`
	To      string   `json:"to"`
	Seconds *float64 `json:"seconds,omitempty"`
	// Target is the most that it should be, in seconds; 0 where there is no
	// target.
	Target float64 `json:"target_seconds,omitempty"`
	// Met is absent where there is no target or no figure.
	Met *bool `json:"met,omitempty"`
}

// The targets of the response, in seconds.
const (
	declareWithin = 15 * 60
	containWithin = 15 * 60
	restoreWithin = 4 * 60 * 60
)

func measure(inc *incident.Incident) Metrics {
	bad, source := inc.FirstBad()
	if bad.IsZero() {
		source = ""
	}
	detected, _ := inc.Detected()
	recovered := inc.MovedAt(action.Rollback)
	contained := cmp.Or(inc.MovedAt(action.Isolate), recovered)
	m := Metrics{
		MTTD: seconds(bad, detected), MTTA: seconds(detected, inc.OpenedAt), MTTC: seconds(detected, contained),
		MTTR: seconds(detected, recovered), Dwell: seconds(bad, contained),
		FirstBad: bad.UTC(), Source: source,
	}
	first := "first bad time"
	if source != "" {
		first += " (" + source + ")"
	}
	m.Measured = []Measured{
		measured("MTTD", first, "detection", m.MTTD, 0),
		measured("MTTA", "detection", "declaration", m.MTTA, declareWithin),
		measured("MTTC", "detection", "containment as observed", m.MTTC, containWithin),
		measured("MTTR", "detection", "recovery as observed", m.MTTR, restoreWithin),
		measured("Dwell", first, "containment as observed", m.Dwell, 0),
	}
	return m
}

func measured(name, from, to string, seconds *float64, target float64) Measured {
	m := Measured{Name: name, From: from, To: to, Seconds: seconds, Target: target}
	if seconds != nil && target > 0 {
		met := *seconds <= target
		m.Met = &met
	}
	return m
}

func seconds(from, to time.Time) *float64 {
	if from.IsZero() || to.Before(from) {
		return nil
	}
	s := to.Sub(from).Seconds()
	return &s
}
