package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/config"
)

func newConfig(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "The configuration file"}
	cmd.AddCommand(newConfigCheck(g), newConfigExample(g))
	return cmd
}

func newConfigCheck(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Validate a configuration file", Args: cobra.ExactArgs(1),
		Example: "  weightwarden config check config.yaml",
		Long:    "Names every mistake with its line. Exit code 2 when there is one.",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := config.Load(args[0])
			if err != nil {
				return err
			}
			out := struct {
				Path   string `json:"path"`
				Models int    `json:"models"`
				Valid  bool   `json:"valid"`
			}{c.Path, len(c.Models), true}
			return g.print(out, func(p *printer) {
				p.printf("%s is valid: %s\n", artifact.Quote(out.Path), plural(out.Models, "model", "models"))
			})
		},
	}
}

func newConfigExample(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "example", Short: "Print a commented configuration", Args: cobra.NoArgs,
		Example: "  weightwarden config example > config.yaml",
		RunE: func(*cobra.Command, []string) error {
			if g.json() {
				return g.print(map[string]string{"configuration": config.Example()}, nil)
			}
			_, err := io.WriteString(g.Stdout, config.Example())
			return err
		},
	}
}
