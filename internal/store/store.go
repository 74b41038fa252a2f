// Package store keeps ledgers, signed documents, leases and the outbox in one SQLite
// database of the state directory. It knows how rows are kept whole through a
// crash and how an altered row is recognised; it does not know what an entry
// or a document means, and it keeps no files of evidence.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/lease"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// DB is the open database of one state directory. It may be used from many
// goroutines, and by many processes at once.
type DB struct {
	sql *sql.DB
	key evidence.SigningKey
	// verifier is key's public half.
	verifier evidence.VerifierKey
	// deferred leaves it to the next synced commit to sync this one.
	deferred bool
}

// The contracts that are kept here.
var (
	_ evidence.Ledger = (*Ledger)(nil)
	_ outbox.Store    = (*Outbox)(nil)
	_ lease.Store     = (*Leases)(nil)
	_ outbox.Router   = (*Outbox)(nil)
	_ outbox.Desk     = (*Outbox)(nil)
)

// Close ends the use of the database. What was reported as stored is stored
// whether or not Close is called.
func (db *DB) Close() error { return explain("close database", db.sql.Close()) }

// Ledger returns the logs kept in db.
func (db *DB) Ledger() *Ledger { return &Ledger{db: db} }

// Documents returns the signed documents kept in db.
func (db *DB) Documents() *Documents { return &Documents{db} }

// Outbox returns the undelivered messages kept in db.
func (db *DB) Outbox() *Outbox { return &Outbox{db} }

// Deferred returns the same database for what may be synced later: what was
// stored through it outlives the process at once, and a loss of power with the
// next commit that is synced, or [DB.Sync]. Order holds: nothing survives
// without what was stored before it.
func (db *DB) Deferred() *DB {
	later := *db
	later.deferred = true
	return &later
}

// Sync syncs what was stored through [DB.Deferred]. Commits share one
// write-ahead log, so one that is synced takes along those before it.
func (db *DB) Sync(ctx context.Context) error {
	synced := *db
	synced.deferred = false
	return synced.inTx(ctx, "sync database", func(tx *sql.Tx) error {
		var version int // written as it is: a commit without a change is not synced
		if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version))
		return err
	})
}

// inTx runs do in a transaction that holds the write lock from its beginning.
// What is done there is synced when inTx returns nil, unless db is deferred,
// and leaves no trace when it does not. The action says in an error what was being done.
func (db *DB) inTx(ctx context.Context, action string, do func(*sql.Tx) error) (err error) {
	return db.tx(ctx, action, nil, do)
}

// readTx runs do on one snapshot, without a lock that others wait for.
func (db *DB) readTx(ctx context.Context, action string, do func(*sql.Tx) error) error {
	return db.tx(ctx, action, &sql.TxOptions{ReadOnly: true}, do)
}

func (db *DB) tx(ctx context.Context, action string, opts *sql.TxOptions, do func(*sql.Tx) error) (err error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return explain(action, err)
	}
	defer func() { err = errors.Join(err, explain(action, conn.Close())) }()
	if db.deferred {
		if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = NORMAL`); err != nil {
			return explain(action, err)
		}
		defer func() { err = errors.Join(err, explain(action, strict(ctx, conn))) }()
	}
	tx, err := conn.BeginTx(ctx, opts)
	if err != nil {
		return explain(action, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, explain(action, ignoreDone(tx.Rollback())))
		}
	}()
	if err := do(tx); err != nil {
		return explain(action, err)
	}
	return explain(action, tx.Commit())
}

// strict has commits synced again. A connection that cannot be told is given
// up: no other use gets it.
func strict(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = FULL`)
	if err != nil {
		err = errors.Join(err, conn.Raw(func(any) error { return driver.ErrBadConn }))
	}
	return err
}

// ignoreDone drops the error of rolling back what is rolled back already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Times are kept as microseconds: equal, sortable, no driver's types.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
