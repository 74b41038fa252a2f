package assess_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/assess"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/trust"
	"github.com/weightwarden/weightwarden/internal/vault"
)

// What disappears first is sealed first (RFC 3227): the volatile, then what a
// process holds, then the model, its times before its content is read, then
// what stays.
func TestOrderOfCapture(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "m")
	if err := os.Mkdir(model, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "w.bin"), []byte("weights"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(filepath.Join(dir, "vault"))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	source := func(name string) assess.Source {
		return assess.Source{Type: name, Collect: func(context.Context) (any, []string, error) { return name, nil, nil }}
	}
	a := &assess.Assessor{
		Vault: v, Now: time.Now,
		Sources: []assess.Source{source("processes"), source("sockets"), {
			Type: "held_file", Files: func(context.Context) ([]assess.Held, []string, error) {
				open := func() (io.ReadCloser, error) { return os.Open(filepath.Join(model, "w.bin")) }
				gone := func() (io.ReadCloser, error) { return nil, os.ErrNotExist }
				return []assess.Held{{Name: "held", Open: open}, {Name: "gone\n", Open: gone}}, []string{"process 1: permission denied"}, nil
			},
		}},
		After: []assess.Source{source("packages")},
		Record: func(_ context.Context, kind string, body any) error {
			switch b := body.(type) {
			case evidence.Item:
				order = append(order, b.Type)
				if b.Name == "list" && len(b.Missing) != 1 {
					t.Errorf("the list of held files lacks %q", b.Missing)
				}
			case evidence.Gap:
				order = append(order, "gap "+b.Name)
			default:
				order = append(order, kind)
			}
			return nil
		},
	}
	got, err := a.Run(t.Context(), artifact.Model{ID: "m", Path: model}, nil, &trust.State{})
	if err != nil || !got.Sealed || got.Gaps != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	want := []string{
		"processes", "sockets", "held_file", `gap "gone\n"`, "held_file", "attributes", "manifest", "model_file", "direct_reads",
		"packages", incident.KindAssessed,
	}
	if !slices.Equal(order, want) {
		t.Errorf("order is\n%s, want\n%s", strings.Join(order, "\n"), strings.Join(want, "\n"))
	}
}
