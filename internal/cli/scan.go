package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/report"
	"github.com/weightwarden/weightwarden/internal/scan"
)

type scanOptions struct {
	sarif, policy, failOn, events string
	deep                          bool
	limits                        scan.Limits
}

func (o *scanOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.sarif, "sarif", "", "also write SARIF 2.1.0 to this `file`")
	f.StringVar(&o.events, "events", "", "also write the events, one JSON object per line, to this `file`")
	f.StringVar(&o.failOn, "fail-on", "suspicious", "exit code 1 from this `verdict` upwards: suspicious or malicious")
	f.StringVar(&o.policy, "policy", "", "JSON `file` with names that pickles may use beyond the built-in ones")
	f.BoolVar(&o.deep, "deep", false, "also read weights, and hash files of any size")
	f.DurationVar(&o.limits.Time, "max-time", 0, "`time` per file (default 2m)")
	f.IntVar(&o.limits.Depth, "max-depth", 0, "containers in containers (default 10)")
	f.Int64Var(&o.limits.Output, "max-output", 0, "`bytes` that a file may decompress to, beyond four times its size (default 1 GiB)")
}

const scanLong = `Looks into model artifacts for what loading them would do, without loading
them: no code is run, no connection opened, nothing extracted. Formats are told
by content. Everything that is not on a list of allowed names is reported; what
was not understood is never called clean.

The policy file lists an organisation's own names:
  {"allow": [{"module": "acme.layers", "name": "Gate", "reason": "reviewed"}]}

Exit code 0 means that everything is clean, 1 that something was found, 4 that
something was not understood, could not be read, or hit a limit.`

func newScan(g *globals) *cobra.Command {
	var o scanOptions
	cmd := &cobra.Command{
		Use: "scan PATH…", Short: "Look into model artifacts for what loading them would do",
		Long: scanLong, Args: cobra.MinimumNArgs(1),
		Example: "  weightwarden scan models/\n  weightwarden scan model.pt --sarif scan.sarif --fail-on malicious",
		RunE:    func(cmd *cobra.Command, args []string) error { return runScan(cmd.Context(), g, o, args) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runScan(ctx context.Context, g *globals, o scanOptions, paths []string) (err error) {
	if !slices.Contains([]string{"suspicious", "malicious"}, o.failOn) {
		return usage("no verdict %.40q to fail on: use suspicious or malicious", o.failOn)
	}
	allowed, err := readPolicy(o.policy)
	if err != nil {
		return err
	}
	collected := report.NewScanCollector()
	handlers := scanHandlers{collected}
	if !g.json() {
		handlers = append(handlers, report.NewScanText(g.Stdout))
	}
	files, err := o.reports(&handlers)
	defer func() { err = errors.Join(err, files.close()) }()
	if err != nil {
		return err
	}
	total, err := scan.Run(ctx, paths, scan.Options{
		Detectors: catalog.All(), Allowed: allowed, Deep: o.deep, Limits: o.limits, Version: g.Version,
	}, handlers)
	if err != nil {
		return err
	}
	if g.json() {
		if err := g.print(collected.Document, nil); err != nil {
			return err
		}
	}
	threshold := finding.Suspicious
	if o.failOn == "malicious" {
		threshold = finding.Malicious
	}
	incomplete := total.Verdict == finding.Inconclusive || total.Skipped > 0 || len(collected.Document.NotUnderstood) > 0
	return outcome(total.Verdict >= threshold, false, incomplete)
}

// reportFiles are the files that reports are written to.
type reportFiles []*os.File

func (fs reportFiles) close() error {
	var errs []error
	for _, f := range fs {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// reports opens the files that the flags ask for.
func (o scanOptions) reports(handlers *scanHandlers) (files reportFiles, err error) {
	for _, r := range []struct {
		path   string
		handle func(io.Writer) report.ScanHandler
	}{{o.sarif, report.NewScanSARIF}, {o.events, report.NewScanLines}} {
		if r.path == "" {
			continue
		}
		f, err := os.OpenFile(r.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return files, usage("write report: %w", err)
		}
		files = append(files, f)
		*handlers = append(*handlers, r.handle(f))
	}
	return files, nil
}

// scanHandlers gives each event to several handlers.
type scanHandlers []report.ScanHandler

func (hs scanHandlers) each(tell func(report.ScanHandler) error) error {
	for _, h := range hs {
		if err := tell(h); err != nil {
			return err
		}
	}
	return nil
}

// Start implements [report.ScanHandler].
func (hs scanHandlers) Start(s report.ScanStart) error {
	return hs.each(func(h report.ScanHandler) error { return h.Start(s) })
}

// Finding implements [report.ScanHandler].
func (hs scanHandlers) Finding(f finding.Finding) error {
	return hs.each(func(h report.ScanHandler) error { return h.Finding(f) })
}

// File implements [report.ScanHandler].
func (hs scanHandlers) File(f report.ScanFile) error {
	return hs.each(func(h report.ScanHandler) error { return h.File(f) })
}

// Skip implements [report.ScanHandler].
func (hs scanHandlers) Skip(s report.ScanSkip) error {
	return hs.each(func(h report.ScanHandler) error { return h.Skip(s) })
}

// Summary implements [report.ScanHandler].
func (hs scanHandlers) Summary(s report.ScanSummary) error {
	return hs.each(func(h report.ScanHandler) error { return h.Summary(s) })
}
