package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// Scene is what of a cluster serves one model, as it was seen at one time.
type Scene struct {
	// Cluster is the UID of the namespace kube-system, which stands for the
	// cluster's.
	Cluster   string
	Selector  Selector
	Workloads []Workload
	// Services are those that reach a workload's pods.
	Services []Route
	// Routes are the HTTP routes that name one of the services.
	Routes []Object
	// Others are objects beside the workloads that act on them, by kind.
	Autoscalers, ScaledObjects, Policies []Object
	// Remarks say what could not be looked at.
	Remarks []string
}

// Node is an object with the reference to it.
type Node struct {
	Ref    Ref
	Object Object
}

// Workload is what is acted on as one: its topmost owner, what controls its
// pods, and the pods.
type Workload struct {
	// Root owns everything below; a pod that nobody owns is its own.
	Root Node
	// Control is what has the pod template, the selector and the number of
	// replicas: a Deployment, StatefulSet, DaemonSet, Rollout or ReplicaSet.
	// It is the Root, or below it; the pod itself where nobody controls it.
	Control Node
	// Pods are the attached ones; Detached those that an incident holds.
	Pods, Detached []Object
}

// Route is a service and whom it reaches.
type Route struct {
	Object Object
	// Shared says that it reaches pods of others too.
	Shared bool
}

// Kind is the kind of what controls the pods.
func (w Workload) Kind() string { return w.Control.Ref.Name }

// Template returns the pod template, or the pod itself where there is none.
func (w Workload) Template() Object {
	if w.Kind() == Pods.Name {
		return w.Control.Object
	}
	v, _ := w.Control.Object.At("/spec/template")
	m, _ := v.(map[string]any)
	return m
}

// Spec is the specification of the template's pods.
func (w Workload) Spec() Object { return Spec(w.Template()) }

// Spec returns the specification of a pod or of a template.
func Spec(o Object) Object {
	v, _ := o.At("/spec")
	m, _ := v.(map[string]any)
	return m
}

// Selected reports whether the workload's controller selects these labels.
func (w Workload) Selected(labels map[string]string) bool {
	if w.Kind() == Pods.Name {
		return false
	}
	v, _ := w.Control.Object.At("/spec/selector")
	m, _ := v.(map[string]any)
	return len(m) > 0 && Matches(m, labels)
}

// templated are the kinds that have a pod template at /spec/template.
var templated = []Kind{Deployments, StatefulSets, DaemonSets, ReplicaSets, Rollouts}

// Find looks for what serves the model. An error means that what must be seen
// could not be; what may be absent and is, is not mentioned.
func Find(ctx context.Context, api API, s Selector) (*Scene, error) {
	f := finder{api: api, selector: s, nodes: map[string]Node{}, scene: &Scene{Selector: s}}
	var err error
	if f.scene.Cluster, err = Identify(ctx, api); err != nil {
		return nil, err
	}
	namespaces := s.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, ns := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		if err := f.namespace(ctx, ns); err != nil {
			return nil, err
		}
	}
	f.scene.Routes = slices.DeleteFunc(f.scene.Routes, func(o Object) bool { return len(f.scene.Backends(o)) == 0 })
	slices.SortFunc(f.scene.Workloads, func(a, b Workload) int { return cmp.Compare(a.Root.Ref.String(), b.Root.Ref.String()) })
	return f.scene, nil
}

// Identify returns what stands for a cluster: the UID of its namespace
// kube-system.
func Identify(ctx context.Context, api API) (string, error) {
	system, err := api.Get(ctx, Namespaces.In("", "kube-system"))
	if err != nil {
		return "", fmt.Errorf("identify the cluster: %w", err)
	}
	return system.UID(), nil
}

type finder struct {
	api      API
	selector Selector
	nodes    map[string]Node // by UID
	scene    *Scene
}

func (f *finder) list(ctx context.Context, kind Kind, namespace string) ([]Object, error) {
	list, err := f.api.List(ctx, kind, namespace, "")
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil, nil // the cluster has no such resource
	}
	for _, o := range list {
		f.nodes[o.UID()] = Node{kind.In(o.Namespace(), o.ObjectName()), o}
	}
	return list, err
}

