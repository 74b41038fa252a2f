package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// fileName is the database in its state directory.
const fileName = "weightwarden.db"

// private is the mode of the database. SQLite gives the same one to the two
// files it keeps beside it.
const private fs.FileMode = 0o600

// Open opens the database of the state directory dir, which must exist, and
// makes it when there is none. Checkpoints and documents are signed with key.
//
// A database of a newer program is Invalid. A file that is damaged or is no
// database of ours, and a directory that cannot be written, are Incomplete.
func Open(ctx context.Context, dir string, key evidence.SigningKey) (*DB, error) {
	path, err := filepath.Abs(filepath.Join(dir, fileName))
	if err != nil {
		return nil, err
	}
	if err := ensure(ctx, path); err != nil {
		return nil, err
	}
	conn, err := connect(path)
	if err != nil {
		return nil, err
	}
	db := &DB{sql: conn, key: key, verifier: key.Public()}
	if err := db.migrate(ctx, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := db.quickCheck(ctx, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// connect sets everything that makes SQLite keep its word:
//
//   - WAL: readers and a writer do not wait for each other;
//   - synchronous=FULL: in WAL mode every commit is synced, so what was
//     reported as stored survives a loss of power;
//   - _txlock=immediate: a transaction that will write takes the lock when it
//     begins; what it read before writing cannot change under it;
//   - busy_timeout: a second process waits this many milliseconds;
//   - trusted_schema=OFF, cell_size_check=ON: the file may have been made by
//     an attacker.
func connect(path string) (*sql.DB, error) {
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)",
		"foreign_keys(ON)", "trusted_schema(OFF)", "cell_size_check(ON)",
	}}
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: pragmas.Encode()}
	conn, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", artifact.Quote(path), err)
	}
	// One connection: goroutines of one process queue in order instead of
	// competing for the lock of the file.
	conn.SetMaxOpenConns(1)
	return conn, nil
}

// ensure makes the database if there is none, and its mode private if it is
// not. An empty file is no new database but one that lost its content: new
// ones get their name only when they are complete.
func ensure(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create(ctx, path)
	case err != nil:
		return inaccessible(path, err)
	case !info.Mode().IsRegular():
		return damaged(path, "it is a %s", artifact.KindOf(info.Mode()))
	case info.Size() == 0:
		return damaged(path, "it is empty")
	case info.Mode().Perm()&^private != 0:
		if err := os.Chmod(path, private); err != nil {
			return inaccessible(path, err)
		}
	}
	return nil
}

// create makes the database under another name and gives it its own when its
// tables are there. When another process was faster, that one's stays.
func create(ctx context.Context, path string) (err error) {
	if err := checkDirectory(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), fileName+".new-*")
	if err != nil {
		return inaccessible(path, err)
	}
	defer func() { err = errors.Join(err, removeAll(f.Name())) }()
	// CreateTemp asks for 0600, of which the umask may take something away.
	if err := errors.Join(f.Chmod(private), f.Close()); err != nil {
		return inaccessible(path, err)
	}
	if err := fill(ctx, f.Name(), path); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return inaccessible(path, err)
	}
	return syncDir(filepath.Dir(path))
}

// fill makes the tables in the file temp that is to become path.
func fill(ctx context.Context, temp, path string) error {
	conn, err := connect(temp)
	if err != nil {
		return err
	}
	db := &DB{sql: conn}
	return errors.Join(db.migrate(ctx, path), db.Close())
}

// checkDirectory says in clear words what keeps a database from being made.
func checkDirectory(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "open database: the state directory %s does not exist", artifact.Quote(dir))
	case err != nil:
		return inaccessible(path, err)
	case !info.IsDir():
		return fault.New(fault.Invalid, "open database: %s is not a directory", artifact.Quote(dir))
	}
	if _, err := os.Lstat(path + "-wal"); err == nil {
		return damaged(path, "it is gone, but its journal %s-wal is there", fileName)
	}
	return nil
}

func removeAll(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return inaccessible(dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return inaccessible(dir, err)
	}
	return nil
}

func inaccessible(path string, err error) error {
	return fault.New(fault.Incomplete, "open database %s: %w", artifact.Quote(path), err).WithHint("%s", accessHint)
}

func damaged(path, format string, args ...any) error {
	return fault.New(fault.Incomplete, "open database %s: the database is damaged: %s",
		artifact.Quote(path), fmt.Sprintf(format, args...)).WithHint("%s", restoreHint)
}
