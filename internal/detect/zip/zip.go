// Package zip accounts for zip archives: every entry goes on to be scanned,
// also those that no directory mentions, and everything in which two readers
// may disagree is reported. It does not know what the members mean, but for
// what torch archives keep as plain numbers.
package zip

import (
	"compress/bzip2"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/torch"
	format "github.com/weightwarden/weightwarden/internal/format/zip"
)

// Detector accounts for zip archives.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleDiffers   = "WW-ZIP-001"
	ruleFlags     = "WW-ZIP-002"
	ruleCRC       = "WW-ZIP-003"
	rulePrefix    = "WW-ZIP-004"
	ruleGap       = "WW-ZIP-005"
	ruleUnlisted  = "WW-ZIP-006"
	ruleEnds      = "WW-ZIP-007"
	ruleSizes     = "WW-ZIP-008"
	ruleMethod    = "WW-ZIP-009"
	ruleEncrypted = "WW-ZIP-010"
	ruleBroken    = "WW-ZIP-011"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Find out how the archive was made. Unpack it with several tools, away from production, and compare. Archives from the usual libraries do not look like this."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0076"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	sus, inc := finding.Suspicious, finding.Inconclusive
	return detect.Info{
		Name: "zip", Formats: []artifact.Format{artifact.Zip}, Covers: []artifact.Format{artifact.Zip},
		Rules: []detect.Rule{
			rule(ruleDiffers, "the two headers of a zip entry disagree", finding.High, sus, "The directory and the header before the data name different things. Scanners stop there, and loaders take one or the other. The data was scanned.", "Fields that no loader uses.", 43, 49),
			rule(ruleFlags, "flags that stop scanners", finding.High, sus, "The entry claims to be encrypted or patched, and is neither: loaders of models ignore the flags. The data was scanned.", "Entries that really are encrypted are another rule.", 44),
			rule(ruleCRC, "wrong checksum in a zip", finding.Medium, sus, "The checksum of an entry is not that of its data. Scanners stop there; loaders of models do not check. The data was scanned.", "Stored data of more than 16 million bytes, unless the scan is deep.", 45),
			rule(rulePrefix, "data in front of a zip", finding.High, sus, "The archive begins behind other data. Readers that begin at the front see something else than readers that begin at the end.", "Nothing known.", 47),
			rule(ruleGap, "bytes that belong to no zip entry", finding.High, sus, "Between the entries, before the directory or behind the end there are bytes that are no padding.", "Padding in extra fields, which torch uses for alignment.", 48),
			rule(ruleUnlisted, "zip entry without a directory record", finding.High, sus, "Readers that go from front to back see an entry that the directory does not mention. It was scanned.", "Nothing known.", 48),
			rule(ruleEnds, "more than one end of a zip", finding.High, sus, "Readers can find different directories: there is a second end record, or those of zip and zip64 disagree.", "Nothing known.", 48, 49),
			rule(ruleSizes, "sizes and counts of a zip that lie", finding.High, sus, "Counts or sizes are not what is there, entries share bytes, or records point to what is no entry.", "Nothing known.", 46, 49),
			rule(ruleMethod, "unsupported compression in a zip", finding.Medium, inc, "An entry is compressed in a way this program does not read. The usual libraries store or deflate.", "The content of the entry.", 49),
			rule(ruleEncrypted, "encrypted zip entry", finding.Medium, inc, "An entry is encrypted. Nothing can be said about what it holds.", "The content of the entry.", 53),
			rule(ruleBroken, "zip without a usable directory", finding.Medium, inc, "No directory can be read. Entries that could be found from the front were scanned.", "Entries that could not be found.", 48),
		},
	}
}