func (f *finder) namespace(ctx context.Context, ns string) error {
	byKind := map[Kind][]Object{}
	for _, kind := range append(slices.Clone(templated), Pods, Services, InferenceServices, HTTPRoutes, Autoscalers, ScaledObjects, NetworkPolicies) {
		list, err := f.list(ctx, kind, ns)
		if err != nil {
			return fmt.Errorf("list %s in namespace %q: %w", kind.Resource, ns, err)
		}
		byKind[kind] = list
	}
	found := map[string]*Workload{} // by UID of what controls the pods
	for _, kind := range templated {
		for _, o := range byKind[kind] {
			if err := f.controller(ctx, kind, o, found); err != nil {
				return err
			}
		}
	}
	for _, o := range byKind[InferenceServices] {
		f.service(o, found)
	}
	for _, pod := range byKind[Pods] {
		if err := f.pod(ctx, pod, found); err != nil {
			return err
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(found)) {
		f.scene.Workloads = append(f.scene.Workloads, *found[uid])
	}
	f.routes(byKind[Services], byKind[Pods], found)
	f.scene.Routes = append(f.scene.Routes, byKind[HTTPRoutes]...)
	f.scene.Autoscalers = append(f.scene.Autoscalers, byKind[Autoscalers]...)
	f.scene.ScaledObjects = append(f.scene.ScaledObjects, byKind[ScaledObjects]...)
	f.scene.Policies = append(f.scene.Policies, byKind[NetworkPolicies]...)
	return nil
}

// controller takes in an object with a pod template that serves the model.
// ReplicaSets that something else controls are part of that.
func (f *finder) controller(ctx context.Context, kind Kind, o Object, found map[string]*Workload) error {
	if kind == ReplicaSets && o.Controller() != nil {
		return nil
	}
	w := Workload{Control: Node{kind.In(o.Namespace(), o.ObjectName()), o}}
	root, err := f.root(ctx, w.Control)
	if err != nil {
		return err
	}
	w.Root = root
	labels := maps.Clone(w.Template().Labels())
	sources := append(values(Sources(w.Spec())), root.Object.Text("/spec/predictor/model/storageUri"))
	if f.selector.matches(labels, sources) || f.selector.matches(root.Object.Labels(), nil) {
		found[o.UID()] = &w
	}
	return nil
}

// service takes in an inference service whose controller has made nothing, or
// has removed it: the service stands for itself.
func (f *finder) service(o Object, found map[string]*Workload) {
	for _, w := range found {
		if w.Root.Object.UID() == o.UID() {
			return
		}
	}
	if f.selector.matches(o.Labels(), []string{o.Text("/spec/predictor/model/storageUri")}) {
		n := Node{InferenceServices.In(o.Namespace(), o.ObjectName()), o}
		found[o.UID()] = &Workload{Root: n, Control: n}
	}
}

// pod files a pod under what controls it.
func (f *finder) pod(ctx context.Context, pod Object, found map[string]*Workload) error {
	node := Node{Pods.In(pod.Namespace(), pod.ObjectName()), pod}
	if pod.Labels()[LabelIncident] != "" {
		f.detached(pod, found)
		return nil
	}
	chain, err := f.owners(ctx, node)
	if err != nil {
		return err
	}
	for _, owner := range chain {
		if w := found[owner.Object.UID()]; w != nil {
			w.Pods = append(w.Pods, pod)
			return nil
		}
	}
	if ended(pod) || !f.selector.matches(pod.Labels(), values(Sources(Spec(pod)))) {
		return nil
	}
	// Nobody whose kind is known controls it: it stands for itself, and its
	// topmost owner is named.
	root := node
	if len(chain) > 0 {
		root = chain[len(chain)-1]
		f.scene.Remarks = append(f.scene.Remarks, fmt.Sprintf("%s belongs to %s, a kind that this program cannot stop: it may make new pods", node.Ref, root.Ref))
	}
	found[pod.UID()] = &Workload{Root: root, Control: node, Pods: []Object{pod}}
	return nil
}

// ended reports whether a pod runs nothing any more.
func ended(pod Object) bool {
	phase := pod.Text("/status/phase")
	return phase == "Succeeded" || phase == "Failed"
}

// detached files a pod that an incident holds under the workload it was part of.
func (f *finder) detached(pod Object, found map[string]*Workload) {
	for _, w := range found {
		if pod.Annotations()[NoteWorkload] == w.Control.Object.UID() {
			w.Detached = append(w.Detached, pod)
			return
		}
	}
	if f.selector.matches(FormerLabels(pod), values(Sources(Spec(pod)))) {
		node := Node{Pods.In(pod.Namespace(), pod.ObjectName()), pod}
		found[pod.UID()] = &Workload{Root: node, Control: node, Detached: []Object{pod}}
	}
}

// owners returns who controls an object, nearest first.
func (f *finder) owners(ctx context.Context, n Node) ([]Node, error) {
	var chain []Node
	for len(chain) < 8 { // deeper nesting is a loop that somebody made
		ref := n.Object.Controller()
		if ref == nil {
			return chain, nil
		}
		owner, err := f.owner(ctx, n.Object.Namespace(), ref)
		if err != nil {
			return chain, err
		}
		if owner.Object == nil {
			return chain, nil
		}
		chain = append(chain, owner)
		n = owner
	}
	return chain, nil
}

// owner fetches whom an owner reference names. One that is gone is none; one
// that may not be read is remarked, because it can act on what is below it.
func (f *finder) owner(ctx context.Context, namespace string, ref Object) (Node, error) {
	if n, ok := f.nodes[ref.Text("/uid")]; ok {
		return n, nil
	}
	named := ref.Text("/apiVersion") + " " + ref.Text("/kind") + " " + ref.Text("/name")
	kind, err := f.api.Resource(ctx, ref.Text("/apiVersion"), ref.Text("/kind"))
	if err == nil {
		var o Object
		at := kind.In(namespace, ref.Text("/name"))
		if o, err = f.api.Get(ctx, at); err == nil {
			f.nodes[o.UID()] = Node{at, o}
			return f.nodes[o.UID()], nil
		}
	}
	switch fault.KindOf(err) {
	case fault.NotFound:
	case fault.Refused:
		f.scene.Remarks = append(f.scene.Remarks, fmt.Sprintf("the owner %q may not be read: it can revert what is done below it", named))
	default:
		return Node{}, err
	}
	return Node{}, nil
}

func (f *finder) root(ctx context.Context, n Node) (Node, error) {
	chain, err := f.owners(ctx, n)
	if err != nil || len(chain) == 0 {
		return n, err
	}
	return chain[len(chain)-1], nil
}

// routes finds the services that reach the workloads' pods, or would reach
// those that their templates make.
func (f *finder) routes(services, pods []Object, found map[string]*Workload) {
	for _, svc := range services {
		selector := svc.Texts("/spec/selector")
		delete(selector, KeyServing)
		reaches, shared := false, false
		ours := map[string]bool{}
		for _, w := range found {
			inside := w.Control.Ref.Namespace == svc.Namespace()
			reaches = reaches || inside && Subset(selector, w.Template().Labels())
			for _, pod := range w.Pods {
				ours[pod.UID()] = true
				reaches = reaches || inside && Subset(selector, pod.Labels())
			}
		}
		for _, pod := range pods {
			shared = shared || !ours[pod.UID()] && pod.Namespace() == svc.Namespace() && !ended(pod) && Subset(selector, pod.Labels())
		}
		if reaches {
			f.scene.Services = append(f.scene.Services, Route{svc, shared})
		}
	}
}

// Backends returns where an HTTP route names one of the scene's services, as
// JSON pointers.
func (s *Scene) Backends(route Object) (out []string) {
	for i, rule := range route.Items("/spec/rules") {
		for j, ref := range rule.Items("/backendRefs") {
			namespace := cmp.Or(ref.Text("/namespace"), route.Namespace())
			if kind := ref.Text("/kind"); kind != "" && kind != Services.Name || ref.Text("/group") != "" {
				continue
			}
			if slices.ContainsFunc(s.Services, func(r Route) bool {
				return r.Object.ObjectName() == ref.Text("/name") && r.Object.Namespace() == namespace
			}) {
				out = append(out, fmt.Sprintf("/spec/rules/%d/backendRefs/%d", i, j))
			}
		}
	}
	return out
}

// Attached returns the pods of all workloads that are attached.
func (s *Scene) Attached() (pods []Object) {
	for _, w := range s.Workloads {
		pods = append(pods, w.Pods...)
	}
	return pods
}

// Observed is the scene in the form of a plan's observation: what a later look
// must find again.
func (s *Scene) Observed() map[string]string {
	out := map[string]string{"cluster": s.Cluster}
	for _, w := range s.Workloads {
		out[w.Control.Ref.String()] = fmt.Sprintf("uid %s, generation %d, %d pods, %d of them detached",
			w.Control.Object.UID(), w.Control.Object.Number("/metadata/generation"), len(w.Pods)+len(w.Detached), len(w.Detached))
	}
	return out
}

// Target names the workloads in one line.
func (s *Scene) Target() string {
	var names []string
	for _, w := range s.Workloads {
		names = append(names, w.Root.Ref.String())
	}
	return strings.Join(slices.Compact(names), ", ")
}
