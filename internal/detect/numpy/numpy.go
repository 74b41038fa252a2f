// Package numpy accounts for npy files: a header that is what numpy writes,
// and behind it as many numbers as it says, or a pickle, which is scanned as
// one. The numbers are not looked at.
package numpy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/numpy"
)

// Detector accounts for npy files.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleHeader = "WW-NUMPY-001"
	ruleShort  = "WW-NUMPY-002"
	ruleTail   = "WW-NUMPY-003"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Find out who wrote the file, and with what. Numpy does not write this."
	rule := func(id, title string, v finding.Verdict, about, misses string) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: finding.Medium, Verdict: v, Techniques: []string{"AML.T0076"}, About: about, Do: look, Misses: misses, Cases: []int{54}}
	}
	return detect.Info{
		Name: "numpy", Formats: []artifact.Format{artifact.NumPy}, Covers: []artifact.Format{artifact.NumPy},
		Rules: []detect.Rule{
			rule(ruleHeader, "odd npy header", finding.Suspicious, "The header is longer than the file, is no plain literal, or has other keys than numpy writes. Old readers evaluate it.", "Nothing known."),
			rule(ruleShort, "npy with too few numbers", finding.Suspicious, "The file holds fewer bytes than the shape says.", "Nothing known."),
			rule(ruleTail, "bytes behind an array", finding.Suspicious, "There are bytes behind the last number. They were probed for formats that load or run.", "Data of no known format."),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	size := in.Data.Size()
	h, err := format.ReadHeader(in.Data, size)
	switch {
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrTruncated), errors.Is(err, format.ErrLimit):
		out.Hit(detect.Hit{Rule: ruleHeader, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	if h.Objects {
		return out.Nested(ctx, detect.Member{
			Name: "(objects)", Offset: h.Data, Data: io.NewSectionReader(in.Data, h.Data, size-h.Data), As: artifact.Pickle,
		})
	}
	end := h.Data + h.Bytes
	switch {
	case h.Bytes > size-h.Data:
		out.Hit(detect.Hit{Rule: ruleShort, Offset: h.Data, Summary: fmt.Sprintf("%d bytes of numbers, the shape says %d", size-h.Data, h.Bytes)})
		end = size
	case end < size:
		out.Hit(detect.Hit{Rule: ruleTail, Offset: end, Length: size - end, Summary: fmt.Sprintf("%d bytes behind the array", size-end)})
		tail := detect.Member{Name: "(tail)", Offset: end, Opaque: true, Data: io.NewSectionReader(in.Data, end, size-end)}
		if err := out.Nested(ctx, tail); err != nil {
			return err
		}
	}
	return out.Nested(ctx, detect.Member{Name: "(numbers)", Offset: h.Data, Opaque: true, Data: io.NewSectionReader(in.Data, h.Data, end-h.Data)})
}
