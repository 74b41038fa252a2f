package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// sendMessage sends a rendering to receivers and returns what was accepted.
// When one of them did not accept it, those before it are recorded at once.
func (s *session) sendMessage(ctx context.Context, inc *incident.Incident, o messageOptions, ref incident.MessageRef) ([]incident.MessageSent, error) {
	if len(o.send) == 0 {
		return nil, nil
	}
	if err := s.maySend(inc, o, ref); err != nil {
		return nil, err
	}
	to, err := s.receivers(s.conf)
	if err != nil {
		return nil, err
	}
	answers, err := s.ask(ctx, to.Transports, o.send, messageAlert(inc, ref, s.host(), textOf(inc, ref)))
	if err != nil {
		return nil, err
	}
	var sent []incident.MessageSent
	var refused []string
	for _, a := range answers {
		if !a.Accepted {
			refused = append(refused, artifact.Quote(a.Receiver)+": "+a.Reason)
			continue
		}
		sent = append(sent, incident.MessageSent{
			MessageRef: ref, Recipients: []string{a.Receiver}, Channel: kindOf(s.conf, a.Receiver), Receipt: "key " + messageKey(inc, ref),
		})
	}
	if len(refused) == 0 {
		return sent, nil
	}
	r := s.responder()
	for _, m := range sent {
		if err := r.Record(ctx, inc.ID, r.Draft(incident.KindMessageSent, m)); err != nil {
			return nil, err
		}
	}
	return nil, fault.New(fault.Incomplete, "send message: not accepted by %s", strings.Join(refused, "; ")).
		WithHint("what was not accepted is not recorded as sent; try again, or another way: --sent-to WHOM --channel phone")
}

// maySend refuses what nobody has approved for people outside, and to send the
// same text to the same receiver twice.
func (s *session) maySend(inc *incident.Incident, o messageOptions, ref incident.MessageRef) error {
	templates, err := s.templates()
	if err != nil {
		return err
	}
	same := func(m incident.MessageRef) bool {
		return m.Template == ref.Template && m.Number == ref.Number && m.SHA256 == ref.SHA256
	}
	approved := o.approve || slices.ContainsFunc(inc.Approved, func(a incident.ApprovedMessage) bool { return same(a.MessageRef) })
	if t, err := templates.Get(ref.Template); !approved && (err != nil || t.External) {
		return fault.New(fault.Refused, "send message: %s is for people outside and number %d is not approved", artifact.Quote(ref.Template), ref.Number).
			WithHint("read it, then: weightwarden incident message %s %s --approve", inc.ID, artifact.Quote(ref.Template))
	}
	for _, m := range inc.Sent {
		for _, name := range o.send {
			if same(m.MessageRef) && slices.Contains(m.Recipients, name) {
				return fault.New(fault.Conflict, "send message: %s has number %d of %s since %s", artifact.Quote(name), ref.Number,
					artifact.Quote(ref.Template), m.At.UTC().Format("2006-01-02T15:04:05Z")).
					WithHint("render a new one for what has changed: weightwarden incident message %s %s", inc.ID, artifact.Quote(ref.Template))
			}
		}
	}
	return nil
}

// textOf returns the text of a rendering.
func textOf(inc *incident.Incident, ref incident.MessageRef) string {
	for _, m := range inc.Messages {
		if m.Template == ref.Template && m.Number == ref.Number {
			return m.Text
		}
	}
	return ""
}

// messageKey is the same for every try of the same rendering.
func messageKey(inc *incident.Incident, ref incident.MessageRef) string {
	return artifact.SHA256Of([]byte(inc.ID + "\n" + ref.Template + "\n" + ref.SHA256.Hex())).Hex()
}

// messageAlert puts a rendering into the form of the transports.
func messageAlert(inc *incident.Incident, ref incident.MessageRef, host, text string) notify.Alert {
	first, rest, _ := strings.Cut(text, "\n")
	title := strings.TrimSpace(strings.TrimPrefix(first, "Subject:"))
	if !strings.HasPrefix(first, "Subject:") {
		rest = text
	}
	return notify.Alert{
		Key: messageKey(inc, ref), Group: "message/" + inc.ID, Status: notify.Message, Severity: inc.Severity, Source: inc.ID,
		Title: title, Text: title + "\n\n" + strings.TrimLeft(rest, "\n"), At: inc.UpdatedAt, Host: host,
	}
}

// kindOf returns the kind of a receiver.
func kindOf(c *config.Config, name string) string {
	for _, r := range c.Alerts.Receivers {
		if r.Name == name {
			return r.Kind
		}
	}
	return "webhook"
}
