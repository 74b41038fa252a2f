// Package onnx accounts for ONNX models: every tensor that says that its bytes
// are elsewhere, wherever in the model it stands; operators that need native
// code or run Python; graphs that compare their input with something and then
// answer with a constant; tensors that contradict themselves. It does not know
// what the operators compute, and does not look at the numbers.
package onnx

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/onnx"
)

// Detector accounts for ONNX models.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// kinds are the rules for what the reader finds.
var kinds = map[format.TroubleKind]string{
	format.Unknown: ruleUnknown, format.Shape: ruleShape, format.Deep: ruleDeep, format.Twice: ruleShape,
}

// examiner is a model while it is judged.
type examiner struct {
	ctx context.Context //nolint:containedctx // lives as long as one judgement
	in  detect.Input
	out detect.Sink
	m   *format.Model
	// hits counts those of each rule.
	hits map[string]int
}

// maxOfARule is how many hits of one rule are reported in full.
const maxOfARule = 50

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	if in.Format == artifact.ExternalData {
		// Numbers have no form: that they are nothing else was found by sniffing.
		out.Fact("is taken for the numbers of an ONNX model, by its name")
		return nil
	}
	m, err := format.Read(in.Data, in.Data.Size(), format.Limits{})
	switch {
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrLimit):
		out.Hit(detect.Hit{Rule: ruleUnread, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	x := &examiner{ctx: ctx, in: in, out: out, m: m, hits: map[string]int{}}
	for _, t := range m.Troubles {
		x.hit(detect.Hit{Rule: kinds[t.Kind], Offset: t.Offset, Name: t.Name, Node: t.Where, Summary: t.Text})
	}
	if m.More > 0 {
		x.hit(detect.Hit{Rule: ruleShape, Offset: -1, Summary: fmt.Sprintf("%d more contradictions are not listed", m.More)})
	}
	if err := x.external(); err != nil {
		return err
	}
	x.operators()
	if m.Graph != nil {
		x.trigger(m.Graph)
	}
	return x.inside()
}

// hit reports something, and the same rule only so often.
func (x *examiner) hit(h detect.Hit) {
	if x.hits[h.Rule]++; x.hits[h.Rule] <= maxOfARule {
		x.out.Hit(h)
	}
}

// inside has the tensors looked at in a deep scan.
func (x *examiner) inside() error {
	if !x.in.Deep {
		return x.ctx.Err()
	}
	for n, t := range x.m.Tensors {
		if t.Length < 64 {
			continue
		}
		m := detect.Member{Name: fmt.Sprintf("(tensor %d)", n), Offset: t.Offset, Opaque: true, Data: io.NewSectionReader(x.in.Data, t.Offset, t.Length)}
		if err := x.out.Nested(x.ctx, m); err != nil {
			return err
		}
	}
	return nil
}
