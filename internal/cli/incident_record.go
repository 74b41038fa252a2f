package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/playbook"
)

// appended is what the commands that add one entry print.
type appended struct {
	IncidentID string `json:"incident_id"`
	Entry      string `json:"entry"`
	Body       any    `json:"body"`
}

func runAppend(ctx context.Context, g *globals, id, kind string, body any, said string) error {
	return g.with(ctx, func(s *session) error {
		if err := s.append(ctx, id, kind, body); err != nil {
			return err
		}
		return g.print(appended{id, kind, body}, func(p *printer) { p.printf("%s: %s\n", id, said) })
	})
}

func newIncidentNote(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "note ID TEXT…", Short: "Add a note to the record", Args: cobra.MinimumNArgs(2),
		Example: `  weightwarden incident note INC-20261123-ABCDEFGH "registry team is informed"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			note := incident.Note{Text: strings.Join(args[1:], " ")}
			return runAppend(cmd.Context(), g, args[0], incident.KindNote, note, "noted")
		},
	}
}

func newIncidentFact(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "fact ID NAME VALUE", Short: "State a fact: a time, a number, an answer", Args: cobra.ExactArgs(3),
		Long: `States a fact. Facts whose names end in _at are times (RFC 3339): first_bad_at
decides which versions are old enough to roll back to. Facts named like a field
of a message fill that field; the fact commander names who leads. Facts named
clock_PROFILE, on or off, say whether deadlines apply (see incident clocks), and
step_STEP, done, that people have done a step (see incident next). A later fact
replaces an earlier one; both stay in the record.`,
		Example: `  weightwarden incident fact INC-20261123-ABCDEFGH first_bad_at 2026-11-20T08:00:00Z --reason "registry log"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			fact := incident.Fact{Name: args[1], Value: args[2], Reason: reason}
			if err := checkFact(&fact, g.Now()); err != nil {
				return err
			}
			if err := g.checkClockFact(fact); err != nil {
				return err
			}
			return runAppend(cmd.Context(), g, args[0], incident.KindFact, fact, fact.Name+" = "+artifact.Quote(fact.Value))
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "how that is known; kept in the record")
	return cmd
}

// checkFact refuses a name that could not be asked for and a time that is
// none. Times are kept in UTC.
func checkFact(f *incident.Fact, now time.Time) error {
	if err := artifact.CheckID(f.Name); err != nil {
		return usage("fact name: %v", err)
	}
	if !strings.HasSuffix(f.Name, "_at") {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, f.Value)
	if err != nil {
		return usage("fact %s: %.60q is no time of the form 2026-11-20T08:00:00Z", f.Name, f.Value)
	}
	if t.After(now.Add(time.Minute)) {
		return usage("fact %s: %s lies in the future", f.Name, f.Value)
	}
	f.Value = t.UTC().Format(time.RFC3339Nano)
	return nil
}

func newIncidentTask(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "task ID TASK", Short: "Mark a task as done", Args: cobra.ExactArgs(2),
		Example: "  weightwarden incident task INC-20261123-ABCDEFGH rotate-1 --reason \"new token in place\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(s *session) error {
				inc, err := s.fold(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(inc.OpenTasks(), func(t incident.TaskState) bool { return t.ID == args[1] }) {
					return fault.New(fault.NotFound, "incident %s has no open task %s", inc.ID, artifact.Quote(args[1])).
						WithHint("see the tasks: weightwarden incident show %s", inc.ID)
				}
				done := incident.TaskDone{ID: args[1], Reason: reason}
				if err := s.append(cmd.Context(), inc.ID, incident.KindTaskDone, done); err != nil {
					return err
				}
				return g.print(appended{inc.ID, incident.KindTaskDone, done}, func(p *printer) { p.printf("%s: %s is done\n", inc.ID, done.ID) })
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what was done; kept in the record")
	return cmd
}

func newIncidentShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Where an incident stands", Args: cobra.ExactArgs(1),
		Example: "  weightwarden incident show INC-20261123-ABCDEFGH",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(s *session) error {
				inc, err := s.responder().Board(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				book, board, err := s.outlook(inc.Incident)
				if err != nil {
					return err
				}
				refused := s.refusals(cmd.Context(), inc, board)
				out := struct {
					*incident.Incident
					Next   []string            `json:"next"`
					Steps  []playbook.Standing `json:"steps"`
					Gates  []refusal           `json:"gates"`
					Clocks []clock.Clock       `json:"clocks"`
				}{inc.Incident, book.Next(inc.Incident, blocked(refused)), book.Board(inc.Incident, blocked(refused)), refused, board.Clocks}
				return g.print(out, func(p *printer) {
					printIncident(p, inc.Incident)
					printPeopleInvolved(p, inc.Incident)
					printDue(p, board)
					printRefusals(p, refused)
					printSteps(p, out.Steps, inc.ID)
				})
			})
		},
	}
}

