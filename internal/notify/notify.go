// Package notify says what an alert is and what a transport of alerts has to
// do. It knows neither when an alert is due nor how any transport sends it.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// Status says what an alert tells.
type Status string

// The statuses.
const (
	// Firing tells of something that is there.
	Firing Status = "firing"
	// Resolved tells that nothing of the group is there any more.
	Resolved Status = "resolved"
	// Message carries a text of people, such as the message of an incident.
	Message Status = "message"
	// Test was asked for by a person and means nothing.
	Test Status = "test"
)

// Alert is one message on its way to receivers. Each transport writes it in the
// form of its receiver. Text and Severity are the guide's.
type Alert struct {
	// Key is the same for every try of the same alert, and for no other.
	Key string `json:"key"`
	// Group is what the alert is about, a model or an incident: alerts of one
	// group arrive in order, and a resolved one ends those before it.
	Group    string           `json:"group"`
	Status   Status           `json:"status"`
	Severity finding.Severity `json:"severity"`
	// Critical says that the model is marked as critical.
	Critical bool   `json:"critical,omitempty"`
	Source   string `json:"source"`
	// Title is one line, Text the whole for people.
	Title string    `json:"title"`
	Text  string    `json:"text"`
	At    time.Time `json:"at"`
	// Host is where it was seen.
	Host string `json:"host,omitempty"`
	// New, Updated and Resolved are the indicators that the alert is about,
	// the worst first, Listed of each at most.
	New      []indicator.Indicator `json:"new,omitempty"`
	Updated  []indicator.Indicator `json:"updated,omitempty"`
	Resolved []indicator.Indicator `json:"resolved,omitempty"`
	// Open is how many indicators of the group are there after this.
	Open int `json:"open"`
}

// Bounds of what an alert spells out of each of its lists: to people, and to
// machines. The rest is counted.
const (
	Shown  = 20
	Listed = 200
)

// All returns every indicator that the alert spells out.
func (a Alert) All() []indicator.Indicator {
	return append(append(append([]indicator.Indicator{}, a.New...), a.Updated...), a.Resolved...)
}

// Line returns a title also for an alert that has only a text.
func (a Alert) Line() string {
	if a.Title != "" {
		return a.Title
	}
	line, _, _ := strings.Cut(a.Text, "\n")
	return line
}

// Body returns the text without the title, where it begins with it.
func (a Alert) Body() string {
	return strings.TrimLeft(strings.TrimPrefix(a.Text, a.Line()), "\n")
}

// Transport sends alerts in one way.
type Transport interface {
	// Send tries once, for a bounded time. When it fails, retry says whether
	// the same alert may be accepted later. No error tells an address or a
	// secret; one that has a method Wait() time.Duration asks for that delay.
	Send(ctx context.Context, a Alert) (retry bool, err error)
}

// Config is what a transport has to be told. The zero value knows no defaults.
type Config interface {
	// Keys returns where the value of each configuration key goes: a *string,
	// *bool, *int, *time.Duration, *[]string, *Secret, *map[string]Secret,
	// *map[string]string or *egress.Path.
	Keys() map[string]any
	// Check returns what is missing or wrong, in words for who wrote it.
	Check() error
	// Open returns the transport, without sending anything.
	Open(w World) (Transport, error)
}

// World is what transports may touch outside their configuration.
type World struct {
	Getenv func(string) string
	Now    func() time.Time
	Log    *slog.Logger
	// Host is this machine, in the receivers' words.
	Host string
	// Cluster returns the API of the cluster that the machine is in, or that it
	// is told of; nil where there is none.
	Cluster func() (cluster.API, error)
}

// Cut shortens text to at most n bytes of valid UTF-8.
func Cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:max(n-3, 0)], "") + "…"
}

// Word writes one indicator on a line.
func Word(i indicator.Indicator) string {
	return fmt.Sprintf("[%s] %s: %s", i.Severity, i.Type, Plain(i.Description))
}

// Plain returns text as it is where that is harmless in every receiver, else
// quoted: no control characters, no bytes that are not UTF-8.
func Plain(text string) string { return artifact.Quote(text) }

// Problems joins what is wrong into one error, nil where nothing is.
func Problems(list ...string) error {
	var all []string
	for _, p := range list {
		if p != "" {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(strings.Join(all, "; "))
}
