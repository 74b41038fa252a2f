package manifest

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// briefSize is the size of the largest file that is read in one go: what a
// Guard may keep is not.
const briefSize = min(fsop.BriefMost, guardedSize-1)

// briefChunk is how many files a worker takes at a time: those of a directory
// follow each other, and it is opened once for all of them.
const briefChunk = 64

// openFolder opens the directory at path below root, nil when it cannot: then
// there is another way. It is the one that info describes, unless that is nil.
func openFolder(root *os.Root, path string, info fs.FileInfo) *fsop.Folder {
	f, err := root.OpenFile(path, dirFlags, 0)
	if err != nil {
		return nil
	}
	folder, err := fsop.NewFolder(f)
	if err == nil && info != nil {
		var now fs.FileInfo
		if now, err = f.Stat(); err == nil && !os.SameFile(now, info) {
			err = errChanged
		}
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil
	}
	return folder
}

// brief gives small files of m their digests, with as few calls of the system
// as a reading can have that says as much as [hasher.once] does, and returns
// the jobs that are left: whatever is not as plain as can be is for others to
// read, and to say what is wrong. A file for which accept returns false is left
// too. The error is ctx's.
func (p *pass) brief(ctx context.Context, m *Manifest, jobs []job, workers int, accept func(job, artifact.Digest) bool) (left []job, err error) {
	if p.heads != nil || fsop.BriefMost == 0 {
		return jobs, nil
	}
	small := make([]job, 0, len(jobs))
	for _, j := range jobs {
		if m.Files[j.at].Size <= briefSize {
			small = append(small, j)
		} else {
			left = append(left, j)
		}
	}
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := func() {
		r := briefReader{pass: p, m: m, accept: accept}
		defer r.close()
		for {
			to := int(next.Add(briefChunk))
			from := to - briefChunk
			if from >= len(small) || ctx.Err() != nil {
				return
			}
			refused := r.read(ctx, small[from:min(to, len(small))])
			mu.Lock()
			left = append(left, refused...)
			mu.Unlock()
		}
	}
	for range min(workers-1, len(small)/(4*briefChunk)) { // and this goroutine
		wg.Go(work)
	}
	work()
	wg.Wait()
	return left, ctx.Err()
}

// briefReader reads small files one after the other.
type briefReader struct {
	pass   *pass
	m      *Manifest
	accept func(job, artifact.Digest) bool

	dir    string
	folder *fsop.Folder // of dir; nil before the first and when it cannot be had
	opened bool
}

func (r *briefReader) close() { _ = r.folder.Close() }

// read returns the jobs that it could not do.
func (r *briefReader) read(ctx context.Context, jobs []job) (left []job) {
	for _, j := range jobs {
		if r.one(ctx, j) != nil {
			left = append(left, j)
		}
	}
	return left
}

// errRefused is a digest that is not accepted.
var errRefused = errors.New("another digest")

func (r *briefReader) one(ctx context.Context, j job) error {
	f := &r.m.Files[j.at]
	dir, name := ".", f.Path
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, name = name[:i], name[i+1:]
	}
	if !r.opened || dir != r.dir {
		_ = r.folder.Close()
		r.dir, r.folder, r.opened = dir, openFolder(r.pass.root, dir, nil), true
	}
	if r.folder == nil {
		return errChanged
	}
	if err := r.pass.limit.wait(ctx, f.Size); err != nil {
		return err
	}
	b, err := r.folder.Read(name, r.pass.lease, r.pass.soon)
	if err != nil {
		return err
	}
	seen := entry(f.Path, b.Info)
	raw := sha256.Sum256(b.Data)
	if seen.Digest, err = artifact.NewDigest(artifact.SHA256, raw[:]); err != nil {
		return err
	}
	if r.accept != nil && !r.accept(j, seen.Digest) {
		return errRefused
	}
	extendWith(&seen, b.Extended)
	*f = seen
	if tags := r.pass.blocks; tags != nil {
		tags.files[j.file] = tags.all(j.file, b.Data)
	}
	if r.pass.settled != nil {
		r.pass.settled(seen, b.Info)
	}
	r.pass.meter.add(1, f.Size)
	return nil
}
