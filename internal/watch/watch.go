// Package watch tells when something happens below directories: through
// inotify where the kernel sees every change, by looking again and again where
// it does not, and who did it where the kernel says so. It tells where to look,
// never what is there: an event is a reason to check, and no event is a proof
// of nothing.
package watch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Root is what is watched for one model.
type Root struct {
	// ID stands for it in events.
	ID string
	// Tree is a directory, of which everything below is watched, or a file. It
	// may be or pass a symbolic link: what that leads to is watched, and that
	// it leads elsewhere is an event.
	Tree string
}

// Kind says what sort of event it is, and so how soon to look.
type Kind int

// The kinds, the most urgent last.
const (
	// Attributes changed: mode, owner, links, times.
	Attributes Kind = iota + 1
	// Changed is a write by somebody who has not closed the file yet.
	Changed
	// Named is a path that came or went.
	Named
	// Written is a file that was closed after writing, or moved here.
	Written
	// Lost means that something may have happened anywhere below the root:
	// events were lost, or the root is another one.
	Lost
)

// String returns the name of the kind.
func (k Kind) String() string {
	names := [...]string{"", "attributes", "changed", "named", "written", "lost"}
	if k < 0 || int(k) >= len(names) {
		return ""
	}
	return names[k]
}

// Event is something that happened.
type Event struct {
	// Root is the id of the root.
	Root string
	// Path is relative to the root's tree, with slashes. It is empty when the
	// root is a file, or when it is not known where it happened.
	Path string
	Kind Kind
	// Reason says why events were lost.
	Reason string
}

// Mode is how a root is watched.
type Mode string

// The modes.
const (
	Inotify Mode = "inotify"
	Polling Mode = "polling"
)

// Coverage is how a root is watched, and what is missing.
type Coverage struct {
	Root string `json:"root"`
	Mode Mode   `json:"mode"`
	// Degraded says that the mode is worse than the root's file system allows.
	Degraded bool `json:"degraded"`
	// Reason says why the mode is not inotify, or what is not seen.
	Reason string `json:"reason,omitempty"`
	// Paths is the number of directories and files that are watched.
	Paths int `json:"paths"`
	// Who says that the kernel tells who wrote.
	Who bool `json:"who"`
}

// Options of [New].
type Options struct {
	// Poll is the time between two looks at what cannot be watched; 0 is 10
	// seconds.
	Poll time.Duration
	// Who asks the kernel who does something, which needs privileges.
	Who bool
	// PollOnly watches nothing through the kernel.
	PollOnly bool
	Log      *slog.Logger
}

// settle is the time between two looks at whether the roots are still the
// directories that are watched: the kernel does not tell of a mount.
const settle = 5 * time.Second

// defaultPoll is the time between two looks at what cannot be watched.
const defaultPoll = 10 * time.Second

// root is a Root that is being watched.
type root struct {
	Root
	mu       sync.Mutex
	id       identity // of the tree; zero when there is none
	mode     Mode
	degraded bool
	reason   string
	paths    int
	poll     *snapshot // nil when the kernel watches
}

// Watcher watches roots. It is armed when [New] returns: what happens from then
// on is told when [Watcher.Run] runs.
type Watcher struct {
	opts  Options
	roots []*root
	notes notifier // nil when the kernel watches nothing
	who   *witness // nil when the kernel does not tell
}

// notifier is what the kernel tells through.
type notifier interface {
	// add watches the tree of the root; what was watched of it before is
	// forgotten. The error wraps errLimit when there are too many watches.
	add(r *root) (paths int, err error)
	// run tells until ctx ends.
	run(ctx context.Context, w *Watcher, tell func(Event)) error
}

// errLimit says that the kernel does not let this user watch more.
var errLimit = errors.New("no more watches: raise fs.inotify.max_user_watches")

