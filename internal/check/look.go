package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/trust"
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
	// ByBlocks means that every block was compared with its tag, but for
	// files under a lease that proves that nobody wrote to them.
	ByBlocks Method = "blocks"
)

// sight is what one look at a model saw.
type sight struct {
	now    *manifest.Manifest
	method Method
	kept   int
	ranges map[string][]manifest.Range
	found  []indicator.Indicator // about the look itself
}

// look observes the model: by blocks where there is a baseline with tags and
// the last full look is young enough, else in full. The base may be nil. New
// tags are returned by a full look that has use for them.
func (c *Checker) look(ctx context.Context, t Target, base *baseline.Baseline) (sight, *manifest.Blocks, error) {
	if base == nil || len(c.Hashing.Secret) == 0 {
		return c.full(ctx, t, true)
	}
	tags, err := c.Baselines.Blocks(ctx, base, c.Hashing.Secret)
	last, lerr := c.Baselines.LastFull(ctx, base)
	age := c.Now().Sub(last)
	if err == nil && lerr == nil && !c.Hashing.Full && age >= 0 && age < c.Hashing.FullAge {
		s, err := c.byBlocks(ctx, t, base, tags)
		return s, nil, err
	}
	s, fresh, terr := c.full(ctx, t, err != nil)
	if terr != nil {
		return s, nil, terr
	}
	for _, err := range []error{err, lerr} {
		if err != nil && fault.KindOf(err) != fault.NotFound {
			s.found = append(s.found, c.stored(t, err))
		}
	}
	if err == nil {
		if err := c.locate(ctx, t, base, tags, &s); err != nil {
			s.found = append(s.found, c.stored(t, err)) // what changed is known, where is not
		}
	}
	return s, fresh, c.recordFull(ctx, base, s.now, fresh)
}

// stored says what is wrong with what makes checks cheaper.
func (c *Checker) stored(t Target, err error) indicator.Indicator {
	typ := indicator.CheckFailed
	if errors.Is(err, baseline.ErrAltered) {
		typ = indicator.BaselineAltered
	}
	return indicator.New(typ, t.ID, c.Now(), err.Error(), map[string]any{"model_id": t.ID}, "block_tags")
}

// full reads everything, and makes tags when they are wanted.
func (c *Checker) full(ctx context.Context, t Target, tags bool) (s sight, fresh *manifest.Blocks, err error) {
	o := c.options(t.ID)
	if tags && len(c.Hashing.Secret) > 0 {
		if fresh, err = manifest.NewBlocks(c.Hashing.Secret, nil); err != nil {
			return s, nil, err
		}
	}
	o.Blocks = fresh
	s.method = BySHA256
	s.now, err = manifest.Take(ctx, t.Path, o)
	return s, fresh, err
}

func (c *Checker) byBlocks(ctx context.Context, t Target, base *baseline.Baseline, tags *manifest.Blocks) (sight, error) {
	r, err := manifest.Recheck(ctx, t.Path, base.Manifest, tags, c.options(t.ID))
	if err != nil {
		return sight{}, err
	}
	s := sight{now: r.Manifest, method: ByBlocks, kept: r.Kept, ranges: r.Changed}
	for _, path := range r.Flickered {
		s.found = append(s.found, indicator.New(indicator.ModelFileUnstable, t.ID, c.Now(),
			fmt.Sprintf("%s differed from the baseline, and no longer when it was read again", artifact.Quote(path)),
			map[string]any{"file": path, "model_id": t.ID, "problem": "flickered"}, path, "flickered"))
	}
	return s, nil
}

// locate finds out where the changed files differ.
func (c *Checker) locate(ctx context.Context, t Target, base *baseline.Baseline, tags *manifest.Blocks, s *sight) (err error) {
	var paths []string
	for _, change := range manifest.Compare(base.Manifest, s.now) {
		if change.Kind == manifest.Modified {
			paths = append(paths, change.Path)
		}
	}
	if len(paths) > 0 {
		s.ranges, err = manifest.Locate(ctx, t.Path, base.Manifest, tags, paths, c.options(t.ID))
	}
	return err
}

// recordFull notes a full look that found nothing. What was found is never
// kept in tags.
func (c *Checker) recordFull(ctx context.Context, base *baseline.Baseline, now *manifest.Manifest, fresh *manifest.Blocks) error {
	if len(c.Hashing.Secret) == 0 || len(now.Problems) > 0 || len(manifest.Compare(base.Manifest, now)) > 0 {
		return nil
	}
	return c.Baselines.RecordFull(ctx, base, fresh, c.Now())
}

// established notes, after a baseline was taken from now, that now was a full
// look.
func (c *Checker) established(ctx context.Context, set trust.BaselineSet, now *manifest.Manifest, fresh *manifest.Blocks) error {
	if fresh == nil {
		return nil
	}
	state, err := c.state(ctx)
	if err != nil {
		return err
	}
	base, err := c.Baselines.Load(ctx, state, set.Model)
	if err != nil {
		return err
	}
	return c.recordFull(ctx, base, now, fresh)
}

func (c *Checker) options(model string) manifest.Options {
	o := manifest.Options{Workers: c.Hashing.Workers, Rate: c.Hashing.Rate, Lease: true, Guard: c.Hashing.Guards[model]}
	if c.Progress != nil {
		o.Progress = func(p manifest.Progress) { c.Progress(model, p) }
	}
	return o
}
