package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/oms"
)

const digestLong = `Prints the root digest of a model as the reference implementation of OpenSSF
Model Signing prints it: SHA-256 over the digests of all files in its order,
without .git, .gitattributes, .github and .gitignore at the top. A signature in
the model counts as a file: leave it out with --ignore-paths model.sig.

It stands for the content of the files and their order by name, not for the
names themselves: a baseline or a signature covers those too.`

func newDigest(g *globals) *cobra.Command {
	var ignore []string
	cmd := &cobra.Command{
		Use: "digest PATH", Short: "The root digest of a model (OpenSSF Model Signing)",
		Long: digestLong, Args: cobra.ExactArgs(1),
		Example: "  weightwarden digest models/sentiment-v2 --ignore-paths model.sig",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDigest(cmd.Context(), g, args[0], ignore)
		},
	}
	cmd.Flags().StringArrayVar(&ignore, "ignore-paths", nil, "leave this `path` of the model out (repeatable)")
	return cmd
}

func runDigest(ctx context.Context, g *globals, path string, ignore []string) error {
	d, err := oms.Digest(ctx, path, ignore...)
	if err != nil {
		return err
	}
	out := struct {
		Path       string          `json:"path"`
		RootDigest artifact.Digest `json:"root_digest"`
	}{path, d}
	return g.print(out, func(p *printer) { p.printf("%s:%s\n", d.Algorithm(), d.Hex()) })
}
