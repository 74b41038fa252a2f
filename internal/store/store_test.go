package store_test

import (
	"crypto/ed25519"
	"sync"
	"testing"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/lease"
	"github.com/weightwarden/weightwarden/internal/store"
	"github.com/weightwarden/weightwarden/internal/store/storetest"
)

// stateKey is the same on every run.
var stateKey = evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}

func open(t *testing.T, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), dir, stateKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// perTest returns an opener that gives each test a state directory of its own,
// and each call a handle of its own on it.
func perTest[T any](part func(*store.DB) T) func(*testing.T) T {
	var mu sync.Mutex
	dirs := map[*testing.T]string{}
	return func(t *testing.T) T {
		mu.Lock()
		defer mu.Unlock()
		if dirs[t] == "" {
			dirs[t] = t.TempDir()
		}
		return part(open(t, dirs[t]))
	}
}

func TestLedger(t *testing.T) {
	storetest.Ledger(t, perTest(func(db *store.DB) evidence.Ledger { return db.Ledger() }), stateKey.Public())
}

func TestDocuments(t *testing.T) {
	storetest.Documents(t, perTest(func(db *store.DB) storetest.DocumentStore { return db.Documents() }))
}

func TestOutbox(t *testing.T) {
	storetest.Outbox(t, perTest(func(db *store.DB) storetest.Box { return db.Outbox() }))
}

func TestLeases(t *testing.T) {
	storetest.Leases(t, perTest(func(db *store.DB) lease.Store { return db.Leases() }))
}
