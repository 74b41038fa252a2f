package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/playbook"
)

func newPlaybook(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "playbook", Short: "The order of immediate response",
		Long: `The steps of the response, what each waits for, and why. It is data: export it,
change it, check it, and name the file under playbook: in the configuration.`,
	}
	cmd.AddCommand(newPlaybookShow(g), newPlaybookCheck(g), newPlaybookExport(g))
	return cmd
}

// playbook returns the configured playbook, else the built-in one.
func (g *globals) playbook() (playbook.Playbook, error) {
	conf, err := g.loadConfig()
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return playbook.Default(), nil // to be read before anything is set up
	case err != nil:
		return playbook.Playbook{}, err
	}
	return playbookOf(conf)
}

func playbookOf(conf *config.Config) (playbook.Playbook, error) {
	if conf.Playbook == "" {
		return playbook.Default(), nil
	}
	return readConfigured(conf.Playbook, playbook.Load)
}

func newPlaybookShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "The steps of the response, in order, with the reason for each", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := g.playbook()
			if err != nil {
				return err
			}
			return g.print(p, func(out *printer) { printPlaybook(out, p) })
		},
	}
}

func newPlaybookCheck(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Say whether a playbook of your own can be used", Args: cobra.ExactArgs(1),
		Long: `Reads a playbook and names every problem with its line: an unknown key or kind
of step, a step or gate that does not exist, steps that wait for each other.`,
		Example: "  weightwarden playbook check playbook.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := openAndRead(args[0], "write one to begin with: weightwarden playbook export --format yaml > FILE", playbook.Load)
			if err != nil {
				return err
			}
			out := struct {
				File  string `json:"file"`
				Name  string `json:"name"`
				Steps int    `json:"steps"`
				Valid bool   `json:"valid"`
			}{args[0], p.Name, len(p.Steps), true}
			return g.print(out, func(to *printer) {
				to.printf("%s: playbook %s, %s, valid\n", artifact.Quote(args[0]), artifact.Quote(p.Name), plural(len(p.Steps), "step", "steps"))
			})
		},
	}
}

func newPlaybookExport(g *globals) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the playbook for other programs, or to change it", Args: cobra.NoArgs,
		Long: `Writes the playbook as CACAO 2.0 (cacao), for orchestration tools, or writes the
built-in one as the file (yaml) to begin your own with.`,
		Example: "  weightwarden playbook export --format cacao > playbook.json\n  weightwarden playbook export --format yaml > playbook.yaml",
		RunE: func(*cobra.Command, []string) error {
			switch format {
			case "yaml":
				p := &printer{w: g.Stdout}
				p.printf("%s", playbook.BuiltIn())
				return p.err
			case "cacao":
				p, err := g.playbook()
				if err != nil {
					return err
				}
				return playbook.WriteCACAO(g.Stdout, p)
			default:
				return usage("--format: no format %.40q: use cacao or yaml", format)
			}
		},
	}
	cmd.Flags().StringVar(&format, "format", "cacao", "cacao or yaml")
	return cmd
}

func printPlaybook(out *printer, p playbook.Playbook) {
	for _, s := range p.Steps {
		out.printf("%2d  %s\n", s.Number, oneLine(s.Title))
		out.printf("    why here: %s\n", oneLine(s.Reason))
		if len(s.After) > 0 {
			out.printf("    after:    %s\n", strings.Join(s.After, ", "))
		}
		if len(s.Gates) > 0 {
			out.printf("    gates:    %s\n", strings.Join(s.Gates, ", "))
		}
		for _, c := range s.Commands {
			out.printf("    command:  %s\n", oneLine(c))
		}
		if s.People != "" {
			out.printf("    people:   %s\n", oneLine(s.People))
		}
	}
	for _, gate := range p.Gates {
		out.printf("gate %s: %s\n", oneLine(gate.ID), oneLine(gate.Rule))
	}
}

func newIncidentNext(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "next ID", Short: "The one next thing to do, and why not the others", Args: cobra.ExactArgs(1),
		Long: `Names the next step of the playbook that the record allows, what else is
allowed, and of every other step why it is done or has to wait. What only people
can do is done when somebody says so: incident fact ID step_STEP done.`,
		Example: "  weightwarden incident next INC-20261123-ABCDEFGH",
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
					playbook.Advice
					Deadlines []string `json:"deadlines"`
				}{book.Advise(inc.Incident, blocked(refused), urgent(board)...), pressing(board)}
				return g.print(out, func(p *printer) { printAdvice(p, out.Advice, out.Deadlines) })
			})
		},
	}
}

// outlook returns the playbook as configured and the incident's deadlines.
func (s *session) outlook(inc *incident.Incident) (playbook.Playbook, clock.Board, error) {
	book, err := playbookOf(s.conf)
	if err != nil {
		return book, clock.Board{}, err
	}
	board, err := s.board(inc)
	return book, board, err
}

// urgentFrom is the share of a deadline's time, in percent, from which it goes
// before everything else.
const urgentFrom = 80

// urgent returns the kinds of step that a deadline presses for.
func urgent(b clock.Board) []playbook.Kind {
	if c, ok := b.Next("initial_alert"); ok && c.Alarm >= urgentFrom {
		return []playbook.Kind{playbook.Notify}
	}
	return nil
}

// pressing returns the open deadlines that are near or past.
func pressing(b clock.Board) []string {
	b.Clocks = slices.DeleteFunc(slices.Clone(b.Clocks), func(c clock.Clock) bool { return c.Alarm < urgentFrom })
	return deadlines(b, true)
}

func printAdvice(p *printer, a playbook.Advice, deadlines []string) {
	for _, line := range deadlines {
		p.printf("deadline  %s\n", oneLine(line))
	}
	if a.Next == nil {
		p.printf("next      nothing: every step is done, or the incident is closed\n")
	} else {
		printStanding(p, "next", *a.Next)
		for _, c := range a.Next.Commands {
			p.printf("          %s\n", oneLine(forIncident(c, a.IncidentID)))
		}
		if a.Next.People != "" {
			p.printf("          people: %s\n", oneLine(a.Next.People))
		}
		p.printf("          done by people: weightwarden incident fact %s %s%s done\n", a.IncidentID, playbook.FactPrefix, a.Next.ID)
	}
	for _, s := range a.Also {
		printStanding(p, "also", s)
	}
	for _, s := range a.Others {
		printStanding(p, string(s.Status), s)
	}
}

func printStanding(p *printer, label string, s playbook.Standing) {
	p.printf("%-8s  %s: %s\n          %s\n", label, s.ID, oneLine(s.Title), oneLine(s.Because))
}

// forIncident puts the id into a command of the playbook.
func forIncident(command, id string) string {
	words := strings.Split(command, " ")
	for i, w := range words {
		if w == "ID" && i > 0 {
			words[i] = id
		}
	}
	return strings.Join(words, " ")
}
