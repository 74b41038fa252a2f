package manifest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// bufferSize is what one worker reads at a time. It stays in the second-level
// cache between the kernel's copy and the hash; larger ones are slower.
const bufferSize = 256 << 10

// hashAll gives every regular file of m its digest. The biggest go first, so
// that no worker is left alone with one at the end.
func hashAll(ctx context.Context, root *os.Root, m *Manifest, o Options) ([]Problem, error) {
	var jobs []int
	meter := newMeter(o)
	for i := range m.Files {
		if m.Files[i].Kind == artifact.Regular {
			jobs = append(jobs, i)
			meter.now.TotalBytes += m.Files[i].Size
		}
	}
	slices.SortStableFunc(jobs, func(a, b int) int { return cmp.Compare(m.Files[b].Size, m.Files[a].Size) })
	workers := min(cmp.Or(o.Workers, min(runtime.GOMAXPROCS(0), 4)), len(jobs))

	var next atomic.Int64
	found := make([][]Problem, max(workers, 0))
	failed := make([]error, len(found))
	var wg sync.WaitGroup
	for worker := range found {
		wg.Go(func() {
			h := newHasher(root, meter, bufferSize)
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				p, err := h.file(ctx, &m.Files[jobs[i]])
				if err != nil {
					failed[worker] = err
					return
				}
				if p != nil {
					found[worker] = append(found[worker], *p)
				}
			}
		})
	}
	wg.Wait()
	meter.last()
	return slices.Concat(found...), cmp.Or(failed...)
}

// hasher reads files one after the other, with one buffer.
type hasher struct {
	root  *os.Root
	meter *meter
	hash  hash.Hash
	buf   []byte
}

// newHasher returns a hasher whose buffer is no larger than files of size
// need.
func newHasher(root *os.Root, m *meter, size int64) *hasher {
	return &hasher{root, m, sha256.New(), make([]byte, max(min(size+1, bufferSize), 512))}
}

// file fills in the digest of f, or says why there is none. The error is ctx's.
func (h *hasher) file(ctx context.Context, f *artifact.File) (*Problem, error) {
	defer h.meter.file()
	var err error
	for range attempts {
		var seen artifact.File
		seen, err = h.once(ctx, f.Path)
		if err == nil {
			*f = seen
			return nil, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, errChanged) {
			return &Problem{f.Path, Unreadable, fmt.Sprintf("the file cannot be read: %v", cause(err))}, nil
		}
	}
	if info, err := h.root.Lstat(f.Path); err == nil {
		*f = entry(f.Path, info)
	}
	return &Problem{f.Path, Unstable, fmt.Sprintf("read %d times, and each time %v", attempts, err)}, nil
}

// once reads the file from one end to the other. The error wraps errChanged
// when what was read may be no state the file ever had.
func (h *hasher) once(ctx context.Context, path string) (seen artifact.File, err error) {
	f, err := h.root.OpenFile(path, fileFlags, 0)
	if err != nil {
		return seen, h.blame(path, err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return seen, err
	}
	if !before.Mode().IsRegular() {
		return seen, fmt.Errorf("it %w: it is now a %s", errChanged, artifact.KindOf(before.Mode()))
	}
	n, err := h.read(ctx, f, before.Size())
	if err != nil {
		h.meter.bytes(-n)
		return seen, err
	}
	after, err := f.Stat()
	if err != nil {
		return seen, err
	}
	named, err := h.root.Lstat(path)
	switch {
	case err != nil:
		err = fmt.Errorf("it %w: %w", errChanged, cause(err))
	case n != before.Size():
		err = fmt.Errorf("it %w: %d bytes of %d", errChanged, n, before.Size())
	case !os.SameFile(after, named):
		err = fmt.Errorf("it %w: another file has taken its place", errChanged)
	case !unchanged(before, after) || !unchanged(after, named):
		err = fmt.Errorf("it %w", errChanged)
	}
	if err != nil {
		h.meter.bytes(-n)
		return seen, err
	}
	seen = entry(path, after)
	seen.Digest = sum(h.hash)
	extend(&seen, f)
	return seen, nil
}

// read hashes f. It stops when there is more than size bytes: a file that
// grows as fast as it is read has no end.
func (h *hasher) read(ctx context.Context, f *os.File, size int64) (int64, error) {
	h.hash.Reset()
	var n int64
	for n <= size {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := f.Read(h.buf)
		h.hash.Write(h.buf[:k])
		n += int64(k)
		h.meter.bytes(int64(k))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// blame tells a file that may not be opened from one that is no longer there.
func (h *hasher) blame(path string, err error) error {
	info, lerr := h.root.Lstat(path)
	switch {
	case lerr != nil:
		return fmt.Errorf("it %w: %w", errChanged, cause(lerr))
	case !info.Mode().IsRegular():
		return fmt.Errorf("it %w: it is now a %s", errChanged, artifact.KindOf(info.Mode()))
	}
	return err
}

func sum(h hash.Hash) artifact.Digest {
	d, err := artifact.NewDigest(artifact.SHA256, h.Sum(make([]byte, 0, sha256.Size)))
	if err != nil {
		panic(err) // SHA-256 has 32 bytes
	}
	return d
}
