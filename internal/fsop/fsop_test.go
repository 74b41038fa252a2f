//go:build unix

package fsop_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

func TestExchange(t *testing.T) {
	dir := t.TempDir()
	a, b := put(t, dir+"/a", "A"), put(t, dir+"/b", "B")
	err := fsop.Exchange(a, b)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this file system cannot exchange names")
	}
	if err != nil {
		t.Fatal(err)
	}
	holds(t, a, "B")
	holds(t, b, "A")
	if err := fsop.Exchange(a, dir+"/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("exchange with nothing: %v", err)
	}
}

func TestRenameNoReplace(t *testing.T) {
	dir := t.TempDir()
	a, b := put(t, dir+"/a", "A"), put(t, dir+"/b", "B")
	if err := fsop.RenameNoReplace(a, b); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a file: %v", err)
	}
	holds(t, b, "B")
	if err := fsop.RenameNoReplace(a, dir+"/c"); err != nil {
		t.Error(err)
	}
	holds(t, dir+"/c", "A")
}

func TestCloneOrCopyIsNoHardLink(t *testing.T) {
	dir := t.TempDir()
	src, err := os.Open(put(t, dir+"/src", strings.Repeat("x", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(dir + "/dst")
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	n, err := fsop.CloneOrCopy(t.Context(), dst, src)
	if err != nil || n != 1<<20 {
		t.Fatalf("copied %d, %v", n, err)
	}
	put(t, dir+"/src", "changed")
	holds(t, dir+"/dst", strings.Repeat("x", 1<<20))
}

func TestCopyStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fsop.Copy(ctx, &bytes.Buffer{}, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWriteFileAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"first", "second"} {
		if err := fsop.WriteFileAtomic(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		holds(t, path, text)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := fsop.WriteFileAtomic(filepath.Dir(path), []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	left, _ := filepath.Glob(filepath.Dir(path) + "/../.*tmp*")
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 || len(left) != 0 {
		t.Errorf("temporary files are left: %v %v", entries, left)
	}
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	file := put(t, dir+"/f", "")
	if err := os.Symlink(file, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	id, err := fsop.Identity(file)
	if err != nil || id.IsZero() {
		t.Fatalf("%v, %v", id, err)
	}
	if link, err := fsop.Identity(dir + "/link"); err != nil || link == id {
		t.Errorf("the link was followed: %v, %v", link, err)
	}
	if back, err := fsop.ParseID(id.String()); err != nil || back != id {
		t.Errorf("%v became %v, %v", id, back, err)
	}
	for _, s := range []string{"1", "1:", ":1", "01:2", "1:2:3", "-1:2", "1:18446744073709551616", "0:0"} {
		if id, err := fsop.ParseID(s); err == nil {
			t.Errorf("%q was read as %v", s, id)
		}
	}
}

func TestMountPoint(t *testing.T) {
	for path, want := range map[string]bool{"/proc": true, t.TempDir(): false} {
		if got, err := fsop.IsMountPoint(path); err != nil || got != want {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := fsop.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsop.Lock(path); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "holds the lock") {
		t.Errorf("locked twice: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = fsop.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func TestPrivateDir(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/wide", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/new", "/new", "/wide"} {
		if err := fsop.PrivateDir(dir + name); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(dir + name); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if err := os.Symlink(dir+"/new", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := fsop.PrivateDir(dir + "/link"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a link: %v", err)
	}
}

func TestOpenRegularRefuses(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/f", "x")
	put(t, filepath.Dir(dir)+"/outside", "x")
	for _, err := range []error{
		os.Symlink("f", dir+"/link"), os.Symlink("../outside", dir+"/out"),
		syscall.Mkfifo(dir+"/fifo", 0o600), os.Mkdir(dir+"/d", 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{"link", "out", "fifo", "d"} {
		if _, _, err := fsop.HashFile(t.Context(), root, name); fault.KindOf(err) != fault.Incomplete {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d, n, err := fsop.HashFile(t.Context(), root, "f"); err != nil || n != 1 || d != artifact.SHA256Of([]byte("x")) {
		t.Errorf("%v, %d, %v", d, n, err)
	}
	if _, _, err := fsop.HashFile(t.Context(), root, "../outside"); err == nil {
		t.Error("left the root")
	}
}

func TestUnchangedSeesARestoredTime(t *testing.T) {
	path := put(t, t.TempDir()+"/f", "old")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 { // the kernel's clock may be coarse
		put(t, path, "new")
		if err := os.Chtimes(path, time.Time{}, before.ModTime()); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if !fsop.Unchanged(before, after) {
			return
		}
	}
	t.Error("a change with a restored modification time was not seen")
}
