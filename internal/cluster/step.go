package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Site says where a step acts. The parameters of every step begin with it.
type Site struct {
	// Cluster is that of the [Scene] the step was planned from.
	Cluster string `json:"cluster"`
	// Namespaces are those that the step touches; none for what is of the
	// whole cluster.
	Namespaces []string `json:"namespaces,omitempty"`
}

// Encode makes the parameters of a step.
func Encode(v any) json.RawMessage { return encode(v) }

// Decode reads the parameters of a step. They come from a plan that people
// approved by its hash; what is not understood in them is refused all the same.
func Decode[T any](s action.Step) (T, error) {
	var v T
	dec := json.NewDecoder(bytes.NewReader(s.Params))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, fault.New(fault.Invalid, "read parameters of step %s: %w", artifact.Quote(s.ID), err).WithHint("make a new plan")
	}
	return v, nil
}

// SiteOf reads where a step acts.
func SiteOf(s action.Step) (Site, error) {
	var site Site
	if err := json.Unmarshal(s.Params, &site); err != nil {
		return site, fault.New(fault.Invalid, "read parameters of step %s: %w", artifact.Quote(s.ID), err)
	}
	return site, nil
}

// EditOf returns the edit that a step makes; false for one that makes none.
func EditOf(s action.Step) (Edit, bool) {
	var p struct {
		Edit *Edit `json:"edit"`
	}
	if json.Unmarshal(s.Params, &p) != nil || p.Edit == nil {
		return Edit{}, false
	}
	return *p.Edit, true
}

// NoSuchKind is the error for a step that a driver does not know.
func NoSuchKind(driver, kind string) error {
	return fault.New(fault.Invalid, "driver %s: no step of kind %.40q", driver, kind).
		WithHint("the plan was made by another version of this program; make a new one")
}

// Saw makes an observation.
func Saw(o action.Outcome, format string, args ...any) action.Observation {
	return saw(o, format, args...)
}

// Scenes returns what serves a model.
type Scenes func(ctx context.Context, model artifact.Model) (*Scene, error)

// errNotYet ends a wait whose time is over.
var errNotYet = errors.New("the time for it is over")

// Await looks again and again until the post-condition holds or the step's
// time is over. That it does not hold in time is no error: observing says so.
func Await(ctx context.Context, s action.Step, look func(context.Context) (action.Observation, error)) error {
	seconds := s.Timeout
	if seconds <= 0 {
		seconds = 30
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(seconds)*time.Second, errNotYet)
	defer cancel()
	wait := 20 * time.Millisecond
	for {
		o, err := look(ctx)
		over := errors.Is(context.Cause(ctx), errNotYet)
		switch {
		case over || err == nil && o.Outcome != action.NotDone:
			return nil
		case err != nil:
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			if errors.Is(context.Cause(ctx), errNotYet) {
				return nil
			}
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(wait*3/2, time.Second)
	}
}
