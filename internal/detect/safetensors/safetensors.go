// Package safetensors accounts for safetensors files and for the index of a
// model in several of them: the header is read as strictly as it can be, and
// the tensors have to tile the rest. The numbers are data; they are probed for
// files that hide in them only when the scan is deep.
package safetensors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/safetensors"
)

// Detector accounts for safetensors files.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// kinds are the rules for what the reader finds.
var kinds = map[format.TroubleKind]string{
	format.Twice: ruleTwice, format.Number: ruleNumber, format.Extent: ruleNumber, format.Overlap: ruleTile, format.Hole: ruleTile,
	format.Tail: ruleTile, format.Short: ruleShort, format.Type: ruleType, format.Form: ruleForm,
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	if in.Format == artifact.TensorIndex {
		return index(ctx, in, out)
	}
	f, err := format.Read(in.Data, in.Data.Size(), format.Limits{})
	switch {
	case errors.Is(err, format.ErrTooLong):
		out.Hit(detect.Hit{Rule: ruleLong, Offset: 0, Length: 8, Summary: err.Error()})
		return nil
	case errors.Is(err, format.ErrTruncated), errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrLimit):
		out.Hit(detect.Hit{Rule: ruleUnread, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	hits(out, f.Troubles)
	for _, p := range f.Metadata {
		if at := code.FindStringIndex(p.Value); at != nil {
			out.Hit(detect.Hit{
				Rule: ruleCode, Offset: p.Offset, Name: p.Key, Evidence: []byte(p.Value[at[0]:]),
				Summary: fmt.Sprintf("the metadata %.80q holds what looks like code", p.Key),
			})
		}
	}
	if f.More > 0 {
		out.Hit(detect.Hit{Rule: ruleForm, Offset: 0, Summary: fmt.Sprintf("%d more lies of the header are not listed", f.More)})
	}
	return inside(ctx, in, out, f)
}

func hits(out detect.Sink, troubles []format.Trouble) {
	for _, t := range troubles {
		out.Hit(detect.Hit{Rule: kinds[t.Kind], Offset: t.Offset, Length: t.Length, Name: t.Tensor, Summary: t.Text})
	}
}

// code finds calls and imports that no description of a model has.
var code = regexp.MustCompile(`__import__|__builtins__|__subclasses__|__globals__|\b(?:eval|exec)\s*\(|\bos\.(?:system|popen|exec[lv]p?e?)\b|\bsubprocess\.|\bimport\s+(?:os|sys|subprocess|socket|ctypes|pickle|marshal)\b|\b(?:pickle|marshal)\.loads?\b|<script\b|\b(?:curl|wget)\s+-?\S*\s*https?://\S+\s*\|\s*(?:ba)?sh\b|/bin/(?:ba)?sh\b`)

// inside has looked at what stands where no tensor is, and in a deep scan at
// the tensors.
func inside(ctx context.Context, in detect.Input, out detect.Sink, f *format.File) error {
	for _, t := range f.Troubles {
		if t.Kind != format.Tail && t.Kind != format.Hole || t.Length == 0 {
			continue
		}
		m := detect.Member{Name: fmt.Sprintf("(gap at %d)", t.Offset), Offset: t.Offset, Opaque: true, Data: io.NewSectionReader(in.Data, t.Offset, t.Length)}
		if err := out.Nested(ctx, m); err != nil {
			return err
		}
	}
	if !in.Deep {
		return nil
	}
	for n, t := range f.Tensors {
		size := min(t.Length, in.Data.Size()-t.Offset)
		if size < 64 {
			continue
		}
		m := detect.Member{Name: fmt.Sprintf("(tensor %d)", n), Offset: t.Offset, Opaque: true, Data: io.NewSectionReader(in.Data, t.Offset, size)}
		if err := out.Nested(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
