package config

import (
	"math"
	"net/url"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/pyenv"
)

// maxInterval keeps a typing error from switching the checks off.
const maxInterval = 30 * 24 * time.Hour

// file reads the whole of a configuration into c.
func (r *reader) file(n *yaml.Node, c *Config) {
	var modelLines []int // of every model that was read
	var workloads, cluster *yaml.Node
	models := func(n *yaml.Node, at string) {
		if modelLines != nil {
			r.wrong(n.Line, at, "models and monitored_models are the same: give one of them")
			return
		}
		modelLines = []int{}
		r.list(n, at, func(n *yaml.Node, at string) {
			c.Models = append(c.Models, r.model(n, at))
			modelLines = append(modelLines, n.Line)
		})
	}
	r.mapping(n, "", map[string]field{
		"check_interval_seconds":   func(n *yaml.Node, at string) { c.CheckInterval = r.interval(n, at) },
		"alert_webhook":            func(n *yaml.Node, at string) { c.AlertWebhook = r.webhook(n, at) },
		"models":                   models,
		"monitored_models":         models,
		"baseline_dependencies":    func(n *yaml.Node, at string) { c.BaselineDependencies = r.dependencies(n, at) },
		"behavior_drift_threshold": func(n *yaml.Node, at string) { c.DriftThreshold = r.threshold(n, at) },
		"archive":                  func(n *yaml.Node, at string) { c.Archive = r.path(n, at) },
		"trust":                    func(n *yaml.Node, at string) { c.Trust = r.trust(n, at) },
		"python":                   func(n *yaml.Node, at string) { c.Python = r.python(n, at) },
		"alerts":                   func(n *yaml.Node, at string) { r.alerts(n, at, &c.Alerts) },
		"hashing":                  func(n *yaml.Node, at string) { r.hashing(n, at, &c.Hashing) },
		"watch":                    func(n *yaml.Node, at string) { r.watch(n, at, &c.Watch) },
		"secrets_to_rotate":        func(n *yaml.Node, at string) { c.Secrets = r.secrets(n, at) },
		"templates":                func(n *yaml.Node, at string) { c.Templates = r.path(n, at) },
		"playbook":                 func(n *yaml.Node, at string) { c.Playbook = r.path(n, at) },
		"clocks":                   func(n *yaml.Node, at string) { c.Clocks = r.clocks(n, at) },
		"approvals":                func(n *yaml.Node, at string) { c.Approvals = r.approvals(n, at) },
		"response":                 func(n *yaml.Node, at string) { c.Response = r.response(n, at) },
		"auto_contain":             func(n *yaml.Node, at string) { c.AutoContain = r.autoContain(n, at) },
		"operations":               func(n *yaml.Node, at string) { c.Operations = r.operations(n, at) },
		"workloads":                func(n *yaml.Node, at string) { workloads = n; c.Workloads = r.workloads(n, at) },
		"cluster":                  func(n *yaml.Node, at string) { cluster = n; c.Cluster = r.cluster(n, at) },
	})
	r.together(c, modelLines)
	r.workloadModels(c, workloads)
	r.clusterModels(c, cluster)
}

func (r *reader) model(n *yaml.Node, at string) Model {
	var m Model
	before := len(r.mistakes)
	given := map[string]bool{}
	once := func(key string, f field) field {
		return func(n *yaml.Node, at string) { given[key] = true; f(n, at) }
	}
	r.mapping(n, at, map[string]field{
		"id":         once("id", func(n *yaml.Node, at string) { m.ID = r.id(n, at) }),
		"path":       once("path", func(n *yaml.Node, at string) { m.Path = r.modelPath(n, at) }),
		"critical":   func(n *yaml.Node, at string) { m.Critical = r.boolean(n, at) },
		"archive":    func(n *yaml.Node, at string) { m.Archive = r.path(n, at) },
		"quarantine": func(n *yaml.Node, at string) { m.Quarantine = r.path(n, at) },
		"drift":      func(n *yaml.Node, at string) { r.drift(n, at, &m) },
	})
	for _, key := range []string{"id", "path"} {
		// what stands there under a wrong name has been named already
		if !given[key] && len(r.mistakes) == before {
			r.wrong(n.Line, at, "%s is missing", key)
		}
	}
	return m
}

