package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/message"
)

type closeOptions struct {
	actingOptions
	resolution string
}

func newIncidentClose(g *globals) *cobra.Command {
	var o closeOptions
	cmd := &cobra.Command{
		Use: "close ID", Short: "Close an incident", Args: cobra.ExactArgs(1),
		Long: `Ends the incident. Refused (exit 5) while messages are unsent that somebody waits
for (gate G12): the initial alert, the notice of containment, the update about
the recovery, and whatever a legal deadline asks for. Send them and say so with
incident message ID TEMPLATE --sent-to WHOM, or waive the gate with a reason.

Where approvers are named, a critical or high incident needs one of them (G6).`,
		Example: `  weightwarden incident close INC-20261123-ABCDEFGH --resolution "rolled back, token rotated"`,
		RunE:    func(cmd *cobra.Command, args []string) error { return runClose(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	o.addGlass(cmd.Flags(), true)
	cmd.Flags().StringVar(&o.resolution, "resolution", "", "how it ended")
	_ = cmd.MarkFlagRequired("resolution")
	return cmd
}

func runClose(ctx context.Context, g *globals, o closeOptions, id string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		board, err := s.board(inc)
		if err != nil {
			return err
		}
		r, err := s.acting(o.actingOptions, o.why)
		if err != nil {
			return err
		}
		closed := incident.Closed{Resolution: o.resolution}
		if err := r.Close(ctx, id, closed, unsent(inc, board)); err != nil {
			return err
		}
		return g.print(appended{id, incident.KindClosed, closed}, func(p *printer) { p.printf("%s: closed\n", id) })
	})
}

// news are the messages that what is true for others makes necessary.
var news = []struct {
	action   action.Name
	template string
}{{action.Isolate, message.ContainmentNotice}, {action.Rollback, message.StakeholderUpdate}}

// unsent returns the templates of the messages that somebody waits for.
func unsent(inc *incident.Incident, board clock.Board) []string {
	out := []string{}
	if !sentSince(inc, message.InitialAlert, time.Time{}) {
		out = append(out, message.InitialAlert)
	}
	for _, n := range news {
		if at := inc.MovedAt(n.action); !at.IsZero() && !sentSince(inc, n.template, at) {
			out = append(out, n.template)
		}
	}
	for _, c := range board.Clocks {
		if c.Kind != clock.Product && c.Open() && !c.TriggeredAt.IsZero() && !c.Projection && !slices.Contains(out, c.Template) {
			out = append(out, c.Template)
		}
	}
	return out
}

func sentSince(inc *incident.Incident, template string, since time.Time) bool {
	return slices.ContainsFunc(inc.Sent, func(m incident.SentMessage) bool { return m.Template == template && !m.At.Before(since) })
}

// draftNews renders the message about what has become true, for people to
// look at and to send: nobody has to remember it.
func (s *session) draftNews(ctx context.Context, before, after *incident.Incident) error {
	for _, n := range news {
		if !after.MovedAt(n.action).After(before.MovedAt(n.action)) {
			continue
		}
		inc, m, err := s.render(ctx, after.ID, n.template, nil)
		if err != nil {
			return err
		}
		if err := s.recordMessage(ctx, inc, m); err != nil {
			return err
		}
	}
	return nil
}
