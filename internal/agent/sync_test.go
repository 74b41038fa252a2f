package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// What is recorded and remembered is made durable once: by the alert about it,
// else by Sync, which is tried again when it fails. A cycle with nothing new
// writes nothing.
func TestSyncedOnce(t *testing.T) {
	tests := []struct {
		name   string
		min    finding.Severity
		fails  int
		cycles []string
		want   int
	}{
		{"alert", finding.Low, 0, []string{bad, bad, bad}, 0},
		{"nothing_to_tell", finding.Critical + 1, 0, []string{bad, bad, bad}, 1},
		{"clean", finding.Low, 0, []string{"", "", ""}, 1},
		{"failed", finding.Critical + 1, 2, []string{bad, bad, bad, bad}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(tt.cycles...)
				ctx, stop := context.WithTimeout(t.Context(), time.Duration(len(tt.cycles))*10*time.Minute-time.Minute)
				defer stop()
				syncs := 0
				a := &agent.Agent{
					Checker: &s.cycles, Delivery: s.delivery(), Memory: &s.notes, Interval: 10 * time.Minute, MinSeverity: tt.min,
					Log: slog.New(slog.DiscardHandler), Record: &agent.Record{Ledger: &book{}, Actor: "tester"},
					Sync: func(context.Context) error {
						if syncs++; syncs <= tt.fails {
							return errors.New("disk")
						}
						return nil
					},
				}
				if err := a.Run(ctx); err != nil || syncs != tt.want {
					t.Errorf("run: %v, %d syncs, want %d", err, syncs, tt.want)
				}
			})
		})
	}
}
