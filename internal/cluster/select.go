package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The labels and annotations that this program puts on objects.
const (
	// LabelIncident marks what was taken out of service as evidence; its value
	// is the incident.
	LabelIncident = "incident.weightwarden.dev/id"
	// KeyServing is the key that a service's selector asks for, and no pod
	// has, while the service is cut.
	KeyServing = "incident.weightwarden.dev/serving"
	// NoteLabels keeps the labels that a detached pod had.
	NoteLabels = "incident.weightwarden.dev/former-labels"
	// NoteWorkload keeps which workload a detached pod was part of.
	NoteWorkload = "incident.weightwarden.dev/workload"
	// NoteVersion is the root digest of the verified version that a workload
	// was rolled back to.
	NoteVersion = "weightwarden.dev/verified-version"
	// NoteTrial marks a pod, never made, by which an incident's denial is tried.
	NoteTrial = "incident.weightwarden.dev/trial"
	// LabelModel is the label by which workloads name their model.
	LabelModel = "model"
)

// Selector says which workloads serve a model.
type Selector struct {
	Model string
	// Namespaces are looked through; all of them when there is none.
	Namespaces []string
	// Labels selects by equality; every one must be there. Without any it is
	// model=<id>.
	Labels map[string]string
	// Sources are images, digests and URIs, as pods name them, that carry the
	// model; a workload that names one of them serves it.
	Sources []string
}

func (s Selector) labels() map[string]string {
	if len(s.Labels) > 0 {
		return s.Labels
	}
	return map[string]string{LabelModel: s.Model}
}

// matches reports whether something with these labels, or that names these
// sources, serves the model.
func (s Selector) matches(labels map[string]string, sources []string) bool {
	if Subset(s.labels(), labels) {
		return true
	}
	return slices.ContainsFunc(sources, func(have string) bool {
		return slices.ContainsFunc(s.Sources, func(want string) bool { return Names(have, want) })
	})
}

// Names reports whether a reference is the wanted one, or has its digest.
func Names(have, want string) bool {
	return have == want || strings.HasPrefix(want, "sha256:") && strings.HasSuffix(have, "@"+want)
}

// Subset reports whether labels has everything that want has. Nothing wanted
// selects nothing, as a service without a selector does.
func Subset(want, labels map[string]string) bool {
	for k, v := range want {
		if has, ok := labels[k]; !ok || has != v {
			return false
		}
	}
	return len(want) > 0
}

// Equality is a label selector in the form that the API takes.
func Equality(labels map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+labels[k])
	}
	return strings.Join(parts, ",")
}

// Matches reports whether an object's selector (matchLabels and
// matchExpressions) selects these labels. An empty one selects everything.
func Matches(selector Object, labels map[string]string) bool {
	if want := selector.Texts("/matchLabels"); len(want) > 0 && !Subset(want, labels) {
		return false
	}
	for _, e := range selector.Items("/matchExpressions") {
		if !expression(e, labels) {
			return false
		}
	}
	return true
}

func expression(e Object, labels map[string]string) bool {
	value, has := labels[e.Text("/key")]
	listed := false
	list, _ := e.At("/values")
	values, _ := list.([]any)
	for _, v := range values {
		listed = listed || has && v == value
	}
	switch e.Text("/operator") {
	case "In":
		return listed
	case "NotIn":
		return !listed
	case "Exists":
		return has
	case "DoesNotExist":
		return !has
	}
	return true // not understood: taken as selecting, so that it is looked at
}

// Source is one reference by which a pod gets what it runs or serves.
type Source struct {
	// Path is where in the pod it stands, as a JSON pointer below spec, or
	// what kind of place that is.
	Path string `json:"path"`
	// Kind is image, volume, uri or digest.
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// The kinds of source.
const (
	SourceImage  = "image"  // the image of a container
	SourceVolume = "volume" // an image that is mounted
	SourceURI    = "uri"    // where a container fetches a model from
)

// schemes are those that models are fetched by.
var schemes = []string{"s3://", "gs://", "hf://", "oci://", "https://", "http://", "azure://", "abfs://", "hdfs://", "pvc://", "modelcar://", "mlflow://", "registry://"}

// Sources lists the references of a pod's specification.
func Sources(spec Object) []Source {
	var out []Source
	for _, list := range []string{"containers", "initContainers"} {
		for n, c := range spec.Items("/" + list) {
			at := fmt.Sprintf("/%s/%d", list, n)
			out = append(out, Source{at + "/image", SourceImage, c.Text("/image")})
			out = append(out, fetched(at, c)...)
		}
	}
	for n, v := range spec.Items("/volumes") {
		if ref := v.Text("/image/reference"); ref != "" {
			out = append(out, Source{fmt.Sprintf("/volumes/%d/image/reference", n), SourceVolume, ref})
		}
	}
	return out
}

// fetched lists the URIs that a container is told.
func fetched(at string, c Object) []Source {
	var out []Source
	for _, list := range []string{"command", "args"} {
		v, _ := c.At("/" + list)
		words, _ := v.([]any)
		for n, w := range words {
			if text, ok := w.(string); ok && isURI(text) {
				out = append(out, Source{fmt.Sprintf("%s/%s/%d", at, list, n), SourceURI, text})
			}
		}
	}
	for n, e := range c.Items("/env") {
		if text := e.Text("/value"); isURI(text) {
			out = append(out, Source{fmt.Sprintf("%s/env/%d/value", at, n), SourceURI, text})
		}
	}
	return out
}

func isURI(text string) bool {
	return slices.ContainsFunc(schemes, func(s string) bool { return strings.HasPrefix(text, s) })
}

func values(sources []Source) []string {
	var out []string
	for _, s := range sources {
		out = append(out, s.Value)
	}
	return out
}
