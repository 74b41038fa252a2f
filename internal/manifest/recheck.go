package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Range is the bytes of a file from the first number up to, and without, the
// second.
type Range [2]int64

// Rechecked is an observation that an earlier one made cheaper.
type Rechecked struct {
	// Manifest is what [Take] would have returned, with one difference: the
	// digest of a file whose every block is as it was is not computed, it is
	// the baseline's.
	Manifest *Manifest
	// Changed holds the differing bytes, in whole blocks, of each regular file
	// that both manifests have and that differs. What only the longer of both
	// has counts.
	Changed map[string][]Range
	// Flickered lists, sorted, files with a block that differed, which had the
	// baseline's digest when they were read again right after. Somebody
	// changed them and put them back, or the memory is not to be trusted.
	Flickered []string
	// Kept is the number of files that were not read: a lease of o.Guard
	// proves that nobody wrote to them.
	Kept int
}

// Recheck observes the model at dir as [Take] does. It compares the blocks of
// a file that base has, with all workers at the same file, and computes a
// digest only of files that differ or that base does not have. It makes no
// tags that outlive it: o.Blocks is not used. Errors are those of Take.
func Recheck(ctx context.Context, dir string, base *Manifest, b *Blocks, o Options) (*Rechecked, error) {
	r := recheck{base: base, blocks: b, out: Rechecked{Changed: map[string][]Range{}}}
	err := look(ctx, dir, func(w *walker) error {
		r.begin(w, o)
		if err := r.brief(ctx, o.workers(4)); err != nil {
			return fmt.Errorf("compare model: %w", err)
		}
		if err := r.compare(ctx, o.workers(8)); err != nil {
			return fmt.Errorf("compare model: %w", err)
		}
		if err := r.read(ctx, o.workers(4)); err != nil {
			return fmt.Errorf("hash model: %w", err)
		}
		r.out.Manifest = r.now.renamed(w.as)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &r.out, nil
}

// Locate compares the blocks of the regular files of base that are named in
// paths and returns the differing bytes of each, as Rechecked.Changed. A file
// that cannot be compared now is left out. Errors are those of [Take].
func Locate(ctx context.Context, dir string, base *Manifest, b *Blocks, paths []string, o Options) (map[string][]Range, error) {
	r := recheck{base: base, blocks: b, only: paths, out: Rechecked{Changed: map[string][]Range{}}}
	o.Guard = nil // somebody wrote to these
	err := look(ctx, dir, func(w *walker) error {
		r.begin(w, o)
		return r.compare(ctx, o.workers(8))
	})
	if err != nil {
		return nil, fmt.Errorf("locate changes: %w", err)
	}
	return r.out.Changed, nil
}

// recheck is a [Recheck] under way.
type recheck struct {
	base   *Manifest
	blocks *Blocks
	only   []string // nil for all
	as     string   // as in walker

	pass  *pass
	now   *Manifest
	files []*comparison

	mu       sync.Mutex // of what follows, and of cursor
	out      Rechecked
	toRead   []job
	differed map[int]bool // small files that differed, by their place in now
	problems []Problem
	cursor   struct{ file, block int }
}

// name returns the path of a file as base has it.
func (r *recheck) name(f *artifact.File) string {
	if r.as != "" {
		return r.as
	}
	return f.Path
}

// begin sorts the files by what has to be done with them.
func (r *recheck) begin(w *walker, o Options) {
	o.Blocks = nil
	r.now, r.as = w.manifest(o.Select), w.as
	r.pass = newPass(w.root, r.now, o)
	old := regular(r.base)
	for _, j := range regular(r.now) {
		f := &r.now.Files[j.at]
		name := r.name(f)
		if r.only != nil && !slices.Contains(r.only, name) {
			continue
		}
		for len(old) > 0 && r.base.Files[old[0].at].Path < name {
			old = old[1:]
		}
		known := len(old) > 0 && r.base.Files[old[0].at].Path == name
		switch {
		case known && r.recall(f, &r.base.Files[old[0].at]):
		case known && !r.base.Files[old[0].at].Digest.IsZero():
			r.files = append(r.files, newComparison(j, old[0].file, &r.base.Files[old[0].at], f.Size))
		default:
			r.toRead = append(r.toRead, j)
		}
	}
	slices.SortStableFunc(r.files, func(a, b *comparison) int { return b.blocks - a.blocks })
}

// recall takes over from the guard what nobody can have changed since it was
// the file of the baseline.
func (r *recheck) recall(f, base *artifact.File) bool {
	if r.pass.guard == nil {
		return false
	}
	info, err := r.pass.root.Lstat(f.Path)
	if err != nil {
		return false
	}
	seen, ok := r.pass.guard.recall(f.Path, info)
	if !ok || seen.Digest != base.Digest {
		return false
	}
	*f = seen
	r.out.Kept++
	r.pass.meter.bytes(f.Size)
	r.pass.meter.file()
	return true
}

// brief does at once with small files that are what they were, by their digest:
// of so little it costs less than blocks do. The error is ctx's.
func (r *recheck) brief(ctx context.Context, workers int) error {
	jobs, digests := []job{}, map[int]artifact.Digest{}
	r.differed = map[int]bool{}
	for _, c := range r.files {
		if c.size == c.base.Size && c.size <= briefSize {
			jobs = append(jobs, c.job)
			digests[c.job.at] = c.base.Digest
		}
	}
	slices.SortFunc(jobs, func(a, b job) int { return a.at - b.at })
	left, err := r.pass.brief(ctx, r.now, jobs, workers, func(j job, d artifact.Digest) bool {
		if digests[j.at] == d {
			return true
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.differed[j.at] = true
		return false
	})
	for _, j := range left {
		delete(digests, j.at)
	}
	r.files = slices.DeleteFunc(r.files, func(c *comparison) bool { _, done := digests[c.job.at]; return done })
	return err
}

// compare looks at all blocks. The error is ctx's.
func (r *recheck) compare(ctx context.Context, workers int) error {
	var most int64
	for _, c := range r.files {
		most = max(most, c.size)
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			// What can be looked at in place needs no buffer.
			buf := sync.OnceValue(func() []byte { return newBuffers(most, true).near })
			for c, block := r.next(); c != nil; c, block = r.next() {
				c.look(ctx, r, block, buf)
				if c.left.Add(-1) == 0 {
					r.judge(c)
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

// next hands out the next block of the next file; all workers are at the same
// file most of the time.
func (r *recheck) next() (*comparison, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cursor.file == len(r.files) {
		return nil, 0
	}
	c, block := r.files[r.cursor.file], r.cursor.block
	r.cursor.block++
	if r.cursor.block >= max(c.blocks, 1) {
		r.cursor.file, r.cursor.block = r.cursor.file+1, 0
	}
	return c, block
}

// judge is called once for each file, when all of its blocks were looked at.
func (r *recheck) judge(c *comparison) {
	seen, problem, err := c.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.now.Files[c.job.at]
	if err == nil && len(c.ranges) == 0 {
		*f = seen
		if problem != nil {
			r.problems = append(r.problems, *problem)
		}
		r.pass.meter.file()
		return
	}
	// Whoever reads it now says what it holds, or what is wrong with it.
	r.toRead = append(r.toRead, c.job)
	r.pass.meter.more(f.Size)
	if len(c.ranges) > 0 && (err == nil || errors.Is(err, errSize)) {
		r.out.Changed[r.name(f)] = c.ranges
	}
}

// read computes the digests of files that the blocks say nothing good of.
func (r *recheck) read(ctx context.Context, workers int) error {
	problems, err := r.pass.hash(ctx, r.now, r.toRead, workers)
	if err != nil {
		return err
	}
	r.pass.meter.last()
	r.now.add(slices.Concat(r.problems, problems))
	for _, c := range r.files {
		f := &r.now.Files[c.job.at]
		if name := r.name(f); (r.out.Changed[name] != nil || r.differed[c.job.at]) && f.Digest == c.base.Digest {
			delete(r.out.Changed, name)
			r.out.Flickered = append(r.out.Flickered, name)
		}
	}
	slices.Sort(r.out.Flickered)
	return nil
}
