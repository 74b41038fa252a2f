package store

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// meaning says what a result code of SQLite means to a caller.
type meaning struct {
	kind fault.Kind
	text string
	hint string
}

const (
	restoreHint = "keep the file as it is: it is evidence; copy the state directory, then restore it from a backup or continue with a new --state directory"
	spaceHint   = "free some space on the file system of the state directory and repeat the command; nothing that was reported as recorded is lost"
	accessHint  = "give the user who runs weightwarden write permission on the state directory and its files, or choose another with --state"
)

// meaningOf maps primary result codes, the low byte of the extended ones.
func meaningOf(code int) meaning {
	switch code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		return meaning{fault.Conflict, "something of that name or number exists already", ""}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return meaning{fault.Incomplete, "another process is writing to the database", "repeat the command when the other weightwarden process has finished"}
	case sqlite3.SQLITE_FULL:
		return meaning{fault.Incomplete, "the disk is full", spaceHint}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH:
		return meaning{fault.Incomplete, "the database or its directory cannot be written", accessHint}
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
		return meaning{fault.Incomplete, "the database is damaged", restoreHint}
	case sqlite3.SQLITE_IOERR:
		return meaning{fault.Incomplete, "the disk reports an error", "check that the file system of the state directory has space and is healthy, then repeat the command"}
	case sqlite3.SQLITE_TOOBIG:
		return meaning{fault.Invalid, "the value is too large for the database", ""}
	default:
		return meaning{fault.Internal, "", ""}
	}
}

// explain gives an error of the driver its kind, by its code and never by its
// words. Faults and the ends of contexts keep theirs.
func explain(action string, err error) error {
	var code *sqlite.Error
	switch {
	case err == nil:
		return nil
	case isFault(err):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", action, err)
	case !errors.As(err, &code):
		return fault.New(fault.Internal, "%s: %w", action, err)
	}
	m := meaningOf(code.Code())
	if m.text == "" {
		return fault.New(m.kind, "%s: %w", action, err)
	}
	e := fault.New(m.kind, "%s: %s: %w", action, m.text, err)
	e.Hint = m.hint
	return e
}

func isFault(err error) bool {
	_, ok := errors.AsType[*fault.Error](err)
	return ok
}
