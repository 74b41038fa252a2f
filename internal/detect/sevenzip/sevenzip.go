// Package sevenzip accounts for 7z archives: every member goes on to be
// scanned, and what cannot be unpacked is reported as not understood. It does
// not know what the members mean.
package sevenzip

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/sevenzip"
)

// Detector accounts for 7z archives.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleBroken    = "WW-7Z-001"
	ruleEncrypted = "WW-7Z-002"
	ruleCoder     = "WW-7Z-003"
	ruleGap       = "WW-7Z-004"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Unpack the archive away from production and scan what comes out. Loaders of models do not read 7z: somebody unpacks it by hand, or a loader that was made for it does."
	rule := func(id, title string, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: finding.Medium, Verdict: v, Techniques: []string{"AML.T0076"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	inc, sus := finding.Inconclusive, finding.Suspicious
	formats := []artifact.Format{artifact.SevenZip}
	return detect.Info{
		Name: "sevenzip", Formats: formats, Covers: formats,
		Rules: []detect.Rule{
			rule(ruleBroken, "7z that cannot be followed", inc, "The headers of the archive are malformed, cut off, in a form that is not read, or larger than the limits.", "All members.", 52),
			rule(ruleEncrypted, "encrypted 7z", inc, "The headers or a member are encrypted. Nobody can say what is in it.", "The encrypted members.", 52, 53),
			rule(ruleCoder, "7z in a form that is not read", inc, "A member is compressed with a coder, or a chain of coders, that is not known: PPMd, filters for executables and others.", "The members that it is used for.", 52),
			rule(ruleGap, "bytes that belong to nothing in a 7z", sus, "There are bytes in the file that no header refers to: between the members or behind the end. They were probed for formats that load or run.", "Nothing known.", 52),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	a, err := format.Read(in.Data, in.Data.Size(), format.Limits{})
	switch {
	case errors.Is(err, format.ErrEncrypted):
		out.Hit(detect.Hit{Rule: ruleEncrypted, Offset: 0, Summary: "the headers of the archive are encrypted"})
		return nil
	case errors.Is(err, format.ErrUnsupported):
		out.Hit(detect.Hit{Rule: ruleCoder, Offset: 0, Summary: fmt.Sprintf("the headers of the archive cannot be unpacked: %v", err)})
		return nil
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrTruncated), errors.Is(err, format.ErrLimit):
		out.Hit(detect.Hit{Rule: ruleBroken, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	opener := a.NewOpener()
	for i := range a.Members {
		if err := member(ctx, out, opener, &a.Members[i]); err != nil {
			return err
		}
	}
	for _, g := range a.Gaps {
		out.Hit(detect.Hit{Rule: ruleGap, Offset: g.Offset, Length: g.Length, Summary: fmt.Sprintf("%d bytes belong to nothing in the archive", g.Length)})
		if err := out.Nested(ctx, detect.Member{Name: "(gap)", Offset: g.Offset, Opaque: true, Data: io.NewSectionReader(in.Data, g.Offset, g.Length)}); err != nil {
			return err
		}
	}
	return nil
}

// maxTarget is how long the target of a link may be.
const maxTarget = 4096

// member hands one member over.
func member(ctx context.Context, out detect.Sink, o *format.Opener, m *format.Member) error {
	d := detect.Member{Name: m.Name, Offset: m.Offset, Size: m.Size, Packed: m.Packed}
	switch {
	case errors.Is(m.Err, format.ErrEncrypted):
		out.Hit(detect.Hit{Rule: ruleEncrypted, Offset: m.Offset, Node: m.Name, Summary: fmt.Sprintf("the member %.80q is encrypted", m.Name)})
	case m.Err != nil:
		out.Hit(detect.Hit{Rule: ruleCoder, Offset: m.Offset, Node: m.Name, Summary: fmt.Sprintf("the member %.80q cannot be unpacked: %v", m.Name, m.Err)})
	case m.Directory:
		d.Kind = artifact.Directory
	case m.Link:
		d.Kind = artifact.Symlink
		if r, err := o.Open(m); err == nil {
			target, _ := io.ReadAll(io.LimitReader(r, maxTarget)) // what cannot be read is reported as a link all the same
			d.Target = string(target)
			_ = r.Close()
		}
	default:
		d.Open = func() (io.ReadCloser, error) { return o.Open(m) }
	}
	return out.Nested(ctx, d)
}
