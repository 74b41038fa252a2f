package store_test

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/store"
)

func testKey() evidence.SigningKey {
	return evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
}

func open(t *testing.T, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), dir, testKey())
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

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	for range 3 {
		_, err := db.Ledger().Append(t.Context(), "incident/a", evidence.Any, evidence.Draft{Time: time.Now(), Kind: "x", Body: 1}, evidence.Draft{Time: time.Now(), Kind: "x", Body: 2})
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := db.Ledger().State(t.Context(), "incident/a")
	if err != nil || len(s.Rows) != 6 {
		t.Fatal(err, len(s.Rows))
	}
	if p := evidence.VerifyLog(s, testKey().Public()); p != nil {
		t.Fatal(p)
	}
	es, _ := os.ReadDir(dir)
	for _, e := range es {
		i, _ := os.Stat(filepath.Join(dir, e.Name()))
		t.Log(e.Name(), i.Mode())
	}
	db.Documents().Put(t.Context(), "k", "n", nil, time.Now())
	t.Log(db.Documents().Get(t.Context(), "k", "n"))
	t.Log(db.Documents().List(t.Context(), "k"))
}
