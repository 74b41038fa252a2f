package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/bundle"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func key(seed byte) evidence.SigningKey {
	return evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}

// grow appends drafts to a log, with a checkpoint after each.
func grow(t testing.TB, k evidence.SigningKey, log string, drafts ...evidence.Draft) evidence.LogState {
	t.Helper()
	s := evidence.LogState{Log: log}
	var tree evidence.Tree
	var prev artifact.Digest
	for i, d := range drafts {
		d.Time, d.Actor = noon.Add(time.Duration(i)*time.Second), "ana@host"
		e, err := evidence.Seal(log, uint64(i+1), prev, d)
		if err != nil {
			t.Fatal(err)
		}
		prev = e.Hash()
		tree.Add(prev)
		s.Rows = append(s.Rows, evidence.Stored{Seq: e.Seq, Raw: e.Raw()})
		s.Notes = append(s.Notes, k.SignCheckpoint(evidence.Checkpoint{Origin: k.Public().Origin(log), Size: tree.Size(), Root: tree.Root()}))
	}
	return s
}

// objects is evidence by digest.
type objects map[artifact.Digest]string

func (o objects) open(_ context.Context, d artifact.Digest) (io.ReadCloser, error) {
	content, ok := o[d]
	if !ok {
		return nil, fault.New(fault.NotFound, "no evidence %s", d)
	}
	return io.NopCloser(strings.NewReader(content)), nil
}

// small is a case with two pieces of evidence.
func small(t testing.TB, k evidence.SigningKey, contents ...string) bundle.Source {
	t.Helper()
	kept := objects{}
	drafts := []evidence.Draft{{Kind: incident.KindOpened, Body: incident.Opened{Models: []string{"m"}}}}
	for i, content := range contents {
		d := artifact.SHA256Of([]byte(content))
		kept[d] = content
		drafts = append(drafts, evidence.Draft{Kind: incident.KindSealed, Body: evidence.Item{
			Type: "model_file", Name: fmt.Sprint("f", i), Origin: "/m", SHA256: d, Size: int64(len(content)), CollectedAt: noon,
		}})
	}
	return bundle.Source{
		Incident: grow(t, k, "INC-20260301-AAAAAAAA", drafts...),
		Host:     grow(t, k, "host", evidence.Draft{Kind: "note", Body: "x"}),
		Open:     kept.open, Key: k, By: "ana@host", Now: noon,
	}
}

