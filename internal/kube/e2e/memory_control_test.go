package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/cluster"
)

// control is one round of what the control plane's controllers and the nodes
// do. It leaves out rolling: a new template has all replicas at once.
func (m *memory) control() {
	m.collect()
	m.autoscalers()
	m.deployments()
	m.replicaSets()
	m.statefulSets()
	m.daemonSets()
	m.kubelets()
	m.endpoints()
}

// all returns the objects of a kind; some of a namespace.
func (m *memory) all(kind cluster.Kind) []cluster.Object { return m.some(kind, "") }

func (m *memory) some(kind cluster.Kind, namespace string) []cluster.Object {
	list, _ := m.store.List(context.Background(), kind, namespace, "")
	return list
}

// put keeps an object that was changed.
func (m *memory) put(kind cluster.Kind, o cluster.Object) {
	key := keyOf(kind, o.Namespace(), o.ObjectName())
	old := m.known[key]
	if old == nil || reflect.DeepEqual(map[string]any(o), map[string]any(old)) {
		return
	}
	if o = plain(o); !same(o, old) {
		m.keep(key, o, old)
	}
}

func (m *memory) remove(kind cluster.Kind, o cluster.Object) {
	_ = m.store.Delete(context.Background(), kind.In(o.Namespace(), o.ObjectName()), o.UID())
}

// collect removes what belongs to something that is gone.
func (m *memory) collect() {
	there := map[string]bool{}
	for _, o := range m.known {
		there[o.UID()] = true
	}
	for key, o := range m.known {
		owners := o.Items("/metadata/ownerReferences")
		if len(owners) > 0 && !slices.ContainsFunc(owners, func(ref cluster.Object) bool { return there[ref.Text("/uid")] }) {
			m.next()
			delete(m.known, key)
		}
	}
}

func (m *memory) autoscalers() {
	for _, a := range m.all(cluster.Autoscalers) {
		ref := cluster.Deployments.In(a.Namespace(), a.Text("/spec/scaleTargetRef/name"))
		o, err := m.store.Get(context.Background(), ref)
		if err != nil {
			continue
		}
		n := o.Number("/spec/replicas") // by hand to nothing is left alone
		if least := a.Number("/spec/minReplicas"); n != 0 && n < least {
			o["spec"].(map[string]any)["replicas"] = int64(least)
			m.put(cluster.Deployments, o)
		}
	}
}

func hashOf(v any) string {
	text, _ := json.Marshal(v)
	return fmt.Sprintf("%x", sha256.Sum256(text))[:10]
}

func (m *memory) deployments() {
	for _, o := range m.all(cluster.Deployments) {
		template, _ := o.At("/spec/template")
		name := o.ObjectName() + "-" + hashOf(template)
		m.replicaSet(o, "pod-template-hash", hashOf(template))
		for _, rs := range m.some(cluster.ReplicaSets, o.Namespace()) {
			want := int64(0)
			if rs.ObjectName() == name {
				want = int64(o.Number("/spec/replicas"))
			}
			if rs.Controller().Text("/uid") == o.UID() {
				rs["spec"].(map[string]any)["replicas"] = want
				m.put(cluster.ReplicaSets, rs)
			}
		}
	}
}

// replicaSet makes the one of a template.
func (m *memory) replicaSet(o cluster.Object, label, hash string) {
	v, _ := o.At("/spec/template")
	template := copied(v.(map[string]any))
	labels := template["metadata"].(map[string]any)["labels"].(map[string]any)
	labels[label] = hash
	match := map[string]any{label: hash}
	for k, v := range o.Texts("/spec/selector/matchLabels") {
		match[k] = v
	}
	_, _ = m.store.Create(context.Background(), cluster.ReplicaSets, cluster.Object{
		"metadata": map[string]any{"name": o.ObjectName() + "-" + hash, "namespace": o.Namespace(), "ownerReferences": owner(o), "labels": labels},
		"spec":     map[string]any{"replicas": int64(0), "template": map[string]any(template), "selector": map[string]any{"matchLabels": match}},
	}, false)
}

// claim returns the pods of a controller, after it has let go of those that
// its selector does not select, and taken those that nobody has.
func (m *memory) claim(o cluster.Object) (pods []cluster.Object) {
	selector, _ := o.At("/spec/selector")
	for _, pod := range m.some(cluster.Pods, o.Namespace()) {
		by := pod.Controller()
		selected := cluster.Matches(selector.(map[string]any), pod.Labels())
		meta := pod["metadata"].(map[string]any)
		switch {
		case by != nil && by.Text("/uid") != o.UID(), by == nil && !selected:
			continue
		case by != nil && !selected:
			delete(meta, "ownerReferences")
		case by == nil:
			meta["ownerReferences"] = owner(o)
		}
		m.put(cluster.Pods, pod)
		if selected {
			pods = append(pods, pod)
		}
	}
	return pods
}

// pod makes one from the template of its controller. Admission may refuse it.
func (m *memory) pod(o cluster.Object, name, node string, labels map[string]string) {
	v, _ := o.At("/spec/template")
	template := copied(v.(map[string]any))
	meta, spec := template["metadata"].(map[string]any), template["spec"].(map[string]any)
	meta["name"], meta["namespace"], meta["ownerReferences"] = name, o.Namespace(), owner(o)
	for k, v := range labels {
		meta["labels"].(map[string]any)[k] = v
	}
	if node != "" {
		spec["nodeName"] = node
	}
	_, _ = m.store.Create(context.Background(), cluster.Pods, cluster.Object{"metadata": meta, "spec": spec}, false)
}

