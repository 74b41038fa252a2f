package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

func newAlerts(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "alerts", Short: "Alerts that wait or were given up, and tests of receivers",
		Long: `watch keeps every alert until its receiver has accepted it, and gives it up
after alerts.give_up_after: it is then a dead letter, with the reason.`,
	}
	cmd.AddCommand(newAlertsList(g), newAlertsChange(g, true), newAlertsChange(g, false), newAlertsTest(g))
	return cmd
}

// letter is an alert in the outbox, without what it says beyond its title.
type letter struct {
	ID       int64           `json:"id"`
	Receiver string          `json:"receiver"`
	Title    string          `json:"title"`
	Status   notify.Status   `json:"status,omitempty"`
	Severity json.RawMessage `json:"severity,omitempty"`
	Created  time.Time       `json:"created"`
	Attempts int             `json:"attempts"`
	Next     *time.Time      `json:"next,omitempty"`
	GivenUp  *time.Time      `json:"given_up,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Dropped  bool            `json:"dropped,omitempty"`
}

func letterOf(i outbox.Item) letter {
	l := letter{
		ID: i.ID, Receiver: strings.TrimPrefix(i.Target, "receiver/"), Created: i.CreatedAt, Attempts: i.Attempts,
		Reason: i.LastError, Dropped: i.Dropped(),
	}
	if i.Target == "alert_webhook" {
		l.Receiver = "" // not decided on yet
	}
	var a struct {
		Title    string          `json:"title"`
		Text     string          `json:"text"`
		Status   notify.Status   `json:"status"`
		Severity json.RawMessage `json:"severity"`
	}
	if json.Unmarshal(i.Payload, &a) == nil {
		l.Title, l.Status, l.Severity = notify.Alert{Title: a.Title, Text: a.Text}.Line(), a.Status, a.Severity
	}
	if i.DeadAt.IsZero() {
		l.Next = &i.NextAt
	} else {
		l.GivenUp = &i.DeadAt
	}
	return l
}

func newAlertsList(g *globals) *cobra.Command {
	var dead bool
	cmd := &cobra.Command{
		Use: "list", Short: "What waits for its receiver; with --dead what was given up", Args: cobra.NoArgs,
		Example: "  weightwarden alerts list\n  weightwarden alerts list --dead",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAlertsList(cmd.Context(), g, dead) },
	}
	cmd.Flags().BoolVar(&dead, "dead", false, "the dead letters: what was given up, and why")
	return cmd
}

func runAlertsList(ctx context.Context, g *globals, dead bool) error {
	return g.with(ctx, func(s *session) error {
		items, err := s.db.Outbox().List(ctx, dead)
		if err != nil {
			return err
		}
		stats, err := s.db.Outbox().Stats(ctx)
		if err != nil {
			return err
		}
		out := struct {
			Pending int      `json:"pending"`
			Dead    int      `json:"dead"`
			Dropped int      `json:"dropped"`
			Alerts  []letter `json:"alerts"`
		}{stats.Pending, stats.Dead, stats.Dropped, []letter{}}
		for _, i := range items {
			out.Alerts = append(out.Alerts, letterOf(i))
		}
		return g.print(out, func(p *printer) {
			for _, l := range out.Alerts {
				printLetter(p, l)
			}
			p.printf("%d waiting, %d given up, %d lost\n", out.Pending, out.Dead, out.Dropped)
		})
	})
}

func printLetter(p *printer, l letter) {
	receiver, title := l.Receiver, l.Title
	if receiver == "" {
		receiver = "(routes)"
	}
	if title == "" {
		title = "(lost)"
	}
	p.printf("%d  %s  %s  %s\n", l.ID, l.Created.UTC().Format(time.RFC3339), artifact.Quote(receiver), artifact.Quote(title))
	if l.Reason != "" {
		p.printf("    %d tries: %s\n", l.Attempts, oneLine(l.Reason))
	}
}

func newAlertsChange(g *globals, retry bool) *cobra.Command {
	var all bool
	var reason string
	cmd := &cobra.Command{
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) != all {
				return usage("name the alerts by their numbers, or all dead letters with --all").WithHint("see: weightwarden alerts list --dead")
			}
			if !retry && strings.TrimSpace(reason) == "" {
				return usage("alerts drop: --reason is missing: it is kept with the alert")
			}
			return runAlertsChange(cmd.Context(), g, retry, args, reason)
		},
	}
	f := cmd.Flags()
	if retry {
		cmd.Use, cmd.Short = "retry [ID…]", "Have dead letters sent again by watch"
		cmd.Example = "  weightwarden alerts retry 17\n  weightwarden alerts retry --all"
		f.BoolVar(&all, "all", false, "every dead letter that can still be sent")
		return cmd
	}
	cmd.Use, cmd.Short = "drop [ID…]", "Give alerts up for good: what they say is lost"
	cmd.Example = "  weightwarden alerts drop 17 --reason \"told by phone\""
	f.BoolVar(&all, "all", false, "every dead letter")
	f.StringVar(&reason, "reason", "", "why; kept with the alert")
	return cmd
}

func runAlertsChange(ctx context.Context, g *globals, retry bool, args []string, reason string) error {
	return g.with(ctx, func(s *session) error {
		box := s.db.Outbox()
		ids, err := letterIDs(ctx, box, args)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if retry {
				err = box.Revive(ctx, id, s.Now())
			} else {
				err = box.Discard(ctx, id, s.Now(), "dropped by "+s.Actor+": "+reason)
			}
			if err != nil {
				return err
			}
		}
		out := struct {
			Alerts []int64 `json:"alerts"`
		}{ids}
		return g.print(out, func(p *printer) {
			verb := "dropped"
			if retry {
				verb = "waiting again"
			}
			p.printf("%d alerts %s\n", len(ids), verb)
		})
	})
}

// letterIDs returns the numbers that were given, else those of all dead letters
// that still say something.
func letterIDs(ctx context.Context, box outbox.Desk, args []string) ([]int64, error) {
	ids := []int64{}
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return nil, usage("%.40q is not the number of an alert", arg).WithHint("see: weightwarden alerts list --dead")
		}
		ids = append(ids, id)
	}
	if len(args) > 0 {
		return ids, nil
	}
	dead, err := box.List(ctx, true)
	for _, i := range dead {
		if !i.Dropped() {
			ids = append(ids, i.ID)
		}
	}
	return ids, err
}

func newAlertsTest(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "test [RECEIVER…]", Short: "Send a test alert to receivers at once", Args: cobra.ArbitraryArgs,
		Long: `Sends a test alert to the receivers named, or to all, at once and once, and says
what each answered. Routes do not count. The exit code is 4 when one of them did
not accept it.`,
		Example: "  weightwarden alerts test\n  weightwarden alerts test oncall",
		RunE:    func(cmd *cobra.Command, args []string) error { return runAlertsTest(cmd.Context(), g, args) },
	}
}

// answer is what a receiver said.
type answer struct {
	Receiver string `json:"receiver"`
	Accepted bool   `json:"accepted"`
	Reason   string `json:"reason,omitempty"`
}

func runAlertsTest(ctx context.Context, g *globals, names []string) error {
	c, err := g.loadConfig()
	if err != nil {
		return err
	}
	to, err := g.receivers(c)
	if err != nil {
		return err
	}
	if len(to.Transports) == 0 {
		return usage("no receiver is configured").WithHint("set alert_webhook, or alerts.receivers: see weightwarden config example")
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(to.Transports))
	}
	key := make([]byte, 16)
	if _, err := io.ReadFull(g.Random, key); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	title := "weightwarden: test alert by " + g.Actor
	a := notify.Alert{
		Key: hex.EncodeToString(key), Group: "test", Status: notify.Test, Severity: finding.Low, Source: "test", Title: title,
		Text: title + "\nNothing has happened.", At: g.Now().UTC(), Host: g.host(),
	}
	answers, err := g.ask(ctx, to.Transports, names, a)
	if err != nil {
		return err
	}
	if err := g.print(answers, func(p *printer) { printAnswers(p, answers) }); err != nil {
		return err
	}
	refused := slices.ContainsFunc(answers, func(a answer) bool { return !a.Accepted })
	return outcome(false, false, refused)
}

// ask sends one alert to receivers, once.
func (g *globals) ask(ctx context.Context, all map[string]notify.Transport, names []string, a notify.Alert) ([]answer, error) {
	for _, name := range names {
		if all[name] == nil {
			return nil, fault.New(fault.NotFound, "no receiver %s is configured", artifact.Quote(name)).
				WithHint("there are: %s", strings.Join(slices.Sorted(maps.Keys(all)), ", "))
		}
	}
	answers := []answer{}
	for _, name := range names {
		_, err := all[name].Send(ctx, a)
		one := answer{Receiver: name, Accepted: err == nil}
		if err != nil {
			one.Reason = err.Error()
		}
		answers = append(answers, one)
	}
	return answers, ctx.Err()
}

func printAnswers(p *printer, answers []answer) {
	for _, a := range answers {
		if a.Accepted {
			p.printf("%s: accepted\n", artifact.Quote(a.Receiver))
			continue
		}
		p.printf("%s: not accepted: %s\n", artifact.Quote(a.Receiver), oneLine(a.Reason))
	}
}
