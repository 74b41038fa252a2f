// Package vault keeps evidence files below one directory, named by the
// SHA-256 digest of their content: sha256/ab/<64 hex digits>, mode 0400. A
// file that is in is never overwritten and never removed. What a file is
// evidence of, and that it is sealed, stands in the ledger, which this
// package does not know.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// What can be wrong with a file of the vault. Errors of [Vault.Verify] and
// [Vault.Get] wrap one of them when the trouble is with the evidence itself.
var (
	ErrMissing   = errors.New("evidence is missing")
	ErrTruncated = errors.New("evidence is truncated")
	ErrAltered   = errors.New("evidence is altered")
)

// Vault is a directory of evidence files. Any number of processes may use one
// at the same time.
type Vault struct {
	dir  string
	free func(path string) (int64, error)
}

// Open returns the vault in dir, which is made with mode 0700 when missing,
// its parents excluded. Files that a killed process left half-written are
// removed.
func Open(dir string) (*Vault, error) {
	v := &Vault{dir: filepath.Clean(dir), free: fsop.FreeSpace}
	for _, d := range []string{v.dir, v.temp(), filepath.Join(v.dir, "sha256")} {
		if err := fsop.PrivateDir(d); err != nil {
			return nil, fmt.Errorf("open vault: %w", err)
		}
	}
	if err := v.sweep(); err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	return v, nil
}

// Dir returns the vault's directory.
func (v *Vault) Dir() string { return v.dir }

func (v *Vault) temp() string { return filepath.Join(v.dir, "tmp") }

// name returns the path of d's file relative to the vault.
func name(d artifact.Digest) (string, error) {
	if d.Algorithm() != artifact.SHA256 {
		return "", fault.New(fault.Invalid, "evidence is named by SHA-256, not by %q", string(d.Algorithm()))
	}
	hex := d.Hex()
	return "sha256/" + hex[:2] + "/" + hex, nil
}

// PutFile is [Vault.Capture] without anything past the page cache. It returns
// the digest and the size of what is in the vault now.
func (v *Vault) PutFile(ctx context.Context, root *os.Root, path string) (artifact.Digest, int64, error) {
	got, err := v.Capture(ctx, root, path, evidence.CaptureOptions{})
	return got.SHA256, got.Size, err
}

// Put takes everything that r gives into the vault and returns its digest and
// size. A full disk is a [fault.Incomplete].
func (v *Vault) Put(ctx context.Context, r io.Reader) (artifact.Digest, int64, error) {
	d, size, err := v.put(ctx, r)
	if err != nil {
		return artifact.Digest{}, 0, fmt.Errorf("keep evidence: %w", err)
	}
	return d, size, nil
}

// put writes a file, then names it by what is really in it.
func (v *Vault) put(ctx context.Context, r io.Reader) (d artifact.Digest, size int64, err error) {
	f, err := v.create()
	if err != nil {
		return d, 0, v.explain(err)
	}
	defer func() {
		err = v.explain(err)
		err = errors.Join(err, ignoreMissing(os.Remove(f.Name())), f.Close())
	}()
	if _, err := fsop.Copy(ctx, f, r); err != nil {
		return d, 0, err
	}
	if err := errors.Join(f.Chmod(0o400), f.Sync()); err != nil {
		return d, 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return d, 0, err
	}
	if d, size, err = fsop.Hash(ctx, f); err != nil {
		return d, 0, err
	}
	return d, size, v.place(ctx, f.Name(), d, size)
}

// create returns an empty temporary file that this process has locked. A
// sweep can take it away between the two; then the next try gets another.
func (v *Vault) create() (*os.File, error) {
	for {
		f, err := os.CreateTemp(v.temp(), "put-*")
		if err != nil {
			return nil, err
		}
		err = fsop.LockFile(f)
		if err == nil || errors.Is(err, errors.ErrUnsupported) {
			if _, err = os.Lstat(f.Name()); err == nil {
				return f, nil
			}
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		if fault.KindOf(err) != fault.Conflict && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// sweep removes the temporary files that no living process has locked.
func (v *Vault) sweep() error {
	entries, err := os.ReadDir(v.temp())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := sweepFile(filepath.Join(v.temp(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func sweepFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return ignoreMissing(err)
	}
	defer f.Close()
	switch err := fsop.LockFile(f); {
	case fault.KindOf(err) == fault.Conflict, errors.Is(err, errors.ErrUnsupported):
		return nil // somebody may be writing it
	case err != nil:
		return err
	}
	return ignoreMissing(os.Remove(path))
}

// place gives the finished file temp its name. An object that is there
// already is verified before it is relied on; a damaged one is kept beside.
func (v *Vault) place(ctx context.Context, temp string, d artifact.Digest, size int64) error {
	rel, err := name(d)
	if err != nil {
		return err
	}
	target := filepath.Join(v.dir, filepath.FromSlash(rel))
	if err := fsop.PrivateDir(filepath.Dir(target)); err != nil {
		return err
	}
	for {
		err := fsop.RenameNoReplace(temp, target)
		if err == nil {
			return fsop.SyncDir(filepath.Dir(target))
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		err = v.Verify(ctx, d, size)
		switch {
		case err == nil:
			return fsop.SyncDir(filepath.Dir(target)) // whoever placed it may not have come to that
		case errors.Is(err, ErrMissing):
			continue // moved aside by somebody else just now
		case !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrAltered):
			return err
		}
		if err := moveAside(target); err != nil {
			return err
		}
	}
}

// moveAside renames a damaged object to the first free "<name>.damaged-<n>".
func moveAside(target string) error {
	for n := 1; ; n++ {
		err := fsop.RenameNoReplace(target, fmt.Sprintf("%s.damaged-%d", target, n))
		if !errors.Is(err, fs.ErrExist) {
			return ignoreMissing(err)
		}
	}
}

// Damaged returns the paths of the damaged objects that were found under d's
// name when good content was put in their place, in lexical order. Each is
// evidence that somebody or something changed the vault.
func (v *Vault) Damaged(d artifact.Digest) ([]string, error) {
	rel, err := name(d)
	if err != nil {
		return nil, err
	}
	target := filepath.Join(v.dir, filepath.FromSlash(rel))
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var found []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(target)+".damaged-") {
			found = append(found, filepath.Join(filepath.Dir(target), e.Name()))
		}
	}
	return found, nil
}

// Preflight fails with a [fault.Incomplete] when size more bytes would not
// fit. Where free space cannot be asked for it says nothing.
func (v *Vault) Preflight(size int64) error {
	free, err := v.free(v.dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("ask for free space: %w", err)
	case free < size:
		return fault.New(fault.Incomplete, "the vault %s has room for %d bytes; %d are needed", artifact.Quote(v.dir), free, size).
			WithHint("free space there, or use a state directory on a larger disk (--state)")
	}
	return nil
}

func (v *Vault) explain(err error) error {
	if !fsop.IsFull(err) {
		return err
	}
	return fault.New(fault.Incomplete, "the disk of the vault %s is full: %w", artifact.Quote(v.dir), err).
		WithHint("free space there, or use a state directory on a larger disk (--state)")
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
