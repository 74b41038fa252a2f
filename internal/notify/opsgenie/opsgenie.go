// Package opsgenie sends alerts to Opsgenie's Alert API: one alert per group,
// closed when nothing of the group is there any more.
package opsgenie

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// endpoint is where the service takes alerts.
const endpoint = "https://api.opsgenie.com"

// Config is whose alerts they are.
type Config struct {
	APIKey notify.Secret
	// URL is another endpoint than the usual one, such as that of the EU.
	URL  notify.Secret
	Tags []string
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddKeys(map[string]any{"api_key": &c.APIKey, "url": &c.URL, "tags": &c.Tags})
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	return notify.Problems(notify.Need("api_key", c.APIKey.Given()), notify.URL("url", c.URL, false))
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

type create struct {
	Message     string            `json:"message"`
	Alias       string            `json:"alias"`
	Description string            `json:"description"`
	Tags        []string          `json:"tags,omitempty"`
	Details     map[string]string `json:"details"`
	Entity      string            `json:"entity"`
	Source      string            `json:"source"`
	Priority    string            `json:"priority"`
}

type closing struct {
	Source string `json:"source"`
	Note   string `json:"note"`
}

// What the service accepts.
const (
	maxMessage     = 130
	maxAlias       = 512
	maxDescription = 15000
	maxNote        = 25000
	maxField       = 100
)

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	key, err := s.conf.APIKey.Read(s.w)
	if err != nil {
		return true, err
	}
	base := endpoint
	if s.conf.URL.Given() {
		if base, err = s.conf.URL.Read(s.w); err != nil {
			return true, err
		}
	}
	address, doc := s.request(strings.TrimSuffix(base, "/"), a)
	_, retry, err := s.post.JSON(ctx, address, a.Key, http.Header{"Authorization": {"GenieKey " + key}}, doc, key)
	return retry, err
}

func (s *sender) request(base string, a notify.Alert) (address string, doc any) {
	alias := notify.Cut("weightwarden/"+a.Host+"/"+a.Group, maxAlias)
	if a.Status == notify.Resolved {
		return base + "/v2/alerts/" + url.PathEscape(alias) + "/close?identifierType=alias",
			closing{Source: notify.Cut(a.Host, maxField), Note: notify.Cut(a.Text, maxNote)}
	}
	return base + "/v2/alerts", create{
		Message: notify.Cut(a.Line(), maxMessage), Alias: alias, Description: notify.Cut(a.Text, maxDescription),
		Tags: s.conf.Tags, Entity: notify.Cut(a.Source, maxMessage), Source: notify.Cut(a.Host, maxField), Priority: priority(a),
		Details: map[string]string{"key": a.Key, "status": string(a.Status), "severity": a.Severity.String()},
	}
}

func priority(a notify.Alert) string {
	switch {
	case a.Status == notify.Test:
		return "P5"
	case a.Severity >= finding.Critical:
		return "P1"
	case a.Severity >= finding.High:
		return "P2"
	case a.Severity >= finding.Medium:
		return "P3"
	default:
		return "P4"
	}
}
