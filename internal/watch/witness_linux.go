package watch

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// witnessMask is what is asked of directories about what is in them.
const witnessMask = unix.FAN_MODIFY | unix.FAN_CLOSE_WRITE | unix.FAN_ATTRIB | unix.FAN_CREATE | unix.FAN_DELETE |
	unix.FAN_MOVED_FROM | unix.FAN_MOVED_TO | unix.FAN_ONDIR | unix.FAN_EVENT_ON_CHILD

// Bounds of what a witness remembers.
const (
	maxSeen = 4096
	seenFor = time.Minute
)

// place is a path of a root.
type place struct{ root, path string }

// witness remembers who did something where, as fanotify tells it. It sees what
// is done through names in the directories of a model, not through other names
// of its files.
type witness struct {
	f   *os.File
	fd  int
	log *slog.Logger

	mu    sync.Mutex
	dirs  map[string]place // by file system and handle
	seen  map[place]Process
	order []place // of seen, oldest first
}

// newWitness returns nil where the kernel does not let this process ask.
func newWitness(log *slog.Logger) *witness {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_REPORT_DFID_NAME|
		unix.FAN_UNLIMITED_MARKS, unix.O_RDONLY|unix.O_LARGEFILE)
	if err != nil {
		log.Info("the kernel does not tell who writes", "error", err)
		return nil
	}
	return &witness{f: os.NewFile(uintptr(fd), "fanotify"), fd: fd, log: log, dirs: map[string]place{}, seen: map[place]Process{}}
}

// add asks about every directory of a root.
func (w *witness) add(r *root) {
	resolved, err := filepath.EvalSymlinks(r.Tree)
	if err != nil {
		return
	}
	info, err := os.Lstat(resolved)
	switch {
	case err != nil:
	case info.IsDir():
		w.tree(r.ID, resolved, "", 0)
	default:
		w.mark(r.ID, filepath.Dir(resolved), "") // of the names in it only the file's is asked for
	}
}

// below asks about a directory that came.
func (w *witness) below(r *root, path string) {
	if resolved, err := filepath.EvalSymlinks(r.Tree); err == nil {
		w.tree(r.ID, filepath.Join(resolved, filepath.FromSlash(path)), path, strings.Count(path, "/")+1)
	}
}

func (w *witness) tree(id, abs, rel string, depth int) {
	if depth > maxDepth || !w.mark(id, abs, rel) {
		return
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			w.tree(id, filepath.Join(abs, e.Name()), join(rel, e.Name()), depth+1)
		}
	}
}

// mark asks about one directory and reports whether the kernel will tell.
func (w *witness) mark(id, abs, rel string) bool {
	err := unix.FanotifyMark(w.fd, unix.FAN_MARK_ADD|unix.FAN_MARK_ONLYDIR|unix.FAN_MARK_DONT_FOLLOW, witnessMask, unix.AT_FDCWD, abs)
	if err != nil {
		return false
	}
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, abs, 0)
	if err != nil {
		return false
	}
	var st unix.Statfs_t
	if err := unix.Statfs(abs, &st); err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirs[handleKey(st.Fsid.Val, handle.Type(), handle.Bytes())] = place{id, rel}
	return true
}

func handleKey(fsid [2]int32, kind int32, handle []byte) string {
	return fmt.Sprintf("%x %x %d %x", uint32(fsid[0]), uint32(fsid[1]), kind, handle)
}

func (w *witness) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = w.f.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		n, err := w.f.Read(buf)
		if err != nil {
			if ctx.Err() == nil {
				w.log.Warn("the kernel stopped telling who writes", "error", err)
			}
			return
		}
		for _, d := range parseDeeds(buf[:n]) {
			w.saw(d)
		}
	}
}

// deed is one event as fanotify wrote it.
type deed struct {
	mask uint64
	fd   int32
	pid  int32
	dir  string // the key of the directory, or ""
	name string
}

// Sizes of what fanotify writes.
const (
	metadataSize = 24
	headerSize   = 4
	fsidSize     = 8
	handleHead   = 8
)

