// Package sniff says what an artifact is, by its content. Names decide only
// where bytes cannot: source code is text like any other.
//
// An artifact can be several things at once, since loaders look for their
// signature in different places; each of them is named, and more than one is
// for the caller to call suspicious. What it cannot name is
// [artifact.Unknown], which is not the same as harmless.
//
// Adding a format means a row in the table of this package.
package sniff

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/format/pickle"
)

// Result is what an artifact is.
type Result struct {
	// Formats are what loaders would take it for, the likeliest first. There
	// is at least one.
	Formats []artifact.Format
	// Special are the special forms of these: a zip may be a torch archive.
	Special []artifact.Format
}

// Is returns the most telling of the formats.
func (r Result) Is() artifact.Format {
	if len(r.Special) > 0 {
		return r.Special[0]
	}
	return r.Formats[0]
}

// All returns the formats and the special forms.
func (r Result) All() []artifact.Format { return slices.Concat(r.Formats, r.Special) }

// HeadLength is how many bytes from the start decide most cases.
const HeadLength = 4096

// tailLength reaches the end record of a zip behind the longest comment.
const tailLength = 66 << 10

// Sniff looks at the artifact called name. It reads some kilobytes at the
// start and the end. The error is that of reading.
func Sniff(name string, data io.ReaderAt, size int64) (Result, error) {
	p := &probe{name: name, data: data, size: size}
	head := make([]byte, min(size, HeadLength))
	n, err := data.ReadAt(head, 0)
	if err != nil && (!errors.Is(err, io.EOF) || n < len(head)) {
		return Result{}, fmt.Errorf("read start: %w", err)
	}
	p.head = head[:n]
	r := p.match()
	if p.err != nil {
		return Result{}, fmt.Errorf("read end: %w", p.err)
	}
	return r, nil
}

// Head is [Sniff] for a caller that has only the start of a file of that size.
func Head(name string, head []byte, size int64) Result {
	p := &probe{name: name, head: head[:min(len(head), HeadLength)], size: size}
	return p.match()
}

// Imports reports whether head begins a pickle that imports something, which
// arbitrary numbers do not.
func Imports(head []byte) bool { return pickle.Imports(head) }

func (p *probe) match() (r Result) {
	if p.size == 0 {
		return Result{Formats: []artifact.Format{artifact.Empty}}
	}
	for _, k := range kinds {
		switch {
		case k.weak && len(r.Formats) > 0, slices.Contains(r.All(), k.format):
		case k.within != "" && slices.Contains(r.Formats, k.within) && k.match(p):
			r.Special = append(r.Special, k.format)
		case k.within == "" && k.match(p):
			r.Formats = append(r.Formats, k.format)
			p.strong = true
		}
	}
	if len(r.Formats) == 0 {
		r.Formats = []artifact.Format{artifact.Unknown}
	}
	return r
}

// probe is the artifact while it is sniffed.
type probe struct {
	name string
	head []byte
	size int64
	data io.ReaderAt // nil when there is only the head
	end  []byte
	read bool
	err  error
	// strong says that a kind matched already.
	strong bool
}

// tail returns the last bytes. It reads them only once, and only when asked.
func (p *probe) tail() []byte {
	if p.read || p.data == nil {
		return p.end
	}
	p.read = true
	if p.size <= int64(len(p.head)) {
		p.end = p.head
		return p.end
	}
	buf := make([]byte, min(p.size, tailLength))
	n, err := p.data.ReadAt(buf, p.size-int64(len(buf)))
	if err != nil && (!errors.Is(err, io.EOF) || n < len(buf)) {
		p.err = err
		return nil
	}
	p.end = buf
	return p.end
}
