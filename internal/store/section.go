package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// sectionRows is how many rows are worked on together: enough that handing
// them over costs nothing, few enough that work begins while rows are read.
const sectionRows = 1024

// section is a part of a log: its rows, and what was computed of them while
// the rows behind them were read.
type section struct {
	rows    []evidence.Stored
	hashes  []artifact.Digest
	entries []evidence.Entry
	// failed is why the row behind the entries is none.
	failed error
}

// digest hashes and reads the rows. What it reads counts only when the hashes
// are those that were signed.
func (s *section) digest() {
	s.hashes = make([]artifact.Digest, len(s.rows))
	s.entries = make([]evidence.Entry, 0, len(s.rows))
	for i, r := range s.rows {
		s.hashes[i] = evidence.LeafHash(r.Raw)
	}
	for _, r := range s.rows {
		e, err := evidence.ParseProven(r.Raw)
		if err != nil {
			s.failed = err
			return
		}
		s.entries = append(s.entries, e)
	}
}

// sections reads all rows of log, and digests each section while the next is
// read.
func sections(ctx context.Context, tx *sql.Tx, log string) (all []*section, err error) {
	var working sync.WaitGroup
	defer working.Wait()
	err = eachSection(ctx, tx, log, 0, func(rows []evidence.Stored) {
		s := &section{rows: rows}
		all = append(all, s)
		working.Go(s.digest)
	})
	return all, err
}

// eachSection reads the rows of log from seq on and hands them over in
// sections. From 0 it reads all, also those with numbers no entry can have.
func eachSection(ctx context.Context, tx *sql.Tx, log string, from uint64, do func([]evidence.Stored)) (err error) {
	first := int64(-1 << 63)
	if from > 0 {
		first = int64(min(from, 1<<63-1))
	}
	rows, err := tx.QueryContext(ctx, `SELECT seq, entry FROM entries WHERE log = $1 AND seq >= $2 ORDER BY seq`, log, first)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var found []evidence.Stored
	var room []byte // what the rows of a section are kept in
	for rows.Next() {
		var seq int64
		var raw sql.RawBytes
		if err := rows.Scan(&seq, &raw); err != nil {
			return err
		}
		if len(raw) > cap(room)-len(room) {
			room = make([]byte, 0, max(len(raw), roomBytes))
		}
		at := len(room)
		room = append(room, raw...)
		found = append(found, evidence.Stored{Seq: uint64(seq), Raw: room[at:len(room):len(room)]})
		if len(found) == sectionRows {
			do(found)
			found = make([]evidence.Stored, 0, sectionRows)
		}
	}
	if len(found) > 0 {
		do(found)
	}
	return rows.Err()
}

// roomBytes is how much room is made at once for what is read.
const roomBytes = 256 << 10

// storedRows reads the rows of log from seq on.
func storedRows(ctx context.Context, tx *sql.Tx, log string, from uint64) (found []evidence.Stored, err error) {
	err = eachSection(ctx, tx, log, from, func(rows []evidence.Stored) { found = append(found, rows...) })
	return found, err
}
