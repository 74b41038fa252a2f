package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
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
	for at := range len(data) + 1 {
		for _, b := range []byte{0, 'x', 0xff} {
			replace(slices.Insert(bytes.Clone(data), at, b))
			if err := v.Verify(t.Context(), d, size); !errors.Is(err, vault.ErrAltered) {
				t.Fatalf("with the byte %d more at %d: %v", b, at, err)
			}
		}
	}
	for at := range data {
		replace(slices.Delete(bytes.Clone(data), at, at+1))
		if err := v.Verify(t.Context(), d, size); !errors.Is(err, vault.ErrTruncated) {
			t.Fatalf("without byte %d: %v", at, err)
		}
		for other := range at { // every two bytes in each other's place
			swapped := bytes.Clone(data)
			swapped[at], swapped[other] = swapped[other], swapped[at]
			replace(swapped)
			if err := v.Verify(t.Context(), d, size); !bytes.Equal(swapped, data) && !errors.Is(err, vault.ErrAltered) {
				t.Fatalf("bytes %d and %d exchanged: %v", at, other, err)
			}
		}
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

// Two objects in each other's place are two objects that are not what their
// names say.
func TestExchangedObjectsAreFound(t *testing.T) {
	v, err := vault.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, text := range []string{"evidence one", "evidence two"} {
		d, _, err := v.Put(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, filepath.Join(v.Dir(), "sha256", d.Hex()[:2], d.Hex()))
	}
	aside := filepath.Join(v.Dir(), "aside")
	if err := errors.Join(os.Rename(paths[0], aside), os.Rename(paths[1], paths[0]), os.Rename(aside, paths[1])); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"evidence one", "evidence two"} {
		if err := v.Verify(t.Context(), artifact.SHA256Of([]byte(text)), int64(len(text))); !errors.Is(err, vault.ErrAltered) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
