// Package gguf accounts for GGUF files: the description is read as strictly as
// it can be, the tensors have to lie in the file, apart from each other and
// without bytes between them, and chat templates go on to be scanned as such.
// The numbers are data; they are probed for files that hide in them only when
// the scan is deep. The meaning of other keys is not looked at.
package gguf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/gguf"
)

// Detector accounts for GGUF files.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleUnread     = "WW-GGUF-001"
	ruleCount      = "WW-GGUF-002"
	ruleImpossible = "WW-GGUF-003"
	ruleTwice      = "WW-GGUF-004"
	ruleOverlap    = "WW-GGUF-005"
	ruleHidden     = "WW-GGUF-006"
	ruleShort      = "WW-GGUF-007"
	ruleUnknown    = "WW-GGUF-008"
	ruleForm       = "WW-GGUF-009"
)

// kinds are the rules for what the reader finds.
var kinds = map[format.TroubleKind]string{
	format.Count: ruleCount, format.ValueKind: ruleCount, format.Depth: ruleCount, format.Impossible: ruleImpossible,
	format.Outside: ruleImpossible, format.Twice: ruleTwice, format.Overlap: ruleOverlap, format.Hidden: ruleHidden,
	format.Short: ruleShort, format.Unknown: ruleUnknown, format.Form: ruleForm, format.Old: ruleUnread,
}

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const (
		writer = "Find out what wrote the file. The converters in use do not write this, so somebody did on purpose or a tool is broken; do not open it with a loader, and take the file from a source that is verified."
		fetch  = "Fetch the file again from a source that is verified, and compare the digest."
	)
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, do, misses string) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0076"}, About: about, Do: do, Misses: misses, Cases: []int{77}}
	}
	return detect.Info{
		Name: "gguf", Formats: []artifact.Format{artifact.GGUF}, Covers: []artifact.Format{artifact.GGUF},
		Rules: []detect.Rule{
			rule(ruleUnread, "GGUF file that cannot be read", finding.Medium, finding.Inconclusive,
				"The file ends within its description, is of a version that readers of today refuse, or describes more than this program keeps. What was read before was judged.", fetch, "Everything behind the place."),
			rule(ruleCount, "counts and lengths that no GGUF file has", finding.Critical, finding.Malicious,
				"A number of keys, tensors or elements, or the length of a text, is more than the file could hold many times over; a value has a type that does not exist; or arrays are nested without end. Readers in C allocate and copy by such numbers, which has led to memory corruption more than once.", writer, "Numbers that are merely a little too large: they look like a file that was cut off."),
			rule(ruleImpossible, "impossible tensors in a GGUF file", finding.Critical, finding.Malicious,
				"A tensor has more dimensions than ggml knows, one that is zero or negative, a size that overflows, half a block in a row, a name longer than readers keep, or a place that is not aligned or behind the end; or the alignment is no power of two. Readers in C compute sizes from this and write beyond their buffers.", writer, "Nothing known."),
			rule(ruleTwice, "a key or tensor given twice in a GGUF file", finding.High, finding.Malicious,
				"Two keys or two tensors have one name. Readers disagree about which one counts.", writer, "Names that differ only after Unicode normalisation."),
			rule(ruleOverlap, "tensors of a GGUF file that share bytes", finding.High, finding.Malicious,
				"Two tensors have bytes in common.", writer, "Nothing known."),
			rule(ruleHidden, "bytes of a GGUF file that belong to nothing", finding.Medium, finding.Suspicious,
				"There are bytes before, between or behind the tensors, or padding that is not zero: this is where a second file hides. Such bytes were probed for formats that load or run.", writer, "Data hidden in the numbers themselves."),
			rule(ruleShort, "GGUF data cut short", finding.Medium, finding.Inconclusive,
				"The file ends within a tensor: it is not complete.", fetch, "Nothing known."),
			rule(ruleUnknown, "unknown type of tensor in a GGUF file", finding.Medium, finding.Inconclusive,
				"A tensor has a type that this program does not know, so that nobody checked its length.", "Look whether a newer version of this program knows the type.", "The numbers of such a tensor, and what hides behind them."),
			rule(ruleForm, "odd form of a GGUF file", finding.Medium, finding.Suspicious,
				"The file is written for big-endian machines, a key has odd characters, a value has another type than its key wants, or an address is none of the web. Readers differ in what they make of that.", writer, "Nothing known."),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	f, err := format.Read(in.Data, in.Data.Size(), format.Limits{})
	switch {
	case errors.Is(err, format.ErrTruncated), errors.Is(err, format.ErrVersion), errors.Is(err, format.ErrLimit), errors.Is(err, format.ErrMalformed):
		out.Hit(detect.Hit{Rule: ruleUnread, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	for _, t := range f.Troubles {
		out.Hit(detect.Hit{Rule: kinds[t.Kind], Offset: t.Offset, Length: t.Length, Name: t.Name, Summary: t.Text})
	}
	if f.More > 0 {
		out.Hit(detect.Hit{Rule: ruleForm, Offset: 0, Summary: fmt.Sprintf("%d more lies of the description are not listed", f.More)})
	}
	for _, v := range f.Values {
		if err := value(ctx, in, out, v); err != nil {
			return err
		}
	}
	return inside(ctx, in, out, f)
}

// templateKey begins the keys of chat templates: one without a name, and one
// more for each name.
const templateKey = "tokenizer.chat_template"

// value looks at the keys whose text somebody interprets.
func value(ctx context.Context, in detect.Input, out detect.Sink, v format.Value) error {
	switch {
	case v.Key == templateKey || strings.HasPrefix(v.Key, templateKey+"."):
		if v.Type != format.String && (v.Type != format.Array || v.Element != format.String) {
			out.Hit(detect.Hit{Rule: ruleForm, Offset: v.Offset, Name: v.Key, Summary: fmt.Sprintf("the chat template %.80q is no text", v.Key)})
		}
		if v.Count > uint64(len(v.Strings)) {
			out.Hit(detect.Hit{Rule: ruleUnread, Offset: v.Offset, Name: v.Key, Summary: fmt.Sprintf("only %d of %d chat templates were looked at", len(v.Strings), v.Count)})
		}
		for n, s := range v.Strings {
			name := v.Key
			if v.Type == format.Array {
				name = fmt.Sprintf("%s[%d]", v.Key, n)
			}
			m := detect.Member{Name: name, Offset: s.Offset, As: artifact.Template, Data: io.NewSectionReader(in.Data, s.Offset, s.Length)}
			if err := out.Nested(ctx, m); err != nil {
				return err
			}
		}
	case strings.HasSuffix(v.Key, "url") && v.Type == format.String && v.Strings[0].Length > 0:
		head := make([]byte, min(64, v.Strings[0].Length))
		if n, err := in.Data.ReadAt(head, v.Strings[0].Offset); n < len(head) {
			return fmt.Errorf("read address: %w", err)
		}
		if scheme, _, ok := strings.Cut(strings.ToLower(string(head)), ":"); ok && scheme != "https" && scheme != "http" && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" {
			out.Hit(detect.Hit{Rule: ruleForm, Offset: v.Strings[0].Offset, Name: v.Key, Evidence: head, Summary: fmt.Sprintf("the value of %.80q is no address of the web", v.Key)})
		}
	}
	return nil
}

// inside has looked at what stands where no tensor is, and in a deep scan at
// the tensors.
func inside(ctx context.Context, in detect.Input, out detect.Sink, f *format.File) error {
	probe := func(name string, at, length int64) error {
		length = min(length, in.Data.Size()-at)
		if length < 16 {
			return nil
		}
		return out.Nested(ctx, detect.Member{Name: name, Offset: at, Opaque: true, Data: io.NewSectionReader(in.Data, at, length)})
	}
	for _, t := range f.Troubles {
		if t.Kind != format.Hidden {
			continue
		}
		if err := probe(fmt.Sprintf("(gap at %d)", t.Offset), t.Offset, t.Length); err != nil {
			return err
		}
	}
	if !in.Deep {
		return nil
	}
	for n, t := range f.Tensors {
		if err := probe(fmt.Sprintf("(tensor %d)", n), t.Offset, t.Length); err != nil {
			return err
		}
	}
	return nil
}
