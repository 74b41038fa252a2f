// Package catalog is the written-out list of transports. It knows nothing of
// what they do.
package catalog

import (
	"slices"

	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/alertmanager"
	"github.com/weightwarden/weightwarden/internal/notify/cloudevents"
	"github.com/weightwarden/weightwarden/internal/notify/discord"
	"github.com/weightwarden/weightwarden/internal/notify/file"
	"github.com/weightwarden/weightwarden/internal/notify/kubernetes"
	"github.com/weightwarden/weightwarden/internal/notify/logline"
	"github.com/weightwarden/weightwarden/internal/notify/opsgenie"
	"github.com/weightwarden/weightwarden/internal/notify/pagerduty"
	"github.com/weightwarden/weightwarden/internal/notify/program"
	"github.com/weightwarden/weightwarden/internal/notify/slack"
	"github.com/weightwarden/weightwarden/internal/notify/smtp"
	"github.com/weightwarden/weightwarden/internal/notify/syslog"
	"github.com/weightwarden/weightwarden/internal/notify/teams"
	"github.com/weightwarden/weightwarden/internal/notify/webhook"
)

// Kind is one kind of transport, by the name that configurations use.
type Kind struct {
	Name string
	// New returns an empty configuration.
	New func() notify.Config
}

// All returns every kind, sorted by name.
func All() []Kind {
	return []Kind{
		{"alertmanager", func() notify.Config { return &alertmanager.Config{} }},
		{"cloudevents", func() notify.Config { return &cloudevents.Config{} }},
		{"discord", func() notify.Config { return &discord.Config{} }},
		{"file", func() notify.Config { return &file.Config{} }},
		{"kubernetes", func() notify.Config { return &kubernetes.Config{} }},
		{"log", func() notify.Config { return &logline.Config{} }},
		{"opsgenie", func() notify.Config { return &opsgenie.Config{} }},
		{"pagerduty", func() notify.Config { return &pagerduty.Config{} }},
		{"program", func() notify.Config { return &program.Config{} }},
		{"slack", func() notify.Config { return &slack.Config{} }},
		{"smtp", func() notify.Config { return &smtp.Config{} }},
		{"syslog", func() notify.Config { return &syslog.Config{} }},
		{"teams", func() notify.Config { return &teams.Config{} }},
		{"webhook", func() notify.Config { return &webhook.Config{} }},
	}
}

// Names returns the names of all kinds.
func Names() (names []string) {
	for _, k := range All() {
		names = append(names, k.Name)
	}
	return names
}

// New returns an empty configuration of the kind.
func New(name string) (notify.Config, bool) {
	all := All()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return nil, false
	}
	return all[i].New(), true
}
