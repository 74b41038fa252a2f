package agent_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// book is a ledger of one log, which can be made to fail.
type book struct {
	mu      sync.Mutex
	entries []evidence.Entry
	fails   int
	dead    func() bool // whose process would write is dead
}

func (b *book) Append(_ context.Context, log string, _ uint64, drafts ...evidence.Draft) ([]evidence.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails--; b.fails >= 0 || b.dead != nil && b.dead() {
		return nil, fault.New(fault.Incomplete, "disk full")
	}
	for _, d := range drafts {
		e, err := evidence.Seal(log, uint64(len(b.entries)+1), artifact.SHA256Of(nil), d)
		if err != nil {
			return nil, err
		}
		b.entries = append(b.entries, e)
	}
	return nil, nil
}

// until makes all appends fail from when dead says so.
func (b *book) until(dead func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dead = dead
}

func (b *book) Entries(context.Context, string, uint64) ([]evidence.Entry, error) {
	return b.entries, nil
}
func (b *book) Logs(context.Context, string) ([]string, error) { return nil, nil }
func (b *book) State(context.Context, string) (evidence.LogState, error) {
	return evidence.LogState{}, nil
}

func (b *book) Checkpoint(context.Context, string) (string, error) {
	return "", fault.New(fault.NotFound, "none")
}

// words are the entries in a few words.
func (b *book) words(t *testing.T) (out []string) {
	for _, e := range b.entries {
		switch e.Kind {
		case agent.KindVerdict:
			var v agent.Verdict
			if err := e.Decode(&v); err != nil {
				t.Fatal(err)
			}
			out = append(out, v.Model+" "+string(v.Verdict)+" "+strings.Repeat("!", v.Count))
		case agent.KindSame:
			var s agent.Stayed
			if err := e.Decode(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, strings.Repeat("=", s.Cycles))
		}
	}
	return out
}

// scribe is an agent that records, with what outlives it.
type scribe struct {
	cycles cycles
	book   book
	beat   agent.Heartbeat
	sealed []byte
}

var beatKey = evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}

func (s *scribe) watch(t *testing.T, long time.Duration, kill bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), long)
	defer stop()
	dead := false
	record := &agent.Record{Ledger: &s.book, Actor: "tester"}
	if s.sealed != nil {
		h, err := agent.OpenHeartbeat(s.sealed, beatKey.Public())
		if err != nil {
			t.Fatal(err)
		}
		record.Take(h.Stayed)
	}
	a := &agent.Agent{
		Checker: &s.cycles, Memory: &notes{docs: map[string][]byte{}}, Interval: 10 * time.Minute, Log: slog.New(slog.DiscardHandler),
		Record: record,
		Pulse: agent.NewPulse(func(h agent.Heartbeat) (err error) {
			if dead = dead || kill && ctx.Err() != nil; dead {
				return nil // a process that was killed writes nothing more
			}
			s.beat = h
			s.sealed, err = agent.SealHeartbeat(h, beatKey)
			return err
		}, time.Now(), 1, "v", "tester"),
	}
	if kill {
		s.book.until(func() bool { return ctx.Err() != nil })
	}
	if err := a.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
	synctest.Wait()
	s.book.until(nil)
}

// Each verdict is recorded when it is another than the one before, and how many
// cycles came to the same once an hour, at the end and after a kill.
func TestVerdictsAreRecorded(t *testing.T) {
	tests := []struct {
		name   string
		cycles []string
		parts  []time.Duration // negative: killed
		want   []string
	}{
		{"first", []string{""}, []time.Duration{time.Minute}, []string{"m  ", "n  "}},
		{"changes", []string{"", bad, bad, ""}, []time.Duration{35 * time.Minute}, []string{"m  ", "n  ", "m  !", "=", "m  "}},
		{"an_hour", []string{""}, []time.Duration{125 * time.Minute}, []string{"m  ", "n  ", "=======", "====="}},
		{"restart", []string{""}, []time.Duration{25 * time.Minute, 15 * time.Minute}, []string{"m  ", "n  ", "==", "=="}},
		{"killed", []string{""}, []time.Duration{-25 * time.Minute, 15 * time.Minute}, []string{"m  ", "n  ", "===="}},
		{"killed_and_changed", []string{"", "", "", bad}, []time.Duration{-25 * time.Minute, time.Minute}, []string{"m  ", "n  ", "==", "m  !"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scribe{cycles: cycles{lines: tt.cycles}}
				for _, long := range tt.parts {
					s.watch(t, max(long, -long), long < 0)
				}
				if diff := cmp.Diff(tt.want, s.book.words(t)); diff != "" {
					t.Errorf("recorded (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What could not be recorded is recorded by the next cycle.
func TestVerdictIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scribe{cycles: cycles{lines: []string{"", bad}}}
		s.book.fails = 2
		s.watch(t, 25*time.Minute, false)
		if diff := cmp.Diff([]string{"m  !", "n  "}, s.book.words(t)); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scribe{cycles: cycles{lines: []string{bad}}}
		s.watch(t, 25*time.Minute, true)
		h := s.beat
		if h.Cycles != 3 || h.Stopped || len(h.Models) != 2 || h.Active["critical"] != 1 || h.Indicators[0].File != "w" || h.Interval != 600 {
			t.Errorf("sign of life: %+v", h)
		}
		late := time.Now().Add(time.Hour)
		if h.Silence(time.Now()) != "" || !strings.Contains(h.Silence(late), "no sign of life since") {
			t.Errorf("silence: %q, later %q", h.Silence(time.Now()), h.Silence(late))
		}
		h.At = late
		if !strings.Contains(h.Silence(late), "the last cycle ended") || !strings.Contains(h.Silence(time.Now()), "from the future") {
			t.Errorf("silence: %q, %q", h.Silence(late), h.Silence(time.Now()))
		}
		s.watch(t, time.Minute, false)
		if !strings.Contains(s.beat.Silence(time.Now()), "was stopped at") {
			t.Errorf("silence: %q", s.beat.Silence(time.Now()))
		}
		for n := 0; n < len(s.sealed); n += 7 {
			forged := append([]byte{}, s.sealed...)
			forged[n] ^= 1
			if _, err := agent.OpenHeartbeat(forged, beatKey.Public()); err == nil && n < len(s.sealed)-100 {
				t.Errorf("byte %d was altered: %c", n, s.sealed[n])
			}
		}
	})
}
