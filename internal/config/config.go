// Package config reads the configuration file, YAML or JSON, with the keys of
// the published guide and ours beside them. It says what is written, with
// defaults filled in; it does not look at the models, keys or environments
// that a file names.
package config

import (
	"io"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/drift"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/pyenv"
)

// DefaultCheckInterval is the time between two check cycles, as in the guide.
const DefaultCheckInterval = 300 * time.Second

// Config is a configuration as loaded, defaults filled in. All paths are
// absolute.
type Config struct {
	// Path is the file it was read from.
	Path string
	// CheckInterval is the time between two check cycles, at least a second
	// (check_interval_seconds).
	CheckInterval time.Duration
	// AlertWebhook is an http or https URL, or "" (alert_webhook). It often
	// holds a secret in its path: never show it whole.
	AlertWebhook string
	// Models are the models under protection, in the file's order (models,
	// or its alias monitored_models).
	Models []Model
	// BaselineDependencies maps Python packages to the versions they should
	// have, both as written (baseline_dependencies).
	BaselineDependencies map[string]string
	// DriftThreshold is the divergence in bits that counts as drift, between
	// 0 and 1 (behavior_drift_threshold).
	DriftThreshold float64
	// Archive is the directory of versions for models without their own. It
	// is filled into Models too (archive).
	Archive string
	Trust   Trust        // trust
	Python  pyenv.Config // python
	Alerts  Alerts       // alerts
	// Secrets are the names, never the values, of the secrets that are
	// reachable from the inference pipeline (secrets_to_rotate).
	Secrets []string
	// Templates is a file of message templates, or "" (templates).
	Templates string
}

// Model is one model under protection and what belongs to it.
type Model struct {
	artifact.Model
	// Quarantine is the directory an isolated model is moved to, or "" for
	// one beside the model (quarantine).
	Quarantine string
	// Drift says where its outputs are (drift).
	Drift drift.Config
}

// Trust says whose signatures count.
type Trust struct {
	// RequireSigned refuses baselines that nobody signed (require_signed).
	RequireSigned bool
	// PublicKeys are files of public keys (public_keys).
	PublicKeys []string
	// CertificateChains are files of certificates (certificate_chains).
	CertificateChains []string
}

// Alerts says what is worth an alert.
type Alerts struct {
	// MinSeverity is the least severity that is sent, medium by default
	// (min_severity).
	MinSeverity finding.Severity
}

// Load reads the configuration file at path. The error is a fault: NotFound
// when there is no such file, Invalid with every mistake of the file in line
// order, Incomplete when it cannot be read.
func Load(path string) (*Config, error) {
	return nil, fault.New(fault.NotFound, "%s: not yet", path)
}

// Parse reads a configuration from r. The name stands for it in errors, and
// relative paths in it are relative to the directory of name.
func Parse(name string, r io.Reader) (*Config, error) {
	return nil, fault.New(fault.Invalid, "%s: not yet", name)
}

// Example returns a commented configuration that Parse accepts.
func Example() string { return "" }

// Model returns the model with the given id.
func (c *Config) Model(id string) (Model, bool) {
	i := slices.IndexFunc(c.Models, func(m Model) bool { return m.ID == id })
	if i < 0 {
		return Model{}, false
	}
	return c.Models[i], true
}
