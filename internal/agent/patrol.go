package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// A pass over the large files is planned for a part of the promised age, so
// that the promise holds when something comes in between.
const (
	passPart  = 0.8
	idleCheck = time.Second
	// leastRate is how fast a file is read at least: slower than this it would
	// only be held open for longer.
	leastRate = 16 << 20
)

// patrol reads the large files by turn, at the rate that gets to the end of
// them within PassAge, until ctx ends.
func (a *Agent) patrol(ctx context.Context) {
	e := a.Eyes
	if e.PassAge <= 0 {
		return
	}
	timer := time.NewTimer(idleCheck)
	defer timer.Stop()
	var last check.Stalest
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		worst, volume, ok := e.Looker.Stalest()
		wait := idleCheck
		if ok && !worst.Read.IsZero() {
			wait = e.pace(worst, volume, began)
			if wait <= 0 && worst == last {
				wait, last = time.Minute, check.Stalest{} // reading it came to nothing
			} else if wait <= 0 {
				a.readAgain(ctx, worst, e.rate(volume))
				last = worst
			}
		}
		timer.Reset(max(min(wait, time.Minute), time.Millisecond))
	}
}

// pace says how long the stalest file can wait. Each file is due when the time
// that a planned pass takes is over since it was last read, less the time that
// reading all the others like it takes: so they come one after the other.
func (e *Eyes) pace(worst check.Stalest, v check.Volume, now time.Time) time.Duration {
	due := time.Duration(float64(e.PassAge) * passPart)
	reading := time.Duration(float64(v.Large) / float64(e.rate(v)) * float64(time.Second))
	return due - min(reading, due) - now.Sub(worst.Read)
}

// rate is how fast to read, in bytes per second.
func (e *Eyes) rate(v check.Volume) int64 {
	rate := max(int64(float64(v.Large)/(e.PassAge.Seconds()*passPart)), leastRate)
	if e.Rate > 0 {
		rate = min(rate, e.Rate)
	}
	return rate
}

func (a *Agent) readAgain(ctx context.Context, s check.Stalest, rate int64) {
	report, err := a.Eyes.Looker.Read(ctx, s.Model, s.Path, rate)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		a.Log.Error("look failed", "model", s.Model, "error", err)
		report = failed(s.Model, err)
	case report == nil:
		return
	}
	a.take(ctx, report, false)
}

// late is an indicator when something has not been read for longer than was
// promised.
func (e *Eyes) late(now time.Time) (indicator.Indicator, bool) {
	worst, volume, ok := e.Looker.Stalest()
	if !ok || e.PassAge <= 0 || worst.Read.IsZero() || now.Sub(worst.Read) <= e.PassAge {
		return indicator.Indicator{}, false
	}
	return indicator.New(indicator.WatchBehind, source, now,
		fmt.Sprintf("%s of model %s was last read %s ago, and full_pass_age is %s", artifact.Quote(worst.Path), worst.Model, now.Sub(worst.Read).Round(time.Second), e.PassAge),
		map[string]any{"model_id": worst.Model, "large_bytes": volume.Large, "full_pass_age": e.PassAge.String()}), true
}
