package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/contain/catalog"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/kube"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/pyenv"
	"github.com/weightwarden/weightwarden/internal/signer"
	"github.com/weightwarden/weightwarden/internal/store"
	"github.com/weightwarden/weightwarden/internal/trust"
	"github.com/weightwarden/weightwarden/internal/vault"
)

// session is an open state directory and the configuration beside it.
type session struct {
	*globals
	dir     string
	key     evidence.SigningKey
	db      *store.DB
	ledger  evidence.Ledger
	vault   *vault.Vault
	conf    *config.Config
	drivers []action.Driver
	// people is who takes part, as configured.
	people approval.Roster
	// declaring is held while an incident is declared without a person: what is
	// watched and what is contained may both find that there is none yet.
	declaring *sync.Mutex
	// presence is where in a cluster a watcher is.
	presence presence
	// The way to a cluster, where there is one: see connect.
	cluster   *kube.Client
	scenes    cluster.Scenes
	clustered []catalog.ClusterDriver
}

// open opens the state directory, making it on first use. The configuration
// is loaded where there is one; commands that cannot do without ask for it
// with [session.model] or [globals.mustConfig].
func (g *globals) open(ctx context.Context) (*session, error) {
	conf, err := g.loadConfig()
	if err != nil {
		return nil, err
	}
	dir, err := g.stateDir()
	if err != nil {
		return nil, err
	}
	if err := fsop.PrivateDir(dir); err != nil {
		return nil, fault.New(fault.Incomplete, "open state directory %s: %w", artifact.Quote(dir), err).
			WithHint("make it writable for this user, or name another with --state")
	}
	key, err := signer.StateKey(dir, g.Random)
	if err != nil {
		return nil, err
	}
	v, err := vault.Open(filepath.Join(dir, "vault"))
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, dir, key)
	if err != nil {
		return nil, err
	}
	s := &session{
		globals: g, dir: dir, key: key, db: db, ledger: db.Ledger(), vault: v, conf: conf,
		drivers: driversOf(conf), declaring: &sync.Mutex{},
	}
	if s.people, err = s.roster(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func driversOf(conf *config.Config) []action.Driver {
	return catalog.All(func(id string) string {
		m, _ := conf.Model(id)
		return m.Quarantine
	})
}

// with opens the state directory for the time of do.
func (g *globals) with(ctx context.Context, do func(*session) error) error {
	s, err := g.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.db.Close())
}

// loadConfig loads the configuration that the flags, the environment or
// convention name. Where none is named and none is there, it is empty.
func (g *globals) loadConfig() (*config.Config, error) {
	path := g.config
	if path == "" {
		path = g.Getenv("WEIGHTWARDEN_CONFIG")
	}
	if path != "" {
		return config.Load(path)
	}
	dir := g.xdg("XDG_CONFIG_HOME", ".config")
	if g.Root {
		dir = "/etc/weightwarden"
	}
	for _, name := range []string{"config.yaml", "config.json"} {
		c, err := config.Load(filepath.Join(dir, name))
		if fault.KindOf(err) != fault.NotFound {
			return c, err
		}
	}
	return &config.Config{DriftThreshold: 0.15, CheckInterval: config.DefaultCheckInterval}, nil
}

// mustConfig refuses to go on without a configuration.
func (s *session) mustConfig() error {
	if s.conf.Path == "" {
		return usage("there is no configuration").WithHint("name one with --config, or begin with: weightwarden config example > config.yaml")
	}
	return nil
}

// model returns a configured model.
func (s *session) model(id string) (config.Model, error) {
	if m, ok := s.conf.Model(id); ok {
		return m, nil
	}
	if err := s.mustConfig(); err != nil {
		return config.Model{}, err
	}
	return config.Model{}, fault.New(fault.Invalid, "no model %s in %s", artifact.Quote(id), s.conf.Path).
		WithHint("add it under models:")
}

// archive returns the directory of versions of a model, or "".
func (s *session) archive(m config.Model) string {
	if m.Archive != "" {
		return m.Archive
	}
	return s.conf.Archive
}

func (s *session) baselines() baseline.Store {
	return baseline.Store{Documents: s.db.Documents(), Ledger: s.ledger}
}

// trusted returns the host's record. One that was altered is an error: nothing
// is decided by it.
func (s *session) trusted(ctx context.Context) (*trust.State, error) {
	entries, err := s.ledger.Entries(ctx, trust.Log, 1)
	if err != nil {
		return nil, fmt.Errorf("read the host's record: %w", err)
	}
	return trust.Fold(entries)
}

// recordTrust appends to the host's record.
func (s *session) recordTrust(ctx context.Context, kind string, body any) error {
	_, err := s.ledger.Append(ctx, trust.Log, evidence.Any,
		evidence.Draft{Time: s.Now(), Actor: s.Actor, Kind: kind, Body: body})
	return err
}

// checker returns the check cycle that the configuration describes.
func (s *session) checker(ctx context.Context) (*check.Checker, error) {
	keys, err := s.trust(trustFlags{})
	if err != nil {
		return nil, err
	}
	secret, err := signer.BlockSecret(s.dir, s.Random)
	if err != nil {
		return nil, err
	}
	return &check.Checker{
		Hashing: check.Hashing{
			Workers: s.conf.Hashing.Workers, Rate: s.conf.Hashing.Rate, FullAge: s.conf.Hashing.FullAge, Secret: secret,
		},
		Targets: targets(s.conf), Baselines: s.baselines(), Ledger: s.ledger,
		Trust: keys, RequireSigned: s.conf.Trust.RequireSigned,
		Environments: s.environments(ctx), Packages: s.conf.BaselineDependencies,
		DriftThreshold: s.conf.DriftThreshold, Actor: s.Actor, Now: s.Now,
	}, nil
}

func targets(c *config.Config) []check.Target {
	var out []check.Target
	for _, m := range c.Models {
		out = append(out, check.Target{Model: m.Model, Drift: m.Drift})
	}
	return out
}

// environments returns the Python environments that are configured, else
// those that are found.
func (s *session) environments(ctx context.Context) []string {
	if len(s.conf.Python.Environments) > 0 {
		return s.conf.Python.Environments
	}
	return pyenv.Find(ctx, "/", s.Getenv)
}

// trust returns whom signatures are verified against: the flags where they
// name anybody, else the configuration.
func (s *session) trust(f trustFlags) (oms.Trust, error) {
	return f.trust(s.conf.Trust)
}

// stateExists reports whether there is a state directory already, for commands
// that use one without needing one.
func (g *globals) stateExists() bool {
	dir, err := g.stateDir()
	if err != nil {
		return false
	}
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && !errors.Is(err, fs.ErrNotExist)
}
