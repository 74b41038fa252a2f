package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// Get opens the evidence d for reading. The content is verified while it is
// read: instead of io.EOF the last Read returns an error that wraps
// [ErrAltered] when it was not d. Evidence that is not there is a
// [fault.NotFound] that wraps [ErrMissing].
func (v *Vault) Get(ctx context.Context, d artifact.Digest) (io.ReadCloser, error) {
	f, _, err := v.open(d)
	if err != nil {
		return nil, err
	}
	return &verified{ctx: ctx, f: f, want: d, sum: sha256.New()}, nil
}

// open opens d's file, which must be a regular one.
func (v *Vault) open(d artifact.Digest) (*os.File, fs.FileInfo, error) {
	rel, err := name(d)
	if err != nil {
		return nil, nil, err
	}
	root, err := os.OpenRoot(v.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open vault: %w", err)
	}
	defer root.Close()
	f, info, err := fsop.OpenRegular(root, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, damage(fault.NotFound, d, ErrMissing)
	case fault.KindOf(err) == fault.Incomplete:
		return nil, nil, damage(fault.Conflict, d, ErrAltered)
	case err != nil:
		return nil, nil, fmt.Errorf("open evidence %s: %w", d, err)
	}
	return f, info, nil
}

func damage(kind fault.Kind, d artifact.Digest, what error) error {
	return fault.New(kind, "evidence %s: %w", d, what).
		WithHint("the vault was changed from outside; keep it as it is and find out by whom")
}

type verified struct {
	ctx  context.Context
	f    *os.File
	want artifact.Digest
	sum  hash.Hash
}

// Read reads on, and compares the digest at the end.
func (r *verified) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.f.Read(p)
	r.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && string(r.sum.Sum(nil)) != string(r.want.Bytes()) {
		return n, damage(fault.Conflict, r.want, ErrAltered)
	}
	return n, err
}

// Close closes the file. It verifies nothing.
func (r *verified) Close() error { return r.f.Close() }

// Verify reads the evidence d and says what is wrong with it: the error wraps
// [ErrMissing] ([fault.NotFound]), [ErrTruncated] or [ErrAltered] (both
// [fault.Conflict]). A negative size is not compared; then a truncated file
// counts as altered.
func (v *Vault) Verify(ctx context.Context, d artifact.Digest, size int64) error {
	f, info, err := v.open(d)
	if err != nil {
		return err
	}
	defer f.Close()
	switch {
	case size >= 0 && info.Size() < size:
		return damage(fault.Conflict, d, ErrTruncated)
	case size >= 0 && info.Size() > size:
		return damage(fault.Conflict, d, ErrAltered)
	}
	got, _, err := fsop.Hash(ctx, f)
	switch {
	case err != nil:
		return fmt.Errorf("read evidence %s: %w", d, err)
	case got != d:
		return damage(fault.Conflict, d, ErrAltered)
	}
	return nil
}

// Open opens what is kept as the evidence d, whether or not it still is what
// was sealed: what became of evidence is evidence too. What is not there is a
// [fault.NotFound], what is no file any more a [fault.Conflict].
func (v *Vault) Open(d artifact.Digest) (io.ReadCloser, error) {
	f, _, err := v.open(d)
	if err != nil {
		return nil, err
	}
	return f, nil
}
