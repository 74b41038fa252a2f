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
//
// What it makes lives in a work directory of mode 0700 on the model's file
// system: <place>.partial while it is built, then <place>.stamp with the
// identity that the finished directory keeps when it is renamed, then <place>.
// After the exchange <place> holds what was taken out of serving, untouched.
package directory

import (
	"context"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// Name is the driver's name in steps.
const Name = "directory"

// MarkerName is the file that stands in for an isolated model.
const MarkerName = "COMPROMISED.txt"

// The kinds of step.
const (
	// KindPrepare makes the marker directory. Its target is where the model
	// is after the exchange that follows it.
	KindPrepare  = "prepare"
	kindStage    = "stage"         // copy the verified version
	kindExchange = "exchange"      // put either in the serving path's place
	kindBack     = "exchange_back" // inverse of exchange
	kindDiscard  = "discard"       // inverse of prepare and stage
	kindMark     = "mark"          // write a marker beside the model
	kindUnmark   = "unmark"        // inverse of mark
)

// Driver plans, executes and observes the containment of directories. It
// holds no state that a step depends on; everything is in the steps and in the
// file system.
type Driver struct {
	quarantine func(modelID string) string
	proc       string
	exchange   func(a, b string) error
	copied     *reads
}

// New returns the driver. The function quarantine returns the directory that
// the operator configured for what is taken out of serving, per model, or ""
// for one beside the model; it may be nil.
func New(quarantine func(modelID string) string) *Driver {
	if quarantine == nil {
		quarantine = func(string) string { return "" }
	}
	return &Driver{quarantine: quarantine, proc: "/proc", exchange: fsop.Exchange, copied: &reads{files: map[fsop.ID]readFile{}}}
}

// Name returns [Name].
func (*Driver) Name() string { return Name }

// Execute brings about the post-condition of s. It may be called again after
// a crash at any moment, and does nothing when the post-condition holds. When
// the world is neither as it was planned nor as it should become, it changes
// nothing and fails with a [fault.Conflict].
func (d *Driver) Execute(ctx context.Context, s action.Step) error {
	p, err := decode(s)
	if err != nil {
		return err
	}
	if p.Work == "" {
		return d.executeMark(s.Kind, p)
	}
	if err := p.makeWork(); err != nil {
		return err
	}
	unlock, err := fsop.Lock(p.lock())
	if err != nil {
		return err
	}
	err = d.executeIn(ctx, s.Kind, p)
	if unlockErr := unlock(); err == nil {
		err = unlockErr
	}
	return err
}

// executeIn is Execute for the kinds that need the work directory.
func (d *Driver) executeIn(ctx context.Context, kind string, p params) error {
	switch kind {
	case KindPrepare, kindStage:
		return d.build(ctx, p)
	case kindDiscard:
		return d.discard(ctx, p)
	case kindExchange:
		return d.forward(ctx, p)
	case kindBack:
		return d.backward(ctx, p)
	default:
		return noSuchKind(kind)
	}
}

// Observe says whether the post-condition of s holds. It changes nothing, and
// leaves the time of the observation to its caller. The content of whole
// trees is read and hashed, so that it can take as long as reading the model.
func (d *Driver) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	p, err := decode(s)
	if err != nil {
		return action.Observation{}, err
	}
	switch s.Kind {
	case KindPrepare, kindStage:
		return d.observeBuilt(ctx, p)
	case kindDiscard:
		return d.observeDiscarded(ctx, p)
	case kindExchange:
		return d.observeForward(ctx, p)
	case kindBack:
		return observeBackward(p)
	case kindMark, kindUnmark:
		return observeMark(s.Kind, p)
	default:
		return action.Observation{}, noSuchKind(s.Kind)
	}
}

func noSuchKind(kind string) error {
	return fault.New(fault.Invalid, "driver %s: no step of kind %.40q", Name, kind).
		WithHint("the plan was made by another version of this program; make a new one")
}
