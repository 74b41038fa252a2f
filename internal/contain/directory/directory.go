// Package directory is the containment driver for models that are served
// from a directory of the local file system. Isolating exchanges the
// directory with one that holds nothing but COMPROMISED.txt; rolling back
// exchanges it with a verified copy of a known-good version. Both are one
// atomic exchange of names, so that whoever opens the serving path finds
// either what was there or what was meant to be there.
//
// It does not know which version is good, whether evidence was sealed or who
// approved; and it restarts nothing: processes that have the model open keep
// serving it from memory.
package directory

import (
	"context"
	"errors"

	"github.com/weightwarden/weightwarden/internal/action"
)

// Name is the driver's name in steps.
const Name = "directory"

// MarkerName is the file that stands in for an isolated model.
const MarkerName = "COMPROMISED.txt"

// Driver plans, executes and observes the containment of directories. It
// holds no state; everything is in the steps and in the file system.
type Driver struct {
	quarantine func(modelID string) string
	proc       string
	exchange   func(a, b string) error
}

// New returns the driver. The function quarantine returns the directory that
// the operator configured for what is taken out of serving, per model, or ""
// for one beside the model; it may be nil.
func New(quarantine func(modelID string) string) *Driver {
	return &Driver{quarantine: quarantine}
}

// Name returns [Name].
func (*Driver) Name() string { return Name }

// Isolate plans to take the model out of serving.
func (d *Driver) Isolate(ctx context.Context, r action.Request) (action.Draft, error) {
	return action.Draft{}, errors.ErrUnsupported
}

// Rollback plans to put a verified version in the model's place.
func (d *Driver) Rollback(ctx context.Context, r action.Request) (action.Draft, error) {
	return action.Draft{}, errors.ErrUnsupported
}

// Execute brings about the post-condition of s.
func (d *Driver) Execute(ctx context.Context, s action.Step) error { return errors.ErrUnsupported }

// Observe says whether the post-condition of s holds.
func (d *Driver) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	return action.Observation{}, errors.ErrUnsupported
}
