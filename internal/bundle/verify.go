package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Kind says what is wrong at a place.
type Kind string

// What can be wrong with a bundle.
const (
	Altered   Kind = "altered"   // bytes are not what was sealed
	Missing   Kind = "missing"   // a member is gone
	Added     Kind = "added"     // bytes or a member that were not sealed
	Reordered Kind = "reordered" // a member stands in another place
	Truncated Kind = "truncated" // the file ends too early
	Unsealed  Kind = "unsealed"  // the seal does not cover the manifest, or is not by its key
	Lost      Kind = "lost"      // from here on nothing stands where it belongs
	Record    Kind = "record"    // a log contradicts its own chain or checkpoints
	Before    Kind = "before"    // was found altered already when the bundle was made
)

// Problem is one thing that is wrong, with its place in the file.
type Problem struct {
	Kind   Kind   `json:"kind"`
	Member string `json:"member"`
	// Offset and Length are in bytes of the file: the header, the content or
	// the padding that is concerned, down to the first byte that differs
	// where that can be known.
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Detail string `json:"detail"`
}

// maxProblems bounds a report on a file of which everything is wrong.
const maxProblems = 1000

// Options says what a bundle is verified against, beyond itself.
type Options struct {
	// Key is the key that must have sealed the bundle; nil for the one that
	// the bundle names, which proves that nothing changed since somebody
	// sealed it, and not who that was.
	Key *evidence.VerifierKey
	// Checkpoints are signed notes of its logs that were kept elsewhere.
	Checkpoints []string
}

// Report is the outcome of a verification.
type Report struct {
	Incident   string    `json:"incident_id"`
	ExportedAt time.Time `json:"exported_at,omitzero"`
	ExportedBy string    `json:"exported_by"`
	Key        string    `json:"key"`
	// KeyFrom is "given" or "bundle".
	KeyFrom string `json:"key_from"`
	// Untrusted says that the bundle is sealed, but by another key than the
	// one given.
	Untrusted bool   `json:"untrusted"`
	Bytes     int64  `json:"bytes"`
	Members   int    `json:"members"`
	Items     int    `json:"evidence_items"`
	Entries   uint64 `json:"entries"`
	// Stamps are the time stamps in the record, each of a checkpoint that is
	// in the bundle and verifies. Whether the authorities are trusted is for
	// others to say.
	Stamps   []incident.Stamped `json:"-"`
	Problems []Problem          `json:"problems"`
	Notes    []string           `json:"notes"`
}

// Intact reports whether nothing is wrong with the bundle itself.
func (r *Report) Intact() bool { return len(r.Problems) == 0 }

