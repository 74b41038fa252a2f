package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/lease"
)

// Leases keeps leases. It implements [lease.Store].
type Leases struct{ db *DB }

// Leases returns the leases kept in db.
func (db *DB) Leases() *Leases { return &Leases{db} }

// Acquire implements [lease.Store].
func (s *Leases) Acquire(ctx context.Context, name, holder string, now time.Time, ttl time.Duration, dead bool) (lease.Lease, error) {
	got := lease.Lease{Name: name, Holder: holder, Expires: now.Add(ttl)}
	action := "acquire lease on " + artifact.Quote(name)
	if name == "" || holder == "" {
		return lease.Lease{}, fault.New(fault.Invalid, "acquire lease: it has no name or no holder")
	}
	err := s.db.inTx(ctx, action, func(tx *sql.Tx) error {
		held, err := leaseOn(ctx, tx, name)
		if err != nil {
			return err
		}
		if held.Holder != "" && held.Expires.After(now) && !dead {
			return fault.New(fault.Conflict, "%s acts on %s until %s", artifact.Quote(held.Holder), artifact.Quote(name),
				held.Expires.Format(time.RFC3339)).WithHint("wait until it has finished, then try again")
		}
		got.Fence, got.Taken = held.Fence+1, held.Holder != "" && !dead
		return putLease(ctx, tx, got)
	})
	if err != nil {
		return lease.Lease{}, err
	}
	return got, nil
}

// Renew implements [lease.Store].
func (s *Leases) Renew(ctx context.Context, l lease.Lease, now time.Time, ttl time.Duration) (lease.Lease, error) {
	renewed := l
	renewed.Expires = now.Add(ttl)
	err := s.db.inTx(ctx, "renew lease on "+artifact.Quote(l.Name), func(tx *sql.Tx) error {
		if err := stillHeld(ctx, tx, l); err != nil {
			return err
		}
		return putLease(ctx, tx, renewed)
	})
	if err != nil {
		return l, err
	}
	return renewed, nil
}

// Release implements [lease.Store].
func (s *Leases) Release(ctx context.Context, l lease.Lease) error {
	return s.db.inTx(ctx, "release lease on "+artifact.Quote(l.Name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE leases SET holder = '' WHERE name = $1 AND fence = $2`, l.Name, l.Fence)
		return err
	})
}

// Ledger implements [lease.Store].
func (s *Leases) Ledger(leases ...lease.Lease) evidence.Ledger {
	return &Ledger{db: s.db, under: leases}
}

func leaseOn(ctx context.Context, tx *sql.Tx, name string) (lease.Lease, error) {
	l := lease.Lease{Name: name}
	var fence, expires int64
	err := tx.QueryRowContext(ctx, `SELECT holder, fence, expires FROM leases WHERE name = $1`, name).Scan(&l.Holder, &fence, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return l, nil
	}
	l.Fence, l.Expires = uint64(max(fence, 0)), fromMicros(expires)
	return l, err
}

func putLease(ctx context.Context, tx *sql.Tx, l lease.Lease) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO leases (name, holder, fence, expires) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = excluded.fence, expires = excluded.expires`,
		l.Name, l.Holder, l.Fence, micros(l.Expires))
	return err
}

// stillHeld fails unless l is the newest lease on its name. One that expired
// and that nobody else wanted still holds.
func stillHeld(ctx context.Context, tx *sql.Tx, l lease.Lease) error {
	now, err := leaseOn(ctx, tx, l.Name)
	if err != nil || now.Fence == l.Fence && now.Holder == l.Holder {
		return err
	}
	return fault.New(fault.Conflict, "the lease on %s with the number %d is over: it has the number %d now",
		artifact.Quote(l.Name), l.Fence, now.Fence).WithHint("somebody else acts on it: look before you go on, with weightwarden incident show")
}
