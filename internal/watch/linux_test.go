//go:build linux

package watch_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/watch"
)

// Whatever was lost is said to be lost, and what is there then is watched.
func TestOverflow(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	if limit > 100_000 {
		t.Skipf("the queue holds %d events", limit)
	}
	tree := filepath.Join(t.TempDir(), "model")
	write(t, filepath.Join(tree, "w.bin"), "w")
	e := &ears{more: make(chan struct{}, 1)}
	w := watch.New([]watch.Root{{ID: "m", Tree: tree}}, watch.Options{})
	for n := range limit { // nobody listens yet
		must(t, os.Chmod(filepath.Join(tree, "w.bin"), os.FileMode(0o600+n%2)))
	}
	write(t, filepath.Join(tree, "unseen/dir/x.py"), "x")
	listen(t, w, e)
	if !e.heard("whatever", 10*time.Second) {
		t.Fatal("nothing was said of the overflow")
	}
	time.Sleep(100 * time.Millisecond)
	e.forget()
	write(t, filepath.Join(tree, "unseen/dir/x.py"), "evil")
	if !e.heard("unseen/dir/x.py", 10*time.Second) {
		t.Error("what came during the overflow is not watched")
	}
}

// Where the kernel lets no more be watched, the rest is polled, and that is
// said.
func TestNoMoreWatches(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one/w", "two/a", "two/b", "two/c", "two/d"} {
		write(t, filepath.Join(dir, name), name)
	}
	e := &ears{more: make(chan struct{}, 1)}
	w := watch.NewLimited([]watch.Root{{ID: "one", Tree: filepath.Join(dir, "one")}, {ID: "two", Tree: filepath.Join(dir, "two")}},
		watch.Options{Poll: 30 * time.Millisecond}, 6)
	c := w.Coverage()
	if c[0].Mode != watch.Inotify || c[1].Mode != watch.Polling || !c[1].Degraded || !strings.Contains(c[1].Reason, "max_user_watches") || len(w.Polled()) != 1 {
		t.Fatalf("coverage: %+v", c)
	}
	listen(t, w, e)
	write(t, filepath.Join(dir, "two/c"), "evil!")
	if !e.heardOf("two", 10*time.Second) {
		t.Error("nothing was said of what is polled")
	}
	for _, name := range []string{"e", "f", "g", "h"} { // more than there is room for
		write(t, filepath.Join(dir, "one", name), name)
	}
	time.Sleep(200 * time.Millisecond)
	if c := w.Coverage()[0]; !c.Degraded {
		t.Errorf("coverage: %+v", c)
	}
	e.forget()
	write(t, filepath.Join(dir, "one/h"), "evil!")
	if !e.heardOf("one", 10*time.Second) {
		t.Error("nothing was said of what is polled by now")
	}
}

// A file system that is mounted over a model, or taken away from it, is noticed.
func TestMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	tree, e, _ := start(t, watch.Options{Poll: 30 * time.Millisecond})
	if err := unix.Mount("none", tree, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount: %v", err)
	}
	mounted := true
	t.Cleanup(func() {
		if mounted {
			_ = unix.Unmount(tree, unix.MNT_DETACH)
		}
	})
	if !e.heard("w.bin", 10*time.Second) {
		t.Fatal("nothing was said of the mount")
	}
	time.Sleep(100 * time.Millisecond)
	e.forget()
	write(t, filepath.Join(tree, "x"), "x")
	if !e.heard("x", 10*time.Second) {
		t.Error("what is in it is not watched")
	}
	time.Sleep(100 * time.Millisecond)
	e.forget()
	must(t, unix.Unmount(tree, 0))
	mounted = false
	if !e.heard("w.bin", 10*time.Second) {
		t.Error("nothing was said of the unmount")
	}
}

// Who wrote is known by program, user and number, where the kernel tells.
func TestWho(t *testing.T) {
	tree, e, w := start(t, watch.Options{Who: true})
	if !w.Coverage()[0].Who {
		t.Skip("the kernel does not tell this process who writes")
	}
	must(t, os.MkdirAll(filepath.Join(tree, "new"), 0o755))
	for _, path := range []string{"w.bin", "sub/deep/x.py", "new/z.py"} {
		e.forget()
		cmd := exec.Command("/bin/sh", "-c", `echo evil > "$0"; sleep 0.3`, filepath.Join(tree, path))
		must(t, cmd.Start())
		if !e.heard(path, 10*time.Second) {
			t.Errorf("%s: not heard", path)
		}
		var p watch.Process
		for end := time.Now().Add(5 * time.Second); p.PID == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			p, _ = w.Who("m", path)
		}
		if p.PID != cmd.Process.Pid || !strings.HasPrefix(filepath.Base(p.Executable), "dash") && !strings.Contains(p.Executable, "sh") || p.UID != os.Getuid() {
			t.Errorf("%s: written by %+v, want %d", path, p, cmd.Process.Pid)
		}
		must(t, cmd.Wait())
	}
	if p, ok := w.Who("m", "v.bin"); ok {
		t.Errorf("somebody wrote what nobody wrote: %+v", p)
	}
}

// What is taken out of a buffer was in it.
func FuzzParse(f *testing.F) {
	one := binary.NativeEndian.AppendUint32(nil, 1)
	one = binary.NativeEndian.AppendUint32(one, unix.IN_CREATE)
	one = binary.NativeEndian.AppendUint32(one, 0)
	one = binary.NativeEndian.AppendUint32(one, 8)
	one = append(one, "name\x00\x00\x00\x00"...)
	f.Add(one)
	f.Add(append(bytes.Clone(one), one...))
	deed := binary.NativeEndian.AppendUint32(nil, 24+4+8+8+8+5)
	deed = append(deed, unix.FANOTIFY_METADATA_VERSION, 0, 24, 0)
	deed = append(deed, make([]byte, 16)...)
	deed = append(deed, unix.FAN_EVENT_INFO_TYPE_DFID_NAME, 0, 4+8+8+8+5, 0)
	deed = append(deed, make([]byte, 8)...)
	deed = append(deed, 8, 0, 0, 0, 1, 0, 0, 0)
	deed = append(deed, make([]byte, 8)...)
	deed = append(deed, "name\x00"...)
	f.Add(deed)
	f.Fuzz(func(t *testing.T, buf []byte) {
		if n, size := watch.ParseNotes(buf); n*unix.SizeofInotifyEvent+size > len(buf) {
			t.Errorf("%d notes with %d bytes of names in %d bytes", n, size, len(buf))
		}
		if n, size := watch.ParseDeeds(buf); n*24+size > len(buf) {
			t.Errorf("%d deeds with %d bytes of names in %d bytes", n, size, len(buf))
		}
	})
}
