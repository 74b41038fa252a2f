package scan_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/report"
	"github.com/weightwarden/weightwarden/internal/scan"
)

func write(t *testing.T, dir, name, data string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// verdicts scans a directory and returns what was said, by path in it.
func verdicts(t *testing.T, dir string, opts scan.Options) map[string]string {
	t.Helper()
	opts.Detectors = catalog.All()
	c := report.NewScanCollector()
	if _, err := scan.Run(t.Context(), []string{dir}, opts, c); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	rel := func(p string) string { return strings.TrimPrefix(strings.TrimPrefix(p, filepath.ToSlash(dir)), "/") }
	for _, f := range c.Document.Files {
		said[rel(f.Path)] = f.Verdict.String()
	}
	for _, s := range c.Document.Skips {
		said[rel(s.Path)] = "skipped"
	}
	return said
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "README.txt", "hello\n")
	write(t, dir, "weights/model.pkl", evil)
	write(t, dir, "weights/other.pkl", "\x80\x02K\x01.")
	write(t, dir, ".hidden/x", evil)
	write(t, dir, "empty", "")
	link(t, "weights/model.pkl", filepath.Join(dir, "inside.pkl"))
	link(t, "/etc/hostname", filepath.Join(dir, "outside"))
	link(t, "weights", filepath.Join(dir, "folder"))
	link(t, "nowhere", filepath.Join(dir, "dangling"))
	want := map[string]string{
		"README.txt": "clean", "weights/model.pkl": "malicious", "weights/other.pkl": "clean", ".hidden/x": "malicious",
		"empty": "clean", "inside.pkl": "malicious", "outside": "skipped", "dangling": "skipped",
	}
	if d := cmp.Diff(want, verdicts(t, dir, scan.Options{})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"": "malicious"}, verdicts(t, filepath.Join(dir, "weights/model.pkl"), scan.Options{})); d != "" {
		t.Error("a file by itself:", d)
	}
}

func TestHubCache(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "models--a/blobs/123", evil)
	link(t, "../../blobs/123", filepath.Join(dir, "models--a/snapshots/rev/model.bin"))
	got := verdicts(t, filepath.Join(dir, "models--a/snapshots/rev"), scan.Options{})
	if d := cmp.Diff(map[string]string{"model.bin": "malicious"}, got); d != "" {
		t.Error(d)
	}
}

// However many look at once, what is said comes in one order.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	for i := range 60 {
		write(t, dir, fmt.Sprintf("%02d.pkl", i), strings.Repeat("N0", (60-i)*500)+evil)
	}
	var first, second bytes.Buffer
	for out, workers := range map[*bytes.Buffer]int{&first: 1, &second: 8} {
		if _, err := scan.Run(t.Context(), []string{dir}, scan.Options{Detectors: catalog.All(), Workers: workers}, report.NewScanLines(out)); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("the events depend on the number of workers")
	}
}

func TestMissingPath(t *testing.T) {
	_, err := scan.Run(t.Context(), []string{filepath.Join(t.TempDir(), "no")}, scan.Options{}, report.NewScanCollector())
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestCancelled(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.pkl", evil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := scan.Run(ctx, []string{dir}, scan.Options{Detectors: catalog.All()}, report.NewScanCollector()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// crooked is a detector that does what detectors must not.
type crooked struct{ do func(context.Context) error }

func (crooked) Info() detect.Info {
	return detect.Info{Name: "crooked", Covers: []artifact.Format{artifact.Text}}
}

func (c crooked) Detect(ctx context.Context, _ detect.Input, _ detect.Sink) error { return c.do(ctx) }

func TestCrookedDetectorsAreNotClean(t *testing.T) {
	for name, do := range map[string]func(context.Context) error{
		"panics":   func(context.Context) error { panic("at the bytes") },
		"fails":    func(context.Context) error { return io.ErrUnexpectedEOF },
		"dawdles":  func(ctx context.Context) error { <-ctx.Done(); return nil },
		"dawdles2": func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := scan.Options{Detectors: []detect.Detector{crooked{do}}, Limits: scan.Limits{Time: 20 * time.Millisecond}}
			file, found := scan.Bytes(t.Context(), "a.txt", strings.NewReader("text"), 4, opts)
			if file.Verdict != finding.Inconclusive || len(found) == 0 {
				t.Errorf("verdict is %s, findings %v", file.Verdict, found)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	text := func(n int) part {
		return part{name: fmt.Sprintf("%d.txt", n), data: strings.Repeat("x", 100_000), method: 8}
	}
	tests := []struct {
		name, data, rule string
		limits           scan.Limits
	}{
		{"members", zipOf("", "", text(1), text(2), text(3)), detect.RuleMembers, scan.Limits{Members: 2}},
		{"output", zipOf("", "", text(1), text(2)), detect.RuleOutput, scan.Limits{Output: 1000}},
		{"depth", nest(zipOf("", "", text(1)), 3), detect.RuleDepth, scan.Limits{Depth: 2}},
		{"findings", strings.Repeat(p4(sg("nobody", "Thing")+"0N."), 50), detect.RuleManyMore, scan.Limits{Findings: 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, found := scan.Bytes(t.Context(), "a", strings.NewReader(tt.data), int64(len(tt.data)), scan.Options{Detectors: catalog.All(), Limits: tt.limits})
			if file.Verdict == finding.Clean || !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Rule == tt.rule }) {
				t.Errorf("verdict is %s, without %s: %v", file.Verdict, tt.rule, found)
			}
		})
	}
}

// What does not fit the limit of memory is decompressed again, and read all
// the same.
func TestLargeMember(t *testing.T) {
	filler := "\x80\x02" + strings.Repeat(text("name")+"0", 300_000)
	data := zipOf("", "", part{name: "a.pkl", data: filler + evil, method: 8})
	opts := scan.Options{Detectors: catalog.All(), Limits: scan.Limits{Memory: 1}}
	file, found := scan.Bytes(t.Context(), "a.zip", strings.NewReader(data), int64(len(data)), opts)
	if file.Verdict != finding.Malicious || !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Offset == int64(len(filler)) }) {
		t.Errorf("verdict is %s: %v", file.Verdict, found)
	}
}

