// Package discord sends alerts to a webhook of Discord.
package discord

import (
	"context"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is where to and as whom.
type Config struct {
	URL      notify.Secret
	Username string
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddKeys(map[string]any{"url": &c.URL, "username": &c.Username})
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
	Username        string   `json:"username,omitempty"`
	Embeds          []embed  `json:"embeds"`
	AllowedMentions mentions `json:"allowed_mentions"`
}

type embed struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Color       int    `json:"color"`
	Timestamp   string `json:"timestamp"`
	Footer      footer `json:"footer"`
}

type footer struct {
	Text string `json:"text"`
}

// mentions with an empty list keeps everybody from being called by a name.
type mentions struct {
	Parse []string `json:"parse"`
}

// What the service accepts, with room for what is put around it.
const (
	maxTitle       = 240
	maxDescription = 4000
)

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	address, err := s.conf.URL.Read(s.w)
	if err != nil {
		return true, err
	}
	_, retry, err := s.post.JSON(ctx, address, a.Key, nil, payload{
		Username: s.conf.Username, AllowedMentions: mentions{Parse: []string{}},
		Embeds: []embed{{
			Title: notify.Cut(a.Line(), maxTitle), Description: literal(a.Body()), Color: color(a),
			Timestamp: a.At.UTC().Format(time.RFC3339), Footer: footer{"weightwarden " + a.Host + " " + notify.Cut(a.Key, 16)},
		}},
	})
	return retry, err
}

// literal puts text where nothing in it is markup.
func literal(text string) string {
	if text == "" {
		return ""
	}
	return "```\n" + strings.ReplaceAll(notify.Cut(text, maxDescription), "`", "'") + "\n```"
}

func color(a notify.Alert) int {
	switch {
	case a.Status == notify.Resolved:
		return 0x2eb67d
	case a.Status != notify.Firing:
		return 0x5b6770
	case a.Severity >= finding.Critical:
		return 0xb00020
	case a.Severity >= finding.High:
		return 0xe8710a
	default:
		return 0xf2c744
	}
}
