package respond

import (
	"context"
	"time"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// maxJump is how far the clock may be set while something is done without
// being put on record.
const maxJump = time.Second

// clock returns the time, and notes where the wall clock was set since it was
// asked before: it differs from the monotonic one, or went back.
func (r *Responder) clock() time.Time {
	now := r.Now()
	if !r.seen.IsZero() {
		r.compare(r.seen, now, "the last entry of this run")
	}
	r.seen = now
	return now
}

// compare notes a jump between two times. Where both have a monotonic reading
// their difference is the time that has passed.
func (r *Responder) compare(before, now time.Time, since string) {
	wall, passed := now.Round(0).Sub(before.Round(0)), now.Sub(before)
	jump := wall - passed
	if jump == 0 && wall < 0 {
		jump = wall
	}
	if jump > maxJump || jump < -maxJump {
		r.jumps = append(r.jumps, incident.ClockCheck{Jump: jump.Seconds(), Since: since})
	}
}

// withJumps adds what was noted to the entries that are about to be written.
func (r *Responder) withJumps(drafts []evidence.Draft) []evidence.Draft {
	for _, j := range r.jumps {
		drafts = append(drafts, evidence.Draft{Time: r.seen, Actor: r.Actor, Kind: incident.KindClock, Body: j})
	}
	r.jumps = nil
	return drafts
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
