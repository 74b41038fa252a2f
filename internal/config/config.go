// Package config reads the configuration file, YAML or JSON, with the keys of
// the published guide and ours beside them. It says what is written, with
// defaults filled in; it does not look at the models, keys or environments
// that a file names.
package config

import (
	"bytes"
	_ "embed" // example.yaml
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/drift"
	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/pyenv"
)

// DefaultCheckInterval is the time between two check cycles, as in the guide.
const DefaultCheckInterval = 300 * time.Second

// maxSize is the greatest size of a configuration in bytes.
const maxSize = 1 << 20

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
	Hashing Hashing      // hashing
	Watch   Watch        // watch
	// Secrets are the names, never the values, of the secrets that are
	// reachable from the inference pipeline (secrets_to_rotate).
	Secrets []string
	// Templates is a file of message templates, or "" (templates).
	Templates string
	// Playbook is a file with the steps of the response, or "" for the
	// built-in ones (playbook).
	Playbook   string
	Clocks     Clocks     // clocks
	Operations Operations // operations
	Approvals  Approvals  // approvals
	Response   Response   // response
	// AutoContain are the policies of automatic containment (auto_contain).
	AutoContain []AutoContain
	// Workloads say what of a Kubernetes cluster serves the models
	// (workloads).
	Workloads []Workload
	// Cluster says what the agent tells in a cluster (cluster).
	Cluster Cluster
}

// Operations says where the agent can be asked how it is.
type Operations struct {
	// Listen is the address of /metrics, /healthz and /readyz, or "" (listen).
	Listen string
	// Pprof is the loopback address of the profiles, or "" (pprof).
	Pprof string
}

// Workload says which workloads of a cluster serve a model, and how each of
// its versions is served.
type Workload struct {
	// Model is the id of a model under models (model).
	Model string
	// Namespaces are looked through; without any, the one of the flags or the
	// context (namespaces).
	Namespaces []string
	// Labels select workloads; model=<id> by default (labels).
	Labels map[string]string
	// Sources are the images, digests and addresses that carry the model
	// (sources).
	Sources []string
	// Versions say how versions are served, by their names in the archive
	// (versions).
	Versions map[string]Served
	// Mounted is the path at which its containers have the model, or ""
	// (mounted).
	Mounted string
	// Agents are the keys of the agents whose verdicts count (agents).
	Agents []Agent
}

// Served says by what a version is served.
type Served struct {
	// Images are references by digest, by the container's name (images).
	Images map[string]string
	// Volume is a reference by digest for a mounted image (volume).
	Volume string
	// URI is where an inference service or a container fetches it (uri).
	URI string
	// Claim is the claim that it is in (claim); InPlace says that it is put
	// where the one before it was (in_place). Which content is there only the
	// agents can tell.
	Claim   string
	InPlace bool
}

// Clocks says which deadlines apply and how they are counted.
type Clocks struct {
	// Profiles are the ids of profiles that apply to every incident
	// (profiles).
	Profiles []string
	// Calendar is a file with the business days of the organisation, or ""
	// (calendar).
	Calendar string
	// File holds profiles of one's own, contracts for instance, or "" (file).
	File string
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
	// Identities sign with the sigstore method (identities).
	Identities []Identity
	// TrustedRoot is the file that says which Sigstore instance vouches for
	// the identities, and which authorities for times, or "" (trusted_root).
	TrustedRoot string
}

// DefaultFullHashAge is the time between two checks that hash everything.
const DefaultFullHashAge = 24 * time.Hour

// Hashing says how models are read.
type Hashing struct {
	// Workers is how many files are read at the same time; 0 leaves it to the
	// program (workers).
	Workers int
	// Rate is the most bytes read in a second; 0 is no limit (rate).
	Rate int64
	// FullAge is how old the last full SHA-256 of a model may get before it is
	// computed again instead of comparing blocks; 0 is always
	// (full_hash_age).
	FullAge time.Duration
}

// Identity is who may sign with the sigstore method: exactly this identity
// (identity), vouched for by exactly this OpenID Connect issuer (issuer).
type Identity struct{ Name, Issuer string }

