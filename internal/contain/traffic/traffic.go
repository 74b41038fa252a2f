// Package traffic is the containment driver that keeps requests from a model's
// pods while all of them go on running: the selector of each service that
// reaches them asks, besides, for a label that no pod has, and HTTP routes give
// these services no weight. Taking that away again is all it needs to undo it.
// Connections that are open stay open.
package traffic

import (
	"context"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Name is the driver's name in steps.
const Name = "traffic"

// The kinds of step.
const (
	kindCut  = "cut_service"
	kindOpen = "open_service" // inverse of cut, and the end of a rollback
)

// Driver cuts services. It holds no state.
type Driver struct {
	api    cluster.API
	scenes cluster.Scenes
}

// New returns the driver over a cluster.
func New(api cluster.API, scenes cluster.Scenes) *Driver { return &Driver{api, scenes} }

// Name returns [Name].
func (*Driver) Name() string { return Name }

// Needs says what each kind of step has to be allowed to do.
func (*Driver) Needs() map[string][]cluster.Need {
	patch := func(k cluster.Kind) []cluster.Need {
		return []cluster.Need{{Role: cluster.Contain, Kind: k, Verbs: []string{"patch"}}}
	}
	return map[string][]cluster.Need{
		kindCut: patch(cluster.Services), kindOpen: patch(cluster.Services),
		kindCutRoute: patch(cluster.HTTPRoutes), kindOpenRoute: patch(cluster.HTTPRoutes),
	}
}

type params struct {
	cluster.Site
	Edit cluster.Edit `json:"edit"`
}

// Isolate plans to cut every service that reaches only pods of the model. One
// that reaches others too, or that a controller keeps as it made it, is left:
// detaching the pods takes them out of it.
func (d *Driver) Isolate(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := d.scenes(ctx, r.Model)
	if err != nil {
		return action.Draft{}, err
	}
	var draft action.Draft
	draft.Steps, draft.Remarks = routes(scene)
	for _, route := range scene.Services {
		ref := cluster.Services.In(route.Object.Namespace(), route.Object.ObjectName())
		switch by := route.Object.Texts("/spec/selector")[cluster.KeyServing]; {
		case route.Shared:
			draft.Remarks = append(draft.Remarks, fmt.Sprintf("%s reaches pods of others too and is not cut: the model's pods leave it when they are detached", ref))
			continue
		case route.Object.Controller() != nil:
			draft.Remarks = append(draft.Remarks, fmt.Sprintf("%s belongs to %s, which puts its selector back, and is not cut: the model's pods leave it when they are detached",
				ref, artifact.Quote(route.Object.Controller().Text("/kind")+" "+route.Object.Controller().Text("/name"))))
			continue
		case by != "":
			draft.Remarks = append(draft.Remarks, fmt.Sprintf("%s is cut already, by %s", ref, artifact.Quote(by)))
			continue
		}
		pointer := cluster.Pointer("spec", "selector", cluster.KeyServing)
		edit := cluster.NewEdit(ref, route.Object, cluster.Set(route.Object, pointer, r.Incident))
		draft.Steps = append(draft.Steps, cut(scene.Cluster, edit))
	}
	draft.Remarks = append(draft.Remarks, exposed(scene)...)
	return draft, nil
}

func cut(site string, edit cluster.Edit) action.Step {
	at := cluster.Site{Cluster: site, Namespaces: []string{edit.Object.Namespace}}
	inverse := open(at, edit.Inverse())
	return action.Step{
		ID: "cut-" + edit.Object.Namespace + "-" + edit.Object.Object, Driver: Name, Kind: kindCut, Target: edit.Object.String(),
		Summary: "keep requests from the pods: the service selects none any more, and every pod keeps running",
		Post:    "the service has no endpoints", Timeout: 20,
		Params: cluster.Encode(params{at, edit}), Inverse: &inverse,
	}
}

func open(at cluster.Site, edit cluster.Edit) action.Step {
	return action.Step{
		ID: "open-" + edit.Object.Namespace + "-" + edit.Object.Object, Driver: Name, Kind: kindOpen, Target: edit.Object.String(),
		Summary: "let requests through again: the service selects what it did before",
		Post:    "the service's selector is what it was", Opens: true, Timeout: 20,
		Params: cluster.Encode(params{at, edit}),
	}
}

// exposed remarks the ways around services.
func exposed(scene *cluster.Scene) (out []string) {
	for _, w := range scene.Workloads {
		spec := w.Spec()
		if spec.Flag("/hostNetwork") {
			out = append(out, fmt.Sprintf("%s uses the host's network: whoever knows the node reaches it without a service until it is stopped", w.Root.Ref))
		}
		for _, c := range spec.Items("/containers") {
			for _, p := range c.Items("/ports") {
				if p.Number("/hostPort") != 0 {
					out = append(out, fmt.Sprintf("%s listens on port %d of its nodes: that way stays open until it is stopped", w.Root.Ref, p.Number("/hostPort")))
				}
			}
		}
	}
	if len(scene.Workloads) > 0 {
		out = append(out, "connections that are open already stay open until the pods are quarantined or stopped")
	}
	return out
}

// Rollback plans to open every service that is cut, as the last thing.
func (d *Driver) Rollback(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := d.scenes(ctx, r.Model)
	if err != nil {
		return action.Draft{}, err
	}
	var draft action.Draft
	for _, route := range scene.Services {
		if route.Object.Texts("/spec/selector")[cluster.KeyServing] != r.Incident {
			continue
		}
		ref := cluster.Services.In(route.Object.Namespace(), route.Object.ObjectName())
		edit := cluster.NewEdit(ref, route.Object, cluster.Set(route.Object, cluster.Pointer("spec", "selector", cluster.KeyServing), nil))
		step := open(cluster.Site{Cluster: scene.Cluster, Namespaces: []string{ref.Namespace}}, edit)
		inverse := cut(scene.Cluster, edit.Inverse())
		inverse.Inverse = nil
		step.Inverse = &inverse
		draft.Steps = append(draft.Steps, step)
	}
	draft.Steps = append(draft.Steps, reopen(r.Done)...)
	return draft, nil
}

// Execute changes the selector and waits for what follows from it.
func (d *Driver) Execute(ctx context.Context, s action.Step) error {
	p, err := d.decode(s)
	if err != nil {
		return err
	}
	switch o, err := d.observe(ctx, s.Kind, p); {
	case err != nil || o.Outcome == action.Done:
		return err
	}
	if err := p.Edit.Apply(ctx, d.api); err != nil {
		return err
	}
	return cluster.Await(ctx, s, func(ctx context.Context) (action.Observation, error) { return d.observe(ctx, s.Kind, p) })
}

// Observe looks at the service and, when it is cut, at its EndpointSlices.
func (d *Driver) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	p, err := d.decode(s)
	if err != nil {
		return action.Observation{}, err
	}
	return d.observe(ctx, s.Kind, p)
}

