package denypolicy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Rule says which pods are refused.
type Rule struct {
	// Images are whole references; Digests are of images, in whatever
	// registry; URIs are words of commands, arguments and environments.
	Images  []string `json:"images,omitempty"`
	Digests []string `json:"digests,omitempty"`
	URIs    []string `json:"uris,omitempty"`
	// Workloads are pods by their labels. They are refused whatever they
	// name, until the workload says which verified version it has.
	Workloads []Labelled `json:"workloads,omitempty"`
}

// Labelled are the pods of one workload.
type Labelled struct {
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
}

// maxLiterals bounds a rule: an API server bounds the cost of evaluating it.
const maxLiterals = 200

// NewRule makes the rule for what serves a model. What carries the model is
// refused by name: the images, mounted images or addresses that the operator
// names, else the mounted images and addresses in the pods, else their
// containers' images. Where the model comes from a volume that is none of
// these, the pods are refused by their labels.
func NewRule(scene *cluster.Scene) Rule {
	var r Rule
	for _, w := range scene.Workloads {
		sources := bearing(scene.Selector, w)
		for _, s := range sources {
			r.add(s)
		}
		if len(sources) == 0 {
			r.Workloads = append(r.Workloads, Labelled{w.Control.Ref.Namespace, labelsOf(w)})
		}
	}
	for _, list := range []*[]string{&r.Images, &r.Digests, &r.URIs} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return r
}

func labelsOf(w cluster.Workload) map[string]string {
	if labels := w.Control.Object.Texts("/spec/selector/matchLabels"); len(labels) > 0 {
		return labels
	}
	return cluster.FormerLabels(w.Control.Object)
}

// bearing returns what carries the model in a workload's pods.
func bearing(selector cluster.Selector, w cluster.Workload) (out []cluster.Source) {
	all := cluster.Sources(w.Spec())
	if uri := w.Root.Object.Text("/spec/predictor/model/storageUri"); uri != "" {
		all = append(all, cluster.Source{Kind: cluster.SourceURI, Value: uri})
	}
	pick := func(keep func(cluster.Source) bool) []cluster.Source {
		return slices.DeleteFunc(slices.Clone(all), func(s cluster.Source) bool { return !keep(s) })
	}
	if named := pick(func(s cluster.Source) bool {
		return slices.ContainsFunc(selector.Sources, func(want string) bool { return cluster.Names(s.Value, want) })
	}); len(named) > 0 {
		return named
	}
	if carried := pick(func(s cluster.Source) bool { return s.Kind != cluster.SourceImage }); len(carried) > 0 {
		return carried
	}
	if mounts(w.Spec()) || len(w.Control.Object.Items("/spec/volumeClaimTemplates")) > 0 {
		return nil
	}
	return pick(func(s cluster.Source) bool { return strings.HasPrefix(s.Path, "/containers/") })
}

// mounts reports whether pods get files from a volume that is not their own.
func mounts(spec cluster.Object) bool {
	for _, v := range spec.Items("/volumes") {
		for _, kind := range []string{"persistentVolumeClaim", "hostPath", "nfs", "csi", "iscsi", "fc", "ephemeral"} {
			if _, ok := v.At("/" + kind); ok {
				return true
			}
		}
	}
	return false
}

func (r *Rule) add(s cluster.Source) {
	switch digest := cluster.Digest(s.Value); {
	case s.Kind == cluster.SourceURI:
		r.URIs = append(r.URIs, s.Value)
	case digest != "":
		r.Digests = append(r.Digests, digest)
	default:
		r.Images = append(r.Images, s.Value)
	}
}

func (r Rule) check() error {
	if n := len(r.Images) + len(r.Digests) + len(r.URIs) + len(r.Workloads); n > maxLiterals {
		return fault.New(fault.Refused, "%d references to deny, more than %d in one policy", n, maxLiterals).
			WithHint("name what carries the model with workloads: sources: in the configuration")
	}
	return nil
}

// String is the rule for people.
func (r Rule) String() string {
	var parts []string
	for _, l := range []struct {
		list []string
		name string
	}{{r.Digests, "digest"}, {r.Images, "image"}, {r.URIs, "address"}} {
		for _, v := range l.list {
			parts = append(parts, l.name+" "+v)
		}
	}
	for _, w := range r.Workloads {
		parts = append(parts, fmt.Sprintf("pods %s in %s without a verified version", cluster.Equality(w.Labels), w.Namespace))
	}
	if len(parts) > 4 {
		parts = append(parts[:4], fmt.Sprintf("and %d more", len(parts)-4))
	}
	return strings.Join(parts, ", ")
}

