package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Change is one field before and after. A side that is empty is a field that
// is not there.
type Change struct {
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Edit changes fields of one object, all at once.
type Edit struct {
	Object Ref    `json:"object"`
	UID    string `json:"uid"`
	// Fields are changed together or not at all.
	Fields []Change `json:"fields"`
}

// Set returns the change that gives a field a value; nil removes it. Where
// what the field is in does not exist either, the change is of the outermost
// part that is missing, so that taking it back leaves nothing behind.
// Labels and annotations are changed one by one: others own their neighbours.
func Set(o Object, pointer string, value any) Change {
	c := Change{Path: pointer}
	if before, ok := o.At(pointer); ok {
		c.Before = encode(before)
	}
	for c.Before == nil && value != nil && !strings.HasPrefix(c.Path, "/metadata/") {
		at := strings.LastIndex(c.Path, "/")
		if at <= 0 {
			break
		}
		if _, ok := o.At(c.Path[:at]); ok {
			break
		}
		value = map[string]any{unescape(c.Path[at+1:]): value}
		c.Path = c.Path[:at]
	}
	if value != nil {
		c.After = encode(value)
	}
	return c
}

// NewEdit returns the edit of an object as it is now.
func NewEdit(ref Ref, o Object, fields ...Change) Edit {
	return Edit{Object: ref, UID: o.UID(), Fields: fields}
}

// Inverse takes the edit back.
func (e Edit) Inverse() Edit {
	inv := Edit{Object: e.Object, UID: e.UID}
	for _, f := range e.Fields {
		inv.Fields = append(inv.Fields, Change{f.Path, f.After, f.Before})
	}
	return inv
}

// Look says how far the edit is on an object: done, not done, or neither.
func (e Edit) Look(o Object) action.Observation {
	before, after := 0, 0
	detail := ""
	for _, f := range e.Fields {
		now := field(o, f.Path)
		isBefore, isAfter := same(f.Path, now, f.Before), same(f.Path, now, f.After)
		if isBefore {
			before++
		}
		if isAfter {
			after++
		}
		if !isAfter && (detail == "" || !isBefore) {
			detail = f.Path + " is " + show(now)
		}
	}
	switch {
	case after == len(e.Fields):
		return saw(action.Done, "%s is as it should become", e.Object)
	case before == len(e.Fields):
		return saw(action.NotDone, "%s is as it was: %s", e.Object, detail)
	}
	return saw(action.Diverged, "%s: %s, which is neither what was there nor what should be%s", e.Object, detail, lastWriter(o))
}

// lastWriter says who wrote the object last, by its managed fields.
func lastWriter(o Object) string {
	var at, who string
	for _, m := range o.Items("/metadata/managedFields") {
		if t := m.Text("/time"); t >= at {
			at, who = t, m.Text("/manager")
		}
	}
	if who == "" {
		return ""
	}
	return fmt.Sprintf(" (last written by %s at %s)", artifact.Quote(who), artifact.Quote(at))
}

func saw(o action.Outcome, format string, args ...any) action.Observation {
	return action.Observation{Outcome: o, Detail: fmt.Sprintf(format, args...)}
}

func field(o Object, pointer string) json.RawMessage {
	v, ok := o.At(pointer)
	if !ok {
		return nil
	}
	return encode(v)
}

// same compares two values of a field, whatever their form. Objects hold whole
// numbers where JSON knows only numbers, and a scale of nothing has no number
// at all. Everywhere else what is not there is not 0: a route without a weight
// has the weight 1.
func same(pointer string, a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b) || pointer == "/spec/replicas" && (string(a) == "0" || string(b) == "0")
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return bytes.Equal(encode(x), encode(y))
}

func show(v json.RawMessage) string {
	if v == nil {
		return "not there"
	}
	text := string(v)
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return artifact.Quote(text)
}

// Ops returns the patch that makes the edit on the object as it is now, and
// on no other state of it.
func (e Edit) Ops(o Object) []Op {
	ops := Same(o)
	for _, f := range e.Fields {
		now := field(o, f.Path)
		switch {
		case same(f.Path, now, f.After):
		case f.After == nil:
			ops = append(ops, Op{Op: "remove", Path: f.Path})
		default:
			ops = append(ops, missing(o, ops, f.Path)...)
			ops = append(ops, Op{Op: "add", Path: f.Path, Value: f.After})
		}
	}
	return ops
}

// missing are the operations that make what a field is in, unless one of ops
// does already.
func missing(o Object, ops []Op, pointer string) []Op {
	parent := pointer[:strings.LastIndex(pointer, "/")]
	if parent == "" {
		return nil
	}
	if _, ok := o.At(parent); ok {
		return nil
	}
	for _, op := range ops {
		if op.Path == parent {
			return nil
		}
	}
	return append(missing(o, ops, parent), Op{Op: "add", Path: parent, Value: json.RawMessage("{}")})
}

// Apply makes the edit. It does nothing when it is made already, and fails
// with a Conflict when the object is neither as it was nor as it should be.
func (e Edit) Apply(ctx context.Context, api API) error {
	o, err := api.Get(ctx, e.Object)
	if err != nil {
		return err
	}
	if err := e.known(o); err != nil {
		return err
	}
	switch look := e.Look(o); look.Outcome {
	case action.NotDone:
	case action.Done:
		return nil
	case action.Diverged:
		return fault.New(fault.Conflict, "%s", look.Detail).
			WithHint("nothing was changed; find out who changed it, then make a new plan")
	}
	_, err = api.Patch(ctx, e.Object, e.Ops(o), false)
	return err
}

// Dry asks the API whether it would accept the edit, as the object is now.
func (e Edit) Dry(ctx context.Context, api API) error {
	o, err := api.Get(ctx, e.Object)
	if err == nil {
		_, err = api.Patch(ctx, e.Object, e.Ops(o), true)
	}
	return err
}

func (e Edit) known(o Object) error {
	if e.UID != "" && o.UID() != e.UID {
		return fault.New(fault.Conflict, "%s was deleted and made anew since the plan was made", e.Object).
			WithHint("make a new plan")
	}
	return nil
}

// Observe looks at the object. One that is gone is diverged.
func (e Edit) Observe(ctx context.Context, api API) (action.Observation, error) {
	o, err := api.Get(ctx, e.Object)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return saw(action.Diverged, "%s is not there any more", e.Object), nil
	case err != nil:
		return action.Observation{}, err
	}
	if err := e.known(o); err != nil {
		return saw(action.Diverged, "%s", err.Error()), nil
	}
	return e.Look(o), nil
}
