package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/lease"
)

// Ledger keeps logs. It implements [evidence.Ledger]. It has no way to change
// or delete an entry.
type Ledger struct {
	db *DB
	// under are leases that an append has to hold.
	under []lease.Lease
}

// Append implements [evidence.Ledger]. It refuses to append behind an end that
// is not the one last signed: that is Incomplete and wraps
// [evidence.ErrAltered].
func (l *Ledger) Append(ctx context.Context, log string, expected uint64, drafts ...evidence.Draft) (entries []evidence.Entry, err error) {
	if log == "" {
		return nil, fault.New(fault.Invalid, "append to log: the log has no name")
	}
	if len(drafts) == 0 {
		return nil, nil
	}
	action := appending(log)
	err = l.db.inTx(ctx, action, func(tx *sql.Tx) error {
		for _, held := range l.under {
			if err := stillHeld(ctx, tx, held); err != nil {
				return err
			}
		}
		head, err := l.head(ctx, tx, log)
		switch {
		case err != nil:
			return err
		case expected != evidence.Any && expected != head.tree.Size():
			return fault.New(fault.Conflict, "%s: it has %d entries, not %d", action, head.tree.Size(), expected)
		}
		entries, err = l.extend(ctx, tx, log, head, drafts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// extend seals drafts behind head and signs the new end.
func (l *Ledger) extend(ctx context.Context, tx *sql.Tx, log string, h *head, drafts []evidence.Draft) ([]evidence.Entry, error) {
	entries := make([]evidence.Entry, 0, len(drafts))
	var before []byte
	for _, d := range drafts {
		e, err := evidence.Seal(log, h.tree.Size()+1, h.last, d)
		if err != nil {
			return nil, fault.New(fault.Invalid, "append to log %s: %w", artifact.Quote(log), err)
		}
		if err := insertEntry(ctx, tx, e); err != nil {
			return nil, err
		}
		before, h.last = h.tree.Frontier(), e.Hash()
		h.tree.Add(h.last)
		entries = append(entries, e)
	}
	return entries, l.sign(ctx, tx, log, h.tree, before)
}

func insertEntry(ctx context.Context, tx *sql.Tx, e evidence.Entry) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO entries (log, seq, entry) VALUES ($1, $2, $3)`, e.Log, e.Seq, string(e.Raw()))
	return err
}

// sign stores a checkpoint over tree, and the frontier that the next append
// begins with.
func (l *Ledger) sign(ctx context.Context, tx *sql.Tx, log string, tree *evidence.Tree, before []byte) error {
	c := evidence.Checkpoint{Origin: l.db.verifier.Origin(log), Size: tree.Size(), Root: tree.Root()}
	_, err := tx.ExecContext(ctx, `INSERT INTO checkpoints (log, size, note) VALUES ($1, $2, $3)`,
		log, c.Size, l.db.key.SignCheckpoint(c))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO frontiers (log, size, frontier) VALUES ($1, $2, $3)
		ON CONFLICT (log) DO UPDATE SET size = excluded.size, frontier = excluded.frontier`, log, c.Size, nonNil(before))
	return err
}

// Entries implements [evidence.Ledger]. What is decided is decided by entries,
// so all of the log is read and compared with what was last signed: a log that
// was altered is Incomplete and wraps [evidence.ErrAltered]. State returns one
// as it is.
func (l *Ledger) Entries(ctx context.Context, log string, from uint64) ([]evidence.Entry, error) {
	action := "read log " + artifact.Quote(log)
	var all []*section
	var note string
	err := l.db.readTx(ctx, action, func(tx *sql.Tx) (err error) {
		if all, err = sections(ctx, tx, log); err != nil {
			return err
		}
		note, err = newestNote(ctx, tx, log)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := l.proven(action, log, note, all); err != nil {
		return nil, err
	}
	var entries []evidence.Entry
	for _, s := range all {
		if s.failed != nil {
			return nil, fault.New(fault.Incomplete, "%s: entry %d: %w", action, s.rows[len(s.entries)].Seq, s.failed).WithHint("%s", verifyHint)
		}
	}
	for n, s := range all {
		if n == 0 {
			entries = make([]evidence.Entry, 0, len(all)*len(s.entries))
		}
		for _, e := range s.entries {
			if e.Seq >= from {
				entries = append(entries, e)
			}
		}
	}
	return entries, nil
}

// proven fails unless the rows are those that the newest note was signed over.
func (l *Ledger) proven(action, log, note string, all []*section) error {
	if note == "" && len(all) == 0 {
		return nil
	}
	signed, err := evidence.OpenCheckpoint(note, l.db.verifier)
	switch {
	case err != nil:
		return alteredLog(action, "its newest checkpoint does not verify", err)
	case signed.Origin != l.db.verifier.Origin(log):
		return alteredLog(action, "its newest checkpoint is that of another log", evidence.ErrAltered)
	}
	var tree evidence.Tree
	for _, s := range all {
		for _, hash := range s.hashes {
			tree.Add(hash)
		}
	}
	if tree.Size() != signed.Size || tree.Root() != signed.Root {
		return alteredLog(action, "its entries are not those that were signed", evidence.ErrAltered)
	}
	return nil
}

// Logs implements [evidence.Ledger]. A log that lost its entries, but not its
// checkpoints, is still named.
func (l *Ledger) Logs(ctx context.Context, prefix string) (logs []string, err error) {
	err = l.db.readTx(ctx, "list logs", func(tx *sql.Tx) error {
		logs, err = texts(ctx, tx, `SELECT log FROM entries WHERE substr(log, 1, length($1)) = $1
			UNION SELECT log FROM checkpoints WHERE substr(log, 1, length($1)) = $1 ORDER BY log`, prefix)
		return err
	})
	return logs, err
}

// State implements [evidence.Ledger]. Rows are in the order of their numbers.
func (l *Ledger) State(ctx context.Context, log string) (evidence.LogState, error) {
	state := evidence.LogState{Log: log}
	err := l.db.readTx(ctx, "read log "+artifact.Quote(log), func(tx *sql.Tx) (err error) {
		if state.Rows, err = storedRows(ctx, tx, log, 0); err != nil {
			return err
		}
		state.Notes, err = texts(ctx, tx, `SELECT note FROM checkpoints WHERE log = $1 ORDER BY size`, log)
		return err
	})
	if err != nil {
		return evidence.LogState{}, err
	}
	return state, nil
}

// Checkpoint implements [evidence.Ledger].
func (l *Ledger) Checkpoint(ctx context.Context, log string) (note string, err error) {
	err = l.db.readTx(ctx, "read checkpoint of log "+artifact.Quote(log), func(tx *sql.Tx) error {
		note, err = newestNote(ctx, tx, log)
		if err == nil && note == "" {
			return fault.New(fault.NotFound, "there is no log %s", artifact.Quote(log))
		}
		return err
	})
	return note, err
}

// newestNote returns "" when there is none.
func newestNote(ctx context.Context, tx *sql.Tx, log string) (note string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT note FROM checkpoints WHERE log = $1 ORDER BY size DESC LIMIT 1`, log).Scan(&note)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return note, err
}

func texts(ctx context.Context, tx *sql.Tx, query string, args ...any) (found []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		found = append(found, s)
	}
	return found, rows.Err()
}
