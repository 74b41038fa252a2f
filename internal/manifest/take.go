package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// Options of [Take]. The zero value is usable.
type Options struct {
	// Workers is the number of files, or in [Recheck] of blocks, that are read
	// at the same time; 0 is the smaller of GOMAXPROCS and 4, in Recheck 8. Each
	// may take 8 MiB of memory. From a disk whose heads have to move one of them
	// reads at a time, while others may work on what is in memory.
	Workers int
	// Rate is the most bytes read in a second; 0 is no limit.
	Rate int64
	// Blocks, when not nil, is filled with the tags of what [Take] reads.
	Blocks *Blocks
	// Lease takes a read lease on each file before it is read, where that is
	// possible. A file that somebody has open for writing is a [Writer]
	// problem then.
	Lease bool
	// Guard, when not nil, keeps the leases, and spares [Recheck] what nobody
	// can have written to since. It implies Lease.
	Guard *Guard
	// Sysfs is where the kernel tells about disks; empty is /sys.
	Sysfs string
	// Select, when not nil, is given what the walk found, in order and before
	// anything is read, and returns what belongs to the model. It is for
	// layouts in which a model is part of a tree; whoever sets it answers for
	// what it leaves out. Problems of the walk stay, whatever it returns.
	Select func([]artifact.File) []artifact.File
	// Known, when not nil, is given each regular file as the walk found it, and
	// returns it as it was read before where nothing has to be read again:
	// whoever sets it answers for that. With Known, [Take] makes no Blocks;
	// [Recheck] does not ask it.
	Known func(artifact.File) (artifact.File, bool)
	// Soon says that the tree is going to be looked at again soon: tiny files stay
	// in the page cache.
	Soon bool
	// Settled, when not nil, is given each file that was read to its end, with
	// its digest and what the system says of the inode: from any goroutine.
	Settled func(artifact.File, fs.FileInfo)
	// Progress, when not nil, is called while files are hashed, about ten
	// times a second at most and once at the end. Calls never overlap; a slow
	// one holds up one worker.
	Progress func(Progress)
	// Now is only for spacing the calls of Progress; nil is [time.Now].
	Now func() time.Time
}

// Progress is how far [Take] has come.
type Progress struct {
	// Files is the number of regular files done with.
	Files int
	// Bytes were read, of the TotalBytes that the walk saw.
	Bytes, TotalBytes int64
}

// Take observes the model at path dir: a directory, or a single regular file,
// which becomes one entry named by its base name. The path itself may be or
// pass a symbolic link: whoever named it meant what it leads to.
//
// What is wrong inside the tree is in the manifest's problems. The error is a
// [fault.NotFound] when there is nothing at dir, a [fault.Incomplete] when it
// cannot be opened or listed, and wraps ctx's when ctx ends.
func Take(ctx context.Context, dir string, o Options) (*Manifest, error) {
	var m *Manifest
	err := look(ctx, dir, func(w *walker) (err error) {
		m, err = finish(ctx, w, o)
		return err
	})
	return m, err
}

// look walks the model at path dir and calls do with what it found, while the
// tree is open.
func look(ctx context.Context, dir string, do func(*walker) error) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "read model %s: there is nothing at this path", artifact.Quote(dir)).
			WithHint("check the model's path in the configuration, and that its volume is mounted")
	case err != nil:
		return unopened(dir, err)
	case info.Mode().IsRegular():
		return lookAtFile(dir, do)
	case !info.IsDir():
		return fault.New(fault.Incomplete, "read model %s: it is a %s, neither a directory nor a regular file",
			artifact.Quote(dir), artifact.KindOf(info.Mode()))
	}
	// With the dot, a FIFO that takes the directory's place fails to open
	// instead of waiting for a writer.
	root, err := os.OpenRoot(strings.TrimRight(dir, "/") + "/.")
	if err != nil {
		return unopened(dir, err)
	}
	defer root.Close()
	w := walker{root: root}
	if err := w.walk(ctx); err != nil {
		return err
	}
	return do(&w)
}

// TakeRoot observes the tree below root, which stays open. Errors are those of
// [Take].
func TakeRoot(ctx context.Context, root *os.Root, o Options) (*Manifest, error) {
	w := walker{root: root}
	if err := w.walk(ctx); err != nil {
		return nil, err
	}
	return finish(ctx, &w, o)
}

// lookAtFile opens the directory that holds the file, since only a root gives
// an open that cannot be led astray.
func lookAtFile(path string, do func(*walker) error) error {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return unopened(path, err)
	}
	root, err := os.OpenRoot(filepath.Dir(resolved) + "/.")
	if err != nil {
		return unopened(path, err)
	}
	defer root.Close()
	w := walker{root: root, as: filepath.Base(path)}
	w.visit(filepath.Base(resolved), "", nil)
	return do(&w)
}

