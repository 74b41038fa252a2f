// Package detach is the containment driver that takes a model's pods out of
// the hands of what controls them: they lose every label that anything could
// select them by and get that of the incident instead. They keep running, as
// evidence, whatever happens to their workload; giving the labels back returns
// them to it.
package detach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Name is the driver's name in steps.
const Name = "detach"

// The kinds of step.
const (
	kindDetach = "detach_pods"
	kindAttach = "attach_pods" // inverse of detach
)

// Driver detaches. It holds no state.
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
	patch := []cluster.Need{{Role: cluster.Contain, Kind: cluster.Pods, Verbs: []string{"patch"}}}
	return map[string][]cluster.Need{kindDetach: patch, kindAttach: patch}
}

type params struct {
	cluster.Site
	Incident string      `json:"incident_id"`
	Workload cluster.Ref `json:"workload"`
	UID      string      `json:"uid"`
	// Selector is that of what controls the pods; nil for a pod of its own.
	Selector cluster.Object `json:"selector,omitempty"`
	// Pods are those that were there when the plan was made. Others that came
	// since are detached as well; their labels are noted on them.
	Pods []pod `json:"pods"`
}

type pod struct {
	Name   string            `json:"name"`
	UID    string            `json:"uid"`
	Labels map[string]string `json:"labels"`
}

// Isolate plans one step per workload.
func (d *Driver) Isolate(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := d.scenes(ctx, r.Model)
	if err != nil {
		return action.Draft{}, err
	}
	draft := action.Draft{Remarks: allowing(scene)}
	for _, w := range scene.Workloads {
		p := params{
			Site:     cluster.Site{Cluster: scene.Cluster, Namespaces: []string{w.Control.Ref.Namespace}},
			Incident: r.Incident, Workload: w.Control.Ref, UID: w.Control.Object.UID(),
		}
		if w.Kind() != cluster.Pods.Name {
			v, _ := w.Control.Object.At("/spec/selector")
			p.Selector, _ = v.(map[string]any)
		}
		for _, o := range w.Pods {
			if !cluster.Ended(o) {
				p.Pods = append(p.Pods, pod{o.ObjectName(), o.UID(), o.Labels()})
			}
		}
		if len(p.Pods) > 0 {
			draft.Steps = append(draft.Steps, step(p, w))
		}
	}
	return draft, nil
}

func step(p params, w cluster.Workload) action.Step {
	s := action.Step{
		ID: "detach-" + w.Control.Ref.Resource + "-" + w.Control.Ref.Namespace + "-" + w.Control.Ref.Object, Driver: Name, Kind: kindDetach, Target: w.Control.Ref.String(),
		Summary:  fmt.Sprintf("take the labels off %d pods, so that nothing selects, controls or ends them; they keep running as evidence", len(p.Pods)),
		Post:     "the workload has no pods, and each of those that it had runs on under the label of the incident, with no endpoint that leads to it",
		Detaches: w.Kind() != cluster.Pods.Name, Replicas: len(p.Pods), Timeout: 60, Params: cluster.Encode(p),
	}
	inverse := s
	inverse.ID, inverse.Kind, inverse.Detaches, inverse.Opens = "attach-"+w.Control.Ref.Resource+"-"+w.Control.Ref.Namespace+"-"+w.Control.Ref.Object, kindAttach, false, false
	inverse.Summary, inverse.Post = "give the pods their labels back", "the pods have the labels they had, and their workload controls them again"
	s.Inverse = &inverse
	return s
}

// allowing remarks network policies that select pods without any label: they
// go on allowing what they allow, because policies are added up.
func allowing(scene *cluster.Scene) (out []string) {
	for _, p := range scene.Policies {
		v, _ := p.At("/spec/podSelector")
		selector, _ := v.(map[string]any)
		if rules := len(p.Items("/spec/ingress")) + len(p.Items("/spec/egress")); rules > 0 && cluster.Matches(selector, nil) {
			out = append(out, fmt.Sprintf("%s selects every pod, and what it allows stays allowed to the detached ones", cluster.NetworkPolicies.In(p.Namespace(), p.ObjectName())))
		}
	}
	return out
}

