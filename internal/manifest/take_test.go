package manifest_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// Rows compare what an entry is, not when it was made.
var untimed = cmpopts.IgnoreFields(artifact.File{}, "ModTime", "Mode", "Attributes")

var sameDigest = cmp.Comparer(func(a, b artifact.Digest) bool { return a == b })

func file(path, content string) artifact.File {
	return artifact.File{Path: path, Kind: artifact.Regular, Size: int64(len(content)), Digest: artifact.SHA256Of([]byte(content))}
}

func link(path, target string) artifact.File {
	return artifact.File{Path: path, Kind: artifact.Symlink, Target: target}
}

func kind(path string, k artifact.Kind) artifact.File {
	return artifact.File{Path: path, Kind: k}
}

// tree is a directory under construction. Every step fails the test.
type tree struct {
	t   *testing.T
	dir string
}

func (tr tree) path(name string) string { return tr.dir + "/" + name }

func (tr tree) must(err error) {
	tr.t.Helper()
	if err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) write(name, content string) {
	tr.t.Helper()
	tr.mkdir(filepath.Dir(name))
	tr.must(os.WriteFile(tr.path(name), []byte(content), 0o600))
}

func (tr tree) mkdir(name string) { tr.t.Helper(); tr.must(os.MkdirAll(tr.path(name), 0o700)) }

func (tr tree) link(target, name string) { tr.t.Helper(); tr.must(os.Symlink(target, tr.path(name))) }

