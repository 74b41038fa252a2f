package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// pass is what the workers of one observation share.
type pass struct {
	root   *os.Root
	meter  *meter
	limit  *limiter
	blocks *Blocks // to be filled, or nil
	guard  *Guard
	lease  bool
	soon   bool // that of Options
	// settled is told of what was read.
	settled func(artifact.File, fs.FileInfo)
	// heads are those of a disk that has to move them: whoever reads from it
	// and not from memory holds them. Nil for other disks.
	heads *sync.Mutex
}

// opened is a file that is being read. Its methods may be called from many
// goroutines, but for settled and close.
type opened struct {
	pass   *pass
	path   string
	f      *os.File
	quiet  *fsop.Quiet
	before fs.FileInfo
	kept   bool // f belongs to the guard now

	mu     sync.Mutex
	leased bool
	writer string // why the bytes may change without a trace
}

// open opens the regular file at path, under a lease where that is wanted and
// possible. The error wraps errChanged when something else is there now.
func (p *pass) open(path string) (*opened, error) {
	f, err := p.root.OpenFile(path, fileFlags, 0)
	if err != nil {
		return nil, p.blame(path, err)
	}
	o := &opened{pass: p, path: path, f: f}
	o.quiet = fsop.NewQuiet(f, o.reopen)
	if p.lease {
		o.leased, o.writer = lease(f)
	}
	// After the lease: what is seen from here on is what was quiet.
	o.before, err = f.Stat()
	if err == nil && !o.before.Mode().IsRegular() {
		err = fmt.Errorf("it %w: it is now a %s", errChanged, artifact.KindOf(o.before.Mode()))
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// blame tells a file that may not be opened from one that is no longer there.
func (p *pass) blame(path string, err error) error {
	info, lerr := p.root.Lstat(path)
	switch {
	case lerr != nil:
		return fmt.Errorf("it %w: %w", errChanged, cause(lerr))
	case !info.Mode().IsRegular():
		return fmt.Errorf("it %w: it is now a %s", errChanged, artifact.KindOf(info.Mode()))
	}
	return err
}

// reopen opens the same file once more, with other flags.
func (o *opened) reopen(flags int) (*os.File, error) {
	f, err := o.pass.root.OpenFile(o.path, fileFlags|flags, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(info, o.before) {
		err = errChanged
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (o *opened) close() {
	_ = o.quiet.Close() // it was only read
	if !o.kept {
		_ = o.f.Close()
	}
}

// readAt fills p from off on; less than that is the end of the file.
func (o *opened) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	due := max(0, min(int64(len(p)), o.before.Size()-off))
	if err := o.pass.limit.wait(ctx, due); err != nil {
		return 0, err
	}
	o.look()
	n, err := o.quiet.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// seek takes the heads of the disk, where it has any and the bytes are not in
// memory, and returns what gives them back.
func (o *opened) seek(off, length int64) (letGo func()) {
	if o.pass.heads == nil || resident(o.f, off, length) {
		return func() {}
	}
	o.pass.heads.Lock()
	return o.pass.heads.Unlock
}

// viewFrom is the least number of bytes that are cheaper mapped than copied.
const viewFrom = 256 << 10

// view shows the bytes to do without copying them and reports whether it did:
// only of a file that nobody can cut off meanwhile.
func (o *opened) view(ctx context.Context, off, length int64, do func([]byte)) (bool, error) {
	if length < viewFrom || !o.look() {
		return false, nil
	}
	done, err := fsop.View(o.f, off, length, do)
	if err != nil {
		return false, fmt.Errorf("it %w: %w", errChanged, err)
	}
	if done {
		err = o.pass.limit.wait(ctx, length)
	}
	return done, err
}

// look gives the lease back when somebody waits for it, and reports whether it
// stands.
func (o *opened) look() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leased && !fsop.Leased(o.f) {
		_ = fsop.Unlease(o.f) // nobody gains by keeping the writer waiting
		o.leased, o.writer = false, "somebody opened it for writing while it was read"
	}
	return o.leased
}

// settled returns the entry of the file after n bytes of it were read, without
// a digest. The error wraps errChanged when what was read may be no state the
// file ever had.
func (o *opened) settled(n int64) (seen artifact.File, after fs.FileInfo, err error) {
	after, err = o.f.Stat()
	if err != nil {
		return seen, nil, err
	}
	named, err := o.pass.root.Lstat(o.path)
	switch {
	case err != nil:
		err = fmt.Errorf("it %w: %w", errChanged, cause(err))
	case n != o.before.Size():
		err = fmt.Errorf("it %w: %d bytes of %d", errChanged, n, o.before.Size())
	case !os.SameFile(after, named):
		err = fmt.Errorf("it %w: another file has taken its place", errChanged)
	case !unchanged(o.before, after) || !unchanged(after, named):
		err = fmt.Errorf("it %w", errChanged)
	default:
		o.look()
		seen = entry(o.path, after)
		extend(&seen, o.f)
		return seen, after, nil
	}
	return seen, nil, err
}

// seen hands the file over to the guard, if there is one, and says what is to
// be said beside the digest.
func (o *opened) seen(f artifact.File, info fs.FileInfo) *Problem {
	if o.leased {
		o.kept = o.pass.guard.keep(o.f, f.Path, info, f.Digest)
	}
	if o.writer == "" {
		if o.pass.settled != nil {
			o.pass.settled(f, info)
		}
		return nil
	}
	return &Problem{o.path, Writer, o.writer + ": its bytes can change without a trace in its size or times"}
}
