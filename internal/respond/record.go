package respond

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// RecordDriver names the executor of the steps that change the host's record.
const RecordDriver = action.RecordDriver

// The kinds of step of the [Record].
const (
	kindDeny     = "deny"
	kindLift     = "lift_denial"
	kindBaseline = "set_baseline"
	kindReturn   = "return_baseline"
)

// Record is the executor of the steps that change the host's record of trust:
// the deny-list, and which baseline holds.
type Record struct {
	Ledger    evidence.Ledger
	Baselines baseline.Store
	Actor     string
	Now       func() time.Time
}

// lift is what a step of kind lift_denial does: it takes back the denial of
// one incident. A denial that somebody else made is not its to take back.
type lift struct {
	trust.Lifted
	Incident string `json:"incident_id"`
}

// Deny is the step that puts a model's root digest on the deny-list.
func Deny(d trust.Denial) action.Step {
	inverse := action.Step{
		ID: kindLift, Driver: RecordDriver, Kind: kindLift, Target: d.Value,
		Summary: "take the root digest off the deny-list, if this incident put it there",
		Post:    "the root digest is not on the deny-list because of " + d.Incident,
		Params:  params(lift{trust.Lifted{Subject: d.Subject, Value: d.Value, Reason: "undo in " + d.Incident}, d.Incident}),
	}
	return action.Step{
		ID: kindDeny, Driver: RecordDriver, Kind: kindDeny, Target: d.Value,
		Summary: "put the root digest of the tampered model on the deny-list",
		Post:    "the root digest is on the deny-list", Params: params(d), Inverse: &inverse,
	}
}

// newBaseline is what a step of kind set_baseline does.
type newBaseline struct {
	Set trust.BaselineSet `json:"set"`
	// Root is the root digest that the model must have.
	Root artifact.Digest `json:"root_digest"`
}

// holds reports whether the baseline is the one that the step set. The reason
// names the incident. The root digest alone would be met by an older baseline,
// which may know other names, links and directories.
func (n newBaseline) holds(b trust.BaselineSet) bool {
	return b.Root == n.Root && b.Voucher == n.Set.Voucher && b.Reason == n.Set.Reason
}

// former is what a step of kind return_baseline does: it makes the baseline
// hold again that held before another was set.
type former struct {
	trust.BaselineSet
	Set newBaseline `json:"set"`
}

// SetBaseline is the step that makes the model at its path the baseline, if
// its root digest is root. before is the baseline that holds now, if any.
func SetBaseline(set trust.BaselineSet, root artifact.Digest, before *trust.BaselineSet) action.Step {
	s := action.Step{
		ID: "baseline", Driver: RecordDriver, Kind: kindBaseline, Target: set.Model,
		Summary: "make the verified version the baseline of the model",
		Post:    "the baseline of the model has the root digest of the verified version",
		Params:  params(newBaseline{set, root}),
	}
	if before != nil {
		s.Inverse = &action.Step{
			ID: kindReturn, Driver: RecordDriver, Kind: kindReturn, Target: set.Model,
			Summary: "make the former baseline hold again, if nobody has set another since", Post: "the former baseline holds",
			Params: params(former{*before, newBaseline{set, root}}),
		}
	}
	return s
}

func params(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic("parameters are always encodable: " + err.Error()) // structs of strings and digests
	}
	return data
}

// Execute appends what the step says to the host's log.
func (r *Record) Execute(ctx context.Context, s action.Step) error {
	switch s.Kind {
	case kindDeny:
		return appendAs[trust.Denial](ctx, r, s, trust.KindDenied)
	case kindLift:
		return appendAs[trust.Lifted](ctx, r, s, trust.KindAllowed)
	case kindReturn:
		return appendAs[trust.BaselineSet](ctx, r, s, trust.KindBaseline)
	case kindBaseline:
		return r.setBaseline(ctx, s)
	default:
		return fault.New(fault.Invalid, "step %s: unknown kind %.40q", s.ID, s.Kind)
	}
}

func appendAs[T any](ctx context.Context, r *Record, s action.Step, kind string) error {
	var body T
	if err := json.Unmarshal(s.Params, &body); err != nil {
		return fmt.Errorf("read step %s: %w", s.ID, err)
	}
	_, err := r.Ledger.Append(ctx, trust.Log, evidence.Any, evidence.Draft{Time: r.Now(), Actor: r.Actor, Kind: kind, Body: body})
	return err
}

func (r *Record) setBaseline(ctx context.Context, s action.Step) error {
	var p newBaseline
	if err := json.Unmarshal(s.Params, &p); err != nil {
		return fmt.Errorf("read step %s: %w", s.ID, err)
	}
	l := layout.Detect(p.Set.Path)
	m, err := l.Take(ctx, manifest.Options{})
	if err != nil {
		return err
	}
	if view, _ := l.View(m); view.Root() != p.Root {
		return fault.New(fault.Conflict, "%s is not the verified version: its root digest is %s", artifact.Quote(p.Set.Path), view.Root())
	}
	return r.Baselines.Save(ctx, p.Set, m, r.Now(), r.Actor)
}

// Observe asks the host's log whether the step's post-condition holds.
func (r *Record) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	entries, err := r.Ledger.Entries(ctx, trust.Log, 1)
	if err != nil {
		return action.Observation{}, err
	}
	state, err := trust.Fold(entries)
	if err != nil {
		return action.Observation{}, err
	}
	o, err := observe(state, s)
	if err != nil {
		return action.Observation{}, fmt.Errorf("read step %s: %w", s.ID, err)
	}
	o.At = r.Now()
	return o, nil
}

func observe(state *trust.State, s action.Step) (action.Observation, error) {
	switch s.Kind {
	case kindDeny:
		return observeAs(s, func(d trust.Denial) action.Observation {
			_, listed := state.Denied(d.Subject, d.Value)
			return saw(listed, "on the deny-list: %t", listed)
		})
	case kindLift:
		return observeAs(s, func(l lift) action.Observation {
			d, listed := state.Denied(l.Subject, l.Value)
			if listed && d.Body.Incident != l.Incident {
				return saw(true, "on the deny-list for another reason, where it stays: %s", artifact.Quote(cmp.Or(d.Body.Incident, d.Body.Reason)))
			}
			return saw(!listed, "on the deny-list: %t", listed)
		})
	case kindBaseline:
		return observeAs(s, func(p newBaseline) action.Observation {
			now, _ := state.Baseline(p.Set.Model)
			return saw(p.holds(now.Body), "the baseline's root digest is %s", now.Body.Root)
		})
	case kindReturn:
		return observeAs(s, func(f former) action.Observation {
			now, _ := state.Baseline(f.Model)
			o := saw(now.Body == f.BaselineSet, "the baseline's document is %s", now.Body.Document)
			if o.Outcome == action.NotDone && !f.Set.holds(now.Body) {
				o.Outcome = action.Diverged
			}
			return o
		})
	default:
		return action.Observation{}, fmt.Errorf("unknown kind %.40q", s.Kind)
	}
}

func observeAs[T any](s action.Step, look func(T) action.Observation) (action.Observation, error) {
	var p T
	if err := json.Unmarshal(s.Params, &p); err != nil {
		return action.Observation{}, err
	}
	return look(p), nil
}

func saw(done bool, format string, args ...any) action.Observation {
	o := action.Observation{Outcome: action.NotDone, Detail: fmt.Sprintf(format, args...)}
	if done {
		o.Outcome = action.Done
	}
	return o
}
