package cli

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/deploy"
	"github.com/weightwarden/weightwarden/internal/systemd"
)

func newDeploy(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "deploy", Short: "Manifests and units that run watch"}
	cmd.AddCommand(newDeploySystemd(g), newDeployKubernetes(g))
	return cmd
}

type systemdOptions struct {
	deploy.Unit
	file, manager string
	apply, dry    bool
	timeout       time.Duration
}

func newDeploySystemd(g *globals) *cobra.Command {
	var o systemdOptions
	cmd := &cobra.Command{
		Use: "systemd", Short: "Print a hardened systemd unit, or install it", Args: cobra.NoArgs,
		Long: `Prints a unit that runs watch with the configuration of --config, within 256 MiB
and a fifth of a processor, with no more rights than it needs. As root it reads
every model and knows who changes a file; with --user it does neither for files
that the user may not read.

With --apply the unit is written, enabled and started, and was seen to run when
the command ends with 0; one that runs already with the same unit reads its
configuration again. --dry-run says what would be done. A unit file that was
edited by somebody is refused with exit code 5; a service that does not run
within --timeout is exit code 4, with what the service manager says of it.`,
		Example: "  weightwarden --config /etc/weightwarden/config.yaml deploy systemd > /etc/systemd/system/weightwarden.service\n" +
			"  weightwarden --config /etc/weightwarden/config.yaml deploy systemd --apply",
		RunE: func(cmd *cobra.Command, _ []string) error { return runDeploySystemd(cmd.Context(), g, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Program, "program", "/usr/local/bin/weightwarden", "`path` of the program")
	f.StringVar(&o.User, "user", "", "run as this `user` instead of root")
	f.BoolVar(&o.apply, "apply", false, "write the unit, enable and start it, and see it run")
	f.BoolVar(&o.dry, "dry-run", false, "say what --apply would do, and do nothing")
	f.StringVar(&o.file, "unit-file", "/etc/systemd/system/weightwarden.service", "`file` that the unit is written to")
	f.StringVar(&o.manager, "manager", systemd.DefaultSocket, "`socket` of the service manager")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how `long` to wait until it runs")
	return cmd
}

// deployed returns the configuration, which has to be there and right.
func (g *globals) deployed() (*config.Config, error) {
	c, err := g.loadConfig()
	if err == nil && c.Path == "" {
		err = usage("there is no configuration to deploy").WithHint("name one with --config, or begin with: weightwarden config example > config.yaml")
	}
	return c, err
}

// service is the result of installing a unit, or of the dry run of it.
type service struct {
	Applied bool            `json:"applied"`
	File    string          `json:"file"`
	Outcome systemd.Outcome `json:"outcome"`
	// State is what was observed; nil for a dry run.
	State *systemd.State `json:"state,omitempty"`
	// Error is why it was not finished.
	Error string `json:"error,omitempty"`
}

func runDeploySystemd(ctx context.Context, g *globals, o systemdOptions) error {
	c, err := g.deployed()
	if err != nil {
		return err
	}
	o.Config = c.Path
	text, err := deploy.Systemd(o.Unit)
	switch {
	case err != nil:
		return err
	case o.apply && o.dry:
		return usage("--apply and --dry-run exclude each other").WithHint("look first with --dry-run, then run it again with --apply")
	case o.apply || o.dry:
		return g.install(ctx, o, text)
	case g.json():
		return g.print(map[string]string{"file": o.file, "unit": string(text)}, nil)
	}
	_, err = g.Stdout.Write(text)
	return err
}

func (g *globals) install(ctx context.Context, o systemdOptions, unit []byte) error {
	if err := o.check(); err != nil {
		return err
	}
	outcome, err := systemd.Compare(o.file, unit, deploy.OwnUnit)
	if err != nil {
		return err
	}
	result := service{File: o.file, Outcome: outcome}
	if o.dry {
		return g.printService(result)
	}
	m, err := systemd.Connect(ctx, o.manager)
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	state, err := systemd.Install(ctx, m, o.file, unit, outcome, o.timeout)
	result.Applied, result.State = err == nil, &state
	if err != nil {
		result.Error = err.Error()
	}
	if printed := g.printService(result); printed != nil {
		return printed
	}
	return err
}

// check refuses what could never run.
func (o systemdOptions) check() error {
	info, err := os.Stat(o.Program)
	switch {
	case err != nil:
		return usage("there is no program %s to run", artifact.Quote(o.Program)).WithHint("install it there, or say with --program where it is")
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return usage("%s is no program that can be run", artifact.Quote(o.Program)).WithHint("chmod 0755 it")
	case info.Mode().Perm()&0o022 != 0:
		return usage("%s may be written by others than its owner, and would run with the watcher's rights", artifact.Quote(o.Program)).WithHint("chmod go-w it")
	case !filepath.IsAbs(o.file) || filepath.Ext(o.file) != ".service":
		return usage("--unit-file: want a whole path that ends in .service, this is %s", artifact.Quote(o.file))
	case o.timeout <= 0:
		return usage("--timeout: want a time of more than 0, this is %s", o.timeout)
	}
	return nil
}

func (g *globals) printService(s service) error {
	return g.print(s, func(p *printer) {
		p.printf("%-10s %s\n", s.Outcome, artifact.Quote(s.File))
		switch {
		case s.Applied:
			p.printf("runs: %s\n", s.State)
		case s.Error == "":
			p.printf("nothing was changed: this was a dry run\n")
		}
	})
}
