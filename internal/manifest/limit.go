package manifest

import (
	"context"
	"sync"
	"time"
)

// burst is how far readers may run ahead of the rate: what they would have
// been allowed in this time.
const burst = 100 * time.Millisecond

// limiter is a token bucket of bytes, shared by all workers. A nil one lets
// everything pass.
type limiter struct {
	rate float64 // bytes per second

	mu   sync.Mutex
	next time.Time // when the bytes handed out so far are paid for
}

func newLimiter(rate int64) *limiter {
	if rate <= 0 {
		return nil
	}
	return &limiter{rate: float64(rate)}
}

// wait returns when n more bytes may be read, or with ctx's error.
func (l *limiter) wait(ctx context.Context, n int64) error {
	if l == nil {
		return ctx.Err()
	}
	l.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-burst); l.next.Before(earliest) {
		l.next = earliest
	}
	l.next = l.next.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	delay := l.next.Sub(now)
	l.mu.Unlock()
	if delay <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
