package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// applicationID marks a database as ours: "WWdn".
const applicationID = 0x5757646e

// checkedPages is up to how many pages a database is checked as a whole when
// it is opened: 4 MiB, a few milliseconds. In a larger one damage shows when
// the page concerned is read, and `incident verify` reads all of a log.
const checkedPages = 1024

// migrate brings the tables to the version of this program, one transaction
// for each step. The number of steps done is the database's user_version.
func (db *DB) migrate(ctx context.Context, file string) error {
	action := "open database " + artifact.Quote(file)
	steps, err := migrationSteps()
	if err != nil {
		return fault.New(fault.Internal, "%s: %w", action, err)
	}
	var done int
	err = db.readTx(ctx, action, func(tx *sql.Tx) error {
		done, err = schemaVersion(ctx, tx, file, len(steps))
		return err
	})
	for err == nil && done < len(steps) {
		err = db.inTx(ctx, action, func(tx *sql.Tx) error {
			// Again, now that nobody else can do the same step.
			if done, err = schemaVersion(ctx, tx, file, len(steps)); err != nil || done == len(steps) {
				return err
			}
			done++
			return apply(ctx, tx, steps[done-1], done)
		})
	}
	return err
}

func apply(ctx context.Context, tx *sql.Tx, step string, version int) error {
	mark := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, version)
	_, err := tx.ExecContext(ctx, step+mark)
	return err
}

// schemaVersion returns how many steps were done. A database without any must
// be empty: a file of another program is not made into ours.
func schemaVersion(ctx context.Context, tx *sql.Tx, file string, known int) (int, error) {
	var version, id, tables int
	err := tx.QueryRowContext(ctx, `SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_user_version, pragma_application_id`).Scan(&version, &id, &tables)
	switch {
	case err != nil:
		return 0, err
	case version == 0 && id == 0 && tables == 0:
		return 0, nil
	case id != applicationID || version < 1:
		return 0, damaged(file, "it is not a database of weightwarden, or its header was altered")
	case version > known:
		return 0, fault.New(fault.Invalid, "open database %s: written by a newer weightwarden: its tables have version %d, this program knows up to %d",
			artifact.Quote(file), version, known).WithHint("use the weightwarden that wrote this state directory, or a newer one; nothing was changed")
	}
	return version, nil
}

// migrationSteps returns the steps in order of their numbers.
func migrationSteps() ([]string, error) {
	const dir = "migrations/sqlite"
	files, err := fs.ReadDir(migrations, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	steps := make([]string, 0, len(files))
	for _, f := range files {
		text, err := migrations.ReadFile(path.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migrations: %w", err)
		}
		steps = append(steps, string(text))
	}
	return steps, nil
}

// quickCheck has SQLite look at a small database as a whole.
func (db *DB) quickCheck(ctx context.Context, file string) error {
	action := "open database " + artifact.Quote(file)
	return db.readTx(ctx, action, func(tx *sql.Tx) error {
		var pages int
		if err := tx.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil || pages > checkedPages {
			return err
		}
		var result string
		if err := tx.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
			return err
		}
		if result != "ok" {
			return damaged(file, "%.200s", artifact.Quote(result))
		}
		return nil
	})
}
