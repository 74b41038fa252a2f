package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/store"
)

const database = "weightwarden.db"

var draft = evidence.Draft{Time: time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC), Actor: "user@host", Kind: "note", Body: "text"}

// used returns a state directory with a log "a" of n entries, closed.
func used(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	db := open(t, dir)
	for range n {
		if _, err := db.Ledger().Append(t.Context(), "a", evidence.Any, draft); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Documents().Put(t.Context(), "baseline", "m", []byte("one"), draft.Time); err != nil {
		t.Fatal(err)
	}
	if err := db.Documents().Put(t.Context(), "baseline", "m", []byte("two"), draft.Time); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// alter does to a database what somebody with access to its file could do.
func alter(t *testing.T, dir, statements string) {
	t.Helper()
	conn, err := sql.Open("sqlite", filepath.Join(dir, database))
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.ExecContext(t.Context(), statements)
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, at int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(data, at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir, db string)
		kind  fault.Kind
		text  string
	}{
		{"newer_version", func(t *testing.T, dir, _ string) { alter(t, dir, "PRAGMA user_version = 7") }, fault.Invalid, "version 7"},
		{"database_of_something_else", func(t *testing.T, dir, _ string) { alter(t, dir, "PRAGMA application_id = 7") }, fault.Incomplete, "not a database of weightwarden"},
		{"version_erased", func(t *testing.T, dir, _ string) { alter(t, dir, "PRAGMA user_version = 0") }, fault.Incomplete, "header was altered"},
		{"no_database", func(t *testing.T, _, db string) { overwrite(t, db, 0, bytes.Repeat([]byte("x"), 200)) }, fault.Incomplete, "damaged"},
		{"page_overwritten", func(t *testing.T, _, db string) { overwrite(t, db, 4096, bytes.Repeat([]byte{0xa5}, 4096)) }, fault.Incomplete, "damaged"},
		{"second_half_cut_off", func(t *testing.T, _, db string) {
			if err := os.Truncate(db, 5*4096+100); err != nil {
				t.Fatal(err)
			}
		}, fault.Incomplete, "damaged"},
		{"emptied", func(t *testing.T, _, db string) {
			if err := os.Truncate(db, 0); err != nil {
				t.Fatal(err)
			}
		}, fault.Incomplete, "empty"},
		{"a_directory_in_its_place", func(t *testing.T, _, db string) {
			if err := errors.Join(os.Remove(db), os.Mkdir(db, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, fault.Incomplete, "directory"},
		{"a_fifo_in_its_place", func(t *testing.T, _, db string) {
			if err := errors.Join(os.Remove(db), syscall.Mkfifo(db, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, fault.Incomplete, "fifo"},
		{"gone_but_for_its_journal", func(t *testing.T, _, db string) {
			if err := os.Rename(db, db+"-wal"); err != nil {
				t.Fatal(err)
			}
		}, fault.Incomplete, "gone"},
		{"no_directory", func(t *testing.T, dir, _ string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, fault.NotFound, "does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := used(t, 50)
			tt.spoil(t, dir, filepath.Join(dir, database))
			refused(t, dir, tt.kind, tt.text)
			if tt.kind != fault.NotFound {
				refused(t, dir, tt.kind, tt.text) // the first attempt changed nothing
			}
		})
	}
}

func refused(t *testing.T, dir string, kind fault.Kind, text string) {
	t.Helper()
	db, err := store.Open(t.Context(), dir, stateKey)
	if err == nil {
		t.Fatalf("opened: %v", db.Close())
	}
	if fault.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v of kind %v, want %v with %q", err, fault.KindOf(err), kind, text)
	}
	if kind != fault.NotFound && fault.HintOf(err) == "" {
		t.Errorf("%v: no hint", err)
	}
}

// asNobody runs do without root's rights over files, on this thread alone.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Getuid() != 0 {
		do()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	setfsuid := func(uid uintptr) { _, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0) }
	setfsuid(65534)
	defer setfsuid(0)
	do()
}

func TestOpenWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o555); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(d, 0o700)
	}
	asNobody(t, func() { refused(t, dir, fault.Incomplete, "permission denied") })
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		old := syscall.Umask(mask)
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		db := open(t, dir)
		_, err := db.Ledger().Append(t.Context(), "a", evidence.Any, draft)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		wantPrivate(t, dir, database, database+"-shm", database+"-wal")
	}
	dir := used(t, 1)
	if err := os.Chmod(filepath.Join(dir, database), 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	wantPrivate(t, dir, database, database+"-shm", database+"-wal")
}

func wantPrivate(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(want) {
		t.Errorf("files are %v, %v; want %v", files, err, want)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestManyOpenTheFirstTime(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), dir, stateKey)
			if err != nil {
				t.Error(err)
				return
			}
			_, err = db.Ledger().Append(t.Context(), "a", evidence.Any, draft)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantLog(t, open(t, dir), 6)
	wantPrivate(t, dir, database, database+"-shm", database+"-wal")
}

func TestOpenStrangePath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a?b#c%20d'ü")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	wantPrivate(t, dir, database, database+"-shm", database+"-wal")
}

func wantLog(t *testing.T, db *store.DB, atLeast int) {
	t.Helper()
	s, err := db.Ledger().State(context.WithoutCancel(t.Context()), "a")
	if err != nil {
		t.Fatal(err)
	}
	if problems := evidence.VerifyLog(s, stateKey.Public()); problems != nil || len(s.Rows) < atLeast {
		t.Errorf("log has %d entries, want %d; problems: %v", len(s.Rows), atLeast, problems)
	}
}
