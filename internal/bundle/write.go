package bundle

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Source is what goes into a bundle.
type Source struct {
	// Incident and Host are the logs as stored; they may be altered.
	Incident, Host evidence.LogState
	// Open gives the bytes kept as the evidence d, whether or not they still
	// are what was sealed. Evidence that is not there is a NotFound or a Conflict fault.
	Open func(ctx context.Context, d artifact.Digest) (io.ReadCloser, error)
	Key  evidence.SigningKey
	// By is who exports, Now when, Clock what is known of the clock.
	By    string
	Now   time.Time
	Clock string
	// Altered is what is known to be altered already.
	Altered []string
	// Progress is told each member. May be nil.
	Progress func(name string)
}

// Summary says what was written.
type Summary struct {
	Members int             `json:"members"`
	Bytes   int64           `json:"bytes"`
	Items   int             `json:"evidence_items"`
	Entries int             `json:"entries"`
	Key     string          `json:"key"`
	SHA256  artifact.Digest `json:"manifest_sha256"`
	// Altered says what was not as it was sealed or signed.
	Altered []string `json:"altered_before_export"`
}

// part is a member before it is written: its content in memory, or evidence.
type part struct {
	Member
	content []byte
	object  artifact.Digest
}

// Write writes a bundle. Evidence is read twice: once to list what is really
// there, once to write it; a change between the two is a Conflict, and what
// was written until then is no bundle.
func Write(ctx context.Context, w io.Writer, s Source) (Summary, error) {
	out := Summary{
		Entries: len(s.Incident.Rows), Key: s.Key.Public().String(),
		Altered: append([]string{}, s.Altered...),
	}
	parts, err := s.parts(ctx, &out)
	if err != nil {
		return out, err
	}
	members := make([]Member, len(parts))
	for i, p := range parts {
		members[i] = p.Member
	}
	content, err := encodeManifest(Manifest{
		Format: formatName, Incident: s.Incident.Log, ExportedAt: s.Now.UTC(), ExportedBy: s.By, Clock: s.Clock,
		Key: out.Key, HostLog: s.Host.Log, Altered: out.Altered,
	}, members)
	if err != nil {
		return out, err
	}
	if len(parts) > maxMembers || len(content) > maxManifest {
		return out, fault.New(fault.Incomplete, "write bundle: %d members are more than a bundle can hold (%d)", len(parts), maxMembers)
	}
	out.SHA256 = artifact.SHA256Of(content)
	t := &tarWriter{w: w}
	t.member(ctx, Member{Name: manifestName, Size: int64(len(content)), SHA256: out.SHA256}, bytes.NewReader(content))
	for _, p := range parts {
		s.progress(p.Name)
		if err := s.write(ctx, t, p); err != nil {
			return out, err
		}
	}
	seal, err := Seal{
		Format: formatName, Incident: s.Incident.Log, Manifest: out.SHA256, Bytes: t.written, SealedAt: s.Now.UTC(), Key: out.Key,
	}.sign(s.Key)
	if err != nil {
		return out, err
	}
	t.member(ctx, Member{Name: sealName, Size: int64(len(seal)), SHA256: artifact.SHA256Of(seal)}, bytes.NewReader(seal))
	t.write(make([]byte, 2*block))
	out.Members, out.Bytes = len(members)+2, t.written
	return out, t.failure()
}

func (s Source) progress(name string) {
	if s.Progress != nil {
		s.Progress(name)
	}
}

// parts lists the members between manifest and seal, in the order of names.
func (s Source) parts(ctx context.Context, out *Summary) ([]part, error) {
	parts := []part{
		of(keyName, []byte(out.Key+"\n")),
		of(entriesName, rowLines(s.Incident.Rows)), of(notesName, noteLines(s.Incident.Notes)),
		of(hostEntriesName, rowLines(s.Host.Rows)), of(hostNotesName, noteLines(s.Host.Notes)),
	}
	seen := map[artifact.Digest]bool{}
	for item := range sealedIn(s.Incident.Rows) {
		if seen[item.SHA256] {
			continue
		}
		seen[item.SHA256] = true
		out.Items++
		s.progress(item.Name)
		p, trouble, err := s.object(ctx, item)
		if err != nil {
			return nil, err
		}
		if trouble != "" {
			out.Altered = append(out.Altered, trouble)
		}
		if p != nil {
			parts = append(parts, *p)
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.Name, b.Name) })
	return parts, nil
}

