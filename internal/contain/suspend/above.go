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
// yet. What is itself applied from elsewhere is suspended there. The step makes
// again what was taken back. It returns a NotFound fault when nobody says that
// it applies any of them.
func (d *Driver) Above(ctx context.Context, s action.Step) (action.Step, error) {
	site, err := cluster.SiteOf(s)
	if err != nil {
		return action.Step{}, err
	}
	edit, ok := cluster.EditOf(s)
	if !ok {
		return action.Step{}, nobody(s)
	}
	again := []cluster.Edit{edit}
	if s.Driver == Name {
		p, err := d.decode(s)
		if err != nil {
			return action.Step{}, err
		}
		again = append(again, p.Again...)
	}
	ref := edit.Object
	ref.Sub = ""
	o, err := d.api.Get(ctx, ref)
	for range maxAbove {
		if err != nil {
			return action.Step{}, err
		}
		if e, found, err := d.applied(ctx, o); err != nil || found {
			return above(site, e, again), err
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

// above is the step that suspends, and makes again what was taken back.
func above(site cluster.Site, e cluster.Edit, again []cluster.Edit) action.Step {
	p := params{Site: cluster.Site{Cluster: site.Cluster, Namespaces: []string{e.Object.Namespace}}, Edit: e, Again: again}
	s := step(site.Cluster, e)
	s.Summary = "suspend it, so that it does not take back what is done, and do again what it took back"
	s.Post = "it is suspended, and what it took back is done"
	s.Params = cluster.Encode(p)
	return s // its inverse lets it act again; the steps that were taken back have their own
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
