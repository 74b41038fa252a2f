// Package suspend is the containment driver that keeps others from undoing
// what containment does: autoscalers lose sight of the workload, and GitOps
// controllers stop applying what they hold. It stops nothing that serves.
package suspend

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Name is the driver's name in steps.
const Name = "suspend"

// The kinds of step: one per kind of object, so that each can say what it
// needs.
const (
	suspendPrefix = "suspend_"
	resumePrefix  = "resume_"
)

// known are the kinds of object that are suspended, and by whom it may be done.
var known = []struct {
	kind cluster.Kind
	role cluster.Role
}{
	{cluster.Autoscalers, cluster.Contain},
	{cluster.ScaledObjects, cluster.Contain},
	{cluster.Applications, cluster.Platform},
	{cluster.Kustomizations, cluster.Platform},
	{cluster.HelmReleases, cluster.Platform},
}

// Driver suspends. It holds no state.
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
	out := map[string][]cluster.Need{}
	for _, k := range known {
		need := []cluster.Need{{Role: k.role, Kind: k.kind, Verbs: []string{"get", "patch"}}}
		out[suspendPrefix+k.kind.Resource], out[resumePrefix+k.kind.Resource] = need, need
	}
	return out
}

type params struct {
	cluster.Site
	Edit cluster.Edit `json:"edit"`
	// Again are edits that were taken back until Edit was made.
	Again []cluster.Edit `json:"again,omitempty"`
}

// Isolate plans to suspend each autoscaler of a workload and each GitOps
// object that applies one.
func (d *Driver) Isolate(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := d.scenes(ctx, r.Model)
	if err != nil {
		return action.Draft{}, err
	}
	var draft action.Draft
	seen := map[string]bool{}
	for _, w := range scene.Workloads {
		edits := autoscalers(scene, w)
		applied, remarks, err := d.gitops(ctx, w)
		if err != nil {
			return action.Draft{}, err
		}
		draft.Remarks = append(draft.Remarks, remarks...)
		for _, e := range append(applied, edits...) {
			if !seen[e.Object.String()] {
				seen[e.Object.String()] = true
				draft.Steps = append(draft.Steps, step(scene.Cluster, e))
			}
		}
	}
	return draft, nil
}

func step(site string, e cluster.Edit) action.Step {
	at := cluster.Site{Cluster: site, Namespaces: []string{e.Object.Namespace}}
	inverse := resume(at, e.Inverse())
	return action.Step{
		ID: "suspend-" + e.Object.Resource + "-" + e.Object.Namespace + "-" + e.Object.Object, Driver: Name, Kind: suspendPrefix + e.Object.Resource,
		Target: e.Object.String(), Summary: "suspend it, so that it does not take back what is done",
		Post: "it is suspended", Timeout: 20, Params: cluster.Encode(params{Site: at, Edit: e}), Inverse: &inverse,
	}
}

func resume(at cluster.Site, e cluster.Edit) action.Step {
	return action.Step{
		ID: "resume-" + e.Object.Resource + "-" + e.Object.Namespace + "-" + e.Object.Object, Driver: Name, Kind: resumePrefix + e.Object.Resource,
		Target: e.Object.String(), Summary: "let it act again, as before", Post: "it is as it was before it was suspended",
		Timeout: 20, Params: cluster.Encode(params{Site: at, Edit: e}),
	}
}

// aside is what an autoscaler is pointed at instead of its workload.
const aside = "-suspended-by-weightwarden"

// autoscalers returns the edits that make the autoscalers of a workload lose
// sight of it. A hand-scaled workload is scaled back otherwise.
func autoscalers(scene *cluster.Scene, w cluster.Workload) (out []cluster.Edit) {
	targets := func(o cluster.Object) bool {
		return o.Namespace() == w.Control.Ref.Namespace && slices.ContainsFunc([]cluster.Ref{w.Control.Ref, w.Root.Ref}, func(r cluster.Ref) bool {
			kind := o.Text("/spec/scaleTargetRef/kind")
			return o.Text("/spec/scaleTargetRef/name") == r.Object && (kind == r.Name || kind == "" && r.Kind == cluster.Deployments)
		})
	}
	for _, o := range scene.Autoscalers {
		if targets(o) && o.Controller() == nil { // one that KEDA or KServe owns follows its owner
			name := o.Text("/spec/scaleTargetRef/name")
			out = append(out, cluster.NewEdit(cluster.Autoscalers.In(o.Namespace(), o.ObjectName()), o, cluster.Set(o, "/spec/scaleTargetRef/name", name+aside)))
		}
	}
	for _, o := range scene.ScaledObjects {
		if targets(o) {
			out = append(out, cluster.NewEdit(cluster.ScaledObjects.In(o.Namespace(), o.ObjectName()), o,
				cluster.Set(o, cluster.Pointer("metadata", "annotations", "autoscaling.keda.sh/paused"), "true")))
		}
	}
	return out
}

// claim is where an object says which GitOps object applies it.
type claim struct {
	kind            cluster.Kind
	namespace, name string
	pointer         string
	value           any
}

