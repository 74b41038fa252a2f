package cli

import (
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// globals are the flags of every command, and the world.
type globals struct {
	Env
	state, config       string
	output              string
	logLevel, logFormat string
	noColor, noProgress bool
}

const rootLong = `weightwarden protects machine-learning models in production: it checks them
against a baseline, keeps evidence, takes a tampered model out of serving,
rolls back to a version that verifies, and keeps a record of all of it that
can be verified later.

Exit codes, the same for every command:
  0  done, and nothing bad found
  1  found: tampered, malicious, drifted, suspicious
  2  usage or configuration error
  3  trust failure: signature missing, invalid, expired or untrusted; deny-listed
  4  could not complete: something unreadable; never reported as clean
  5  refused by a gate: evidence not sealed, target not verified, plan changed`

// newRoot builds the whole command tree over one world.
func newRoot(env Env) *cobra.Command {
	g := &globals{Env: env}
	root := &cobra.Command{
		Use:           "weightwarden",
		Short:         "Detect, contain and roll back tampered machine-learning models",
		Long:          rootLong,
		Example:       "  weightwarden drill\n  weightwarden --config config.yaml check",
		Version:       env.Version,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.ValidateRequiredFlags(); err != nil {
				return badUsage(cmd, err)
			}
			return g.check()
		},
		// Without a command it shows what there is.
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	f := root.PersistentFlags()
	f.StringVar(&g.state, "state", "", "state `directory` (default $WEIGHTWARDEN_STATE, /var/lib/weightwarden for root, else the XDG state directory)")
	f.StringVar(&g.config, "config", "", "configuration `file`, YAML or JSON (default $WEIGHTWARDEN_CONFIG, else config.yaml or config.json in the configuration directory)")
	f.StringVarP(&g.output, "output", "o", "text", "`format` of results: text or json")
	f.StringVar(&g.logLevel, "log-level", "warn", "least `level` of log messages: debug, info, warn, error")
	f.StringVar(&g.logFormat, "log-format", "text", "`format` of log messages: text or json")
	f.BoolVar(&g.noColor, "no-color", false, "no colours (also with NO_COLOR set)")
	f.BoolVar(&g.noProgress, "no-progress", false, "no progress on the terminal")
	root.SetFlagErrorFunc(badUsage)
	root.AddCommand(
		newCheck(g),
		newWatch(g),
		newAlerts(g),
		newDeploy(g),
		newBaseline(g),
		newSign(g),
		newVerify(g),
		newDigest(g),
		newKey(g),
		newDeny(g),
		newScan(g),
		newHunt(g),
		newIncident(g),
		newKube(g),
		newEvidence(g),
		newPlaybook(g),
		newDrill(g),
		newConfig(g),
		newVersion(g),
		newDocs(g),
	)
	root.InitDefaultCompletionCmd()
	hardenUsage(root)
	return root
}

// badUsage makes trouble with flags or arguments an error of usage that says
// where the command is explained.
func badUsage(cmd *cobra.Command, err error) error {
	return fault.New(fault.Invalid, "%w", err).WithHint("see: %s --help", cmd.CommandPath())
}

// hardenUsage makes trouble with arguments an error of usage in the whole
// tree, and an unknown subcommand an error instead of a help text.
func hardenUsage(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(c *cobra.Command, given []string) error {
			if err := args(c, given); err != nil {
				return badUsage(c, err)
			}
			return nil
		}
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return c.Help()
			}
			return fault.New(fault.Invalid, "%s: no command %.40q", c.CommandPath(), given[0]).WithHint("see: %s --help", c.CommandPath())
		}
	}
	for _, sub := range cmd.Commands() {
		hardenUsage(sub)
	}
}

// check refuses global flags that make no sense before anything is done.
func (g *globals) check() error {
	if !slices.Contains([]string{"text", "json"}, g.output) {
		return usage("no output format %.40q: use text or json", g.output)
	}
	if !slices.Contains([]string{"text", "json"}, g.logFormat) {
		return usage("no log format %.40q: use text or json", g.logFormat)
	}
	if err := new(slog.LevelVar).UnmarshalText([]byte(g.logLevel)); err != nil {
		return usage("no log level %.40q: use debug, info, warn or error", g.logLevel)
	}
	return nil
}

// log returns the logger that the flags ask for.
func (g *globals) log() *slog.Logger {
	var level slog.LevelVar
	if err := level.UnmarshalText([]byte(g.logLevel)); err != nil {
		level.Set(slog.LevelWarn)
	}
	options := &slog.HandlerOptions{Level: &level}
	if g.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(g.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(g.Stderr, options))
}

// stateDir returns the state directory by flag, environment or convention.
func (g *globals) stateDir() (string, error) {
	dir := g.state
	if dir == "" {
		dir = g.Getenv("WEIGHTWARDEN_STATE")
	}
	if dir == "" && g.Root {
		dir = "/var/lib/weightwarden"
	}
	if dir == "" {
		dir = g.xdg("XDG_STATE_HOME", ".local/state")
	}
	if dir == "" {
		return "", usage("no state directory: neither --state nor WEIGHTWARDEN_STATE nor HOME is set")
	}
	return filepath.Abs(dir)
}

// xdg returns our folder in a base directory of the XDG specification.
func (g *globals) xdg(variable, fallback string) string {
	if base := g.Getenv(variable); filepath.IsAbs(base) {
		return filepath.Join(base, "weightwarden")
	}
	if home := g.Getenv("HOME"); home != "" {
		return filepath.Join(home, fallback, "weightwarden")
	}
	return ""
}
