package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

type waiveOptions struct {
	actingOptions
	gate, model, reason string
}

func newIncidentWaive(g *globals) *cobra.Command {
	var o waiveOptions
	cmd := &cobra.Command{
		Use: "waive ID --reason TEXT", Short: "Accept a risk that a gate would stop at", Args: cobra.ExactArgs(1),
		Long: `Lets a gate pass that would refuse, on the record:

  G2   some evidence cannot be sealed: after an assessment that could not
       capture everything, for one model, by two persons where approvers are named
  G7   places are unknown where the suspect may be: the commander
  G8   secrets are not rotated: the commander
  G11  more at once than the limits allow: the commander
  G12  messages are not sent: the commander
  G13  the evidence is under a hold: legal

A file that changes all the time must not keep a tampered model in service. What
was not captured stays in the record with its reason, and so does the waiver,
which the report names. What changes asks anew: another assessment, another
scope, a new task, a plan that was carried out, another message. No other gate
can be waived.`,
		Example: `  weightwarden incident waive INC-20261123-ABCDEFGH --reason "trace.log is written to without a pause"
  weightwarden incident waive INC-20261123-ABCDEFGH --gate G7 --reason "host 4 is switched off"`,
		RunE: func(cmd *cobra.Command, args []string) error { return runWaive(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	o.addGlass(cmd.Flags(), false)
	cmd.Flags().StringVar(&o.gate, "gate", incident.EvidenceGate, "the `gate`: "+strings.Join(incident.Waivable(), ", "))
	cmd.Flags().StringVar(&o.model, "model", "", "`id` of the model (default: the only one of the incident)")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why; kept in the record")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func runWaive(ctx context.Context, g *globals, o waiveOptions, id string) error {
	if o.reason == "" {
		return usage("incident waive: the reason is empty")
	}
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		waived := incident.Waived{Gate: strings.ToUpper(o.gate), Model: o.model, Reason: o.reason}
		if waived.Gate == incident.EvidenceGate {
			if waived.Model, err = s.missingEvidence(inc, o.model); err != nil {
				return err
			}
		}
		r, err := s.acting(o.actingOptions, o.reason)
		if err != nil {
			return err
		}
		if waived, err = r.Waive(ctx, id, waived); err != nil {
			return err
		}
		return g.print(appended{id, incident.KindWaived, waived}, func(p *printer) {
			of := ""
			if waived.Model != "" {
				of = " for " + artifact.Quote(waived.Model)
			}
			p.printf("%s: gate %s is waived%s\n", id, waived.Gate, of)
		})
	})
}

// missingEvidence returns the model whose evidence somebody tried to seal in
// vain.
func (s *session) missingEvidence(inc *incident.Incident, named string) (string, error) {
	m, err := s.affected(inc, named)
	if err != nil {
		return "", err
	}
	switch a, assessed := inc.Assessed[m.ID]; {
	case !assessed:
		return "", fault.New(fault.Refused, "waive refused by gate %s: nobody has tried to capture the evidence of %s", incident.EvidenceGate, artifact.Quote(m.ID)).
			WithHint("try it first: weightwarden incident assess %s", inc.ID)
	case a.Sealed:
		return "", usage("incident waive: the evidence of %s is sealed; there is nothing to waive", artifact.Quote(m.ID))
	}
	return m.ID, nil
}
