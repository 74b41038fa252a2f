// Package xgboost accounts for models in XGBoost's old binary form. They hold
// numbers and run nothing; the library that reads them trusts their counts.
package xgboost

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/xgboost"
)

// Detector accounts for XGBoost's binary models.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleBroken = "WW-XGBOOST-001"
	ruleTail   = "WW-XGBOOST-002"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Save the model again as JSON or UBJSON, from a source that verifies."
	formats := []artifact.Format{artifact.XGBoost}
	return detect.Info{
		Name: "xgboost", Formats: formats, Covers: formats,
		Rules: []detect.Rule{
			{
				ID: ruleBroken, Title: "XGBoost model that does not add up", Severity: finding.High, Verdict: finding.Suspicious, Techniques: []string{"AML.T0076"},
				About: "Counts of the model do not fit the file, or nodes refer to nodes outside of their tree: the library reads and writes beyond its memory.", Do: look, Misses: "The numbers of the model.",
			},
			{
				ID: ruleTail, Title: "bytes behind an XGBoost model", Severity: finding.Medium, Verdict: finding.Suspicious, Techniques: []string{"AML.T0018.002"},
				About: "There are bytes behind the model that its reader does not see. They were probed for formats that load or run.", Do: look, Misses: "Data of no known format.",
			},
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	size := in.Data.Size()
	m, err := format.Read(in.Data, size)
	switch {
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrTruncated):
		out.Hit(detect.Hit{Rule: ruleBroken, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	case m.End == size:
		return nil
	}
	out.Hit(detect.Hit{Rule: ruleTail, Offset: m.End, Length: size - m.End, Summary: fmt.Sprintf("%d bytes behind the model", size-m.End)})
	return out.Nested(ctx, detect.Member{Name: "(tail)", Offset: m.End, Opaque: true, Data: io.NewSectionReader(in.Data, m.End, size-m.End)})
}
