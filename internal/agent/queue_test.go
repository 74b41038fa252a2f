package agent_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/outbox"
)

// queue is an outbox in memory, used by all loops of the agent; it can be made
// to fail. The real one has its tests in package storetest.
type queue struct {
	mu    sync.Mutex
	items []outbox.Item
	ended map[int64]string // delivered, or why it was given up
	crash func(op string) bool
}

const arrived = "delivered"

// do runs a change, unless the queue is made to fail in it.
func (q *queue) do(op string, change func() error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.crash != nil && q.crash(op) {
		return errors.New("crashed")
	}
	return change()
}

func (q *queue) Add(_ context.Context, item outbox.Item) (added bool, err error) {
	err = q.do("add", func() error {
		added = q.add(item)
		return nil
	})
	return added, err
}

func (q *queue) add(item outbox.Item) bool {
	if slices.ContainsFunc(q.items, func(i outbox.Item) bool { return i.Key == item.Key }) {
		return false
	}
	item.ID = int64(len(q.items) + 1)
	q.items = append(q.items, item)
	return true
}

func (q *queue) due(now time.Time, want func(outbox.Item) bool) (due []outbox.Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range q.items {
		if q.ended[i.ID] == "" && !i.NextAt.After(now) && want(i) {
			due = append(due, i)
		}
	}
	slices.SortStableFunc(due, func(a, b outbox.Item) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return due
}

func (q *queue) Due(_ context.Context, now time.Time, limit int) ([]outbox.Item, error) {
	due := q.due(now, func(outbox.Item) bool { return true })
	return due[:min(limit, len(due))], nil
}

func (q *queue) DueFor(_ context.Context, target string, now time.Time, limit int) ([]outbox.Item, error) {
	due := q.due(now, func(i outbox.Item) bool {
		return i.Target == target && (i.Group == "" || !slices.ContainsFunc(q.items[:i.ID-1], func(e outbox.Item) bool {
			return e.Target == target && e.Group == i.Group && q.ended[e.ID] == ""
		}))
	})
	return due[:min(limit, len(due))], nil
}

func (q *queue) Split(_ context.Context, id int64, into []outbox.Item, _ time.Time) error {
	return q.do("split", func() error {
		if q.ended[id] != "" {
			return nil
		}
		q.ended[id] = arrived
		for _, i := range into {
			q.add(i)
		}
		return nil
	})
}

func (q *queue) Delivered(ctx context.Context, id int64, _ time.Time) error {
	return errors.Join(ctx.Err(), q.do("delivered", func() error { q.ended[id] = arrived; return nil }))
}

func (q *queue) Bury(_ context.Context, id int64, _ time.Time, reason string) error {
	return q.do("bury", func() error { q.ended[id] = reason; return nil })
}

func (q *queue) Failed(_ context.Context, id int64, next time.Time, reason string) error {
	return q.do("failed", func() error {
		i := &q.items[id-1]
		i.Attempts, i.NextAt, i.LastError = i.Attempts+1, next, reason
		return nil
	})
}

func (q *queue) Trim(_ context.Context, keep int, _ time.Time, reason string) (dropped int, err error) {
	waiting := q.due(time.Now().AddDate(1, 0, 0), func(outbox.Item) bool { return true })
	slices.SortStableFunc(waiting, func(a, b outbox.Item) int { return cmp.Compare(a.Priority, b.Priority) })
	return dropped, q.do("trim", func() error {
		for _, i := range waiting {
			if i.Priority >= outbox.Low && i.Priority <= outbox.High && len(waiting)-dropped > keep {
				q.ended[i.ID] = reason
				dropped++
			}
		}
		return nil
	})
}

func (q *queue) Pending(context.Context) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) - len(q.ended), nil
}
