package directory

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// A large file is read once while nothing about it changes; what is written to
// it, and what is put in its place, is read. Small files are always read.
func TestLargeFilesAreReadOnceWhileUnchanged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "weights")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, largeFile); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	known := &reads{files: map[fsop.ID]readFile{}}
	look := func() string {
		t.Helper()
		got, size, err := known.hash(t.Context(), root, "weights")
		want, wantSize, wantErr := fsop.HashFile(t.Context(), root, "weights")
		if err != nil || wantErr != nil || got != want || size != wantSize {
			t.Fatalf("got %s of %d bytes (%v), want %s of %d (%v)", got, size, err, want, wantSize, wantErr)
		}
		return got.Hex()
	}
	other := artifact.SHA256Of([]byte("other"))
	first := look()
	if len(known.files) != 1 {
		t.Fatalf("%d files are known", len(known.files))
	}
	for id, f := range known.files { // that it is not read shows in a digest that is another's
		f.digest = other
		known.files[id] = f
	}
	if got, _, err := known.hash(t.Context(), root, "weights"); err != nil || got != other {
		t.Fatalf("the unchanged file was read again: %s, %v", got, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.WriteAt([]byte{1}, largeFile/2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if look() == first {
		t.Error("a changed byte gives the same digest")
	}
	known.forget()
	if len(known.files) != 0 {
		t.Error("something is still known")
	}
	if err := os.Truncate(path, largeFile-1); err != nil {
		t.Fatal(err)
	}
	look()
	if len(known.files) != 0 {
		t.Error("a small file is remembered")
	}
}
