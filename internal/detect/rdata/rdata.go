// Package rdata judges what R serializes: an object that holds a promise which
// is not evaluated yet runs code as soon as it is touched. It does not judge
// functions and calls that the object holds; those run when somebody calls
// them.
package rdata

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/rdata"
)

// Detector judges R data.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	rulePromise = "WW-R-001"
	ruleBroken  = "WW-R-002"
	ruleTail    = "WW-R-003"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	formats := []artifact.Format{artifact.RData}
	return detect.Info{
		Name: "rdata", Formats: formats, Covers: formats,
		Rules: []detect.Rule{
			{
				ID: rulePromise, Title: "R object with an unevaluated promise", Severity: finding.Critical, Verdict: finding.Malicious, Techniques: []string{"AML.T0011.000"},
				About: "The object holds a promise without a value: R evaluates its expression as soon as the object is used (CVE-2024-27322). R from 4.4 on refuses such files.",
				Do:    "Do not load the file. If it was loaded, treat the host as compromised, and keep the file as evidence.", Misses: "Functions and calls in the object, which run when somebody calls them.", Cases: []int{89},
			},
			{
				ID: ruleBroken, Title: "R data that is not read", Severity: finding.Medium, Verdict: finding.Inconclusive, Techniques: []string{"AML.T0076"},
				About: "The stream is malformed, cut off, larger than the limits, or in the form in ASCII.", Do: "Save the object again from a source that verifies, in a binary form.", Misses: "What follows.", Cases: []int{89},
			},
			{
				ID: ruleTail, Title: "bytes behind R data", Severity: finding.Medium, Verdict: finding.Suspicious, Techniques: []string{"AML.T0018.002"},
				About: "There are bytes behind the last item. They were probed for formats that load or run.", Do: "Find out what wrote the file, and what the bytes are.", Misses: "Data of no known format.", Cases: []int{89},
			},
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	size := in.Data.Size()
	r, err := format.Walk(in.Data, size, format.Limits{})
	for _, at := range r.Promises {
		out.Hit(detect.Hit{Rule: rulePromise, Offset: at, Node: "PROMSXP", Summary: "using this object evaluates an expression that the file brings"})
	}
	switch {
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrTruncated), errors.Is(err, format.ErrLimit), errors.Is(err, format.ErrUnsupported):
		out.Hit(detect.Hit{Rule: ruleBroken, Offset: r.End, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	if r.End == size {
		return nil
	}
	out.Hit(detect.Hit{Rule: ruleTail, Offset: r.End, Length: size - r.End, Summary: fmt.Sprintf("%d bytes behind the last item", size-r.End)})
	return out.Nested(ctx, detect.Member{Name: "(tail)", Offset: r.End, Opaque: true, Data: io.NewSectionReader(in.Data, r.End, size-r.End)})
}
