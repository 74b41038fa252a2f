package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// attempts is how often a file is read, or a directory listed, that changes
// under our eyes.
const attempts = 3

// Bounds of how many entries are kept together while the tree is walked: ever
// more, as there are more.
const (
	firstChunk = 16
	chunkSize  = 512
)

// errChanged is what [attempts] are made for.
var errChanged = errors.New("changed while it was read")

// directory is one that was seen and is yet to be listed. What is opened under
// its path must be what was seen: os.Root follows links that stay inside.
type directory struct {
	path string
	info fs.FileInfo // nil for the root
}

// walker collects the entries of a tree. Regular files are not hashed yet.
type walker struct {
	root *os.Root
	// as is the name that a single file goes by, which need not be the one
	// that it has below root.
	as       string
	chunks   [][]artifact.File
	problems []Problem
	pending  []directory
}

// walk visits everything below the root. Only the root itself is an error.
func (w *walker) walk(ctx context.Context) error {
	w.pending = []directory{{path: "."}}
	for len(w.pending) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("walk model: %w", err)
		}
		dir := w.pending[len(w.pending)-1]
		w.pending = w.pending[:len(w.pending)-1]
		names, err := w.list(dir)
		if err != nil && dir.info == nil {
			return unopened(w.root.Name(), err)
		}
		if err != nil {
			w.problem(dir.path, Walk, "the directory cannot be listed: %v", cause(err))
		} else if len(names) == 0 && dir.info != nil {
			w.add(entry(dir.path, dir.info))
		}
		if err := w.visitAll(ctx, dir, names); err != nil {
			return fmt.Errorf("walk model: %w", err)
		}
	}
	return nil
}

// visitAll visits the names in a directory through its folder, if that can be
// had, which spares looking up every part of the path for each of them.
func (w *walker) visitAll(ctx context.Context, dir directory, names []string) error {
	var folder *fsop.Folder
	if len(names) > 0 {
		folder = openFolder(w.root, dir.path, dir.info)
		defer folder.Close()
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := name
		if dir.info != nil {
			path = dir.path + "/" + name
		}
		w.visit(path, name, folder)
	}
	return nil
}

// lstat looks at a path, which has the name in the folder; the information is
// good until the next call. A directory is always looked at through the root.
func (w *walker) lstat(path, name string, folder *fsop.Folder) (fs.FileInfo, error) {
	if folder != nil {
		if info, err := folder.Lstat(name); err == nil && !info.IsDir() {
			return info, nil
		}
	}
	return w.root.Lstat(path)
}

// list returns the names in dir. They come with an error when only a part
// could be read, or when the directory was never quiet.
func (w *walker) list(dir directory) (names []string, err error) {
	for range attempts {
		names, err = w.listOnce(dir)
		if !errors.Is(err, errChanged) {
			return names, err
		}
	}
	return names, err
}

func (w *walker) listOnce(dir directory) ([]string, error) {
	f, err := w.root.OpenFile(dir.path, dirFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if dir.info != nil && !os.SameFile(dir.info, before) {
		return nil, errors.New("another directory has taken its place")
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		return names, err
	}
	after, err := f.Stat()
	if err != nil {
		return names, err
	}
	if !unchanged(before, after) {
		return names, errChanged
	}
	return names, nil
}

// visit records the path, or puts it by when it is a directory.
func (w *walker) visit(path, name string, folder *fsop.Folder) {
	if err := artifact.CheckPath(path); err != nil {
		w.problems = append(w.problems, badName(path, err))
		return
	}
	info, err := w.lstat(path, name, folder)
	if err != nil {
		w.problem(path, Walk, "it was listed, and cannot be examined: %v", cause(err))
		return
	}
	file := entry(path, info)
	switch file.Kind {
	case artifact.Directory:
		w.pending = append(w.pending, directory{path, info})
		return
	case artifact.Symlink:
		w.link(&file)
	case artifact.Regular:
	default:
		w.problem(path, Special, "it is a %s, which has no content of its own", file.Kind)
	}
	w.add(file)
}

// add keeps f in a chunk: a slice that grew by copying itself would leave
// several times its size behind as garbage.
func (w *walker) add(f artifact.File) {
	last := len(w.chunks) - 1
	if last < 0 || len(w.chunks[last]) == cap(w.chunks[last]) {
		last++
		w.chunks = append(w.chunks, make([]artifact.File, 0, min(firstChunk<<min(last, 8), chunkSize)))
	}
	w.chunks[last] = append(w.chunks[last], f)
}

// take returns all entries, once.
func (w *walker) take() []artifact.File {
	files := slices.Concat(w.chunks...)
	w.chunks = nil
	if files == nil {
		files = []artifact.File{} // a list in JSON, not null
	}
	return files
}

// link fills in where a symbolic link points and whether that is inside.
func (w *walker) link(file *artifact.File) {
	target, err := w.root.Readlink(file.Path)
	if err != nil {
		w.problem(file.Path, Walk, "the link cannot be read: %v", cause(err))
		return
	}
	file.Target = target
	if !utf8.ValidString(target) {
		file.Target = strconv.Quote(target)
		w.problem(strconv.Quote(file.Path), Name, "the target of this link is not UTF-8")
	}
	_, err = w.root.Stat(file.Path)
	switch err = cause(err); {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		w.problem(file.Path, LinkEscapes, "the link leads to nothing: %s", artifact.Quote(target))
	case errors.Is(err, syscall.ELOOP):
		w.problem(file.Path, LinkEscapes, "the link leads back to itself: %s", artifact.Quote(target))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ENOTDIR):
		w.problem(file.Path, LinkEscapes, "the link cannot be followed to %s: %v", artifact.Quote(target), err)
	default:
		w.problem(file.Path, LinkEscapes, "the link leads out of the tree: %s", artifact.Quote(target))
	}
}

func (w *walker) problem(path string, kind ProblemKind, format string, args ...any) {
	w.problems = append(w.problems, Problem{path, kind, fmt.Sprintf(format, args...)})
}

// badName is always quoted, so that it cannot be taken for a file whose name
// happens to read like a quoted one.
func badName(path string, err error) Problem {
	return Problem{strconv.Quote(path), Name, err.Error() + "; nothing under this name was read"}
}

// entry is what lstat tells about a path. Sizes of anything but regular files
// are an affair of the file system, not of the model.
func entry(path string, info fs.FileInfo) artifact.File {
	file := artifact.File{Path: path, Kind: artifact.KindOf(info.Mode()), Mode: info.Mode(), ModTime: info.ModTime().UTC(), Attributes: attributes(info)}
	if file.Kind == artifact.Regular {
		file.Size = info.Size()
	}
	if y := file.ModTime.Year(); y < 0 || y > 9999 {
		file.ModTime = time.Time{} // RFC 3339 cannot say it, and anyone may set it
	}
	return file
}

// unchanged reports whether two looks at an inode saw the same state of it.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Mode() == b.Mode() && a.Size() == b.Size() &&
		a.ModTime().Equal(b.ModTime()) && changeTime(a).Equal(changeTime(b))
}
