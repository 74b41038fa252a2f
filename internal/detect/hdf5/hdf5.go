// Package hdf5 accounts for HDF5 files: bytes that are taken from other files,
// links out of the file, what the structure does not explain. Configurations
// in attributes go on to be judged as JSON, and every other value and dataset
// is probed for formats that load. The numbers are not looked at.
package hdf5

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/hdf5"
)

// Detector accounts for HDF5 files.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleExternal = "WW-HDF5-001"
	ruleLink     = "WW-HDF5-002"
	ruleVirtual  = "WW-HDF5-003"
	ruleUser     = "WW-HDF5-004"
	ruleFilter   = "WW-HDF5-005"
	ruleUnread   = "WW-HDF5-006"
	ruleTail     = "WW-HDF5-007"
	ruleTooMuch  = "WW-HDF5-008"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Do not load the file. Compare it with the version that was deployed before, and find out who wrote it: libraries that save models do not write this."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0018"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	mal, sus, inc := finding.Malicious, finding.Suspicious, finding.Inconclusive
	return detect.Info{
		Name: "hdf5", Formats: []artifact.Format{artifact.HDF5}, Covers: []artifact.Format{artifact.HDF5},
		Rules: []detect.Rule{
			rule(ruleExternal, "a dataset in another file", finding.High, mal, "The bytes of a dataset are read from other files of the host when the model is loaded, and become weights that can be read back (CVE-2026-1669, Keras before 3.12.1 and 3.13.2).", "Nothing known.", 66),
			rule(ruleLink, "a link into another file", finding.High, mal, "A group has a link to an object of another HDF5 file, which is opened when the link is followed (CVE-2026-1669).", "Nothing known.", 66),
			rule(ruleVirtual, "a dataset made of other datasets", finding.High, mal, "A virtual dataset takes its parts from other files. One that takes them from the file itself is only suspicious: nobody saves weights like this.", "Which files a virtual dataset names behind the first.", 66),
			rule(ruleUser, "a link of a class of its own", finding.Medium, sus, "A link is of a class that a program has to register. What following it does is not known.", "What the program does.", 66),
			rule(ruleFilter, "a filter that needs a plugin", finding.Medium, inc, "A dataset went through a filter that HDF5 does not bring along. To read it, a library is loaded from the plugin path of the host.", "The filters' parameters."),
			rule(ruleUnread, "HDF5 that is not understood", finding.Medium, inc, "A part of the file is malformed, or of a form that is not read. Everything else was.", "What is in that part.", 66),
			rule(ruleTail, "bytes behind the end of an HDF5 file", finding.Medium, sus, "The file goes on behind the end that its superblock names. Readers of HDF5 do not see that, others may. It was probed for formats that load.", "Nothing known.", 47),
			rule(ruleTooMuch, "an HDF5 file that exhausts its reader", finding.Medium, inc, "A limit of the reader was reached: objects, blocks, or bytes of structure. Real models stay far below.", "Everything behind the limit."),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	x := &examiner{ctx: ctx, in: in, out: out, seen: map[string]bool{}}
	err := format.Walk(in.Data, in.Data.Size(), format.Limits{}, x)
	return x.failed("", -1, err)
}

// examiner is one file.
type examiner struct {
	ctx context.Context //nolint:containedctx // lives as long as one Detect
	in  detect.Input
	out detect.Sink
	// seen are remarks that were made: a broken file has many of a kind.
	seen map[string]bool
	// gaps is how many bytes belong to nothing.
	gaps int64
}

// failed reports what the reader could not make sense of. Other errors are
// those of reading, and of the scanner.
func (x *examiner) failed(path string, offset int64, err error) error {
	var rule string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, format.ErrLimit):
		rule = ruleTooMuch
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrUnsupported):
		rule = ruleUnread
	default:
		return err
	}
	if len(x.seen) < 100 && !x.seen[rule+path+err.Error()] {
		x.seen[rule+path+err.Error()] = true
		x.out.Hit(detect.Hit{Rule: rule, Offset: offset, Node: path, Summary: fmt.Sprintf("not understood: %v", err)})
	}
	return nil
}

// probe has a stretch of the file looked at for formats that load.
func (x *examiner) probe(what string, e format.Extent) error {
	return x.out.Nested(x.ctx, detect.Member{
		Name: fmt.Sprintf("(%s at %d)", what, e.Offset), Offset: e.Offset, Opaque: true, Data: io.NewSectionReader(x.in.Data, e.Offset, e.Length),
	})
}

// minProbed is the length from which on a value can hide something.
const minProbed = 16

