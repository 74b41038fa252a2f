package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

func newIncidentClocks(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "clocks ID", Short: "The deadlines of an incident", Args: cobra.ExactArgs(1),
		Long: `Shows every deadline: when it is due, what it is counted from, how far its
message is, and how late it is or was. All of it follows from the record, so
nothing is lost in a restart.

Our own rhythm always runs. Legal and contractual deadlines run when somebody
has stated that they apply: incident fact ID clock_PROFILE on, or off with
--reason, or clocks: in the configuration. They are data with a citation, no
legal advice: confirm them with counsel.`,
		Example: `  weightwarden incident clocks INC-20261123-ABCDEFGH
  weightwarden incident fact INC-20261123-ABCDEFGH clock_gdpr on --reason "user data in the prompt log"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(s *session) error {
				inc, err := s.fold(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				board, err := s.board(inc)
				if err != nil {
					return err
				}
				return g.print(board, func(p *printer) { printBoard(p, board) })
			})
		},
	}
}

// board evaluates the incident's deadlines as configured.
func (s *session) board(inc *incident.Incident) (clock.Board, error) {
	set, err := clockSet(s.conf)
	if err != nil {
		return clock.Board{}, err
	}
	return set.Evaluate(inc, s.Now()), nil
}

// checkClockFact refuses a fact about a deadline that would not count.
func (g *globals) checkClockFact(f incident.Fact) error {
	conf, err := g.loadConfig()
	if err != nil {
		return err
	}
	set, err := clockSet(conf)
	if err != nil {
		return err
	}
	if err := set.CheckFact(f); err != nil {
		return fault.New(fault.Invalid, "%w", err).WithHint("say: on, or off with --reason TEXT")
	}
	return nil
}

// clockSet returns the built-in profiles and calendars with what the
// configuration adds.
func clockSet(conf *config.Config) (clock.Set, error) {
	set := clock.Default()
	if path := conf.Clocks.Calendar; path != "" {
		c, err := readConfigured(path, clock.ReadCalendar)
		if err != nil {
			return set, err
		}
		set.Calendars[c.ID], set.Org = c, c.ID
	}
	if path := conf.Clocks.File; path != "" {
		own, err := readConfigured(path, clock.ReadProfiles)
		if err != nil {
			return set, err
		}
		if set, err = set.With(own); err != nil {
			return set, err
		}
	}
	for _, id := range conf.Clocks.Profiles {
		if _, err := set.Profile(id); err != nil {
			return set, fault.New(fault.Invalid, "clocks.profiles: %w", err).WithHint("%s", fault.HintOf(err))
		}
	}
	set.On = conf.Clocks.Profiles
	return set, nil
}

// readConfigured reads a file that the configuration names.
func readConfigured[T, L any](path string, read func(string, io.Reader, L) (T, error)) (T, error) {
	return openAndRead(path, "the configuration names this file", read)
}

// cause returns why a file could not be used, without the name that the
// message has already.
func cause(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}

// openAndRead reads a file; the hint says what to do where it cannot be opened.
func openAndRead[T, L any](path, hint string, read func(string, io.Reader, L) (T, error)) (v T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return v, fault.New(fault.Invalid, "open %s: %w", artifact.Quote(path), cause(err)).WithHint("%s", hint)
	}
	var limits L
	v, err = read(path, f, limits)
	return v, errors.Join(err, f.Close())
}

func printBoard(p *printer, b clock.Board) {
	p.printf("%s  deadlines at %s\n", b.IncidentID, stamp(b.At))
	for _, c := range b.Clocks {
		p.printf("\n%s  %s\n  state      %s%s\n", c.ID, c.Title, c.State, lateness(c))
		if c.State == clock.NotApplicable {
			p.printf("  because    %s (%s)\n", artifact.Quote(c.Reason), artifact.Quote(c.By))
			continue
		}
		printCounted(p, c)
		p.printf("  to         %s, with %s\n", artifact.Quote(c.To), c.Template)
		if c.Kind != clock.Product {
			p.printf("  source     %s (%s, as of %s); confirm with %s\n", artifact.Quote(c.Citation), c.Status, artifact.Quote(c.AsOf), artifact.Quote(c.Confirm))
		}
		if c.Note != "" {
			p.printf("  note       %s\n", artifact.Quote(c.Note))
		}
	}
	for i, q := range b.Questions {
		if i == 0 {
			p.printf("\nNot answered: state clock_PROFILE on, or off with a reason. No legal advice; confirm with counsel.\n")
		}
		p.printf("  %-8s  %s\n", q.Profile, artifact.Quote(q.Applies))
	}
	for _, r := range b.Remarks {
		p.printf("remark: %s\n", artifact.Quote(r))
	}
}

// printCounted says what the clock counts from and to.
func printCounted(p *printer, c clock.Clock) {
	switch {
	case !c.SentAt.IsZero():
		p.printf("  sent       %s  %s\n", stamp(c.SentAt), artifact.Quote(c.Receipt))
	case c.Due == nil:
		p.printf("  due        not known: %s\n", c.Rule)
		return
	}
	projected := ""
	if c.Projection {
		projected = "  (worst case)"
	}
	p.printf("  due        %s%s\n", stamp(c.Due.Strict), projected)
	if !c.Due.Statutory.IsZero() {
		p.printf("  statutory  %s\n", stamp(c.Due.Statutory))
	}
	if c.Due.Doubt != "" {
		p.printf("  not sure   %s\n", artifact.Quote(c.Due.Doubt))
	}
	p.printf("  counted    %s, from %s (%s)\n", c.Rule, stamp(c.TriggeredAt), artifact.Quote(c.TriggerSource))
}

// lateness says what is pressing about a clock.
func lateness(c clock.Clock) string {
	late := (time.Duration(c.LateBy) * time.Second).String()
	switch {
	case c.Overdue:
		return "  OVERDUE by " + late
	case c.LateBy > 0:
		return "  late by " + late
	case c.Alarm > 0:
		return fmt.Sprintf("  %d %% of the time has passed", c.Alarm)
	default:
		return ""
	}
}

// printDue lists the deadlines that are open, for the overview of an incident.
func printDue(p *printer, b clock.Board) {
	for _, line := range deadlines(b, true) {
		p.printf("deadline   %s\n", line)
	}
}

// deadlines returns the deadlines with a due time as lines.
func deadlines(b clock.Board, openOnly bool) []string {
	lines := []string{}
	for _, c := range b.Clocks {
		if c.Due == nil || c.State == clock.NotApplicable || openOnly && !c.Open() {
			continue
		}
		line := fmt.Sprintf("%s: %s, due %s%s", c.ID, c.State, stamp(c.Due.Strict), lateness(c))
		if !c.SentAt.IsZero() {
			line = fmt.Sprintf("%s: %s at %s, was due %s%s", c.ID, c.State, stamp(c.SentAt), stamp(c.Due.Strict), lateness(c))
		}
		lines = append(lines, line)
	}
	return lines
}
