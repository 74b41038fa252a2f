package manifest

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// A document is JSON, one entry a line, in the one form that [Manifest.Encode]
// writes. The frame holds the version, so that a reader of another version
// stops at the first line.
const (
	opening = `{"version":1,"files":[`
	middle  = `],"problems":[`
	closing = `]}`
	// maxLine is more than a path and a target of 4096 bytes each take when
	// every one of them is escaped.
	maxLine = 64 << 10
)

// Limits of [Decode]. Zero fields mean the defaults.
type Limits struct {
	// Entries is the most files and problems together; 0 is 4 million.
	Entries int
	// Bytes is the longest document; 0 is 2 GiB.
	Bytes int64
}

// Errors of [Decode].
var (
	// ErrMalformed is a document that [Manifest.Encode] does not write.
	ErrMalformed = errors.New("not a manifest document")
	// ErrLimit is a document beyond the [Limits].
	ErrLimit = errors.New("manifest document too large")
)

// Encode returns m as a JSON document: the same manifest, the same bytes. It
// fails for a manifest that [Decode] would refuse, such as one put together
// by hand and not sorted.
func (m *Manifest) Encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(opening)
	if err := encodeLines(&b, m.Files); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	b.WriteString(middle)
	if err := encodeLines(&b, m.Problems); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	b.WriteString(closing + "\n")
	if err := check(m); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b.Bytes(), nil
}

