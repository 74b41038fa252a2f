//go:build unix

package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/vault"
)

const text = "evidence"

var digest = artifact.SHA256Of([]byte(text))

func open(t *testing.T) *vault.Vault {
	t.Helper()
	v, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func put(t *testing.T, v *vault.Vault) string {
	t.Helper()
	d, n, err := v.Put(t.Context(), strings.NewReader(text))
	if err != nil || d != digest || n != int64(len(text)) {
		t.Fatalf("put: %v, %d, %v", d, n, err)
	}
	return filepath.Join(v.Dir(), "sha256", d.Hex()[:2], d.Hex())
}

// damage replaces what is in an object.
func damage(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(content), 0o400)); err != nil {
		t.Fatal(err)
	}
}

// files lists what is in the vault, apart from directories.
func files(t *testing.T, v *vault.Vault) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(v.Dir(), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, strings.TrimPrefix(path, v.Dir()+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPutAndGet(t *testing.T) {
	v := open(t)
	path := put(t, v)
	put(t, v) // the same again
	if diff := cmp.Diff([]string{"sha256/" + digest.Hex()[:2] + "/" + digest.Hex()}, files(t, v)); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	r, err := v.Get(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != text {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDamageIsNamed(t *testing.T) {
	tests := []struct {
		name, content string
		size          int64
		want          error
		kind          fault.Kind
	}{
		{"intact", text, 8, nil, 0},
		{"intact_size_unknown", text, -1, nil, 0},
		{"truncated", text[:3], 8, vault.ErrTruncated, fault.Conflict},
		{"empty", "", 8, vault.ErrTruncated, fault.Conflict},
		{"altered", "Evidence", 8, vault.ErrAltered, fault.Conflict},
		{"longer", text + "!", 8, vault.ErrAltered, fault.Conflict},
		{"truncated_size_unknown", text[:3], -1, vault.ErrAltered, fault.Conflict},
		{"missing", "\x00", 8, vault.ErrMissing, fault.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := open(t)
			path := put(t, v)
			damage(t, path, tt.content)
			if tt.content == "\x00" {
				_ = os.Remove(path)
			}
			err := v.Verify(t.Context(), digest, tt.size)
			if !errors.Is(err, tt.want) || tt.want != nil && fault.KindOf(err) != tt.kind {
				t.Errorf("got %v (%v)", err, fault.KindOf(err))
			}
			r, err := v.Get(t.Context(), digest)
			if err == nil {
				_, err = io.ReadAll(r)
				_ = r.Close()
			}
			if (err == nil) != (tt.want == nil) {
				t.Errorf("get: %v", err)
			}
		})
	}
}

func TestDamagedEvidenceIsKeptBeside(t *testing.T) {
	v := open(t)
	path := put(t, v)
	for n, content := range []string{"short", "Evidence"} {
		damage(t, path, content)
		put(t, v)
		if err := v.Verify(t.Context(), digest, 8); err != nil {
			t.Error(err)
		}
		beside := fmt.Sprintf("%s.damaged-%d", path, n+1)
		if got, err := os.ReadFile(beside); err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
	}
	got, err := v.Damaged(digest)
	if diff := cmp.Diff([]string{path + ".damaged-1", path + ".damaged-2"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if none, err := v.Damaged(artifact.SHA256Of(nil)); len(none) != 0 || err != nil {
		t.Errorf("%v, %v", none, err)
	}
}

func TestPutFile(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"w.bin": text, "../outside": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("w.bin", dir+"/link"), os.Symlink("../outside", dir+"/out"), syscall.Mkfifo(dir+"/fifo", 0o600)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	v := open(t)
	if d, n, err := v.PutFile(t.Context(), root, "w.bin"); err != nil || d != digest || n != 8 {
		t.Errorf("%v, %d, %v", d, n, err)
	}
	for _, name := range []string{"link", "out", "fifo", "."} {
		if _, _, err := v.PutFile(t.Context(), root, name); fault.KindOf(err) != fault.Incomplete {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := v.PutFile(t.Context(), root, "../outside"); err == nil {
		t.Error("left the root")
	}
	if err := os.WriteFile(dir+"/w.bin", []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(t.Context(), digest, 8); err != nil {
		t.Errorf("the evidence changed with its original: %v", err)
	}
	if got := files(t, v); len(got) != 1 {
		t.Errorf("left over: %v", got)
	}
}

func TestFileThatGrowsWhileItIsCopied(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 64<<20)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for ctx.Err() == nil {
			_, _ = f.WriteAt([]byte("x"), 0)
		}
	})
	v := open(t)
	_, _, err = v.PutFile(t.Context(), root, "log")
	stop()
	writer.Wait()
	if fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "changed while") {
		t.Errorf("got %v", err)
	}
	if got := files(t, v); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

type full struct{}

func (full) Read([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
}

func TestFullDisk(t *testing.T) {
	v := open(t)
	_, _, err := v.Put(t.Context(), io.MultiReader(strings.NewReader("some"), full{}))
	if fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "is full") || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if got := files(t, v); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
	if err := v.Preflight(1 << 62); fault.KindOf(err) != fault.Incomplete {
		t.Errorf("preflight: %v", err)
	}
	if err := v.Preflight(1); err != nil {
		t.Error(err)
	}
}

// A file that does not fit is not begun, and takes nothing from the room that
// is left.
func TestFileThatDoesNotFit(t *testing.T) {
	v, dir := open(t), t.TempDir()
	v.SetFree(func(string) (int64, error) { return 1000, nil })
	if err := os.WriteFile(filepath.Join(dir, "weights"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if shares(t, dir) {
		t.Skip("this file system shares blocks: everything fits")
	}
	_, _, err = v.PutFile(t.Context(), root, "weights")
	if fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "has room for") || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if got := files(t, v); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

// shares reports whether the file system of dir can clone a file.
func shares(t *testing.T, dir string) bool {
	t.Helper()
	a, errA := os.Create(filepath.Join(dir, "a"))
	b, errB := os.Create(filepath.Join(dir, "b"))
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	return fsop.Clone(b, a) == nil
}

// TestManyWriters lets many goroutines put the same and different things
// while others open the vault, which sweeps.
func TestManyWriters(t *testing.T) {
	v := open(t)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 20 {
				content := bytes.Repeat([]byte{byte(j)}, 100+j)
				if d, _, err := v.Put(t.Context(), bytes.NewReader(content)); err != nil || d != artifact.SHA256Of(content) {
					t.Errorf("put: %v", err)
				}
				if i%4 == 0 {
					if _, err := vault.Open(v.Dir()); err != nil {
						t.Errorf("open: %v", err)
					}
				}
			}
		})
	}
	group.Wait()
	if got := files(t, v); len(got) != 20 {
		t.Errorf("%d files, want 20: %v", len(got), got)
	}
}

func TestOpenSweepsWhatACrashLeft(t *testing.T) {
	v := open(t)
	put(t, v)
	left := filepath.Join(v.Dir(), "tmp", "put-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(v.Dir()); err != nil {
		t.Fatal(err)
	}
	if got := files(t, v); len(got) != 1 || strings.HasPrefix(got[0], "tmp") {
		t.Errorf("left over: %v", got)
	}
}
