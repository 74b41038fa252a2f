package layout

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// verification is one run of [Layout.Verify].
type verification struct {
	Layout
	order []artifact.File
	out   *Report
}

func newVerification(l Layout, m *manifest.Manifest) *verification {
	v := &verification{Layout: l, order: m.Files}
	v.out = &Report{Layout: l, Mismatches: []Mismatch{}, Problems: []Problem{}}
	return v
}

// file returns the file at a path of the manifest, which is in order.
func (v *verification) file(path string) (artifact.File, bool) {
	i, ok := slices.BinarySearchFunc(v.order, path, func(f artifact.File, p string) int { return cmp.Compare(f.Path, p) })
	if !ok {
		return artifact.File{}, false
	}
	return v.order[i], true
}

func (v *verification) problem(class Class, kind, path, format string, args ...any) {
	v.out.Problems = append(v.out.Problems, Problem{path, class, kind, fmt.Sprintf(format, args...)})
}

// content compares a file with the hash that names it and counts it.
func (v *verification) content(m Mismatch) {
	if m.ExpectedHash == m.ActualHash {
		v.out.Verified++
		return
	}
	m.Kind = Modified
	if m.Reason == "" {
		m.Reason = fmt.Sprintf("the content is not what its name says: %s %s", m.Algorithm, m.ActualHash)
	}
	v.out.Mismatches = append(v.out.Mismatches, m)
}

// opened opens Tree for the time of do. That it cannot be opened is a problem.
func (v *verification) opened(do func(*os.Root) error) error {
	root, err := os.OpenRoot(v.Tree + "/.")
	if err != nil {
		v.problem(Unverified, "unreadable", ".", "the directory cannot be opened: %v", cause(err))
		return nil
	}
	defer root.Close()
	return do(root)
}

// readSmall returns a regular file of at most limit bytes. Links are not
// followed: a layout's own files are none.
func readSmall(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return data, err
}

func openRegular(root *os.Root, name string) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, cause(err)
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("it is a %s, not a file", artifact.KindOf(before.Mode()))
	}
	f, err := root.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, cause(err)
	}
	now, err := f.Stat()
	if err != nil || !os.SameFile(before, now) {
		return nil, errors.Join(errors.New("it was replaced while it was opened"), err, f.Close())
	}
	return f, nil
}

// errMoved is a file that is not the one of the manifest any more.
var errMoved = errors.New("it changed since it was hashed")

// hashAs reads the file again with another hash. What is read must be what
// the manifest has, or both digests would be of different content.
func hashAs(ctx context.Context, root *os.Root, file artifact.File, h hash.Hash) (string, error) {
	f, err := openRegular(root, file.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	again := sha256.New()
	in := io.LimitReader(f, file.Size+1)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		_, err := io.CopyN(io.MultiWriter(h, again), in, 256<<10)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", cause(err)
		}
	}
	if hex.EncodeToString(again.Sum(nil)) != file.Digest.Hex() {
		return "", errMoved
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// cause takes the path, which is unquoted, out of an error of package os.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