func (r *reader) id(n *yaml.Node, at string) string {
	if !r.scalar(n, at, "text", "!!str") {
		return ""
	}
	if err := artifact.CheckID(n.Value); err != nil {
		r.wrong(n.Line, at, "%v", err)
		return ""
	}
	return n.Value
}

func (r *reader) modelPath(n *yaml.Node, at string) string {
	p := r.path(n, at)
	if p == "/" {
		r.wrong(n.Line, at, "the root of the file system is not a model")
		return ""
	}
	return p
}

func (r *reader) drift(n *yaml.Node, at string, m *Model) {
	before := len(r.mistakes)
	r.mapping(n, at, map[string]field{
		"outputs":   func(n *yaml.Node, at string) { m.Drift.Outputs = r.path(n, at) },
		"reference": func(n *yaml.Node, at string) { m.Drift.Reference = r.path(n, at) },
	})
	if len(r.mistakes) == before && (m.Drift.Outputs == "" || m.Drift.Reference == "") {
		r.wrong(n.Line, at, "needs both outputs and reference")
	}
}

func (r *reader) interval(n *yaml.Node, at string) time.Duration {
	seconds, ok := r.number(n, at)
	switch {
	case !ok:
	case seconds != math.Trunc(seconds) || seconds < 1 || seconds > maxInterval.Seconds():
		r.wrong(n.Line, at, "want whole seconds from 1 to %.0f", maxInterval.Seconds())
	default:
		return time.Duration(seconds) * time.Second
	}
	return 0
}

func (r *reader) threshold(n *yaml.Node, at string) float64 {
	bits, ok := r.number(n, at)
	if ok && (bits <= 0 || bits >= 1) {
		r.wrong(n.Line, at, "want a number between 0 and 1, both excluded")
		return 0
	}
	return bits
}

// webhook reads a URL. The messages do not show it: its path is often a
// secret.
func (r *reader) webhook(n *yaml.Node, at string) string {
	before := len(r.mistakes)
	s := r.text(n, at)
	if s == "" || len(r.mistakes) > before {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		r.wrong(n.Line, at, "want an http or https URL with a host")
		return ""
	}
	return s
}

// dependencies reads package names and versions. The versions must be text:
// YAML and JSON readers turn 1.10 into 1.1.
func (r *reader) dependencies(n *yaml.Node, at string) map[string]string {
	want := map[string]string{}
	lines := map[string]int{}
	r.entries(n, at, func(key, value *yaml.Node, at string) {
		before := len(r.mistakes)
		version := r.text(value, at)
		name := pyenv.NormalizeName(key.Value)
		switch {
		case len(r.mistakes) > before:
		case !pyenv.ValidName(key.Value):
			r.wrong(key.Line, at, "not the name of a Python package")
		case lines[name] > 0:
			r.wrong(key.Line, at, "the same package as in line %d", lines[name])
		case version == "" || strings.ContainsAny(version, "<>=~*,; \t"):
			r.wrong(value.Line, at, "want one version, as \"2.2.0\"")
		default:
			lines[name], want[key.Value] = key.Line, version
		}
	})
	return want
}

func (r *reader) trust(n *yaml.Node, at string) Trust {
	var t Trust
	before := len(r.mistakes)
	r.mapping(n, at, map[string]field{
		"require_signed":     func(n *yaml.Node, at string) { t.RequireSigned = r.boolean(n, at) },
		"public_keys":        func(n *yaml.Node, at string) { t.PublicKeys = r.paths(n, at) },
		"certificate_chains": func(n *yaml.Node, at string) { t.CertificateChains = r.paths(n, at) },
		"identities": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) { t.Identities = append(t.Identities, r.identity(n, at)) })
		},
		"trusted_root": func(n *yaml.Node, at string) { t.TrustedRoot = r.path(n, at) },
	})
	if len(r.mistakes) == before && len(t.Identities) > 0 && t.TrustedRoot == "" {
		r.wrong(n.Line, at, "identities need a trusted_root: the file that says which authorities vouch for them")
	}
	return t
}

