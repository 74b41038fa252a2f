package config

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/finding"
)

// Watch says how the daemon watches.
type Watch struct {
	// FullPassAge is how old the last reading of any file may get
	// (full_pass_age). It is that of hashing.full_hash_age when left out.
	FullPassAge time.Duration
	// Poll is the time between two looks at what the kernel does not watch
	// (poll_interval).
	Poll time.Duration
	// DriftEvery and PackagesEvery are the least times between two looks at
	// outputs and at Python environments; 0 is every cycle (drift_interval,
	// python_interval).
	DriftEvery, PackagesEvery time.Duration
	// Declare is the severity from which an indicator of a model opens an
	// incident; 0 is never (declare).
	Declare finding.Severity
}

// DefaultPoll is the time between two looks at what the kernel does not watch.
const DefaultPoll = 10 * time.Second

// Bounds of what is written under watch. Less than a second never rests, more
// than a month never notices.
const (
	minPoll    = time.Second
	maxPoll    = time.Hour
	minPassAge = time.Minute
)

func (r *reader) watch(n *yaml.Node, at string, w *Watch) {
	r.mapping(n, at, map[string]field{
		"full_pass_age":   func(n *yaml.Node, at string) { w.FullPassAge = r.duration(n, at, minPassAge, maxFullAge) },
		"poll_interval":   func(n *yaml.Node, at string) { w.Poll = r.duration(n, at, minPoll, maxPoll) },
		"drift_interval":  func(n *yaml.Node, at string) { w.DriftEvery = r.duration(n, at, 0, maxInterval) },
		"python_interval": func(n *yaml.Node, at string) { w.PackagesEvery = r.duration(n, at, 0, maxInterval) },
		"declare":         func(n *yaml.Node, at string) { w.Declare = r.orOff(n, at) },
	})
}

// orOff reads a severity, or "off".
func (r *reader) orOff(n *yaml.Node, at string) finding.Severity {
	if n.Kind == yaml.ScalarNode && (n.Value == "off" || n.Value == "false") {
		return 0
	}
	if !r.scalar(n, at, "text", "!!str") {
		return 0
	}
	s, err := finding.ParseSeverity(n.Value)
	if err != nil {
		r.wrong(n.Line, at, "want off, low, medium, high or critical")
	}
	return s
}
