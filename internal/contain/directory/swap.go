package directory

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// position is how far an exchange has come. Where the file system can
// exchange names, only the outer two occur; elsewhere three renames lead from
// one to the next, and a crash can stop at each.
type position int

const (
	elsewhere position = iota // somebody else moved something
	before                    // displaced at the serving path, newcomer at its place
	leaving                   // displaced aside, nothing at the serving path
	entered                   // newcomer at the serving path, displaced aside
	after                     // newcomer at the serving path, displaced at the place
)

func (p params) position(s scene) position {
	old := p.Displaced
	switch {
	case s.serving == old && s.place.IsZero() && s.aside.IsZero():
		return before // the newcomer is not made yet, or is being discarded
	case s.newcomer.IsZero():
		return elsewhere
	case s == scene{serving: old, place: s.newcomer, newcomer: s.newcomer}:
		return before
	case s == scene{serving: s.newcomer, place: old, newcomer: s.newcomer}:
		return after
	case s == scene{place: s.newcomer, aside: old, newcomer: s.newcomer}:
		return leaving
	case s == scene{serving: s.newcomer, aside: old, newcomer: s.newcomer}:
		return entered
	default:
		return elsewhere
	}
}

// moved describes an exchange that somebody interfered with.
func (p params) moved(s scene) action.Observation {
	return saw(action.Diverged, "%s and %s do not hold what the plan knows: found %s and %s, expected %s",
		artifact.Quote(p.Serving), artifact.Quote(p.Place), shown(s.serving), shown(s.place), shown(p.Displaced))
}

func shown(id fsop.ID) string {
	if id.IsZero() {
		return "nothing"
	}
	return id.String()
}

// forward puts the newcomer in the serving path's place.
func (d *Driver) forward(ctx context.Context, p params) error {
	s, err := p.look()
	if err != nil {
		return err
	}
	at := p.position(s)
	switch {
	case at == elsewhere:
		return conflict(p.moved(s))
	case at == before && s.place.IsZero():
		return fault.New(fault.Conflict, "there is nothing at %s yet", artifact.Quote(p.Place)).WithHint("execute the step before this one")
	case at == before || at == leaving:
		if err := p.still(ctx, d.copied, p.Place, s.newcomer); err != nil {
			return err
		}
	}
	if err := d.move(p, at, after); err != nil {
		return err
	}
	d.copied.forget()
	return p.arrived(after)
}

// backward puts the displaced directory back, if the newcomer is still what
// was put there.
func (d *Driver) backward(ctx context.Context, p params) error {
	s, err := p.look()
	if err != nil {
		return err
	}
	at := p.position(s)
	switch at {
	case elsewhere:
		return conflict(p.moved(s))
	case after, entered:
		if err := p.still(ctx, nil, p.Serving, s.newcomer); err != nil {
			return err
		}
	default:
	}
	if err := d.move(p, at, before); err != nil {
		return err
	}
	return p.arrived(before)
}

// still fails unless the newcomer at path holds exactly its files.
func (p params) still(ctx context.Context, known *reads, path string, newcomer fsop.ID) error {
	diff, err := differs(ctx, known, path, newcomer, p.Files)
	switch {
	case err != nil:
		return err
	case diff != "":
		return conflict(saw(action.Diverged, "%s is not as it was left: %s", artifact.Quote(path), diff))
	}
	return nil
}

// arrived looks again: between the look before and the exchange somebody may
// have put something else at one of the names.
func (p params) arrived(want position) error {
	s, err := p.look()
	if err != nil {
		return err
	}
	if p.position(s) != want {
		o := p.moved(s)
		return fault.New(fault.Conflict, "after the exchange %s", o.Detail).
			WithHint("something else changed them at the same moment; find out what, then make a new plan")
	}
	return nil
}

// move leads from one position to another and makes it durable.
func (d *Driver) move(p params, from, to position) error {
	err := d.rename(p, from, to)
	if err != nil {
		return fmt.Errorf("exchange %s and %s: %w", artifact.Quote(p.Serving), artifact.Quote(p.Place), err)
	}
	return errors.Join(fsop.SyncDir(filepath.Dir(p.Serving)), fsop.SyncDir(p.Work))
}

func (d *Driver) rename(p params, from, to position) error {
	switch {
	case from == to:
		return nil
	case p.Displaced.IsZero() && to == after:
		return fsop.RenameNoReplace(p.Place, p.Serving)
	case p.Displaced.IsZero():
		return fsop.RenameNoReplace(p.Serving, p.Place)
	case from == before && to == after, from == after && to == before:
		if err := d.exchange(p.Serving, p.Place); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return p.renameInSteps(from, to)
}

// renameInSteps is the exchange where the file system has none. For a moment
// nothing is at the serving path; a crash then is what resuming is for.
func (p params) renameInSteps(from, to position) error {
	steps := []struct {
		from, to position
		a, b     string
	}{
		{before, leaving, p.Serving, p.aside()},
		{leaving, entered, p.Place, p.Serving},
		{entered, after, p.aside(), p.Place},
	}
	if to == before {
		slices.Reverse(steps)
		for i, s := range steps {
			steps[i].from, steps[i].to, steps[i].a, steps[i].b = s.to, s.from, s.b, s.a
		}
	}
	for _, s := range steps {
		if s.from != from {
			continue
		}
		if err := fsop.RenameNoReplace(s.a, s.b); err != nil {
			return err
		}
		from = s.to
	}
	return nil
}

// observeForward looks for the newcomer at the serving path and reads it
// there, to the last byte.
func (d *Driver) observeForward(ctx context.Context, p params) (action.Observation, error) {
	s, err := p.look()
	if err != nil {
		return action.Observation{}, err
	}
	switch p.position(s) {
	case elsewhere:
		return p.moved(s), nil
	case before:
		return saw(action.NotDone, "%s is as it was", artifact.Quote(p.Serving)), nil
	case leaving, entered:
		return saw(action.NotDone, "the exchange of %s stopped half-way", artifact.Quote(p.Serving)), nil
	default:
	}
	diff, err := differs(ctx, nil, p.Serving, s.newcomer, p.Files)
	switch {
	case err != nil:
		return action.Observation{}, err
	case diff != "":
		return saw(action.Diverged, "%s is not as it was left: %s", artifact.Quote(p.Serving), diff), nil
	case p.Displaced.IsZero():
		return saw(action.Done, "%s holds exactly %s", artifact.Quote(p.Serving), count(p.Files)), nil
	}
	return saw(action.Done, "%s holds exactly %s, and what was there is at %s; %s", artifact.Quote(p.Serving),
		count(p.Files), artifact.Quote(p.Place), OpenBy(ctx, d.proc, p.Place)), nil
}

// observeBackward looks whether the displaced directory is back.
func observeBackward(p params) (action.Observation, error) {
	s, err := p.look()
	if err != nil {
		return action.Observation{}, err
	}
	switch p.position(s) {
	case elsewhere:
		return p.moved(s), nil
	case before:
		return saw(action.Done, "%s is what it was before the exchange", artifact.Quote(p.Serving)), nil
	case leaving, entered:
		return saw(action.NotDone, "the exchange of %s stopped half-way", artifact.Quote(p.Serving)), nil
	default:
		return saw(action.NotDone, "%s holds what the exchange put there", artifact.Quote(p.Serving)), nil
	}
}
