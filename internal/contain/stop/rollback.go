package stop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Rollback plans, per workload: the template to the verified version, then the
// replicas, then the census.
func (d *Driver) Rollback(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := d.scenes(ctx, r.Model)
	if err != nil || len(scene.Workloads) == 0 {
		return action.Draft{}, err
	}
	v, ok := d.versions(r.Model.ID, r.Version)
	if !ok {
		return action.Draft{}, fault.New(fault.Invalid, "the configuration does not say by which image or address version %s of %s is served", artifact.Quote(r.Version), artifact.Quote(r.Model.ID)).
			WithHint("name it under workloads: versions:")
	}
	stopped, err := stops(r.Done)
	if err != nil {
		return action.Draft{}, err
	}
	var draft action.Draft
	c := census{Site: cluster.Site{Cluster: scene.Cluster}, Version: r.Installed.String()}
	for _, w := range scene.Workloads {
		if w.Kind() == cluster.Pods.Name {
			if formerly(w) {
				continue // evidence of a workload that is here under its own name
			}
			draft.Remarks = append(draft.Remarks, fmt.Sprintf("%s is controlled by nobody: start the verified version yourself", w.Control.Ref))
			continue
		}
		if err := refuseAttached(w, r.Incident); err != nil {
			return action.Draft{}, err
		}
		steps, want, err := d.release(scene.Cluster, r, w, v, stopped)
		if err != nil {
			return action.Draft{}, err
		}
		draft.Steps = append(draft.Steps, steps...)
		c.Replicas = append(c.Replicas, want)
		if w.Root.Ref.Kind == cluster.InferenceServices {
			draft.Remarks = append(draft.Remarks, fmt.Sprintf("the controller of %s lets requests through to each replica as soon as that is ready, before the census is complete; none can be of the denied version", w.Root.Ref))
		}
	}
	draft.Steps = append(draft.Steps, censusStep(c))
	return draft, nil
}

// formerly reports whether a pod is only what an incident holds of a workload
// that was removed.
func formerly(w cluster.Workload) bool {
	for _, o := range w.Detached {
		if by := o.Annotations()[cluster.NoteWorkload]; by != "" && by != o.UID() {
			return true
		}
	}
	return false
}

// stops finds, by workload and by what was changed, how it was stopped in this incident.
func stops(done []action.Step) (map[string]action.Step, error) {
	out := map[string]action.Step{}
	for _, s := range done {
		if s.Driver != Name || !s.Destroys || s.Inverse == nil {
			continue
		}
		p, err := cluster.Decode[params](s)
		if err != nil {
			return nil, err
		}
		object := p.Edit.Object
		object.Sub = ""
		out[p.Group.Workload.String()], out[object.String()] = s, s
	}
	return out, nil
}

// release makes the steps that give one workload the verified version.
func (d *Driver) release(site string, r action.Request, w cluster.Workload, v Version, stopped map[string]action.Step) ([]action.Step, expected, error) {
	g := groupOf(w)
	p := params{Site: cluster.Site{Cluster: site, Namespaces: []string{w.Control.Ref.Namespace}}, Incident: r.Incident}
	before, wasStopped := stopped[w.Control.Ref.String()]
	if wasStopped {
		old, err := cluster.Decode[params](before)
		if err != nil {
			return nil, expected{}, err
		}
		g = old.Group
	}
	fields, images, err := template(w, v, r.Installed)
	if err != nil {
		return nil, expected{}, err
	}
	want := expected{Group: g, Images: images, Node: w.Kind() == cluster.DaemonSets.Name}
	target := w.Control
	switch {
	case w.Root.Ref.Kind == cluster.InferenceServices:
		target = w.Root
		fields = append(fields, cluster.Set(w.Root.Object, cluster.Pointer("metadata", "annotations", "serving.kserve.io/stop"), nil))
	case want.Node:
		fields = append(fields, thaw(w, r.Incident)...)
	case w.Kind() == cluster.StatefulSets.Name && len(w.Detached) > 0:
		fields = append(fields, shift(w, g.Replicas))
	}
	p.Edit, p.Group = cluster.NewEdit(target.Ref, target.Object, fields...), g
	name := g.Workload.Resource + "-" + g.Workload.Namespace + "-" + g.Workload.Object
	change := stepOf(p, kindRelease+"_"+target.Ref.Resource, "change the workload to the verified version, in one patch", "change the workload back to what it was")
	change.ID, change.Destroys, change.Post, change.Inverse.ID = "release-"+name, false, "the workload names the verified version", "unrelease-"+name
	// The controller of an inference service lets requests through by itself.
	change.Opens = w.Root.Ref.Kind == cluster.InferenceServices
	steps := []action.Step{change}
	if wasStopped && strings.HasPrefix(before.Kind, kindScale+"_") {
		again := *before.Inverse
		inverse := before
		inverse.Inverse = nil
		again.Inverse, again.Replicas = &inverse, g.Replicas
		steps = append(steps, again)
	}
	return steps, want, nil
}

