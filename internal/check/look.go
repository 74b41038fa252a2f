package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// Hashing says how models are read.
type Hashing struct {
	// Workers and Rate are those of [manifest.Options].
	Workers int
	Rate    int64
	// FullAge is how long a model may go without a full SHA-256. In between it
	// is compared by block tags.
	FullAge time.Duration
	// Full reads everything now, whatever the age.
	Full bool
	// Secret is that of the block tags. Without one every check is full.
	Secret []byte
	// Guards, of a process that stays, hold the proof that files were quiet
	// since the last check, by model.
	Guards map[string]*manifest.Guard
}

// Method is how a model was looked at.
type Method string

// The methods.
const (
	// BySHA256 means that every byte was read and hashed.
	BySHA256 Method = "sha256"
	// ByBlocks means that every block was compared with its tag, or a small
	// file with its digest, but for files under a lease that proves that nobody
	// wrote to them.
	ByBlocks Method = "blocks"
	// ByEvents means that only what may have changed since the last look was
	// read; of the rest that look counts.
	ByEvents Method = "events"
)

// glance says what need not be read. The zero value is a look at everything.
type glance struct {
	// known is that of [manifest.Options]; nil when everything is to be read.
	known func(artifact.File) (artifact.File, bool)
	// noBaseline keeps a look from taking one: what is half copied is no model.
	noBaseline bool
	// ranges are those of files that differed when they were last read. They
	// count for what is known.
	ranges map[string][]manifest.Range
}

// sight is what one look at a model saw.
type sight struct {
	now    *manifest.Manifest
	method Method
	ranges map[string][]manifest.Range
	found  []indicator.Indicator // about the look itself
	// fresh are the tags that a full look made, nil where there was no use for
	// them.
	fresh *manifest.Blocks
	// base is what it was compared with, or nil.
	base *baseline.Baseline
}

// look observes the model: by blocks where there is a baseline with tags and
// the last full look is young enough, else in full. The base may be nil. The
// errors are those of [manifest.Take].
func (c *Checker) look(ctx context.Context, l layout.Layout, model string, base *baseline.Baseline, g glance) (*sight, error) {
	if g.known != nil {
		return c.glance(ctx, l, model, base, g)
	}
	if base == nil || len(c.Hashing.Secret) == 0 {
		return c.full(ctx, l, model, true)
	}
	tags, tagsErr := c.Baselines.Blocks(ctx, base, c.Hashing.Secret)
	last, lastErr := c.Baselines.LastFull(ctx, base)
	age := c.Now().Sub(last)
	if tagsErr == nil && lastErr == nil && !c.Hashing.Full && age >= 0 && age < c.Hashing.FullAge {
		return c.byBlocks(ctx, l, model, base, tags)
	}
	s, err := c.full(ctx, l, model, tagsErr != nil)
	if err != nil {
		return nil, err
	}
	var locateErr error
	if tagsErr == nil { // what changed is known, where is not
		locateErr = c.locate(ctx, l, model, base, tags, s)
	}
	for _, err := range []error{tagsErr, lastErr, locateErr, c.recordFull(ctx, base, s)} {
		if err != nil && fault.KindOf(err) != fault.NotFound {
			s.found = append(s.found, c.stored(model, err))
		}
	}
	return s, ctx.Err()
}

// stored says what is wrong with what makes checks cheaper.
func (c *Checker) stored(model string, err error) indicator.Indicator {
	typ := indicator.CheckFailed
	if errors.Is(err, baseline.ErrAltered) {
		typ = indicator.BaselineAltered
	}
	return indicator.New(typ, model, c.Now(), err.Error(), map[string]any{"model_id": model}, "block_tags")
}

// full reads everything, and makes tags when they are wanted.
func (c *Checker) full(ctx context.Context, l layout.Layout, model string, tags bool) (*sight, error) {
	o := c.options(model)
	if tags && len(c.Hashing.Secret) > 0 {
		fresh, err := manifest.NewBlocks(c.Hashing.Secret, nil)
		if err != nil {
			return nil, err
		}
		o.Blocks = fresh
	}
	now, err := l.Take(ctx, o)
	if err != nil {
		return nil, err
	}
	return &sight{now: now, method: BySHA256, fresh: o.Blocks}, nil
}

