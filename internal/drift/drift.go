// Package drift compares the distribution of recent model outputs with a
// reference distribution and says whether the behaviour has changed.
//
// It measures the plain Jensen-Shannon divergence in bits, without smoothing:
// the mixture of two distributions is positive wherever one of them is, so
// nothing is ever divided by zero. It knows nothing of sample-size corrected
// thresholds, of repeated looking, and of where the outputs come from; it
// opens no file.
package drift

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/indicator"
)

// DefaultThreshold is the divergence in bits above which behaviour counts as
// changed, as in the published guide.
const DefaultThreshold = 0.15

// evidenceClasses bounds the classes of a distribution that go into an
// indicator; an incident's ledger is no place for a hundred thousand names.
const evidenceClasses = 200

// Config says where the outputs of one model are found.
type Config struct {
	// Outputs is a file of recent outputs, JSON Lines. Empty means that
	// behaviour is not checked.
	Outputs string `json:"outputs,omitempty" yaml:"outputs"`
	// Reference is a file of reference outputs, or a distribution.
	Reference string `json:"reference,omitempty" yaml:"reference"`
}

// Distribution is the share of each class. Shares are zero or more; they need
// not add up to 1, because every use divides by their sum.
type Distribution map[string]float64

// Sample is what was read of a file of outputs.
type Sample struct {
	// Counts is the number of outputs of each class.
	Counts map[string]int
	// Unreadable is the number of lines without an understandable class.
	Unreadable int
	// FirstLine is the number of the first unreadable line, from 1; 0 when
	// there is none.
	FirstLine int
	// FirstReason says why that line was not understood.
	FirstReason string
}

// Size returns the number of outputs that were understood.
func (s Sample) Size() int {
	n := 0
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Distribution returns the shares of the classes, or an empty distribution
// for an empty sample.
func (s Sample) Distribution() Distribution {
	n := float64(s.Size())
	d := make(Distribution, len(s.Counts))
	for class, c := range s.Counts {
		if c > 0 {
			d[class] = float64(c) / n
		}
	}
	return d
}

// State is the answer of one check.
type State string

// The states. Only Stable is an answer without trouble.
const (
	// Stable means that everything was read and the divergence is not above
	// the threshold.
	Stable State = "stable"
	// Drift means that the divergence is above the threshold. It outranks
	// unreadable lines.
	Drift State = "drift"
	// Insufficient means that there are no outputs to judge by.
	Insufficient State = "insufficient"
	// Unreadable means that outputs or reference were not fully understood.
	Unreadable State = "unreadable"
)

// Report is the outcome of one check.
type Report struct {
	State State `json:"state"`
	// JSD is the Jensen-Shannon divergence in bits, from 0 to 1; nil when
	// there was nothing to compare.
	JSD *float64 `json:"jsd"`
	// JSDDistance is the square root of JSD.
	JSDDistance *float64 `json:"jsd_distance"`
	Threshold   float64  `json:"threshold"`
	// SampleCount is the number of recent outputs that were understood.
	SampleCount int `json:"sample_count"`
	// UnreadableLines is the number of recent outputs that were not.
	UnreadableLines      int          `json:"unreadable_lines"`
	RecentDistribution   Distribution `json:"recent_distribution"`
	BaselineDistribution Distribution `json:"baseline_distribution"`
	// Reason says why the state is not stable. Names in it are quoted.
	Reason string `json:"reason,omitempty"`
}

// Failed returns the report for outputs or a reference that could not be read
// at all.
func Failed(threshold float64, reason string) Report {
	return Report{
		State: Unreadable, Threshold: threshold, Reason: reason,
		RecentDistribution: Distribution{}, BaselineDistribution: Distribution{},
	}
}

// Check compares recent outputs with the reference. Drift is a divergence
// greater than threshold, in bits.
func Check(recent Sample, reference Distribution, threshold float64) Report {
	r := Report{
		Threshold: threshold, SampleCount: recent.Size(), UnreadableLines: recent.Unreadable,
		RecentDistribution: recent.Distribution(), BaselineDistribution: reference.normalised(),
	}
	if r.SampleCount > 0 && len(r.BaselineDistribution) > 0 {
		jsd := JSD(r.RecentDistribution, r.BaselineDistribution)
		distance := math.Sqrt(jsd)
		r.JSD, r.JSDDistance = &jsd, &distance
	}
	r.State, r.Reason = r.judge(recent)
	return r
}

// judge puts what was found before what was not understood, and that before
// what was not there.
func (r Report) judge(recent Sample) (State, string) {
	switch {
	case r.JSD != nil && *r.JSD > r.Threshold:
		return Drift, fmt.Sprintf("divergence of %.4f bits is above the threshold of %.4g", *r.JSD, r.Threshold)
	case recent.Unreadable > 0:
		return Unreadable, fmt.Sprintf("%d lines of outputs were not understood, the first is line %d: %s",
			recent.Unreadable, recent.FirstLine, recent.FirstReason)
	case len(r.BaselineDistribution) == 0:
		return Unreadable, "the reference distribution is empty"
	case r.SampleCount == 0:
		return Insufficient, "there are no outputs"
	default:
		return Stable, ""
	}
}

// Indicators returns the signs that the report holds, none when it is stable.
// Their ids depend on source only, so that drift which goes on is one
// observation whatever the figures.
func (r Report) Indicators(source string, at time.Time) []indicator.Indicator {
	var out []indicator.Indicator
	add := func(t indicator.Type, text string) {
		out = append(out, indicator.New(t, source, at, text, r.evidence()))
	}
	switch r.State {
	case Drift:
		add(indicator.BehaviorDrift, "the outputs are distributed unlike the reference: "+r.Reason)
	case Insufficient:
		add(indicator.BehaviorInsufficient, "behaviour was not judged: "+r.Reason)
	case Unreadable:
		add(indicator.BehaviorUnreadable, "behaviour was not judged: "+r.Reason)
	case Stable:
	}
	if r.State == Drift && r.UnreadableLines > 0 {
		add(indicator.BehaviorUnreadable, fmt.Sprintf("%d lines of outputs were not understood", r.UnreadableLines))
	}
	return out
}

// evidence has the guide's fields, with the largest classes only.
func (r Report) evidence() map[string]any {
	e := map[string]any{
		"sample_count": r.SampleCount, "threshold": r.Threshold, "reason": r.Reason,
		"recent_distribution":   r.RecentDistribution.largest(evidenceClasses),
		"baseline_distribution": r.BaselineDistribution.largest(evidenceClasses),
	}
	if r.JSD != nil {
		e["jsd"] = *r.JSD
	}
	if r.UnreadableLines > 0 {
		e["unreadable_lines"] = r.UnreadableLines
	}
	if n := max(len(r.RecentDistribution), len(r.BaselineDistribution)) - evidenceClasses; n > 0 {
		e["classes_left_out"] = n
	}
	return e
}

// largest returns the n classes with the largest shares.
func (d Distribution) largest(n int) Distribution {
	if len(d) <= n {
		return maps.Clone(d)
	}
	classes := slices.SortedFunc(maps.Keys(d), func(a, b string) int {
		return cmp.Or(cmp.Compare(d[b], d[a]), cmp.Compare(a, b))
	})
	out := make(Distribution, n)
	for _, c := range classes[:n] {
		out[c] = d[c]
	}
	return out
}
