package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/contain/directory"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/hunt"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/investigate"
	"github.com/weightwarden/weightwarden/internal/oms"
)

type investigateOptions struct {
	trustFlags
	model, suspect, reference string
	logs                      []string
}

func (o *investigateOptions) addFlags(f *pflag.FlagSet) {
	o.add(f)
	f.StringVar(&o.model, "model", "", "`id` of the model (default: the only one of the incident)")
	f.StringVar(&o.suspect, "suspect", "", "`directory` of the suspect (default: the quarantine, else the serving path)")
	f.StringVar(&o.reference, "reference", "", "`directory` with the model as it should be")
	f.StringArrayVar(&o.logs, "log", nil, "pipeline log `file` to search (repeatable)")
}

func newIncidentInvestigate(g *globals) *cobra.Command {
	var o investigateOptions
	cmd := &cobra.Command{
		Use: "investigate ID", Short: "Look into the suspect model and the pipeline's logs", Args: cobra.ExactArgs(1),
		Long: `Judges every file of the suspect by its content, scans it as the command scan
does, verifies its signature, compares it file by file with a reference, searches
logs, and puts the findings into the record. Files that the scan calls malicious
or suspicious are sealed as evidence, of files over 256 MiB the flagged bytes. It
loads nothing. Exit code 1 when anything was found, 4 when something could not be
read or was not understood.`,
		Example: "  weightwarden incident investigate INC-20261123-ABCDEFGH --reference archive/sentiment-v2 --log build.log --public-key release.pub",
		RunE:    func(cmd *cobra.Command, args []string) error { return runInvestigate(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runInvestigate(ctx context.Context, g *globals, o investigateOptions, id string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		if err := s.mayRecord(ctx, inc, "investigate"); err != nil {
			return err
		}
		m, err := s.affected(inc, o.model)
		if err != nil {
			return err
		}
		keys, err := s.trust(o.trustFlags)
		if err != nil {
			return err
		}
		path := o.suspect
		if path == "" {
			path = suspectPath(inc, m.ID, m.Path)
		}
		signature, err := oms.Verify(ctx, path, oms.VerifyOptions{Trust: keys, Now: s.Now()})
		if err != nil {
			return err
		}
		r, err := investigate.Model(ctx, investigate.Suspect{ID: m.ID, Path: path, Reference: o.reference, Signature: signature})
		if err != nil {
			return err
		}
		if err := s.inside(ctx, inc, path, r); err != nil {
			return err
		}
		s.hunt(ctx, o.logs, r)
		if err := s.recordInquiry(ctx, inc, r); err != nil {
			return err
		}
		return s.printInquiry(id, path, r)
	})
}

// suspectPath is where the suspect is now: where the last isolation that holds
// has put it, else its serving path.
func suspectPath(inc *incident.Incident, model, serving string) string {
	path := serving
	for n := range inc.Plans {
		plan := &inc.Plans[n]
		if plan.Action != action.Isolate || plan.Model != model || !plan.Finished() {
			continue
		}
		for _, step := range plan.Steps {
			if step.Kind == directory.KindPrepare {
				path = step.Target
			}
		}
	}
	return path
}

// hunt adds what the logs hold to the result.
func (s *session) hunt(ctx context.Context, logs []string, r *investigate.Result) {
	found := hunt.ScanFiles(ctx, logs, hunt.Limits{})
	for _, h := range found.Findings {
		r.Findings = append(r.Findings, h.Finding())
	}
	for _, f := range found.Files {
		r.Inquiry.Logs = append(r.Inquiry.Logs, f.Path)
		if f.Problem != "" {
			r.Inquiry.Unread = append(r.Inquiry.Unread, f.Path+": "+f.Problem)
		}
	}
}

// recordInquiry puts what is new into the record, and what was looked at.
func (s *session) recordInquiry(ctx context.Context, inc *incident.Incident, r *investigate.Result) error {
	responder := s.responder()
	var drafts []evidence.Draft
	for _, f := range r.Findings {
		known := slices.ContainsFunc(inc.Findings, func(k finding.Finding) bool { return finding.Compare(k, f) == 0 })
		if !known {
			drafts = append(drafts, responder.Draft(incident.KindFinding, f))
		}
	}
	return responder.Record(ctx, inc.ID, append(drafts, responder.Draft(incident.KindInquiry, r.Inquiry))...)
}

// inquiry is what incident investigate prints.
type inquiry struct {
	IncidentID string            `json:"incident_id"`
	Suspect    string            `json:"suspect"`
	Findings   []finding.Finding `json:"findings"`
	incident.Inquiry
}

func (s *session) printInquiry(id, path string, r *investigate.Result) error {
	out := inquiry{id, path, append([]finding.Finding{}, r.Findings...), r.Inquiry}
	err := s.print(out, func(p *printer) {
		for _, f := range out.Findings {
			p.printf("%s  %s  %s\n", p.severity(f.Severity), f.Rule, oneLine(f.Summary))
		}
		if c := out.Comparison; c != nil {
			p.printf("against %s: %d modified, %d only in the suspect, %d only in the reference, %d identical\n",
				artifact.Quote(out.Reference), len(c.Modified), len(c.OnlyInCompromised), len(c.OnlyInReference), len(c.Identical))
		}
		for _, n := range out.NotUnderstood {
			p.printf("not understood: %s\n", oneLine(n))
		}
		p.printf("%s of %s, %s, %s\n", plural(out.Files, "file", "files"), artifact.Quote(path),
			plural(len(out.Logs), "log", "logs"), plural(len(out.Findings), "finding", "findings"))
	})
	if err != nil {
		return err
	}
	return outcome(len(out.Findings) > 0, false, len(out.Unread)+len(out.NotUnderstood) > 0)
}
