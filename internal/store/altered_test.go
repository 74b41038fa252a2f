package store_test

import (
	"errors"
	"testing"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

func TestAppendRefusesAnAlteredEnd(t *testing.T) {
	tests := []struct{ name, statements string }{
		{"last_entry_altered", `UPDATE entries SET entry = replace(entry, 'text', 'next') WHERE seq = 5`},
		{"last_entry_gone", `DELETE FROM entries WHERE seq = 5`},
		{"entry_added", `INSERT INTO entries SELECT log, 6, entry FROM entries WHERE seq = 5`},
		{"last_number_altered", `UPDATE entries SET seq = 9 WHERE seq = 5`},
		{"all_entries_gone", `DELETE FROM entries`},
		{"all_checkpoints_gone", `DELETE FROM checkpoints`},
		{"last_checkpoint_gone", `DELETE FROM checkpoints WHERE size = 5`},
		{"last_checkpoint_altered", `UPDATE checkpoints SET note = replace(note, 'a', 'b') WHERE size = 5`},
		{"checkpoint_of_another_log", `UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE log = 'b') WHERE log = 'a' AND size = 5`},
		{"entry_and_cache_altered", `UPDATE entries SET entry = replace(entry, 'text', 'next') WHERE seq = 5; DELETE FROM frontiers`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := used(t, 5)
			if _, err := open(t, dir).Ledger().Append(t.Context(), "b", evidence.Any, draft); err != nil {
				t.Fatal(err)
			}
			alter(t, dir, tt.statements)
			l := open(t, dir).Ledger()
			before, err := l.State(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			_, err = l.Append(t.Context(), "a", evidence.Any, draft)
			if !errors.Is(err, evidence.ErrAltered) || fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" {
				t.Errorf("append: %v, kind %v", err, fault.KindOf(err))
			}
			after, err := l.State(t.Context(), "a")
			if err != nil || len(after.Rows) != len(before.Rows) || len(evidence.VerifyLog(after, stateKey.Public())) == 0 {
				t.Errorf("log afterwards: %v, %v", after, err)
			}
		})
	}
}

func TestAppendDoesNotNeedItsCache(t *testing.T) {
	for name, statement := range map[string]string{
		"gone":        `DELETE FROM frontiers`,
		"false":       `UPDATE frontiers SET frontier = zeroblob(length(frontier))`,
		"too_short":   `UPDATE frontiers SET frontier = x'00'`,
		"other_size":  `UPDATE frontiers SET size = 77`,
		"of_the_past": `UPDATE frontiers SET frontier = x''`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := used(t, 6)
			alter(t, dir, statement)
			db := open(t, dir)
			for range 2 {
				if _, err := db.Ledger().Append(t.Context(), "a", evidence.Any, draft); err != nil {
					t.Fatal(err)
				}
			}
			wantLog(t, db, 8)
		})
	}
}

func TestEntriesOfARowThatIsNone(t *testing.T) {
	dir := used(t, 3)
	alter(t, dir, `UPDATE entries SET entry = '{}' WHERE seq = 2`)
	_, err := open(t, dir).Ledger().Entries(t.Context(), "a", 0)
	if fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" {
		t.Errorf("got %v, kind %v", err, fault.KindOf(err))
	}
}

func TestAlteredDocuments(t *testing.T) {
	tests := []struct{ name, statement string }{
		{"content", `UPDATE documents SET doc = x'00'`},
		{"time", `UPDATE documents SET at = at + 1`},
		{"version", `UPDATE documents SET version = 9`},
		{"marked_deleted", `UPDATE documents SET deleted = 1`},
		{"signature", `UPDATE documents SET signature = zeroblob(64)`},
		{"no_signature", `UPDATE documents SET signature = x''`},
		{"put_back_to_an_older_version", `DELETE FROM documents; INSERT INTO documents SELECT * FROM documents_history`},
		{"removed", `DELETE FROM documents`},
		{"renamed", `UPDATE documents SET name = 'n'; UPDATE documents_history SET name = 'n'`},
		{"other_kind", `UPDATE documents SET kind = 'k'; INSERT INTO documents SELECT 'baseline', name, version, at, deleted, doc, signature FROM documents_history`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := used(t, 1)
			alter(t, dir, tt.statement)
			d := open(t, dir).Documents()
			names, err := d.List(t.Context(), "baseline")
			if err != nil || len(names) != 1 {
				t.Fatalf("list: %v, %v", names, err)
			}
			doc, _, err := d.Get(t.Context(), "baseline", names[0])
			if !errors.Is(err, evidence.ErrAltered) || fault.KindOf(err) != fault.Untrusted || doc != nil {
				t.Errorf("get: %q, %v", doc, err)
			}
			// Establishing it anew is possible and keeps what was found.
			if err := d.Put(t.Context(), "baseline", names[0], []byte("new"), draft.Time); err != nil {
				t.Fatal(err)
			}
			if doc, _, err := d.Get(t.Context(), "baseline", names[0]); err != nil || string(doc) != "new" {
				t.Errorf("after establishing it anew: %q, %v", doc, err)
			}
		})
	}
}

// What is decided is decided by entries, so reading them is no weaker than
// appending.
func TestEntriesOfAnAlteredLog(t *testing.T) {
	for name, statements := range map[string]string{
		"first_entry_altered":     `UPDATE entries SET entry = replace(entry, 'text', 'next') WHERE seq = 1`,
		"last_entry_altered":      `UPDATE entries SET entry = replace(entry, 'text', 'next') WHERE seq = 5`,
		"entry_in_the_middle":     `DELETE FROM entries WHERE seq = 3`,
		"cut_off":                 `DELETE FROM entries WHERE seq = 5`,
		"all_entries_gone":        `DELETE FROM entries`,
		"all_checkpoints_gone":    `DELETE FROM checkpoints`,
		"last_checkpoint_gone":    `DELETE FROM checkpoints WHERE size = 5`,
		"last_checkpoint_altered": `UPDATE checkpoints SET note = replace(note, 'a', 'b') WHERE size = 5`,
		"reordered":               `UPDATE entries SET seq = seq + 10 WHERE seq = 2; UPDATE entries SET seq = 2 WHERE seq = 3; UPDATE entries SET seq = 3 WHERE seq = 12`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := used(t, 5)
			alter(t, dir, statements)
			for _, from := range []uint64{0, 1, 5, 9} {
				_, err := open(t, dir).Ledger().Entries(t.Context(), "a", from)
				if !errors.Is(err, evidence.ErrAltered) || fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" {
					t.Errorf("from %d: %v, kind %v", from, err, fault.KindOf(err))
				}
			}
		})
	}
}
