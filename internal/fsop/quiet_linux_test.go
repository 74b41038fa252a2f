package fsop_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/fsop"
)

const quietSize = 8 << 20

// cold makes a file of which nothing is in the page cache, or skips.
func cold(t *testing.T, dir, name string) *os.File {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, bytes.Repeat([]byte(name+"content"), quietSize)[:quietSize+100], 0o600))
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	must(t, f.Sync())
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	if n := inCache(t, f); n > 0 {
		t.Skipf("the file system of %s keeps %d pages whatever it is told", dir, n)
	}
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func inCache(t *testing.T, f *os.File) int {
	t.Helper()
	pages, err := fsop.Residency(f, 0, quietSize)
	must(t, err)
	return pages.Count()
}

// half brings the first half of f into the page cache and returns how many
// pages that are. No more come on their own.
func half(t *testing.T, f *os.File) int {
	t.Helper()
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	_, err := io.Copy(io.Discard, io.NewSectionReader(f, 0, quietSize/2))
	must(t, err)
	return inCache(t, f)
}

// Reading a file by every way there is leaves its pages, and those of other
// files, as they were.
func TestQuietLeavesThePageCacheAlone(t *testing.T) {
	dir := t.TempDir()
	ways := []struct {
		name string
		hide bool // RWF_DONTCACHE
		open bool // O_DIRECT
	}{
		{"best", false, true},
		{"direct", true, true},
		{"drop_what_was_absent", true, false},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			other, half1, mapped, none := cold(t, dir, "other"), cold(t, dir, "half"), cold(t, dir, "mapped"), cold(t, dir, "none")
			data, err := syscall.Mmap(int(mapped.Fd()), 0, quietSize, syscall.PROT_READ, syscall.MAP_SHARED|syscall.MAP_POPULATE)
			must(t, err)
			defer syscall.Munmap(data)
			wantOther, wantHalf, wantMapped := half(t, other), half(t, half1), inCache(t, mapped)
			for _, f := range []*os.File{half1, mapped, none} {
				read(t, f, way.hide, way.open)
			}
			for _, tt := range []struct {
				name string
				f    *os.File
				want int
			}{
				{"another file", other, wantOther},
				{"half of it", half1, wantHalf},
				{"a mapped file", mapped, wantMapped},
				{"a cold file", none, 0},
			} {
				// The kernel may take back a few at any time, for reasons of its own.
				if got := inCache(t, tt.f); max(got-tt.want, tt.want-got) > 16 {
					t.Errorf("%s: %d pages in the page cache, there were %d", tt.name, got, tt.want)
				}
			}
		})
	}
}

// read reads f in the given way and compares it with what is there.
func read(t *testing.T, f *os.File, hide, direct bool) {
	t.Helper()
	reopen := func(flags int) (*os.File, error) { return os.OpenFile(f.Name(), os.O_RDONLY|flags, 0) }
	if !direct {
		reopen = nil
	}
	f, err := os.Open(f.Name()) // its own read-ahead
	must(t, err)
	defer f.Close()
	q := fsop.NewQuiet(f, reopen)
	defer q.Close()
	if hide {
		q.WithoutUncached()
	}
	want := bytes.Repeat([]byte(filepath.Base(f.Name())+"content"), quietSize)[:quietSize+100]
	buf := fsop.AlignedBuffer(1 << 20)
	for off := int64(0); ; off += int64(len(buf)) {
		n, err := q.ReadAt(buf, off)
		if !bytes.Equal(buf[:n], want[off:][:n]) {
			t.Fatalf("%s: other bytes at %d", f.Name(), off)
		}
		if errors.Is(err, io.EOF) {
			if off+int64(n) != int64(len(want)) {
				t.Errorf("%s: ends at %d", f.Name(), off+int64(n))
			}
			return
		}
		must(t, err)
	}
}

func TestLease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("x"), 0o600))
	open := func(flags int) *os.File {
		f, err := os.OpenFile(path, flags, 0)
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	r := open(os.O_RDONLY)
	if err := fsop.Lease(r); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil || !fsop.Leased(r) {
		t.Fatalf("quiet file: %v, leased %t", err, fsop.Leased(r))
	}
	if _, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NONBLOCK, 0); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a writer that does not wait: %v", err)
	}
	if fsop.Leased(r) {
		t.Error("a writer came, and the lease still counts")
	}
	must(t, fsop.Unlease(r))
	w := open(os.O_WRONLY)
	if err := fsop.Lease(r); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("open for writing: %v", err)
	}
	must(t, w.Close())
	if err := fsop.Lease(r); err != nil {
		t.Errorf("quiet again: %v", err)
	}
}

func TestMeasureVerityWithout(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	defer f.Close()
	if _, err := fsop.MeasureVerity(f); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a file without fs-verity: %v", err)
	}
}

func TestRotational(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, nil, 0o600))
	info, err := os.Stat(file)
	must(t, err)
	id, err := fsop.IdentityOf(info)
	must(t, err)
	number := strings.Join([]string{itoa(unix.Major(id.Dev)), itoa(unix.Minor(id.Dev))}, ":")
	tests := []struct {
		name, at, flag string
		want           bool
	}{
		{"disk", "devices/sda", "1\n", true},
		{"flash", "devices/sda", "0\n", false},
		{"partition_of_a_disk", "devices/sda/sda1", "1\n", true},
		{"virtual_disk_that_claims_to_rotate", "devices/vda", "1\n", false},
		{"unknown", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sys := t.TempDir()
			must(t, os.MkdirAll(filepath.Join(sys, "dev/block"), 0o700))
			if tt.at != "" {
				must(t, os.MkdirAll(filepath.Join(sys, tt.at), 0o700))
				disk := filepath.Join(sys, strings.TrimSuffix(tt.at, "/sda1"), "queue")
				must(t, os.MkdirAll(disk, 0o700))
				must(t, os.WriteFile(filepath.Join(disk, "rotational"), []byte(tt.flag), 0o600))
				must(t, os.Symlink("../../"+tt.at, filepath.Join(sys, "dev/block", number)))
			}
			if got := fsop.Rotational(sys, info); got != tt.want {
				t.Errorf("rotational: %t", got)
			}
		})
	}
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func TestView(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	content := bytes.Repeat([]byte("w"), 3<<20)
	must(t, os.WriteFile(path, content, 0o600))
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	key, err := aes.NewCipher(make([]byte, 32))
	must(t, err)
	mac, err := cipher.NewGCM(key)
	must(t, err)
	tag := func(data []byte) []byte { return mac.Seal(nil, make([]byte, 12), nil, data) }

	var got []byte
	done, err := fsop.View(f, 1<<20, 1<<20+5, func(data []byte) { got = tag(data) })
	if err != nil || !done || !bytes.Equal(got, tag(content[1<<20:][:1<<20+5])) {
		t.Errorf("done %t, error %v", done, err)
	}
	done, err = fsop.View(f, 0, 3<<20, func(data []byte) {
		must(t, os.Truncate(path, 5)) // in the middle of it
		got = tag(data)
	})
	if err == nil || done {
		t.Errorf("cut off while it was looked at: done %t, error %v", done, err)
	}
	defer func() {
		if recover() != "mine" {
			t.Error("a panic of the caller was swallowed")
		}
	}()
	_, _ = fsop.View(f, 0, 5, func([]byte) { panic("mine") })
}
