package suspend

import (
	"context"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// maxAbove bounds how many owners up it is looked for who applies an object.
const maxAbove = 8

// Above returns the step that suspends the GitOps object by which what s
// changed, or an owner of it, is applied: the nearest that is not suspended
// yet. What is itself applied from elsewhere is suspended there. It returns a
// NotFound fault when nobody says that it applies any of them.
func (d *Driver) Above(ctx context.Context, s action.Step) (action.Step, error) {
	site, err := cluster.SiteOf(s)
	if err != nil {
		return action.Step{}, err
	}
	edit, ok := cluster.EditOf(s)
	if !ok {
		return action.Step{}, nobody(s)
	}
	ref := edit.Object
	ref.Sub = ""
	o, err := d.api.Get(ctx, ref)
	for range maxAbove {
		if err != nil {
			return action.Step{}, err
		}
		if e, found, err := d.applied(ctx, o); err != nil || found {
			return step(site.Cluster, e), err
		}
		owner := o.Controller()
		if owner == nil {
			break
		}
		kind, err := d.api.Resource(ctx, owner.Text("/apiVersion"), owner.Text("/kind"))
		if err != nil {
			return action.Step{}, err
		}
		o, err = d.api.Get(ctx, kind.In(ref.Namespace, owner.Text("/name")))
		if err != nil {
			return action.Step{}, err
		}
	}
	return action.Step{}, nobody(s)
}

func nobody(s action.Step) error {
	return fault.New(fault.NotFound, "nothing says who applies %s", artifact.Quote(s.Target))
}

// applied returns the edit that suspends who says that it applies the object;
// where that is suspended already, who applies that, and so on up.
func (d *Driver) applied(ctx context.Context, o cluster.Object) (e cluster.Edit, found bool, err error) {
	for range maxAbove {
		by := claims(o)
		if len(by) == 0 {
			return e, false, nil
		}
		ref := by[0].kind.In(by[0].namespace, by[0].name)
		if o, err = d.api.Get(ctx, ref); err != nil {
			return e, false, err
		}
		e = cluster.NewEdit(ref, o, cluster.Set(o, by[0].pointer, by[0].value))
		if e.Look(o).Outcome != action.Done {
			return e, true, nil
		}
	}
	return e, false, nil
}
