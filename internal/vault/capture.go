package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// errDiverged is a clone that has other bytes than reading the file gives.
var errDiverged = errors.New("the clone differs from what was read")

// Capture takes the regular file path below root into the vault. It is read
// once, and each part of it is hashed, written, read back from the vault and
// compared, and compared with what the disk holds, while it is in memory. What
// has only zeros takes no room. A file that changes meanwhile, or that is not
// a regular file, is a [fault.Incomplete], and so is a full disk; what has no
// room there is not begun.
func (v *Vault) Capture(ctx context.Context, root *os.Root, path string, o evidence.CaptureOptions) (got evidence.Captured, err error) {
	got, err = v.capture(ctx, root, path, o, true)
	if errors.Is(err, errDiverged) {
		// A clone has what is on the disk. What the model was served from is
		// memory, so those bytes are copied; the comparison notes the rest.
		got, err = v.capture(ctx, root, path, o, false)
	}
	if err != nil {
		return evidence.Captured{}, fmt.Errorf("capture %s: %w", artifact.Quote(path), err)
	}
	return got, nil
}

func (v *Vault) capture(ctx context.Context, root *os.Root, path string, o evidence.CaptureOptions, clone bool) (got evidence.Captured, err error) {
	src, before, err := fsop.OpenRegular(root, path)
	if err != nil {
		return got, err
	}
	defer src.Close()
	f, err := v.create()
	if err != nil {
		return got, v.explain(err)
	}
	defer func() {
		err = v.explain(err)
		err = errors.Join(err, ignoreMissing(os.Remove(f.Name())), f.Close())
	}()
	t := &transfer{src: src, dst: f, size: before.Size(), sum: sha256.New(), most: o.Direct}
	t.cloned = clone && fsop.Clone(f, src) == nil // whatever the reason: copying says what is wrong
	if !t.cloned {
		// What does not fit is not begun: a disk that is full to the last
		// byte has no room for the record of what is missing.
		if err := v.Preflight(fsop.Allocated(before)); err != nil {
			return got, err
		}
		if err := f.Truncate(before.Size()); err != nil {
			return got, err
		}
	}
	if err := t.run(ctx, root, path, before); err != nil {
		return got, err
	}
	if got, err = t.settle(ctx, root, path, before); err != nil {
		return got, err
	}
	if o.Wanted != nil && !o.Wanted(got.SHA256) {
		return got, nil
	}
	if err := errors.Join(f.Chmod(0o400), f.Sync()); err != nil {
		return got, err
	}
	got.Kept = true
	return got, v.place(ctx, f.Name(), got.SHA256, got.Size)
}

// transfer is one file on its way into the vault.
type transfer struct {
	src, dst *os.File
	size     int64
	cloned   bool
	read     int64 // how many bytes there were
	sum      hash.Hash
	back     []byte // what was read back

	direct    *os.File // nil when nothing is read past the page cache any more
	disk      []byte   // what was read there
	most      int64
	compared  int64
	differed  bool
	notDirect string
}

// run moves the file through all stages.
func (t *transfer) run(ctx context.Context, root *os.Root, path string, info fs.FileInfo) error {
	quiet := fsop.QuietBelow(root, path, t.src)
	defer quiet.Close()
	t.notDirect = "it was not asked for"
	if t.most > 0 {
		direct, err := fsop.OpenDirect(root, path, info)
		if err != nil {
			t.notDirect = err.Error()
		} else {
			defer direct.Close()
			t.direct, t.notDirect = direct, ""
		}
	}
	n, err := pump(ctx, quiet, t.src, t.size, t.hash, t.keep, t.compare)
	t.read = n
	return err
}

func (t *transfer) hash(c *chunk) error {
	t.sum.Write(c.data())
	return nil
}

// zeroBlock is the unit in which zeros are left out.
var zeroBlock [64 << 10]byte

// keep writes a chunk into the vault's file, and reads it back.
func (t *transfer) keep(c *chunk) error {
	if t.back == nil {
		t.back = make([]byte, len(c.buf))
	}
	if t.cloned {
		return t.same(c.data(), c.off, errDiverged)
	}
	for data, off := c.data(), c.off; len(data) > 0; {
		n, zeros := sameKind(data)
		if !zeros {
			if _, err := t.dst.WriteAt(data[:n], off); err != nil {
				return err
			}
		}
		if !zeros || !fsop.IsHole(t.dst, off, int64(n)) {
			if err := t.same(data[:n], off, errReadBack); err != nil {
				return err
			}
		}
		data, off = data[n:], off+int64(n)
	}
	fsop.StartWriting(t.dst, c.off, int64(c.n))
	return nil
}

// sameKind returns how many bytes at the beginning are in blocks of zeros, or
// in blocks with something else.
func sameKind(data []byte) (n int, zeros bool) {
	for n < len(data) {
		block := data[n:min(n+len(zeroBlock), len(data))]
		is := bytes.Equal(block, zeroBlock[:len(block)])
		if n > 0 && is != zeros {
			break
		}
		n, zeros = n+len(block), is
	}
	return n, zeros
}

// errReadBack is a vault that does not hold what was written to it.
var errReadBack = fault.New(fault.Incomplete, "what was read back from the vault is not what was written to it").
	WithHint("the disk or its file system is failing; use a state directory on another one (--state)")

// same compares what the vault's file has from off on.
func (t *transfer) same(want []byte, off int64, otherwise error) error {
	back := t.back[:len(want)]
	if n, err := t.dst.ReadAt(back, off); n < len(back) {
		return errors.Join(otherwise, err)
	}
	if !bytes.Equal(back, want) {
		return otherwise
	}
	return nil
}

// compare reads a chunk past the page cache. Other bytes on the disk than in
// memory mean that somebody changed one of both. What memory did not have was
// read from the disk already.
func (t *transfer) compare(c *chunk) error {
	switch {
	case t.direct == nil || c.cold || t.differed:
		return nil
	case t.compared+int64(c.n) > t.most:
		t.direct, t.notDirect = nil, fmt.Sprintf("more than %d bytes were read", t.most)
		return nil
	}
	if t.disk == nil {
		t.disk = fsop.AlignedBuffer(len(c.buf))
	}
	n, err := fsop.ReadDirectAt(t.direct, t.disk[:aligned(c.n)], c.off)
	t.compared += int64(n)
	if n < c.n && !errors.Is(err, errEnd) {
		t.direct, t.notDirect = nil, err.Error()
		return nil
	}
	t.differed = !bytes.Equal(t.disk[:min(n, c.n)], c.data())
	return nil
}

// settle says what was found, unless the file has changed meanwhile.
func (t *transfer) settle(ctx context.Context, root *os.Root, path string, before fs.FileInfo) (got evidence.Captured, err error) {
	got = evidence.Captured{Size: t.read, NotDirect: t.notDirect, Differed: t.differed, Compared: t.compared}
	if got.SHA256, err = artifact.NewDigest(artifact.SHA256, t.sum.Sum(nil)); err != nil {
		return got, err
	}
	switch {
	case t.differed:
		got.Direct, _, err = fsop.HashDirect(ctx, root, path)
		if err != nil {
			got.NotDirect = err.Error()
		}
	case t.notDirect == "":
		got.Direct = got.SHA256
	}
	if got.Info, err = t.src.Stat(); err != nil {
		return got, err
	}
	if t.read != before.Size() || !fsop.Unchanged(before, got.Info) {
		return got, fault.New(fault.Incomplete, "the file changed while it was copied").
			WithHint("stop whatever writes it, or copy it by hand and add the copy")
	}
	return got, nil
}
