package directory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// openTree opens the directory at path, which must be the one with the
// identity id. Whatever is put in its place later, the root stays with it.
func openTree(path string, id fsop.ID) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		var got fsop.ID
		if got, err = fsop.IdentityOf(info); err == nil && got != id {
			err = fault.New(fault.Conflict, "%s was replaced", artifact.Quote(path))
		}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// differs says in words how the directory at path, which has the identity id,
// differs from holding exactly files; "" when it does not. An error means
// that it could not be read. What known has read is not read again.
func differs(ctx context.Context, known *reads, path string, id fsop.ID, files []entry) (string, error) {
	root, err := openTree(path, id)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if extra, err := extraPath(ctx, root, files); err != nil || extra != "" {
		return extra, err
	}
	for _, f := range files {
		got, size, err := known.hash(ctx, root, f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Sprintf("%s is missing", artifact.Quote(f.Path)), nil
		case fault.KindOf(err) == fault.Incomplete:
			return err.Error(), nil
		case err != nil:
			return "", fmt.Errorf("read %s: %w", artifact.Quote(f.Path), err)
		case got != f.SHA256 || size != f.Size:
			return fmt.Sprintf("%s has the digest %s, not %s", artifact.Quote(f.Path), got, f.SHA256), nil
		}
	}
	return "", nil
}

// extraPath names the first path of root that files do not account for.
func extraPath(ctx context.Context, root *os.Root, files []entry) (string, error) {
	dirs := parents(files)
	extra := ""
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || p == "." {
			return err
		}
		_, isFile := slices.BinarySearchFunc(files, p, func(e entry, p string) int { return strings.Compare(e.Path, p) })
		if d.IsDir() && dirs[p] || d.Type().IsRegular() && isFile {
			return nil
		}
		extra = fmt.Sprintf("there is a %s %s that does not belong to it", artifact.KindOf(d.Type()), artifact.Quote(p))
		return fs.SkipAll
	})
	return extra, err
}

// build makes the newcomer: a copy of the verified files, or the marker. A
// half-made one is thrown away first.
func (d *Driver) build(ctx context.Context, p params) error {
	switch o, err := d.observeBuilt(ctx, p); {
	case err != nil || isDone(o):
		return err
	case isDiverged(o):
		return conflict(o)
	}
	err := errors.Join(removeTree(p.partial()), removeFile(p.stamp()))
	if err == nil {
		err = d.fill(ctx, p)
	}
	if err != nil {
		if fsop.IsFull(err) {
			err = fault.New(fault.Incomplete, "the disk is full: %w", err).WithHint("free space below %s", artifact.Quote(p.Work))
		}
		return errors.Join(fmt.Errorf("make %s: %w", artifact.Quote(p.Place), err), removeTree(p.partial()))
	}
	id, err := fsop.Identity(p.partial())
	if err != nil {
		return err
	}
	if err := fsop.WriteFileAtomic(p.stamp(), []byte(id.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write stamp: %w", err)
	}
	if err := fsop.RenameNoReplace(p.partial(), p.Place); err != nil {
		return err
	}
	return fsop.SyncDir(p.Work)
}

// fill makes <place>.partial hold exactly the files, all of it synced.
func (d *Driver) fill(ctx context.Context, p params) error {
	if err := os.Mkdir(p.partial(), 0o700); err != nil {
		return err
	}
	dst, err := os.OpenRoot(p.partial())
	if err != nil {
		return err
	}
	defer dst.Close()
	if p.Source == "" {
		err = writeMarker(dst, MarkerName, p.Text)
	} else {
		err = d.copyTree(ctx, dst, p)
	}
	if err != nil {
		return err
	}
	return finishDirs(dst, p.Files)
}

// finishDirs gives directories their mode, which the process's mask has no
// part in, and syncs them, the deepest first.
func finishDirs(dst *os.Root, files []entry) error {
	dirs := []string{"."}
	for dir := range parents(files) {
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, func(a, b string) int { return strings.Compare(b, a) })
	for _, dir := range dirs {
		if err := dst.Chmod(dir, 0o755); err != nil {
			return err
		}
		d, err := dst.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(fsop.Sync(d), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) copyTree(ctx context.Context, dst *os.Root, p params) error {
	src, err := os.OpenRoot(p.Source)
	if err != nil {
		return err
	}
	defer src.Close()
	for _, f := range p.Files {
		if err := d.copyFile(ctx, dst, src, f); err != nil {
			return fmt.Errorf("copy %s: %w", artifact.Quote(f.Path), err)
		}
	}
	return nil
}

// copyFile copies one file and hashes what arrived, not what was read.
func (d *Driver) copyFile(ctx context.Context, dst, src *os.Root, want entry) error {
	if err := dst.MkdirAll(path.Dir(want.Path), 0o700); err != nil {
		return err
	}
	in, info, err := fsop.OpenRegular(src, want.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	if info.Size() != want.Size {
		return sourceChanged(want)
	}
	out, err := dst.OpenFile(want.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fsop.CloneOrCopy(ctx, out, in)
	if err = errors.Join(err, out.Chmod(0o644), out.Sync(), out.Close()); err != nil {
		return err
	}
	got, size, err := d.copied.hash(ctx, dst, want.Path)
	if err == nil && (got != want.SHA256 || size != want.Size) {
		err = sourceChanged(want)
	}
	return err
}

func sourceChanged(want entry) error {
	return fault.New(fault.Conflict, "the source is not what was verified: expected %d bytes with the digest %s", want.Size, want.SHA256).
		WithHint("verify the version again, and find out who changed it")
}

// writeMarker makes a file that holds text; it must not exist.
func writeMarker(root *os.Root, name, text string) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
}

// removeTree removes what this driver made and what is below it, without
// following links.
func removeTree(path string) error { return os.RemoveAll(path) }

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