func printIncident(p *printer, inc *incident.Incident) {
	p.printf("%s  %s  %s\n%s\n", inc.ID, inc.State, inc.Severity, artifact.Quote(inc.Summary))
	p.printf("models     %s\ncommander  %s\n", artifact.Quote(strings.Join(inc.Models, ", ")), artifact.Quote(inc.Commander))
	bad, source := inc.FirstBad()
	detected, how := inc.Detected()
	if how = " (" + artifact.Quote(how) + ")"; detected.Equal(inc.DetectedAt) {
		how = ""
	}
	p.printf("detected   %s%s\nfirst bad  %s (%s)\nopened     %s\n", stamp(detected), how, stamp(bad), artifact.Quote(source), stamp(inc.OpenedAt))
	if !inc.ClosedAt.IsZero() {
		p.printf("closed     %s  %s\n", stamp(inc.ClosedAt), artifact.Quote(inc.Resolution))
	}
	p.printf("evidence   %s, %d missing\n", plural(len(inc.Evidence), "item", "items"), len(inc.Gaps))
	for _, i := range inc.Indicators {
		p.printf("  %s  %s  %s\n", p.severity(i.Severity), artifact.Quote(string(i.Type)), oneLine(i.Description))
	}
	for _, f := range inc.Findings {
		p.printf("  %s  %s  %s\n", p.severity(f.Severity), artifact.Quote(f.Rule), oneLine(f.Summary))
	}
	for _, plan := range inc.Plans {
		p.printf("%s of %s  (plan %s)\n", plan.Action, artifact.Quote(plan.Model), short(plan.Hash.String()))
		for _, s := range plan.Steps {
			p.printf("  %-9s  %-14s  %s\n", s.Status, s.ID, oneLine(s.Observation.Detail))
		}
	}
	printHandling(p, inc)
	for _, t := range inc.OpenTasks() {
		p.printf("task       %s: %s\n", t.ID, artifact.Quote(t.Text))
	}
	for _, u := range inc.Unknown {
		p.printf("not understood: entry %s\n", artifact.Quote(u))
	}
}

// printSteps shows the steps of the playbook that may be taken now, with the
// commands for this incident, and of the others what they wait for.
func printSteps(p *printer, steps []playbook.Standing, id string) {
	for _, step := range steps {
		if step.Status != playbook.Allowed {
			continue
		}
		p.printf("next       %s\n", oneLine(step.Title))
		if step.Hindered {
			p.printf("             its command is refused by a gate as yet; what people do is not\n")
			continue
		}
		for _, c := range step.Commands {
			p.printf("             %s\n", oneLine(forIncident(c, id)))
		}
	}
	for _, step := range steps {
		switch step.Status {
		case playbook.Waiting:
			p.printf("waiting    %s: not before %s\n", oneLine(step.Title), oneLine(strings.Join(step.WaitsFor, ", ")))
		case playbook.Refused:
			p.printf("refused    %s: %s\n", oneLine(step.Title), oneLine(step.Because))
		case playbook.Allowed, playbook.Done, playbook.Over: // shown above, or nothing to be done
		}
	}
}
