// Package teams sends alerts to a Teams channel, as an Adaptive Card to the
// webhook of a workflow.
package teams

import (
	"context"
	"strings"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is where to.
type Config struct {
	URL notify.Secret
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any { return c.AddKeys(map[string]any{"url": &c.URL}) }

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
	Type        string       `json:"type"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	ContentType string `json:"contentType"`
	Content     card   `json:"content"`
}

type card struct {
	Schema  string  `json:"$schema"`
	Type    string  `json:"type"`
	Version string  `json:"version"`
	Body    []block `json:"body"`
}

// block is a RichTextBlock: unlike in a TextBlock, nothing in it is markup, so
// that the name of a file cannot become a link.
type block struct {
	Type    string `json:"type"`
	Inlines []run  `json:"inlines"`
}

type run struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Weight string `json:"weight,omitempty"`
	Color  string `json:"color,omitempty"`
}

// maxText keeps the card below the 28 KB that the service takes.
const maxText = 12000

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	address, err := s.conf.URL.Read(s.w)
	if err != nil {
		return true, err
	}
	body := []block{line(run{Text: notify.Cut(a.Line(), 500), Weight: "Bolder", Color: color(a)})}
	for text := range strings.SplitSeq(notify.Cut(a.Body(), maxText), "\n") {
		if text != "" {
			body = append(body, line(run{Text: text}))
		}
	}
	body = append(body, line(run{Text: "weightwarden " + a.Host + " " + notify.Cut(a.Key, 16)}))
	_, retry, err := s.post.JSON(ctx, address, a.Key, nil, payload{Type: "message", Attachments: []attachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content:     card{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4", Body: body},
	}}})
	return retry, err
}

func line(r run) block {
	r.Type = "TextRun"
	return block{Type: "RichTextBlock", Inlines: []run{r}}
}

func color(a notify.Alert) string {
	switch {
	case a.Status == notify.Resolved:
		return "Good"
	case a.Status != notify.Firing:
		return "Default"
	case a.Severity >= finding.High:
		return "Attention"
	default:
		return "Warning"
	}
}
