package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// gateMask asks before a file in a directory is opened, to be read, written or
// run.
const gateMask = unix.FAN_OPEN_PERM | unix.FAN_OPEN_EXEC_PERM | unix.FAN_EVENT_ON_CHILD

// maxWaiting is how many openings are judged at the same time; more are
// answered as doubt.
const maxWaiting = 64

// Gate answers for the kernel whether a file of a model may be opened. It asks
// about names in the directories of a model; who opens a file by a name outside
// is not held up.
//
// As long as a Gate is open, whoever opens such a file waits for it. When the
// process ends, however it ends, the kernel lets everybody through; when only
// the Gate is stuck, its watchdog closes it, to the same effect. A process that
// is stopped as a whole can do neither: the kernel kills it after a time.
type Gate struct {
	opts  GateOptions
	f     *os.File
	fd    int
	self  identity // of this program
	trees []place  // root and where its tree is
	slots chan struct{}
	alive deadman

	rounds  atomic.Int64 // how often the gate asked the kernel who waits
	waiting atomic.Int64 // openings that were not answered yet
	answers atomic.Int64
	mu      sync.Mutex // of answering and closing
	closed  bool
}

// NewGate opens a gate in front of roots; Run has to follow at once. The error wraps
// [errors.ErrUnsupported] where the kernel does not let this process.
func NewGate(roots []Root, o GateOptions) (*Gate, error) {
	if o.Within <= 0 {
		o.Within = DefaultWithin
	}
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_UNLIMITED_QUEUE|unix.FAN_UNLIMITED_MARKS,
		unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC|unix.O_NOATIME)
	if err != nil {
		return nil, fmt.Errorf("the kernel does not let this process answer for it: %w (%w)", errors.ErrUnsupported, err)
	}
	g := &Gate{opts: o, f: os.NewFile(uintptr(fd), "fanotify"), fd: fd, self: identify("/proc/self/exe"), slots: make(chan struct{}, maxWaiting)}
	for _, r := range roots {
		if err := g.add(r); err != nil {
			return nil, errors.Join(err, g.f.Close())
		}
	}
	if g.alive, err = newDeadman(); err == nil {
		err = g.alive.putOff(g.stopped()) // until Run does
	}
	if err != nil {
		return nil, errors.Join(err, g.f.Close())
	}
	return g, nil
}

// add asks about every directory of a root.
func (g *Gate) add(r Root) error {
	resolved, err := filepath.EvalSymlinks(r.Tree)
	if err != nil {
		return nil //nolint:nilerr // it is not there; Follow is called when it comes
	}
	g.mu.Lock()
	known := false
	for i := range g.trees {
		if g.trees[i].root == r.ID {
			g.trees[i].path, known = resolved, true
		}
	}
	if !known {
		g.trees = append(g.trees, place{r.ID, resolved})
	}
	g.mu.Unlock()
	info, err := os.Lstat(resolved)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	if !info.IsDir() { // its directory, so that what takes its place is asked about too
		return g.mark(filepath.Dir(resolved), gateMask)
	}
	return g.tree(resolved, 0)
}

func (g *Gate) tree(dir string, depth int) error {
	if err := g.mark(dir, gateMask); err != nil || depth > maxDepth {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil //nolint:nilerr // the check says what cannot be read
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := g.tree(filepath.Join(dir, e.Name()), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *Gate) mark(path string, mask uint64) error {
	err := unix.FanotifyMark(g.fd, unix.FAN_MARK_ADD|unix.FAN_MARK_DONT_FOLLOW, mask, unix.AT_FDCWD, path)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fmt.Errorf("gate in front of %s: %w", quoted(path), err)
}

// Follow asks about what came to a root.
func (g *Gate) Follow(r Root) {
	if err := g.add(r); err != nil && g.opts.Log != nil {
		g.opts.Log.Error("gate", "error", err)
	}
}

// Run answers until ctx ends, and then lets everybody through.
func (g *Gate) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, g.open)
	defer stop()
	defer g.open()
	var parts sync.WaitGroup
	defer parts.Wait()
	inner, end := context.WithCancel(ctx)
	defer end()
	parts.Go(func() { g.watchdog(inner) })
	buf := make([]byte, 16<<10)
	for {
		g.rounds.Add(1)
		n, err := g.f.Read(buf)
		switch {
		case ctx.Err() != nil: // the outer one: it is over before anybody closes the file
			return nil
		case err != nil:
			return fmt.Errorf("gate: %w", err)
		}
		for _, d := range parseDeeds(buf[:n]) {
			g.asked(inner, &parts, d)
		}
	}
}

