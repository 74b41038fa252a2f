// Package alertmanager posts alerts to the v2 API of Prometheus' Alertmanager:
// one alert there for each indicator, ended when the indicator is gone.
package alertmanager

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is where to, and what is said of every alert.
type Config struct {
	// URL is the server's, without the path of the API.
	URL notify.Secret
	// Token is sent as a bearer token, where given.
	Token  notify.Secret
	Labels map[string]string
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddKeys(map[string]any{"url": &c.URL, "token": &c.Token, "labels": &c.Labels})
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	list := []string{notify.URL("url", c.URL, true)}
	for name := range c.Labels {
		if !label(name) {
			list = append(list, "labels: "+notify.Plain(notify.Cut(name, 80))+" is no name of a label: letters, digits and _, not beginning with a digit")
		}
	}
	return notify.Problems(list...)
}

func label(name string) bool {
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
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

type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// How long an alert counts there. Without an end the server would end it after
// five minutes, although nothing has been resolved.
const (
	lasts     = 365 * 24 * time.Hour
	textLasts = time.Hour
)

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	address, err := s.conf.URL.Read(s.w)
	if err != nil {
		return true, err
	}
	header, token := http.Header{}, ""
	if s.conf.Token.Given() {
		if token, err = s.conf.Token.Read(s.w); err != nil {
			return true, err
		}
		header.Set("Authorization", "Bearer "+token)
	}
	_, retry, err := s.post.JSON(ctx, strings.TrimSuffix(address, "/")+"/api/v2/alerts", a.Key, header, s.alerts(a), token)
	return retry, err
}

func (s *sender) alerts(a notify.Alert) (out []alert) {
	for _, i := range append(append([]indicator.Indicator{}, a.New...), a.Updated...) {
		out = append(out, s.about(a, i, i.Timestamp, i.Timestamp.Add(lasts)))
	}
	for _, i := range a.Resolved {
		out = append(out, s.about(a, i, i.Timestamp, a.At))
	}
	if len(out) > 0 {
		return out
	}
	labels := s.labels(a)
	labels["alertname"], labels["severity"] = "weightwarden_"+string(a.Status), a.Severity.String()
	return []alert{{
		Labels: labels, Annotations: map[string]string{"summary": a.Line(), "description": notify.Cut(a.Text, 8<<10)},
		StartsAt: a.At.UTC(), EndsAt: a.At.Add(textLasts).UTC(),
	}}
}

func (s *sender) about(a notify.Alert, i indicator.Indicator, from, to time.Time) alert {
	labels := s.labels(a)
	labels["alertname"], labels["severity"], labels["indicator"] = string(i.Type), i.Severity.String(), i.ID
	annotations := map[string]string{"summary": notify.Cut(notify.Word(i), 1024), "description": notify.Cut(notify.Plain(i.Description), 8<<10)}
	if file := i.File(); file != "" {
		annotations["file"] = notify.Cut(notify.Plain(file), 1024)
	}
	if from.After(to) {
		from = to
	}
	return alert{Labels: labels, Annotations: annotations, StartsAt: from.UTC(), EndsAt: to.UTC()}
}

func (s *sender) labels(a notify.Alert) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, s.conf.Labels)
	labels["source"], labels["service"] = a.Source, "weightwarden"
	if a.Host != "" {
		labels["host"] = a.Host
	}
	if a.Critical {
		labels["critical_model"] = "true"
	}
	return labels
}
