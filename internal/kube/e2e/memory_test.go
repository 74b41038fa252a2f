package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// memory is a cluster without processes: an API that keeps objects in memory,
// and after each change lets controllers and nodes do what they would, until
// nothing changes any more. What it leaves out is said where it does.
type memory struct {
	mu sync.Mutex
	store
	// others are controllers of others.
	others []func(context.Context, cluster.API)
}

// newMemory returns a cluster with nodes and nothing else.
func newMemory(others ...func(context.Context, cluster.API)) *memory {
	m := &memory{store: store{known: map[string]cluster.Object{}}, others: others}
	for _, ns := range []string{"kube-system", "default"} {
		_, _ = m.Create(context.Background(), cluster.Namespaces, cluster.Object{"metadata": map[string]any{"name": ns}}, false)
	}
	for n := range nodes {
		name := fmt.Sprintf("node-%d", n)
		_, _ = m.Create(context.Background(), kindNode, cluster.Object{"metadata": map[string]any{"name": name, "labels": map[string]any{"kubernetes.io/hostname": name}}}, false)
	}
	return m
}

// clone is another cluster in the same state.
func (m *memory) clone() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &memory{store: store{known: map[string]cluster.Object{}, count: m.count}, others: m.others}
	for key, o := range m.known {
		c.known[key] = copied(o)
	}
	return c
}

// then lets the controllers work.
func (m *memory) then() {
	for range 200 {
		before := m.count
		m.control()
		for _, other := range m.others {
			other(context.Background(), &m.store)
		}
		if m.count == before {
			return
		}
	}
	panic("the controllers of the fake cluster go round in circles")
}

func (m *memory) Get(ctx context.Context, ref cluster.Ref) (cluster.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store.Get(ctx, ref)
}

func (m *memory) List(ctx context.Context, kind cluster.Kind, namespace, selector string) ([]cluster.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store.List(ctx, kind, namespace, selector)
}

func (m *memory) Create(ctx context.Context, kind cluster.Kind, o cluster.Object, dry bool) (cluster.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	made, err := m.store.Create(ctx, kind, o, dry)
	m.then()
	return made, err
}

func (m *memory) Patch(ctx context.Context, ref cluster.Ref, ops []cluster.Op, dry bool) (cluster.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.store.Patch(ctx, ref, ops, dry)
	m.then()
	return o, err
}

func (m *memory) Delete(ctx context.Context, ref cluster.Ref, uid string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.store.Delete(ctx, ref, uid)
	m.then()
	return err
}

// store is an API without controllers.
type store struct {
	known map[string]cluster.Object
	// count is of changes: the resource version.
	count int
}

// served are the kinds of the fake cluster beside those of containment.
var kindServiceAccount = cluster.Kind{Version: "v1", Resource: "serviceaccounts", Name: "ServiceAccount"}

func rbacKind(resource, name string) cluster.Kind {
	return cluster.Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: resource, Name: name}
}

var served = []cluster.Kind{
	cluster.Namespaces, cluster.Pods, cluster.Services, cluster.Events, cluster.Deployments, cluster.ReplicaSets, cluster.StatefulSets,
	cluster.DaemonSets, cluster.EndpointSlices, cluster.NetworkPolicies, cluster.Autoscalers, cluster.ScaledObjects, cluster.Applications,
	cluster.Rollouts, cluster.Kustomizations, cluster.HelmReleases, cluster.InferenceServices, cluster.HTTPRoutes, cluster.AdmissionPolicies,
	cluster.AdmissionBindings, cluster.SelfAccessReviews, kindNode, kindServiceAccount,
	rbacKind("clusterroles", "ClusterRole"), rbacKind("clusterrolebindings", "ClusterRoleBinding"), rbacKind("rolebindings", "RoleBinding"),
}

func keyOf(k cluster.Kind, namespace, name string) string {
	return k.Group + "/" + k.Resource + " " + namespace + "/" + name
}

// plain makes an object of nothing but what JSON knows.
func plain(o cluster.Object) cluster.Object {
	data, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	var c map[string]any
	if err := json.Unmarshal(data, &c); err != nil {
		panic(err)
	}
	return whole(c).(map[string]any)
}