// sparseTorch makes a torch archive with one storage of that many bytes, which
// takes no room on the disk.
func sparseTorch(t testing.TB, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pkl := "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nByteStorage\n" + text("0") + text("cpu") +
		"\x8a\x08" + le64(uint64(size)) + "tQK\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR."
	front := strings.Split(zipOf("", "", part{name: "m/data.pkl", data: pkl}), "PK\x01\x02")
	extra := "\x01\x00\x10\x00" + le64(uint64(size)) + le64(uint64(size))
	u16 := func(n int) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(n))) }
	max32 := "\xff\xff\xff\xff"
	at := len(front[0])
	local := "PK\x03\x04\x2d\x00" + strings.Repeat("\x00", 12) + max32 + max32 + u16(8) + u16(len(extra)) + "m/data/0" + extra
	record := "PK\x01\x02\x2d\x00\x2d\x00" + strings.Repeat("\x00", 12) + max32 + max32 + u16(8) + u16(len(extra)) + strings.Repeat("\x00", 10) + le32(at) + "m/data/0" + extra
	first := "PK\x01\x02" + strings.Split(front[1], "PK\x05\x06")[0]
	dir := int64(at+len(local)) + size
	end := "PK\x06\x06" + le64(44) + "\x2d\x00\x2d\x00" + strings.Repeat("\x00", 8) + le64(2) + le64(2) + le64(uint64(len(first)+len(record))) + le64(uint64(dir)) +
		"PK\x06\x07" + le32(0) + le64(uint64(dir)+uint64(len(first)+len(record))) + le32(1) + "PK\x05\x06" + le32(0) + u16(2) + u16(2) + max32 + max32 + u16(0)
	for _, w := range []struct {
		at   int64
		data string
	}{{0, front[0] + local}, {dir, first + record + end}} {
		if _, err := f.WriteAt([]byte(w.data), w.at); err != nil {
			t.Skip("no sparse files here: ", err)
		}
	}
}

func TestHugeFilesAreJudgedByTheirStructure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.pt")
	sparseTorch(t, path, 10<<30)
	start := time.Now()
	c := report.NewScanCollector()
	if _, err := scan.Run(t.Context(), []string{path}, scan.Options{Detectors: catalog.All()}, c); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	if c.Document.Verdict != finding.Clean || took > 2*time.Second {
		t.Errorf("verdict is %s after %v: %+v", c.Document.Verdict, took, c.Document)
	}
	t.Logf("10 GiB in %v", took)
}

func BenchmarkTenGigabytes(b *testing.B) {
	path := filepath.Join(b.TempDir(), "model.pt")
	sparseTorch(b, path, 10<<30)
	for b.Loop() {
		if _, err := scan.Run(b.Context(), []string{path}, scan.Options{Detectors: catalog.All()}, report.NewScanCollector()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkThousandPickles scans 1000 files of 11 kB.
func BenchmarkThousandPickles(b *testing.B) {
	dir := b.TempDir()
	row := "}(X\x04\x00\x00\x00nameK\x01X\x05\x00\x00\x00valueG?\xf0\x00\x00\x00\x00\x00\x00ue"
	data := "\x80\x02](" + strings.Repeat(row[:len(row)-1], 330) + "e."
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.pkl", i)), []byte(data), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(1000 * len(data)))
	b.ReportAllocs()
	for b.Loop() {
		total, err := scan.Run(b.Context(), []string{dir}, scan.Options{Detectors: catalog.All()}, report.NewScanCollector())
		if err != nil || total.Verdict != finding.Clean {
			b.Fatal(err, total)
		}
	}
}

// FuzzBytes promises that whatever the bytes are, the scanner comes to a
// verdict within the limits, the same twice, and gives a reason for all but
// clean ones.
func FuzzBytes(f *testing.F) {
	for _, a := range attacks() {
		if len(a.data) < 4096 {
			f.Add([]byte(a.data))
		}
	}
	f.Add([]byte(torchFile(nil)))
	opts := scan.Options{Detectors: catalog.All(), Limits: scan.Limits{Output: 4 << 20, Time: 5 * time.Second}}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, found := scan.Bytes(t.Context(), "x", bytes.NewReader(data), int64(len(data)), opts)
		again, _ := scan.Bytes(t.Context(), "x", bytes.NewReader(data), int64(len(data)), opts)
		if file.Verdict < finding.Clean || file.Verdict != again.Verdict {
			t.Fatalf("verdicts are %v and %v", file.Verdict, again.Verdict)
		}
		if (file.Verdict == finding.Clean) != (file.Reason == "") || file.Verdict != finding.Clean && len(found) == 0 {
			t.Fatalf("%s for the reason %q", file.Verdict, file.Reason)
		}
		for _, g := range found {
			if strings.Contains(g.Summary, "broke") {
				t.Fatal(g.Summary)
			}
		}
	})
}