// New begins to watch. It never fails: what cannot be watched is polled, and
// [Watcher.Coverage] says so.
func New(roots []Root, o Options) *Watcher {
	if o.Poll <= 0 {
		o.Poll = defaultPoll
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{opts: o}
	var why error
	if !o.PollOnly {
		w.notes, why = newNotifier()
	}
	if o.Who && w.notes != nil {
		w.who = newWitness(o.Log)
	}
	for _, r := range roots {
		one := &root{Root: r}
		w.roots = append(w.roots, one)
		w.arm(one, why)
	}
	return w
}

// arm watches a root in the best way there is.
func (w *Watcher) arm(r *root, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id = identify(r.Tree)
	r.mode, r.degraded, r.reason, r.poll = Polling, false, "", nil
	switch name, seen := visible(r.Tree); {
	case w.opts.PollOnly:
		r.reason = "polling was asked for"
	case why != nil:
		r.degraded, r.reason = true, why.Error()
	case w.notes == nil:
		r.reason = "this system does not tell of changes"
	case r.id == identity{}:
		r.mode, r.reason = Inotify, "there is nothing at the path"
	case !seen:
		r.reason = "the kernel does not see every change on " + name
	default:
		r.mode = Inotify
	}
	if r.mode == Inotify {
		paths, err := w.notes.add(r)
		r.paths = paths
		if err != nil {
			r.mode, r.degraded, r.reason = Polling, true, err.Error()
			w.opts.Log.Error("model is polled", "model", r.ID, "reason", r.reason)
		}
	}
	if r.mode == Polling {
		r.poll = newSnapshot(r.Tree)
		r.paths = len(r.poll.files)
	}
	if w.who != nil && r.mode == Inotify {
		w.who.add(r)
	}
}

// Coverage returns how each root is watched, in the order given to New.
func (w *Watcher) Coverage() []Coverage {
	out := make([]Coverage, 0, len(w.roots))
	for _, r := range w.roots {
		r.mu.Lock()
		out = append(out, Coverage{
			Root: r.ID, Mode: r.mode, Degraded: r.degraded, Reason: r.reason, Paths: r.paths,
			Who: w.who != nil && r.mode == Inotify,
		})
		r.mu.Unlock()
	}
	return out
}

// Who returns who did something to the path last, if the kernel told within the
// last while.
func (w *Watcher) Who(id, path string) (Process, bool) {
	if w.who == nil {
		return Process{}, false
	}
	return w.who.at(id, path)
}

// Run tells what happens, from many goroutines, until ctx ends.
func (w *Watcher) Run(ctx context.Context, tell func(Event)) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	parts.Go(func() { w.lookAgain(ctx, tell) })
	if w.who != nil {
		parts.Go(func() { w.who.run(ctx) })
	}
	if w.notes == nil {
		<-ctx.Done()
		return nil
	}
	err := w.notes.run(ctx, w, tell)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// lookAgain polls what cannot be watched, and sees whether the roots are what
// they were.
func (w *Watcher) lookAgain(ctx context.Context, tell func(Event)) {
	poll, check := time.NewTicker(w.opts.Poll), time.NewTicker(min(settle, w.opts.Poll))
	defer poll.Stop()
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			for _, r := range w.roots {
				w.pollRoot(r, tell)
			}
		case <-check.C:
			for _, r := range w.roots {
				w.sameRoot(r, tell)
			}
		}
	}
}

func (w *Watcher) pollRoot(r *root, tell func(Event)) {
	r.mu.Lock()
	old := r.poll
	r.mu.Unlock()
	if old == nil {
		return
	}
	now := newSnapshot(r.Tree)
	events := old.changes(now, r.ID)
	r.mu.Lock()
	if r.poll == old {
		r.poll, r.paths = now, len(now.files)
	}
	r.mu.Unlock()
	for _, e := range events {
		tell(e)
	}
}

// sameRoot begins again where another directory is at the path.
func (w *Watcher) sameRoot(r *root, tell func(Event)) {
	r.mu.Lock()
	known := r.id
	r.mu.Unlock()
	if now := identify(r.Tree); now != known {
		w.rearm(r, "another file or directory is at the path of the model", tell)
	}
}

// rearm watches a root anew and says that what happened meanwhile is not known.
func (w *Watcher) rearm(r *root, reason string, tell func(Event)) {
	w.arm(r, nil)
	tell(Event{Root: r.ID, Kind: Lost, Reason: reason})
}

// Polled lists the roots that are polled although the kernel could tell, with
// the reason.
func (w *Watcher) Polled() []Coverage {
	return slices.DeleteFunc(w.Coverage(), func(c Coverage) bool { return !c.Degraded })
}

// join puts a path below another; both may be empty.
func join(dir, name string) string {
	return strings.Trim(dir+"/"+name, "/")
}

// quoted is for messages.
func quoted(path string) string { return artifact.Quote(path) }
