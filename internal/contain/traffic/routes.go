package traffic

import (
	"context"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// The kinds of step for the HTTP routes of the Gateway API.
const (
	kindCutRoute  = "cut_route"
	kindOpenRoute = "open_route"
)

// routes plans to give the model's services no weight in any HTTP route: what
// a gateway sends elsewhere goes there with all of it, and what it sends only
// here is answered with an error at once.
func routes(scene *cluster.Scene) (steps []action.Step, remarks []string) {
	for _, o := range scene.Routes {
		ref := cluster.HTTPRoutes.In(o.Namespace(), o.ObjectName())
		if by := o.Controller(); by != nil {
			remarks = append(remarks, fmt.Sprintf("%s belongs to %s, which puts its weights back, and is not changed",
				ref, artifact.Quote(by.Text("/kind")+" "+by.Text("/name"))))
			continue
		}
		var fields []cluster.Change
		for _, at := range scene.Backends(o) {
			if v, given := o.At(at + "/weight"); !given || fmt.Sprint(v) != "0" {
				fields = append(fields, cluster.Set(o, at+"/weight", 0))
			}
		}
		if len(fields) > 0 {
			steps = append(steps, cutRoute(scene.Cluster, cluster.NewEdit(ref, o, fields...)))
		}
	}
	return steps, remarks
}

func cutRoute(site string, edit cluster.Edit) action.Step {
	at := cluster.Site{Cluster: site, Namespaces: []string{edit.Object.Namespace}}
	inverse := openRoute(at, edit.Inverse())
	return action.Step{
		ID: "cut-route-" + edit.Object.Namespace + "-" + edit.Object.Object, Driver: Name, Kind: kindCutRoute, Target: edit.Object.String(),
		Summary: "send nothing of the route to the model's services: they have no weight in it any more",
		Post:    "the route gives them no weight, and no gateway goes by an older state of it", Timeout: 20,
		Params: cluster.Encode(params{at, edit}), Inverse: &inverse,
	}
}

func openRoute(at cluster.Site, edit cluster.Edit) action.Step {
	return action.Step{
		ID: "open-route-" + edit.Object.Namespace + "-" + edit.Object.Object, Driver: Name, Kind: kindOpenRoute, Target: edit.Object.String(),
		Summary: "give the model's services the weight in the route that they had",
		Post:    "the route is what it was", Opens: true, Timeout: 20, Params: cluster.Encode(params{at, edit}),
	}
}

// reopen plans the inverses of the cuts that were made in this incident: only
// they know the weights.
func reopen(done []action.Step) (steps []action.Step) {
	for _, s := range done {
		if s.Driver != Name || s.Kind != kindCutRoute || s.Inverse == nil {
			continue
		}
		step, inverse := *s.Inverse, s
		inverse.Inverse = nil
		step.Inverse = &inverse
		steps = append(steps, step)
	}
	return steps
}

// observeRoute looks at a route, and at what gateways say of it.
func (d *Driver) observeRoute(ctx context.Context, kind string, p params) (action.Observation, error) {
	o, err := d.api.Get(ctx, p.Edit.Object)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return cluster.Saw(action.Done, "%s is not there any more: nothing goes through it", p.Edit.Object), nil
	case err != nil:
		return action.Observation{}, err
	case o.UID() != p.Edit.UID:
		return cluster.Saw(action.Diverged, "%s was made anew since the plan was made", p.Edit.Object), nil
	}
	look := p.Edit.Look(o)
	if look.Outcome != action.Done || kind == kindOpenRoute {
		return look, nil
	}
	generation := o.Number("/metadata/generation")
	for _, parent := range o.Items("/status/parents") {
		for _, c := range parent.Items("/conditions") {
			if c.Text("/type") == "Accepted" && c.Number("/observedGeneration") < generation {
				return cluster.Saw(action.NotDone, "%s is changed, and the gateway %s has not seen that yet", p.Edit.Object, artifact.Quote(parent.Text("/parentRef/name"))), nil
			}
		}
	}
	return cluster.Saw(action.Done, "%s gives the model's services no weight", p.Edit.Object), nil
}
