// Package pagerduty sends alerts as events of the Events API v2: an alert of a
// group triggers, or updates, one incident there, and its end resolves it.
package pagerduty

import (
	"context"
	"net/http"
	"time"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// endpoint is where the service takes events.
const endpoint = "https://events.pagerduty.com/v2/enqueue"

// Config is which service it is for.
type Config struct {
	RoutingKey notify.Secret
	// URL is another endpoint than the usual one: of the EU, or a proxy.
	URL notify.Secret
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddKeys(map[string]any{"routing_key": &c.RoutingKey, "url": &c.URL})
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	return notify.Problems(notify.Need("routing_key", c.RoutingKey.Given()), notify.URL("url", c.URL, false))
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
	RoutingKey  string   `json:"routing_key"`
	EventAction string   `json:"event_action"`
	DedupKey    string   `json:"dedup_key"`
	Client      string   `json:"client,omitempty"`
	Payload     *payload `json:"payload,omitempty"`
}

type payload struct {
	Summary       string         `json:"summary"`
	Source        string         `json:"source"`
	Severity      string         `json:"severity"`
	Timestamp     string         `json:"timestamp"`
	Component     string         `json:"component,omitempty"`
	Group         string         `json:"group,omitempty"`
	Class         string         `json:"class,omitempty"`
	CustomDetails map[string]any `json:"custom_details,omitempty"`
}

// What the service accepts.
const (
	maxSummary  = 1024
	maxDedupKey = 255
	maxText     = 100 << 10
)

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	key, err := s.conf.RoutingKey.Read(s.w)
	if err != nil {
		return true, err
	}
	address := endpoint
	if s.conf.URL.Given() {
		if address, err = s.conf.URL.Read(s.w); err != nil {
			return true, err
		}
	}
	e := eventOf(a)
	e.RoutingKey = key
	_, retry, err := s.post.JSON(ctx, address, a.Key, http.Header{}, e, key)
	return retry, err
}

func eventOf(a notify.Alert) event {
	e := event{EventAction: "trigger", DedupKey: notify.Cut("weightwarden/"+a.Host+"/"+a.Group, maxDedupKey), Client: "weightwarden"}
	if a.Status == notify.Resolved {
		e.EventAction = "resolve"
		return e
	}
	class := ""
	if len(a.New) > 0 {
		class = string(a.New[0].Type)
	}
	host := a.Host
	if host == "" {
		host = "weightwarden"
	}
	e.Payload = &payload{
		Summary: notify.Cut(a.Line(), maxSummary), Source: host, Severity: severity(a), Timestamp: a.At.UTC().Format(time.RFC3339),
		Component: a.Source, Group: a.Group, Class: class,
		CustomDetails: map[string]any{"text": notify.Cut(a.Text, maxText), "open": a.Open, "key": a.Key},
	}
	return e
}

// severity returns the service's word.
func severity(a notify.Alert) string {
	switch {
	case a.Status == notify.Test:
		return "info"
	case a.Severity >= finding.Critical:
		return "critical"
	case a.Severity >= finding.High:
		return "error"
	case a.Severity >= finding.Medium:
		return "warning"
	default:
		return "info"
	}
}
