package message

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// fact returns the value of a stated fact, or "".
func (v values) fact(name string) string { return free(v.inc.Facts[name].Value) }

// asked are the questions that every incident has to answer, with the facts
// that answer them.
var asked = []struct {
	text    string
	facts   []string
	outside bool
}{
	{"Since when the model was tampered with (the earliest sign counts for now)", []string{"first_bad_at"}, true},
	{"How the model was changed", []string{"root_cause_analysis"}, true},
	{"Which answers of the model were wrong", []string{"impacted_predictions", "affected_predictions"}, true},
	{"Whether data were exposed", []string{"data_exposure"}, true},
	{"What customers noticed", []string{"customer_impact"}, false},
}

// unknowns lists what nobody has stated yet, and what could not be looked at.
func (v values) unknowns() string {
	out := v.unanswered(false)
	for _, i := range v.incomplete() {
		out = append(out, "Could not be looked at: "+flat(i.Description))
	}
	for _, g := range v.inc.Gaps {
		out = append(out, "Evidence that could not be captured: "+flat(g.Type+" "+g.Name))
	}
	if len(out) == 0 {
		return "Nothing that we know of"
	}
	return strings.Join(out, "\n")
}

// customerUnknowns leaves out what is not for people outside.
func (v values) customerUnknowns() string {
	if out := v.unanswered(true); len(out) > 0 {
		return strings.Join(out, "\n")
	}
	return "Nothing that we know of"
}

func (v values) unanswered(outside bool) (out []string) {
	for _, q := range asked {
		answered := slices.ContainsFunc(q.facts, func(f string) bool { return v.fact(f) != "" || v.Overrides[f] != "" })
		if !answered && (q.outside || !outside) {
			out = append(out, q.text)
		}
	}
	return out
}

// verification says how the version in place was verified, as observed.
func (v values) verification() string {
	var out []string
	for _, p := range v.inc.Plans {
		if p.Action != action.Rollback || !p.Finished() {
			continue
		}
		for _, s := range p.Steps {
			if s.Observation.Detail != "" {
				out = append(out, flat(s.Summary)+": "+flat(s.Observation.Detail))
			}
		}
	}
	return strings.Join(out, "\n")
}

func (v values) evidence() string {
	if len(v.inc.Evidence) == 0 {
		return ""
	}
	return fmt.Sprintf("%d items of evidence are sealed, %d could not be captured", len(v.inc.Evidence), len(v.inc.Gaps))
}

// compromise lists the digests that others can look for.
func (v values) compromise() string {
	var out []string
	for _, m := range v.inc.Models {
		if a, ok := v.inc.Assessed[m]; ok && !a.Root.IsZero() {
			out = append(out, fmt.Sprintf("model %s, root digest %s", flat(m), a.Root.Hex()))
		}
	}
	for _, i := range v.inc.Indicators {
		if actual, ok := i.Evidence["actual_hash"].(string); ok && actual != "" {
			out = append(out, fmt.Sprintf("file %s, SHA-256 %s", flat(i.File()), flat(actual)))
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "\n")
}

// Numbered returns the number that the next rendering of a template has.
func Numbered(inc *incident.Incident, template string) int {
	if last, ok := inc.Rendered(template); ok {
		return last.Number + 1
	}
	return 1
}
