package manifest

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// guarded is the most files a Guard keeps open, unless it is told otherwise.
const guarded = 512

// guardedSize is the least size of a file that a Guard keeps: reading a
// smaller one costs no more than looking at it.
const guardedSize = 64 << 10

// Guard is the proof that files were quiet between two observations: read
// leases that were taken before the files were read and stand ever since. As
// long as one stands, nobody has had the file open for writing, whatever its
// times say. Times are no proof, see the design page on block tags.
//
// A writer is held up while a lease stands. So a Guard is for a process that
// stays, and runs [Guard.Run] meanwhile. Hold one Guard for each model.
type Guard struct {
	// Broken, when not nil, is told the path of a file that somebody opens for
	// writing, or cuts off, while its lease stands: before anything is written.
	// It must not call the Guard.
	Broken func(path string)
	// Most is how many files it keeps open at most; 0 is 512.
	Most int

	mu    sync.Mutex
	files map[fsop.ID]*held
}

// held is a file under lease.
type held struct {
	f      *os.File
	path   string      // as in the manifest
	info   fs.FileInfo // as it was after reading
	digest artifact.Digest
}

// Bounds of how long a writer waits at most for a Guard that runs and whom the
// kernel does not tell: longer where many files are held, so that looking at
// them costs next to nothing.
const (
	patience     = 250 * time.Millisecond
	mostPatience = 16 * patience
	perPatience  = 256 // files
)

// Run gives back what writers wait for, until ctx ends, and then everything.
func (g *Guard) Run(ctx context.Context) { RunGuards(ctx, nil, g) }

// RunGuards is [Guard.Run] of many. Told, if not nil, receives whenever the
// kernel says that a writer waits (SIGIO): he is let go at once.
func RunGuards(ctx context.Context, told <-chan os.Signal, guards ...*Guard) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, g := range guards {
				g.Close()
			}
			return
		case <-timer.C:
		case <-told:
		}
		held := 0
		for _, g := range guards {
			held += g.sweep()
		}
		wait := patience
		if told != nil {
			wait = min(max(patience, patience*time.Duration(held)/perPatience), mostPatience)
		}
		timer.Reset(wait)
	}
}

// Close gives everything back. The Guard may be used again.
func (g *Guard) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.files {
		g.drop(id)
	}
}

// sweep gives back what writers wait for and returns how many files are left.
func (g *Guard) sweep() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, h := range g.files {
		if !fsop.Leased(h.f) {
			g.broke(id)
		}
	}
	return len(g.files)
}

// broke lets the writer of a file go on.
func (g *Guard) broke(id fsop.ID) {
	path := g.files[id].path
	g.drop(id)
	if g.Broken != nil {
		g.Broken(path)
	}
}

// drop closes a file, which ends its lease.
func (g *Guard) drop(id fsop.ID) {
	_ = g.files[id].f.Close() // it was only read
	delete(g.files, id)
}

// recall returns the entry of the file that info describes, if nobody can have
// written to it since it was read. Attributes are those of now: no lease keeps
// anybody from changing them.
func (g *Guard) recall(path string, info fs.FileInfo) (seen artifact.File, ok bool) {
	id, err := fsop.IdentityOf(info)
	if err != nil {
		return seen, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	h, ok := g.files[id]
	if !ok {
		return seen, false
	}
	if !fsop.Leased(h.f) {
		g.broke(id)
		return seen, false
	}
	if !os.SameFile(h.info, info) || h.info.Size() != info.Size() {
		g.drop(id)
		return seen, false
	}
	seen = entry(path, info)
	seen.Digest = h.digest
	extend(&seen, h.f)
	return seen, true
}

// keep takes over f, whose lease was taken before it was read, and reports
// whether it did.
func (g *Guard) keep(f *os.File, path string, info fs.FileInfo, digest artifact.Digest) bool {
	id, err := fsop.IdentityOf(info)
	if g == nil || err != nil || info.Size() < guardedSize || !fsop.Leased(f) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.files == nil {
		g.files = map[fsop.ID]*held{}
	}
	if _, ok := g.files[id]; ok {
		g.drop(id)
	}
	if len(g.files) >= cmp.Or(g.Most, guarded) {
		return false
	}
	g.files[id] = &held{f, path, info, digest}
	return true
}

// lease takes a lease on f before it is read. The text says who is in the way.
func lease(f *os.File) (leased bool, writer string) {
	err := fsop.Lease(f)
	if fault.KindOf(err) == fault.Conflict {
		writer = err.Error()
	}
	return err == nil, writer
}
