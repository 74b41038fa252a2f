// Package record measures what a long record costs: an incident of 100,000
// entries, as a state directory holds it, shown by the program from a cold
// start.
package record

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cli"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/signer"
	"github.com/weightwarden/weightwarden/internal/store"
)

const (
	id     = "INC-20261123-AAAAAAAA"
	length = 100_000
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)

// draft is entry n of a long incident: of eight entries five seal evidence,
// and there are indicators, custody and notes between them.
func draft(n int) evidence.Draft {
	at := noon.Add(time.Duration(n) * time.Second)
	d := evidence.Draft{Time: at, Actor: "ana@host"}
	digest := artifact.SHA256Of(fmt.Appendf(nil, "%d", n))
	name := fmt.Sprintf("model-%05d-of-99999.safetensors", n)
	switch {
	case n == 0:
		d.Kind, d.Body = incident.KindOpened, incident.Opened{
			Models: []string{"sentiment"}, Severity: finding.Critical, Summary: "weights differ", Commander: "ana", DetectedAt: noon,
		}
	case n%8 < 5:
		d.Kind, d.Body = incident.KindSealed, evidence.Item{
			Type: "changed_file", Name: name, Origin: "/srv/models/sentiment/" + name, SHA256: digest, Size: int64(n) << 20, CollectedAt: at,
		}
	case n%8 == 5:
		d.Kind, d.Body = incident.KindIndicator, indicator.New(indicator.ModelFileTampered, "sentiment", at, name+" was changed",
			map[string]any{"file": name, "actual_hash": digest.Hex(), "model_id": "sentiment"}, name, digest.Hex())
	case n%8 == 6:
		d.Kind, d.Body = incident.KindCustody, incident.Custody{Event: incident.Accessed, SHA256: digest, Name: name, Reason: "analysis"}
	default:
		d.Kind, d.Body = incident.KindNote, incident.Note{Text: "looked at " + name}
	}
	return d
}

// state makes a state directory with one incident of n entries.
func state(tb testing.TB, n int) string {
	tb.Helper()
	dir := tb.TempDir()
	key, err := signer.StateKey(dir, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	db, err := store.Open(context.Background(), dir, key)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const batch = 1000
	for at := 0; at < n; at += batch {
		var drafts []evidence.Draft
		for i := at; i < min(at+batch, n); i++ {
			drafts = append(drafts, draft(i))
		}
		if _, err := db.Ledger().Append(context.Background(), id, evidence.Any, drafts...); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// BenchmarkShow opens the state directory, reads the record, proves it against
// its newest checkpoint, folds it and prints it, each time anew.
func BenchmarkShow(b *testing.B) {
	dir := state(b, length)
	path := config(b, dir)
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				var out counter
				var complaint bytes.Buffer
				env := cli.Env{
					Stdin: strings.NewReader(""), Stdout: &out, Stderr: &complaint, Getenv: func(string) string { return "" },
					Now: func() time.Time { return noon }, Random: rand.Reader, Actor: "ana@host", Version: "bench",
				}
				if code := cli.Main(context.Background(), env, []string{"--state", dir, "--config", path, "-o", format, "incident", "show", id}); code != 0 {
					b.Fatalf("exit code %d: %s", code, &complaint)
				}
				b.ReportMetric(float64(out), "bytes/op")
			}
		})
	}
}

// BenchmarkFold makes the incident out of 10,000 entries that are read.
func BenchmarkFold(b *testing.B) {
	var entries []evidence.Entry
	var prev artifact.Digest
	for n := range 10_000 {
		e, err := evidence.Seal(id, uint64(n)+1, prev, draft(n))
		if err != nil {
			b.Fatal(err)
		}
		prev = e.Hash()
		entries = append(entries, e)
	}
	for b.Loop() {
		if _, err := incident.Fold(entries); err != nil {
			b.Fatal(err)
		}
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

func config(tb testing.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte("models:\n  - id: sentiment\n    path: /srv/models/sentiment\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
