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
	// Payload is what is sent, byte for byte.
	Payload []byte
	// CreatedAt is when the message was decided on.
	CreatedAt time.Time
	// NextAt is the earliest time of the next attempt.
	NextAt time.Time
	// Attempts is how many times sending has failed.
	Attempts int
	// LastError is the reason of the last failure.
	LastError string
}

// Store keeps items over restarts. Every implementation passes
// storetest.Outbox, which is the other half of this contract. Times are kept
// to the microsecond. Errors carry a kind of package fault.
type Store interface {
	// Add keeps item unless one with the same key was ever added, delivered
	// ones included. An item without a key is Invalid.
	Add(ctx context.Context, item Item) (added bool, err error)
	// Due returns at most limit undelivered items whose next attempt is not
	// later than now, oldest first.
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
