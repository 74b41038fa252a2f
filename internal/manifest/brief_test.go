package manifest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/manifest"
)

// Small files that are read in one go are what they are when they are read with
// care, with all their attributes, in whatever directory.
func TestBriefIsWhatCareSees(t *testing.T) {
	tr := tree{t, t.TempDir()}
	for n := range 150 {
		tr.write(fmt.Sprintf("a%d/b/c%d", n%3, n), strings.Repeat("w", n*n))
		tr.write(fmt.Sprintf("f%d", n), strings.Repeat("x", n))
	}
	root, err := os.OpenRoot(tr.dir)
	tr.must(err)
	defer root.Close()
	for _, o := range []manifest.Options{{}, {Lease: true}, {Lease: true, Soon: true, Workers: 3}, {Guard: &manifest.Guard{}}} {
		m, err := manifest.Take(t.Context(), tr.dir, o)
		tr.must(err)
		if len(m.Files) != 300 || len(m.Problems) > 0 {
			t.Fatalf("%d files, problems %v", len(m.Files), m.Problems)
		}
		for _, got := range m.Files {
			want, err := manifest.HashFile(t.Context(), root, got.Path)
			tr.must(err)
			if diff := cmp.Diff(want, got, sameDigest); diff != "" {
				t.Errorf("%+v: %s (-care +brief):\n%s", o, got.Path, diff)
			}
		}
		if o.Guard != nil {
			o.Guard.Close()
		}
	}
}

// Somebody who has a small file open for writing is seen.
func TestBriefSeesWriters(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.leases()
	tr.write("a", "a")
	tr.write("b", "b")
	f, err := os.OpenFile(tr.path("b"), os.O_RDWR, 0)
	tr.must(err)
	defer f.Close()
	m, err := manifest.Take(t.Context(), tr.dir, manifest.Options{Lease: true})
	tr.must(err)
	if diff := cmp.Diff([]string{"b writer"}, kinds(m.Problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// A small file that differed, and no longer when it is read again, is told.
func TestBriefFlicker(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.write("a", "good")
	tr.write("b", "good")
	base, blocks := tr.taken()
	tr.write("a", "evil")
	var clock time.Time
	restored := false
	got, err := manifest.Recheck(t.Context(), tr.dir, base, blocks, manifest.Options{
		Workers: 1,
		Now:     func() time.Time { clock = clock.Add(time.Second); return clock },
		Progress: func(manifest.Progress) { // b was read, a has been
			if !restored {
				restored = true
				tr.write("a", "good")
			}
		},
	})
	tr.must(err)
	if diff := cmp.Diff([]string{"a"}, got.Flickered); diff != "" || len(got.Changed) > 0 {
		t.Errorf("changed %v, flickered (-want +got):\n%s", got.Changed, diff)
	}
}