func (m *memory) replicaSets() {
	for _, o := range m.all(cluster.ReplicaSets) {
		pods := m.claim(o)
		want := o.Number("/spec/replicas")
		for n := len(pods); n < want; n++ {
			m.pod(o, fmt.Sprintf("%s-%05d", o.ObjectName(), m.count), "", nil)
		}
		for n := want; n < len(pods); n++ {
			m.remove(cluster.Pods, pods[n])
		}
	}
}

// statefulSets numbers pods. One that has the name of a pod that is somebody
// else's is not made, and those behind it are not either.
func (m *memory) statefulSets() {
	for _, o := range m.all(cluster.StatefulSets) {
		template, _ := o.At("/spec/template")
		hash := hashOf(template)
		have := map[string]cluster.Object{}
		for _, pod := range m.claim(o) {
			have[pod.ObjectName()] = pod
		}
		start, stuck := o.Number("/spec/ordinals/start"), false
		for n := range o.Number("/spec/replicas") {
			name := fmt.Sprintf("%s-%d", o.ObjectName(), start+n)
			pod := have[name]
			delete(have, name)
			if pod != nil && pod.Labels()["controller-revision-hash"] == hash {
				continue
			}
			if pod != nil {
				m.remove(cluster.Pods, pod)
			}
			if before := m.count; !stuck {
				m.pod(o, name, "", map[string]string{"controller-revision-hash": hash, "statefulset.kubernetes.io/pod-name": name})
				stuck = m.count == before
			}
		}
		for _, pod := range have {
			m.remove(cluster.Pods, pod)
		}
	}
}

func (m *memory) daemonSets() {
	for _, o := range m.all(cluster.DaemonSets) {
		template, _ := o.At("/spec/template")
		hash := hashOf(template.(map[string]any)["spec"].(map[string]any)["containers"])
		on := map[string]cluster.Object{}
		for _, pod := range m.claim(o) {
			on[pod.Text("/spec/nodeName")] = pod
		}
		want := 0
		for _, node := range m.all(kindNode) {
			selector := o.Texts("/spec/template/spec/nodeSelector")
			if len(selector) > 0 && !cluster.Subset(selector, node.Labels()) {
				continue
			}
			want++
			pod := on[node.ObjectName()]
			if pod != nil && pod.Labels()["controller-revision-hash"] == hash {
				delete(on, node.ObjectName())
			} else {
				m.pod(o, fmt.Sprintf("%s-%05d", o.ObjectName(), m.count), node.ObjectName(), map[string]string{"controller-revision-hash": hash})
			}
		}
		for _, pod := range on {
			m.remove(cluster.Pods, pod)
		}
		o["status"] = map[string]any{"desiredNumberScheduled": int64(want), "observedGeneration": int64(o.Number("/metadata/generation"))}
		m.put(cluster.DaemonSets, o)
	}
}

// kubelets run what is new at once.
func (m *memory) kubelets() {
	for _, o := range m.all(cluster.Pods) {
		if o.Text("/status/phase") != "" {
			continue
		}
		if o.Text("/spec/nodeName") == "" {
			o["spec"].(map[string]any)["nodeName"] = fmt.Sprintf("node-%d", m.count%nodes)
		}
		status := running(o, m.count, "2026-01-02T03:04:05Z")
		o["status"] = status
		m.put(cluster.Pods, o)
	}
}

func (m *memory) endpoints() {
	for _, o := range m.all(cluster.Services) {
		selector := o.Texts("/spec/selector")
		endpoints := []any{}
		for _, pod := range m.some(cluster.Pods, o.Namespace()) {
			if cluster.Subset(selector, pod.Labels()) && condition(pod, "Ready") {
				endpoints = append(endpoints, map[string]any{
					"addresses": []any{pod.Text("/status/podIP")}, "targetRef": map[string]any{"kind": "Pod", "name": pod.ObjectName(), "uid": pod.UID()},
				})
			}
		}
		slice := cluster.Object{
			"metadata": map[string]any{
				"name": o.ObjectName() + "-slice", "namespace": o.Namespace(), "ownerReferences": owner(o),
				"labels": map[string]any{"kubernetes.io/service-name": o.ObjectName()},
			},
			"endpoints": endpoints,
		}
		there, err := m.store.Get(context.Background(), cluster.EndpointSlices.In(o.Namespace(), slice.ObjectName()))
		if err != nil {
			_, _ = m.store.Create(context.Background(), cluster.EndpointSlices, slice, false)
			continue
		}
		there["endpoints"] = endpoints
		m.put(cluster.EndpointSlices, there)
	}
}

// allowed reports whether the roles that are bound to a user let it do
// something.
func (m *memory) allowed(user, verb string, kind cluster.Kind, sub, namespace string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	resource := kind.Resource
	if sub != "" {
		resource += "/" + sub
	}
	bindings := m.all(rbacKind("clusterrolebindings", "ClusterRoleBinding"))
	if namespace != "" {
		bindings = append(bindings, m.some(rbacKind("rolebindings", "RoleBinding"), namespace)...)
	}
	for _, b := range bindings {
		if b.Text("/subjects/0/name") != user {
			continue
		}
		role := m.known[keyOf(rbacKind("clusterroles", "ClusterRole"), "", b.Text("/roleRef/name"))]
		for _, rule := range role.Items("/rules") {
			if has(rule, "/apiGroups", kind.Group) && has(rule, "/resources", resource) && has(rule, "/verbs", verb) {
				return true
			}
		}
	}
	return strings.HasPrefix(user, "admin")
}

func has(rule cluster.Object, pointer, want string) bool {
	v, _ := rule.At(pointer)
	list, _ := v.([]any)
	return slices.Contains(list, any(want))
}
