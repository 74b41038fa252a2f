package signer_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/signer"
)

func TestBlockSecret(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "blocks.key")
	var secrets [8][]byte
	var wg sync.WaitGroup
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], err = signer.BlockSecret(dir, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if len(s) != 32 || !bytes.Equal(s, secrets[0]) {
			t.Fatalf("processes that start at once have different secrets: %x", secrets)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	tests := []struct {
		name   string
		change func() error
		kind   fault.Kind
	}{
		{"readable_by_others", func() error { return os.Chmod(path, 0o640) }, fault.Refused},
		{"damaged", func() error { return os.WriteFile(path, []byte("xx\n"), 0o600) }, fault.Incomplete},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.change(); err != nil {
				t.Fatal(err)
			}
			if _, err := signer.BlockSecret(dir, nil); fault.KindOf(err) != tt.kind || fault.HintOf(err) == "" {
				t.Errorf("error %v (%v, hint %q), want %v", err, fault.KindOf(err), fault.HintOf(err), tt.kind)
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if s, err := signer.BlockSecret(dir, nil); err != nil || bytes.Equal(s, secrets[0]) {
		t.Errorf("after removal: %x, %v", s, err)
	}
}
