package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

func newIncidentWaive(g *globals) *cobra.Command {
	var model, reason string
	cmd := &cobra.Command{
		Use: "waive ID --reason TEXT", Short: "Go on although some evidence cannot be sealed", Args: cobra.ExactArgs(1),
		Long: `Lets isolation and rollback pass the gate that asks for sealed evidence (G2),
for one model, after an assessment that could not capture everything: a file that
changes all the time must not keep a tampered model in service. What was not
captured stays in the record with its reason, and so does the waiver, which the
report names. The next assessment asks anew. No other gate can be waived.`,
		Example: `  weightwarden incident waive INC-20261123-ABCDEFGH --reason "trace.log is written to without a pause"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWaive(cmd.Context(), g, args[0], model, reason)
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "`id` of the model (default: the only one of the incident)")
	cmd.Flags().StringVar(&reason, "reason", "", "why the rest cannot be captured; kept in the record")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func runWaive(ctx context.Context, g *globals, id, model, reason string) error {
	if reason == "" {
		return usage("incident waive: the reason is empty")
	}
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		m, err := s.affected(inc, model)
		if err != nil {
			return err
		}
		switch a, assessed := inc.Assessed[m.ID]; {
		case !assessed:
			return fault.New(fault.Refused, "waive refused by gate %s: nobody has tried to capture the evidence of %s", incident.EvidenceGate, artifact.Quote(m.ID)).
				WithHint("try it first: weightwarden incident assess %s", id)
		case a.Sealed:
			return usage("incident waive: the evidence of %s is sealed; there is nothing to waive", artifact.Quote(m.ID))
		}
		waived := incident.Waived{Gate: incident.EvidenceGate, Model: m.ID, Reason: reason}
		if err := s.append(ctx, id, incident.KindWaived, waived); err != nil {
			return err
		}
		return g.print(appended{id, incident.KindWaived, waived}, func(p *printer) {
			p.printf("%s: gate %s is waived for %s\n", id, waived.Gate, artifact.Quote(m.ID))
		})
	})
}
