package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/store"
)

// rewriter changes single rows of a database as somebody with access to its
// file could, and puts them back.
type rewriter struct {
	t    *testing.T
	conn *sql.DB
}

func newRewriter(t *testing.T, dir string) rewriter {
	t.Helper()
	conn, err := sql.Open("sqlite", filepath.Join(dir, database)+"?_pragma=synchronous(OFF)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return rewriter{t, conn}
}

func (r rewriter) do(statement string, args ...any) {
	r.t.Helper()
	if _, err := r.conn.ExecContext(r.t.Context(), statement, args...); err != nil {
		r.t.Fatal(err)
	}
}

func problems(t *testing.T, db *store.DB) []evidence.Problem {
	t.Helper()
	s, err := db.Ledger().State(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	return evidence.VerifyLog(s, stateKey.Public())
}

// wantAltered checks that nothing is decided by the log as it is.
func wantAltered(t *testing.T, db *store.DB, what string, at int) {
	t.Helper()
	if _, err := db.Ledger().Entries(t.Context(), "a", 1); !errors.Is(err, evidence.ErrAltered) {
		t.Fatalf("%s %d: the entries are given out: %v", what, at, err)
	}
}

// Every bit of every stored entry: named with its number, and nothing is
// decided by what is there.
func TestEveryBitOfEveryStoredEntry(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	dir := used(t, 2)
	db, rows := open(t, dir), newRewriter(t, dir)
	before, err := db.Ledger().State(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range before.Rows {
		for bit := range len(row.Raw) * 8 {
			flipped := bytes.Clone(row.Raw)
			flipped[bit/8] ^= 1 << (bit % 8)
			rows.do(`UPDATE entries SET entry = $1 WHERE seq = $2`, string(flipped), row.Seq)
			named := slices.ContainsFunc(problems(t, db), func(p evidence.Problem) bool { return p.Seq == row.Seq })
			if !named {
				t.Fatalf("entry %d, bit %d: %v", row.Seq, bit, problems(t, db))
			}
			wantAltered(t, db, "bit", bit)
		}
		rows.do(`UPDATE entries SET entry = $1 WHERE seq = $2`, string(row.Raw), row.Seq)
	}
	wantLog(t, db, 2)
}

// Every bit of every stored checkpoint. By an older one nothing is decided.
func TestEveryBitOfEveryStoredCheckpoint(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	dir := used(t, 2)
	db, rows := open(t, dir), newRewriter(t, dir)
	before, err := db.Ledger().State(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for i, note := range before.Notes {
		for bit := range len(note) * 8 {
			flipped := []byte(note)
			flipped[bit/8] ^= 1 << (bit % 8)
			rows.do(`UPDATE checkpoints SET note = $1 WHERE size = $2`, string(flipped), i+1)
			if len(problems(t, db)) == 0 {
				t.Fatalf("checkpoint %d, bit %d: nothing is found", i+1, bit)
			}
			if i == len(before.Notes)-1 {
				wantAltered(t, db, "bit", bit)
			}
		}
		rows.do(`UPDATE checkpoints SET note = $1 WHERE size = $2`, note, i+1)
	}
	wantLog(t, db, 2)
}

// Every number that a row can be moved to, every row that is gone, and every
// row that was put in, also with numbers that no entry has.
func TestEveryOtherNumberOfAStoredRow(t *testing.T) {
	dir := used(t, 4)
	db, rows := open(t, dir), newRewriter(t, dir)
	for seq := 1; seq <= 4; seq++ {
		for _, to := range []int64{-1 << 63, -1, 0, 5, 6, 1 << 32, 1<<63 - 1} {
			rows.do(`UPDATE entries SET seq = $1 WHERE log = 'a' AND seq = $2`, to, seq)
			if len(problems(t, db)) == 0 {
				t.Errorf("entry %d as %d: nothing is found", seq, to)
			}
			rows.do(`UPDATE entries SET seq = $1 WHERE log = 'a' AND seq = $2`, seq, to)
			rows.do(`INSERT INTO entries SELECT log, $1, entry FROM entries WHERE log = 'a' AND seq = $2`, to, seq)
			if len(problems(t, db)) == 0 {
				t.Errorf("entry %d also as %d: nothing is found", seq, to)
			}
			wantAltered(t, db, "put in as", int(to))
			rows.do(`DELETE FROM entries WHERE log = 'a' AND seq = $1`, to)
		}
		for other := 1; other <= 4; other++ {
			if other == seq {
				continue
			}
			swap := `UPDATE entries SET seq = CASE seq WHEN $1 THEN -$2 ELSE -$1 END WHERE log = 'a' AND seq IN ($1, $2);
				UPDATE entries SET seq = -seq WHERE seq < 0`
			rows.do(swap, seq, other)
			if len(problems(t, db)) == 0 {
				t.Errorf("entries %d and %d exchanged: nothing is found", seq, other)
			}
			wantAltered(t, db, "exchanged with", other)
			rows.do(swap, seq, other)
		}
	}
	wantLog(t, db, 4)
}

// Every bit of the file of the database, as a disk or an attacker changes it:
// either the database is refused, or a log is found altered, or all of the
// record is still as it was (the bit was in a cache, in an index that another
// look goes around, or in room that nothing is in).
func TestEveryBitOfTheDatabaseFile(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	dir := used(t, 3)
	path := filepath.Join(dir, database)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := stateOf(t, dir)
	step := 997 // another bit of every 124th byte
	if os.Getenv("WEIGHTWARDEN_TEST_ALL") != "" {
		step = 13
	}
	refused, altered, same := 0, 0, 0
	twin := t.TempDir()
	for bit := 0; bit < len(good)*8; bit += step {
		flipped := bytes.Clone(good)
		flipped[bit/8] ^= 1 << (bit % 8)
		got, err := reopened(t.Context(), twin, flipped)
		switch {
		case err != nil:
			refused++
		case len(evidence.VerifyLog(got, stateKey.Public())) > 0:
			altered++
		case slices.EqualFunc(got.Rows, want.Rows, sameRow) && slices.Equal(got.Notes, want.Notes):
			same++
		case len(got.Rows) == len(want.Rows) && slices.EqualFunc(got.Rows, want.Rows, sameRow):
			same++ // an older checkpoint is gone; the newest covers all
		default:
			t.Fatalf("bit %d of byte %d makes another record that verifies: %v", bit%8, bit/8, got)
		}
	}
	t.Logf("of %d flips %d were refused, %d found in the log, %d changed nothing of the record", refused+altered+same, refused, altered, same)
	if refused == 0 || altered == 0 || same == 0 {
		t.Error("this test does not reach what it is about")
	}
}

func sameRow(a, b evidence.Stored) bool { return a.Seq == b.Seq && bytes.Equal(a.Raw, b.Raw) }

func stateOf(t *testing.T, dir string) evidence.LogState {
	t.Helper()
	s, err := open(t, dir).Ledger().State(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reopened writes a database file into dir and reads the log from it.
func reopened(ctx context.Context, dir string, file []byte) (s evidence.LogState, err error) {
	path := filepath.Join(dir, database)
	for _, beside := range []string{"-wal", "-shm"} {
		_ = os.Remove(path + beside) // of the one before
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return s, err
	}
	db, err := store.Open(ctx, dir, stateKey)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Ledger().State(ctx, "a")
}
