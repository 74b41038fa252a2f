package store_test

import (
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// secondOutbox puts the outbox of the second version in place of the present
// one, with a message of each kind.
const secondOutbox = `
	DROP TABLE outbox;
	CREATE TABLE outbox (
		id           INTEGER PRIMARY KEY AUTOINCREMENT,
		key          TEXT    NOT NULL UNIQUE,
		target       TEXT    NOT NULL,
		payload      BLOB    NOT NULL,
		created_at   INTEGER NOT NULL,
		next_at      INTEGER NOT NULL,
		attempts     INTEGER NOT NULL DEFAULT 0,
		last_error   TEXT    NOT NULL DEFAULT '',
		delivered_at INTEGER
	) STRICT;
	CREATE INDEX outbox_undelivered ON outbox (created_at, id) WHERE delivered_at IS NULL;
	INSERT INTO outbox (key, target, payload, created_at, next_at, attempts, last_error, delivered_at) VALUES
		('told', 'alert_webhook', X'', 10, 10, 0, '', 20),
		('waits', 'alert_webhook', X'6f6e65', 30, 30, 0, '', NULL),
		('failed', 'alert_webhook', X'74776f', 40, 5000000, 3, 'refused', NULL);
	PRAGMA user_version = 2;`

// State directories of earlier versions are brought up to date, with all that
// is in them.
func TestUpgrade(t *testing.T) {
	for name, statements := range map[string]string{
		"first": secondOutbox + "DROP TABLE leases; PRAGMA user_version = 1;", "second": secondOutbox,
	} {
		t.Run(name, func(t *testing.T) {
			dir := used(t, 50)
			alter(t, dir, statements)
			db := open(t, dir)
			entries, err := db.Ledger().Entries(t.Context(), "a", 1)
			if err != nil || len(entries) != 50 {
				t.Errorf("%d entries, %v", len(entries), err)
			}
			if doc, _, err := db.Documents().Get(t.Context(), "baseline", "m"); err != nil || string(doc) != "two" {
				t.Errorf("document %q, %v", doc, err)
			}
			if _, err := db.Leases().Acquire(t.Context(), "m", "a", draft.Time, time.Second, false); err != nil {
				t.Error(err)
			}
			wantUpgraded(t, db.Outbox())
		})
	}
}

// wantUpgraded wants the messages of secondOutbox as they were: due when they
// were, never the least of all, and of no group that has them wait.
func wantUpgraded(t *testing.T, box interface {
	outbox.Store
	outbox.Router
	outbox.Desk
},
) {
	t.Helper()
	ctx := t.Context()
	if added, err := box.Add(ctx, outbox.Item{Key: "told", Target: "alert_webhook"}); added || err != nil {
		t.Errorf("what was delivered was forgotten: %v, %v", added, err)
	}
	due, err := box.DueFor(ctx, "alert_webhook", time.UnixMicro(100), 10)
	if err != nil || len(due) != 1 || due[0].Key != "waits" || string(due[0].Payload) != "one" || !due[0].DeadAt.IsZero() {
		t.Fatalf("due: %+v, %v", due, err)
	}
	if n, err := box.Trim(ctx, 0, time.UnixMicro(100), "no room"); n != 0 || err != nil {
		t.Errorf("%d dropped, %v", n, err)
	}
	into := []outbox.Item{{Key: "waits/hook", Target: "receiver/hook", Group: "g", Payload: []byte("one"), CreatedAt: due[0].CreatedAt, NextAt: due[0].NextAt}}
	if err := box.Split(ctx, due[0].ID, into, time.UnixMicro(100)); err != nil {
		t.Error(err)
	}
	if due, err = box.DueFor(ctx, "receiver/hook", time.UnixMicro(100), 10); err != nil || len(due) != 1 {
		t.Errorf("split: %+v, %v", due, err)
	}
	late, err := box.DueFor(ctx, "alert_webhook", time.UnixMicro(5_000_000), 10)
	if err != nil || len(late) != 1 || late[0].Attempts != 3 || late[0].LastError != "refused" {
		t.Fatalf("due later: %+v, %v", late, err)
	}
	if err := box.Bury(ctx, late[0].ID, time.UnixMicro(6_000_000), "enough"); err != nil {
		t.Error(err)
	}
	if err := box.Revive(ctx, late[0].ID, time.UnixMicro(7_000_000)); err != nil {
		t.Error(err)
	}
	if err := box.Delivered(ctx, late[0].ID+7, time.UnixMicro(1)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown: %v", err)
	}
}
