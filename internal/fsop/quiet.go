package fsop

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"
)

// directAlign is what addresses, offsets and lengths of direct reads are
// multiples of. It covers devices with sectors of 4096 bytes.
const directAlign = 4096

// The ways to read a file, best first. A file that turns out not to support
// one goes on with the next.
const (
	// uncached leaves what others have in the page cache and keeps nothing of
	// what it reads (RWF_DONTCACHE, Linux 6.14).
	uncached int32 = iota
	// probed looks first: what is in the page cache is read from there, what
	// is not goes past it with a direct read.
	probed
	// dropped looks first too, reads through the page cache, and takes out
	// again what was not there before.
	dropped
	// plain reads as everybody does.
	plain
)

// A Quiet reads one regular file and leaves the page cache as it was: pages
// that another process has there stay, and a file that was not there does not
// take the place of one that is. It may be used from many goroutines.
//
// Where the kernel does not say what is in the page cache (file systems
// without one, files of other users), reading is plain, which evicts nothing
// by itself but leaves the file there.
type Quiet struct {
	f      *os.File
	reopen func(flags int) (*os.File, error)
	mode   atomic.Int32

	once   sync.Once
	direct *os.File // nil when the file system cannot
}

// NewQuiet returns a reader of f. The function opens the same file once more,
// with the flags added to those for reading; nil does without direct reads.
func NewQuiet(f *os.File, reopen func(flags int) (*os.File, error)) *Quiet {
	return &Quiet{f: f, reopen: reopen}
}

// Close ends what ReadAt opened. It leaves the file of [NewQuiet] open.
func (q *Quiet) Close() error {
	q.once.Do(func() {}) // a reader without direct reads opens nothing
	if q.direct == nil {
		return nil
	}
	return q.direct.Close()
}

// ReadAt reads as [io.ReaderAt] says. Direct reads need a p from
// [AlignedBuffer] of a length that is a multiple of 4096, even at the end of
// the file.
func (q *Quiet) ReadAt(p []byte, off int64) (n int, err error) {
	if q.mode.Load() == uncached {
		if n, err = q.readUncached(p, off); !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
		q.probe()
	}
	if q.mode.Load() == plain {
		return q.f.ReadAt(p, off)
	}
	return q.readProbed(p, off)
}

// probe gives up on uncached reads. From here on the kernel must not read ahead
// on its own: what it brings would look as if it had been there before. Files
// that live in the page cache are read as they are.
func (q *Quiet) probe() {
	if inMemory(q.f) {
		q.mode.Store(plain)
		return
	}
	adviseRandom(q.f)
	q.mode.CompareAndSwap(uncached, probed)
}

func (q *Quiet) readUncached(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		k, err := readUncached(q.f, p[n:], off+int64(n))
		n += k
		if err != nil {
			return n, err
		}
		if k == 0 {
			return n, io.EOF
		}
	}
	return n, nil
}

func (q *Quiet) readProbed(p []byte, off int64) (int, error) {
	before, err := Residency(q.f, off, int64(len(p)))
	if err != nil {
		q.mode.Store(plain)
		return q.f.ReadAt(p, off)
	}
	if before.All() {
		return q.f.ReadAt(p, off)
	}
	if q.mode.Load() == probed && aligned(p, off) {
		if n, err := q.readDirect(p, off); !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
		q.mode.CompareAndSwap(probed, dropped)
	}
	n, err := q.f.ReadAt(p, off)
	before.dropAbsent(q.f, off)
	return n, err
}

func (q *Quiet) readDirect(p []byte, off int64) (n int, err error) {
	q.once.Do(func() {
		if q.reopen != nil {
			q.direct, err = q.reopen(openDirect)
		}
	})
	if q.direct == nil {
		return 0, errors.ErrUnsupported
	}
	for n < len(p) {
		k, err := readDirect(q.direct, p[n:], off+int64(n))
		n += k
		switch {
		case err != nil:
			return n, err
		case k%directAlign != 0, k == 0: // what is left is less than a sector: the end
			if n == len(p) {
				return n, nil
			}
			return n, io.EOF
		}
	}
	return n, nil
}

// AlignedBuffer returns a buffer that direct reads can fill.
func AlignedBuffer(size int) []byte {
	b := make([]byte, size+directAlign)
	skip := (directAlign - int(address(b)%directAlign)) % directAlign
	return b[skip : skip+size : skip+size]
}

func aligned(p []byte, off int64) bool {
	return len(p) > 0 && len(p)%directAlign == 0 && off%directAlign == 0 && address(p)%directAlign == 0
}

func address(b []byte) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}

// Pages says of each page of a range whether it is in the page cache.
type Pages []byte

// All reports whether every page is.
func (p Pages) All() bool { return p.Count() == len(p) }

// Count returns how many pages are.
func (p Pages) Count() (n int) {
	for _, page := range p {
		n += int(page & 1)
	}
	return n
}

// dropAbsent takes out of the page cache what was not there when p was made.
func (p Pages) dropAbsent(f *os.File, off int64) {
	size := int64(os.Getpagesize())
	for i := 0; i < len(p); {
		from := i
		for i < len(p) && p[i]&1 == 0 {
			i++
		}
		if i > from {
			dropCache(f, off+int64(from)*size, int64(i-from)*size)
		}
		for i < len(p) && p[i]&1 == 1 {
			i++
		}
	}
}