// Attribute implements [format.Visitor].
func (x *examiner) Attribute(path string, a format.Attribute) error {
	if slices.Contains([]string{"model_config", "training_config", "keras_config"}, a.Name) {
		values := a.Strings
		if len(a.Raw) > 0 { // of a type that is no text: readers may take it for text all the same
			values = append(values, a.Raw)
		}
		for n, s := range values {
			m := detect.Member{
				Name: fmt.Sprintf("%s (%d at %d)", a.Name, n, a.Offset), Offset: a.Offset, As: artifact.JSON,
				Data: io.NewSectionReader(bytes.NewReader(s), 0, int64(len(s))),
			}
			if err := x.out.Nested(x.ctx, m); err != nil {
				return err
			}
		}
		return nil
	}
	for n, s := range append(a.Strings, a.Raw) {
		if len(s) < minProbed {
			continue
		}
		m := detect.Member{
			Name: fmt.Sprintf("(value %d at %d)", n, a.Offset), Offset: a.Offset, Opaque: true, Data: io.NewSectionReader(bytes.NewReader(s), 0, int64(len(s))),
		}
		if err := x.out.Nested(x.ctx, m); err != nil {
			return err
		}
	}
	return x.ctx.Err()
}

// Link implements [format.Visitor].
func (x *examiner) Link(path string, l format.Link) error {
	h := detect.Hit{Offset: l.Offset, Node: path, Name: l.File}
	switch l.Kind {
	case format.ExternalLink:
		h.Rule, h.Summary = ruleLink, fmt.Sprintf("%.80q leads to %.80q in the file %.120q", path, l.Target, l.File)
	case format.UserLink:
		h.Rule, h.Summary = ruleUser, fmt.Sprintf("%.80q is a link of class %d", path, l.Class)
	default:
		return x.ctx.Err()
	}
	x.out.Hit(h)
	return x.ctx.Err()
}

// builtIn are the filters that come with HDF5, and that of h5py.
var builtIn = []uint16{1, 2, 3, 4, 5, 6, 32000}

// Dataset implements [format.Visitor].
func (x *examiner) Dataset(path string, d format.Dataset) error {
	hit := func(rule string, v finding.Verdict, name, text string, args ...any) {
		x.out.Hit(detect.Hit{Rule: rule, Verdict: v, Offset: d.Offset, Node: path, Name: name, Summary: fmt.Sprintf(text, args...)})
	}
	for _, name := range d.External {
		hit(ruleExternal, 0, name, "the dataset %.80q has its bytes in the file %.120q", path, name)
	}
	for _, name := range d.Virtual {
		switch name {
		case "?": // not read: the verdict of the first holds, or the reader said so
		case ".", "":
			hit(ruleVirtual, finding.Suspicious, name, "the dataset %.80q is made of others of this file", path)
		default:
			hit(ruleVirtual, 0, name, "the dataset %.80q takes its bytes from the file %.120q", path, name)
		}
	}
	if len(d.Virtual) > 0 && !slices.ContainsFunc(d.Virtual, func(s string) bool { return s != "." && s != "" && s != "?" }) && slices.Contains(d.Virtual, "?") {
		hit(ruleVirtual, finding.Suspicious, "", "the dataset %.80q is made of others, of which not all were read", path)
	}
	for _, id := range d.Filters {
		if !slices.Contains(builtIn, id) {
			hit(ruleFilter, 0, "", "the dataset %.80q needs filter %d", path, id)
		}
	}
	for n, e := range d.Extents {
		if e.Length < minProbed || n >= 16 && !x.in.Deep {
			continue
		}
		if err := x.probe("data", e); err != nil {
			return err
		}
	}
	return x.ctx.Err()
}

// Odd implements [format.Visitor].
func (x *examiner) Odd(o format.Odd) error {
	if o.Err != nil {
		return x.failed(o.Path, o.Offset, o.Err)
	}
	switch o.Kind {
	case format.Hollow:
		x.out.Fact("has the signature of HDF5 and nothing but zeros behind it: there is nothing to load")
		return nil
	case format.Tail:
		x.out.Hit(detect.Hit{Rule: ruleTail, Offset: o.Offset, Length: o.Length, Summary: fmt.Sprintf("%d bytes behind the end", o.Length)})
		return x.probe("tail", o.Extent)
	case format.UserBlock:
		return x.probe("user block", o.Extent)
	default:
		if x.gaps == 0 {
			x.out.Fact("has bytes that belong to no object, as files do from which something was deleted; they were probed")
		}
		x.gaps += o.Length
		return x.probe("gap", o.Extent)
	}
}
