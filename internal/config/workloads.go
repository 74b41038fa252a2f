package config

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// workloads reads what of a cluster serves which model.
func (r *reader) workloads(n *yaml.Node, at string) (out []Workload) {
	r.list(n, at, func(n *yaml.Node, at string) { out = append(out, r.workload(n, at)) })
	return out
}

func (r *reader) workload(n *yaml.Node, at string) (w Workload) {
	given := false
	before := len(r.mistakes)
	r.mapping(n, at, map[string]field{
		"model":      func(n *yaml.Node, at string) { given = true; w.Model = r.id(n, at) },
		"namespaces": func(n *yaml.Node, at string) { w.Namespaces = r.names(n, at) },
		"labels":     func(n *yaml.Node, at string) { w.Labels = r.labels(n, at) },
		"sources":    func(n *yaml.Node, at string) { w.Sources = r.texts(n, at) },
		"versions":   func(n *yaml.Node, at string) { w.Versions = r.versions(n, at) },
		"mounted":    func(n *yaml.Node, at string) { w.Mounted = r.inPod(n, at) },
		"agents":     func(n *yaml.Node, at string) { w.Agents = r.agents(n, at) },
	})
	if len(r.mistakes) == before && w.byVerdicts() && (w.Mounted == "" || len(w.Agents) == 0) {
		r.wrong(n.Line, at, "a version with claim or in_place needs mounted and agents: nobody else can tell which content is there")
	}
	if !given && len(r.mistakes) == before {
		r.wrong(n.Line, at, "model is missing")
	}
	return w
}

// workloadModels checks that every workload names a model, and no two the same.
func (r *reader) workloadModels(c *Config, n *yaml.Node) {
	first := map[string]int{}
	for i, w := range c.Workloads {
		at, line := fmt.Sprintf("workloads[%d].model", i), n.Content[i].Line
		if _, known := c.Model(w.Model); w.Model != "" && !known {
			r.wrong(line, at, "no model %s under models", artifact.Quote(w.Model))
		}
		if before, twice := first[w.Model]; w.Model != "" && twice {
			r.wrong(line, at, "the workloads of %s are in line %d already", artifact.Quote(w.Model), before)
		}
		first[w.Model] = line
	}
}

// objectNames are what the API takes as names of namespaces and containers.
var objectNames = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (r *reader) objectName(n *yaml.Node, at string) string {
	before := len(r.mistakes)
	text := r.text(n, at)
	if len(r.mistakes) == before && !objectNames.MatchString(text) {
		r.wrong(n.Line, at, "%s is no name in a cluster: small letters, digits and \"-\", at most 63", artifact.Quote(text))
		return ""
	}
	return text
}

func (r *reader) names(n *yaml.Node, at string) (out []string) {
	r.list(n, at, func(n *yaml.Node, at string) {
		if text := r.objectName(n, at); text != "" {
			out = append(out, text)
		}
	})
	return out
}

// texts reads a list of texts that are not empty.
func (r *reader) texts(n *yaml.Node, at string) (out []string) {
	r.list(n, at, func(n *yaml.Node, at string) {
		before := len(r.mistakes)
		text := r.text(n, at)
		if len(r.mistakes) > before {
			return
		}
		if text == "" {
			r.wrong(n.Line, at, "is empty")
			return
		}
		out = append(out, text)
	})
	return out
}

// labelPart is one side of a label as the API takes it.
var labelPart = regexp.MustCompile(`^([A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

func (r *reader) labels(n *yaml.Node, at string) map[string]string {
	out := map[string]string{}
	r.entries(n, at, func(key, value *yaml.Node, at string) {
		text := r.text(value, at)
		if !labelPart.MatchString(key.Value) || !labelPart.MatchString(text) || strings.Contains(text, "/") {
			r.wrong(key.Line, at, "is no label of a cluster")
			return
		}
		out[key.Value] = text
	})
	if len(out) == 0 && len(r.mistakes) == 0 {
		r.wrong(n.Line, at, "is empty: that would select everything")
	}
	return out
}

// versions reads how the versions of a model are served.
func (r *reader) versions(n *yaml.Node, at string) map[string]Served {
	out := map[string]Served{}
	r.entries(n, at, func(key, value *yaml.Node, at string) {
		if err := artifact.CheckID(key.Value); err != nil {
			r.wrong(key.Line, at, "%v", err)
			return
		}
		var s Served
		before := len(r.mistakes)
		r.mapping(value, at, map[string]field{
			"images":   func(n *yaml.Node, at string) { s.Images = r.images(n, at) },
			"volume":   func(n *yaml.Node, at string) { s.Volume = r.pinned(n, at) },
			"uri":      func(n *yaml.Node, at string) { s.URI = r.text(n, at) },
			"claim":    func(n *yaml.Node, at string) { s.Claim = r.objectName(n, at) },
			"in_place": func(n *yaml.Node, at string) { s.InPlace = r.boolean(n, at) },
		})
		switch {
		case len(r.mistakes) > before:
		case len(s.Images) == 0 && s.Volume == "" && s.URI == "" && s.Claim == "" && !s.InPlace:
			r.wrong(value.Line, at, "needs images, volume, uri, claim or in_place")
		case s.Claim != "" && s.InPlace:
			r.wrong(value.Line, at, "claim says where it is, and in_place that it is where the one before was: give one")
		}
		out[key.Value] = s
	})
	return out
}

func (r *reader) images(n *yaml.Node, at string) map[string]string {
	out := map[string]string{}
	r.entries(n, at, func(key, value *yaml.Node, at string) {
		if !objectNames.MatchString(key.Value) {
			r.wrong(key.Line, at, "is no name of a container")
			return
		}
		out[key.Value] = r.pinned(value, at)
	})
	return out
}

// pinnedImage is a reference that stands for one content.
var pinnedImage = regexp.MustCompile(`^[^@\s]+@sha256:[0-9a-f]{64}$`)

// pinned reads an image by digest. A tag can be moved, so that nobody can say
// what is served.
func (r *reader) pinned(n *yaml.Node, at string) string {
	before := len(r.mistakes)
	text := r.text(n, at)
	if len(r.mistakes) == before && !pinnedImage.MatchString(text) {
		r.wrong(n.Line, at, "want an image by digest, as registry.example/fraud@sha256:…: a tag can be moved")
		return ""
	}
	return text
}
