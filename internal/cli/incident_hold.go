package cli

import (
	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/incident"
)

func newIncidentHold(g *globals) *cobra.Command {
	var hold incident.Hold
	var release bool
	cmd := &cobra.Command{
		Use: "hold ID --reason TEXT", Short: "Put the evidence under a legal hold, or lift it", Args: cobra.ExactArgs(1),
		Long: `While a hold is on, nothing may delete or age out evidence of the incident (gate
G13). This program never deletes evidence; the hold binds whatever comes to do
so later, and stands in the record and in every report.`,
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
				r := s.responder()
				if err := r.Record(cmd.Context(), inc.ID, r.Draft(incident.KindHold, hold)); err != nil {
					return err
				}
				return g.print(appended{inc.ID, incident.KindHold, hold}, func(p *printer) { p.printf("%s: %s\n", inc.ID, said) })
			})
		},
	}
	cmd.Flags().StringVar(&hold.Reason, "reason", "", "why; kept in the record")
	cmd.Flags().BoolVar(&release, "release", false, "lift the hold")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