// rulesOf says which rule a trouble is.
var rulesOf = map[format.TroubleKind]string{
	format.Differs: ruleDiffers, format.Prefix: rulePrefix, format.Gap: ruleGap, format.Tail: ruleGap, format.Overlap: ruleSizes,
	format.Ends: ruleEnds, format.Counts: ruleSizes, format.NoLocal: ruleSizes, format.Unlisted: ruleUnlisted, format.OutOfFile: ruleSizes,
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	a, err := format.Read(in.Data, in.Data.Size(), format.Limits{})
	if err != nil {
		if !errors.Is(err, format.ErrMalformed) && !errors.Is(err, format.ErrLimit) {
			return err
		}
		out.Hit(detect.Hit{Rule: ruleBroken, Offset: -1, Summary: err.Error()})
	}
	for _, t := range a.Troubles {
		summary := t.Text
		if t.Entry != "" {
			summary = fmt.Sprintf("entry %.80q: %s", t.Entry, t.Text)
		}
		out.Hit(detect.Hit{Rule: rulesOf[t.Kind], Offset: t.Offset, Length: t.Length, Node: t.Entry, Summary: summary})
		if err := stray(ctx, in, out, t); err != nil {
			return err
		}
	}
	names := make([]string, 0, len(a.Entries))
	for i := range a.Entries {
		names = append(names, a.Entries[i].Central.Name)
	}
	layout, isTorch := torch.LayoutOf(names)
	for i := range a.Entries {
		w := work{in: in, out: out, a: a, e: &a.Entries[i], layout: layout, torch: isTorch}
		if err := w.entry(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stray has bytes scanned that belong to no entry.
func stray(ctx context.Context, in detect.Input, out detect.Sink, t format.Trouble) error {
	if t.Kind != format.Gap && t.Kind != format.Tail && t.Kind != format.Prefix {
		return nil
	}
	return out.Nested(ctx, detect.Member{
		Name: fmt.Sprintf("(bytes at %d)", t.Offset), Offset: t.Offset, Opaque: true,
		Data: io.NewSectionReader(in.Data, t.Offset, t.Length),
	})
}

// work is one entry.
type work struct {
	in     detect.Input
	out    detect.Sink
	a      *format.Archive
	e      *format.Entry
	layout torch.Layout
	torch  bool
}

func (w work) hit(rule, text string, args ...any) {
	name := w.e.Central.Name
	w.out.Hit(detect.Hit{Rule: rule, Offset: w.e.Offset, Node: name, Summary: fmt.Sprintf("entry %.80q: ", name) + fmt.Sprintf(text, args...)})
}

// Types of a Unix mode.
const (
	modeType = 0o170000
	modeLink = 0o120000
	modeFile = 0o100000
	modeDir  = 0o040000
)

// entry hands one entry over.
func (w work) entry(ctx context.Context) error {
	c := w.e.Central
	m := detect.Member{Name: c.Name, Offset: w.e.Data, Size: c.Size, Packed: c.Packed}
	if c.Name == "" {
		m.Name = fmt.Sprintf("(entry at %d)", w.e.Offset)
	}
	if w.torch {
		_, m.Opaque = w.layout.Storage(c.Name)
		if w.layout.Code(c.Name) {
			m.As = artifact.Text
		}
	}
	switch w.e.Mode & modeType {
	case 0, modeFile:
	case modeDir:
		m.Kind = artifact.Directory
	case modeLink:
		m.Kind = artifact.Symlink
	default:
		m.Kind = artifact.Device
	}
	if w.e.Data < 0 {
		return nil
	}
	section := w.a.Section(w.e)
	if m.Kind == artifact.Symlink {
		target, err := io.ReadAll(io.LimitReader(section, 4096))
		if err != nil {
			return err
		}
		m.Target = string(target)
		return w.out.Nested(ctx, m)
	}
	if m.Kind == artifact.Directory || c.Name != "" && c.Name[len(c.Name)-1] == '/' && section.Size() == 0 {
		return nil
	}
	return w.data(ctx, m, section)
}

// checkLimit is up to which size the checksum of stored data is checked
// without a deep scan.
const checkLimit = 16 << 20

// data decides how an entry's data is read. Both headers' methods are tried
// when they differ, since loaders take one or the other.
func (w work) data(ctx context.Context, m detect.Member, section *io.SectionReader) error {
	methods := []uint16{w.e.Central.Method}
	if l := w.e.Local.Method; l != methods[0] {
		methods = append(methods, l)
	}
	for _, method := range methods {
		switch method {
		case format.Stored:
			m.Data, m.Open = io.NewSectionReader(section, 0, section.Size()), nil
		case format.Deflated:
			m.Data, m.Open = nil, func() (io.ReadCloser, error) {
				return flate.NewReader(io.NewSectionReader(section, 0, section.Size())), nil
			}
		case format.BZIP2:
			m.Data, m.Open = nil, func() (io.ReadCloser, error) {
				return io.NopCloser(bzip2.NewReader(io.NewSectionReader(section, 0, section.Size()))), nil
			}
		default:
			w.hit(ruleMethod, "compression method %d", method)
			continue
		}
		locked, err := w.check(ctx, m)
		if err != nil {
			return err
		}
		if locked {
			continue
		}
		if err := w.out.Nested(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// check compares size and checksum. It reports whether the entry is encrypted
// and nothing is to be gained from its bytes.
func (w work) check(ctx context.Context, m detect.Member) (locked bool, err error) {
	encrypted := w.e.Central.Encrypted() || w.e.Local.Encrypted()
	flagged := encrypted || (w.e.Central.Flags|w.e.Local.Flags)&(1<<5) != 0
	if m.Data != nil && m.Data.Size() > checkLimit && !w.in.Deep && !flagged {
		if m.Data.Size() != w.e.Central.Size {
			w.hit(ruleSizes, "%d bytes are stored, the size is said to be %d", m.Data.Size(), w.e.Central.Size)
		}
		return false, nil
	}
	sum, size, bad := w.sum(ctx, m)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	right := bad == nil && sum == w.e.Central.CRC
	if encrypted && !right && !readable(m) {
		w.hit(ruleEncrypted, "is encrypted")
		return true, nil
	}
	if flagged {
		w.hit(ruleFlags, "flags %#x say that it is encrypted or patched, and its data is plain", w.e.Central.Flags|w.e.Local.Flags)
	}
	switch {
	case bad != nil: // the scanner says so when it unpacks the member
	case size != w.e.Central.Size:
		w.hit(ruleSizes, "has %d bytes, the size is said to be %d", size, w.e.Central.Size)
	case !right:
		w.hit(ruleCRC, "has the checksum %08x, said is %08x", sum, w.e.Central.CRC)
	}
	return false, nil //nolint:nilerr // what is wrong with the data is a finding
}

// readable reports whether data with a wrong checksum looks like something all
// the same: loaders that ignore the flag ignore the checksum too.
func readable(m detect.Member) bool {
	if m.Data == nil {
		r, err := m.Open()
		if err != nil {
			return false
		}
		defer func() { _ = r.Close() }()
		n, err := io.CopyN(io.Discard, r, 512)
		return n == 512 || errors.Is(err, io.EOF) && n > 0
	}
	head := make([]byte, 2)
	n, _ := m.Data.ReadAt(head, 0)
	return n == 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5
}

// sum reads an entry's data to its end.
func (w work) sum(ctx context.Context, m detect.Member) (sum uint32, size int64, err error) {
	var r io.Reader
	if m.Data != nil {
		r = io.NewSectionReader(m.Data, 0, m.Data.Size())
	} else {
		open, err := m.Open()
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = open.Close() }()
		r = open
	}
	h := crc32.NewIEEE()
	limit := 4*w.in.Data.Size() + 1<<30
	for size <= limit && ctx.Err() == nil {
		n, err := io.CopyN(h, r, 1<<20)
		size += n
		if errors.Is(err, io.EOF) {
			return h.Sum32(), size, nil
		}
		if err != nil {
			return 0, size, err
		}
	}
	return 0, size, errors.New("too much")
}
