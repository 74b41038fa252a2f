package assess_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/assess"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/trust"
	"github.com/weightwarden/weightwarden/internal/vault"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// desk is an assessor over a real vault and a model directory.
type desk struct {
	*assess.Assessor
	t       *testing.T
	dir     string
	base    *baseline.Baseline
	deny    []trust.Denial
	record  []string // "sealed type name", "missing type name", "indicator type", "assessed"
	entries []evidence.Item
	aside   int // items that are not in record
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	v, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, dir: filepath.Join(t.TempDir(), "m")}
	d.Assessor = &assess.Assessor{Vault: v, Known: map[string]bool{}, Now: func() time.Time { return start }, Record: d.append}
	d.write("weights.bin", "weights")
	d.write("config.json", "{}")
	d.write("model.sig", "signature")
	d.base = &baseline.Baseline{Model: "m", Voucher: trust.BySignature, Manifest: d.take()}
	return d
}

func (d *desk) append(_ context.Context, kind string, body any) error {
	switch b := body.(type) {
	case evidence.Item:
		if b.Type == "attributes" || b.Type == "direct_reads" {
			d.aside++
			return nil // they have tests of their own
		}
		d.record, d.entries = append(d.record, "sealed "+named(b.Type, b.Name)), append(d.entries, b)
	case evidence.Gap:
		d.record = append(d.record, "missing "+named(b.Type, b.Name))
	case indicator.Indicator:
		d.record = append(d.record, "indicator "+string(b.Type)+" "+b.File())
	default:
		d.record = append(d.record, kind)
	}
	return nil
}

func named(kind, name string) string {
	if kind == name {
		return kind
	}
	return kind + " " + name
}

func (d *desk) do(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) write(name, content string) {
	d.t.Helper()
	d.do(os.MkdirAll(filepath.Dir(filepath.Join(d.dir, name)), 0o700))
	d.do(os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600))
}

func (d *desk) take() *manifest.Manifest {
	d.t.Helper()
	m, err := manifest.Take(d.t.Context(), d.dir, manifest.Options{})
	d.do(err)
	return m
}

func (d *desk) run(ctx context.Context) (incident.Assessed, error) {
	d.t.Helper()
	var entries []evidence.Entry
	var prev artifact.Digest
	for n, denial := range d.deny {
		e, err := evidence.Seal(trust.Log, uint64(n)+1, prev, evidence.Draft{Time: start, Kind: trust.KindDenied, Body: denial})
		d.do(err)
		entries, prev = append(entries, e), e.Hash()
	}
	state, err := trust.Fold(entries)
	d.do(err)
	return d.Run(ctx, artifact.Model{ID: "m", Path: d.dir}, d.base, state)
}

// failing is a vault that is full for what it names, or whose files change.
type failing struct {
	assess.Vault
	document bool
	file     string
	change   func(path string)
}

var errFull = fault.New(fault.Incomplete, "the disk is full")

func (f failing) Put(ctx context.Context, r io.Reader) (artifact.Digest, int64, error) {
	if f.document {
		return artifact.Digest{}, 0, errFull
	}
	return f.Vault.Put(ctx, r)
}

func (f failing) Capture(ctx context.Context, root *os.Root, path string, o evidence.CaptureOptions) (evidence.Captured, error) {
	if f.change != nil {
		f.change(path)
	}
	if f.file == path {
		return evidence.Captured{}, errFull
	}
	return f.Vault.Capture(ctx, root, path, o)
}

