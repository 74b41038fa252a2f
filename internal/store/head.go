package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

const verifyHint = "run `weightwarden incident verify`: it names what was altered; do not delete the database: it is evidence"

// head is the end of a log, proven against the newest signed note.
type head struct {
	tree *evidence.Tree
	last artifact.Digest
}

// head reads the end of log without reading all of it. The frontier in the
// database is only believed when it gives, with the last entry as it is found,
// the root hash that was signed; else the tree is made from all entries, and
// if that gives another root too, the log was altered.
func (l *Ledger) head(ctx context.Context, tx *sql.Tx, log string) (*head, error) {
	note, err := newestNote(ctx, tx, log)
	if err != nil {
		return nil, err
	}
	last, err := lastRow(ctx, tx, log)
	switch {
	case err != nil:
		return nil, err
	case note == "" && last == nil:
		return &head{tree: &evidence.Tree{}}, nil
	case note == "" || last == nil:
		return nil, alteredLog(appending(log), "entries and checkpoints do not belong together", evidence.ErrAltered)
	}
	signed, err := evidence.OpenCheckpoint(note, l.db.verifier)
	switch {
	case err != nil:
		return nil, alteredLog(appending(log), "its newest checkpoint does not verify", err)
	case signed.Origin != l.db.verifier.Origin(log):
		return nil, alteredLog(appending(log), "its newest checkpoint is that of another log", evidence.ErrAltered)
	case signed.Size != last.Seq:
		return nil, alteredLog(appending(log), "it does not end where the newest checkpoint says", evidence.ErrAltered)
	}
	return proveHead(ctx, tx, log, signed, last)
}

func proveHead(ctx context.Context, tx *sql.Tx, log string, signed evidence.Checkpoint, last *evidence.Stored) (*head, error) {
	h := &head{last: evidence.LeafHash(last.Raw)}
	var err error
	if h.tree, err = cachedTree(ctx, tx, log, signed.Size, h.last); err != nil {
		return nil, err
	}
	if h.tree != nil && h.tree.Root() == signed.Root {
		return h, nil
	}
	rows, err := storedRows(ctx, tx, log, 0)
	if err != nil {
		return nil, err
	}
	h.tree = &evidence.Tree{}
	for _, r := range rows {
		h.tree.Add(evidence.LeafHash(r.Raw))
	}
	if h.tree.Size() != signed.Size || h.tree.Root() != signed.Root {
		return nil, alteredLog(appending(log), "its entries are not those that were signed", evidence.ErrAltered)
	}
	return h, nil
}

// cachedTree returns the tree that the cached frontier and the last entry
// make, or nil when the cache is of no use.
func cachedTree(ctx context.Context, tx *sql.Tx, log string, size uint64, last artifact.Digest) (*evidence.Tree, error) {
	var frontier []byte
	err := tx.QueryRowContext(ctx, `SELECT frontier FROM frontiers WHERE log = $1`, log).Scan(&frontier)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // no cache is an answer
	}
	if err != nil {
		return nil, err
	}
	tree, err := evidence.NewTree(size-1, frontier)
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // a false cache is of no use, and is replaced
	}
	tree.Add(last)
	return tree, nil
}

// lastRow returns nil when the log has no rows.
func lastRow(ctx context.Context, tx *sql.Tx, log string) (*evidence.Stored, error) {
	var seq int64
	var raw []byte
	err := tx.QueryRowContext(ctx, `SELECT seq, entry FROM entries WHERE log = $1 ORDER BY seq DESC LIMIT 1`, log).Scan(&seq, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the absence of rows is an answer
	}
	if err != nil {
		return nil, err
	}
	return &evidence.Stored{Seq: uint64(seq), Raw: raw}, nil
}

func appending(log string) string { return "append to log " + artifact.Quote(log) }

// alteredLog refuses to build on a log that is not what was signed.
func alteredLog(action, what string, cause error) error {
	if !errors.Is(cause, evidence.ErrAltered) {
		cause = errors.Join(evidence.ErrAltered, cause)
	}
	e := fault.New(fault.Incomplete, "%s: the record was altered: %s", action, what)
	e.Cause, e.Hint = cause, verifyHint
	return e
}
