package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
)

func newIncident(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "incident", Short: "Incidents: declare, preserve, contain, recover, report",
		Long: `An incident is its record: every command appends to a log whose entries are
chained by their hashes and covered by signed checkpoints, and everything shown
is read from that log.

The order that the program enforces: open, assess, isolate, rollback.
See: weightwarden playbook show`,
	}
	cmd.AddCommand(
		newIncidentOpen(g), newIncidentList(g), newIncidentShow(g), newIncidentClose(g),
		newIncidentNote(g), newIncidentFact(g), newIncidentTask(g),
		newIncidentAssess(g), newIncidentScope(g), newIncidentIsolate(g), newIncidentRollback(g), newIncidentUndo(g), newIncidentResume(g), newIncidentWaive(g),
		newIncidentApprove(g), newIncidentPeople(g),
		newIncidentInvestigate(g), newIncidentTimeline(g), newIncidentReport(g), newIncidentMessage(g),
		newIncidentClocks(g), newIncidentNext(g),
		newIncidentVerify(g), newIncidentCheckpoint(g), newIncidentExport(g), newIncidentHold(g),
	)
	return cmd
}

type openOptions struct {
	models                                  []string
	severity, summary, commander, fromCheck string
}

func (o *openOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.models, "model", nil, "`id` of an affected model (repeatable)")
	f.StringVar(&o.severity, "severity", "", "critical, high, medium or low (default from the model and the indicators)")
	f.StringVar(&o.summary, "summary", "", "one sentence: what happened")
	f.StringVar(&o.commander, "commander", "", "who leads the response (default: you)")
	f.StringVar(&o.fromCheck, "from-check", "", "take models and indicators from this `file`, the JSON of a check (- for standard input)")
}

