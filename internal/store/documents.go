package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Documents keeps documents signed at rest: whoever changes one in the
// database without the key is found out when it is read. Baselines live here.
//
// What cannot be found out from the database alone is that a document with all
// its history is gone, or that the whole database is an older copy.
type Documents struct{ db *DB }

// Document is one version of a document.
type Document struct {
	// Version counts from 1.
	Version int64
	At      time.Time
	Doc     []byte
	// Deleted marks the version that ended the document.
	Deleted bool
	// Altered says that the signature does not fit, so that nothing of this
	// version is to be believed.
	Altered bool
}

// Put stores doc under kind and name as of at, to the microsecond. What was
// there before goes to the history, whether or not it was altered. An empty
// kind or name is Invalid.
func (d *Documents) Put(ctx context.Context, kind, name string, doc []byte, at time.Time) error {
	return d.replace(ctx, "store", kind, name, version{doc: doc, at: micros(at)})
}

// Delete ends the document, keeping its history. A document that does not
// exist is NotFound.
func (d *Documents) Delete(ctx context.Context, kind, name string, at time.Time) error {
	return d.replace(ctx, "delete", kind, name, version{deleted: true, at: micros(at)})
}

func (d *Documents) replace(ctx context.Context, verb, kind, name string, next version) error {
	if kind == "" || name == "" {
		return fault.New(fault.Invalid, "%s document: kind or name is missing", verb)
	}
	action := verb + " " + title(kind, name)
	return d.db.inTx(ctx, action, func(tx *sql.Tx) error {
		var newest int64
		var present bool
		err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0), coalesce(max(present), 0) FROM (
			SELECT version, NOT deleted AS present FROM documents WHERE kind = $1 AND name = $2 UNION ALL
			SELECT version, 0 FROM documents_history WHERE kind = $1 AND name = $2)`, kind, name).Scan(&newest, &present)
		if err != nil {
			return err
		}
		if next.deleted && !present {
			return noDocument(kind, name)
		}
		next.number = newest + 1
		return d.write(ctx, tx, kind, name, next)
	})
}

// write moves the present version to the history and puts v in its place.
func (d *Documents) write(ctx context.Context, tx *sql.Tx, kind, name string, v version) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO documents_history (kind, name, version, at, deleted, doc, signature)
		SELECT kind, name, version, at, deleted, doc, signature FROM documents WHERE kind = $1 AND name = $2
		ON CONFLICT DO NOTHING`, kind, name)
	if err != nil {
		return err
	}
	v.signature = d.db.key.SignDocument(v.context(kind, name), v.doc)
	_, err = tx.ExecContext(ctx, `INSERT INTO documents (kind, name, version, at, deleted, doc, signature) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (kind, name) DO UPDATE SET version = excluded.version, at = excluded.at, deleted = excluded.deleted,
		doc = excluded.doc, signature = excluded.signature`, kind, name, v.number, v.at, v.deleted, nonNil(v.doc), v.signature)
	return err
}

// Get returns a document and the time it was stored with. One that does not
// exist, or was deleted, is NotFound. One that was altered, put back to an
// older version or removed is Untrusted and wraps [evidence.ErrAltered].
func (d *Documents) Get(ctx context.Context, kind, name string) (doc []byte, at time.Time, err error) {
	var current *version
	var history []version
	err = d.db.readTx(ctx, "read "+title(kind, name), func(tx *sql.Tx) error {
		current, history, err = d.versions(ctx, tx, kind, name)
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	switch {
	case current == nil && len(history) == 0:
		err = noDocument(kind, name)
	case current == nil:
		err = alteredDocument(kind, name, "it was removed from the database")
	case !current.signedBy(d.db.verifier, kind, name):
		err = alteredDocument(kind, name, "its signature does not fit")
	case len(history) > 0 && history[len(history)-1].number >= current.number:
		err = alteredDocument(kind, name, "an older version was put in its place")
	case current.deleted:
		err = noDocument(kind, name)
	default:
		return current.doc, fromMicros(current.at), nil
	}
	return nil, time.Time{}, err
}

// List returns the names of the documents of a kind, sorted. One that Get
// finds altered or removed is listed, so that it is asked for.
func (d *Documents) List(ctx context.Context, kind string) (names []string, err error) {
	var all []string
	err = d.db.readTx(ctx, "list documents", func(tx *sql.Tx) error {
		all, err = texts(ctx, tx, `SELECT name FROM documents WHERE kind = $1
			UNION SELECT name FROM documents_history WHERE kind = $1 ORDER BY name`, kind)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		switch _, _, err := d.Get(ctx, kind, name); {
		case fault.KindOf(err) == fault.NotFound: // deleted, and signed for
		case err != nil && !errors.Is(err, evidence.ErrAltered):
			return nil, err
		default:
			names = append(names, name)
		}
	}
	return names, nil
}

// History returns all versions of a document, the present one last. An unknown
// document has none.
func (d *Documents) History(ctx context.Context, kind, name string) (found []Document, err error) {
	var current *version
	var all []version
	err = d.db.readTx(ctx, "read history of "+title(kind, name), func(tx *sql.Tx) error {
		current, all, err = d.versions(ctx, tx, kind, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	if current != nil {
		all = append(all, *current)
	}
	for _, v := range all {
		found = append(found, Document{
			Version: v.number, At: fromMicros(v.at), Doc: v.doc,
			Deleted: v.deleted, Altered: !v.signedBy(d.db.verifier, kind, name),
		})
	}
	return found, nil
}

// version is one row.
type version struct {
	number, at     int64
	deleted        bool
	doc, signature []byte
}

// context is what is signed beside the content. Quoting keeps kind and name
// apart whatever they contain.
func (v version) context(kind, name string) string {
	state := "document"
	if v.deleted {
		state = "deleted"
	}
	return fmt.Sprintf("%q/%q version %d at %d %s", kind, name, v.number, v.at, state)
}

func (v version) signedBy(k evidence.VerifierKey, kind, name string) bool {
	return k.VerifyDocument(v.context(kind, name), v.doc, v.signature)
}

// versions returns the present version, nil when there is no row, and those
// before it, oldest first.
func (d *Documents) versions(ctx context.Context, tx *sql.Tx, kind, name string) (current *version, history []version, err error) {
	found, err := readVersions(ctx, tx, `SELECT version, at, deleted, doc, signature FROM documents WHERE kind = $1 AND name = $2`, kind, name)
	if err != nil {
		return nil, nil, err
	}
	if len(found) > 0 {
		current = &found[0]
	}
	history, err = readVersions(ctx, tx, `SELECT version, at, deleted, doc, signature FROM documents_history
		WHERE kind = $1 AND name = $2 ORDER BY version`, kind, name)
	return current, history, err
}

func readVersions(ctx context.Context, tx *sql.Tx, query, kind, name string) (found []version, err error) {
	rows, err := tx.QueryContext(ctx, query, kind, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v version
		if err := rows.Scan(&v.number, &v.at, &v.deleted, &v.doc, &v.signature); err != nil {
			return nil, err
		}
		found = append(found, v)
	}
	return found, rows.Err()
}

func title(kind, name string) string { return artifact.Quote(kind) + " " + artifact.Quote(name) }

func noDocument(kind, name string) error {
	return fault.New(fault.NotFound, "there is no %s", title(kind, name))
}

func alteredDocument(kind, name, what string) error {
	e := fault.New(fault.Untrusted, "%s in the state directory was altered: %s", title(kind, name), what)
	e.Cause = evidence.ErrAltered
	e.Hint = "somebody wrote to the state directory without this program: treat it as part of the incident, keep a copy, then establish the document anew"
	return e
}