// template returns the changes of a workload's template, and the references
// that its pods must then have, by where they stand.
func template(w cluster.Workload, v Version, root artifact.Digest) ([]cluster.Change, map[string]string, error) {
	images := map[string]string{}
	if w.Root.Ref.Kind == cluster.InferenceServices {
		if v.URI == "" {
			return nil, nil, fault.New(fault.Invalid, "%s fetches its model: the version has no uri", w.Root.Ref).WithHint("name it under workloads: versions: uri")
		}
		return []cluster.Change{cluster.Set(w.Root.Object, "/spec/predictor/model/storageUri", v.URI)}, map[string]string{"uri": v.URI}, nil
	}
	o := w.Control.Object
	fields := []cluster.Change{cluster.Set(o, cluster.Pointer("spec", "template", "metadata", "annotations", cluster.NoteVersion), root.String())}
	known := map[string]bool{}
	for _, s := range cluster.Sources(w.Spec()) {
		to := v.Volume
		if s.Kind == cluster.SourceImage {
			container := w.Spec().Text(strings.TrimSuffix(s.Path, "/image") + "/name")
			to = v.Images[container]
			known[container] = to != ""
		}
		if s.Kind == cluster.SourceURI {
			to = v.URI
		}
		if to != "" {
			images[s.Path] = to
			fields = append(fields, cluster.Set(o, "/spec/template/spec"+s.Path, to))
		}
	}
	for _, container := range slices.Sorted(maps.Keys(v.Images)) {
		if !known[container] {
			return nil, nil, fault.New(fault.Invalid, "%s has no container %s, which the version gives an image", w.Control.Ref, artifact.Quote(container)).
				WithHint("compare workloads: versions: images with the workload's containers")
		}
	}
	return fields, images, nil
}

// thaw is the change that lets a frozen daemon set make pods again.
func thaw(w cluster.Workload, incident string) []cluster.Change {
	selector := w.Spec().Texts("/nodeSelector")
	if selector[cluster.LabelIncident] != incident {
		return nil
	}
	pointer := cluster.Pointer("spec", "template", "spec", "nodeSelector")
	if len(selector) > 1 {
		pointer += cluster.Pointer(cluster.LabelIncident)
	}
	return []cluster.Change{cluster.Set(w.Control.Object, pointer, nil)}
}

// shift is the change that lets a stateful set count on behind its detached
// pods: they keep their names, which nobody else can have.
func shift(w cluster.Workload, replicas int) cluster.Change {
	start := w.Control.Object.Number("/spec/ordinals/start")
	return cluster.Set(w.Control.Object, "/spec/ordinals/start", start+max(replicas, len(w.Detached)))
}

// census is what must be seen of every replica before anybody is let through.
type census struct {
	cluster.Site
	Version  string     `json:"version"`
	Replicas []expected `json:"replicas"`
}

