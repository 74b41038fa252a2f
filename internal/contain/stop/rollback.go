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
	c := count{Site: cluster.Site{Cluster: scene.Cluster}, Version: r.Installed.String(), Model: r.Model.ID, Agents: v.Agents}
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
	if len(v.Agents) > 0 && v.Mounted != "" {
		draft.Remarks = append(draft.Remarks, "which content the replicas have is told by the agents on their nodes; where one says nothing that counts, nobody is let through")
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
	if w.Root.Ref != w.Control.Ref && w.Root.Ref.Kind != cluster.InferenceServices {
		return nil, expected{}, fault.New(fault.Refused, "%s is owned by %s, which this program does not know and which would put its template back", w.Control.Ref, w.Root.Ref).
			WithHint("bring %s to the verified version by hand, look with: weightwarden kube census %s, then let requests through again: weightwarden incident undo %s",
				w.Root.Ref, artifact.Quote(r.Model.ID), r.Incident)
	}
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
	want := expected{Group: g, Images: images, Node: w.Kind() == cluster.DaemonSets.Name, Mounted: v.Mounted}
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
	moved, err := claimed(w, v, images)
	if err != nil {
		return nil, nil, err
	}
	fields = append(fields, moved...)
	for _, container := range slices.Sorted(maps.Keys(v.Images)) {
		if !known[container] {
			return nil, nil, fault.New(fault.Invalid, "%s has no container %s, which the version gives an image", w.Control.Ref, artifact.Quote(container)).
				WithHint("compare workloads: versions: images with the workload's containers")
		}
	}
	return fields, images, nil
}

// claimed returns the change of a workload's template that gives its pods the
// version's claim, and notes the claim that they must then have.
func claimed(w cluster.Workload, v Version, images map[string]string) ([]cluster.Change, error) {
	if v.Claim == "" {
		return nil, nil
	}
	m, why := cluster.MountAt(w.Control.Ref.Namespace, w.Template(), v.Mounted)
	if why == "" && m.Place.Claim == "" {
		why = "what is there is no claim"
	}
	if why != "" {
		return nil, fault.New(fault.Invalid, "%s cannot be given the claim %s at %s: %s", w.Control.Ref, artifact.Quote(v.Claim), artifact.Quote(v.Mounted), why).
			WithHint("compare workloads: mounted with the workload's volumes; for a stateful set with claims of its own use in_place")
	}
	pointer := m.Volume + "/persistentVolumeClaim/claimName"
	images[pointer] = v.Claim
	return []cluster.Change{cluster.Set(w.Control.Object, "/spec/template/spec"+pointer, v.Claim)}, nil
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
