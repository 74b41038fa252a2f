package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/watch"
)

// BeatEvery is the time between two signs of life.
const BeatEvery = 15 * time.Second

// Heartbeat is a sign of life: what the agent knows and when it knew it.
type Heartbeat struct {
	At      time.Time `json:"at"`
	Started time.Time `json:"started"`
	// Stopped says that the agent ended in order at that time.
	Stopped  bool   `json:"stopped"`
	PID      int    `json:"pid"`
	Version  string `json:"version"`
	Actor    string `json:"actor"`
	Interval int64  `json:"check_interval_seconds"`
	Cycles   uint64 `json:"cycles"`
	// LastCycle is when the last cycle ended, zero before the first one did.
	LastCycle time.Time `json:"last_cycle,omitzero"`
	TookMS    int64     `json:"last_cycle_ms"`
	// Models are those that were looked at, by id.
	Models []ModelState `json:"models"`
	// Active counts what is there, by severity; Indicators are the worst.
	Active     map[string]int   `json:"active"`
	Indicators []ActiveSign     `json:"indicators"`
	Coverage   []watch.Coverage `json:"coverage"`
	// Stalest is when the large file was read that was not read for the
	// longest time; PassAge how old that may get.
	Stalest    time.Time `json:"stalest,omitzero"`
	PassAge    int64     `json:"full_pass_age_seconds"`
	SmallBytes int64     `json:"small_bytes"`
	LargeBytes int64     `json:"large_bytes"`
	// Stayed counts cycles that are not in the log of verdicts yet.
	Stayed Stayed `json:"stayed"`
	// Checkpoint is the end of the log of verdicts, as signed.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// ModelState is the last verdict on a model.
type ModelState struct {
	ID         string        `json:"id"`
	Verdict    check.Verdict `json:"verdict"`
	Root       string        `json:"root_digest,omitempty"`
	Files      int           `json:"files"`
	Bytes      int64         `json:"bytes"`
	LookedAt   time.Time     `json:"looked_at"`
	Indicators int           `json:"indicators"`
}

// ActiveSign is an indicator that is there.
type ActiveSign struct {
	ID       string           `json:"id"`
	Type     indicator.Type   `json:"type"`
	Severity finding.Severity `json:"severity"`
	Source   string           `json:"source"`
	File     string           `json:"file,omitempty"`
	Since    time.Time        `json:"since"`
	Incident string           `json:"incident,omitempty"`
}

// Pulse writes signs of life. A nil Pulse writes none.
type Pulse struct {
	// Write stores a sign of life in place of the one before, durably.
	Write   func(Heartbeat) error
	Started time.Time
	PID     int
	Version string
	Actor   string

	wake chan struct{}
}

// NewPulse returns one that writes with write.
func NewPulse(write func(Heartbeat) error, started time.Time, pid int, version, actor string) *Pulse {
	return &Pulse{Write: write, Started: started, PID: pid, Version: version, Actor: actor, wake: make(chan struct{}, 1)}
}

func (p *Pulse) kick() {
	if p == nil {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// beat writes signs of life until ctx ends, and a last one.
func (a *Agent) beat(ctx context.Context) {
	tick := time.NewTicker(BeatEvery)
	defer tick.Stop()
	for {
		if err := a.Pulse.Write(a.heartbeat(ctx)); err != nil {
			a.Log.Error("no sign of life", "error", err)
		}
		select {
		case <-ctx.Done():
			a.lastBeat(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		case <-a.Pulse.wake:
		}
	}
}

func (a *Agent) lastBeat(ctx context.Context) {
	a.mu.Lock()
	err := a.Record.flush(ctx, time.Now())
	if err == nil && a.Sync != nil {
		err = a.Sync(ctx)
	}
	a.mu.Unlock()
	if err != nil {
		a.Log.Error("verdicts not recorded", "error", err)
	}
	h := a.heartbeat(ctx)
	h.Stopped = true
	if err := a.Pulse.Write(h); err != nil {
		a.Log.Error("no sign of life", "error", err)
	}
}

// maxSigns is how many indicators a sign of life lists.
const maxSigns = 200

func (a *Agent) heartbeat(ctx context.Context) Heartbeat {
	h := Heartbeat{
		At: time.Now().UTC(), Started: a.Pulse.Started.UTC(), PID: a.Pulse.PID, Version: a.Pulse.Version, Actor: a.Pulse.Actor,
		Interval: int64(a.Interval.Seconds()), Models: []ModelState{}, Active: map[string]int{}, Indicators: []ActiveSign{},
		Coverage: []watch.Coverage{},
	}
	if e := a.Eyes; e != nil {
		worst, volume, _ := e.Looker.Stalest()
		h.Coverage, h.Stalest, h.PassAge = e.Watcher.Coverage(), worst.Read, int64(e.PassAge.Seconds())
		h.SmallBytes, h.LargeBytes = volume.Small, volume.Large
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	h.Cycles, h.LastCycle, h.TookMS = a.state.cycles, a.state.lastCycle.UTC(), a.state.took.Milliseconds()
	for _, id := range slices.Sorted(maps.Keys(a.state.models)) {
		h.Models = append(h.Models, a.state.models[id])
	}
	a.signs(&h)
	if a.Record != nil {
		h.Stayed = a.Record.stayed
		h.Checkpoint, _ = a.Record.Ledger.Checkpoint(ctx, VerdictLog) // there is none before the first verdict
	}
	return h
}

func (a *Agent) signs(h *Heartbeat) {
	if a.memory == nil {
		return
	}
	for id, s := range a.memory.Active {
		severity := cmp.Or(s.Severity, indicator.InfoOf(s.Type).Severity)
		h.Active[severity.String()]++
		h.Indicators = append(h.Indicators, ActiveSign{id, s.Type, severity, s.Source, s.File, s.Since, s.Incident})
	}
	slices.SortFunc(h.Indicators, func(x, y ActiveSign) int {
		return cmp.Or(cmp.Compare(y.Severity, x.Severity), cmp.Compare(x.Source, y.Source), cmp.Compare(x.ID, y.ID))
	})
	h.Indicators = h.Indicators[:min(len(h.Indicators), maxSigns)]
}

// looked notes the last verdict on a model.
func (a *Agent) looked(m check.Model, r *check.Report) {
	n := 0
	for _, i := range r.Indicators {
		if i.Source == m.ID {
			n++
		}
	}
	if a.state.models == nil {
		a.state.models = map[string]ModelState{}
	}
	a.state.models[m.ID] = ModelState{m.ID, m.Verdict, m.Root, m.Files, m.Bytes, r.CheckTime, n}
}

// sealed is a sign of life as stored.
type sealed struct {
	Heartbeat json.RawMessage `json:"heartbeat"`
	Signature []byte          `json:"signature"`
}

// signedAs is what a sign of life is signed as.
const signedAs = "watch heartbeat"

// maxHeartbeat bounds a stored sign of life in bytes.
const maxHeartbeat = 64 << 20

// SealHeartbeat signs a sign of life.
func SealHeartbeat(h Heartbeat, key evidence.SigningKey) ([]byte, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed{body, key.SignDocument(signedAs, body)})
}

// OpenHeartbeat reads what [SealHeartbeat] wrote. One that the key did not sign
// is an Untrusted fault.
func OpenHeartbeat(data []byte, key evidence.VerifierKey) (Heartbeat, error) {
	var s sealed
	var h Heartbeat
	err := errors.New("it is too large")
	if len(data) <= maxHeartbeat {
		err = json.Unmarshal(data, &s)
	}
	if err == nil && !key.VerifyDocument(signedAs, s.Heartbeat, s.Signature) {
		err = errors.New("its signature does not fit")
	}
	if err == nil {
		err = json.Unmarshal(s.Heartbeat, &h)
	}
	if err != nil {
		return h, fault.New(fault.Untrusted, "read the watcher's sign of life: %w", err).
			WithHint("somebody wrote to the state directory without this program: treat it as part of the incident")
	}
	return h, nil
}

// Silence says why the sign of life does not mean that somebody watches: "" is
// when it does.
func (h Heartbeat) Silence(now time.Time) string {
	const beats = 4
	interval := time.Duration(h.Interval) * time.Second
	took := time.Duration(h.TookMS) * time.Millisecond
	switch {
	case h.Stopped:
		return "the watcher was stopped at " + h.At.Format(time.RFC3339)
	case now.Sub(h.At) > beats*BeatEvery:
		return "the watcher gave no sign of life since " + h.At.Format(time.RFC3339)
	case h.At.Sub(now) > beats*BeatEvery:
		return "the last sign of life is from the future: " + h.At.Format(time.RFC3339)
	case h.LastCycle.IsZero():
		return ""
	case now.Sub(h.LastCycle) > 2*interval+2*took+BeatEvery:
		return "the last cycle ended at " + h.LastCycle.Format(time.RFC3339) + ", and one is due every " + interval.String()
	}
	return ""
}
