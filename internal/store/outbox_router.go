package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// DueFor implements [outbox.Router].
func (o *Outbox) DueFor(ctx context.Context, target string, now time.Time, limit int) (list []outbox.Item, err error) {
	err = o.db.readTx(ctx, "read queued messages", func(tx *sql.Tx) error {
		list, err = items(ctx, tx, `SELECT `+columns+` FROM outbox AS o
			WHERE target = $1 AND delivered_at IS NULL AND dead_at IS NULL AND next_at <= $2 AND (grp = '' OR NOT EXISTS (
				SELECT 1 FROM outbox AS e WHERE e.target = o.target AND e.grp = o.grp AND e.id < o.id
				AND e.delivered_at IS NULL AND e.dead_at IS NULL))
			ORDER BY created_at, id LIMIT $3`, target, micros(now), max(limit, 0))
		return err
	})
	return list, err
}

// Split implements [outbox.Router].
func (o *Outbox) Split(ctx context.Context, id int64, into []outbox.Item, at time.Time) error {
	for _, item := range into {
		if item.Key == "" {
			return fault.New(fault.Invalid, "queue message: it has no key")
		}
	}
	// Synced with whatever is reported next: who loses it splits the same again.
	return o.db.Deferred().inTx(ctx, "hand message on", func(tx *sql.Tx) error {
		delivered, err := isDelivered(ctx, tx, id)
		if err != nil || delivered {
			return err
		}
		for _, item := range into {
			if _, err := insert(ctx, tx, item); err != nil {
				return err
			}
		}
		return deliver(ctx, tx, id, at)
	})
}

// Bury implements [outbox.Router].
func (o *Outbox) Bury(ctx context.Context, id int64, at time.Time, reason string) error {
	return o.undelivered(ctx, "give up message", id, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET attempts = attempts + 1, dead_at = $2, last_error = $3 WHERE id = $1`, id, micros(at), reason)
		return err
	})
}

// undelivered runs do for an item that was not delivered.
func (o *Outbox) undelivered(ctx context.Context, action string, id int64, do func(*sql.Tx) error) error {
	return o.db.inTx(ctx, action, func(tx *sql.Tx) error {
		switch delivered, err := isDelivered(ctx, tx, id); {
		case err != nil:
			return err
		case delivered:
			return fault.New(fault.Conflict, "%s: message %d was delivered", action, id)
		}
		return do(tx)
	})
}

// Trim implements [outbox.Router].
func (o *Outbox) Trim(ctx context.Context, keep int, at time.Time, reason string) (dropped int, err error) {
	n, err := o.Pending(ctx)
	if err != nil || n <= keep {
		return 0, err // most of the time: without a lock
	}
	err = o.db.inTx(ctx, "make room for messages", func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE outbox SET dead_at = $2, last_error = $3, payload = x'' WHERE id IN (
			SELECT id FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL AND priority BETWEEN $4 AND $5
			ORDER BY priority, created_at, id
			LIMIT max(0, (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL) - $1))`,
			max(keep, 0), micros(at), reason, outbox.Low, outbox.High)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		dropped = int(rows)
		return err
	})
	return dropped, err
}

// List implements [outbox.Desk].
func (o *Outbox) List(ctx context.Context, dead bool) (list []outbox.Item, err error) {
	query := `SELECT ` + columns + ` FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL ORDER BY created_at, id`
	if dead {
		query = `SELECT ` + columns + ` FROM outbox WHERE delivered_at IS NULL AND dead_at IS NOT NULL ORDER BY dead_at, id`
	}
	err = o.db.readTx(ctx, "list messages", func(tx *sql.Tx) error {
		list, err = items(ctx, tx, query)
		return err
	})
	return list, err
}

// Revive implements [outbox.Desk].
func (o *Outbox) Revive(ctx context.Context, id int64, at time.Time) error {
	return o.undelivered(ctx, "revive message", id, func(tx *sql.Tx) error {
		var dead, empty bool
		if err := tx.QueryRowContext(ctx, `SELECT dead_at IS NOT NULL, length(payload) = 0 FROM outbox WHERE id = $1`, id).Scan(&dead, &empty); err != nil {
			return err
		}
		switch {
		case !dead:
			return fault.New(fault.Conflict, "revive message: message %d was not given up", id)
		case empty:
			return fault.New(fault.Conflict, "revive message: what message %d said is lost", id)
		}
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET dead_at = NULL, attempts = 0, next_at = $2, created_at = $2 WHERE id = $1`, id, micros(at))
		return err
	})
}

// Discard implements [outbox.Desk].
func (o *Outbox) Discard(ctx context.Context, id int64, at time.Time, reason string) error {
	return o.undelivered(ctx, "discard message", id, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET dead_at = $2, last_error = $3, payload = x'' WHERE id = $1`, id, micros(at), reason)
		return err
	})
}

// Stats implements [outbox.Desk].
func (o *Outbox) Stats(ctx context.Context) (s outbox.Stats, err error) {
	err = o.db.readTx(ctx, "count messages", func(tx *sql.Tx) error {
		var oldest sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT count(*), min(created_at) FROM outbox
			WHERE delivered_at IS NULL AND dead_at IS NULL`).Scan(&s.Pending, &oldest); err != nil {
			return err
		}
		if oldest.Valid {
			s.Oldest = fromMicros(oldest.Int64)
		}
		return tx.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE length(payload) > 0), count(*) FILTER (WHERE length(payload) = 0)
			FROM outbox WHERE dead_at IS NOT NULL AND delivered_at IS NULL`).Scan(&s.Dead, &s.Dropped)
	})
	return s, err
}