func TestTake(t *testing.T) {
	deep := strings.Repeat("d/", 300) + "w"
	tests := []struct {
		name     string
		build    func(tree)
		files    []artifact.File
		problems []string // path kind
	}{
		{"empty_root", func(tree) {}, nil, nil},
		{"sorted_by_bytes_not_by_element", func(tr tree) {
			tr.write("a/b", "1")
			tr.write("a-b", "2")
			tr.write("a.txt", "")
		}, []artifact.File{file("a-b", "2"), file("a.txt", ""), file("a/b", "1")}, nil},
		{"nothing_is_excluded_by_name", func(tr tree) {
			tr.write(".signatures", "1")
			tr.write("x.signatures/payload", "2")
			tr.write(".git/config", "3")
		}, []artifact.File{file(".git/config", "3"), file(".signatures", "1"), file("x.signatures/payload", "2")}, nil},
		{"only_empty_directories_are_entries", func(tr tree) {
			tr.mkdir("full/empty")
			tr.write("full/w", "1")
		}, []artifact.File{kind("full/empty", artifact.Directory), file("full/w", "1")}, nil},
		{"links_inside", func(tr tree) {
			tr.write("blobs/1", "w")
			tr.mkdir("snap")
			tr.link("../blobs/1", "snap/w")
			tr.link("../blobs", "snap/dir") // and nothing below it
		}, []artifact.File{file("blobs/1", "w"), link("snap/dir", "../blobs"), link("snap/w", "../blobs/1")}, nil},
		{"links_that_escape", func(tr tree) {
			tr.write("in", "w")
			tr.link("/etc/passwd", "absolute")
			tr.link("nothing", "dangling")
			tr.link("loop", "loop")
			tr.link("in/x", "through_a_file")
			tr.link("../"+filepath.Base(tr.dir)+"/in", "up_and_back")
			tr.link("..", "up")
		}, []artifact.File{
			link("absolute", "/etc/passwd"), link("dangling", "nothing"), file("in", "w"), link("loop", "loop"),
			link("through_a_file", "in/x"), link("up", ".."), link("up_and_back", "../model/in"),
		}, []string{
			"absolute link_escapes", "dangling link_escapes", "loop link_escapes",
			"through_a_file link_escapes", "up link_escapes", "up_and_back link_escapes",
		}},
		{
			"link_target_is_not_utf8", func(tr tree) { tr.link("\xff", "l") },
			[]artifact.File{link("l", `"\xff"`)},
			[]string{`"l" name`, "l link_escapes"},
		},
		{"fifo_and_socket", func(tr tree) {
			tr.must(syscall.Mkfifo(tr.path("fifo"), 0o600))
			tr.must(syscall.Mknod(tr.path("sock"), syscall.S_IFSOCK|0o600, 0))
		}, []artifact.File{kind("fifo", artifact.FIFO), kind("sock", artifact.Socket)}, []string{"fifo special", "sock special"}},
		{
			"hostile_names", func(tr tree) {
				tr.write("new\nline", "1")
				tr.write(`"quoted"`, "2")
				tr.write("\xff", "3")
				tr.write("\xfe/below", "4")
				tr.write(`"\xff"`, "5") // reads like the quoted form
				tr.write("\x1b[2J", "6")
			},
			[]artifact.File{file("\x1b[2J", "6"), file(`"\xff"`, "5"), file(`"quoted"`, "2"), file("new\nline", "1")},
			[]string{`"\xfe" name`, `"\xff" name`},
		},
		{"deep", func(tr tree) { tr.write(deep, "w") }, []artifact.File{file(deep, "w")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := tree{t, t.TempDir() + "/model"}
			tr.mkdir(".")
			tt.build(tr)
			m, err := manifest.Take(t.Context(), tr.dir, manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.files, m.Files, untimed, sameDigest, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.problems, kinds(m.Problems), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if _, err := m.Encode(); err != nil {
				t.Errorf("what was taken cannot be encoded: %v", err)
			}
		})
	}
}

func kinds(problems []manifest.Problem) []string {
	var s []string
	for _, p := range problems {
		s = append(s, p.Path+" "+string(p.Kind))
	}
	return s
}

func TestTakePathTooLong(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	element := strings.Repeat("n", 250)
	at := root
	for range 17 { // 17 * 251 > 4096: only relative calls can make this
		if err := at.Mkdir(element, 0o700); err != nil {
			t.Fatal(err)
		}
		if at, err = at.OpenRoot(element); err != nil {
			t.Fatal(err)
		}
		defer at.Close()
	}
	m, err := manifest.TakeRoot(t.Context(), root, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{strconv.Quote(strings.TrimSuffix(strings.Repeat(element+"/", 17), "/")) + " name"}
	if diff := cmp.Diff(want, kinds(m.Problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestTakeRootPath(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.write("model/w", "weights")
	tr.link("model", "to_dir")
	tr.link("model/w", "to_file")
	tr.link("nothing", "to_nothing")
	tr.must(syscall.Mkfifo(tr.path("fifo"), 0o600))
	tests := []struct {
		path string
		want []artifact.File
		kind fault.Kind
	}{
		{"model", []artifact.File{file("w", "weights")}, 0},
		{"model/", []artifact.File{file("w", "weights")}, 0},
		{"to_dir", []artifact.File{file("w", "weights")}, 0},
		{"model/w", []artifact.File{file("w", "weights")}, 0},
		{"to_file", []artifact.File{file("to_file", "weights")}, 0},
		{"absent", nil, fault.NotFound},
		{"to_nothing", nil, fault.NotFound},
		{"model/w/x", nil, fault.Incomplete},
		{"fifo", nil, fault.Incomplete},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.path, "/", "_"), func(t *testing.T) {
			m, err := manifest.Take(t.Context(), tr.path(tt.path), manifest.Options{})
			if fault.KindOf(err) != tt.kind {
				t.Fatalf("error %v has kind %v, want %v", err, fault.KindOf(err), tt.kind)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(tt.want, m.Files, untimed, sameDigest); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTakeUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything; run as another user to test permissions")
	}
	tr := tree{t, t.TempDir()}
	tr.write("secret", "w")
	tr.write("closed/w", "w")
	before, err := manifest.Take(t.Context(), tr.dir, manifest.Options{})
	tr.must(err)
	tr.must(os.Chmod(tr.path("secret"), 0))
	tr.must(os.Chmod(tr.path("closed"), 0))
	defer os.Chmod(tr.path("closed"), 0o700)
	m, err := manifest.Take(t.Context(), tr.dir, manifest.Options{})
	tr.must(err)
	if diff := cmp.Diff([]string{"closed walk", "secret unreadable"}, kinds(m.Problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	want := []artifact.File{{Path: "secret", Kind: artifact.Regular, Size: 1}}
	if diff := cmp.Diff(want, m.Files, untimed, sameDigest); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if changes := manifest.Compare(before, m); len(changes) != 0 {
		t.Errorf("what could not be read counts as changed: %v", changes)
	}
	tr.must(os.Chmod(tr.dir, 0))
	defer os.Chmod(tr.dir, 0o700)
	if _, err := manifest.Take(t.Context(), tr.dir, manifest.Options{}); fault.KindOf(err) != fault.Incomplete {
		t.Errorf("closed root: %v", err)
	}
}

// While a big file is read, its progress calls are a place to change it: the
// worker waits for them.
func TestTakeWhileItChanges(t *testing.T) {
	const size = 1 << 20
	content := strings.Repeat("w", size)
	tests := []struct {
		name   string
		change func(tree)
		times  int // 0: at every call
		kind   artifact.Kind
		want   manifest.ProblemKind
	}{
		{"truncated", func(tr tree) { tr.must(os.Truncate(tr.path("w"), 10)) }, 1, artifact.Regular, ""},
		{"keeps_shrinking", func(tr tree) {
			info, err := os.Stat(tr.path("w"))
			tr.must(err)
			tr.must(os.Truncate(tr.path("w"), info.Size()-1))
		}, 0, artifact.Regular, manifest.Unstable},
		{"keeps_growing", func(tr tree) {
			f, err := os.OpenFile(tr.path("w"), os.O_APPEND|os.O_WRONLY, 0)
			tr.must(err)
			_, err = f.WriteString("more")
			tr.must(errors.Join(err, f.Close()))
		}, 0, artifact.Regular, manifest.Unstable},
		{"replaced_again_and_again", func(tr tree) {
			tr.write("new", content)
			tr.must(os.Rename(tr.path("new"), tr.path("w")))
		}, 0, artifact.Regular, manifest.Unstable},
		{"replaced_by_fifo", func(tr tree) {
			tr.must(os.RemoveAll(tr.path("w")))
			tr.must(syscall.Mkfifo(tr.path("w"), 0o600))
		}, 1, artifact.FIFO, manifest.Unstable},
		{"replaced_by_link_inside", func(tr tree) {
			tr.must(os.RemoveAll(tr.path("w")))
			tr.link("other", "w")
		}, 1, artifact.Symlink, manifest.Unstable},
		{"replaced_by_link_outside", func(tr tree) {
			tr.must(os.RemoveAll(tr.path("w")))
			tr.link("/dev/zero", "w")
		}, 1, artifact.Symlink, manifest.Unstable},
		{"replaced_by_directory", func(tr tree) {
			tr.must(os.RemoveAll(tr.path("w")))
			tr.mkdir("w")
		}, 1, artifact.Directory, manifest.Unstable},
		{"removed", func(tr tree) { tr.must(os.RemoveAll(tr.path("w"))) }, 1, artifact.Regular, manifest.Unstable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := tree{t, t.TempDir()}
			tr.write("other", content[:size/8]) // read behind w, as the smaller one
			tr.write("w", content)
			var clock time.Time
			done := 0
			m, err := manifest.Take(t.Context(), tr.dir, manifest.Options{
				Workers: 1,
				Now:     func() time.Time { clock = clock.Add(time.Second); return clock },
				Progress: func(p manifest.Progress) {
					if done++; tt.times > 0 && done > tt.times || p.Files > 0 {
						return
					}
					tt.change(tr)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := m.Files[len(m.Files)-1]
			if got.Path != "w" || got.Kind != tt.kind {
				t.Errorf("entry is %s %s, want %s", got.Kind, got.Path, tt.kind)
			}
			if tt.want == "" {
				if len(m.Problems) != 0 || got.Digest != artifact.SHA256Of([]byte(content[:10])) {
					t.Errorf("settled file has %v and problems %v", got, m.Problems)
				}
				return
			}
			if diff := cmp.Diff([]string{"w " + string(tt.want)}, kinds(m.Problems)); diff != "" || !got.Digest.IsZero() {
				t.Errorf("digest %v, problems (-want +got):\n%s", got.Digest, diff)
			}
			if _, err := m.Encode(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTakeCancelled(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(dir + "/w")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 40); err != nil { // sparse; minutes to read
		t.Skipf("no sparse files here: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var at manifest.Progress
	_, err = manifest.Take(ctx, dir, manifest.Options{Progress: func(p manifest.Progress) { at = p; cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	if at.Bytes > 64<<20 || at.TotalBytes != 1<<40 {
		t.Errorf("stopped at %+v", at)
	}
}

func TestProgress(t *testing.T) {
	tr := tree{t, t.TempDir()}
	for i := range 50 {
		tr.write(strconv.Itoa(i), strings.Repeat("w", 1000))
	}
	var calls []manifest.Progress
	_, err := manifest.Take(t.Context(), tr.dir, manifest.Options{
		Progress: func(p manifest.Progress) { calls = append(calls, p) },
		Now:      func() time.Time { return time.Unix(1, 0) }, // stands still
	})
	tr.must(err)
	if len(calls) != 2 {
		t.Errorf("%d calls, want the first and the last", len(calls))
	}
	want := manifest.Progress{Files: 50, Bytes: 50_000, TotalBytes: 50_000}
	if diff := cmp.Diff(want, calls[len(calls)-1]); diff != "" {
		t.Errorf("last call (-want +got):\n%s", diff)
	}
}

func TestHashFile(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.write("dir/w", "weights")
	tr.link("dir/w", "l")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", tr.path("s"))
	tr.must(err)
	defer l.Close()
	root, err := os.OpenRoot(tr.dir)
	tr.must(err)
	defer root.Close()
	tests := []struct {
		path string
		want artifact.File
		kind fault.Kind
	}{
		{"dir/w", file("dir/w", "weights"), 0},
		{"l", kind("l", artifact.Symlink), fault.Incomplete},
		{"s", kind("s", artifact.Socket), fault.Incomplete},
		{"dir", kind("dir", artifact.Directory), fault.Incomplete},
		{"absent", artifact.File{}, fault.NotFound},
		{"../x", artifact.File{}, fault.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			got, err := manifest.HashFile(t.Context(), root, tt.path)
			if fault.KindOf(err) != tt.kind {
				t.Errorf("error %v has kind %v, want %v", err, fault.KindOf(err), tt.kind)
			}
			if diff := cmp.Diff(tt.want, got, untimed, sameDigest); diff != "" {
				t.Errorf("entry (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTakeRecordsModeAndTime(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.write("w", "w")
	tr.must(os.Chmod(tr.path("w"), 0o640))
	when := time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)
	tr.must(os.Chtimes(tr.path("w"), when, when))
	m, err := manifest.Take(t.Context(), tr.dir, manifest.Options{})
	tr.must(err)
	if f := m.Files[0]; f.Mode != fs.FileMode(0o640) || f.ModTime != when {
		t.Errorf("mode %v, time %v", f.Mode, f.ModTime)
	}
}