// copied shares nothing with o.
func copied(o cluster.Object) cluster.Object { return deep(map[string]any(o)).(map[string]any) }

func deep(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k := range v {
			c[k] = deep(v[k])
		}
		return c
	case []any:
		c := make([]any, len(v))
		for k := range v {
			c[k] = deep(v[k])
		}
		return c
	}
	return v
}

func missing(ref cluster.Ref) error { return fault.New(fault.NotFound, "%s is not there", ref) }

func (m *store) Get(_ context.Context, ref cluster.Ref) (cluster.Object, error) {
	o := m.known[keyOf(ref.Kind, ref.Namespace, ref.Object)]
	if o == nil {
		return nil, missing(ref)
	}
	if ref.Sub == "scale" {
		return scaleOf(o), nil
	}
	return copied(o), nil
}

// scaleOf is the scale of an object: that of nothing has no number.
func scaleOf(o cluster.Object) cluster.Object {
	spec := map[string]any{}
	if n := o.Number("/spec/replicas"); n > 0 {
		spec["replicas"] = int64(n)
	}
	return cluster.Object{
		"apiVersion": "autoscaling/v1", "kind": "Scale",
		"metadata": map[string]any{"name": o.ObjectName(), "namespace": o.Namespace(), "uid": o.UID(), "resourceVersion": o.Revision()}, "spec": spec,
	}
}

func (m *store) List(_ context.Context, kind cluster.Kind, namespace, selector string) ([]cluster.Object, error) {
	if !slices.Contains(served, kind) {
		return nil, fault.New(fault.NotFound, "the API has no %s", kind.Resource)
	}
	want := map[string]string{}
	for part := range strings.SplitSeq(selector, ",") {
		if k, v, ok := strings.Cut(part, "="); ok {
			want[k] = v
		}
	}
	prefix := kind.Group + "/" + kind.Resource + " "
	if namespace != "" {
		prefix += namespace + "/"
	}
	out := []cluster.Object{}
	for _, key := range slices.Sorted(maps.Keys(m.known)) {
		if o := m.known[key]; strings.HasPrefix(key, prefix) && (len(want) == 0 || cluster.Subset(want, o.Labels())) {
			out = append(out, copied(o))
		}
	}
	return out, nil
}

func (m *store) next() string {
	m.count++
	return strconv.Itoa(m.count)
}

func (m *store) Create(_ context.Context, kind cluster.Kind, o cluster.Object, dry bool) (cluster.Object, error) {
	o = plain(o)
	o["apiVersion"], o["kind"] = kind.APIVersion(), kind.Name
	ref := kind.In(o.Namespace(), o.ObjectName())
	if m.known[keyOf(kind, ref.Namespace, ref.Object)] != nil {
		return nil, fault.New(fault.Conflict, "%s already exists", ref)
	}
	if err := m.admit(kind, o); err != nil {
		return nil, err
	}
	meta := o["metadata"].(map[string]any)
	meta["uid"], meta["resourceVersion"], meta["generation"] = fmt.Sprintf("uid-%d", m.count+1), strconv.Itoa(m.count+1), int64(1)
	if dry {
		return o, nil
	}
	m.next()
	m.known[keyOf(kind, ref.Namespace, ref.Object)] = o
	if kind == cluster.Namespaces {
		account := cluster.Object{"metadata": map[string]any{"name": "default", "namespace": o.ObjectName()}}
		_, _ = m.Create(context.Background(), kindServiceAccount, account, false)
	}
	return copied(o), nil
}

// admit refuses pods by the policies of incidents that are bound. It goes by
// the texts in them, and knows no CEL: the real API server does.
func (m *store) admit(kind cluster.Kind, o cluster.Object) error {
	if kind != cluster.Pods {
		return nil
	}
	text, _ := json.Marshal(o)
	for _, p := range m.known {
		name := p.ObjectName()
		if p.Text("/kind") != cluster.AdmissionPolicies.Name || p.Labels()[cluster.LabelIncident] == "" ||
			m.known[keyOf(cluster.AdmissionBindings, "", name)] == nil {
			continue
		}
		for literal := range strings.SplitSeq(p.Text("/spec/validations/0/expression"), `"`) {
			if (strings.HasPrefix(literal, "sha256:") || strings.Contains(literal, "://")) && strings.Contains(string(text), literal+`"`) {
				return fault.New(fault.Refused, "pods %q is forbidden: ValidatingAdmissionPolicy '%s' with binding '%s' denied request: the model is denied", o.ObjectName(), name, name)
			}
		}
	}
	return nil
}

