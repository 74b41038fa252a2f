// Package cluster holds the objects of a Kubernetes cluster as plain data: what
// they are called, what they hold, who owns them, which of them serve a model,
// and how a field of one is changed so that the change can be seen and taken
// back. It says what containment asks of a cluster's API and knows no client.
package cluster

import (
	"fmt"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Kind is a kind of object and the resource that the API serves it as.
type Kind struct {
	Group    string `json:"group,omitempty"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
	Name     string `json:"kind"`
}

// The kinds that containment looks at or changes.
var (
	Namespaces         = Kind{"", "v1", "namespaces", "Namespace"}
	Pods               = Kind{"", "v1", "pods", "Pod"}
	Services           = Kind{"", "v1", "services", "Service"}
	Events             = Kind{"", "v1", "events", "Event"}
	EventRecords       = Kind{"events.k8s.io", "v1", "events", "Event"} // as it is written
	Deployments        = Kind{"apps", "v1", "deployments", "Deployment"}
	ReplicaSets        = Kind{"apps", "v1", "replicasets", "ReplicaSet"}
	StatefulSets       = Kind{"apps", "v1", "statefulsets", "StatefulSet"}
	DaemonSets         = Kind{"apps", "v1", "daemonsets", "DaemonSet"}
	EndpointSlices     = Kind{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"}
	NetworkPolicies    = Kind{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"}
	Autoscalers        = Kind{"autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"}
	ScaledObjects      = Kind{"keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"}
	Applications       = Kind{"argoproj.io", "v1alpha1", "applications", "Application"}
	Rollouts           = Kind{"argoproj.io", "v1alpha1", "rollouts", "Rollout"}
	Kustomizations     = Kind{"kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization"}
	HelmReleases       = Kind{"helm.toolkit.fluxcd.io", "v2", "helmreleases", "HelmRelease"}
	InferenceServices  = Kind{"serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService"}
	HTTPRoutes         = Kind{"gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"}
	AdmissionPolicies  = Kind{"admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"}
	AdmissionBindings  = Kind{"admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"}
	Leases             = Kind{"coordination.k8s.io", "v1", "leases", "Lease"}
	Reports            = Kind{"openreports.io", "v1alpha1", "reports", "Report"}
	ProtectedModels    = Kind{"weightwarden.dev", "v1alpha1", "protectedmodels", "ProtectedModel"}
	SelfAccessReviews  = Kind{"authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview"}
	clusterScopedKinds = map[Kind]bool{Namespaces: true, AdmissionPolicies: true, AdmissionBindings: true, SelfAccessReviews: true}
)

// APIVersion is the kind's group and version as objects have it.
func (k Kind) APIVersion() string {
	if k.Group == "" {
		return k.Version
	}
	return k.Group + "/" + k.Version
}

// ClusterScoped reports whether the kind's objects are in no namespace.
func (k Kind) ClusterScoped() bool { return clusterScopedKinds[k] }

// Ref names an object, or one of its subresources.
type Ref struct {
	Kind
	Namespace string `json:"namespace,omitempty"`
	Object    string `json:"name"`
	// Sub is a subresource, as "scale".
	Sub string `json:"subresource,omitempty"`
}

// In returns the reference to an object of the kind.
func (k Kind) In(namespace, name string) Ref { return Ref{Kind: k, Namespace: namespace, Object: name} }

// String is the reference as people write it: kind namespace/name.
func (r Ref) String() string {
	text := r.Name + " " + artifact.Quote(r.Object)
	if r.Namespace != "" {
		text = r.Name + " " + artifact.Quote(r.Namespace) + "/" + artifact.Quote(r.Object)
	}
	if r.Sub != "" {
		text += " (" + r.Sub + ")"
	}
	return text
}

// Object is an object as the API returns it.
type Object map[string]any

// At returns the value at a JSON pointer.
func (o Object) At(pointer string) (any, bool) {
	var v any = map[string]any(o)
	for key := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[unescape(key)]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			var i int
			if _, err := fmt.Sscanf(key, "%d", &i); err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// Pointer builds a JSON pointer from keys.
func Pointer(keys ...string) string {
	var b strings.Builder
	for _, key := range keys {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
	}
	return b.String()
}

func unescape(key string) string { return strings.NewReplacer("~1", "/", "~0", "~").Replace(key) }

// Text returns the text at a JSON pointer, or "".
func (o Object) Text(pointer string) string {
	v, _ := o.At(pointer)
	s, _ := v.(string)
	return s
}

// Number returns the whole number at a JSON pointer, or 0.
func (o Object) Number(pointer string) int {
	v, _ := o.At(pointer)
	switch n := v.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	case int:
		return n
	}
	return 0
}

// Flag returns the truth value at a JSON pointer, or false.
func (o Object) Flag(pointer string) bool {
	v, _ := o.At(pointer)
	b, _ := v.(bool)
	return b
}

// Texts returns the map of texts at a JSON pointer: labels, annotations,
// selectors.
func (o Object) Texts(pointer string) map[string]string {
	v, _ := o.At(pointer)
	in, _ := v.(map[string]any)
	out := make(map[string]string, len(in))
	for k, v := range in {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// Items returns the objects in the list at a JSON pointer.
func (o Object) Items(pointer string) []Object {
	v, _ := o.At(pointer)
	in, _ := v.([]any)
	var out []Object
	for _, v := range in {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// The parts of every object that are asked for most.

// ObjectName returns the object's name.
func (o Object) ObjectName() string { return o.Text("/metadata/name") }

// Namespace returns the object's namespace, or "".
func (o Object) Namespace() string { return o.Text("/metadata/namespace") }

// UID returns what no other object has ever had.
func (o Object) UID() string { return o.Text("/metadata/uid") }

// Revision returns the object's resource version.
func (o Object) Revision() string { return o.Text("/metadata/resourceVersion") }

// Labels returns the object's labels.
func (o Object) Labels() map[string]string { return o.Texts("/metadata/labels") }

// Annotations returns the object's annotations.
func (o Object) Annotations() map[string]string { return o.Texts("/metadata/annotations") }

// Ending reports whether the object is being deleted.
func (o Object) Ending() bool { return o.Text("/metadata/deletionTimestamp") != "" }

// Controller returns who controls the object: the owner reference that says
// so. It is nil for an object that nobody controls.
func (o Object) Controller() Object {
	for _, ref := range o.Items("/metadata/ownerReferences") {
		if ref.Flag("/controller") {
			return ref
		}
	}
	return nil
}
