package cli

import (
	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/deploy"
)

func newDeploy(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "deploy", Short: "Manifests and units that run watch"}
	cmd.AddCommand(newDeploySystemd(g), newDeployKubernetes(g))
	return cmd
}

func newDeploySystemd(g *globals) *cobra.Command {
	u := deploy.Unit{}
	cmd := &cobra.Command{
		Use: "systemd", Short: "Print a hardened systemd unit", Args: cobra.NoArgs,
		Long: `Prints a unit that runs watch with the configuration of --config, within 256 MiB
and a fifth of a processor, with no more rights than it needs. As root it reads
every model and knows who changes a file; with --user it does neither for files
that the user may not read.`,
		Example: "  weightwarden --config /etc/weightwarden/config.yaml deploy systemd > /etc/systemd/system/weightwarden.service",
		RunE: func(*cobra.Command, []string) error {
			c, err := g.deployed()
			if err != nil {
				return err
			}
			u.Config = c.Path
			text, err := deploy.Systemd(u)
			if err != nil {
				return err
			}
			_, err = g.Stdout.Write(text)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&u.Program, "program", "/usr/local/bin/weightwarden", "`path` of the program")
	f.StringVar(&u.User, "user", "", "run as this `user` instead of root")
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
