package config

import (
	"fmt"
	"path"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// Cluster says what the agent tells in a Kubernetes cluster, and as whom.
type Cluster struct {
	// Node is the one that it runs on, Namespace where its lease is; "" is as
	// the surroundings say (node, namespace).
	Node, Namespace string
	// Models are those that it tells about; without any it tells nothing
	// (models).
	Models []Located
}

// Located says what a model's path is of the cluster.
type Located struct {
	// Model is the id of a model under models (model).
	Model string
	// Namespace is that of the workload that serves it (namespace).
	Namespace string
	// Place is a claim (claim), a path of the node (host_path) or a volume of
	// the pod that the agent is in (volume), and a path in that (inside).
	Place verdict.Place
}

// Agent is a key whose verdicts count.
type Agent struct {
	// Node is the one whose agent it is (node); "" is whichever it names.
	Node string
	// Key is as in the agent's state.pub (key).
	Key evidence.VerifierKey
}

func (w Workload) byVerdicts() bool {
	for _, v := range w.Versions {
		if v.Claim != "" || v.InPlace {
			return true
		}
	}
	return false
}

func (r *reader) cluster(n *yaml.Node, at string) (c Cluster) {
	r.mapping(n, at, map[string]field{
		"node":      func(n *yaml.Node, at string) { c.Node = r.nodeName(n, at) },
		"namespace": func(n *yaml.Node, at string) { c.Namespace = r.objectName(n, at) },
		"models": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) { c.Models = append(c.Models, r.located(n, at)) })
		},
	})
	if len(c.Models) > verdict.MaxModels {
		r.wrong(n.Line, at, "%d models, at most %d are told about", len(c.Models), verdict.MaxModels)
	}
	return c
}

func (r *reader) located(n *yaml.Node, at string) (l Located) {
	before := len(r.mistakes)
	claim := ""
	r.mapping(n, at, map[string]field{
		"model":     func(n *yaml.Node, at string) { l.Model = r.id(n, at) },
		"namespace": func(n *yaml.Node, at string) { l.Namespace = r.objectName(n, at) },
		"claim":     func(n *yaml.Node, at string) { claim = r.objectName(n, at) },
		"host_path": func(n *yaml.Node, at string) { l.Place.Host = r.inPod(n, at) },
		"volume":    func(n *yaml.Node, at string) { l.Place.Volume = r.objectName(n, at) },
		"inside":    func(n *yaml.Node, at string) { l.Place.Inside = r.inside(n, at) },
	})
	if len(r.mistakes) > before {
		return l
	}
	if l.Model == "" || l.Namespace == "" {
		r.wrong(n.Line, at, "needs model and namespace")
		return l
	}
	if claim != "" {
		l.Place.Claim = l.Namespace + "/" + claim
	}
	if err := l.Place.Check(); err != nil {
		r.wrong(n.Line, at, "needs one of claim, host_path and volume: %v", err)
	}
	return l
}

// inside reads a path in a volume.
func (r *reader) inside(n *yaml.Node, at string) string {
	before := len(r.mistakes)
	text := r.text(n, at)
	if err := artifact.CheckPath(text); err != nil && len(r.mistakes) == before {
		r.wrong(n.Line, at, "%v", err)
		return ""
	}
	return text
}

// inPod reads an absolute path that is not one of this machine.
func (r *reader) inPod(n *yaml.Node, at string) string {
	before := len(r.mistakes)
	text := r.text(n, at)
	if len(r.mistakes) == before && (text == "" || text[0] != '/' || path.Clean(text) != text || text == "/") {
		r.wrong(n.Line, at, "want an absolute path in its shortest form, as /mnt/models")
		return ""
	}
	return text
}

func (r *reader) agents(n *yaml.Node, at string) (out []Agent) {
	first := map[string]int{}
	r.list(n, at, func(n *yaml.Node, at string) {
		a, given := Agent{}, false
		before := len(r.mistakes)
		r.mapping(n, at, map[string]field{
			"node": func(n *yaml.Node, at string) { a.Node = r.nodeName(n, at) },
			"key": func(n *yaml.Node, at string) {
				given = true
				key, err := evidence.ParseVerifierKey(r.text(n, at))
				if err != nil {
					r.wrong(n.Line, at, "want the key in the agent's state.pub: %v", err)
				}
				a.Key = key
			},
		})
		switch {
		case len(r.mistakes) > before:
		case !given:
			r.wrong(n.Line, at, "key is missing")
		case first[a.Key.String()+a.Node] > 0:
			r.wrong(n.Line, at, "given twice, first in line %d", first[a.Key.String()+a.Node])
		default:
			first[a.Key.String()+a.Node] = n.Line
			out = append(out, a)
		}
	})
	return out
}

// nodeName reads the name of a node, which may have dots.
func (r *reader) nodeName(n *yaml.Node, at string) string {
	before := len(r.mistakes)
	text := r.text(n, at)
	if len(r.mistakes) == before && !verdict.ObjectName(text) {
		r.wrong(n.Line, at, "%s is no name of a node", artifact.Quote(text))
		return ""
	}
	return text
}

// clusterModels checks that each model that is told about is known, and told
// about once.
func (r *reader) clusterModels(c *Config, n *yaml.Node) {
	first := map[string]int{}
	for i, l := range c.Cluster.Models {
		at := fmt.Sprintf("cluster.models[%d]", i)
		if _, known := c.Model(l.Model); l.Model != "" && !known {
			r.wrong(n.Line, at, "no model %s under models", artifact.Quote(l.Model))
		}
		if before, twice := first[l.Model]; l.Model != "" && twice {
			r.wrong(n.Line, at, "%s is told about by cluster.models[%d] already", artifact.Quote(l.Model), before)
		}
		first[l.Model] = i
	}
}