func TestRun(t *testing.T) {
	const (
		sig    = "sealed signature model.sig"
		w      = "sealed model_file weights.bin"
		before = "indicator model_file_tampered weights.bin"
	)
	tamper := func(d *desk) { d.write("weights.bin", "poison!") }
	tests := []struct {
		name   string
		setup  func(d *desk)
		want   []string // behind manifest and baseline
		sealed bool
	}{
		{"as_the_baseline", func(*desk) {}, []string{sig}, true},
		{"tampered", tamper, []string{before, sig, w}, true},
		{"unexpected_among_signatures", func(d *desk) { d.write(".signatures/x", "x") }, []string{
			"indicator unexpected_model_file .signatures/x", "sealed signature .signatures/x", sig,
		}, true},
		{"missing", func(d *desk) { d.do(os.Remove(d.dir + "/weights.bin")) }, []string{"indicator model_file_missing weights.bin", sig}, true},
		{"full", func(d *desk) { d.Full = true }, []string{"sealed model_file config.json", sig, w}, true},
		{"no_baseline", func(d *desk) { d.base = nil }, []string{"sealed model_file config.json", sig, w}, true},
		{"file_denied", func(d *desk) {
			d.deny = []trust.Denial{{Subject: trust.File, Value: artifact.SHA256Of([]byte("weights")).String()}}
		}, []string{sig, w}, true},
		{"root_denied", func(d *desk) {
			d.deny = []trust.Denial{{Subject: trust.Root, Value: d.take().Root().String()}}
		}, []string{"sealed model_file config.json", sig, w}, true},
		{"pipe", func(d *desk) { d.do(syscall.Mkfifo(d.dir+"/pipe", 0o600)) }, []string{
			"indicator unexpected_model_file pipe", "indicator model_file_unreadable pipe", sig, "missing model_file pipe",
		}, true},
		{"link_out", func(d *desk) { d.do(os.Symlink("/etc/passwd", d.dir+"/link")) }, []string{
			"indicator unexpected_model_file link", "indicator model_link_escapes link", "missing model_file link", sig,
		}, true},
		{"name_that_is_not_utf8", func(d *desk) { d.write("\xff", "x") }, []string{
			`indicator model_file_unreadable "\xff"`, sig, `missing model_file "\xff"`,
		}, false},
		{"vault_full_for_a_file", func(d *desk) { tamper(d); d.Vault = failing{Vault: d.Vault, file: "weights.bin"} }, []string{before, sig, "missing model_file weights.bin"}, false},
		{"vault_full_for_the_signature", func(d *desk) { d.Vault = failing{Vault: d.Vault, file: "model.sig"} }, []string{"missing signature model.sig"}, false},
		{"known_indicator", func(d *desk) {
			tamper(d)
			for _, i := range baseline.Compare(d.base, d.take(), start) {
				d.Known[i.ID] = true
			}
		}, []string{sig, w}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			tt.setup(d)
			a, err := d.run(t.Context())
			d.do(err)
			want := []string{"sealed manifest m"}
			if d.base != nil {
				want = append(want, "sealed baseline m")
			}
			want = slices.Concat(want, tt.want, []string{incident.KindAssessed})
			if diff := cmp.Diff(want, d.record); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			if a.Sealed != tt.sealed || (a.Reason == "") != a.Sealed || a.Root != d.take().Root() || a.Model != "m" {
				t.Errorf("assessed %+v", a)
			}
			if a.Items != len(d.entries)+d.aside {
				t.Errorf("%d items, %d entries and %d", a.Items, len(d.entries), d.aside)
			}
			d.inVault()
		})
	}
}

// inVault checks that each sealed item is in the vault.
func (d *desk) inVault() {
	d.t.Helper()
	v, ok := d.Vault.(*vault.Vault)
	for _, item := range d.entries {
		if ok {
			d.do(v.Verify(d.t.Context(), item.SHA256, item.Size))
		}
		if item.CollectedAt.IsZero() || item.Origin == "" {
			d.t.Errorf("item is %+v", item)
		}
	}
}

