package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/incident"
)

func newIncidentUndo(g *globals) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use: "undo ID [STEP]", Short: "Take back the last plan, or one step of it", Args: cobra.RangeArgs(1, 2),
		Long: `Prints the recorded inverses of the newest plan's steps, last first; with
--apply carries them out. Each is guarded: where somebody else has changed the
target since, it is refused and nothing is overwritten.

Taking back an isolation puts the tampered model back into serving.`,
		Example: "  weightwarden incident undo INC-20261123-ABCDEFGH\n  weightwarden incident undo INC-20261123-ABCDEFGH --apply",
		RunE: func(cmd *cobra.Command, args []string) error {
			step := ""
			if len(args) == 2 {
				step = args[1]
			}
			return runUndo(cmd.Context(), g, o, args[0], step)
		},
	}
	o.addPlanFlags(cmd.Flags())
	return cmd
}

func runUndo(ctx context.Context, g *globals, o planOptions, id, step string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		if err := s.reconnect(o.cluster, inc); err != nil {
			return err
		}
		plan, err := s.responder().PlanUndo(ctx, inc, step)
		if err != nil {
			return err
		}
		return s.settle(ctx, o, inc, planned{Plan: plan})
	})
}

func newIncidentResume(g *globals) *cobra.Command {
	var o actingOptions
	var way clusterFlags
	cmd := &cobra.Command{
		Use: "resume ID", Short: "Continue what was interrupted", Args: cobra.ExactArgs(1),
		Long: `Continues every approved plan that was begun and not finished, after a crash or
after the cause of a failure was removed. What was done already is found out by
looking, not by memory.`,
		Example: "  weightwarden incident resume INC-20261123-ABCDEFGH",
		RunE:    func(cmd *cobra.Command, args []string) error { return runResume(cmd.Context(), g, o, way, args[0]) },
	}
	o.addFlags(cmd.Flags())
	o.addGlass(cmd.Flags(), true)
	way.add(cmd.Flags())
	return cmd
}

func runResume(ctx context.Context, g *globals, o actingOptions, way clusterFlags, id string) error {
	return g.with(ctx, func(s *session) error {
		before, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		if err := s.reconnect(way, before); err != nil {
			return err
		}
		r, err := s.acting(o, o.why)
		if err != nil {
			return err
		}
		resumed, err := r.Resume(ctx, id)
		if err != nil {
			return err
		}
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		if err := s.draftNews(ctx, before, inc); err != nil {
			return err
		}
		out := struct {
			IncidentID string            `json:"incident_id"`
			Resumed    []artifact.Digest `json:"resumed_plans"`
			State      incident.State    `json:"state"`
		}{id, append([]artifact.Digest{}, resumed...), inc.State}
		return g.print(out, func(p *printer) {
			if len(resumed) == 0 {
				p.printf("nothing to continue; ")
			}
			for _, hash := range resumed {
				p.printf("plan %s: every step is done\n", short(hash.String()))
			}
			p.printf("%s is %s\n", id, inc.State)
		})
	})
}