func newIncidentOpen(g *globals) *cobra.Command {
	var o openOptions
	cmd := &cobra.Command{
		Use: "open", Short: "Declare an incident", Args: cobra.NoArgs,
		Example: `  weightwarden incident open --model sentiment-model-v2.1 --severity critical --summary "weights differ from baseline"
  weightwarden check -o json > check.json; weightwarden incident open --from-check check.json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runIncidentOpen(cmd.Context(), g, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// opened is what incident open prints.
type opened struct {
	IncidentID string           `json:"incident_id"`
	State      incident.State   `json:"state"`
	Severity   finding.Severity `json:"severity"`
	Models     []string         `json:"models"`
	Summary    string           `json:"summary"`
	Commander  string           `json:"commander"`
	Indicators int              `json:"indicators"`
}

func runIncidentOpen(ctx context.Context, g *globals, o openOptions) error {
	body, report, err := o.declaration(g)
	if err != nil {
		return err
	}
	return g.with(ctx, func(s *session) error {
		critical := false
		for _, id := range body.Models {
			m, err := s.model(id)
			if err != nil {
				return err
			}
			critical = critical || m.Critical
		}
		if body.Severity == 0 {
			body.Severity = finding.High
			if critical {
				body.Severity = finding.Critical
			}
		}
		now := s.Now()
		id, err := incident.NewID(now, s.Random)
		if err != nil {
			return err
		}
		drafts := []evidence.Draft{{Time: now, Actor: s.Actor, Kind: incident.KindOpened, Body: body}}
		for _, i := range report.Indicators {
			drafts = append(drafts, evidence.Draft{Time: now, Actor: s.Actor, Kind: incident.KindIndicator, Body: i})
		}
		if !s.people.Empty() {
			// From here on the record says who takes part, not the configuration.
			drafts = append(drafts, evidence.Draft{Time: now, Actor: s.Actor, Kind: incident.KindPeople, Body: incident.People{Roster: s.people, Reason: "configured"}})
		}
		if _, err := s.ledger.Append(ctx, id, 0, drafts...); err != nil {
			return fmt.Errorf("declare incident: %w", err)
		}
		out := opened{id, incident.Open, body.Severity, body.Models, body.Summary, body.Commander, len(report.Indicators)}
		return g.print(out, func(p *printer) {
			p.printf("%s  %s  %s\nnext: weightwarden incident assess %s\n", id, out.Severity, artifact.Quote(out.Summary), id)
		})
	})
}

// declaration makes the first entry from the flags and the check's report.
func (o *openOptions) declaration(g *globals) (incident.Opened, check.Report, error) {
	body := incident.Opened{
		Models: slices.Clone(o.models), Summary: o.summary, Commander: o.commander, DetectedAt: g.Now().UTC(), Method: "reported by " + g.Actor,
	}
	if body.Commander == "" {
		body.Commander = g.Actor
	}
	var report check.Report
	if o.fromCheck != "" {
		var err error
		if report, err = readReport(g, o.fromCheck); err != nil {
			return body, report, err
		}
		takeReport(&body, &report)
	}
	if o.severity != "" {
		s, err := finding.ParseSeverity(o.severity)
		if err != nil {
			return body, report, usage("--severity: %v", err)
		}
		body.Severity = s
	}
	switch {
	case len(body.Models) == 0:
		return body, report, usage("incident open: no model: use --model ID or --from-check FILE")
	case body.Summary == "":
		return body, report, usage("incident open: no summary: use --summary TEXT")
	}
	return body, report, nil
}

// makeReport says how to come by the report of a check.
const makeReport = "make one: weightwarden check -o json > check.json"

// maxReport bounds what is read as the report of a check, in bytes.
const maxReport = 64 << 20

// readReport reads the JSON of a check. The file may come from elsewhere: it
// must be one whole document, and what it says is taken as said, not as seen.
func readReport(g *globals, path string) (check.Report, error) {
	var r check.Report
	in := g.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return r, fault.New(fault.Invalid, "read report of a check: %w", err).WithHint(makeReport)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	dec := json.NewDecoder(io.LimitReader(in, maxReport))
	if err := dec.Decode(&r); err != nil {
		return r, fault.New(fault.Invalid, "read report of a check %s: %w", artifact.Quote(path), err).
			WithHint(makeReport)
	}
	if _, err := dec.Token(); err != io.EOF {
		return r, fault.New(fault.Invalid, "read report of a check %s: there is more in it than one JSON document", artifact.Quote(path)).
			WithHint(makeReport)
	}
	if r.CheckTime.IsZero() || r.Models == nil {
		return r, fault.New(fault.Invalid, "read report of a check %s: it has no check_time or no models", artifact.Quote(path)).
			WithHint(makeReport)
	}
	return r, nil
}

// takeReport fills in what the flags left open: the models with indicators,
// the worst severity, the time of the earliest sign, and a summary.
func takeReport(body *incident.Opened, r *check.Report) {
	body.DetectedAt, body.Method = r.CheckTime, "weightwarden check"
	for _, i := range r.Indicators {
		body.Severity = max(body.Severity, i.Severity)
		if i.Timestamp.Before(body.DetectedAt) {
			body.DetectedAt = i.Timestamp
		}
		isModel := slices.ContainsFunc(r.Models, func(m check.Model) bool { return m.ID == i.Source })
		if isModel && !slices.Contains(body.Models, i.Source) {
			body.Models = append(body.Models, i.Source)
		}
	}
	if body.Summary == "" && len(r.Indicators) > 0 {
		body.Summary = fmt.Sprintf("%s, the worst: %s", plural(len(r.Indicators), "indicator", "indicators"), r.Indicators[0].Description)
	}
}

// fold loads an incident.
func (s *session) fold(ctx context.Context, id string) (*incident.Incident, error) {
	return s.responder().Load(ctx, id)
}

// append adds an entry to an incident that exists and is not closed, for
// somebody who may write into its record.
func (s *session) append(ctx context.Context, id, kind string, body any) error {
	inc, err := s.fold(ctx, id)
	if err != nil {
		return err
	}
	if inc.State == incident.Done {
		return fault.New(fault.Refused, "incident %s is closed", id).WithHint("open a new one: weightwarden incident open")
	}
	if err := s.mayRecord(ctx, inc, kind); err != nil {
		return err
	}
	r := s.responder()
	return r.Record(ctx, id, r.Draft(kind, body))
}

// mayRecord refuses what a viewer, or somebody who takes no part, would put on
// record.
func (s *session) mayRecord(ctx context.Context, inc *incident.Incident, what string) error {
	return s.responder().May(ctx, inc, "G1", what, approval.Responder, approval.Approver, approval.Legal)
}

// affected returns the model of an incident to act on: the one named, or the
// only one there is.
func (s *session) affected(inc *incident.Incident, named string) (config.Model, error) {
	switch {
	case named != "" && !slices.Contains(inc.Models, named):
		return config.Model{}, usage("incident %s is not about the model %s", inc.ID, artifact.Quote(named))
	case named != "":
		return s.model(named)
	case len(inc.Models) != 1:
		return config.Model{}, usage("incident %s is about %d models: name one with --model", inc.ID, len(inc.Models))
	}
	return s.model(inc.Models[0])
}

func newIncidentList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "All incidents, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(s *session) error { return listIncidents(cmd.Context(), s) })
		},
	}
}

// listed is one line of the list. An incident whose record cannot be read
// stays in the list and says so.
type listed struct {
	IncidentID string           `json:"incident_id"`
	State      incident.State   `json:"state"`
	Severity   finding.Severity `json:"severity"`
	Models     []string         `json:"models"`
	Summary    string           `json:"summary"`
	OpenedAt   time.Time        `json:"opened_at,omitzero"`
	Error      string           `json:"error,omitempty"`
}

func listIncidents(ctx context.Context, s *session) error {
	ids, err := s.ledger.Logs(ctx, incident.Prefix)
	if err != nil {
		return err
	}
	out, unreadable := []listed{}, false
	for _, id := range ids {
		inc, err := s.fold(ctx, id)
		if err != nil {
			unreadable = true
			out = append(out, listed{IncidentID: id, Error: err.Error(), Models: []string{}})
			continue
		}
		out = append(out, listed{inc.ID, inc.State, inc.Severity, inc.Models, inc.Summary, inc.OpenedAt, ""})
	}
	slices.SortStableFunc(out, func(a, b listed) int { return b.OpenedAt.Compare(a.OpenedAt) })
	err = s.print(out, func(p *printer) {
		for _, l := range out {
			if l.Error != "" {
				p.printf("%s  not readable: %s\n", l.IncidentID, oneLine(l.Error))
				continue
			}
			p.printf("%s  %-9s  %s  %s  %s\n", l.IncidentID, l.State, p.severity(l.Severity), stamp(l.OpenedAt), artifact.Quote(l.Summary))
		}
		p.printf("%s\n", plural(len(out), "incident", "incidents"))
	})
	if err != nil {
		return err
	}
	return outcome(false, false, unreadable)
}
