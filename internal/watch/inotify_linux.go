package watch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// What is asked of directories and of files. A file is watched beside its
// directory, since the directory does not tell what is done through another
// name of the same file.
const (
	fileMask = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_DONT_FOLLOW
	dirMask  = fileMask | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK
)

// spot is what a watch stands for.
type spot struct {
	root *root
	path string // relative to the tree
	// entry, where set, is the one name in a directory above a root that
	// matters.
	entry string
}

// maxSpots is how many names of one file are told apart.
const maxSpots = 8

// inotify is the kernel's account of what happens to directories and files.
type inotify struct {
	f  *os.File
	fd int // of f, which stays in the mode that lets reads be interrupted
	mu sync.Mutex
	at map[int32][]spot
	// above holds the watches of directories above roots, which stay.
	above map[int32]bool
	// limit is the most watches, where that is less than the kernel's; 0 is
	// the kernel's.
	limit int
}

func newNotifier() (notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w: raise fs.inotify.max_user_instances", err)
	}
	return &inotify{f: os.NewFile(uintptr(fd), "inotify"), fd: fd, at: map[int32][]spot{}, above: map[int32]bool{}}, nil
}

func (n *inotify) add(r *root) (paths int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(r, "")
	n.addAbove(r)
	resolved, err := filepath.EvalSymlinks(r.Tree)
	if err != nil {
		return 0, nil
	}
	info, err := os.Lstat(resolved)
	if err != nil {
		return 0, nil
	}
	if info.IsDir() {
		paths, err = n.tree(r, resolved, "", 0)
	} else {
		paths, err = 1, n.watch(resolved, fileMask, spot{root: r})
		if dir := filepath.Dir(resolved); err == nil && dir != filepath.Dir(r.Tree) {
			err = n.watchAbove(dir, spot{root: r, entry: filepath.Base(resolved)})
		}
	}
	if err != nil {
		n.forget(r, "") // what polls needs no watches
	}
	return paths, err
}

// addAbove watches for the name of the root to stand for something else.
func (n *inotify) addAbove(r *root) {
	// Without it the next look at the roots notices.
	_ = n.watchAbove(filepath.Dir(r.Tree), spot{root: r, entry: filepath.Base(r.Tree)})
}

func (n *inotify) watchAbove(dir string, s spot) error {
	wd, err := n.addWatch(dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_ONLYDIR|unix.IN_MASK_ADD)
	if err != nil {
		return err
	}
	n.above[wd] = true
	if !slices.Contains(n.at[wd], s) {
		n.at[wd] = append(n.at[wd], s)
	}
	return nil
}

// tree watches a directory and then what is in it, so that nothing comes
// between the two unseen.
func (n *inotify) tree(r *root, abs, rel string, depth int) (paths int, err error) {
	if err := n.watch(abs, dirMask, spot{root: r, path: rel}); err != nil || depth > maxDepth {
		return 0, err
	}
	paths = 1
	entries, err := os.ReadDir(abs)
	if err != nil {
		return paths, nil //nolint:nilerr // the check says what cannot be read
	}
	for _, e := range entries {
		below, name := filepath.Join(abs, e.Name()), join(rel, e.Name())
		k := 0
		switch {
		case e.IsDir():
			k, err = n.tree(r, below, name, depth+1)
		case e.Type().IsRegular():
			k, err = 1, n.watch(below, fileMask, spot{root: r, path: name})
		}
		if paths += k; err != nil {
			return paths, err
		}
	}
	return paths, nil
}

// watch watches one path. What is gone, or may not be looked at, is no error:
// the check says so.
func (n *inotify) watch(abs string, mask uint32, s spot) error {
	wd, err := n.addWatch(abs, mask|unix.IN_MASK_ADD)
	if err != nil || wd < 0 {
		return err
	}
	spots := n.at[wd]
	switch {
	case slices.Contains(spots, s):
	case len(spots) < maxSpots || n.above[wd]:
		n.at[wd] = append(spots, s)
	default: // too many names: anywhere in the model
		anywhere := spot{root: s.root}
		n.at[wd] = append(slices.DeleteFunc(spots, func(o spot) bool { return o.root == s.root }), anywhere)
	}
	return nil
}

func (n *inotify) addWatch(abs string, mask uint32) (int32, error) {
	if n.limit > 0 && len(n.at) >= n.limit {
		return -1, errLimit
	}
	wd, err := unix.InotifyAddWatch(n.fd, abs, mask)
	switch {
	case err == nil:
		return int32(wd), nil
	case errors.Is(err, unix.ENOSPC):
		return -1, errLimit
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return -1, nil
	}
	return -1, fmt.Errorf("watch %s: %w", quoted(abs), err)
}

// forget ends the watches of a root at and below path. Those above roots stay.
func (n *inotify) forget(r *root, path string) {
	for wd, spots := range n.at {
		left := slices.DeleteFunc(spots, func(s spot) bool {
			return s.root == r && s.entry == "" && (path == "" || s.path == path || strings.HasPrefix(s.path, path+"/"))
		})
		n.at[wd] = left
		if len(left) == 0 {
			delete(n.at, wd)
			_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) // it may have ended by itself
		}
	}
}

