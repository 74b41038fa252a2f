package cli

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/deploy"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/notify"
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

type deployOptions struct {
	deploy.Workload
	form string
}

func newDeployKubernetes(g *globals) *cobra.Command {
	var o deployOptions
	cmd := &cobra.Command{
		Use: "kubernetes", Short: "Print Kubernetes manifests", Args: cobra.NoArgs,
		Long: `Prints manifests that run watch with the configuration of --config: a DaemonSet
with its ConfigMap, service account and role, or the patch that puts the watcher
into the pods of a server, as a sidecar or before its start. The directories of the
models are mounted read-only. A change of the configuration is rolled out, since
its checksum is in the pod template.`,
		Example: "  weightwarden --config config.yaml deploy kubernetes --image registry.example.com/weightwarden:1.0 > weightwarden.yaml\n" +
			"  weightwarden --config config.yaml deploy kubernetes --form sidecar --volume models > patch.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error { return runDeployKubernetes(cmd.Context(), g, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.form, "form", "daemonset", "`form`: daemonset, sidecar or init")
	f.StringVar(&o.Image, "image", "weightwarden:latest", "container `image`, best by digest")
	f.StringVar(&o.Namespace, "into", "weightwarden", "`namespace` of the DaemonSet")
	f.BoolVar(&o.Root, "root", false, "run as root, with the right to read every file and no other")
	f.BoolVar(&o.Who, "who", false, "also tell who changes a file, which takes SYS_ADMIN; with --root")
	f.StringVar(&o.Claim, "claim", "", "volume `claim` for the state of a sidecar")
	f.StringVar(&o.Volume, "volume", "", "the pod's `volume` that holds the models, for sidecar and init")
	return cmd
}

func runDeployKubernetes(_ context.Context, g *globals, o deployOptions) error {
	c, err := g.deployed()
	if err != nil {
		return err
	}
	w := o.Workload
	w.Form = deploy.Form(o.form)
	if w.Config, err = os.ReadFile(c.Path); err != nil {
		return fault.New(fault.Incomplete, "read configuration: %w", err)
	}
	for _, m := range c.Models {
		w.Models = append(w.Models, filepath.ToSlash(m.Path))
	}
	if host, port, err := net.SplitHostPort(c.Operations.Listen); err == nil {
		if ip := net.ParseIP(host); host != "" && (ip == nil || ip.IsLoopback()) {
			return usage("operations.listen: probes cannot reach %s from outside the pod", c.Operations.Listen).
				WithHint("set listen: \":%s\" in %s", port, c.Path)
		}
		w.Port, _ = strconv.Atoi(port)
	}
	text, err := deploy.Kubernetes(w)
	if err != nil {
		return err
	}
	if names := writtenOut(c); len(names) > 0 {
		stderr := &printer{w: g.Stderr}
		stderr.printf("look at: %s: a secret is written out in the configuration, and a ConfigMap keeps none: use {file: …} below /etc/weightwarden/secrets\n", strings.Join(names, ", "))
		err = stderr.err
	}
	if err == nil {
		_, err = g.Stdout.Write(text)
	}
	return err
}

// writtenOut returns the receivers whose secrets stand in the configuration.
func writtenOut(c *config.Config) (names []string) {
	if c.AlertWebhook != "" {
		names = append(names, config.GuideReceiver)
	}
	for _, r := range c.Alerts.Receivers {
		for _, into := range r.Config.Keys() {
			if s, ok := into.(*notify.Secret); ok {
				if _, written := s.Written(); written && !slices.Contains(names, r.Name) {
					names = append(names, r.Name)
				}
			}
		}
	}
	return names
}