// named lets the function see a single file under the name that it goes by.
func named(f func(artifact.File) (artifact.File, bool), as string) func(artifact.File) (artifact.File, bool) {
	if f == nil || as == "" {
		return f
	}
	return func(file artifact.File) (artifact.File, bool) {
		below := file.Path
		file.Path = as
		seen, ok := f(file)
		seen.Path = below
		return seen, ok
	}
}

// renamed returns the manifest of a single file under another name; none
// leaves it as it is.
func (m *Manifest) renamed(name string) *Manifest {
	if name == "" {
		return m
	}
	if err := artifact.CheckPath(name); err != nil {
		return &Manifest{Files: []artifact.File{}, Problems: []Problem{badName(name, err)}}
	}
	for i := range m.Files {
		m.Files[i].Path = name
	}
	for i := range m.Problems {
		if m.Problems[i].Kind != Name {
			m.Problems[i].Path = name
		}
	}
	return m
}

// finish hashes what w found and puts everything in order.
func finish(ctx context.Context, w *walker, o Options) (*Manifest, error) {
	m := w.manifest(o.Select)
	o.Known = named(o.Known, w.as)
	problems, err := hashAll(ctx, w.root, m, o)
	if err != nil {
		return nil, fmt.Errorf("hash model: %w", err)
	}
	m.add(problems)
	return m.renamed(w.as), nil
}

// manifest returns what was chosen of what the walk met, in order, with the
// digests still missing.
func (w *walker) manifest(choose func([]artifact.File) []artifact.File) *Manifest {
	files := w.take()
	slices.SortFunc(files, byPath)
	// A directory that changes while it is listed may name an entry twice.
	files = slices.CompactFunc(files, func(a, b artifact.File) bool { return a.Path == b.Path })
	if choose != nil {
		files = choose(files)
	}
	return &Manifest{Files: files, Problems: append([]Problem{}, w.problems...)}
}

// add puts problems among those of m.
func (m *Manifest) add(problems []Problem) {
	m.Problems = append(m.Problems, problems...)
	slices.SortFunc(m.Problems, byPathAndKind)
	m.Problems = slices.Compact(m.Problems)
}

// HashFile observes one path below root by the rules of [Take]. The entry is
// as complete as it could be made even when there is an error: a
// [fault.Invalid] for a path that [artifact.CheckPath] refuses,
// [fault.NotFound], [fault.Conflict] for a file that changes while it is read,
// [fault.Incomplete] for one that cannot be read or is no regular file, or
// ctx's.
func HashFile(ctx context.Context, root *os.Root, path string) (artifact.File, error) {
	if err := artifact.CheckPath(path); err != nil {
		return artifact.File{}, fault.New(fault.Invalid, "hash file: %w", err)
	}
	info, err := root.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return artifact.File{}, fault.New(fault.NotFound, "hash %s: there is no such file", artifact.Quote(path))
	case err != nil:
		return artifact.File{}, fault.New(fault.Incomplete, "hash %s: %w", artifact.Quote(path), cause(err))
	}
	file := entry(path, info)
	if file.Kind != artifact.Regular {
		return file, fault.New(fault.Incomplete, "hash %s: it is a %s, not a regular file", artifact.Quote(path), file.Kind)
	}
	p, err := newHasher(&pass{root: root, meter: &meter{}}, file.Size).file(ctx, &file, 0)
	switch {
	case err != nil:
		return file, fmt.Errorf("hash %s: %w", artifact.Quote(path), err)
	case p != nil && p.Kind == Unstable:
		return file, fault.New(fault.Conflict, "hash %s: %s", artifact.Quote(path), p.Reason)
	case p != nil:
		return file, fault.New(fault.Incomplete, "hash %s: %s", artifact.Quote(path), p.Reason)
	}
	return file, nil
}

// Observed returns the entry of the regular file at path below root, whose
// content somebody has read from beginning to end while it was as info says.
// It is not ok when something else is there now, or when it has changed.
func Observed(root *os.Root, path string, info fs.FileInfo, digest artifact.Digest) (seen artifact.File, ok bool) {
	f, now, err := fsop.OpenRegular(root, path)
	if err != nil {
		return seen, false
	}
	defer f.Close()
	if !unchanged(info, now) {
		return seen, false
	}
	seen = entry(path, now)
	seen.Digest = digest
	extend(&seen, f)
	return seen, true
}

func unopened(path string, err error) error {
	return fault.New(fault.Incomplete, "read model %s: %w", artifact.Quote(path), cause(err)).
		WithHint("check who may read and search the directory, and that its volume is healthy")
}

// cause takes the path out of an error of package os, where it stands as the
// file system has it, escape sequences included.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
