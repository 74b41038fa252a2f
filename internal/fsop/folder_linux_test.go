package fsop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/fsop"
)

func openFolder(t *testing.T, dir string) *fsop.Folder {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	d, err := fsop.NewFolder(f)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// What a folder says of a name is what lstat says, of whatever kind it is.
func TestFolderLstat(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("file"), []byte("content"), 0o640))
	must(t, os.WriteFile(at("setuid"), nil, 0o700))
	must(t, os.Chmod(at("setuid"), 0o755|os.ModeSetuid|os.ModeSetgid|os.ModeSticky))
	must(t, os.Mkdir(at("dir"), 0o700))
	must(t, os.Symlink("/dev/null", at("link")))
	must(t, unix.Mkfifo(at("fifo"), 0o600))
	d := openFolder(t, dir)
	for _, name := range []string{"file", "setuid", "dir", "link", "fifo"} {
		want, err := os.Lstat(at(name))
		must(t, err)
		got, err := d.Lstat(name)
		must(t, err)
		if got.Name() != name || got.Mode() != want.Mode() || got.Size() != want.Size() || !got.ModTime().Equal(want.ModTime()) || got.IsDir() != want.IsDir() {
			t.Errorf("%s: %v %d %v, lstat says %v %d %v", name, got.Mode(), got.Size(), got.ModTime(), want.Mode(), want.Size(), want.ModTime())
		}
		if a, err := fsop.StampOf(got); err != nil {
			t.Error(err)
		} else if b, _ := fsop.StampOf(want); a != b {
			t.Errorf("%s: stamp %v, lstat says %v", name, a, b)
		}
	}
	if _, err := d.Lstat("absent"); !os.IsNotExist(err) {
		t.Errorf("absent: %v", err)
	}
}

// A file is read in one go only when that is all there is to it; everything
// else is for those who read with more care.
func TestFolderRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	largest := strings.Repeat("w", fsop.BriefMost)
	for name, content := range map[string]string{"plain": "content", "empty": "", "largest": largest, "too_large": largest + "w", "marked": "x", "busy": "b"} {
		must(t, os.WriteFile(at(name), []byte(content), 0o600))
	}
	must(t, os.Symlink("plain", at("link")))
	must(t, os.Mkdir(at("dir"), 0o700))
	must(t, unix.Mkfifo(at("fifo"), 0o600))
	extended := map[string][]byte(nil)
	if unix.Setxattr(at("marked"), "user.mark", []byte("1"), 0) == nil {
		extended = map[string][]byte{"user.mark": []byte("1")}
	}
	writer, err := os.OpenFile(at("busy"), os.O_RDWR, 0)
	must(t, err)
	defer writer.Close()
	d := openFolder(t, dir)
	for _, tt := range []struct {
		name, want string
		fails      bool
	}{
		{"plain", "content", false},
		{"empty", "", false},
		{"largest", largest, false},
		{"marked", "x", false},
		{"too_large", "", true},
		{"link", "", true},
		{"dir", "", true},
		{"fifo", "", true},
		{"absent", "", true},
		{"busy", "", true}, // under a lease
	} {
		for _, lease := range []bool{true, false} {
			for _, soon := range []bool{true, false} {
				b, err := d.Read(tt.name, lease, soon)
				fails := tt.fails && (tt.name != "busy" || lease && leased(t, at("plain")))
				if fails != (err != nil) {
					t.Errorf("%s, lease %t, soon %t: %v", tt.name, lease, soon, err)
				}
				if err != nil || tt.name == "busy" {
					continue
				}
				if string(b.Data) != tt.want || b.Info.Size() != int64(len(tt.want)) || b.Info.Name() != tt.name {
					t.Errorf("%s: %d bytes, %v", tt.name, len(b.Data), b.Info)
				}
				want := map[string][]byte(nil)
				if tt.name == "marked" {
					want = extended
				}
				if diff := cmp.Diff(want, b.Extended); diff != "" {
					t.Errorf("%s: extended attributes (-want +got):\n%s", tt.name, diff)
				}
			}
		}
	}
}

// leased reports whether leases prove anything here.
func leased(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	return fsop.Lease(f) == nil
}