func write(t testing.TB, s bundle.Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := bundle.Write(t.Context(), &b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func verify(t testing.TB, data []byte, o bundle.Options) *bundle.Report {
	t.Helper()
	r, err := bundle.Verify(t.Context(), bytes.NewReader(data), int64(len(data)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUntouchedBundleVerifies(t *testing.T) {
	for _, contents := range [][]string{nil, {"one"}, {"one", "", strings.Repeat("two", 1000), "one"}} {
		s := small(t, key(1), contents...)
		data := write(t, s)
		if !bytes.Equal(data, write(t, s)) {
			t.Error("the same source gives other bytes")
		}
		r := verify(t, data, bundle.Options{})
		if !r.Intact() || r.KeyFrom != "bundle" || len(r.Notes) != 1 || r.Untrusted {
			t.Errorf("%d items: %+v", len(contents), r)
		}
		if int(r.Entries) != len(contents)+1 {
			t.Errorf("%d entries", r.Entries)
		}
	}
}

// Whoever has no copy of this program can still unpack a bundle.
func TestBundleIsATarFile(t *testing.T) {
	r := tar.NewReader(bytes.NewReader(write(t, small(t, key(1), "one", "two"))))
	var names []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if len(names) != 9 || names[0] != "manifest.jsonl" || names[8] != "seal.json" {
		t.Errorf("members are %q", names)
	}
}

func TestKeys(t *testing.T) {
	data := write(t, small(t, key(1), "one"))
	ours, other := key(1).Public(), key(2).Public()
	if r := verify(t, data, bundle.Options{Key: &ours}); !r.Intact() || r.Untrusted || r.KeyFrom != "given" || len(r.Notes) != 0 {
		t.Errorf("with its key: %+v", r)
	}
	if r := verify(t, data, bundle.Options{Key: &other}); !r.Intact() || !r.Untrusted {
		t.Errorf("with another key: %+v", r)
	}
}

func TestCheckpointsFromElsewhere(t *testing.T) {
	long := small(t, key(1), "one", "two")
	short := long
	short.Incident.Rows, short.Incident.Notes = long.Incident.Rows[:2], long.Incident.Notes[:2]
	newest := long.Incident.Notes[2]
	if r := verify(t, write(t, long), bundle.Options{Checkpoints: []string{newest, long.Incident.Notes[0]}}); !r.Intact() {
		t.Errorf("with its checkpoints: %v", r.Problems)
	}
	if r := verify(t, write(t, short), bundle.Options{}); !r.Intact() {
		t.Errorf("a record cut off with its checkpoints shows only against one from elsewhere: %v", r.Problems)
	}
	r := verify(t, write(t, short), bundle.Options{Checkpoints: []string{newest}})
	if r.Intact() || !strings.Contains(r.Problems[0].Detail, "cut_off") {
		t.Errorf("cut off: %v", r.Problems)
	}
	foreign := grow(t, key(2), "INC-20260301-AAAAAAAA", evidence.Draft{Kind: "note"})
	if r := verify(t, write(t, long), bundle.Options{Checkpoints: foreign.Notes}); r.Intact() {
		t.Error("a checkpoint by another key was accepted")
	}
	if r := verify(t, write(t, long), bundle.Options{Checkpoints: grow(t, key(1), "INC-B", evidence.Draft{Kind: "note"}).Notes}); r.Intact() {
		t.Error("a checkpoint of another log was accepted")
	}
}

// What was altered before the export goes into the bundle as it is, and the
// bundle never verifies.
func TestAlteredBeforeExport(t *testing.T) {
	tests := []struct {
		name  string
		alter func(*bundle.Source)
	}{
		{"evidence_gone", func(s *bundle.Source) { s.Open = objects{}.open }},
		{"evidence_altered", func(s *bundle.Source) {
			s.Open = objects{artifact.SHA256Of([]byte("one")): "two"}.open
		}},
		{"entry_altered", func(s *bundle.Source) {
			s.Incident.Rows[0].Raw = bytes.Replace(s.Incident.Rows[0].Raw, []byte("ana"), []byte("bob"), 1)
		}},
		{"entry_with_a_line_break", func(s *bundle.Source) { s.Incident.Rows[0].Raw = []byte("{\n}") }},
		{"entry_removed", func(s *bundle.Source) { s.Incident.Rows = s.Incident.Rows[1:] }},
		{"host_entry_altered", func(s *bundle.Source) {
			s.Host.Rows[0].Raw = bytes.Replace(s.Host.Rows[0].Raw, []byte("ana"), []byte("bob"), 1)
		}},
		{"known", func(s *bundle.Source) { s.Altered = []string{"entry 7 is stored as 8"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := small(t, key(1), "one")
			tt.alter(&s)
			if r := verify(t, write(t, s), bundle.Options{}); r.Intact() {
				t.Error("verifies")
			}
		})
	}
}

func TestExportThatFails(t *testing.T) {
	s := small(t, key(1), "one")
	calls := 0
	s.Open = func(context.Context, artifact.Digest) (io.ReadCloser, error) {
		calls++
		return io.NopCloser(strings.NewReader(strings.Repeat("x", calls))), nil
	}
	if _, err := bundle.Write(t.Context(), io.Discard, s); fault.KindOf(err) != fault.Conflict {
		t.Errorf("evidence that changes meanwhile gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bundle.Write(ctx, io.Discard, small(t, key(1), "one")); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// place is where a byte of an untouched bundle belongs.
func place(t *testing.T, data []byte, at int) string {
	t.Helper()
	r := bytes.NewReader(data)
	tr := tar.NewReader(r)
	end := 0
	for {
		h, err := tr.Next()
		if err != nil {
			return ""
		}
		if end += 512 + int(h.Size+511)/512*512; at < end {
			return h.Name
		}
	}
}

func TestEveryFlippedBitIsLocated(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	data := write(t, small(t, key(1), "one"))
	step := 9 // one bit of every byte, another in each
	if os.Getenv("WEIGHTWARDEN_TEST_ALL") != "" {
		step = 1 // a minute
	}
	for bit := 0; bit < len(data)*8; bit += step {
		at := bit / 8
		data[at] ^= 1 << (bit % 8)
		r, err := bundle.Verify(t.Context(), bytes.NewReader(data), int64(len(data)), bundle.Options{})
		data[at] ^= 1 << (bit % 8)
		if err != nil {
			t.Fatalf("bit %d: %v", bit, err)
		}
		want := place(t, data, at)
		if !slices.ContainsFunc(r.Problems, func(p bundle.Problem) bool {
			return p.Member == want && (p.Offset <= int64(at) && (int64(at) < p.Offset+p.Length || p.Length == 0))
		}) {
			t.Fatalf("bit %d of byte %d in %q: %+v", bit%8, at, want, r.Problems)
		}
	}
}

func TestEveryTruncationIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	data := write(t, small(t, key(1), "one"))
	for n := range len(data) {
		r, err := bundle.Verify(t.Context(), bytes.NewReader(data[:n]), int64(n), bundle.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(r.Problems, func(p bundle.Problem) bool { return p.Kind == bundle.Truncated }) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(data), r.Problems)
		}
	}
}

// chunks splits a bundle into its members and its end.
func chunks(t *testing.T, data []byte) (parts [][]byte, names []string) {
	t.Helper()
	at := 0
	for at < len(data)-1024 {
		name := place(t, data, at)
		end := at
		for end < len(data)-1024 && place(t, data, end) == name {
			end += 512
		}
		parts, names = append(parts, data[at:end]), append(names, name)
		at = end
	}
	return append(parts, data[at:]), append(names, "")
}

func has(r *bundle.Report, k bundle.Kind, member string) bool {
	return slices.ContainsFunc(r.Problems, func(p bundle.Problem) bool { return p.Kind == k && p.Member == member })
}

func TestMembersTakenOutMovedAndCopied(t *testing.T) {
	data := write(t, small(t, key(1), "one", "two"))
	parts, names := chunks(t, data)
	last := len(parts) - 2 // the seal
	for i := 1; i < last; i++ {
		if r := verify(t, slices.Concat(slices.Delete(slices.Clone(parts), i, i+1)...), bundle.Options{}); !has(r, bundle.Missing, names[i]) {
			t.Errorf("without %s: %v", names[i], r.Problems)
		}
		for j := 1; j <= last; j++ {
			if r := verify(t, slices.Concat(slices.Insert(slices.Clone(parts), j, parts[i])...), bundle.Options{}); !has(r, bundle.Added, names[i]) {
				t.Errorf("second %s as %d: %v", names[i], j, r.Problems)
			}
			if j <= i || j == last {
				continue
			}
			moved := slices.Clone(parts)
			moved[i], moved[j] = moved[j], moved[i]
			if r := verify(t, slices.Concat(moved...), bundle.Options{}); !has(r, bundle.Reordered, names[i]) {
				t.Errorf("%s and %s exchanged: %v", names[i], names[j], r.Problems)
			}
		}
	}
	if r := verify(t, slices.Concat(slices.Delete(slices.Clone(parts), last, last+1)...), bundle.Options{}); r.Intact() {
		t.Error("without its seal it verifies")
	}
	for _, tail := range [][]byte{{0}, make([]byte, 512), parts[1], data} {
		if r := verify(t, append(slices.Clone(data), tail...), bundle.Options{}); !has(r, bundle.Added, "") {
			t.Errorf("%d bytes behind: %v", len(tail), r.Problems)
		}
	}
}

// One byte put in or taken out moves everything behind it: what is named first
// is not behind the first byte that is another, or is the member that it is in.
func TestShiftedBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	data := write(t, small(t, key(1), "one"))
	step := 3
	if os.Getenv("WEIGHTWARDEN_TEST_ALL") != "" {
		step = 1
	}
	for at := 0; at < len(data); at += step {
		without := slices.Delete(slices.Clone(data), at, at+1)
		more := slices.Insert(slices.Clone(data), at, data[at]^0x55)
		for what, altered := range map[string][]byte{"without byte": without, "with a byte more at": more} {
			r, err := bundle.Verify(t.Context(), bytes.NewReader(altered), int64(len(altered)), bundle.Options{})
			if err != nil {
				continue // it is no bundle any more
			}
			first := 0 // a zero taken out of many zeros shows only where they end
			for first < min(len(data), len(altered)) && data[first] == altered[first] {
				first++
			}
			located := slices.ContainsFunc(r.Problems, func(p bundle.Problem) bool {
				return p.Offset <= int64(first) || p.Member == place(t, data, min(first, len(data)-1))
			})
			if !located {
				t.Fatalf("%s %d in %q: %+v", what, at, place(t, data, at), r.Problems)
			}
		}
	}
}

// A time stamp counts only for a checkpoint that is in the bundle: any other
// was never held against the entries.
func TestStampsOfCheckpoints(t *testing.T) {
	k := key(1)
	s := small(t, k)
	stamp := func(note string) evidence.Draft {
		return evidence.Draft{Kind: incident.KindStamped, Body: incident.Stamped{Checkpoint: note, Signer: "CN=tsa", Response: []byte{1}}}
	}
	opened := evidence.Draft{Kind: incident.KindOpened, Body: incident.Opened{Models: []string{"m"}}}
	own := grow(t, k, s.Incident.Log, opened).Notes[0]
	foreign := grow(t, key(2), s.Incident.Log, opened).Notes[0]
	for note, stamps := range map[string]int{own: 1, foreign: 0} {
		source := s
		source.Incident = grow(t, k, s.Incident.Log, opened, stamp(note))
		r := verify(t, write(t, source), bundle.Options{})
		if len(r.Stamps) != stamps || r.Intact() != (stamps == 1) {
			t.Errorf("%d time stamps, %v", len(r.Stamps), r.Problems)
		}
	}
}
