// Package rollout puts objects into a cluster and waits until what they describe
// runs, as observed: first as a dry run that shows what would change, then for
// real, then by looking at the workload and its pods. It takes nothing by force
// and knows no client.
package rollout

import (
	"context"
	"encoding/json"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// API is what is asked of a cluster. Errors are faults: NotFound when there is
// no such object; Conflict when somebody else owns a field; Refused when access
// or admission is denied; Invalid when the object makes no sense to the API;
// Incomplete when the API does not answer.
type API interface {
	Get(ctx context.Context, ref cluster.Ref) (cluster.Object, error)
	List(ctx context.Context, kind cluster.Kind, namespace, selector string) ([]cluster.Object, error)
	// Apply is a server-side apply without force; with dry it goes through
	// admission and is not kept.
	Apply(ctx context.Context, kind cluster.Kind, o cluster.Object, dry bool) (cluster.Object, error)
	// Resource finds the resource of a kind of object.
	Resource(ctx context.Context, apiVersion, kind string) (cluster.Kind, error)
}

// Outcome says what applying an object does to it.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	// Waits is the outcome of a dry run where the namespace does not exist yet:
	// the API can try nothing in it.
	Waits Outcome = "created_with_namespace"
)

// Change is what applying one object does.
type Change struct {
	Kind      string  `json:"kind"`
	Namespace string  `json:"namespace,omitempty"`
	Name      string  `json:"name"`
	Outcome   Outcome `json:"outcome"`
	// Fields are those of an object that is there already and changes.
	Fields []Field `json:"fields,omitempty"`
}

// Field is one field before and after; a side that is empty is a field that
// is not there.
type Field struct {
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Plan asks the API, as a dry run, what applying the objects would change.
func Plan(ctx context.Context, api API, objects []cluster.Object) ([]Change, error) {
	return each(ctx, api, objects, true)
}

// Apply applies the objects in their order, after a dry run of all of them. A
// namespace that is missing is made first, since nothing can be tried in it
// before. It returns what was done until it failed.
func Apply(ctx context.Context, api API, objects []cluster.Object) ([]Change, error) {
	planned, err := Plan(ctx, api, objects)
	if err != nil {
		return nil, err
	}
	first := 0
	for n, c := range planned {
		if c.Outcome == Created && c.Kind == cluster.Namespaces.Name {
			first = n + 1
		}
	}
	done, err := each(ctx, api, objects[:first], false)
	if err != nil {
		return done, err
	}
	if first > 0 {
		if _, err := Plan(ctx, api, objects[first:]); err != nil {
			return done, fault.New(fault.KindOf(err), "%w (its namespace has been made and is left)", err)
		}
	}
	rest, err := each(ctx, api, objects[first:], false)
	return append(done, rest...), err
}

func each(ctx context.Context, api API, objects []cluster.Object, dry bool) (out []Change, err error) {
	missing := map[string]bool{}
	for _, o := range objects {
		c := Change{Kind: o.Text("/kind"), Namespace: o.Namespace(), Name: o.ObjectName()}
		if missing[c.Namespace] {
			c.Outcome = Waits
		} else if err := c.put(ctx, api, o, dry); err != nil {
			return out, err
		}
		if dry && c.Outcome == Created && c.Kind == cluster.Namespaces.Name {
			missing[c.Name] = true
		}
		out = append(out, c)
	}
	return out, nil
}

// put applies one object and finds out what that changed.
func (c *Change) put(ctx context.Context, api API, o cluster.Object, dry bool) error {
	kind, err := api.Resource(ctx, o.Text("/apiVersion"), c.Kind)
	if err != nil {
		return err
	}
	before, err := api.Get(ctx, kind.In(c.Namespace, c.Name))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	after, err := api.Apply(ctx, kind, o, dry)
	switch {
	case err != nil:
		return err
	case before == nil:
		c.Outcome = Created
		return nil
	}
	c.Fields = compare(before, after)
	c.Outcome = Changed
	if len(c.Fields) == 0 {
		c.Outcome = Unchanged
	}
	return nil
}
