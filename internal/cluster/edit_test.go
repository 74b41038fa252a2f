package cluster_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

func object(t *testing.T, text string) cluster.Object {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// store is an API that holds one object.
type store struct {
	cluster.API
	object  cluster.Object
	patches [][]cluster.Op
}

func (s *store) Get(context.Context, cluster.Ref) (cluster.Object, error) {
	if s.object == nil {
		return nil, fault.New(fault.NotFound, "gone")
	}
	return s.object, nil
}

func (s *store) Patch(_ context.Context, _ cluster.Ref, ops []cluster.Op, _ bool) (cluster.Object, error) {
	s.patches = append(s.patches, ops)
	return s.object, nil
}

const service = `{"metadata":{"uid":"u1","resourceVersion":"7","managedFields":[{"manager":"argocd","time":"2026-01-02T00:00:00Z"}]},
 "spec":{"selector":{"app":"x"},"replicas":3}}`

func TestSet(t *testing.T) {
	tests := map[string]struct {
		pointer string
		value   any
		want    cluster.Change
	}{
		"a_field_that_is_there":          {"/spec/replicas", 0, cluster.Change{Path: "/spec/replicas", Before: json.RawMessage("3"), After: json.RawMessage("0")}},
		"a_key_beside_others":            {"/spec/selector/k", "v", cluster.Change{Path: "/spec/selector/k", After: json.RawMessage(`"v"`)}},
		"removing":                       {"/spec/selector/app", nil, cluster.Change{Path: "/spec/selector/app", Before: json.RawMessage(`"x"`)}},
		"the_outermost_that_is_missing":  {"/spec/template/spec/a~1b", "v", cluster.Change{Path: "/spec/template", After: json.RawMessage(`{"spec":{"a/b":"v"}}`)}},
		"annotations_are_set_one_by_one": {"/metadata/annotations/a~1b", "v", cluster.Change{Path: "/metadata/annotations/a~1b", After: json.RawMessage(`"v"`)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, cluster.Set(object(t, service), tt.pointer, tt.value)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestEdit(t *testing.T) {
	before := object(t, service)
	ref := cluster.Services.In("ml", "x")
	edit := cluster.NewEdit(ref, before, cluster.Set(before, "/spec/selector/k", "INC"), cluster.Set(before, "/metadata/annotations/n", "1"))
	const done = `{"metadata":{"uid":"u1","resourceVersion":"8","annotations":{"n":"1"}},"spec":{"selector":{"app":"x","k":"INC"}}}`
	tests := map[string]struct {
		edit   cluster.Edit
		object string
		want   action.Outcome
		kind   fault.Kind // of Apply; Internal is none
		ops    int
	}{
		"not_done":             {edit, service, action.NotDone, fault.Internal, 5},
		"done":                 {edit, done, action.Done, fault.Internal, 0},
		"half":                 {edit, `{"metadata":{"uid":"u1","annotations":{"n":"1"}},"spec":{"selector":{"app":"x"}}}`, action.Diverged, fault.Conflict, 0},
		"other_value":          {edit, `{"metadata":{"uid":"u1"},"spec":{"selector":{"app":"x","k":"INC2"}}}`, action.Diverged, fault.Conflict, 0},
		"made_anew":            {edit, `{"metadata":{"uid":"u2"},"spec":{"selector":{"app":"x"}}}`, action.Diverged, fault.Conflict, 0},
		"gone":                 {edit, "", action.Diverged, fault.NotFound, 0},
		"inverse":              {edit.Inverse(), done, action.NotDone, fault.Internal, 4},
		"inverse_is_done":      {edit.Inverse(), service, action.Done, fault.Internal, 0},
		"whole_numbers_or_not": {cluster.NewEdit(ref, before, cluster.Set(before, "/spec/replicas", 3)), service, action.Done, fault.Internal, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &store{}
			if tt.object != "" {
				s.object = object(t, tt.object)
			}
			o, err := tt.edit.Observe(t.Context(), s)
			if err != nil || o.Outcome != tt.want {
				t.Errorf("observed %v (%v), want %v", o, err, tt.want)
			}
			if err := tt.edit.Apply(t.Context(), s); fault.KindOf(err) != tt.kind || (err == nil) != (tt.kind == fault.Internal) {
				t.Errorf("apply: %v", err)
			}
			ops := 0
			for _, p := range s.patches {
				ops += len(p)
				if p[0].Op != "test" || p[0].Path != "/metadata/uid" || p[1].Op != "test" || p[1].Path != "/metadata/resourceVersion" {
					t.Errorf("the patch is not held to one state: %v", p)
				}
			}
			if ops != tt.ops {
				t.Errorf("%d operations instead of %d: %v", ops, tt.ops, s.patches)
			}
		})
	}
}

// FuzzAt promises that any pointer into any object ends in a value or in
// nothing, and that what a change sets is found where it says.
func FuzzAt(f *testing.F) {
	f.Add(service, "/spec/selector/app")
	f.Add(`{"a":[{"b":1}]}`, "/a/0/b")
	f.Add(`{}`, "")
	f.Add(`{"a":[1]}`, "/a/-1")
	f.Fuzz(func(t *testing.T, text, pointer string) {
		var o map[string]any
		if json.Unmarshal([]byte(text), &o) != nil || o == nil {
			return
		}
		c := cluster.Set(o, pointer, "v")
		v, ok := cluster.Object(o).At(pointer)
		if have := c.Before != nil; ok != have && pointer == c.Path {
			t.Errorf("there: %t, before: %s (%v)", ok, c.Before, v)
		}
		if c.After == nil {
			t.Error("a change to a value has none")
		}
	})
}