func TestNothingIsSealedWithoutAManifest(t *testing.T) {
	for name, setup := range map[string]func(*desk){
		"vault_full":    func(d *desk) { d.Vault = failing{Vault: d.Vault, document: true} },
		"model_missing": func(d *desk) { d.do(os.RemoveAll(d.dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			setup(d)
			a, err := d.run(t.Context())
			d.do(err)
			if a.Sealed || a.Reason == "" || a.Gaps == 0 || len(d.entries) != 0 || d.record[len(d.record)-1] != incident.KindAssessed {
				t.Errorf("assessed %+v, record %v", a, d.record)
			}
		})
	}
}

// What changes between the manifest and the copy is kept as it was copied,
// and the item says so. It is copied later where nothing spoke for a change.
func TestFileChangesAfterTheManifest(t *testing.T) {
	d := newDesk(t)
	d.deny = []trust.Denial{{Subject: trust.Root, Value: d.take().Root().String()}}
	d.Vault = failing{Vault: d.Vault, change: func(path string) {
		if path == "weights.bin" {
			d.write(path, "other")
		}
	}}
	_, err := d.run(t.Context())
	d.do(err)
	last := d.entries[len(d.entries)-1]
	if last.Name != "weights.bin" || last.SHA256 != artifact.SHA256Of([]byte("other")) || len(last.Missing) != 1 {
		t.Errorf("item is %+v", last)
	}
}

// What will probably be selected is read once, for the manifest and the copy
// alike; what turns out to be unchanged is not kept.
func TestFilesAreReadOnce(t *testing.T) {
	later := func(d *desk) { d.do(os.Chtimes(d.dir+"/config.json", start, start)) }
	for name, tt := range map[string]struct {
		setup func(*desk)
		want  map[string]int
	}{
		"no_baseline":      {func(d *desk) { d.base = nil }, map[string]int{"weights.bin": 1, "config.json": 1, "model.sig": 1}},
		"as_the_baseline":  {func(*desk) {}, map[string]int{"model.sig": 1}},
		"same_but_touched": {later, map[string]int{"config.json": 1, "model.sig": 1}},
		"tampered":         {func(d *desk) { d.write("weights.bin", "poison!") }, map[string]int{"weights.bin": 1, "model.sig": 1}},
		"tampered_and_time_restored": {func(d *desk) {
			d.write("weights.bin", "poison!")
			d.do(os.Chtimes(d.dir+"/weights.bin", time.Time{}, d.base.Manifest.Files[2].ModTime))
		}, map[string]int{"weights.bin": 1, "model.sig": 1}},
		"named_by_an_indicator": {func(d *desk) { d.Suspects = map[string]bool{"weights.bin": true} }, map[string]int{"weights.bin": 1, "model.sig": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			d, got := newDesk(t), map[string]int{}
			kept := d.Vault.(*vault.Vault)
			tt.setup(d)
			d.Vault = failing{Vault: d.Vault, change: func(path string) { got[path]++ }}
			a, err := d.run(t.Context())
			d.do(err)
			if diff := cmp.Diff(tt.want, got); diff != "" || !a.Sealed || a.Root != d.take().Root() {
				t.Errorf("captured (-want +got):\n%s%+v", diff, a)
			}
			// The vault has what the record says, and nothing else.
			sealed := map[artifact.Digest]bool{}
			for _, item := range d.entries {
				sealed[item.SHA256] = true
				d.do(kept.Verify(t.Context(), item.SHA256, item.Size))
			}
			for _, f := range d.take().Files {
				if err := kept.Verify(t.Context(), f.Digest, f.Size); (err == nil) != sealed[f.Digest] {
					t.Errorf("%s: sealed %v, and in the vault: %v", f.Path, sealed[f.Digest], err)
				}
			}
		})
	}
}

func TestVolatileComesFirst(t *testing.T) {
	d := newDesk(t)
	d.Sources = []assess.Source{
		{Type: "processes", Origin: "/proc", Collect: func(context.Context) (any, []string, error) { return []int{1}, []string{"2: gone"}, nil }},
		{Type: "sockets", Origin: "/proc/net", Collect: func(context.Context) (any, []string, error) { return nil, nil, errors.New("no /proc") }},
	}
	a, err := d.run(t.Context())
	d.do(err)
	if diff := cmp.Diff([]string{"sealed processes", "missing sockets", "sealed manifest m"}, d.record[:3]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !a.Sealed || a.Gaps != 1 || !slices.Equal(d.entries[0].Missing, []string{"2: gone"}) {
		t.Errorf("assessed %+v, item %+v", a, d.entries[0])
	}
}

// A model that is one file, behind a link, is captured as what the link means.
func TestSingleFile(t *testing.T) {
	d := newDesk(t)
	link := filepath.Join(t.TempDir(), "current.bin")
	d.do(os.Symlink(d.dir+"/weights.bin", link))
	d.dir, d.base = link, nil
	a, err := d.run(t.Context())
	d.do(err)
	if !a.Sealed || d.record[1] != "sealed model_file current.bin" || d.entries[1].Origin != link {
		t.Errorf("assessed %+v, record %v", a, d.record)
	}
}

// Who stops the program has not lost evidence: nothing is recorded as missing.
func TestStopped(t *testing.T) {
	d := newDesk(t)
	ctx, stop := context.WithCancel(t.Context())
	d.base = nil
	d.Vault = failing{Vault: d.Vault, change: func(string) { stop() }}
	if _, err := d.run(ctx); !errors.Is(err, context.Canceled) || slices.Contains(d.record, incident.KindAssessed) {
		t.Errorf("got %v, record %v", err, d.record)
	}
}