func (d *Driver) decode(s action.Step) (params, error) {
	if _, ok := d.Needs()[s.Kind]; !ok {
		return params{}, cluster.NoSuchKind(Name, s.Kind)
	}
	return cluster.Decode[params](s)
}

func (d *Driver) observe(ctx context.Context, kind string, p params) (action.Observation, error) {
	if kind == kindCutRoute || kind == kindOpenRoute {
		return d.observeRoute(ctx, kind, p)
	}
	svc, err := d.api.Get(ctx, p.Edit.Object)
	gone := fault.KindOf(err) == fault.NotFound
	switch {
	case err != nil && !gone:
		return action.Observation{}, err
	case kind == kindOpen && (gone || svc.UID() != p.Edit.UID && svc.Texts("/spec/selector")[cluster.KeyServing] == ""):
		// What owns the service removed it, or made it anew: it is not cut.
		return cluster.Saw(action.Done, "%s is not cut: its owner removed it or made it anew", p.Edit.Object), nil
	case kind == kindOpen:
		return p.Edit.Look(svc), nil
	case !gone && svc.UID() != p.Edit.UID:
		return cluster.Saw(action.Diverged, "%s was made anew since the plan was made", p.Edit.Object), nil
	}
	slices, err := d.api.List(ctx, cluster.EndpointSlices, p.Edit.Object.Namespace, "kubernetes.io/service-name="+p.Edit.Object.Object)
	if err != nil {
		return action.Observation{}, err
	}
	n, _ := cluster.Endpoints(slices)
	switch look := p.Edit.Look(svc); {
	case gone && n == 0:
		return cluster.Saw(action.Done, "%s is not there any more: nothing goes through it", p.Edit.Object), nil
	case gone:
		return cluster.Saw(action.NotDone, "%s is not there any more, and still has %d endpoints", p.Edit.Object, n), nil
	case look.Outcome != action.Done:
		return look, nil
	case n > 0:
		return cluster.Saw(action.NotDone, "%s is cut and still has %d endpoints", p.Edit.Object, n), nil
	}
	return cluster.Saw(action.Done, "%s has no endpoints", p.Edit.Object), nil
}