func (m *store) Patch(_ context.Context, ref cluster.Ref, ops []cluster.Op, dry bool) (cluster.Object, error) {
	key := keyOf(ref.Kind, ref.Namespace, ref.Object)
	old := m.known[key]
	if old == nil {
		return nil, missing(ref)
	}
	o := copied(old)
	at := o
	if ref.Sub == "scale" {
		at = scaleOf(o)
	}
	for _, op := range ops {
		if err := patch(at, op); err != nil {
			return nil, err
		}
	}
	if ref.Sub == "scale" {
		o["spec"].(map[string]any)["replicas"] = int64(at.Number("/spec/replicas"))
	}
	for _, list := range []string{"annotations", "labels"} { // of nothing there is none
		if meta := o["metadata"].(map[string]any); len(o.Texts("/metadata/"+list)) == 0 {
			delete(meta, list)
		}
	}
	o = plain(o)
	if !dry && !same(o, old) {
		m.keep(key, o, old)
	}
	if ref.Sub == "scale" {
		return scaleOf(o), nil
	}
	return copied(o), nil
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// keep stores a changed object: its generation counts changes of its
// specification.
func (m *store) keep(key string, o, old cluster.Object) {
	meta := o["metadata"].(map[string]any)
	meta["resourceVersion"] = m.next()
	if !same(o["spec"], old["spec"]) {
		meta["generation"] = int64(old.Number("/metadata/generation") + 1)
	}
	m.known[key] = o
}

// patch makes one operation of a JSON patch.
func patch(o cluster.Object, op cluster.Op) error {
	failed := func(why string) error {
		return fault.New(fault.Conflict, "the server rejected our request due to an error in our request: %s %s", op.Path, why)
	}
	cut := strings.LastIndex(op.Path, "/")
	var in any = map[string]any(o)
	if cut > 0 {
		var ok bool
		if in, ok = o.At(op.Path[:cut]); !ok {
			return failed("is in nothing")
		}
	}
	key := strings.NewReplacer("~1", "/", "~0", "~").Replace(op.Path[cut+1:])
	var value any
	if op.Value != nil {
		if err := json.Unmarshal(op.Value, &value); err != nil {
			return err
		}
		value = whole(value)
	}
	now, there := o.At(op.Path)
	switch {
	case op.Op == "test" && !same(now, value):
		return failed("testing value failed")
	case op.Op == "test":
		return nil
	case op.Op != "add" && !there:
		return failed("is not there")
	}
	switch in := in.(type) {
	case map[string]any:
		if op.Op == "remove" {
			delete(in, key)
		} else {
			in[key] = value
		}
	case []any:
		n, err := strconv.Atoi(key)
		if err != nil || n < 0 || n >= len(in) || op.Op == "remove" {
			return failed("changes a list in a way that the fake knows nothing of")
		}
		in[n] = value
	default:
		return failed("is in neither an object nor a list")
	}
	return nil
}

func (m *store) Delete(_ context.Context, ref cluster.Ref, uid string) error {
	key := keyOf(ref.Kind, ref.Namespace, ref.Object)
	switch o := m.known[key]; {
	case o == nil:
		return missing(ref)
	case o.UID() != uid:
		return fault.New(fault.Conflict, "%s has another UID", ref)
	}
	m.next()
	delete(m.known, key)
	return nil
}

func (m *store) Resource(_ context.Context, apiVersion, kind string) (cluster.Kind, error) {
	for _, k := range served {
		if k.APIVersion() == apiVersion && k.Name == kind {
			return k, nil
		}
	}
	return cluster.Kind{}, fault.New(fault.NotFound, "the API has no such kind")
}
