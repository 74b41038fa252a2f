package manifest

import (
	"context"
	"iter"
	"os"

	"github.com/weightwarden/weightwarden/internal/fsop"
)

// Sizes of reads. From memory, small ones stay in the second-level cache
// between the kernel's copy and the hash; a disk wants large ones.
const (
	bufferSize = 256 << 10
	aheadSize  = 1 << 20
	// aheadFrom is the least size of a file that is worth a second goroutine.
	aheadFrom = 8 << 20
)

// piece is a part of a file, in order. When it completes a block, block is all
// of that. Both are good until the next piece.
type piece struct{ data, block []byte }

// buffers of one worker.
type buffers struct {
	near  []byte   // for reading and hashing in turn
	ahead [][]byte // for reading ahead
}

// newBuffers returns buffers for a worker whose files have at most size bytes.
func newBuffers(size int64, blocks bool) *buffers {
	most := int64(bufferSize)
	if blocks {
		most = BlockSize
	}
	pages := (min(size+1, most) + 4095) &^ 4095
	return &buffers{near: fsop.AlignedBuffer(int(pages))}
}

// pieces yields o from beginning to end. A file that grows as fast as it is
// read has no end: it stops after the size that it had.
func (b *buffers) pieces(ctx context.Context, o *opened) iter.Seq2[piece, error] {
	blocks := o.pass.blocks != nil
	if o.before.Size() >= aheadFrom && !resident(o.f, 0, o.before.Size()) {
		return b.readAhead(ctx, o, blocks)
	}
	return b.readNear(ctx, o, blocks)
}

func (b *buffers) readNear(ctx context.Context, o *opened, blocks bool) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		step, whole := min(bufferSize, len(b.near)), len(b.near)
		if !blocks {
			whole = step
		}
		for n := int64(0); n <= o.before.Size(); {
			at := int(n % int64(whole))
			k, err := o.readAt(ctx, b.near[at:min(at+step, whole)], n)
			n += int64(k)
			end := k < min(step, whole-at)
			p := piece{data: b.near[at : at+k]}
			if blocks && (end || at+k == whole) {
				p.block = b.near[:at+k]
			}
			if !yield(p, err) || err != nil || end {
				return
			}
		}
	}
}

// readAhead reads in a goroutine of its own, so that the disk does not wait
// for the hash.
func (b *buffers) readAhead(ctx context.Context, o *opened, blocks bool) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		full, free := make(chan read, len(b.ring(blocks))), make(chan []byte, len(b.ring(blocks)))
		for _, buf := range b.ring(blocks) {
			free <- buf
		}
		go fill(ctx, o, full, free)
		// The reader must be gone before the file is closed and the buffers
		// are used again.
		defer func() {
			cancel()
			for range full { // until it is closed
			}
		}()
		for r := range full {
			p := piece{data: r.buf[:r.n]}
			if blocks {
				p.block = p.data
			}
			if !yield(p, r.err) || r.err != nil {
				return
			}
			free <- r.buf
		}
	}
}

// read is the outcome of one read.
type read struct {
	buf []byte
	n   int
	err error
}

// fill reads o into the free buffers. The last read it passes on is short, has
// an error, or passes the size of the file.
func fill(ctx context.Context, o *opened, full chan<- read, free <-chan []byte) {
	defer close(full)
	for n := int64(0); n <= o.before.Size(); {
		var buf []byte
		select {
		case <-ctx.Done():
			return // there is room in full for what was asked for; nobody asks any more
		case buf = <-free:
		}
		k, err := o.readAt(ctx, buf, n)
		n += int64(k)
		full <- read{buf, k, err}
		if err != nil || k < len(buf) {
			return
		}
	}
}

// ring returns the buffers for reading ahead.
func (b *buffers) ring(blocks bool) [][]byte {
	switch {
	case b.ahead != nil:
	case blocks: // two blocks are enough of a lead
		b.ahead = [][]byte{b.near, fsop.AlignedBuffer(BlockSize)}
	default:
		for range 4 {
			b.ahead = append(b.ahead, fsop.AlignedBuffer(aheadSize))
		}
	}
	return b.ahead
}

// resident reports whether the bytes seem to be in the page cache, from a look
// at the beginning and the middle. The offset is a multiple of the page size.
func resident(f *os.File, off, length int64) bool {
	for _, at := range []int64{0, length / 2 &^ (aheadSize - 1)} {
		if length == 0 {
			break
		}
		pages, err := fsop.Residency(f, off+at, min(aheadSize, length-at))
		if err == nil && !pages.All() {
			return false
		}
	}
	return true
}
