// Package cloudevents sends alerts as CloudEvents 1.0 by HTTP, in the
// structured mode: one JSON document that holds the event and its data.
package cloudevents

import (
	"context"
	"net/url"
	"time"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is where to.
type Config struct {
	URL     notify.Secret
	Headers map[string]notify.Secret
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddKeys(map[string]any{"url": &c.URL, "headers": &c.Headers})
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	return notify.Problems(notify.URL("url", c.URL, true), notify.Headers(c.Headers))
}

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

type event struct {
	SpecVersion     string       `json:"specversion"`
	ID              string       `json:"id"`
	Source          string       `json:"source"`
	Type            string       `json:"type"`
	Subject         string       `json:"subject,omitempty"`
	Time            string       `json:"time"`
	DataContentType string       `json:"datacontenttype"`
	Data            notify.Alert `json:"data"`
}

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	address, err := s.conf.URL.Read(s.w)
	if err != nil {
		return true, err
	}
	header, secrets, err := notify.ReadHeaders(s.conf.Headers, s.w)
	if err != nil {
		return true, err
	}
	header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	_, retry, err := s.post.JSON(ctx, address, a.Key, header, event{
		SpecVersion: "1.0", ID: a.Key, Source: "/weightwarden/" + url.PathEscape(a.Host), Type: "io.weightwarden.alert." + string(a.Status),
		Subject: a.Source, Time: a.At.UTC().Format(time.RFC3339Nano), DataContentType: "application/json", Data: a,
	}, secrets...)
	return retry, err
}
