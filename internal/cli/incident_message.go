package cli

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/message"
	"github.com/weightwarden/weightwarden/internal/timeline"
)

type messageOptions struct {
	sets []string
	file string
	lint bool

	approve          bool
	sentTo           []string
	send             []string
	channel, receipt string
	acknowledgedBy   string
	clocks           []string
	number           int
}

func (o *messageOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.sets, "set", nil, "`field=value` for a field that the record does not know (repeatable)")
	f.StringVar(&o.file, "to-file", "", "write the message to this `file` instead of standard output")
	f.BoolVar(&o.lint, "lint", false, "only say what a person should look at before it goes out; nothing is recorded")
	f.BoolVar(&o.approve, "approve", false, "record that you approve the last rendering")
	f.StringArrayVar(&o.sentTo, "sent-to", nil, "record that the last rendering was sent to `whom` (repeatable)")
	f.StringArrayVar(&o.send, "send", nil, "send the last rendering to this `receiver` of alerts.receivers, and record it when it was accepted (repeatable)")
	f.StringVar(&o.channel, "channel", "", "how it was sent: phone, mail, portal; with --sent-to")
	f.StringVar(&o.receipt, "receipt", "", "what was answered: a reference number; with --sent-to or --acknowledged-by")
	f.StringVar(&o.acknowledgedBy, "acknowledged-by", "", "record that `who` has confirmed it")
	f.StringArrayVar(&o.clocks, "clock", nil, "the `deadline` that it answers, where several wait for the template (repeatable)")
	f.IntVar(&o.number, "number", 0, "the rendering with this `number` instead of the last")
}

// afterwards reports whether the flags speak of a message that was rendered
// before.
func (o *messageOptions) afterwards() bool {
	return o.approve || len(o.sentTo) > 0 || len(o.send) > 0 || o.acknowledgedBy != ""
}

func (o *messageOptions) check() error {
	switch {
	case o.afterwards() && (o.lint || o.file != "" || len(o.sets) > 0):
		return usage("--approve, --send, --sent-to and --acknowledged-by speak of a text that is in the record: render it first, without them")
	case !o.afterwards() && (o.channel != "" || o.receipt != "" || len(o.clocks) > 0 || o.number != 0):
		return usage("--channel, --receipt, --clock and --number go with --approve, --send, --sent-to or --acknowledged-by")
	}
	return nil
}

