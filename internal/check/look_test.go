package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// Which method a check takes, and what it says, after the baseline was taken
// and one hour has passed.
func TestMethod(t *testing.T) {
	tests := []struct {
		name string
		do   func(*host)
		by   check.Method
		then check.Method // the check after that one
		said []string
	}{
		{"nothing", func(*host) {}, check.ByBlocks, check.ByBlocks, nil},
		{"age_reached", func(h *host) { h.Now = func() time.Time { return start.Add(24 * time.Hour) } }, check.BySHA256, check.ByBlocks, nil},
		{"clock_put_back", func(h *host) { h.Now = func() time.Time { return start.Add(-time.Hour) } }, check.BySHA256, check.ByBlocks, nil},
		{"asked_for", func(h *host) { h.Hashing.Full = true }, check.BySHA256, check.BySHA256, nil},
		{"no_secret", func(h *host) { h.Hashing.Secret = nil }, check.BySHA256, check.BySHA256, nil},
		{"another_secret", func(h *host) { h.Hashing.Secret = bytes.Repeat([]byte{9}, manifest.SecretSize) }, check.BySHA256, check.ByBlocks, nil},
		{"always_full", func(h *host) { h.Hashing.FullAge = 0 }, check.BySHA256, check.BySHA256, nil},
		{"another_baseline", func(h *host) {
			h.write("weights.bin", "other")
			_, err := h.TakeBaseline(h.t.Context(), artifact.Model{ID: "m", Path: h.dir}, "", "")
			h.do(err)
		}, check.ByBlocks, check.ByBlocks, nil},
		{"tags_altered", func(h *host) {
			h.alter(`UPDATE documents SET doc = zeroblob(length(doc)) WHERE kind = 'blocks'`)
		}, check.BySHA256, check.ByBlocks, []string{"baseline_altered"}},
		{"age_altered", func(h *host) {
			h.alter(`UPDATE documents SET at = at + 1000000 WHERE kind = 'full_check'`)
		}, check.BySHA256, check.ByBlocks, []string{"baseline_altered"}},
		{"tampered_by_blocks", func(h *host) { h.write("weights.bin", "Weights") }, check.ByBlocks, check.ByBlocks, []string{"model_file_tampered weights.bin"}},
		{"tampered_in_full", func(h *host) {
			h.write("weights.bin", "Weights")
			h.Hashing.Full = true
		}, check.BySHA256, check.BySHA256, []string{"model_file_tampered weights.bin"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			h.Hashing = check.Hashing{Secret: make([]byte, manifest.SecretSize), FullAge: 24 * time.Hour}
			h.Trust.Keys = nil
			if r := h.once(); r.Models[0].Method != check.BySHA256 {
				t.Fatalf("first check by %s", r.Models[0].Method)
			}
			h.Now = func() time.Time { return start.Add(time.Hour) }
			tt.do(h)
			r := h.once()
			if r.Models[0].Method != tt.by {
				t.Errorf("by %s, want %s", r.Models[0].Method, tt.by)
			}
			if diff := cmp.Diff(append([]string{"baseline_unverified"}, tt.said...), ordered(r)); diff != "" {
				t.Errorf("indicators (-want +got):\n%s", diff)
			}
			for _, i := range r.Indicators {
				if i.Type == indicator.ModelFileTampered && !cmp.Equal(i.Evidence["ranges"], []manifest.Range{{0, 7}}) {
					t.Errorf("evidence %v", i.Evidence)
				}
			}
			if again := h.once(); again.Models[0].Method != tt.then {
				t.Errorf("then by %s, want %s", again.Models[0].Method, tt.then)
			}
		})
	}
}

// ordered puts what every check of an unsigned model says first.
func ordered(r *check.Report) []string {
	out := []string{}
	for _, s := range said(r.Indicators) {
		if s == "baseline_unverified" {
			out = append([]string{s}, out...)
		} else {
			out = append(out, s)
		}
	}
	return out
}

func (h *host) once() *check.Report {
	h.t.Helper()
	r, err := h.Run(h.t.Context(), nil)
	h.do(err)
	return r
}

// What was found tampered with must not become what later checks compare with.
func TestTamperedIsNeverTagged(t *testing.T) {
	h := newHost(t)
	h.Hashing = check.Hashing{Secret: make([]byte, manifest.SecretSize), FullAge: 24 * time.Hour}
	h.Trust.Keys = nil
	h.once()
	h.alter(`DELETE FROM documents WHERE kind IN ('blocks', 'full_check')`)
	h.write("weights.bin", "Weights")
	for range 3 {
		r := h.once()
		if r.Models[0].Method != check.BySHA256 || r.Models[0].Verdict != check.Tampered {
			t.Fatalf("%s by %s", r.Models[0].Verdict, r.Models[0].Method)
		}
	}
	h.write("weights.bin", "weights")
	if r := h.once(); r.Models[0].Verdict != check.Clean {
		t.Errorf("put back: %s", r.Models[0].Verdict)
	}
	if r := h.once(); r.Models[0].Method != check.ByBlocks {
		t.Errorf("put back: by %s", r.Models[0].Method)
	}
}

func TestLiveWriter(t *testing.T) {
	h := newHost(t)
	h.Trust.Keys = nil
	f, err := os.OpenFile(filepath.Join(h.dir, "weights.bin"), os.O_RDWR, 0)
	h.do(err)
	r := h.once()
	if len(said(r.Indicators)) == 1 && r.Models[0].Baseline != nil {
		h.do(f.Close())
		t.Skip("no leases to rely on here")
	}
	if diff := cmp.Diff([]string{"model_file_writer weights.bin"}, said(r.Indicators)); diff != "" || r.Models[0].Baseline != nil {
		t.Errorf("a model that is being written became a baseline, indicators (-want +got):\n%s", diff)
	}
	if found, _, incomplete := r.Outcome(indicator.InfoOf(indicator.ModelFileWriter).Severity); found || !incomplete {
		t.Errorf("found %t, incomplete %t", found, incomplete)
	}
	h.do(f.Close())
	if r := h.once(); r.Models[0].Baseline == nil {
		t.Errorf("quiet now: %v", said(r.Indicators))
	}
}

// A model under lease is not read at all.
func TestGuardedModel(t *testing.T) {
	h := newHost(t)
	h.Trust.Keys = nil
	h.write("weights.bin", strings.Repeat("w", 1<<20))
	var g manifest.Guard
	defer g.Close()
	h.Hashing = check.Hashing{Secret: make([]byte, manifest.SecretSize), FullAge: 24 * time.Hour, Guards: map[string]*manifest.Guard{"m": &g}}
	for range 3 {
		if r := h.once(); r.Models[0].Verdict == check.Tampered {
			t.Fatalf("%v", said(r.Indicators))
		}
	}
	h.remove("weights.bin") // a writer would wait for the guard, which does not run here
	h.write("weights.bin", strings.Repeat("W", 1<<20))
	if r := h.once(); r.Models[0].Verdict != check.Tampered {
		t.Error("another file in its place was taken for the one under lease")
	}
}
