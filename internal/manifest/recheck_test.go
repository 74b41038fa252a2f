package manifest_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

const block = manifest.BlockSize

func TestRecheck(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		changed map[string][]manifest.Range
	}{
		{"nothing", func(tree) {}, nil},
		{"first_byte", func(tr tree) { tr.poke("w", 0) }, map[string][]manifest.Range{"w": {{0, block}}}},
		{"middle", func(tr tree) { tr.poke("w", block+5) }, map[string][]manifest.Range{"w": {{block, 2 * block}}}},
		{"last_byte", func(tr tree) { tr.poke("w", 3*block+3) }, map[string][]manifest.Range{"w": {{3 * block, 3*block + 4}}}},
		{"two_places", func(tr tree) { tr.poke("w", 1); tr.poke("w", 2*block) }, map[string][]manifest.Range{"w": {{0, block}, {2 * block, 3 * block}}}},
		{"neighbours_are_one_range", func(tr tree) { tr.poke("w", 1); tr.poke("w", block) }, map[string][]manifest.Range{"w": {{0, 2 * block}}}},
		{"truncated", func(tr tree) { tr.must(os.Truncate(tr.path("w"), block+7)) }, map[string][]manifest.Range{"w": {{block, 3*block + 4}}}},
		{"appended", func(tr tree) { tr.must(os.Truncate(tr.path("w"), 3*block+9)) }, map[string][]manifest.Range{"w": {{3 * block, 3*block + 9}}}},
		{"emptied", func(tr tree) { tr.must(os.Truncate(tr.path("w"), 0)) }, map[string][]manifest.Range{"w": {{0, 3*block + 4}}}},
		{"blocks_swapped", func(tr tree) {
			data, err := os.ReadFile(tr.path("w"))
			tr.must(err)
			first := append([]byte{}, data[:block]...)
			copy(data, data[block:2*block])
			copy(data[block:], first)
			tr.must(os.WriteFile(tr.path("w"), data, 0o600))
		}, map[string][]manifest.Range{"w": {{0, 2 * block}}}},
		{"files_swapped", func(tr tree) {
			tr.must(os.Rename(tr.path("a"), tr.path("x")))
			tr.must(os.Rename(tr.path("b"), tr.path("a")))
			tr.must(os.Rename(tr.path("x"), tr.path("b")))
		}, map[string][]manifest.Range{"a": {{0, 1}}, "b": {{0, 1}}}},
		{"added_and_removed", func(tr tree) {
			tr.write("aa", "new")
			tr.must(os.Remove(tr.path("b")))
		}, nil},
		{"empty_file_filled", func(tr tree) { tr.write("empty", "x") }, map[string][]manifest.Range{"empty": {{0, 1}}}},
		{"replaced_by_link", func(tr tree) {
			tr.must(os.Remove(tr.path("w")))
			tr.link("a", "w")
		}, nil},
		{"forged_time", func(tr tree) {
			info, err := os.Stat(tr.path("w"))
			tr.must(err)
			tr.poke("w", 9)
			tr.must(os.Chtimes(tr.path("w"), info.ModTime(), info.ModTime()))
		}, map[string][]manifest.Range{"w": {{0, block}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := tree{t, t.TempDir()}
			tr.write("a", "1")
			tr.write("b", "2")
			tr.write("empty", "")
			tr.write("dir/c", "3")
			tr.big("w", 3)
			base, blocks := tr.taken()
			tt.change(tr)
			want, err := manifest.Take(t.Context(), tr.dir, manifest.Options{})
			tr.must(err)
			got, err := manifest.Recheck(t.Context(), tr.dir, base, blocks, manifest.Options{Workers: 3})
			tr.must(err)
			if diff := cmp.Diff(want, got.Manifest, sameDigest, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("observed (-Take +Recheck):\n%s", diff)
			}
			if diff := cmp.Diff(tt.changed, got.Changed, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("ranges (-want +got):\n%s", diff)
			}
			located, err := manifest.Locate(t.Context(), tr.dir, base, blocks, []string{"a", "b", "w", "empty"}, manifest.Options{})
			tr.must(err)
			if diff := cmp.Diff(tt.changed, located, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("located (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecheckSingleFile(t *testing.T) {
	outer := tree{t, t.TempDir()}
	outer.big("blobs/sha", 1)
	outer.link("blobs/sha", "model.bin")
	tr := tree{t, outer.path("model.bin")}
	base, blocks := tr.taken()
	outer.poke("blobs/sha", 3)
	got, err := manifest.Recheck(t.Context(), tr.dir, base, blocks, manifest.Options{})
	tr.must(err)
	want := map[string][]manifest.Range{"model.bin": {{0, block}}}
	if diff := cmp.Diff(want, got.Changed); diff != "" || got.Manifest.Files[0].Path != "model.bin" {
		t.Errorf("%s, ranges (-want +got):\n%s", got.Manifest.Files[0].Path, diff)
	}
	if _, err := manifest.Recheck(t.Context(), outer.path("gone"), base, blocks, manifest.Options{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("nothing there: %v", err)
	}
}

// A thousand clean checks raise no alarm.
func TestRecheckSoak(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.write("a", "1")
	tr.write("dir/b", "2")
	base, blocks := tr.taken()
	for i := range 1000 {
		got, err := manifest.Recheck(t.Context(), tr.dir, base, blocks, manifest.Options{})
		tr.must(err)
		if c := manifest.Compare(base, got.Manifest); len(c)+len(got.Changed)+len(got.Flickered)+len(got.Manifest.Problems) > 0 {
			t.Fatalf("check %d: %v %+v", i, c, got)
		}
	}
}

// leases skips where they prove nothing.
func (tr tree) leases() {
	tr.t.Helper()
	tr.write("probe", "x")
	f, err := os.Open(tr.path("probe"))
	tr.must(err)
	defer f.Close()
	if err := fsop.Lease(f); errors.Is(err, errors.ErrUnsupported) {
		tr.t.Skipf("no leases to rely on in %s: %v", tr.dir, err)
	}
	tr.must(os.Remove(tr.path("probe")))
}

// mapped opens the file for writing, maps it, closes it and returns the map:
// no descriptor tells of it any more.
func (tr tree) mapped(name string) []byte {
	tr.t.Helper()
	f, err := os.OpenFile(tr.path(name), os.O_RDWR, 0)
	tr.must(err)
	defer f.Close()
	data, err := syscall.Mmap(int(f.Fd()), 0, block, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	tr.must(err)
	tr.t.Cleanup(func() { _ = syscall.Munmap(data) })
	return data
}

func TestWriterIsAProblem(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.leases()
	tr.big("w", 1)
	base, blocks := tr.taken()
	data := tr.mapped("w")
	m, err := manifest.Take(t.Context(), tr.dir, manifest.Options{Lease: true})
	tr.must(err)
	if diff := cmp.Diff([]string{"w writer"}, kinds(m.Problems)); diff != "" || m.Files[0].Digest != base.Files[0].Digest {
		t.Errorf("digest %v, problems (-want +got):\n%s", m.Files[0].Digest, diff)
	}
	if _, err := m.Encode(); err != nil {
		t.Error(err)
	}
	// The page is dirty now, so that the next store leaves no trace.
	data[0] ^= 1
	before, err := os.Stat(tr.path("w"))
	tr.must(err)
	data[1] ^= 1
	tr.must(os.Chtimes(tr.path("w"), base.Files[0].ModTime, base.Files[0].ModTime))
	got, err := manifest.Recheck(t.Context(), tr.dir, base, blocks, manifest.Options{Lease: true})
	tr.must(err)
	if diff := cmp.Diff(map[string][]manifest.Range{"w": {{0, block}}}, got.Changed); diff != "" || before.Size() != got.Manifest.Files[0].Size {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"w writer"}, kinds(got.Manifest.Problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestGuard(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		kept    int
		changed bool
	}{
		{"nothing", func(tree) {}, 2, false},
		{"opened_for_reading", func(tr tree) {
			f, err := os.Open(tr.path("w"))
			tr.must(err)
			tr.must(f.Close())
		}, 2, false},
		{"opened_for_writing_only", func(tr tree) {
			f, err := os.OpenFile(tr.path("w"), os.O_RDWR, 0)
			tr.must(err)
			tr.must(f.Close())
		}, 1, false},
		{"written_and_times_forged", func(tr tree) {
			info, err := os.Stat(tr.path("w"))
			tr.must(err)
			tr.poke("w", 1)
			tr.must(os.Chtimes(tr.path("w"), info.ModTime(), info.ModTime()))
		}, 1, true},
		{"written_through_a_mapping", func(tr tree) { tr.mapped("w")[1] ^= 1 }, 1, true},
		{"written_through_another_name", func(tr tree) {
			outside := tree{tr.t, tr.t.TempDir()}
			tr.must(os.Link(tr.path("w"), outside.path("l")))
			outside.poke("l", 1)
		}, 1, true},
		{"truncated_and_restored", func(tr tree) {
			info, err := os.Stat(tr.path("w"))
			tr.must(err)
			tr.must(os.Truncate(tr.path("w"), 5))
			tr.must(os.Truncate(tr.path("w"), info.Size()))
		}, 1, true},
		{"renamed_over", func(tr tree) {
			tr.big("new", 1)
			tr.poke("new", 1)
			tr.must(os.Rename(tr.path("new"), tr.path("w")))
		}, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := tree{t, t.TempDir()}
			tr.leases()
			tr.big("w", 1)
			tr.big("v", 1)
			tr.write("small", "s")
			base, blocks := tr.taken()
			var g manifest.Guard
			defer g.Close()
			done := make(chan struct{})
			defer func() { <-done }()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { g.Run(ctx); close(done) }() // lets writers through
			first, err := manifest.Recheck(t.Context(), tr.dir, base, blocks, manifest.Options{Guard: &g})
			tr.must(err)
			if first.Kept != 0 || len(first.Changed) > 0 {
				t.Fatalf("first check: %+v", first)
			}
			start := time.Now()
			tt.change(tr)
			if waited := time.Since(start); waited > 5*time.Second {
				t.Errorf("a writer waited for %v", waited)
			}
			got, err := manifest.Recheck(t.Context(), tr.dir, base, blocks, manifest.Options{Guard: &g})
			tr.must(err)
			if got.Kept != tt.kept || (len(got.Changed) > 0) != tt.changed {
				t.Errorf("kept %d, want %d; changed %v, want %t", got.Kept, tt.kept, got.Changed, tt.changed)
			}
		})
	}
}
