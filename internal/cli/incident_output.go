package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/report"
	"github.com/weightwarden/weightwarden/internal/timeline"
)

// events returns an incident and its timeline, with the lines of actions logs
// merged in.
func (s *session) events(ctx context.Context, id string, actionsLogs []string) (*incident.Incident, []timeline.Event, error) {
	inc, err := s.fold(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	entries, err := s.ledger.Entries(ctx, id, 1)
	if err != nil {
		return nil, nil, err
	}
	sources := [][]timeline.Event{timeline.FromEntries(entries)}
	for _, path := range actionsLogs {
		events, err := s.actionsLog(path)
		if err != nil {
			return nil, nil, err
		}
		sources = append(sources, events)
	}
	return inc, timeline.Merge(sources...), nil
}

// actionsLog reads a log in the guide's form. Lines that are no events are
// said on stderr.
func (s *session) actionsLog(path string) ([]timeline.Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Incomplete, "read actions log: %w", err)
	}
	defer func() { _ = f.Close() }()
	events, skipped, err := timeline.ReadActionsLog(f, timeline.Limits{})
	for _, line := range skipped {
		_, _ = fmt.Fprintf(s.Stderr, "weightwarden: %s: no event: %s\n", artifact.Quote(path), oneLine(line))
	}
	if err != nil {
		return nil, fault.New(fault.Incomplete, "read actions log %s: %w", artifact.Quote(path), err)
	}
	return events, nil
}

func newIncidentTimeline(g *globals) *cobra.Command {
	var logs []string
	cmd := &cobra.Command{
		Use: "timeline ID", Short: "What happened when, oldest first", Args: cobra.ExactArgs(1),
		Example: "  weightwarden incident timeline INC-20261123-ABCDEFGH --actions-log actions.log",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(s *session) error {
				_, events, err := s.events(cmd.Context(), args[0], logs)
				if err != nil {
					return err
				}
				return g.print(events, func(p *printer) {
					for _, line := range timeline.Lines(events) {
						p.printf("%s\n", oneLine(line))
					}
				})
			})
		},
	}
	cmd.Flags().StringArrayVar(&logs, "actions-log", nil, "merge in this `file` with lines of the form \"[time] text\" (repeatable)")
	return cmd
}

// writers are the formats of the report.
func writers() map[string]func(io.Writer, report.Case) error {
	return map[string]func(io.Writer, report.Case) error{
		"json": report.WriteJSON, "markdown": report.WriteMarkdown, "html": report.WriteHTML, "ocsf": report.WriteOCSF,
		"stix": report.WriteSTIX, "csaf": report.WriteCSAF, "cyclonedx": report.WriteCycloneDX, "timesketch": report.WriteTimesketch,
	}
}

func formats() []string { return slices.Sorted(maps.Keys(writers())) }

type reportOptions struct {
	format, file string
	actionsLogs  []string
}

func (o *reportOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.format, "format", "", strings.Join(formats(), ", ")+" (default markdown; json with -o json)")
	f.StringVarP(&o.file, "file", "f", "", "write the report to this `file`")
	f.StringArrayVar(&o.actionsLogs, "actions-log", nil, "merge in this `file` with lines of the form \"[time] text\" (repeatable)")
}

func newIncidentReport(g *globals) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use: "report ID", Short: "The report on an incident", Args: cobra.ExactArgs(1),
		Long: `Writes the report from the record alone: timeline, findings, evidence, what was
done and how it was observed, deadlines, deviations, and recommendations, each
with what it follows from. For people: markdown, and html as one page that loads
nothing. For programs: json, ocsf (2004, 2005 and 7001 as JSON Lines), stix
(2.1), csaf (2.0), cyclonedx (1.6) and timesketch (JSON Lines). The same record
gives the same bytes but for report_generated.`,
		Example: "  weightwarden incident report INC-20261123-ABCDEFGH --format markdown -f report.md",
		RunE:    func(cmd *cobra.Command, args []string) error { return runReport(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runReport(ctx context.Context, g *globals, o reportOptions, id string) error {
	if o.format == "" {
		o.format = "markdown"
		if g.json() {
			o.format = "json"
		}
	}
	write, ok := writers()[o.format]
	if !ok {
		return usage("--format: no format %.40q: use one of %s", o.format, strings.Join(formats(), ", "))
	}
	return g.with(ctx, func(s *session) error {
		inc, events, err := s.events(ctx, id, o.actionsLogs)
		if err != nil {
			return err
		}
		book, err := playbookOf(s.conf)
		if err != nil {
			return err
		}
		clocks, err := clockSet(s.conf)
		if err != nil {
			return err
		}
		c := report.NewCase(inc, events, s.Now(), s.vault.Dir()).With(inc, clocks, book)
		if o.file == "" {
			return write(g.Stdout, c)
		}
		var text strings.Builder
		if err := write(&text, c); err != nil {
			return err
		}
		if err := fsop.WriteFileAtomic(o.file, []byte(text.String()), 0o600); err != nil {
			return fault.New(fault.Incomplete, "write report: %w", err)
		}
		return nil
	})
}
