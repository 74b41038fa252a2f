package watch

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// identity tells what is at a path from whatever else was or will be there.
type identity struct {
	dev, ino uint64
}

// identify follows links. It is zero when there is nothing, or when nothing can
// be learned of it.
func identify(path string) identity {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}
	}
	return identityOf(info)
}

// stamp is what lstat tells of a path, change time included, which cannot be
// set as the modification time can.
type stamp struct {
	id       identity
	mode     fs.FileMode
	size     int64
	modified time.Time
	changed  int64
	owner    uint64
	links    uint64
}

// snapshot is a tree by its stamps.
type snapshot struct {
	files map[string]stamp
}

// maxDepth bounds how deep a tree is followed.
const maxDepth = 256

// newSnapshot looks at a tree. What cannot be looked at is not in it; that it
// came or went is a change like any other.
func newSnapshot(tree string) *snapshot {
	s := &snapshot{files: map[string]stamp{}}
	resolved, err := filepath.EvalSymlinks(tree)
	if err != nil {
		return s
	}
	s.visit(resolved, "", 0)
	return s
}

func (s *snapshot) visit(abs, rel string, depth int) {
	info, err := os.Lstat(abs)
	if err != nil {
		return
	}
	s.files[rel] = stampOf(info)
	if !info.IsDir() || depth > maxDepth {
		return
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return
	}
	for _, e := range entries {
		s.visit(filepath.Join(abs, e.Name()), join(rel, e.Name()), depth+1)
	}
}

// changes returns what differs, in the order of the paths. Directories differ
// in what is in them, which says so itself, and in their own mode.
func (s *snapshot) changes(now *snapshot, id string) []Event {
	var out []Event
	for path, was := range s.files {
		is, there := now.files[path]
		switch {
		case !there, is.id != was.id, is.mode.Type() != was.mode.Type():
			out = append(out, Event{Root: id, Path: path, Kind: Named})
		case is.mode.IsDir():
		case is.size != was.size || !is.modified.Equal(was.modified):
			out = append(out, Event{Root: id, Path: path, Kind: Written})
		case is != was:
			out = append(out, Event{Root: id, Path: path, Kind: Attributes})
		}
	}
	for path := range now.files {
		if _, there := s.files[path]; !there {
			out = append(out, Event{Root: id, Path: path, Kind: Named})
		}
	}
	slices.SortFunc(out, func(a, b Event) int { return compareText(a.Path, b.Path) })
	return out
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
