package watch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/watch"
)

// ears hears what a watcher tells.
type ears struct {
	mu     sync.Mutex
	events []watch.Event
	more   chan struct{}
}

func (e *ears) tell(ev watch.Event) {
	e.mu.Lock()
	e.events = append(e.events, ev)
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

func (e *ears) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = nil
}

// heard waits until something was said of the path, or of everything.
func (e *ears) heard(path string, within time.Duration) bool {
	end := time.After(within)
	for {
		e.mu.Lock()
		ok := slices.ContainsFunc(e.events, func(ev watch.Event) bool {
			return ev.Path == path || ev.Kind == watch.Lost || strings.HasPrefix(path, ev.Path+"/")
		})
		e.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-e.more:
		case <-end:
			return false
		}
	}
}

// ways are the implementations: all have to hear the same.
func ways() map[string]watch.Options {
	const soon = 30 * time.Millisecond
	return map[string]watch.Options{
		"kernel":  {Poll: soon},
		"polling": {Poll: soon, PollOnly: true},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

// start makes a model and listens to it.
func start(t *testing.T, o watch.Options) (tree string, e *ears, w *watch.Watcher) {
	t.Helper()
	tree = filepath.Join(t.TempDir(), "model")
	for _, name := range []string{"w.bin", "v.bin", "sub/deep/x.py", "sub/y.json"} {
		write(t, filepath.Join(tree, name), name)
	}
	must(t, os.Link(filepath.Join(tree, "w.bin"), filepath.Join(filepath.Dir(tree), "outside")))
	e = &ears{more: make(chan struct{}, 1)}
	w = watch.New([]watch.Root{{ID: "m", Tree: tree}}, o)
	listen(t, w, e)
	return tree, e, w
}

func listen(t *testing.T, w *watch.Watcher, e *ears) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, e.tell) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// Every way to change something below a root is heard, whoever listens.
func TestConformance(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, tree string)
		want []string
	}{
		{"write", func(t *testing.T, tree string) { write(t, filepath.Join(tree, "w.bin"), "evil!") }, []string{"w.bin"}},
		{"write_without_close", func(t *testing.T, tree string) {
			f, err := os.OpenFile(filepath.Join(tree, "v.bin"), os.O_WRONLY, 0)
			must(t, err)
			t.Cleanup(func() { f.Close() })
			_, err = f.WriteString("evil!")
			must(t, err)
		}, []string{"v.bin"}},
		{"deep", func(t *testing.T, tree string) { write(t, filepath.Join(tree, "sub/deep/x.py"), "evil") }, []string{"sub/deep/x.py"}},
		{"truncate", func(t *testing.T, tree string) { must(t, os.Truncate(filepath.Join(tree, "w.bin"), 1)) }, []string{"w.bin"}},
		{"mode", func(t *testing.T, tree string) { must(t, os.Chmod(filepath.Join(tree, "w.bin"), 0o666)) }, []string{"w.bin"}},
		{"new_file", func(t *testing.T, tree string) { write(t, filepath.Join(tree, "new"), "n") }, []string{"new"}},
		{"removed", func(t *testing.T, tree string) { must(t, os.Remove(filepath.Join(tree, "v.bin"))) }, []string{"v.bin"}},
		{"renamed", func(t *testing.T, tree string) {
			must(t, os.Rename(filepath.Join(tree, "v.bin"), filepath.Join(tree, "x.bin")))
		}, []string{"v.bin", "x.bin"}},
		{"moved_in_over_another", func(t *testing.T, tree string) {
			other := filepath.Join(filepath.Dir(tree), "other")
			write(t, other, "v.bin")
			must(t, os.Rename(other, filepath.Join(tree, "v.bin")))
		}, []string{"v.bin"}},
		{"symlink", func(t *testing.T, tree string) { must(t, os.Symlink("w.bin", filepath.Join(tree, "latest"))) }, []string{"latest"}},
		{"link_made", func(t *testing.T, tree string) {
			must(t, os.Link(filepath.Join(tree, "v.bin"), filepath.Join(filepath.Dir(tree), "another")))
		}, []string{"v.bin"}},
		{"written_through_a_link_outside", func(t *testing.T, tree string) {
			write(t, filepath.Join(filepath.Dir(tree), "outside"), "evil!")
		}, []string{"w.bin"}},
		{"new_directory_with_files", func(t *testing.T, tree string) { write(t, filepath.Join(tree, "a/b/c/d.py"), "x") }, []string{"a/b/c/d.py"}},
		{"directory_moved_in", func(t *testing.T, tree string) {
			other := filepath.Join(filepath.Dir(tree), "dir")
			write(t, filepath.Join(other, "e/f"), "x")
			must(t, os.Rename(other, filepath.Join(tree, "dir")))
		}, []string{"dir/e/f"}},
		{"directory_moved_out", func(t *testing.T, tree string) {
			must(t, os.Rename(filepath.Join(tree, "sub"), filepath.Join(filepath.Dir(tree), "gone")))
		}, []string{"sub/y.json"}},
		{"root_moved_away", func(t *testing.T, tree string) { must(t, os.Rename(tree, tree+".away")) }, []string{"w.bin"}},
		{"root_exchanged", func(t *testing.T, tree string) {
			write(t, filepath.Join(tree+".new", "w.bin"), "evil")
			must(t, os.Rename(tree, tree+".old"))
			must(t, os.Rename(tree+".new", tree))
		}, []string{"w.bin"}},
		{"root_removed", func(t *testing.T, tree string) { must(t, os.RemoveAll(tree)) }, []string{"w.bin"}},
	}
	for name, o := range ways() {
		for _, tt := range tests {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				tree, e, _ := start(t, o)
				tt.do(t, tree)
				for _, path := range tt.want {
					if !e.heard(path, 10*time.Second) {
						t.Errorf("nothing was said of %s: %v", path, e.events)
					}
				}
			})
		}
	}
}

