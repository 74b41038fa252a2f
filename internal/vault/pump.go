package vault

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/weightwarden/weightwarden/internal/fsop"
)

// Parts of a file: small enough to stay in a processor's cache, large enough
// for a disk, and so many that no stage waits for another one's short delay.
const (
	chunkSize  = 512 << 10
	chunkCount = 12
	pageSize   = 4096
)

var errEnd = io.EOF

// chunk is a part of a file.
type chunk struct {
	buf []byte // page-aligned
	n   int
	off int64
	// cold says that memory had none of it before it was read.
	cold  bool
	users atomic.Int32
}

func (c *chunk) data() []byte { return c.buf[:c.n] }

// aligned rounds up to what direct reads can be asked for.
func aligned(n int) int { return (n + pageSize - 1) &^ (pageSize - 1) }

// pump reads a file of size bytes from beginning to end and gives each part of
// it to all stages, each a goroutine of its own that sees them in order. It
// returns how many bytes there were: of a file that grows, a little more than
// size. The first error ends it.
func pump(ctx context.Context, from io.ReaderAt, f *os.File, size int64, stages ...func(*chunk) error) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	count := int(min(size/chunkSize+1, chunkCount))
	free := make(chan *chunk, count)
	for range count {
		free <- &chunk{buf: fsop.AlignedBuffer(aligned(int(min(size+1, chunkSize))))}
	}
	queues := make([]chan *chunk, len(stages))
	var running sync.WaitGroup
	for i, do := range stages {
		queues[i] = make(chan *chunk, count)
		running.Go(func() {
			for c := range queues[i] {
				if ctx.Err() == nil {
					if err := do(c); err != nil {
						cancel(err)
					}
				}
				if c.users.Add(-1) == 0 {
					free <- c
				}
			}
		})
	}
	n, err := feed(ctx, from, f, size, free, func(c *chunk) {
		c.users.Store(int32(len(queues)))
		for _, q := range queues {
			q <- c
		}
	})
	for _, q := range queues {
		close(q)
	}
	running.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return n, err
}

// feed reads into the free chunks, in order, and passes them on.
func feed(ctx context.Context, from io.ReaderAt, f *os.File, size int64, free <-chan *chunk, pass func(*chunk)) (off int64, err error) {
	for off <= size {
		var c *chunk
		select {
		case <-ctx.Done():
			return off, context.Cause(ctx)
		case c = <-free:
		}
		c.off, c.cold = off, absent(f, off, len(c.buf), size)
		c.n, err = from.ReadAt(c.buf, off)
		off += int64(c.n)
		if err != nil && !errors.Is(err, io.EOF) {
			return off, err
		}
		end := c.n < len(c.buf)
		if c.n > 0 {
			pass(c)
		}
		if end {
			break
		}
	}
	return off, nil
}

// absent reports whether memory has none of a part of the file.
func absent(f *os.File, off int64, length int, size int64) bool {
	length = int(min(int64(length), size-off))
	if length <= 0 {
		return false
	}
	pages, err := fsop.Residency(f, off, int64(length))
	return err == nil && pages.Count() == 0
}
