package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/weightwarden/weightwarden/internal/vault"
)

// Every single-bit flip, every truncation and every lengthening of an object,
// and its absence, are found, each under its own name.
func TestEveryAlterationOfAnObjectIsFound(t *testing.T) {
	v, err := vault.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("evidence of some length, small enough for all of its bits")
	d, size, err := v.Put(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(v.Dir(), "sha256", d.Hex()[:2], d.Hex())
	replace := func(content []byte) {
		t.Helper()
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for bit := range len(data) * 8 {
		flipped := bytes.Clone(data)
		flipped[bit/8] ^= 1 << (bit % 8)
		replace(flipped)
		if err := v.Verify(t.Context(), d, size); !errors.Is(err, vault.ErrAltered) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	for n := range data {
		replace(data[:n])
		if err := v.Verify(t.Context(), d, size); !errors.Is(err, vault.ErrTruncated) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	replace(append(bytes.Clone(data), 0))
	if err := v.Verify(t.Context(), d, size); !errors.Is(err, vault.ErrAltered) {
		t.Errorf("one byte more: %v", err)
	}
	replace(data)
	if err := v.Verify(t.Context(), d, size); err != nil {
		t.Errorf("put back: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(t.Context(), d, size); !errors.Is(err, vault.ErrMissing) {
		t.Errorf("removed: %v", err)
	}
}