type expected struct {
	Group group `json:"group"`
	// Images are the references that pods must have, by where they stand.
	Images map[string]string `json:"images"`
	// Node says that there is one on every node, however many those are.
	Node bool `json:"one_per_node,omitempty"`
}

func censusStep(c census) action.Step {
	n := 0
	for _, e := range c.Replicas {
		n += e.Group.Replicas
	}
	return action.Step{
		ID: kindCensus, Driver: Name, Kind: kindCensus, Target: "every workload of the model",
		Summary: fmt.Sprintf("look what each of %d replicas has", n), Timeout: 300, Replicas: n,
		Post:   "every replica is ready and has the verified version, and none is missing",
		Params: cluster.Encode(c),
	}
}

// observeCensus looks at every replica. One of which it cannot be said what it
// has counts as affected.
func (d *Driver) observeCensus(ctx context.Context, s action.Step) (action.Observation, error) {
	c, err := cluster.Decode[census](s)
	if err != nil {
		return action.Observation{}, err
	}
	good := 0
	for _, e := range c.Replicas {
		n, bad, err := d.count(ctx, e, c.Version)
		switch {
		case err != nil:
			return action.Observation{}, err
		case bad != "":
			return cluster.Saw(action.NotDone, "%s: %s; nobody is let through", e.Group.Workload, bad), nil
		}
		good += n
	}
	return cluster.Saw(action.Done, "all %d replicas are ready and have the verified version", good), nil
}

// count returns how many replicas have the version, and what is wrong.
func (d *Driver) count(ctx context.Context, e expected, version string) (good int, bad string, err error) {
	want := e.Group.Replicas
	control, err := d.api.Get(ctx, e.Group.Workload)
	if fault.KindOf(err) == fault.NotFound {
		return 0, "it is not there yet", nil
	}
	if err != nil {
		return 0, "", err
	}
	if e.Node {
		want = control.Number("/status/desiredNumberScheduled")
		if control.Number("/status/observedGeneration") < control.Number("/metadata/generation") {
			return 0, "its controller has not seen the change yet", nil
		}
	}
	v, _ := control.At("/spec/selector") // a controller that was made anew may select otherwise
	selector, _ := v.(map[string]any)
	pods, err := group{Workload: e.Group.Workload, UID: control.UID(), Selector: selector}.pods(ctx, d.api)
	if err != nil {
		return 0, "", err
	}
	for _, o := range pods {
		switch why := e.differs(o, version); {
		case why != "":
			return good, fmt.Sprintf("%s %s", artifact.Quote(o.ObjectName()), why), nil
		case o.Ending() || !ready(o):
			return good, fmt.Sprintf("%s is not ready", artifact.Quote(o.ObjectName())), nil
		}
		good++
	}
	if good != want || want == 0 {
		return good, fmt.Sprintf("%d of %d replicas are there", good, want), nil
	}
	return good, "", nil
}

// differs says what a pod has that is not of the version.
func (e expected) differs(o cluster.Object, version string) string {
	if len(e.Images) == 0 {
		return "names no image or address by which the version could be known"
	}
	if uri := e.Images["uri"]; uri != "" { // an inference service's pods name where they fetch from
		for _, s := range cluster.Sources(cluster.Spec(o)) {
			if s.Kind == cluster.SourceURI && s.Value == uri {
				return ""
			}
		}
		return "does not fetch the verified version"
	}
	for at, want := range e.Images {
		if have := cluster.Spec(o).Text(at); have != want {
			return "has " + artifact.Quote(have) + " and not the verified version"
		}
	}
	if o.Annotations()[cluster.NoteVersion] != version {
		return "was not made by the rollback"
	}
	return ""
}

func ready(o cluster.Object) bool {
	for _, c := range o.Items("/status/conditions") {
		if c.Text("/type") == "Ready" {
			return c.Text("/status") == "True"
		}
	}
	return false
}
