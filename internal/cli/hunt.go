package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/hunt"
)

func newHunt(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "hunt LOG…", Short: "Look for suspicious activity in pipeline logs",
		Long: `Searches pipeline logs for the patterns of the guide: downloads, package
installations, encoded payloads, reverse shells, signing keys and tokens. Per
rule and log the first ten lines are shown, with secrets masked. A log that is
missing or unreadable is itself a finding.`,
		Args: cobra.MinimumNArgs(1), Example: "  weightwarden hunt /var/log/ci/build-1234.log",
		RunE: func(cmd *cobra.Command, args []string) error { return runHunt(cmd.Context(), g, args) },
	}
}

func runHunt(ctx context.Context, g *globals, logs []string) error {
	r := hunt.ScanFiles(ctx, logs, hunt.Limits{})
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := g.print(r, func(p *printer) { printHunt(p, r) }); err != nil {
		return err
	}
	unread := false
	for _, f := range r.Files {
		unread = unread || f.Problem != ""
	}
	return outcome(len(r.Findings) > 0, false, unread)
}

func printHunt(p *printer, r hunt.Result) {
	for _, h := range r.Findings {
		p.printf("%s  %s  %s:%d  %s\n", p.severity(h.Severity), h.Rule, artifact.Quote(h.File), h.Line, h.Title)
		if h.Text != "" {
			p.printf("          %s\n", oneLine(h.Text))
		}
	}
	for _, f := range r.Files {
		p.printf("%s: %s, %s", artifact.Quote(f.Path), plural(f.Lines, "line", "lines"), bytesText(f.Bytes))
		if f.Problem != "" {
			p.printf("; not searched: %s", oneLine(f.Problem))
		}
		p.printf("\n")
	}
	p.printf("%s, %d more of the same suppressed\n", plural(len(r.Findings), "finding", "findings"), r.Suppressed)
}