// Rollback plans nothing: evidence stays detached.
func (*Driver) Rollback(context.Context, action.Request) (action.Draft, error) {
	return action.Draft{}, nil
}

// atOnce is how many pods are changed at the same time.
const atOnce = 8

// Execute changes the pods that are there.
func (d *Driver) Execute(ctx context.Context, s action.Step) error {
	p, err := cluster.Decode[params](s)
	if err != nil {
		return err
	}
	var change func(context.Context, cluster.Object) error
	switch s.Kind {
	case kindDetach:
		change = func(ctx context.Context, o cluster.Object) error { return d.detach(ctx, p, o) }
	case kindAttach:
		change = func(ctx context.Context, o cluster.Object) error { return d.attach(ctx, p, o) }
	default:
		return cluster.NoSuchKind(Name, s.Kind)
	}
	return cluster.Await(ctx, s, func(ctx context.Context) (action.Observation, error) {
		now, err := d.look(ctx, p)
		if err != nil {
			return action.Observation{}, err
		}
		pods := now.attached
		if s.Kind == kindAttach {
			pods = now.held
		}
		if err := each(ctx, pods, change); err != nil {
			return action.Observation{}, err
		}
		return d.Observe(ctx, s)
	})
}

// each changes the pods, some at a time. What changed or went away under it is
// for the next look.
func each(ctx context.Context, pods []cluster.Object, change func(context.Context, cluster.Object) error) error {
	errs := make([]error, len(pods))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for n, o := range pods {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			err := change(ctx, o)
			if k := fault.KindOf(err); err != nil && k != fault.Conflict && k != fault.NotFound {
				errs[n] = err
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func value(v any) json.RawMessage { return cluster.Encode(v) }

// only are the operations that hold a change to one pod with the labels it
// has. Its status changes all the time, and that is no reason to stop.
func only(o cluster.Object) []cluster.Op {
	return []cluster.Op{
		{Op: "test", Path: "/metadata/uid", Value: value(o.UID())},
		{Op: "test", Path: "/metadata/labels", Value: value(o.Labels())},
	}
}

var (
	noteLabels   = cluster.Pointer("metadata", "annotations", cluster.NoteLabels)
	noteWorkload = cluster.Pointer("metadata", "annotations", cluster.NoteWorkload)
)

func (d *Driver) detach(ctx context.Context, p params, o cluster.Object) error {
	ops := only(o)
	if len(o.Annotations()) == 0 {
		ops = append(ops, cluster.Op{Op: "add", Path: "/metadata/annotations", Value: json.RawMessage("{}")})
	}
	ops = append(ops,
		cluster.Op{Op: "add", Path: noteLabels, Value: value(string(value(o.Labels())))},
		cluster.Op{Op: "add", Path: noteWorkload, Value: value(p.UID)},
		cluster.Op{Op: "add", Path: "/metadata/labels", Value: value(map[string]string{cluster.LabelIncident: p.Incident})})
	_, err := d.api.Patch(ctx, cluster.Pods.In(o.Namespace(), o.ObjectName()), ops, false)
	return err
}

func (d *Driver) attach(ctx context.Context, p params, o cluster.Object) error {
	former := cluster.FormerLabels(o)
	for _, known := range p.Pods {
		if known.UID == o.UID() {
			former = known.Labels // as the record has it, whatever the note says now
		}
	}
	ops := append(only(o),
		cluster.Op{Op: "add", Path: "/metadata/labels", Value: value(former)},
		cluster.Op{Op: "remove", Path: noteLabels}, cluster.Op{Op: "remove", Path: noteWorkload})
	_, err := d.api.Patch(ctx, cluster.Pods.In(o.Namespace(), o.ObjectName()), ops, false)
	return err
}