// parseDeeds takes apart what one read returned.
func parseDeeds(buf []byte) (deeds []deed) {
	for len(buf) >= metadataSize {
		size, head := int(binary.NativeEndian.Uint32(buf)), int(binary.NativeEndian.Uint16(buf[6:]))
		if size < metadataSize || size > len(buf) || head < metadataSize || head > size || buf[4] != unix.FANOTIFY_METADATA_VERSION {
			return deeds
		}
		d := deed{
			mask: binary.NativeEndian.Uint64(buf[8:]),
			fd:   int32(binary.NativeEndian.Uint32(buf[16:])),
			pid:  int32(binary.NativeEndian.Uint32(buf[20:])),
		}
		d.dir, d.name = parseName(buf[head:size])
		deeds = append(deeds, d)
		buf = buf[size:]
	}
	return deeds
}

// parseName finds the record that names a directory and an entry in it.
func parseName(info []byte) (dir, name string) {
	for len(info) >= headerSize {
		size := int(binary.NativeEndian.Uint16(info[2:]))
		if size < headerSize || size > len(info) {
			return "", ""
		}
		if body := info[headerSize:size]; info[0] == unix.FAN_EVENT_INFO_TYPE_DFID_NAME && len(body) >= fsidSize+handleHead {
			fsid := [2]int32{int32(binary.NativeEndian.Uint32(body)), int32(binary.NativeEndian.Uint32(body[4:]))}
			length := binary.NativeEndian.Uint32(body[8:])
			kind := int32(binary.NativeEndian.Uint32(body[12:]))
			rest := body[fsidSize+handleHead:]
			if uint64(length) > uint64(len(rest)) {
				return "", ""
			}
			text, _, _ := bytes.Cut(rest[length:], []byte{0})
			return handleKey(fsid, kind, rest[:length]), string(text)
		}
		info = info[size:]
	}
	return "", ""
}

func (w *witness) saw(d deed) {
	if d.fd >= 0 {
		_ = unix.Close(int(d.fd))
	}
	if d.mask&unix.FAN_Q_OVERFLOW != 0 || d.dir == "" || int(d.pid) == os.Getpid() {
		return
	}
	who := ProcessOf(int(d.pid), time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.dirs[d.dir]
	if !ok {
		return
	}
	if d.name != "." {
		at.path = join(at.path, d.name)
	}
	if _, again := w.seen[at]; !again {
		w.order = append(w.order, at)
	}
	if old := w.seen[at]; who.Executable == "" && old.PID == who.PID {
		who.Executable, who.Command, who.UID, who.User, who.Container = old.Executable, old.Command, old.UID, old.User, old.Container
	}
	w.seen[at] = who
	for len(w.order) > maxSeen {
		delete(w.seen, w.order[0])
		w.order = w.order[1:]
	}
}

// at returns who did something at the path of a root, or below or above it.
func (w *witness) at(id, path string) (Process, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if p, ok := w.seen[place{id, path}]; ok && time.Since(p.Time) < seenFor {
			return p, true
		}
		if path == "" {
			return Process{}, false
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
}

// containerID is how runtimes name control groups: by 64 hex digits.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// maxProc bounds what is read of a file in /proc.
const maxProc = 16 << 10

// ProcessOf says what can still be found out about a process.
func ProcessOf(pid int, now time.Time) Process {
	p := Process{PID: pid, Time: now.UTC(), UID: -1}
	dir := "/proc/" + strconv.Itoa(pid)
	p.Executable, _ = os.Readlink(dir + "/exe")
	p.Command = strings.TrimSpace(procText(dir + "/comm"))
	for line := range strings.Lines(procText(dir + "/status")) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "Uid:" {
			if uid, err := strconv.Atoi(fields[1]); err == nil {
				p.UID = uid
			}
		}
	}
	if p.UID >= 0 {
		if u, err := user.LookupId(strconv.Itoa(p.UID)); err == nil {
			p.User = u.Username
		}
	}
	p.Container = containerID.FindString(procText(dir + "/cgroup"))
	return p
}

func procText(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, maxProc)
	n, _ := f.Read(buf)
	return string(buf[:n])
}
