// Package finding says what was found in one artifact, how bad it is, and
// what the verdict over many findings is.
package finding

import (
	"cmp"
	"fmt"
)

// Severity orders findings and indicators by how bad they are.
type Severity int

// The severities, from harmless to worst.
const (
	Low Severity = iota + 1
	Medium
	High
	Critical
)

var severities = map[Severity]string{Low: "low", Medium: "medium", High: "high", Critical: "critical"}

// String returns the severity's name in lower case.
func (s Severity) String() string {
	if name, ok := severities[s]; ok {
		return name
	}
	return "none"
}

// ParseSeverity reads a severity's name.
func ParseSeverity(name string) (Severity, error) {
	for s, n := range severities {
		if n == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("no severity %.40q: use critical, high, medium or low", name)
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a severity's name.
func (s *Severity) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSeverity(string(text))
	return err
}

// Verdict is the judgement over one artifact. The order is that of
// precedence: what was found outweighs what was not understood, and only what
// was understood to the last byte is clean.
type Verdict int

// The verdicts.
const (
	// Clean means read, understood, and nothing found.
	Clean Verdict = iota + 1
	// Inconclusive means that something could not be read or understood.
	// It is never reported as clean.
	Inconclusive
	// Suspicious means something that deserves a person's look.
	Suspicious
	// Malicious means something that has no harmless reading.
	Malicious
)

var verdicts = map[Verdict]string{Clean: "clean", Inconclusive: "error", Suspicious: "suspicious", Malicious: "malicious"}

// String returns the verdict's name; Inconclusive is "error".
func (v Verdict) String() string {
	if name, ok := verdicts[v]; ok {
		return name
	}
	return "none"
}

// MarshalText writes the verdict's name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a verdict's name.
func (v *Verdict) UnmarshalText(text []byte) error {
	for candidate, name := range verdicts {
		if name == string(text) {
			*v = candidate
			return nil
		}
	}
	return fmt.Errorf("no verdict %.40q", text)
}

// Finding is one observation in one artifact or log.
type Finding struct {
	// Rule identifies what found it; never reused for anything else.
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Verdict  Verdict  `json:"verdict"`
	// File is the path of the artifact, slash-separated.
	File string `json:"file"`
	// Member is the path inside an archive, if any.
	Member string `json:"member,omitempty"`
	// Offset is the position in bytes from the start of File or Member; -1
	// where the finding is about the whole.
	Offset int64 `json:"offset"`
	// Length is how many bytes there it is about; 0 where that is not known.
	Length int64 `json:"length,omitempty"`
	// Summary is one sentence. Names in it are quoted.
	Summary string `json:"summary"`
	// Name is the resolved name of the callable, operator or layer it is
	// about, Node the opcode or the path of the node that holds it.
	Name string `json:"name,omitempty"`
	Node string `json:"node,omitempty"`
	// Evidence is what was seen there, at most some hundred bytes.
	Evidence string `json:"evidence,omitempty"`
	// Atlas lists MITRE ATLAS technique ids.
	Atlas []string `json:"atlas,omitempty"`
}

// Compare orders findings: worst first, then by place and rule, so that the
// same findings always make the same report.
func Compare(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(b.Verdict, a.Verdict),
		cmp.Compare(a.File, b.File),
		cmp.Compare(a.Member, b.Member),
		cmp.Compare(a.Offset, b.Offset),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Summary, b.Summary),
	)
}