// object looks at one piece of evidence. What is there goes into the bundle as
// it is, under the name of what should be there.
func (s Source) object(ctx context.Context, item evidence.Item) (p *part, trouble string, err error) {
	if item.SHA256.Algorithm() != artifact.SHA256 {
		return nil, fmt.Sprintf("sealed item %s has no SHA-256", artifact.Quote(item.Name)), nil
	}
	r, err := s.Open(ctx, item.SHA256)
	if kind := fault.KindOf(err); kind == fault.NotFound || kind == fault.Conflict {
		return nil, fmt.Sprintf("evidence %s (%s) is not there: %v", item.SHA256, artifact.Quote(item.Name), err), nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read evidence: %w", err)
	}
	defer func() { _ = r.Close() }()
	h := newHashing(ctx, r)
	size, err := io.Copy(io.Discard, h)
	if err != nil {
		return nil, "", fmt.Errorf("read evidence %s: %w", item.SHA256, err)
	}
	got := h.digest()
	if got != item.SHA256 || size != item.Size {
		trouble = fmt.Sprintf("evidence %s (%s) is altered: %d bytes with SHA-256 %s", item.SHA256, artifact.Quote(item.Name), size, got)
	}
	return &part{Member: Member{evidenceDir + item.SHA256.Hex(), size, got}, object: item.SHA256}, trouble, nil
}

// write writes one member.
func (s Source) write(ctx context.Context, t *tarWriter, p part) error {
	if p.object.IsZero() {
		t.member(ctx, p.Member, bytes.NewReader(p.content))
		return t.failure()
	}
	r, err := s.Open(ctx, p.object)
	if err != nil {
		return fmt.Errorf("read evidence: %w", err)
	}
	defer func() { _ = r.Close() }()
	t.member(ctx, p.Member, r)
	return t.failure()
}

func of(name string, content []byte) part {
	return part{Member: Member{name, int64(len(content)), artifact.SHA256Of(content)}, content: content}
}

// unreadableRow stands for a row that cannot stand on a line of its own, and
// so is no entry.
type unreadableRow struct {
	Row []byte `json:"row_in_base64"`
}

// rowLines returns the rows as stored, one per line.
func rowLines(rows []evidence.Stored) []byte {
	var b bytes.Buffer
	for _, r := range rows {
		raw := r.Raw
		if bytes.IndexByte(raw, '\n') >= 0 || len(raw) > maxLine {
			raw, _ = json.Marshal(unreadableRow{raw[:min(len(raw), maxLine/2)]}) // bytes always encode
		}
		b.Write(raw)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// noteLines returns the signed notes, each as a JSON string on a line.
func noteLines(notes []string) []byte {
	var b bytes.Buffer
	for _, n := range notes {
		data, _ := json.Marshal(n) // strings always encode
		b.Write(data)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// tarWriter keeps the first error.
type tarWriter struct {
	w       io.Writer
	written int64
	err     error
}

func (t *tarWriter) failure() error {
	if t.err != nil {
		return fmt.Errorf("write bundle: %w", t.err)
	}
	return nil
}

func (t *tarWriter) write(data []byte) {
	if t.err == nil {
		var n int
		n, t.err = t.w.Write(data)
		t.written += int64(n)
	}
}

// member writes one member, and holds it against what the manifest says.
func (t *tarWriter) member(ctx context.Context, m Member, r io.Reader) {
	t.write(header(m.Name, m.Size))
	if t.err != nil {
		return
	}
	h := newHashing(ctx, io.LimitReader(r, m.Size+1))
	n, err := io.Copy(t.w, h)
	t.written += n
	if t.err = err; t.err != nil {
		return
	}
	if n != m.Size || h.digest() != m.SHA256 {
		t.err = fault.New(fault.Conflict, "%s changed while it was exported", m.Name).WithHint("export again")
		return
	}
	t.write(make([]byte, padded(n)-n))
}

// hashing hashes what is read through it, until ctx is done.
type hashing struct {
	ctx context.Context
	r   io.Reader
	sum hash.Hash
}

func newHashing(ctx context.Context, r io.Reader) *hashing { return &hashing{ctx, r, sha256.New()} }

func (h *hashing) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	return n, err
}

func (h *hashing) digest() artifact.Digest {
	d, err := artifact.NewDigest(artifact.SHA256, h.sum.Sum(nil))
	if err != nil {
		panic("a SHA-256 has the size of a SHA-256: " + err.Error())
	}
	return d
}
