package collect_test

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/collect"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file that this process holds open is found through the real /proc when it
// is deleted or replaced, and not while its name still leads to it.
func TestHeldFiles(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("there is no /proc")
	}
	dir := t.TempDir()
	for _, name := range []string{"there", "deleted", "replaced"} {
		write(t, filepath.Join(dir, name), "old "+name)
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if err := os.Remove(filepath.Join(dir, "deleted")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "new"), "new")
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "replaced")); err != nil {
		t.Fatal(err)
	}
	found, _, err := collect.HeldFiles(t.Context(), "/proc", dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range found {
		f, err := h.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		got[filepath.Base(h.Path)] = string(data)
		if !strings.Contains(h.Name(), strconv.Itoa(os.Getpid())) {
			t.Errorf("name is %s", h.Name())
		}
	}
	if len(got) != 2 || got["deleted"] != "old deleted" || got["replaced"] != "old replaced" {
		t.Errorf("held files are %q", got)
	}
}

func TestMappings(t *testing.T) {
	proc := t.TempDir()
	write(t, filepath.Join(proc, "7", "maps"), "00-01 r--p 00000000 08:01 1 /srv/m/w.bin\n")
	write(t, filepath.Join(proc, "8", "maps"), "00-01 r--p 00000000 08:01 1 /usr/lib/libc.so\n")
	found, _, err := collect.Mappings(t.Context(), proc, "/srv/m")
	if err != nil || len(found) != 1 || found[0].PID != 7 || !strings.Contains(found[0].Maps, "w.bin") {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestSystem(t *testing.T) {
	proc := t.TempDir()
	write(t, filepath.Join(proc, "version"), "Linux 6\n")
	s, missing := collect.ReadSystem(proc, time.Unix(0, 0), "not synchronised")
	if s.Kernel != "Linux 6" || len(missing) != 3 {
		t.Errorf("%+v lacks %q", s, missing)
	}
}

func TestTemporary(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a dir", "payload"), "x")
	mounts := "1 0 0:1 / / rw - ext4 /dev/a rw\n" +
		"2 1 0:2 / " + strings.ReplaceAll(filepath.Join(dir, "a dir"), " ", `\040`) + " rw shared:1 - tmpfs tmpfs rw\n" +
		"3 1 0:3 / /sys/fs/cgroup rw - tmpfs tmpfs rw\nbroken\n"
	found, missing, err := collect.Temporary(t.Context(), mounts)
	if err != nil || len(missing) != 0 || len(found) != 2 || filepath.Base(found[1].Path) != "payload" {
		t.Errorf("%+v, %q, %v", found, missing, err)
	}
}

func TestMentions(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "serve.service"), "[Service]\nExecStart=serve /srv/m\nEnvironment=HF_TOKEN=hf_abcdefghijk\n")
	write(t, filepath.Join(dir, "other.service"), "[Service]\n")
	write(t, filepath.Join(dir, "syslog"), "one\ntwo /srv/m/w.bin opened token=abcdef\nthree\n")
	write(t, filepath.Join(dir, "old.gz"), "/srv/m")
	units, _, err := collect.Units(t.Context(), []string{dir, filepath.Join(dir, "none")}, "/srv/m")
	if err != nil || len(units) != 3 {
		t.Fatalf("%+v, %v", units, err)
	}
	if text := strings.Join(units[1].Lines, "\n"); strings.Contains(text, "hf_abc") || !strings.Contains(text, "/srv/m") {
		t.Errorf("unit is %s", text)
	}
	logs, missing, err := collect.Logs(t.Context(), []string{dir}, "/srv/m/w")
	if err != nil || len(logs) != 1 || len(logs[0].Lines) != 1 || strings.Contains(logs[0].Lines[0], "abcdef") || len(missing) != 1 {
		t.Errorf("%+v, %q, %v", logs, missing, err)
	}
}

func TestSystemPackages(t *testing.T) {
	root := t.TempDir()
	if _, _, err := collect.SystemPackages(root); err == nil {
		t.Error("no package manager is no error")
	}
	write(t, filepath.Join(root, "var/lib/dpkg/status"), "Package: a\nStatus: install ok installed\nVersion: 1.2-3\n\nPackage: b\nVersion: 4\n")
	found, _, err := collect.SystemPackages(root)
	if err != nil || len(found) != 2 || found[0] != (collect.Package{Name: "a", Version: "1.2-3", Status: "install ok installed"}) {
		t.Errorf("%+v, %v", found, err)
	}
}
