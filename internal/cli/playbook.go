package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/playbook"
)

func newPlaybook(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "playbook", Short: "The order of immediate response"}
	cmd.AddCommand(&cobra.Command{
		Use: "show", Short: "The steps of the response, in order, with the reason for each", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p := playbook.Default()
			return g.print(p, func(out *printer) { printPlaybook(out, p) })
		},
	})
	return cmd
}

func printPlaybook(out *printer, p playbook.Playbook) {
	for _, s := range p.Steps {
		out.printf("%2d  %s\n", s.Number, s.Title)
		out.printf("    why here: %s\n", s.Reason)
		if len(s.After) > 0 {
			out.printf("    after:    %s\n", strings.Join(s.After, ", "))
		}
		if len(s.Gates) > 0 {
			out.printf("    gates:    %s\n", strings.Join(s.Gates, ", "))
		}
		for _, c := range s.Commands {
			out.printf("    command:  %s\n", c)
		}
		if s.People != "" {
			out.printf("    people:   %s\n", s.People)
		}
	}
	for _, gate := range p.Gates {
		out.printf("gate %s: %s\n", gate.ID, gate.Rule)
	}
}