// note is one event as the kernel wrote it.
type note struct {
	wd   int32
	mask uint32
	name string
}

func (n *inotify) run(ctx context.Context, w *Watcher, tell func(Event)) error {
	stop := context.AfterFunc(ctx, func() { _ = n.f.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		k, err := n.f.Read(buf)
		if err != nil {
			return fmt.Errorf("inotify: %w", err)
		}
		for _, e := range parseNotes(buf[:k]) {
			n.handle(e, w, tell)
		}
	}
}

// parseNotes takes apart what one read returned.
func parseNotes(buf []byte) (notes []note) {
	for len(buf) >= unix.SizeofInotifyEvent {
		size := int(binary.NativeEndian.Uint32(buf[12:]))
		if size < 0 || size > len(buf)-unix.SizeofInotifyEvent {
			return notes
		}
		name, _, _ := bytes.Cut(buf[unix.SizeofInotifyEvent:][:size], []byte{0})
		notes = append(notes, note{int32(binary.NativeEndian.Uint32(buf)), binary.NativeEndian.Uint32(buf[4:]), string(name)})
		buf = buf[unix.SizeofInotifyEvent+size:]
	}
	return notes
}

func (n *inotify) handle(e note, w *Watcher, tell func(Event)) {
	if e.mask&unix.IN_Q_OVERFLOW != 0 {
		for _, r := range w.roots {
			if w.watched(r) {
				w.rearm(r, "the kernel's queue of events overflowed", tell)
			}
		}
		return
	}
	n.mu.Lock()
	spots := slices.Clone(n.at[e.wd])
	if e.mask&unix.IN_IGNORED != 0 {
		delete(n.at, e.wd)
		delete(n.above, e.wd)
	}
	n.mu.Unlock()
	for _, s := range spots {
		n.happened(e, s, w, tell)
	}
}

// watched reports whether the kernel watches the root.
func (w *Watcher) watched(r *root) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mode == Inotify
}

// happened tells what an event means at one spot.
func (n *inotify) happened(e note, s spot, w *Watcher, tell func(Event)) {
	const moved = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO
	switch {
	case s.entry != "":
		if e.name == s.entry && e.mask&moved != 0 {
			w.rearm(s.root, "the model's own name was given to something else", tell)
		}
	case e.mask&unix.IN_UNMOUNT != 0 && s.path == "":
		w.rearm(s.root, "the file system was unmounted", tell)
	case e.mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0 && s.path == "":
		w.rearm(s.root, "the model's directory was moved or removed", tell)
	case e.mask&moved != 0 && e.name != "":
		n.renamed(e, s, w, tell)
	case e.mask&unix.IN_CLOSE_WRITE != 0:
		tell(Event{Root: s.root.ID, Path: join(s.path, e.name), Kind: Written})
	case e.mask&unix.IN_MODIFY != 0:
		tell(Event{Root: s.root.ID, Path: join(s.path, e.name), Kind: Changed})
	case e.mask&unix.IN_ATTRIB != 0:
		tell(Event{Root: s.root.ID, Path: join(s.path, e.name), Kind: Attributes})
	}
}

// renamed follows a name that came or went.
func (n *inotify) renamed(e note, s spot, w *Watcher, tell func(Event)) {
	path, kind := join(s.path, e.name), Named
	switch {
	case e.mask&(unix.IN_MOVED_FROM|unix.IN_DELETE) != 0:
		if e.mask&unix.IN_ISDIR != 0 {
			n.mu.Lock()
			n.forget(s.root, path)
			n.mu.Unlock()
		}
	default:
		if e.mask&unix.IN_MOVED_TO != 0 {
			kind = Written
		}
		if err := n.follow(s.root, path); err != nil {
			w.degrade(s.root, err)
		}
		if e.mask&unix.IN_ISDIR != 0 && w.who != nil {
			w.who.below(s.root, path)
		}
	}
	tell(Event{Root: s.root.ID, Path: path, Kind: kind})
}

// follow watches what came.
func (n *inotify) follow(r *root, path string) error {
	tree, err := filepath.EvalSymlinks(r.Tree)
	if err != nil {
		return nil //nolint:nilerr // gone: the directory above tells
	}
	abs := filepath.Join(tree, filepath.FromSlash(path))
	info, err := os.Lstat(abs)
	if err != nil {
		return nil //nolint:nilerr // gone again
	}
	n.mu.Lock()
	paths := 0
	switch {
	case info.IsDir():
		paths, err = n.tree(r, abs, path, strings.Count(path, "/")+1)
	case info.Mode().IsRegular():
		paths, err = 1, n.watch(abs, fileMask, spot{root: r, path: path})
	}
	n.mu.Unlock()
	r.mu.Lock()
	r.paths += paths
	r.mu.Unlock()
	return err
}

// degrade polls a root that cannot be watched any more. What happens in between
// shows against the first look.
func (w *Watcher) degrade(r *root, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mode == Polling {
		return
	}
	r.mode, r.degraded, r.reason = Polling, true, why.Error()
	r.poll = newSnapshot(r.Tree)
	w.opts.Log.Error("model is polled", "model", r.ID, "reason", r.reason)
}
