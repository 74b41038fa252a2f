package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

const watchStatusLong = `Shows the watcher's last sign of life, which it signs and writes every 15
seconds: the verdict on each model, how each is watched and what is not seen,
how far the pass over the large files has come, and what is wrong now.

Silence is an alarm: without a sign of life for a minute, after a stop, or when
the last cycle is overdue, the exit code is 4. Otherwise it is that of a check:
1 when a sign of compromise of severity high or worse is there, 3 for a doubt
about trust, 4 when something could not be looked at. A sign of life that the
state key did not sign is exit code 3.`

func newWatchStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show whether somebody watches, and what was seen", Long: watchStatusLong, Args: cobra.NoArgs,
		Example: "  weightwarden watch status\n  weightwarden watch status -o json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runWatchStatus(cmd.Context(), g) },
	}
}

// watchStatus is what watch status prints.
type watchStatus struct {
	agent.Heartbeat
	// Alive says that somebody watches; Silence why not.
	Alive   bool   `json:"alive"`
	Silence string `json:"silence,omitempty"`
	// AgeSeconds is how old the sign of life is, LagSeconds how long ago the
	// stalest large file was read.
	AgeSeconds int64 `json:"age_seconds"`
	LagSeconds int64 `json:"lag_seconds"`
}

func runWatchStatus(ctx context.Context, g *globals) error {
	return g.with(ctx, func(s *session) error {
		h, err := s.heartbeat()
		if err != nil {
			return err
		}
		now := s.Now()
		out := watchStatus{Heartbeat: h, Silence: h.Silence(now), AgeSeconds: int64(now.Sub(h.At).Seconds())}
		out.Alive = out.Silence == ""
		if !h.Stalest.IsZero() {
			out.LagSeconds = int64(now.Sub(h.Stalest).Seconds())
		}
		if err := g.print(out, func(p *printer) { printWatchStatus(p, &out) }); err != nil {
			return err
		}
		found, untrusted, incomplete := out.outcome()
		return outcome(found, untrusted, incomplete)
	})
}

// outcome judges what is there as a check does.
func (w *watchStatus) outcome() (found, untrusted, incomplete bool) {
	incomplete = !w.Alive
	for _, i := range w.Indicators {
		switch indicator.InfoOf(i.Type).Class {
		case indicator.Found:
			found = found || i.Severity >= finding.High
		case indicator.Trust:
			untrusted = untrusted || i.Severity >= finding.High
		case indicator.Incomplete:
			incomplete = true
		}
	}
	return found, untrusted, incomplete
}

func printWatchStatus(p *printer, w *watchStatus) {
	if w.Alive {
		p.printf("watching    since %s, last sign of life %s ago\n", stamp(w.Started), time.Duration(w.AgeSeconds)*time.Second)
	} else {
		p.printf("SILENT      %s\n", oneLine(w.Silence))
	}
	switch {
	case w.LastCycle.IsZero():
		p.printf("cycle       the first one is under way\n")
	default:
		p.printf("cycle       %d, the last ended %s and took %s; one every %s\n", w.Cycles, stamp(w.LastCycle),
			time.Duration(w.TookMS)*time.Millisecond, time.Duration(w.Interval)*time.Second)
	}
	if w.LargeBytes > 0 {
		p.printf("large files %s, the stalest read %s ago of %s promised\n", bytesText(w.LargeBytes),
			time.Duration(w.LagSeconds)*time.Second, time.Duration(w.PassAge)*time.Second)
	}
	how := map[string]string{}
	for _, c := range w.Coverage {
		text := fmt.Sprintf("%s, %s", c.Mode, plural(c.Paths, "path", "paths"))
		if c.Who {
			text += ", with who"
		}
		if c.Degraded {
			text += ", DEGRADED"
		}
		if c.Reason != "" {
			text += ": " + oneLine(c.Reason)
		}
		how[c.Root] = text
	}
	for _, m := range w.Models {
		p.printf("%-10s  %s  looked at %s; %s\n", m.Verdict, artifact.Quote(m.ID), stamp(m.LookedAt), how[m.ID])
	}
	for _, i := range w.Indicators {
		p.printf("%s  %s  %s  %s  since %s", p.severity(i.Severity), artifact.Quote(string(i.Type)), artifact.Quote(i.Source), artifact.Quote(i.File), stamp(i.Since))
		if i.Incident != "" {
			p.printf("  %s", i.Incident)
		}
		p.printf("\n")
	}
	if !w.Alive {
		p.printf("next: weightwarden --log-level info watch\n")
	}
}
