package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/fsop"
)

func file(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func piece(content []byte, off int64) *chunk {
	c := &chunk{buf: fsop.AlignedBuffer(aligned(len(content))), n: len(content), off: off}
	copy(c.buf, content)
	return c
}

// Other bytes on the disk than in memory are seen, wherever they are.
func TestDifferenceToTheDiskIsSeen(t *testing.T) {
	content := bytes.Repeat([]byte("weights."), 1000)
	for _, at := range []int{-1, 0, 4095, 4096, len(content) - 1} {
		memory := bytes.Clone(content)
		if at >= 0 {
			memory[at] ^= 1
		}
		f := file(t, content)
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(filepath.Dir(f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		direct, err := fsop.OpenDirect(root, "f", info)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("this file system has no direct reads")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer direct.Close()
		tr := &transfer{direct: direct, most: 1 << 30}
		if err := tr.compare(piece(memory, 0)); err != nil || tr.differed != (at >= 0) || tr.compared != int64(len(content)) {
			t.Errorf("byte %d: differed %v after %d bytes, %v", at, tr.differed, tr.compared, err)
		}
		// Settling reads the disk once more, for its digest.
		tr = &transfer{src: f, read: info.Size(), sum: sha256.New(), differed: at >= 0}
		tr.sum.Write(memory)
		got, err := tr.settle(t.Context(), root, "f", info)
		if err != nil || got.Differed != (at >= 0) || (got.Direct == got.SHA256) != (at < 0) || got.Direct.IsZero() {
			t.Errorf("byte %d: %+v, %v", at, got, err)
		}
	}
}

// A vault whose disk does not hold what was written is not relied on.
func TestReadBackRefuses(t *testing.T) {
	f := file(t, nil)
	tr := &transfer{dst: f, back: make([]byte, 100)}
	if err := tr.keep(piece([]byte("evidence"), 5)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Evidence", "evidencE", "evidence!"} {
		if err := tr.same([]byte(want), 5, errReadBack); !errors.Is(err, errReadBack) {
			t.Errorf("%s: %v", want, err)
		}
	}
	// Zeros are not written; what is there instead of a hole shows.
	if err := tr.keep(piece(make([]byte, 8), 5)); !errors.Is(err, errReadBack) {
		t.Errorf("a range that is no hole: %v", err)
	}
	if err := (&transfer{dst: f, cloned: true}).keep(piece([]byte("Evidence"), 5)); !errors.Is(err, errDiverged) {
		t.Errorf("clone: %v", err)
	}
}

// The first stage that fails ends the reading, also of a file without end.
func TestPump(t *testing.T) {
	f, broken := file(t, []byte("x")), errors.New("broken")
	endless := io.NewSectionReader(zeros{}, 0, 1<<62)
	pass := func(*chunk) error { return nil }
	if _, err := pump(t.Context(), endless, f, 1<<61, pass, func(c *chunk) error {
		if c.off >= 20*chunkSize {
			return broken
		}
		return nil
	}, pass); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if _, err := pump(ctx, endless, f, 1<<61, func(c *chunk) error {
		if c.off >= 20*chunkSize {
			stop()
		}
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// A file that grows is read a little further than it was, to be seen.
	if n, err := pump(t.Context(), endless, f, 10, pass); err != nil || n <= 10 || n > chunkSize {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := pump(t.Context(), failing{}, f, 10, pass); !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
	var seen strings.Builder
	text := strings.Repeat("0123456789", 1<<19)
	if n, err := pump(t.Context(), strings.NewReader(text), f, int64(len(text)), pass, func(c *chunk) error {
		seen.Write(c.data())
		return nil
	}); err != nil || n != int64(len(text)) || seen.String() != text {
		t.Errorf("%d bytes, %d in order, %v", n, seen.Len(), err)
	}
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, os.ErrPermission }
