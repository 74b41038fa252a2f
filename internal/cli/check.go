package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

type checkOptions struct {
	failOn string
	full   bool
	only   []string
}

func (o *checkOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.failOn, "fail-on", "high", "exit 1 from this `severity` upwards: critical, high, medium, low")
	f.BoolVar(&o.full, "full", false, "read and hash everything, whatever hashing.full_hash_age says")
}

const checkLong = `Runs one full cycle over the configuration: every model against its baseline
and the deny-list, the installed Python packages against baseline_dependencies,
recent outputs against the reference distribution.

A model without a baseline gets one on its first check; it is trusted only when
the model's signature verifies under trust:. With models named, only those are
checked.

The first check, and one every hashing.full_hash_age, computes the SHA-256 of
every file. Those in between compare each block with a tag that was taken then,
which is several times faster and names the bytes that differ. --full forces the
former.`

func newCheck(g *globals) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use: "check [MODEL…]", Short: "Check models, Python packages and behaviour once",
		Long:    checkLong,
		Example: "  weightwarden --config config.yaml check\n  weightwarden --config config.yaml check -o json sentiment-model-v2.1",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.only = args
			return runCheck(cmd.Context(), g, o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runCheck(ctx context.Context, g *globals, o checkOptions) error {
	failOn, err := finding.ParseSeverity(o.failOn)
	if err != nil {
		return usage("--fail-on: %v", err)
	}
	return g.with(ctx, func(s *session) error {
		if err := s.mustConfig(); err != nil {
			return err
		}
		c, err := s.checker(ctx)
		if err != nil {
			return err
		}
		progress := newProgress(g)
		c.Progress, c.Hashing.Full = progress.hashing, o.full
		report, err := c.Run(ctx, o.only)
		progress.done()
		if err != nil {
			return err
		}
		if err := g.print(report, func(p *printer) { printReport(p, report) }); err != nil {
			return err
		}
		return outcome(report.Outcome(failOn))
	})
}

func printReport(p *printer, r *check.Report) {
	for _, m := range r.Models {
		p.printf("%-10s  %s  %s, %s\n", m.Verdict, artifact.Quote(m.ID), plural(m.Files, "file", "files"), bytesText(m.Bytes))
		switch b := m.Baseline; {
		case b == nil:
			p.printf("            no baseline\n")
		case b.Trusted:
			p.printf("            baseline of %s, vouched for by %s %s\n", stamp(b.Established), b.Voucher, artifact.Quote(b.Who))
		case b.Revoked != "":
			p.printf("            baseline of %s, which nobody vouches for any more: %s\n", stamp(b.Established), oneLine(b.Revoked))
		default:
			p.printf("            baseline of %s, which nobody vouches for (first use)\n", stamp(b.Established))
		}
	}
	for _, i := range r.Indicators {
		p.printf("%s  %s  %s\n          %s\n", p.severity(i.Severity), artifact.Quote(string(i.Type)), artifact.Quote(i.Source), oneLine(i.Description))
	}
	if len(r.Models) == 0 {
		p.printf("no model is configured: add one under models:\n")
	}
	p.printf("%s, %d critical; incident detected: %s\n", plural(r.TotalIndicators, "indicator", "indicators"), r.Critical, yesNo(r.IncidentDetected))
	if i := slices.IndexFunc(r.Indicators, func(i indicator.Indicator) bool { return i.Type == indicator.BaselineUnverified }); i >= 0 && !r.IncidentDetected {
		p.printf("next: look at the model, then vouch for it: weightwarden baseline approve %s\n", artifact.Quote(r.Indicators[i].Source))
	}
	if r.IncidentDetected {
		p.printf("next: weightwarden check -o json > check.json; weightwarden incident open --from-check check.json\n")
	}
}
