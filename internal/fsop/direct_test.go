package fsop_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// Past the page cache a file reads as through it, whatever its size.
func TestHashDirect(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, size := range []int{0, 1, 4095, 4096, 4097, 1 << 20, 1<<20 + 7, 3 << 20} {
		data := bytes.Repeat([]byte{byte(size), 1, 2, 3, 5}, size/5+1)[:size]
		if err := os.WriteFile(filepath.Join(dir, "f"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, n, err := fsop.HashDirect(t.Context(), root, "f")
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("this file system has no direct reads")
		}
		if err != nil || n != int64(size) || got != artifact.SHA256Of(data) {
			t.Errorf("%d bytes: %d, %s, %v", size, n, got, err)
		}
	}
}

func TestReadAttributes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("abc"), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := fsop.ReadAttributes(f)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("not on this system")
	}
	id, idErr := fsop.Identity(path)
	if err != nil || idErr != nil || a.ID != id || a.Size != 3 || a.Mode != "-rw-r-----" || a.Changed.IsZero() || a.Links != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}
