package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/respond"
)

func newIncidentHold(g *globals) *cobra.Command {
	var hold incident.Hold
	var release bool
	var o actingOptions
	cmd := &cobra.Command{
		Use: "hold ID --reason TEXT", Short: "Put the evidence under a legal hold, or lift it", Args: cobra.ExactArgs(1),
		Long: `While a hold is on, nothing may delete or age out evidence of the incident (gate
G13). This program never deletes evidence; the hold binds whatever comes to do
so later, and stands in the record and in every report. Where people are on
record, any of them but a viewer puts it on and somebody with the role legal
lifts it.`,
		Example: `  weightwarden incident hold INC-20261123-ABCDEFGH --reason "AI Act Art. 73(6)"
  weightwarden incident hold INC-20261123-ABCDEFGH --release --reason "authority informed, letter of 2026-12-01"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			hold.On = !release
			said := "evidence is under a hold"
			if release {
				said = "the hold on the evidence is lifted"
			}
			return g.with(cmd.Context(), func(s *session) error {
				// A closed incident can come under a hold too.
				inc, err := s.fold(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if release && (inc.Hold == nil || !inc.Hold.On) {
					return usage("incident %s is not under a hold", inc.ID)
				}
				r, err := s.acting(o, "")
				if err != nil {
					return err
				}
				if err := mayHold(cmd.Context(), r, inc, release); err != nil {
					return err
				}
				if err := r.Record(cmd.Context(), inc.ID, r.Draft(incident.KindHold, hold)); err != nil {
					return err
				}
				return g.print(appended{inc.ID, incident.KindHold, hold}, func(p *printer) { p.printf("%s: %s\n", inc.ID, said) })
			})
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&hold.Reason, "reason", "", "why; kept in the record")
	cmd.Flags().BoolVar(&release, "release", false, "lift the hold")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// mayHold refuses to lift a hold for who has not the role legal.
func mayHold(ctx context.Context, r *respond.Responder, inc *incident.Incident, release bool) error {
	roles := []approval.Role{approval.Legal}
	if !release {
		roles = append(roles, approval.Responder, approval.Approver)
	}
	return r.May(ctx, inc, incident.GateHold, "hold", roles...)
}