func encodeLines[T any](b *bytes.Buffer, entries []T) error {
	for i := range entries {
		line, err := json.Marshal(&entries[i])
		if err != nil {
			return err
		}
		if len(line)+len(",\n") > maxLine {
			return fmt.Errorf("an entry of %d bytes: %w", len(line), ErrLimit)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(line)
	}
	b.WriteByte('\n')
	return nil
}

// Decode reads what [Manifest.Encode] writes and nothing else: any other
// spelling of the same document, unknown or repeated fields, entries out of
// order, paths that [artifact.CheckPath] refuses and entries that no walk can
// yield are [ErrMalformed]. Whoever holds the result may rely on it.
func Decode(r io.Reader, lim Limits) (*Manifest, error) {
	budget := cmp.Or(lim.Bytes, 2<<30)
	d := decoder{
		r:       bufio.NewReaderSize(io.LimitReader(r, budget+1), maxLine),
		entries: cmp.Or(lim.Entries, 4_000_000),
		bytes:   budget,
	}
	m, err := d.document()
	if err != nil {
		return nil, fmt.Errorf("read manifest, line %d: %w", d.line, err)
	}
	if err := check(m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return m, nil
}

type decoder struct {
	r       *bufio.Reader
	line    int
	entries int   // that may still come
	bytes   int64 // that may still come
}

func (d *decoder) document() (*Manifest, error) {
	if err := d.frame(opening); err != nil {
		return nil, err
	}
	files, err := decodeLines[artifact.File](d, middle)
	if err != nil {
		return nil, err
	}
	problems, err := decodeLines[Problem](d, closing)
	if err != nil {
		return nil, err
	}
	if _, err := d.r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, cmp.Or(err, fmt.Errorf("something follows the end: %w", ErrMalformed))
	}
	return &Manifest{Files: files, Problems: problems}, nil
}

func (d *decoder) frame(want string) error {
	line, err := d.next()
	if err == nil && string(line) != want {
		err = fmt.Errorf("%.80q instead of %q: %w", line, want, ErrMalformed)
	}
	return err
}

// next returns a line without its end. The bytes are good until the next call.
func (d *decoder) next() ([]byte, error) {
	d.line++
	line, err := d.r.ReadSlice('\n')
	d.bytes -= int64(len(line))
	switch {
	case d.bytes < 0 || errors.Is(err, bufio.ErrBufferFull):
		return nil, ErrLimit
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("it ends in the middle: %w", ErrMalformed)
	case err != nil:
		return nil, err
	}
	return line[:len(line)-1], nil
}

// decodeLines reads entries up to the line end. All but the last have a comma.
func decodeLines[T any](d *decoder, end string) ([]T, error) {
	entries := []T{}
	more := false
	for {
		line, err := d.next()
		if err != nil {
			return nil, err
		}
		if string(line) == end && !more {
			return entries, nil
		}
		if len(entries) > 0 && !more {
			return nil, fmt.Errorf("%.80q instead of %q: %w", line, end, ErrMalformed)
		}
		if d.entries--; d.entries < 0 {
			return nil, ErrLimit
		}
		line, more = bytes.CutSuffix(line, []byte{','})
		entry, err := decodeLine[T](line)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
}

// decodeLine accepts the one spelling an entry has. What encoding/json lets
// pass, a key given twice or in capitals, does not survive the way back.
func decodeLine[T any](line []byte) (entry T, err error) {
	if err := json.Unmarshal(line, &entry); err != nil {
		return entry, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	again, err := json.Marshal(&entry)
	if err != nil {
		return entry, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(line, again) {
		return entry, fmt.Errorf("%.80q is not how this entry is written: %w", line, ErrMalformed)
	}
	return entry, nil
}

// check refuses what no walk yields.
func check(m *Manifest) error {
	troubled := map[string]bool{}
	for i, p := range m.Problems {
		if err := checkProblem(p); err != nil {
			return err
		}
		if i > 0 && byPathAndKind(m.Problems[i-1], p) >= 0 {
			return fmt.Errorf("problem %.80q is out of order: %w", p.Path, ErrMalformed)
		}
		troubled[p.Path] = troubled[p.Path] || p.Kind != Name
	}
	for i := range m.Files {
		f := &m.Files[i]
		if err := checkFile(f, troubled[f.Path]); err != nil {
			return err
		}
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return fmt.Errorf("file %.80q is out of order: %w", f.Path, ErrMalformed)
		}
	}
	return nil
}

func checkProblem(p Problem) error {
	switch p.Kind {
	case Unreadable, Unstable, LinkEscapes, Special, Walk, Writer:
		if err := artifact.CheckPath(p.Path); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	case Name:
		if s, err := strconv.Unquote(p.Path); err != nil || strconv.Quote(s) != p.Path {
			return fmt.Errorf("problem %.80q: the name is not quoted: %w", p.Path, ErrMalformed)
		}
	default:
		return fmt.Errorf("problem %.80q has the kind %.20q: %w", p.Path, string(p.Kind), ErrMalformed)
	}
	if p.Reason == "" || !utf8.ValidString(p.Reason) {
		return fmt.Errorf("problem %.80q gives no reason: %w", p.Path, ErrMalformed)
	}
	return nil
}

func checkFile(f *artifact.File, troubled bool) error {
	if err := artifact.CheckPath(f.Path); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	bad := func(what string) error {
		return fmt.Errorf("file %.80q %s: %w", f.Path, what, ErrMalformed)
	}
	regular := f.Kind == artifact.Regular
	switch {
	case !known(f.Kind) || f.Mode != 0 && artifact.KindOf(f.Mode) != f.Kind:
		return bad(fmt.Sprintf("has the kind %.20q and the mode %v", string(f.Kind), f.Mode))
	case f.Size < 0 || !regular && f.Size != 0:
		return bad("has a size it cannot have")
	case !f.Digest.IsZero() && (!regular || f.Digest.Algorithm() != artifact.SHA256):
		return bad("has a digest it cannot have")
	case f.Digest.IsZero() && regular && !troubled:
		return bad("has neither a digest nor a problem")
	case f.Target != "" && f.Kind != artifact.Symlink || !utf8.ValidString(f.Target):
		return bad("has a target it cannot have")
	case f.Target == "" && f.Kind == artifact.Symlink && !troubled:
		return bad("leads nowhere, and has no problem")
	}
	return nil
}

func known(k artifact.Kind) bool {
	switch k {
	case artifact.Regular, artifact.Symlink, artifact.Directory, artifact.FIFO, artifact.Socket, artifact.Device, artifact.Irregular:
		return true
	default:
		return false
	}
}