// What came is watched as what was there, also in directories that came, and
// in the root that took another's place.
func TestWhatCameIsWatched(t *testing.T) {
	for name, o := range ways() {
		for _, path := range []string{"new", "a/b/c/d.py", "moved/in", "sub/y.json"} {
			t.Run(name+"/"+filepath.Base(path), func(t *testing.T) {
				t.Parallel()
				tree, e, _ := start(t, o)
				if path == "sub/y.json" { // through another directory in the root's place
					must(t, os.Rename(tree, tree+".old"))
				}
				write(t, filepath.Join(tree+".new", path), "x")
				if path == "sub/y.json" {
					must(t, os.Rename(tree+".new", tree))
				} else {
					must(t, os.Rename(filepath.Join(tree+".new", strings.Split(path, "/")[0]), filepath.Join(tree, strings.Split(path, "/")[0])))
				}
				if !e.heard(path, 10*time.Second) {
					t.Fatal("its coming was not heard")
				}
				time.Sleep(100 * time.Millisecond) // what else belongs to its coming
				e.forget()
				write(t, filepath.Join(tree, path), "evil!")
				if !e.heard(path, 10*time.Second) {
					t.Error("a later write was not heard")
				}
			})
		}
	}
}

// What does not change a model is not told.
func TestSilence(t *testing.T) {
	for name, o := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree, e, _ := start(t, o)
			for n := range 200 {
				_, err := os.ReadFile(filepath.Join(tree, "w.bin"))
				must(t, err)
				write(t, filepath.Join(filepath.Dir(tree), fmt.Sprintf("log.%d", n%5)), "a line")
				write(t, filepath.Join(filepath.Dir(tree), "model.log"), "a line")
			}
			time.Sleep(200 * time.Millisecond)
			if len(e.events) > 0 {
				t.Errorf("told: %v", e.events)
			}
		})
	}
}

// A root may come later, be a file, or a link to either.
func TestRoots(t *testing.T) {
	for name, o := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "store/one.gguf"), "w")
			write(t, filepath.Join(dir, "store/two.gguf"), "v")
			must(t, os.Symlink("store/one.gguf", filepath.Join(dir, "latest")))
			roots := []watch.Root{
				{ID: "file", Tree: filepath.Join(dir, "store/one.gguf")},
				{ID: "link", Tree: filepath.Join(dir, "latest")},
				{ID: "later", Tree: filepath.Join(dir, "later")},
			}
			e := &ears{more: make(chan struct{}, 1)}
			w := watch.New(roots, o)
			listen(t, w, e)
			for _, step := range []struct {
				do   func()
				root []string
			}{
				{func() { write(t, filepath.Join(dir, "store/one.gguf"), "evil") }, []string{"file", "link"}},
				{func() {
					must(t, os.Symlink("store/two.gguf", filepath.Join(dir, "t")))
					must(t, os.Rename(filepath.Join(dir, "t"), filepath.Join(dir, "latest")))
				}, []string{"link"}},
				{func() { write(t, filepath.Join(dir, "later/x"), "x") }, []string{"later"}},
				{func() { write(t, filepath.Join(dir, "store/two.gguf"), "evil") }, []string{"link"}},
			} {
				e.forget()
				step.do()
				for _, id := range step.root {
					if !e.heardOf(id, 12*time.Second) {
						t.Errorf("nothing was said of %s: %v", id, e.events)
					}
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
}

func (e *ears) heardOf(root string, within time.Duration) bool {
	end := time.After(within)
	for {
		e.mu.Lock()
		ok := slices.ContainsFunc(e.events, func(ev watch.Event) bool { return ev.Root == root })
		e.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-e.more:
		case <-end:
			return false
		}
	}
}

func TestCoverage(t *testing.T) {
	for name, o := range ways() {
		_, _, w := start(t, o)
		c := w.Coverage()[0]
		if c.Root != "m" || c.Degraded || c.Paths < 4 || name == "polling" && (c.Mode != watch.Polling || c.Reason == "") {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