// Alerts says what is worth an alert, and who is told.
type Alerts struct {
	// MinSeverity is the least severity that is sent, medium by default
	// (min_severity).
	MinSeverity finding.Severity
	// Receivers are told (receivers), each what the Routes say (routes);
	// without routes everything.
	Receivers []Receiver
	Routes    []Route
	// GiveUpAfter is how old an alert may get before it goes to the dead
	// letters (give_up_after), RefusedGiveUpAfter the same for one that its
	// receiver refuses for good (refused_give_up_after).
	GiveUpAfter, RefusedGiveUpAfter time.Duration
	// MaxPending bounds the alerts that wait (max_pending).
	MaxPending int
	// Heartbeat, where set, is told at an interval that all is well
	// (heartbeat).
	Heartbeat *Heartbeat
}

// Receiver is one place alerts go to: a name (name), a kind (type) and what its
// kind has to be told.
type Receiver struct {
	Name, Kind string
	Config     notify.Config
}

// Route says which alerts go to whom.
type Route struct {
	// Receivers are names (receivers).
	Receivers []string
	// MinSeverity is the least severity, 0 for every one (min_severity).
	MinSeverity finding.Severity
	// Models are ids, * standing for any characters; none is every source
	// (models). CriticalModels leaves out all but the critical ones
	// (critical_models).
	Models         []string
	CriticalModels bool
	// Unresolved leaves out notices that something is gone (resolved: false).
	Unresolved bool
}

// Heartbeat is a dead man's switch: an address that is called as long as the
// agent checks (url), at an interval (interval_seconds).
type Heartbeat struct {
	URL      notify.Secret
	Interval time.Duration
	egress.Policy
}

// Load reads the configuration file at path. The error is a fault: NotFound
// when there is no such file, Invalid with every mistake of the file in line
// order, Incomplete when it cannot be read.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "configuration %s does not exist", artifact.Quote(path)).
			WithHint("weightwarden config example > %s", artifact.Quote(path))
	case err != nil:
		return nil, fault.New(fault.Incomplete, "open configuration: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0 {
		return nil, fault.New(fault.Invalid, "configuration %s is not a file", artifact.Quote(path))
	}
	return Parse(path, f)
}

// Parse reads a configuration from r. The name stands for it in errors, and
// relative paths in it are relative to the directory of name. The error is a
// fault as that of [Load].
func Parse(name string, r io.Reader) (*Config, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, fault.New(fault.Internal, "find the directory of the configuration: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fault.New(fault.Incomplete, "read configuration %s: %w", artifact.Quote(name), err)
	}
	in := &reader{name: artifact.Quote(name), dir: filepath.Dir(path)}
	c := &Config{
		Path: path, CheckInterval: DefaultCheckInterval, DriftThreshold: drift.DefaultThreshold,
		Alerts: Alerts{MinSeverity: finding.Medium}, Hashing: Hashing{FullAge: DefaultFullHashAge},
		Watch: Watch{Poll: DefaultPoll, Gate: Gate{Within: DefaultGateWithin}},
	}
	if root := in.root(data); root != nil {
		in.file(root, c)
	}
	if err := in.fault(); err != nil {
		return nil, err
	}
	return c, nil
}

// root parses the file into nodes. It returns nil after a mistake.
func (r *reader) root(data []byte) *yaml.Node {
	var doc yaml.Node
	switch {
	case len(data) > maxSize:
		r.wrong(0, "", "larger than %d bytes", maxSize)
		return nil
	case !utf8.Valid(data):
		r.wrong(1+bytes.Count(data[:invalidAt(data)], []byte("\n")), "", "not UTF-8")
		return nil
	}
	err := yaml.Load(data, &doc)
	if e, ok := errors.AsType[*yaml.LoadError](err); ok && e.Mark.Line > 0 {
		r.wrong(e.Mark.Line, "", "%s", artifact.Quote(e.Message))
		return nil
	}
	if err != nil || doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		r.wrong(0, "", "want one YAML or JSON document")
		return nil
	}
	return doc.Content[0]
}

// invalidAt returns the offset of the first byte that is not UTF-8.
func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(data)
}

//go:embed example.yaml
var example string

// Example returns a commented configuration with every key, that Parse
// accepts.
func Example() string { return example }

// Served returns the workload section of a model.
func (c *Config) Served(id string) (Workload, bool) {
	i := slices.IndexFunc(c.Workloads, func(w Workload) bool { return w.Model == id })
	if i < 0 {
		return Workload{}, false
	}
	return c.Workloads[i], true
}

// Model returns the model with the given id.
func (c *Config) Model(id string) (Model, bool) {
	i := slices.IndexFunc(c.Models, func(m Model) bool { return m.ID == id })
	if i < 0 {
		return Model{}, false
	}
	return c.Models[i], true
}
