// Package outbox holds messages that must reach somebody, from the moment
// they are decided on until they were delivered. It knows neither how they are
// sent nor what they say.
package outbox

import (
	"context"
	"time"
)

// Item is one message on its way to one target.
type Item struct {
	// ID is given by the store.
	ID int64
	// Key is what makes the message the same message: it is accepted once,
	// and is remembered after it was delivered. May not be empty.
	Key string
	// Target names where it goes, in the words of the sender.
	Target string
	// Group is what it is about. Of one group only the oldest message to a
	// target is due, so that they arrive in order. Empty is no group.
	Group string
	// Priority says what is given up first where there is no room: 1 before
	// 2 before 3. Nothing else is ever given up for that.
	Priority int
	// Payload is what is sent, byte for byte.
	Payload []byte
	// CreatedAt is when the message was decided on.
	CreatedAt time.Time
	// NextAt is the earliest time of the next attempt.
	NextAt time.Time
	// Attempts is how many times sending has failed.
	Attempts int
	// LastError is the reason of the last failure, or why it was given up.
	LastError string
	// DeadAt is when it was given up; zero while it is not.
	DeadAt time.Time
}

// The priorities that can be given up, and what never is.
const (
	Unranked = 0
	Low      = 1
	Medium   = 2
	High     = 3
	Critical = 4
)

// Dropped reports whether the item was given up for want of room: what it said
// is lost.
func (i Item) Dropped() bool { return !i.DeadAt.IsZero() && len(i.Payload) == 0 }

// Stats are counts over an outbox.
type Stats struct {
	// Pending wait, Dead were given up and can be revived, Dropped are lost.
	Pending, Dead, Dropped int
	// Oldest is when the oldest pending one was created; zero without one.
	Oldest time.Time
}

// Store keeps items over restarts. Every implementation passes
// storetest.Outbox, which is the other half of this contract. Times are kept
// to the microsecond. Errors carry a kind of package fault.
type Store interface {
	// Add keeps item unless one with the same key was ever added, delivered
	// ones included. An item without a key is Invalid.
	Add(ctx context.Context, item Item) (added bool, err error)
	// Due returns at most limit undelivered items whose next attempt is not
	// later than now, oldest first. What was given up is not due.
	Due(ctx context.Context, now time.Time, limit int) ([]Item, error)
	// Delivered ends an item. Its key is remembered, its payload is not. It
	// is NotFound for an unknown id and changes nothing the second time.
	Delivered(ctx context.Context, id int64, at time.Time) error
	// Failed counts a failed attempt and sets the time of the next. It is
	// NotFound for an unknown id, a Conflict for a delivered item.
	Failed(ctx context.Context, id int64, next time.Time, reason string) error
	// Pending returns the number of undelivered items, due or not.
	Pending(ctx context.Context) (int, error)
}

// Router is what a delivery to several targets needs besides. Every
// implementation passes storetest.Outbox.
type Router interface {
	// DueFor is Due for one target. Of the items of one group only the one
	// that was added first can be due.
	DueFor(ctx context.Context, target string, now time.Time, limit int) ([]Item, error)
	// Split ends an item as Delivered does and adds others in its place, all
	// of it or nothing. Of those, keys that are known are left out.
	Split(ctx context.Context, id int64, into []Item, at time.Time) error
	// Bury gives an item up, with the reason. It keeps its payload. It is
	// NotFound for an unknown id, a Conflict for a delivered item.
	Bury(ctx context.Context, id int64, at time.Time, reason string) error
	// Trim gives up pending items until at most keep are left: the least
	// priority first, of one priority the oldest. Their payloads are lost.
	// Those of priority Critical and Unranked stay, whatever keep is.
	Trim(ctx context.Context, keep int, at time.Time, reason string) (dropped int, err error)
}

// Desk is what a person needs who looks after the outbox.
type Desk interface {
	// List returns undelivered items, oldest first: the pending ones, or
	// those that were given up.
	List(ctx context.Context, dead bool) ([]Item, error)
	// Revive makes an item that was given up due at a time, with its attempts
	// counted anew. It is NotFound for an unknown id, and a Conflict for one
	// that was delivered, is pending, or has lost its payload.
	Revive(ctx context.Context, id int64, at time.Time) error
	// Discard gives an item up for good: its payload is lost. It is NotFound
	// for an unknown id, and a Conflict for a delivered one.
	Discard(ctx context.Context, id int64, at time.Time, reason string) error
	// Stats counts.
	Stats(ctx context.Context) (Stats, error)
}