func newIncidentMessage(g *globals) *cobra.Command {
	var o messageOptions
	cmd := &cobra.Command{
		Use: "message ID TEMPLATE", Short: "Render a message to people, and record what became of it", Args: cobra.ExactArgs(2),
		Long: `Renders a template from the record: initial_alert, stakeholder_update,
post_incident_report, containment_notice, customer_notice, the forms that the
deadlines name (see incident clocks), or one of the file under templates: in the
configuration. What the record does not know is printed as UNKNOWN with the time
by which it follows. What a person should look at before it goes out is said on
standard error. What was rendered is in the record, with a number.

With --send the last rendering goes to a receiver of alerts.receivers; it counts as
sent when the receiver has accepted it, and a text for people outside has to be
approved first. With --approve, --sent-to and --acknowledged-by the program records
what people did with it; the deadlines go by that.`,
		Example: `  weightwarden incident message INC-20261123-ABCDEFGH initial_alert --set service_impact="answers may be wrong"
  weightwarden incident message INC-20261123-ABCDEFGH initial_alert --send mail
  weightwarden incident message INC-20261123-ABCDEFGH initial_alert --sent-to "security team" --channel phone`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if o.afterwards() {
				return runMessageRecord(cmd.Context(), g, o, args[0], args[1])
			}
			return runMessage(cmd.Context(), g, o, args[0], args[1])
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runMessage(ctx context.Context, g *globals, o messageOptions, id, name string) error {
	overrides := map[string]string{}
	for _, set := range o.sets {
		field, value, ok := strings.Cut(set, "=")
		if !ok {
			return usage("--set: %.60q is not of the form field=value", set)
		}
		overrides[field] = value
	}
	return g.with(ctx, func(s *session) error {
		inc, m, err := s.render(ctx, id, name, overrides)
		if err != nil {
			return err
		}
		warnings := message.Lint(m, inc)
		if o.lint {
			return g.print(warnings, func(p *printer) { printWarnings(p, warnings) })
		}
		if err := s.mayRecord(ctx, inc, "message"); err != nil {
			return err
		}
		if err := s.recordMessage(ctx, inc, m); err != nil {
			return err
		}
		stderr := &printer{w: g.Stderr}
		printWarnings(stderr, warnings)
		if stderr.err != nil {
			return stderr.err
		}
		if o.file != "" {
			return fsop.WriteFileAtomic(o.file, []byte(m.Text()), 0o600)
		}
		return g.print(m, func(p *printer) { p.printf("%s", m.Text()) })
	})
}

// render fills the template in from the record as of now.
func (s *session) render(ctx context.Context, id, name string, overrides map[string]string) (*incident.Incident, message.Rendered, error) {
	templates, err := s.templates()
	if err != nil {
		return nil, message.Rendered{}, err
	}
	t, err := templates.Get(name)
	if err != nil {
		return nil, message.Rendered{}, err
	}
	inc, events, err := s.events(ctx, id, nil)
	if err != nil {
		return nil, message.Rendered{}, err
	}
	board, err := s.board(inc)
	if err != nil {
		return nil, message.Rendered{}, err
	}
	in := message.Input{Now: s.Now(), Timeline: timeline.Lines(events), Overrides: overrides, Deadlines: deadlines(board, false)}
	if next, ok := board.Next(name); ok {
		in.Due = next.Due.Strict
	}
	m, err := message.Render(t, inc, in)
	return inc, m, err
}

func printWarnings(p *printer, warnings []message.Warning) {
	for _, w := range warnings {
		if w.Rule == message.OpenField {
			p.printf("open: %s\n", oneLine(w.Excerpt))
			continue
		}
		p.printf("look at: %s: %s\n", w.Rule, oneLine(w.Text))
	}
}

func (s *session) recordMessage(ctx context.Context, inc *incident.Incident, m message.Rendered) error {
	r, text := s.responder(), m.Text()
	return r.Record(ctx, inc.ID, r.Draft(incident.KindMessage, incident.Message{
		Template: m.Template, Number: message.Numbered(inc, m.Template),
		SHA256: artifact.SHA256Of([]byte(text)), Open: m.Open, Text: text,
	}))
}

// runMessageRecord records what people did with a message.
func runMessageRecord(ctx context.Context, g *globals, o messageOptions, id, name string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		ref, err := o.rendering(inc, name)
		if err != nil {
			return err
		}
		if err := s.mayRecord(ctx, inc, "message"); err != nil {
			return err
		}
		if err := s.checkClocks(inc, ref); err != nil {
			return err
		}
		r := s.responder()
		var drafts []evidence.Draft
		said := []string{}
		if o.approve {
			drafts = append(drafts, r.Draft(incident.KindMessageApproved, incident.MessageApproved{MessageRef: ref, By: s.Actor}))
			said = append(said, "approved")
		}
		if len(o.send) > 0 && len(drafts) > 0 { // nothing goes out before its approval stands
			if err := r.Record(ctx, inc.ID, drafts...); err != nil {
				return err
			}
			drafts = nil
		}
		sent, err := s.sendMessage(ctx, inc, o, ref)
		if err != nil {
			return err
		}
		for _, m := range sent {
			drafts = append(drafts, r.Draft(incident.KindMessageSent, m))
			said = append(said, "accepted by "+artifact.Quote(m.Recipients[0]))
		}
		if len(o.sentTo) > 0 {
			drafts = append(drafts, r.Draft(incident.KindMessageSent, incident.MessageSent{
				MessageRef: ref, Recipients: o.sentTo, Channel: o.channel, Receipt: o.receipt,
			}))
			said = append(said, "sent to "+artifact.Quote(strings.Join(o.sentTo, ", ")))
		}
		if o.acknowledgedBy != "" {
			drafts = append(drafts, r.Draft(incident.KindMessageAcknowledged, incident.MessageAcknowledged{
				MessageRef: ref, By: o.acknowledgedBy, Receipt: o.receipt,
			}))
			said = append(said, "acknowledged by "+artifact.Quote(o.acknowledgedBy))
		}
		if err := r.Record(ctx, inc.ID, drafts...); len(drafts) > 0 && err != nil {
			return err
		}
		out := struct {
			IncidentID string `json:"incident_id"`
			incident.MessageRef
			Recorded []string `json:"recorded"`
		}{inc.ID, ref, said}
		return g.print(out, func(p *printer) {
			p.printf("%s: %s number %d (sha256 %s) %s\n", inc.ID, ref.Template, ref.Number, short(ref.SHA256.Hex()), strings.Join(said, ", "))
		})
	})
}

// rendering returns the message that the flags speak of.
func (o *messageOptions) rendering(inc *incident.Incident, template string) (incident.MessageRef, error) {
	m, ok := inc.Rendered(template)
	for _, earlier := range inc.Messages {
		if o.number != 0 && earlier.Template == template && earlier.Number == o.number {
			m = earlier
		}
	}
	if !ok || o.number != 0 && m.Number != o.number {
		return incident.MessageRef{}, fault.New(fault.NotFound, "incident %s has no such rendering of %s", inc.ID, artifact.Quote(template)).
			WithHint("render it first: weightwarden incident message %s %s", inc.ID, artifact.Quote(template))
	}
	ref := m.Ref()
	ref.Clocks = o.clocks
	return ref, nil
}

// checkClocks refuses a deadline that does not wait for the template.
func (s *session) checkClocks(inc *incident.Incident, ref incident.MessageRef) error {
	board, err := s.board(inc)
	if err != nil {
		return err
	}
	for _, id := range ref.Clocks {
		if c, ok := board.Clock(id); !ok || c.Template != ref.Template {
			return fault.New(fault.Invalid, "--clock: no deadline %.80q waits for %s", id, artifact.Quote(ref.Template)).
				WithHint("see: weightwarden incident clocks %s", inc.ID)
		}
	}
	return nil
}

// templates returns the built-in templates with the configured ones over them.
func (s *session) templates() (message.Set, error) {
	if s.conf.Templates == "" {
		return message.Default(), nil
	}
	f, err := os.Open(s.conf.Templates)
	if err != nil {
		return nil, fault.New(fault.Invalid, "open templates: %w", err)
	}
	own, err := message.Load(s.conf.Templates, f)
	return own, errors.Join(err, f.Close())
}
