// Package slack sends alerts to an incoming webhook of Slack. Mattermost and
// Rocket.Chat accept the same form.
package slack

import (
	"context"
	"strings"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is where to and as whom.
type Config struct {
	URL      notify.Secret
	Channel  string
	Username string
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddKeys(map[string]any{"url": &c.URL, "channel": &c.Channel, "username": &c.Username})
}

// Check implements [notify.Config].
func (c *Config) Check() error { return notify.Problems(notify.URL("url", c.URL, true)) }

// Open implements [notify.Config].
func (c *Config) Open(w notify.World) (notify.Transport, error) {
	p, err := egress.NewPoster(c.Policy)
	return &sender{c, w, p}, err
}

type sender struct {
	conf *Config
	w    notify.World
	post *egress.Poster
}

type payload struct {
	Text        string       `json:"text"`
	Channel     string       `json:"channel,omitempty"`
	Username    string       `json:"username,omitempty"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	Color    string   `json:"color"`
	Fallback string   `json:"fallback"`
	Text     string   `json:"text"`
	Footer   string   `json:"footer"`
	TS       int64    `json:"ts"`
	MrkdwnIn []string `json:"mrkdwn_in"`
}

// maxText is less than what the receiver cuts off itself.
const maxText = 7000

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	address, err := s.conf.URL.Read(s.w)
	if err != nil {
		return true, err
	}
	_, retry, err := s.post.JSON(ctx, address, a.Key, nil, payload{
		Text: escape(notify.Cut(a.Line(), 500)), Channel: s.conf.Channel, Username: s.conf.Username,
		Attachments: []attachment{{
			Color: color(a), Fallback: escape(notify.Cut(a.Line(), 500)), Text: escape(notify.Cut(a.Body(), maxText)),
			Footer: escape("weightwarden " + a.Host + " " + notify.Cut(a.Key, 16)), TS: a.At.Unix(), MrkdwnIn: []string{},
		}},
	})
	return retry, err
}

// escape keeps names written by an attacker from calling the whole channel.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func color(a notify.Alert) string {
	switch {
	case a.Status == notify.Resolved:
		return "#2eb67d"
	case a.Status != notify.Firing:
		return "#5b6770"
	case a.Severity >= finding.Critical:
		return "#b00020"
	case a.Severity >= finding.High:
		return "#e8710a"
	default:
		return "#f2c744"
	}
}
