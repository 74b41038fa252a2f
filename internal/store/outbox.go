package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// Outbox keeps undelivered messages. It implements [outbox.Store],
// [outbox.Router] and [outbox.Desk].
type Outbox struct{ db *DB }

// Add implements [outbox.Store].
func (o *Outbox) Add(ctx context.Context, item outbox.Item) (added bool, err error) {
	if item.Key == "" {
		return false, fault.New(fault.Invalid, "queue message: it has no key")
	}
	err = o.db.inTx(ctx, "queue message", func(tx *sql.Tx) error {
		added, err = insert(ctx, tx, item)
		return err
	})
	return added && err == nil, err
}

func insert(ctx context.Context, tx *sql.Tx, item outbox.Item) (added bool, err error) {
	result, err := tx.ExecContext(ctx, `INSERT INTO outbox
		(key, target, payload, created_at, next_at, attempts, last_error, grp, priority) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (key) DO NOTHING`, item.Key, item.Target, nonNil(item.Payload),
		micros(item.CreatedAt), micros(item.NextAt), item.Attempts, item.LastError, item.Group, item.Priority)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// Due implements [outbox.Store].
func (o *Outbox) Due(ctx context.Context, now time.Time, limit int) (list []outbox.Item, err error) {
	err = o.db.readTx(ctx, "read queued messages", func(tx *sql.Tx) error {
		list, err = due(ctx, tx, now, limit)
		return err
	})
	return list, err
}

// columns are those of an item, in the order of scanItems.
const columns = `id, key, target, payload, created_at, next_at, attempts, last_error, grp, priority, dead_at`

func due(ctx context.Context, tx *sql.Tx, now time.Time, limit int) ([]outbox.Item, error) {
	return items(ctx, tx, `SELECT `+columns+` FROM outbox
		WHERE delivered_at IS NULL AND dead_at IS NULL AND next_at <= $1 ORDER BY created_at, id LIMIT $2`, micros(now), max(limit, 0))
}

func items(ctx context.Context, tx *sql.Tx, query string, args ...any) (list []outbox.Item, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var i outbox.Item
		var created, next int64
		var dead sql.NullInt64
		if err := rows.Scan(&i.ID, &i.Key, &i.Target, &i.Payload, &created, &next, &i.Attempts, &i.LastError, &i.Group, &i.Priority, &dead); err != nil {
			return nil, err
		}
		i.CreatedAt, i.NextAt = fromMicros(created), fromMicros(next)
		if dead.Valid {
			i.DeadAt = fromMicros(dead.Int64)
		}
		list = append(list, i)
	}
	return list, rows.Err()
}

// Delivered implements [outbox.Store].
func (o *Outbox) Delivered(ctx context.Context, id int64, at time.Time) error {
	return o.db.inTx(ctx, "record delivery", func(tx *sql.Tx) error {
		delivered, err := isDelivered(ctx, tx, id)
		if err != nil || delivered {
			return err
		}
		return deliver(ctx, tx, id, at)
	})
}

func deliver(ctx context.Context, tx *sql.Tx, id int64, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE outbox SET delivered_at = $2, payload = x'', dead_at = NULL WHERE id = $1`, id, micros(at))
	return err
}

// Failed implements [outbox.Store].
func (o *Outbox) Failed(ctx context.Context, id int64, next time.Time, reason string) error {
	return o.db.inTx(ctx, "record failed delivery", func(tx *sql.Tx) error {
		switch delivered, err := isDelivered(ctx, tx, id); {
		case err != nil:
			return err
		case delivered:
			return fault.New(fault.Conflict, "record failed delivery: message %d was delivered", id)
		}
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET attempts = attempts + 1, next_at = $2, last_error = $3
			WHERE id = $1`, id, micros(next), reason)
		return err
	})
}

func isDelivered(ctx context.Context, tx *sql.Tx, id int64) (delivered bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT delivered_at IS NOT NULL FROM outbox WHERE id = $1`, id).Scan(&delivered)
	if errors.Is(err, sql.ErrNoRows) {
		return false, fault.New(fault.NotFound, "there is no message %d", id)
	}
	return delivered, err
}

// Pending implements [outbox.Store].
func (o *Outbox) Pending(ctx context.Context) (n int, err error) {
	err = o.db.readTx(ctx, "count queued messages", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL`).Scan(&n)
	})
	return n, err
}

// nonNil keeps an empty value from becoming NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
