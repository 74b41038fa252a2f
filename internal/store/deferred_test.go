package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Only what is done through the deferred database is synced later: whatever
// became of it, the next commit is synced again.
func TestDeferredIsForOneCommit(t *testing.T) {
	const full, normal = 2, 1
	db := open(t, t.TempDir())
	later := db.Deferred()
	mode := func(want int) {
		t.Helper()
		if got, err := db.Synchronous(t.Context()); err != nil || got != want {
			t.Errorf("synchronous is %d, %v; want %d", got, err, want)
		}
	}
	mode(full)
	if got, err := later.Synchronous(t.Context()); err != nil || got != normal {
		t.Errorf("deferred: synchronous is %d, %v; want %d", got, err, normal)
	}
	mode(full)
	if _, err := later.Ledger().Append(t.Context(), "a", evidence.Any, draft); err != nil {
		t.Fatal(err)
	}
	mode(full)
	if _, err := later.Ledger().Append(t.Context(), "a", 7, draft); fault.KindOf(err) != fault.Conflict {
		t.Errorf("append at another place: %v", err)
	}
	mode(full)
	ended, end := context.WithCancel(t.Context())
	end()
	if err := later.Documents().Put(ended, "k", "n", nil, draft.Time); err == nil {
		t.Error("stored after the end")
	}
	mode(full)
	if err := later.Documents().Put(t.Context(), "k", "n", []byte("text"), draft.Time); err != nil {
		t.Fatal(err)
	}
	mode(full)
	if doc, _, err := db.Documents().Get(t.Context(), "k", "n"); err != nil || string(doc) != "text" {
		t.Errorf("document: %q, %v", doc, err)
	}
}

// Sync commits something, else SQLite would not sync anything, and changes
// nothing that is read.
func TestSyncWrites(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if _, err := db.Deferred().Ledger().Append(t.Context(), "a", evidence.Any, draft); err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, database+"-wal"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	if err := db.Deferred().Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := size(); after <= before {
		t.Errorf("the write-ahead log has %d bytes, and had %d: nothing was committed", after, before)
	}
	wantLog(t, db, 1)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wantLog(t, open(t, dir), 1)
}
