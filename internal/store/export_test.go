package store

import (
	"context"
	"database/sql"
)

// Synchronous says how commits are synced now.
func (db *DB) Synchronous(ctx context.Context) (mode int, err error) {
	err = db.readTx(ctx, "read mode", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&mode)
	})
	return mode, err
}
