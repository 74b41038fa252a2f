package cli

import (
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			out := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				System  string `json:"system"`
			}{g.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return g.print(out, func(p *printer) { p.printf("weightwarden %s (%s, %s)\n", out.Version, out.Go, out.System) })
		},
	}
}
