package directory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

func saw(o action.Outcome, format string, args ...any) action.Observation {
	return action.Observation{Outcome: o, Detail: fmt.Sprintf(format, args...)}
}

func isDone(o action.Observation) bool     { return o.Outcome == action.Done }
func isDiverged(o action.Observation) bool { return o.Outcome == action.Diverged }

// conflict is the error of a step that would act on what it does not know.
func conflict(o action.Observation) error {
	return fault.New(fault.Conflict, "%s", o.Detail).
		WithHint("nothing was changed; find out who changed it, then make a new plan")
}

// observeBuilt looks for the newcomer: at its place, or where the exchange
// has put it since.
func (d *Driver) observeBuilt(ctx context.Context, p params) (action.Observation, error) {
	s, err := p.look()
	if err != nil {
		return action.Observation{}, err
	}
	switch {
	case !s.newcomer.IsZero() && s.serving == s.newcomer:
		return saw(action.Done, "what was prepared is at %s already", artifact.Quote(p.Serving)), nil
	case s.place.IsZero():
		return saw(action.NotDone, "there is nothing at %s", artifact.Quote(p.Place)), nil
	case s.place != s.newcomer:
		return saw(action.Diverged, "what is at %s was not made by this step", artifact.Quote(p.Place)), nil
	}
	diff, err := differs(ctx, d.copied, p.Place, s.newcomer, p.Files)
	switch {
	case err != nil:
		return action.Observation{}, err
	case diff != "":
		return saw(action.Diverged, "%s is not as it was made: %s", artifact.Quote(p.Place), diff), nil
	}
	return saw(action.Done, "%s holds exactly %s", artifact.Quote(p.Place), count(p.Files)), nil
}

func count(files []entry) string {
	if len(files) == 1 {
		return "the expected file"
	}
	return fmt.Sprintf("the expected %d files", len(files))
}

// observeDiscarded looks whether the newcomer is gone again.
func (d *Driver) observeDiscarded(ctx context.Context, p params) (action.Observation, error) {
	s, err := p.look()
	if err != nil {
		return action.Observation{}, err
	}
	partial, err := identity(p.partial())
	switch {
	case err != nil:
		return action.Observation{}, err
	case !s.newcomer.IsZero() && s.serving == s.newcomer:
		return saw(action.Diverged, "what is to be removed is in service at %s", artifact.Quote(p.Serving)), nil
	case s.place.IsZero() && s.newcomer.IsZero() && partial.IsZero():
		return saw(action.Done, "there is nothing at %s", artifact.Quote(p.Place)), nil
	case s.place.IsZero():
		return saw(action.NotDone, "remains are left beside %s", artifact.Quote(p.Place)), nil
	}
	o, err := d.observeBuilt(ctx, p)
	if err == nil && isDone(o) {
		o.Outcome = action.NotDone
	}
	return o, err
}

// discard removes the newcomer if it is exactly as it was left. It is renamed
// first, so that a crash does not leave half of it under its own name.
func (d *Driver) discard(ctx context.Context, p params) error {
	switch o, err := d.observeDiscarded(ctx, p); {
	case err != nil || isDone(o):
		return err
	case isDiverged(o):
		return conflict(o)
	}
	if _, err := os.Lstat(p.Place); err == nil {
		if err := removeTree(p.partial()); err != nil {
			return err
		}
		if err := fsop.RenameNoReplace(p.Place, p.partial()); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(removeTree(p.partial()), removeFile(p.stamp())); err != nil {
		return err
	}
	return fsop.SyncDir(p.Work)
}
