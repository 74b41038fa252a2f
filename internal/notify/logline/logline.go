// Package logline writes alerts into the program's own log.
package logline

import (
	"context"
	"log/slog"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config has nothing to say.
type Config struct{}

// Keys implements [notify.Config].
func (*Config) Keys() map[string]any { return map[string]any{} }

// Check implements [notify.Config].
func (*Config) Check() error { return nil }

// Open implements [notify.Config].
func (*Config) Open(w notify.World) (notify.Transport, error) { return sender{w.Log}, nil }

type sender struct{ log *slog.Logger }

// Send writes one line. A log has no way to refuse.
func (s sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	level := slog.LevelWarn
	switch {
	case a.Status == notify.Resolved:
		level = slog.LevelInfo
	case a.Severity >= finding.High:
		level = slog.LevelError
	}
	types := make([]string, 0, len(a.New))
	for _, i := range a.New {
		types = append(types, string(i.Type))
	}
	s.log.Log(ctx, level, "alert", "status", string(a.Status), "severity", a.Severity.String(), "source", a.Source,
		"title", notify.Plain(a.Line()), "types", types, "open", a.Open, "key", a.Key)
	return false, nil
}
