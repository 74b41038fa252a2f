// Package stop is the containment driver that ends a model's workloads after
// their pods were detached, and starts them again with a version that was
// verified: all old pods are gone before the first new one is made, and nobody
// is let through before each of the new ones was seen to have that version.
package stop

import (
	"context"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/census"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Name is the driver's name in steps.
const Name = "stop"

// The kinds of step.
const (
	kindScale   = "scale"   // to nothing, and back
	kindFreeze  = "freeze"  // a workload that cannot be scaled
	kindStop    = "stop"    // an inference service
	kindRelease = "release" // change the template to the verified version
	kindCensus  = "census"  // that every replica has it
	kindServed  = "served"  // that nobody else serves what was stopped
)

// Version is how a workload is told to serve a version of its model.
type Version struct {
	// Images are references by digest, by the name of their container.
	Images map[string]string
	// Volume is a reference by digest for every mounted image.
	Volume string
	// URI is where an inference service fetches it.
	URI string
	// Claim is the claim that it is in; InPlace says that it is put where the
	// one before it was.
	Claim   string
	InPlace bool
	// Mounted is where the containers have the model, or ""; Agents are those
	// who can tell which content is there.
	Mounted string
	Agents  []census.Agent
}

// Versions returns how a version of a model is served.
type Versions func(model, version string) (Version, bool)

// Driver stops and starts. It holds nothing but what it has seen of agents'
// verdicts, to notice old ones.
type Driver struct {
	api      cluster.API
	scenes   cluster.Scenes
	versions Versions
	seen     *census.Seen
}

// New returns the driver over a cluster.
func New(api cluster.API, scenes cluster.Scenes, versions Versions) *Driver {
	return &Driver{api, scenes, versions, &census.Seen{}}
}

// Name returns [Name].
func (*Driver) Name() string { return Name }

// Needs says what each kind of step has to be allowed to do.
func (*Driver) Needs() map[string][]cluster.Need {
	contain := func(sub string, kinds ...cluster.Kind) (out []cluster.Need) {
		for _, k := range kinds {
			out = append(out, cluster.Need{Role: cluster.Contain, Kind: k, Sub: sub, Verbs: []string{"patch"}})
		}
		return out
	}
	needs := map[string][]cluster.Need{kindCensus: nil, kindServed: nil}
	for _, k := range scalable {
		needs[kindScale+"_"+k.Resource] = contain("scale", k)
	}
	needs[kindFreeze] = contain("", cluster.DaemonSets)
	needs[kindStop] = contain("", cluster.InferenceServices)
	for _, k := range append([]cluster.Kind{cluster.DaemonSets, cluster.InferenceServices}, scalable...) {
		needs[kindRelease+"_"+k.Resource] = contain("", k)
	}
	return needs
}

var scalable = []cluster.Kind{cluster.Deployments, cluster.StatefulSets, cluster.ReplicaSets, cluster.Rollouts}

type params struct {
	cluster.Site
	Incident string       `json:"incident_id"`
	Edit     cluster.Edit `json:"edit"`
	Group    group        `json:"group"`
}

// group is a workload's pods.
type group struct {
	Workload cluster.Ref    `json:"workload"`
	UID      string         `json:"uid"`
	Selector cluster.Object `json:"selector,omitempty"`
	// Replicas is how many there were.
	Replicas int `json:"replicas"`
}

func groupOf(w cluster.Workload) group {
	g := group{Workload: w.Control.Ref, UID: w.Control.Object.UID(), Replicas: len(w.Pods)}
	if w.Kind() != cluster.Pods.Name {
		v, _ := w.Control.Object.At("/spec/selector")
		g.Selector, _ = v.(map[string]any)
	}
	return g
}

// Isolate plans to stop each workload.
func (d *Driver) Isolate(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := d.scenes(ctx, r.Model)
	if err != nil || len(scene.Workloads) == 0 {
		return action.Draft{}, err
	}
	var draft action.Draft
	for _, w := range scene.Workloads {
		step, remark, err := d.stop(ctx, scene.Cluster, r.Incident, w)
		switch {
		case err != nil:
			return action.Draft{}, err
		case remark != "":
			draft.Remarks = append(draft.Remarks, remark)
		default:
			draft.Steps = append(draft.Steps, step)
		}
	}
	if step, ok := d.servedStep(scene, r.Model.ID); ok {
		draft.Steps = append(draft.Steps, step)
	}
	return draft, nil
}

// stop makes the step that ends one workload. Without one it says why.
func (d *Driver) stop(ctx context.Context, site, incident string, w cluster.Workload) (s action.Step, remark string, err error) {
	p := params{Site: cluster.Site{Cluster: site, Namespaces: []string{w.Control.Ref.Namespace}}, Incident: incident, Group: groupOf(w)}
	var kind, summary, back string
	switch root, control := w.Root, w.Control; {
	case root.Ref.Kind == cluster.InferenceServices && root.Object.Annotations()["serving.kserve.io/stop"] == "true":
		return s, fmt.Sprintf("%s is stopped already", root.Ref), nil
	case root.Ref.Kind == cluster.InferenceServices:
		kind, summary, back = kindStop, "stop the inference service: its controller removes what it has made", "let the inference service run again"
		p.Edit = cluster.NewEdit(root.Ref, root.Object, cluster.Set(root.Object, cluster.Pointer("metadata", "annotations", "serving.kserve.io/stop"), "true"))
	case root.Ref != control.Ref:
		return s, fmt.Sprintf("%s is owned by %s, which this program cannot stop and which may revert what is done: stop it by hand", control.Ref, root.Ref), nil
	case control.Ref.Kind == cluster.DaemonSets:
		kind, summary, back = kindFreeze, "ask for nodes that do not exist: the daemon set makes no pods", "let the daemon set make pods on its nodes again"
		p.Edit = cluster.NewEdit(control.Ref, control.Object,
			cluster.Set(control.Object, cluster.Pointer("spec", "template", "spec", "nodeSelector", cluster.LabelIncident), incident))
	case control.Ref.Kind == cluster.Pods:
		return s, fmt.Sprintf("%s is controlled by nobody: once it is detached there is nothing to stop", control.Ref), nil
	default:
		kind, summary, back = kindScale+"_"+control.Ref.Resource, "scale to zero", fmt.Sprintf("scale to %d again", control.Object.Number("/spec/replicas"))
		ref := control.Ref
		ref.Sub = "scale"
		scale, err := d.api.Get(ctx, ref)
		if err != nil {
			return s, "", err
		}
		if _, given := scale.At("/spec/replicas"); !given || scale.Number("/spec/replicas") == 0 {
			return s, fmt.Sprintf("%s is scaled to zero already", control.Ref), nil
		}
		p.Edit = cluster.NewEdit(ref, scale, cluster.Set(scale, "/spec/replicas", 0))
		p.Group.Replicas = scale.Number("/spec/replicas")
	}
	return stepOf(p, kind, summary, back), "", nil
}

func stepOf(p params, kind, summary, back string) action.Step {
	name := p.Group.Workload.Resource + "-" + p.Group.Workload.Namespace + "-" + p.Group.Workload.Object
	inverse := p
	inverse.Edit = p.Edit.Inverse()
	return action.Step{
		ID: "stop-" + name, Driver: Name, Kind: kind, Target: p.Edit.Object.String(), Summary: summary,
		Post: "the workload is to have no pods and has none but the detached ones", Destroys: true, Replicas: p.Group.Replicas,
		Timeout: 60, Params: cluster.Encode(p),
		Inverse: &action.Step{
			ID: "start-" + name, Driver: Name, Kind: kind, Target: p.Edit.Object.String(), Summary: back,
			Post: "the workload is as it was before it was stopped", Timeout: 60, Params: cluster.Encode(inverse),
		},
	}
}

// Execute makes the edit and waits for what follows from it.
func (d *Driver) Execute(ctx context.Context, s action.Step) error {
	if s.Kind != kindCensus && s.Kind != kindServed { // which only look
		p, err := d.decode(s)
		if err != nil {
			return err
		}
		if err := p.Edit.Apply(ctx, d.api); err != nil {
			return err
		}
	}
	return cluster.Await(ctx, s, func(ctx context.Context) (action.Observation, error) { return d.Observe(ctx, s) })
}

func (d *Driver) decode(s action.Step) (params, error) {
	if _, ok := d.Needs()[s.Kind]; !ok {
		return params{}, cluster.NoSuchKind(Name, s.Kind)
	}
	return cluster.Decode[params](s)
}

// Observe looks at the workload and, when it is stopped, for its pods.
func (d *Driver) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	switch s.Kind {
	case kindCensus:
		return d.observeCensus(ctx, s)
	case kindServed:
		return d.observeServed(ctx, s)
	}
	p, err := d.decode(s)
	if err != nil {
		return action.Observation{}, err
	}
	o, err := p.Edit.Observe(ctx, d.api)
	if err != nil || o.Outcome != action.Done || !s.Destroys {
		return o, err
	}
	left, err := p.Group.pods(ctx, d.api)
	switch {
	case err != nil:
		return action.Observation{}, err
	case len(left) > 0:
		return cluster.Saw(action.NotDone, "%s is stopped and still has %d pods", p.Edit.Object, len(left)), nil
	}
	return cluster.Saw(action.Done, "%s is stopped and has no pods", p.Edit.Object), nil
}

// pods returns the workload's pods that run or will, without those that an
// incident holds.
func (g group) pods(ctx context.Context, api cluster.API) (attached []cluster.Object, err error) {
	pods, err := api.List(ctx, cluster.Pods, g.Workload.Namespace, "")
	if err != nil {
		return nil, err
	}
	for _, o := range pods {
		if cluster.Ended(o) || o.Labels()[cluster.LabelIncident] != "" {
			continue
		}
		if g.Selector != nil && cluster.Matches(g.Selector, o.Labels()) || g.Selector == nil && o.UID() == g.UID {
			attached = append(attached, o)
		}
	}
	return attached, nil
}

// refuseAttached refuses to roll back what was not isolated.
func refuseAttached(w cluster.Workload, incident string) error {
	if len(w.Pods) == 0 {
		return nil
	}
	return fault.New(fault.Refused, "%s still has %d pods that are not detached: old and new would serve side by side", w.Control.Ref, len(w.Pods)).
		WithHint("isolate it first: weightwarden incident isolate %s --apply", artifact.Quote(incident))
}
