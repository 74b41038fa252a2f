package cluster

import (
	"context"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// State is what of a scene is kept as evidence: every object as the API has
// it, with who changed which of its fields and when.
type State struct {
	Cluster   string   `json:"cluster"`
	Workloads []Object `json:"workloads"`
	Pods      []Object `json:"pods"`
	Services  []Object `json:"services"`
	Others    []Object `json:"others"`
}

// State returns what was seen, for evidence.
func (s *Scene) State() State {
	out := State{Cluster: s.Cluster, Workloads: []Object{}, Pods: []Object{}, Services: []Object{}, Others: []Object{}}
	seen := map[string]bool{}
	add := func(list *[]Object, o Object) {
		if !seen[o.UID()] {
			seen[o.UID()] = true
			*list = append(*list, o)
		}
	}
	for _, w := range s.Workloads {
		add(&out.Workloads, w.Root.Object)
		add(&out.Workloads, w.Control.Object)
		for _, o := range append(append([]Object{}, w.Pods...), w.Detached...) {
			add(&out.Pods, o)
		}
	}
	for _, r := range s.Services {
		add(&out.Services, r.Object)
	}
	for _, list := range [][]Object{s.Routes, s.Autoscalers, s.ScaledObjects, s.Policies} {
		for _, o := range list {
			add(&out.Others, o)
		}
	}
	return out
}

// places returns the namespaces of the workloads.
func (s *Scene) places() (out []string) {
	seen := map[string]bool{}
	for _, w := range s.Workloads {
		if ns := w.Control.Ref.Namespace; !seen[ns] {
			seen[ns] = true
			out = append(out, ns)
		}
	}
	return out
}

// Beside lists the objects of a kind in the namespaces of the workloads, and
// what could not be listed.
func (s *Scene) Beside(ctx context.Context, api API, kind Kind) (out []Object, missing []string, err error) {
	out = []Object{}
	for _, ns := range s.places() {
		list, err := api.List(ctx, kind, ns, "")
		if fault.KindOf(err) == fault.Refused {
			missing = append(missing, fmt.Sprintf("%s in namespace %q: %v", kind.Resource, ns, err))
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		out = append(out, list...)
	}
	return out, missing, nil
}

// Output names the output of one container.
type Output struct {
	Namespace, Pod, Container string
	// Previous is the container that ran in its place before.
	Previous bool
}

// String names the output as evidence.
func (o Output) String() string {
	name := o.Namespace + "/" + o.Pod + "/" + o.Container
	if o.Previous {
		name += " (previous)"
	}
	return name
}

// Outputs lists the output that the pods' containers have left: that of those
// that run, and of those that ran before where one was restarted.
func (s *Scene) Outputs() (out []Output) {
	for _, w := range s.Workloads {
		for _, o := range append(append([]Object{}, w.Pods...), w.Detached...) {
			for _, list := range []string{"/status/initContainerStatuses", "/status/containerStatuses"} {
				for _, c := range o.Items(list) {
					named := Output{Namespace: o.Namespace(), Pod: o.ObjectName(), Container: c.Text("/name")}
					out = append(out, named)
					if c.Number("/restartCount") > 0 {
						named.Previous = true
						out = append(out, named)
					}
				}
			}
		}
	}
	return out
}