// Verify verifies a bundle. What is wrong with it is in the report; an error
// is trouble with reading it, or says that it is no bundle ([fault.Incomplete]).
func Verify(ctx context.Context, r io.ReaderAt, size int64, o Options) (*Report, error) {
	v := &verifier{ctx: ctx, r: r, size: size, options: o, places: map[string]span{}}
	v.report = &Report{Bytes: size, Problems: []Problem{}, Notes: []string{}}
	if err := v.verify(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(v.report.Problems, func(a, b Problem) int { return int(min(max(a.Offset-b.Offset, -1), 1)) })
	return v.report, nil
}

// span is the content of a member in the file.
type span struct{ at, size int64 }

type verifier struct {
	ctx     context.Context
	r       io.ReaderAt
	size    int64
	options Options
	report  *Report

	manifest Manifest
	digest   artifact.Digest // of the manifest's content
	members  []Member
	seen     []bool
	places   map[string]span // of the logs
	key      evidence.VerifierKey
	pos      int64
	next     int // the member that is expected
	astray   int // headers in a row that were none
	// trusted are the checkpoints from elsewhere, by log.
	trusted map[string][]string
}

func (v *verifier) add(k Kind, member string, offset, length int64, format string, args ...any) {
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, Problem{k, member, offset, length, fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) verify() error {
	ok, err := v.readManifest()
	if err != nil || !ok {
		return err
	}
	v.seen = make([]bool, len(v.members))
	for more := true; more; {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if more, err = v.step(); err != nil {
			return err
		}
	}
	for i, m := range v.members {
		if !v.seen[i] {
			v.add(Missing, m.Name, v.pos, 0, "the member is not in the file")
		}
	}
	if err := v.readSeal(); err != nil {
		return err
	}
	for _, a := range v.manifest.Altered {
		v.add(Before, "", 0, 0, "when the bundle was made: %s", a)
	}
	return v.records()
}

// readBlock reads the header at pos; false at the end of the file.
func (v *verifier) readBlock(member string) (h []byte, ok bool, err error) {
	if v.pos+block > v.size {
		v.add(Truncated, member, v.size, 0, "the file ends at byte %d, in front of %s", v.size, member)
		return nil, false, nil
	}
	h = make([]byte, block)
	_, err = v.r.ReadAt(h, v.pos)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return h, err == nil, unreadable(err)
}

func unreadable(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Incomplete, "read bundle: %w", err)
}

// readManifest reads the first member. Without it nothing can be held against
// anything, so false ends the verification.
func (v *verifier) readManifest() (bool, error) {
	begin := make([]byte, min(v.size, int64(len(manifestName))))
	if _, err := v.r.ReadAt(begin, 0); err != nil && !errors.Is(err, io.EOF) {
		return false, unreadable(err)
	}
	if v.size < block && string(begin) != manifestName[:len(begin)] {
		return false, noBundle()
	}
	h, ok, err := v.readBlock(manifestName)
	if err != nil || !ok {
		return false, err
	}
	name, size, canonical := parseHeader(h)
	switch {
	case !canonical || name != manifestName:
		return false, v.noManifest(h)
	case size > maxManifest:
		return false, fault.New(fault.Incomplete, "the manifest claims %d bytes; more than %d are not read", size, maxManifest)
	case size > v.size-block:
		v.add(Truncated, manifestName, v.size, 0, "the file ends at byte %d, within %s", v.size, manifestName)
		return false, nil
	}
	return v.parse(size)
}

func noBundle() error {
	return fault.New(fault.Incomplete, "this is no bundle: it does not begin with %s", manifestName).
		WithHint("make one: weightwarden incident export ID -f FILE")
}

// noManifest says what is wrong with the first header. The size that belongs
// there follows from the content, which ends in front of the first NUL.
func (v *verifier) noManifest(h []byte) error {
	content := make([]byte, max(0, min(v.size-block, maxManifest)))
	if _, err := v.r.ReadAt(content, block); err != nil && !errors.Is(err, io.EOF) {
		return unreadable(err)
	}
	if end := bytes.IndexByte(content, 0); end >= 0 {
		content = content[:end]
	}
	at, differ := firstDifference(h, header(manifestName, int64(bytes.LastIndexByte(content, '\n')+1)))
	if differ > 40 {
		return noBundle()
	}
	v.add(Altered, manifestName, int64(at), int64(differ), "the header differs from its one form, first at byte %d, so nothing else can be verified", at)
	return nil
}

func (v *verifier) parse(size int64) (bool, error) {
	content := make([]byte, size) // at most maxManifest, and no more than the file has
	if _, err := v.r.ReadAt(content, block); err != nil && !errors.Is(err, io.EOF) {
		return false, unreadable(err)
	}
	v.digest = artifact.SHA256Of(content)
	var at int
	var err error
	v.manifest, v.members, at, err = parseManifest(content)
	if err != nil {
		v.add(Altered, manifestName, block+int64(at), size-int64(at), "the manifest cannot be read (%s), so nothing else can be verified", artifact.Quote(err.Error()))
		return false, nil
	}
	m := v.manifest
	v.report.Incident, v.report.ExportedAt, v.report.ExportedBy = m.Incident, m.ExportedAt, m.ExportedBy
	v.report.Members = len(v.members) + 2
	v.report.Key = m.Key
	v.pos = block
	if err := v.padding(manifestName, size); err != nil {
		return false, err
	}
	return true, nil
}

// padding looks at the bytes between a member's content, which begins at pos,
// and the next block, and moves there.
func (v *verifier) padding(name string, size int64) error {
	end := v.pos + padded(size)
	buf := make([]byte, padded(size)-size)
	n, err := v.r.ReadAt(buf[:max(0, min(int64(len(buf)), v.size-v.pos-size))], v.pos+size)
	if err != nil && !errors.Is(err, io.EOF) {
		return unreadable(err)
	}
	if at, differ := firstDifference(buf[:n], make([]byte, n)); differ > 0 {
		offset := v.pos + size + int64(at)
		v.add(Altered, name, offset, int64(differ), "the padding behind it is not empty at byte %d", offset)
	}
	if end > v.size {
		v.add(Truncated, name, v.size, end-v.size, "the file ends at byte %d, in the padding behind %s", v.size, name)
	}
	v.pos = end
	return nil
}

// step reads the member at pos. It is false where the seal should be.
func (v *verifier) step() (more bool, err error) {
	if v.next == len(v.members) {
		// Between the last member and the seal nothing may stand.
		h, ok, err := v.peek()
		if err != nil || !ok {
			return false, err
		}
		name, size, canonical := parseHeader(h)
		if !canonical || name == sealName {
			return false, nil
		}
		return true, v.stray(name, size)
	}
	want := v.members[v.next]
	h, ok, err := v.readBlock(want.Name)
	if err != nil || !ok {
		return false, err
	}
	name, size, canonical := parseHeader(h)
	switch {
	case canonical && name == sealName:
		return false, nil
	case canonical && name == want.Name && size == want.Size:
		v.next++
		v.astray = 0
		return true, v.content(v.next-1, size)
	case canonical:
		v.astray = 0
		return true, v.stray(name, size)
	default:
		return v.broken(h, want)
	}
}

// peek returns the block at pos, without blame for a file that ends there.
func (v *verifier) peek() (h []byte, ok bool, err error) {
	if v.pos+block > v.size {
		return nil, false, nil
	}
	return v.readBlock(sealName)
}

// broken says where a header is not the one that belongs here, and goes on as
// if it were. After two in a row there is no telling where anything stands.
func (v *verifier) broken(h []byte, want Member) (bool, error) {
	at, differ := firstDifference(h, header(want.Name, want.Size))
	offset := v.pos + int64(at)
	v.add(Altered, want.Name, offset, int64(differ), "the header differs from its one form in %d bytes, first at byte %d", differ, offset)
	if v.astray++; v.astray > 1 && differ > 16 {
		v.add(Lost, want.Name, v.pos, v.size-v.pos, "from byte %d on nothing stands where it belongs: bytes were taken out or put in before", v.pos)
		for i := v.next; i < len(v.members); i++ {
			v.seen[i] = true // not found, and said so
		}
		v.next, v.pos = len(v.members), v.size
		return false, nil
	}
	v.next++
	return true, v.content(v.next-1, want.Size)
}

// stray reads a member that is whole but not the one that belongs here.
func (v *verifier) stray(name string, size int64) error {
	at := v.pos
	i, listed := slices.BinarySearchFunc(v.members, name, func(m Member, name string) int {
		return bytes.Compare([]byte(m.Name), []byte(name))
	})
	switch {
	case !listed:
		v.add(Added, name, at, block+padded(size), "the manifest does not list this member")
	case v.seen[i]:
		v.add(Added, name, at, block+padded(size), "this is a second member of that name")
	case size != v.members[i].Size:
		v.add(Altered, name, at+sizeStart, sizeEnd-sizeStart, "it claims %d bytes; %d were sealed", size, v.members[i].Size)
		v.next = max(v.next, i+1)
		v.seen[i] = true
	default:
		if i < v.next {
			v.add(Reordered, name, at, block+padded(size), "the member stands behind others that it belongs before")
		}
		v.next = max(v.next, i+1)
		return v.content(i, size)
	}
	v.pos += block + padded(min(size, v.size))
	return nil
}

// content reads the content of the listed member i behind the header at pos.
func (v *verifier) content(i int, size int64) error {
	m := v.members[i]
	v.seen[i] = true
	v.pos += block
	if v.pos+size > v.size {
		v.add(Truncated, m.Name, v.size, v.pos+size-v.size, "the file ends at byte %d, within %s", v.size, m.Name)
		v.pos = v.size
		return nil
	}
	h := newHashing(v.ctx, io.NewSectionReader(v.r, v.pos, size))
	if _, err := io.Copy(io.Discard, h); err != nil {
		return unreadable(err)
	}
	got := h.digest()
	if got != m.SHA256 {
		v.add(Altered, m.Name, v.pos, size, "its %d bytes from byte %d on have SHA-256 %s; %s was sealed", size, v.pos, got, m.SHA256)
	}
	if name := evidenceDir + m.SHA256.Hex(); len(m.Name) == len(name) && m.Name != name && got == m.SHA256 {
		v.add(Before, m.Name, v.pos, size, "the evidence was altered before it was exported: it has SHA-256 %s", got)
	}
	v.places[m.Name] = span{v.pos, size}
	return v.padding(m.Name, size)
}
