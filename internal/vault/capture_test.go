//go:build unix

package vault_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// What is kept is what the file has, whatever its size and wherever zeros are,
// and reading past the page cache gives the same.
func TestCapture(t *testing.T) {
	const mib = 1 << 20
	random := rand.New(rand.NewPCG(1, 2))
	some := func(n int) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(random.Uint32())
		}
		return out
	}
	for name, content := range map[string][]byte{
		"empty": {}, "byte": {1}, "zero": {0}, "page": some(4096), "page_and_one": some(4097), "chunk": some(mib), "chunk_less_one": some(mib - 1),
		"chunk_and_one": some(mib + 1), "many_chunks": some(11*mib + 77), "zeros": make([]byte, 3*mib+5),
		"zeros_between": bytes.Join([][]byte{some(70_000), make([]byte, 5*mib), some(1), make([]byte, 130_000), some(mib), make([]byte, 99)}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			v, root := open(t), below(t, content)
			got, err := v.Capture(t.Context(), root, "f", evidence.CaptureOptions{Direct: 1 << 40})
			want := artifact.SHA256Of(content)
			if err != nil || got.SHA256 != want || got.Size != int64(len(content)) || !got.Kept || got.Differed {
				t.Fatalf("%+v, %v", got, err)
			}
			if got.NotDirect == "" && got.Direct != want {
				t.Errorf("past the page cache it is %v", got.Direct)
			}
			if err := v.Verify(t.Context(), want, got.Size); err != nil {
				t.Error(err)
			}
		})
	}
}

// below returns a directory with a file f.
func below(t *testing.T, content []byte) *os.Root {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// A file of holes takes no more room in the vault than where it is.
func TestCaptureKeepsHoles(t *testing.T) {
	const size = 1 << 30
	root := below(t, nil)
	f, err := root.OpenFile("f", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, size/2 + 12345, size - 3} {
		if _, err := f.WriteAt([]byte("abc"), off); err != nil {
			t.Fatal(err)
		}
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if fsop.Allocated(info) > 1<<20 {
		t.Skip("this file system has no holes, or does not tell")
	}
	v := open(t)
	v.SetFree(func(string) (int64, error) { return 1 << 20, nil }) // room for what is there, not for its size
	got, err := v.Capture(t.Context(), root, "f", evidence.CaptureOptions{})
	if err != nil || got.Size != size {
		t.Fatalf("%+v, %v", got, err)
	}
	hex := got.SHA256.Hex()
	info, err = os.Stat(filepath.Join(v.Dir(), "sha256", hex[:2], hex))
	if err != nil || info.Size() != size || fsop.Allocated(info) > 1<<20 {
		t.Errorf("%d bytes, of which %d are on the disk: %v", info.Size(), fsop.Allocated(info), err)
	}
	if err := v.Verify(t.Context(), got.SHA256, size); err != nil {
		t.Error(err)
	}
}

func TestCaptureKeepsOnlyWhatIsWanted(t *testing.T) {
	v, root := open(t), below(t, []byte(text))
	got, err := v.Capture(t.Context(), root, "f", evidence.CaptureOptions{Wanted: func(d artifact.Digest) bool { return d != digest }})
	if err != nil || got.Kept || got.SHA256 != digest || got.Info == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if left := files(t, v); len(left) != 0 {
		t.Errorf("the vault has %v", left)
	}
}

// No more is read past the page cache than is allowed, and the reason is told.
func TestCaptureReadsPastTheCacheWithinABound(t *testing.T) {
	content := bytes.Repeat([]byte("model"), 1<<20)
	v, root := open(t), below(t, content)
	got, err := v.Capture(t.Context(), root, "f", evidence.CaptureOptions{Direct: 2 << 20})
	if err != nil || !got.Direct.IsZero() || got.NotDirect == "" || got.Compared > 2<<20 || !got.Kept {
		t.Errorf("%+v, %v", got, err)
	}
}