// claims reads the labels and annotations that GitOps controllers leave.
func claims(o cluster.Object) (out []claim) {
	labels, notes := o.Labels(), o.Annotations()
	if id := notes["argocd.argoproj.io/tracking-id"]; id != "" {
		name, _, _ := strings.Cut(id, ":")
		namespace := "argocd"
		if ns, app, both := strings.Cut(name, "_"); both {
			namespace, name = ns, app
		}
		out = append(out, claim{cluster.Applications, namespace, name, cluster.Pointer("metadata", "annotations", "argocd.argoproj.io/skip-reconcile"), "true"})
	}
	for _, flux := range []struct {
		kind   cluster.Kind
		prefix string
	}{{cluster.HelmReleases, "helm"}, {cluster.Kustomizations, "kustomize"}} {
		if name := labels[flux.prefix+".toolkit.fluxcd.io/name"]; name != "" {
			out = append(out, claim{flux.kind, labels[flux.prefix+".toolkit.fluxcd.io/namespace"], name, "/spec/suspend", true})
		}
	}
	return out
}

// gitops returns the edits that suspend what applies the workload.
func (d *Driver) gitops(ctx context.Context, w cluster.Workload) (out []cluster.Edit, remarks []string, err error) {
	found := append(claims(w.Root.Object), claims(w.Control.Object)...)
	for _, c := range found {
		ref := c.kind.In(c.namespace, c.name)
		o, err := d.api.Get(ctx, ref)
		if k := fault.KindOf(err); err != nil && (k == fault.NotFound || k == fault.Refused) {
			remarks = append(remarks, fmt.Sprintf("%s is said to be applied by %s, which cannot be suspended from here: %v", w.Root.Ref, ref, err))
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		out = append(out, cluster.NewEdit(ref, o, cluster.Set(o, c.pointer, c.value)))
	}
	if len(found) == 0 {
		if who := appliers(w.Root.Object); len(who) > 0 {
			remarks = append(remarks, fmt.Sprintf("%s was applied by %s: if that runs by itself, suspend it", w.Root.Ref, strings.Join(who, ", ")))
		}
	}
	return out, remarks, nil
}

// appliers are the managers that apply the object's specification.
func appliers(o cluster.Object) (out []string) {
	for _, m := range o.Items("/metadata/managedFields") {
		if m.Text("/operation") == "Apply" && !slices.Contains(out, m.Text("/manager")) {
			out = append(out, m.Text("/manager"))
		}
	}
	return out
}

// Rollback plans to let autoscalers act again. What GitOps applies is still
// the bad version, so that stays suspended.
func (d *Driver) Rollback(_ context.Context, r action.Request) (action.Draft, error) {
	var draft action.Draft
	for _, s := range r.Done {
		if s.Driver != Name || s.Inverse == nil || !strings.HasPrefix(s.Kind, suspendPrefix) {
			continue
		}
		p, err := cluster.Decode[params](s)
		if err != nil {
			return action.Draft{}, err
		}
		if k := p.Edit.Object.Kind; k != cluster.Autoscalers && k != cluster.ScaledObjects {
			draft.Remarks = append(draft.Remarks, fmt.Sprintf("%s stays suspended: what it holds is the version that was rolled back from; change that, then resume it", p.Edit.Object))
			continue
		}
		again := *s.Inverse
		inverse := s
		inverse.Inverse = nil
		again.Inverse = &inverse
		draft.Steps = append(draft.Steps, again)
	}
	return draft, nil
}

// Execute makes the edit, and those that were taken back until it was made.
func (d *Driver) Execute(ctx context.Context, s action.Step) error {
	p, err := d.decode(s)
	if err != nil {
		return err
	}
	if err := p.Edit.Apply(ctx, d.api); err != nil || len(p.Again) == 0 {
		return err
	}
	return cluster.Await(ctx, s, func(ctx context.Context) (action.Observation, error) {
		for _, e := range p.Again {
			// Who was about to take it back when it was suspended may do so once more.
			if err := e.Apply(ctx, d.api); err != nil && fault.KindOf(err) != fault.Conflict {
				return action.Observation{}, err
			}
		}
		return d.observe(ctx, p)
	})
}

// Observe looks at the object, and at what was taken back.
func (d *Driver) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	p, err := d.decode(s)
	if err != nil {
		return action.Observation{}, err
	}
	return d.observe(ctx, p)
}

func (d *Driver) observe(ctx context.Context, p params) (action.Observation, error) {
	o, err := p.Edit.Observe(ctx, d.api)
	for _, e := range p.Again {
		if err != nil || o.Outcome != action.Done {
			return o, err
		}
		o, err = e.Observe(ctx, d.api)
	}
	return o, err
}

func (d *Driver) decode(s action.Step) (params, error) {
	if _, ok := d.Needs()[s.Kind]; !ok {
		return params{}, cluster.NoSuchKind(Name, s.Kind)
	}
	return cluster.Decode[params](s)
}