func (c *Checker) byBlocks(ctx context.Context, l layout.Layout, model string, base *baseline.Baseline, tags *manifest.Blocks) (*sight, error) {
	r, err := l.Recheck(ctx, base.Manifest, tags, c.options(model))
	if err != nil {
		return nil, err
	}
	s := &sight{now: r.Manifest, method: ByBlocks, ranges: r.Changed}
	for _, path := range r.Flickered {
		s.found = append(s.found, indicator.New(indicator.ModelFileUnstable, model, c.Now(),
			fmt.Sprintf("%s differed from the baseline, and no longer when it was read again", artifact.Quote(path)),
			map[string]any{"file": path, "model_id": model, "problem": "flickered"}, path, "flickered"))
	}
	return s, nil
}

// locate finds out where the changed files differ.
func (c *Checker) locate(ctx context.Context, l layout.Layout, model string, base *baseline.Baseline, tags *manifest.Blocks, s *sight) (err error) {
	paths := unlocated(base, s)
	if len(paths) == 0 {
		return nil
	}
	found, err := l.Locate(ctx, base.Manifest, tags, paths, c.options(model))
	if s.ranges == nil {
		s.ranges = map[string][]manifest.Range{}
	}
	maps.Copy(s.ranges, found)
	return err
}

// glance reads what is not known. Only where something differs are the tags of
// blocks asked where, and once.
func (c *Checker) glance(ctx context.Context, l layout.Layout, model string, base *baseline.Baseline, g glance) (*sight, error) {
	o, believed := c.options(model), map[string]bool{}
	o.Soon = true
	o.Known = func(f artifact.File) (artifact.File, bool) {
		seen, ok := g.known(f)
		if ok && g.ranges[f.Path] != nil {
			believed[f.Path] = true
		}
		return seen, ok
	}
	now, err := l.Take(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &sight{now: now, method: ByEvents, ranges: map[string][]manifest.Range{}}
	for path := range believed {
		s.ranges[path] = g.ranges[path]
	}
	if base == nil || len(c.Hashing.Secret) == 0 || len(unlocated(base, s)) == 0 {
		return s, nil
	}
	tags, err := c.Baselines.Blocks(ctx, base, c.Hashing.Secret)
	if err == nil {
		err = c.locate(ctx, l, model, base, tags, s)
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		s.found = append(s.found, c.stored(model, err))
	}
	return s, ctx.Err()
}

// unlocated returns the files of which it is not known yet where they differ.
func unlocated(base *baseline.Baseline, s *sight) (paths []string) {
	for _, change := range manifest.Compare(base.Manifest, s.now) {
		if change.Kind == manifest.Modified && change.Got.Kind == artifact.Regular && s.ranges[change.Path] == nil {
			paths = append(paths, change.Path)
		}
	}
	return paths
}

// recordFull notes a full look that found nothing. What was found is never
// kept in tags.
func (c *Checker) recordFull(ctx context.Context, base *baseline.Baseline, s *sight) error {
	if len(c.Hashing.Secret) == 0 || len(s.now.Problems) > 0 || len(manifest.Compare(base.Manifest, s.now)) > 0 {
		return nil
	}
	return c.Baselines.RecordFull(ctx, base, s.fresh, c.Now())
}

// established notes that the baseline of the model was taken from a full look.
func (c *Checker) established(ctx context.Context, model string, s *sight) error {
	if s.fresh == nil {
		return nil
	}
	state, err := c.state(ctx)
	if err != nil {
		return err
	}
	base, err := c.Baselines.Load(ctx, state, model)
	if err != nil {
		return err
	}
	return c.recordFull(ctx, base, s)
}

func (c *Checker) options(model string) manifest.Options {
	o := manifest.Options{Workers: c.Hashing.Workers, Rate: c.Hashing.Rate, Lease: true, Guard: c.Hashing.Guards[model], Settled: c.settled}
	if c.Progress != nil {
		o.Progress = func(p manifest.Progress) { c.Progress(model, p) }
	}
	return o
}
