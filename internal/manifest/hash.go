package manifest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// job is one regular file to hash.
type job struct {
	at   int // in the manifest's files
	file int // how many regular files are before it
}

// regular returns a job for each regular file of m.
func regular(m *Manifest) []job {
	jobs := make([]job, 0, m.Regular())
	for i := range m.Files {
		if m.Files[i].Kind == artifact.Regular {
			jobs = append(jobs, job{i, len(jobs)})
		}
	}
	return jobs
}

func newPass(root *os.Root, m *Manifest, o Options) *pass {
	p := &pass{root: root, meter: newMeter(o), limit: newLimiter(o.Rate), blocks: o.Blocks, guard: o.Guard, lease: o.Lease || o.Guard != nil, settled: o.Settled, soon: o.Soon}
	p.meter.now.TotalBytes = m.Bytes()
	info, err := root.Stat(".")
	if err == nil && fsop.Rotational(cmp.Or(o.Sysfs, "/sys"), info) {
		p.heads = &sync.Mutex{}
	}
	return p
}

// workers returns how many files or blocks to read at the same time.
func (o Options) workers(most int) int {
	return cmp.Or(o.Workers, min(runtime.GOMAXPROCS(0), most))
}

// hashAll gives every regular file of m its digest.
func hashAll(ctx context.Context, root *os.Root, m *Manifest, o Options) ([]Problem, error) {
	if o.Known != nil {
		o.Blocks = nil
	}
	jobs := regular(m)
	if o.Blocks != nil {
		o.Blocks.reset(len(jobs))
	}
	p := newPass(root, m, o)
	defer p.meter.last()
	if o.Known != nil {
		jobs = slices.DeleteFunc(jobs, func(j job) bool { return p.known(&m.Files[j.at], o.Known) })
	}
	jobs, err := p.brief(ctx, m, jobs, o.workers(4), nil)
	if err != nil {
		return nil, err
	}
	return p.hash(ctx, m, jobs, o.workers(4))
}

// known takes over what was read before.
func (p *pass) known(f *artifact.File, look func(artifact.File) (artifact.File, bool)) bool {
	seen, ok := look(*f)
	if !ok || seen.Digest.IsZero() {
		return false
	}
	*f = seen
	p.meter.bytes(f.Size)
	p.meter.file()
	return true
}

// hash gives each job's file of m its digest. The biggest go first, so that no
// worker is left alone with one at the end.
func (p *pass) hash(ctx context.Context, m *Manifest, jobs []job, workers int) ([]Problem, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(m.Files[b.at].Size, m.Files[a.at].Size) })
	workers = min(workers, len(jobs))
	biggest := m.Files[jobs[0].at].Size

	var next atomic.Int64
	found := make([][]Problem, workers)
	failed := make([]error, workers)
	var wg sync.WaitGroup
	for worker := range found {
		wg.Go(func() {
			h := newHasher(p, biggest)
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				problem, err := h.file(ctx, &m.Files[jobs[i].at], jobs[i].file)
				if err != nil {
					failed[worker] = err
					return
				}
				if problem != nil {
					found[worker] = append(found[worker], *problem)
				}
			}
		})
	}
	wg.Wait()
	return slices.Concat(found...), cmp.Or(failed...)
}

// hasher reads files one after the other, with the same buffers.
type hasher struct {
	pass    *pass
	hash    hash.Hash
	buffers *buffers
}

// newHasher returns a hasher whose buffers are no larger than files of size
// need.
func newHasher(p *pass, size int64) *hasher {
	return &hasher{p, sha256.New(), newBuffers(size, p.blocks != nil)}
}

// file fills in the digest of f, the n-th regular file, or says why there is
// none, or why it may not be relied on. The error is ctx's.
func (h *hasher) file(ctx context.Context, f *artifact.File, n int) (*Problem, error) {
	defer h.pass.meter.file()
	var err error
	for range attempts {
		var problem *Problem
		problem, err = h.once(ctx, f, n)
		if err == nil {
			return problem, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, errChanged) {
			return &Problem{f.Path, Unreadable, fmt.Sprintf("the file cannot be read: %v", cause(err))}, nil
		}
	}
	if info, err := h.pass.root.Lstat(f.Path); err == nil {
		*f = entry(f.Path, info)
	}
	return &Problem{f.Path, Unstable, fmt.Sprintf("read %d times, and each time %v", attempts, err)}, nil
}

// once reads the file from one end to the other. The error wraps errChanged
// when what was read may be no state the file ever had.
func (h *hasher) once(ctx context.Context, f *artifact.File, n int) (*Problem, error) {
	o, err := h.pass.open(f.Path)
	if err != nil {
		return nil, err
	}
	defer o.close()
	letGo := o.seek(0, o.before.Size())
	size, tags, err := h.read(ctx, o, n)
	letGo()
	if err != nil {
		h.pass.meter.bytes(-size)
		return nil, err
	}
	seen, info, err := o.settled(size)
	if err != nil {
		h.pass.meter.bytes(-size)
		return nil, err
	}
	seen.Digest = sum(h.hash)
	*f = seen
	if h.pass.blocks != nil {
		h.pass.blocks.files[n] = tags
	}
	return o.seen(seen, info), nil
}

// read hashes o and makes the tags of its blocks, where they are wanted.
func (h *hasher) read(ctx context.Context, o *opened, n int) (size int64, tags []byte, err error) {
	h.hash.Reset()
	if h.pass.blocks != nil {
		tags = make([]byte, 0, blockCount(o.before.Size())*tagSize)
	}
	for p, err := range h.buffers.pieces(ctx, o) {
		h.hash.Write(p.data)
		size += int64(len(p.data))
		h.pass.meter.bytes(int64(len(p.data)))
		if err != nil {
			return size, nil, err
		}
		if len(p.block) > 0 {
			tags = h.pass.blocks.tag(tags, n, len(tags)/tagSize, p.block)
		}
	}
	return size, tags, ctx.Err()
}

func sum(h hash.Hash) artifact.Digest {
	d, err := artifact.NewDigest(artifact.SHA256, h.Sum(make([]byte, 0, sha256.Size)))
	if err != nil {
		panic(err) // SHA-256 has 32 bytes
	}
	return d
}