// identity reads who may sign. Half of it would trust far too many.
func (r *reader) identity(n *yaml.Node, at string) Identity {
	var id Identity
	before := len(r.mistakes)
	r.mapping(n, at, map[string]field{
		"identity": func(n *yaml.Node, at string) { id.Name = r.text(n, at) },
		"issuer":   func(n *yaml.Node, at string) { id.Issuer = r.text(n, at) },
	})
	if len(r.mistakes) == before && (id.Name == "" || id.Issuer == "") {
		r.wrong(n.Line, at, "needs both identity and issuer")
	}
	return id
}

func (r *reader) python(n *yaml.Node, at string) pyenv.Config {
	var p pyenv.Config
	r.mapping(n, at, map[string]field{
		"environments": func(n *yaml.Node, at string) { p.Environments = r.paths(n, at) },
	})
	return p
}

func (r *reader) clocks(n *yaml.Node, at string) Clocks {
	var c Clocks
	r.mapping(n, at, map[string]field{
		"profiles": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) {
				if id := r.id(n, at); id != "" {
					c.Profiles = append(c.Profiles, id)
				}
			})
		},
		"calendar": func(n *yaml.Node, at string) { c.Calendar = r.path(n, at) },
		"file":     func(n *yaml.Node, at string) { c.File = r.path(n, at) },
	})
	return c
}

// The bounds of hashing. A rate that is too low never gets to the end of a
// model, and an age that is too high never notices.
const (
	maxWorkers = 64
	minRate    = 1 << 20
	maxFullAge = 30 * 24 * time.Hour
)

func (r *reader) hashing(n *yaml.Node, at string, h *Hashing) {
	r.mapping(n, at, map[string]field{
		"workers": func(n *yaml.Node, at string) { h.Workers = int(r.whole(n, at, 1, maxWorkers)) },
		"rate":    func(n *yaml.Node, at string) { h.Rate = r.whole(n, at, minRate, 1<<50) },
		"full_hash_age": func(n *yaml.Node, at string) {
			if !r.scalar(n, at, "a time such as 24h", "!!str") {
				return
			}
			age, err := time.ParseDuration(n.Value)
			if err != nil || age < 0 || age > maxFullAge {
				r.wrong(n.Line, at, "want a time from 0s to %.0fh, as 24h", maxFullAge.Hours())
				return
			}
			h.FullAge = age
		},
	})
}

// whole reads a whole number between two bounds.
func (r *reader) whole(n *yaml.Node, at string, least, most int64) int64 {
	f, ok := r.number(n, at)
	switch {
	case !ok:
	case f != math.Trunc(f) || f < float64(least) || f > float64(most):
		r.wrong(n.Line, at, "want a whole number from %d to %d", least, most)
	default:
		return int64(f)
	}
	return 0
}

// secrets reads names of secrets. Whoever writes a value here by mistake must
// not find it again in an error message.
func (r *reader) secrets(n *yaml.Node, at string) []string {
	var names []string
	seen := map[string]int{}
	r.list(n, at, func(n *yaml.Node, at string) {
		switch {
		case !r.scalar(n, at, "text", "!!str"):
		case !secretName(n.Value):
			r.wrong(n.Line, at, "want the name of a secret: 1 to 128 letters, digits and \"._-/:@\"")
		case seen[n.Value] > 0:
			r.wrong(n.Line, at, "given twice, first in line %d", seen[n.Value])
		default:
			seen[n.Value] = n.Line
			names = append(names, n.Value)
		}
	})
	return names
}

func secretName(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-/:@", c)
	})
}