func (r Rule) remarks() (out []string) {
	for _, i := range r.Images {
		out = append(out, fmt.Sprintf("%s is named by a tag: the same image under another name is not refused; deploy by digest", strconv.Quote(i)))
	}
	if len(r.Workloads) > 0 {
		out = append(out, "the model comes from a volume: its pods are refused by their labels, whoever makes them, until a rollback by this program names the verified version")
	}
	return out
}

// expression is the rule in CEL: true for a pod that is let through.
func (r Rule) expression() string {
	var bad []string
	if len(r.Images) > 0 {
		bad = append(bad, fmt.Sprintf("variables.images.exists(i, i in %s)", list(r.Images)))
	}
	if len(r.Digests) > 0 {
		bad = append(bad, fmt.Sprintf("variables.images.exists(i, %s.exists(d, i.endsWith(d)))", list(r.Digests)))
	}
	if len(r.URIs) > 0 {
		for _, containers := range []string{"containers", "initContainers"} {
			bad = append(bad, fmt.Sprintf(`has(object.spec.%[1]s) && object.spec.%[1]s.exists(c,
  has(c.args) && c.args.exists(a, a in %[2]s) ||
  has(c.command) && c.command.exists(a, a in %[2]s) ||
  has(c.env) && c.env.exists(e, has(e.value) && e.value in %[2]s))`, containers, list(r.URIs)))
		}
		bad = append(bad, fmt.Sprintf("has(object.metadata.annotations) && object.metadata.annotations.exists(k, object.metadata.annotations[k] in %s)", list(r.URIs)))
	}
	for _, w := range r.Workloads {
		conditions := []string{"object.metadata.namespace == " + strconv.Quote(w.Namespace), "has(object.metadata.labels)"}
		for _, k := range sortedKeys(w.Labels) {
			conditions = append(conditions, fmt.Sprintf("%[1]q in object.metadata.labels && object.metadata.labels[%[1]q] == %[2]q", k, w.Labels[k]))
		}
		conditions = append(conditions, fmt.Sprintf("!(has(object.metadata.annotations) && %q in object.metadata.annotations)", cluster.NoteVersion))
		bad = append(bad, strings.Join(conditions, " && "))
	}
	if len(bad) == 0 {
		return "true"
	}
	return "!(" + strings.Join(bad, " ||\n") + ")"
}

// images is the list of a pod's images in CEL, mounted ones too.
const images = `object.spec.containers.filter(c, has(c.image)).map(c, c.image) +
(has(object.spec.initContainers) ? object.spec.initContainers.filter(c, has(c.image)).map(c, c.image) : []) +
(has(object.spec.volumes) ? object.spec.volumes.filter(v, has(v.image) && has(v.image.reference)).map(v, v.image.reference) : [])`

// list writes texts as a CEL list. Go's quoting is CEL's for what can be in
// an image, an address or a label; anything else is escaped by both alike.
func list(values []string) string {
	quoted := make([]string, 0, len(values))
	for _, v := range values {
		quoted = append(quoted, strconv.QuoteToASCII(v))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// policy is the object that says what is refused. It matches pods when they
// are created and nothing else: whoever refuses changes of what runs makes a
// rollout stick half-way.
func (p params) policy() cluster.Object {
	return cluster.Object{
		"metadata": map[string]any{"name": p.Policy, "labels": map[string]any{cluster.LabelIncident: p.Incident}},
		"spec": map[string]any{
			"failurePolicy": "Fail",
			"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{
				"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods"},
			}}},
			"variables": []any{map[string]any{"name": "images", "expression": images}},
			"validations": []any{map[string]any{
				"expression": p.Rule.expression(), "reason": "Forbidden",
				"message": "the model is denied by incident " + p.Incident + ": weightwarden incident show " + p.Incident,
			}, map[string]any{
				"expression": fmt.Sprintf("!(has(object.metadata.annotations) && %[1]q in object.metadata.annotations && object.metadata.annotations[%[1]q] == %[2]q)", cluster.NoteTrial, p.Incident),
				"reason":     "Forbidden", "message": "this policy of incident " + p.Incident + " is in force",
			}},
		},
	}
}

// binding puts the policy into force.
func (p params) binding() cluster.Object {
	return cluster.Object{
		"metadata": map[string]any{"name": p.Policy, "labels": map[string]any{cluster.LabelIncident: p.Incident}},
		"spec":     map[string]any{"policyName": p.Policy, "validationActions": []any{"Deny"}},
	}
}