// open lets everybody through, for good.
func (g *Gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		_ = g.f.Close() // with it the kernel answers who still waits
		g.alive.end()
	}
}

// watchdog opens the gate when nothing moves although somebody waits: to be
// asked about, or for the answer.
func (g *Gate) watchdog(ctx context.Context) {
	tick := time.NewTicker(g.opts.Within)
	defer tick.Stop()
	still, last := 0, [2]int64{-1, -1}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := g.alive.putOff(g.stopped()); err != nil && g.opts.Log != nil {
			g.opts.Log.Error("the gate's own end cannot be put off", "error", err)
		}
		now := [2]int64{g.rounds.Load(), g.answers.Load()}
		if now != last || g.waiting.Load() == 0 && !g.readable() {
			still, last = 0, now
			continue
		}
		if still++; still >= stuckAfter {
			if g.opts.Log != nil {
				g.opts.Log.Error("the gate did not answer any more: it is open for good")
			}
			g.open()
			return
		}
	}
}

// stopped is how long this process may be stopped as a whole.
func (g *Gate) stopped() time.Duration { return max(leastStopped, 2*stuckAfter*g.opts.Within) }

// readable reports whether the kernel has somebody to ask about.
func (g *Gate) readable() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(g.fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// asked judges an opening without holding up the next.
func (g *Gate) asked(ctx context.Context, parts *sync.WaitGroup, d deed) {
	if d.fd < 0 || d.mask&(unix.FAN_OPEN_PERM|unix.FAN_OPEN_EXEC_PERM) == 0 {
		return
	}
	g.waiting.Add(1)
	if int(d.pid) == os.Getpid() || g.ours(int(d.pid)) {
		g.answer(d.fd, Allow)
		_ = unix.Close(int(d.fd))
		return
	}
	select {
	case g.slots <- struct{}{}:
	default:
		g.answer(d.fd, g.opts.OnDoubt)
		_ = unix.Close(int(d.fd))
		return
	}
	parts.Go(func() {
		defer func() { <-g.slots }()
		g.judge(ctx, d)
	})
}

// ours reports whether a process runs this program: it has to read what was
// tampered with, to say so and to preserve it.
func (g *Gate) ours(pid int) bool {
	return g.self != identity{} && identify("/proc/"+strconv.Itoa(pid)+"/exe") == g.self
}

// judge answers in time, whatever the judge does.
func (g *Gate) judge(ctx context.Context, d deed) {
	o := Opening{File: os.NewFile(uintptr(d.fd), "opening"), Process: ProcessOf(int(d.pid), time.Now())}
	defer func() { _ = o.File.Close() }()
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(d.fd)))
	if err != nil || !g.locate(path, &o) {
		g.answer(d.fd, Allow) // of no root, or gone: nobody gets at it by its name
		return
	}
	type said struct {
		answer Answer
		why    string
	}
	ctx, end := context.WithTimeout(ctx, g.opts.Within)
	defer end()
	result := make(chan said, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, why := g.opts.Judge(ctx, o)
		result <- said{a, why}
	}()
	s := said{Doubt, "no answer within " + g.opts.Within.String()}
	select {
	case s = <-result:
	case <-ctx.Done():
	}
	given := s.answer
	if given == Doubt {
		given = g.opts.OnDoubt
	}
	g.answer(d.fd, given)
	if s.answer != Allow && g.opts.Refused != nil {
		g.opts.Refused(o, given, s.why)
	}
	<-done // it uses the file
}

// locate finds the root that a path is in.
func (g *Gate) locate(path string, o *Opening) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.trees {
		if rel, ok := strings.CutPrefix(path, t.path); ok && (rel == "" || rel[0] == '/') {
			o.Root, o.Path = t.root, strings.TrimPrefix(rel, "/")
			return artifact.CheckPath(o.Path) == nil || o.Path == ""
		}
	}
	return false
}

// answer tells the kernel.
func (g *Gate) answer(fd int32, a Answer) {
	response := uint32(unix.FAN_ALLOW)
	if a == Refuse {
		response = unix.FAN_DENY
	}
	buf := binary.NativeEndian.AppendUint32(nil, uint32(fd))
	buf = binary.NativeEndian.AppendUint32(buf, response)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting.Add(-1)
	g.answers.Add(1)
	if !g.closed {
		_, _ = unix.Write(g.fd, buf) // when it fails the kernel has answered already
	}
}
