package baseline_test

import (
	"crypto/ed25519"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/store"
	"github.com/weightwarden/weightwarden/internal/trust"
)

var (
	key = evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
)

func open(t *testing.T, dir string) (baseline.Store, *store.DB) {
	t.Helper()
	db, err := store.Open(t.Context(), dir, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return baseline.Store{Documents: db.Documents(), Ledger: db.Ledger()}, db
}

// alter does what an intruder with write permission does.
func alter(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "weightwarden.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, s baseline.Store, model string) (*baseline.Baseline, error) {
	t.Helper()
	entries, err := s.Ledger.Entries(t.Context(), trust.Log, 1)
	if err != nil {
		return nil, err
	}
	state, err := trust.Fold(entries)
	if err != nil {
		return nil, err
	}
	return s.Load(t.Context(), state, model)
}

// tree makes a model directory. A name that ends in a slash is a directory,
// content that begins with "->" a link, "fifo" a pipe.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		target, link := strings.CutPrefix(content, "->")
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o700)
		case link:
			err = os.Symlink(target, path)
		case content == "fifo":
			err = syscall.Mkfifo(path, 0o600)
		default:
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func take(t *testing.T, dir string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Take(t.Context(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func save(t *testing.T, s baseline.Store, voucher trust.Voucher, m *manifest.Manifest) {
	t.Helper()
	set := trust.BaselineSet{Model: "m", Path: "/models/m", Voucher: voucher, Who: "ana"}
	if err := s.Save(t.Context(), set, m, now, "ana@host"); err != nil {
		t.Fatal(err)
	}
}

func TestSavedIsLoaded(t *testing.T) {
	state := t.TempDir()
	m := take(t, tree(t, map[string]string{"a": "1", "sub/b": "2", "link": "->a", "empty/": ""}))
	s, db := open(t, state)
	save(t, s, trust.ByPerson, m)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, state)
	b, err := load(t, s, "m")
	if err != nil {
		t.Fatal(err)
	}
	want := &baseline.Baseline{
		Model: "m", Path: "/models/m", Established: now, Voucher: trust.ByPerson, Who: "ana", Root: m.Root(), Manifest: m,
	}
	want.Document = b.Document // an older one would not load
	if diff := cmp.Diff(want, b, cmp.AllowUnexported(artifact.Digest{})); diff != "" || !b.Trusted() {
		t.Errorf("after a restart, trusted %v (-want +got):\n%s", b.Trusted(), diff)
	}
}

func TestNewestHolds(t *testing.T) {
	s, _ := open(t, t.TempDir())
	save(t, s, trust.BySignature, take(t, tree(t, map[string]string{"a": "1"})))
	second := take(t, tree(t, map[string]string{"a": "2"}))
	save(t, s, trust.FirstUse, second)
	if b, err := load(t, s, "m"); err != nil || b.Root != second.Root() || b.Trusted() {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestNoBaseline(t *testing.T) {
	s, _ := open(t, t.TempDir())
	_, err := load(t, s, "m")
	if fault.KindOf(err) != fault.NotFound || fault.HintOf(err) == "" || errors.Is(err, baseline.ErrAltered) {
		t.Errorf("got %v (%v)", err, fault.KindOf(err))
	}
}

func TestAlteredBaseline(t *testing.T) {
	tests := []struct{ name, statement string }{
		{"document", `UPDATE documents SET doc = CAST(replace(CAST(doc AS TEXT), 'sha256', 'sha255') AS BLOB)`},
		{"version_of_the_document", `UPDATE documents SET doc = CAST(replace(CAST(doc AS TEXT), '"version":1', '"version":2') AS BLOB)`},
		{"document_gone", `DELETE FROM documents`},
		{"document_and_history_gone", `DELETE FROM documents; DELETE FROM documents_history`},
		{"names_exchanged", `UPDATE documents SET name = substr(name, 2) || substr(name, 1, 1)`},
		{"older_content_under_the_newer_name", `UPDATE documents SET (doc, signature) =
			(SELECT doc, signature FROM documents ORDER BY rowid LIMIT 1)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s, db := open(t, dir)
			save(t, s, trust.FirstUse, take(t, tree(t, map[string]string{"a": "old"})))
			save(t, s, trust.BySignature, take(t, tree(t, map[string]string{"a": "new"})))
			_ = db.Close()
			alter(t, dir, tt.statement)
			s, _ = open(t, dir)
			_, err := load(t, s, "m")
			if !errors.Is(err, baseline.ErrAltered) || fault.KindOf(err) != fault.Untrusted || fault.HintOf(err) == "" {
				t.Errorf("got %v (%v)", err, fault.KindOf(err))
			}
		})
	}
}

// Which document holds, and who vouches for it, stands in the ledger: whoever
// changes that makes no baseline of it.
func TestAlteredRecord(t *testing.T) {
	tests := []struct{ name, statement string }{
		{"voucher", `UPDATE entries SET entry = replace(entry, 'first_use', 'signature')`},
		{"older_baseline_put_back", `DELETE FROM entries WHERE seq = 2`},
		{"older_baseline_put_back_with_its_checkpoint", `DELETE FROM entries WHERE seq = 2; UPDATE checkpoints SET note = 'x' WHERE size = 2`},
		{"document_of_another_baseline", `UPDATE entries SET entry = (SELECT entry FROM entries WHERE seq = 1)`},
		{"all_of_it", `DELETE FROM entries`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s, db := open(t, dir)
			save(t, s, trust.BySignature, take(t, tree(t, map[string]string{"a": "old"})))
			save(t, s, trust.FirstUse, take(t, tree(t, map[string]string{"a": "new"})))
			_ = db.Close()
			alter(t, dir, tt.statement)
			s, _ = open(t, dir)
			if b, err := load(t, s, "m"); !errors.Is(err, evidence.ErrAltered) || fault.KindOf(err) != fault.Incomplete {
				t.Errorf("got %+v, %v (%v)", b, err, fault.KindOf(err))
			}
		})
	}
}

// A record that points to a document of another content is not believed, even
// when both are whole.
func TestRootOfAnotherModel(t *testing.T) {
	s, _ := open(t, t.TempDir())
	save(t, s, trust.BySignature, take(t, tree(t, map[string]string{"a": "1"})))
	entries, err := s.Ledger.Entries(t.Context(), trust.Log, 1)
	if err != nil {
		t.Fatal(err)
	}
	var set trust.BaselineSet
	if err := entries[0].Decode(&set); err != nil {
		t.Fatal(err)
	}
	set.Root = artifact.SHA256Of(nil)
	if _, err := s.Ledger.Append(t.Context(), trust.Log, evidence.Any, evidence.Draft{Time: now, Kind: trust.KindBaseline, Body: set}); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, s, "m"); !errors.Is(err, baseline.ErrAltered) {
		t.Errorf("got %v", err)
	}
}

func TestSaveRefuses(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
	}{
		{"pipe", map[string]string{"a": "1", "pipe": "fifo"}},
		{"link_out", map[string]string{"a": "1", "out": "->/etc/passwd"}},
		{"link_to_nothing", map[string]string{"a": "1", "out": "->nothing"}},
		{"no_file_at_all", map[string]string{"sub/": ""}},
		{"empty_directory", nil},
		{"name_that_is_not_utf8", map[string]string{"a": "1", "\xff": "2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := open(t, t.TempDir())
			err := s.Save(t.Context(), trust.BaselineSet{Model: "m", Voucher: trust.ByPerson}, take(t, tree(t, tt.files)), now, "ana")
			if fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" {
				t.Errorf("got %v (%v)", err, fault.KindOf(err))
			}
			if _, err := load(t, s, "m"); fault.KindOf(err) != fault.NotFound {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
