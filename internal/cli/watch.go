package cli

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

const watchLong = `Runs the check at once and then every check_interval_seconds, until it gets
SIGTERM or SIGINT, and stops at once. What is new is sent to alert_webhook as
{"text", "severity"}; an alert is kept in the state directory and tried again
until it is delivered, over restarts too, and the same finding is not sent
twice while it lasts.

Models are isolated without a person only where a policy under auto_contain: in
the configuration says so; see docs/people.md.

So are the alarms of the deadlines of incidents, at 50, 80, 95 and 100 percent
of their time: what came due while nobody watched is sent late and says so.

With -o json the outcome of every cycle is one line on standard output.`

func newWatch(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "watch", Short: "Check at an interval and alert about what is new",
		Long: watchLong, Args: cobra.NoArgs,
		Example: "  weightwarden --config config.yaml --log-level info watch",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runWatch(cmd.Context(), g) },
	}
}

func runWatch(ctx context.Context, g *globals) error {
	return g.with(ctx, func(s *session) error {
		if err := s.mustConfig(); err != nil {
			return err
		}
		c, err := s.checker(ctx)
		if err != nil {
			return err
		}
		clocks, err := clockSet(s.conf)
		if err != nil {
			return err
		}
		a := &agent.Agent{
			Checker: c, Memory: s.db.Documents(), Interval: s.conf.CheckInterval,
			MinSeverity: max(s.conf.Alerts.MinSeverity, finding.Low), Log: g.log(),
		}
		to, err := g.receivers(s.conf)
		if err != nil {
			return err
		}
		a.Delivery, a.Host = agent.NewDelivery(s.db.Outbox(), to, g.log()), g.host()
		a.Report = func(r *check.Report) {
			if g.json() {
				_ = g.printLine(r)
			}
			s.afterCheck(ctx, r)
		}
		ctx, stop := context.WithCancel(ctx)
		var guards sync.WaitGroup
		defer guards.Wait()
		defer stop()
		guards.Go(func() { s.deadlines(clocks, a.Delivery.Tells()).Run(ctx) })
		c.Hashing.Guards = map[string]*manifest.Guard{}
		for _, m := range s.conf.Models {
			g := &manifest.Guard{}
			c.Hashing.Guards[m.ID] = g
			guards.Go(func() { g.Run(ctx) })
		}
		return a.Run(ctx)
	})
}
