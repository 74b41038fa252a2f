package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// errSize is a file that has not the size of the baseline. Its blocks are
// compared as far as both have them.
var errSize = errors.New("has another size")

// comparison is one file whose blocks are compared.
type comparison struct {
	job    job
	file   int // among the regular files of the baseline
	base   *artifact.File
	size   int64 // now
	blocks int   // that are as long now as they were
	left   atomic.Int64

	once sync.Once
	o    *opened

	mu     sync.Mutex
	err    error // the first
	bytes  int64 // that were read
	differ []int
	ranges []Range // in the end
}

func newComparison(j job, file int, base *artifact.File, size int64) *comparison {
	c := &comparison{job: j, file: file, base: base, size: size}
	c.blocks = blockCount(size)
	if size != base.Size {
		c.blocks = int(min(size, base.Size) / BlockSize)
	}
	c.left.Store(int64(max(c.blocks, 1)))
	return c
}

// look compares one block. What is wrong is kept for close.
func (c *comparison) look(ctx context.Context, r *recheck, block int, buf func() []byte) {
	c.once.Do(func() {
		o, err := r.pass.open(r.now.Files[c.job.at].Path)
		if err == nil && o.before.Size() != c.size {
			err = fmt.Errorf("it %w", errChanged)
		}
		c.o = o
		c.note(err)
	})
	if c.failed() || block >= c.blocks {
		return
	}
	n, same, err := c.compare(ctx, r.blocks, block, buf)
	r.pass.meter.bytes(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += n
	switch {
	case err != nil && c.err == nil:
		c.err = err
	case err == nil && !same:
		c.differ = append(c.differ, block)
	}
}

// compare returns how many bytes it saw, and whether they are as they were.
func (c *comparison) compare(ctx context.Context, b *Blocks, block int, buf func() []byte) (n int64, same bool, err error) {
	off := int64(block) * BlockSize
	want := min(BlockSize, c.size-off)
	done, err := c.o.view(ctx, off, want, func(data []byte) { same = b.same(c.file, block, data) })
	if done || err != nil {
		return want, same, err
	}
	letGo := c.o.seek(off, want)
	data := buf()
	k, err := c.o.readAt(ctx, data, off)
	letGo()
	n = int64(k)
	if err == nil && n != want && (off+want == c.size || n < want) {
		err = fmt.Errorf("it %w", errChanged)
	}
	return n, err == nil && b.same(c.file, block, data[:k]), err
}

func (c *comparison) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

func (c *comparison) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// close returns the entry of the file, with the digest of the baseline: it is
// good for a file without ranges only. The error wraps errSize when just the
// size is another one.
func (c *comparison) close() (seen artifact.File, problem *Problem, err error) {
	if c.o != nil {
		defer c.o.close()
	}
	if c.err != nil {
		return seen, nil, c.err
	}
	c.ranges = ranges(c.differ, max(c.size, c.base.Size))
	if c.size != c.base.Size {
		c.ranges = merge(c.ranges, Range{int64(c.blocks) * BlockSize, max(c.size, c.base.Size)})
		return seen, nil, errSize
	}
	seen, info, err := c.o.settled(c.bytes)
	if err != nil || len(c.ranges) > 0 {
		return seen, nil, err
	}
	seen.Digest = c.base.Digest
	return seen, c.o.seen(seen, info), nil
}

// ranges turns block numbers into byte ranges of a file with size bytes.
func ranges(blocks []int, size int64) (out []Range) {
	slices.Sort(blocks)
	for _, b := range blocks {
		from := int64(b) * BlockSize
		out = merge(out, Range{from, min(from+BlockSize, size)})
	}
	return out
}

// merge appends next, or lengthens the last range when they touch.
func merge(out []Range, next Range) []Range {
	if last := len(out) - 1; last >= 0 && out[last][1] == next[0] {
		out[last][1] = next[1]
		return out
	}
	return append(out, next)
}
