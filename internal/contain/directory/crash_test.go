package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
)

// crashRuns is how often each way through each plan is cut off.
const crashRuns = 8

// TestMain is the child of [TestCrash] when it is told to be: it executes the
// steps on its standard input until it is killed.
func TestMain(m *testing.M) {
	if mode := os.Getenv("WEIGHTWARDEN_CRASH_CHILD"); mode != "" {
		os.Exit(crashChild(drivers()[mode]))
	}
	os.Exit(m.Run())
}

func crashChild(d *Driver) int {
	var steps []action.Step
	if err := json.NewDecoder(os.Stdin).Decode(&steps); err != nil {
		fmt.Println(err)
		return 2
	}
	fmt.Println("ready")
	for _, s := range steps {
		if err := d.Execute(context.Background(), s); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

// large makes the copying take long enough to be hit.
func large(seed byte) map[string]string {
	files := map[string]string{"config.json": fmt.Sprint(seed)}
	for i := range 6 {
		files[fmt.Sprintf("shards/%d.bin", i)] = strings.Repeat(string([]byte{seed, byte(i)}), 1<<18)
	}
	return files
}

// TestCrash kills the program at random moments of isolation, rollback and
// the undoing of both. At every moment the serving path must hold what was
// there, the marker, or the whole new version; and executing again must come
// to the end.
func TestCrash(t *testing.T) {
	for mode, d := range drivers() {
		for _, what := range []string{"isolate", "rollback", "undo_isolate", "undo_rollback"} {
			t.Run(mode+"/"+what, func(t *testing.T) {
				t.Parallel()
				hit := 0
				for range crashRuns {
					if crashOnce(t, d, mode, what) {
						hit++
					}
				}
				t.Logf("%d of %d runs were killed before their end", hit, crashRuns)
			})
		}
	}
}

func crashOnce(t *testing.T, d *Driver, mode, what string) bool {
	t.Helper()
	s := newStore(t)
	old, fresh := large(1), large(2)
	_ = os.RemoveAll(s.dir + "/models/m")
	_ = os.RemoveAll(s.request.Source)
	write(t, s.request.Model.Path, old)
	write(t, s.request.Source, fresh)
	s.request.Files = nil
	for name, text := range fresh {
		s.request.Files = append(s.request.Files, artifact.File{Path: name, Size: int64(len(text)), Digest: artifact.SHA256Of([]byte(text))})
	}
	planner, end := d.Isolate, s.marker()
	if strings.HasSuffix(what, "rollback") {
		planner, end = d.Rollback, fresh
	}
	draft, err := planner(t.Context(), s.request)
	steps := plan(t, draft, err)
	if strings.HasPrefix(what, "undo") {
		run(t, d, steps...)
		steps, end = []action.Step{*steps[1].Inverse, *steps[0].Inverse}, old
	}
	allowed := []map[string]string{old, fresh, s.marker()}
	if mode == "renames" {
		allowed = append(allowed, nil)
	}

	within := 8 * time.Millisecond // about as long as the steps take
	if what == "rollback" {
		within = 60 * time.Millisecond
	}
	killed := runAndKill(t, mode, steps, rand.N(within), func() { servesOneOf(t, s.request.Model.Path, allowed) })
	servesOneOf(t, s.request.Model.Path, allowed)
	for _, step := range steps {
		o, err := d.Observe(t.Context(), step)
		if err != nil || o.Outcome == action.Diverged {
			t.Fatalf("after the crash, %s: %+v, %v", step.ID, o, err)
		}
		if err := d.Execute(t.Context(), step); err != nil {
			t.Fatalf("after the crash, execute %s: %v", step.ID, err)
		}
		observe(t, d, step, action.Done)
	}
	s.serves(t, end)
	for _, left := range []string{"*.partial", "*.aside"} {
		if found, _ := filepath.Glob(s.dir + "/models/.weightwarden/INC-1/" + left); len(found) > 0 {
			t.Errorf("left over: %v", found)
		}
	}
	return killed
}

// runAndKill executes steps in a child and kills it after some time, looking
// again and again meanwhile. It reports whether the child was killed.
func runAndKill(t *testing.T, mode string, steps []action.Step, after time.Duration, look func()) bool {
	t.Helper()
	input, err := json.Marshal(steps)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "WEIGHTWARDEN_CRASH_CHILD="+mode)
	child.Stdin = bytes.NewReader(input)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	kill := time.After(after)
	for alive := true; alive; {
		select {
		case <-kill:
			alive = false
		default:
			look()
		}
	}
	_ = child.Process.Kill()
	err = child.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return err != nil
}

// servesOneOf opens the serving path once, so that an exchange during the
// look does not mix two trees. A look that was overtaken by an exchange says
// nothing: undoing a rollback removes the copy that was open here.
func servesOneOf(t *testing.T, path string, allowed []map[string]string) {
	t.Helper()
	root, err := os.OpenRoot(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var got map[string]string
	if err == nil {
		defer root.Close()
		got = rootTree(root)
	}
	for _, want := range allowed {
		if cmp.Equal(want, got) {
			return
		}
	}
	if got != nil {
		opened, err := root.Stat(".")
		if err != nil {
			t.Fatal(err)
		}
		if now, err := os.Lstat(path); err != nil || !os.SameFile(opened, now) {
			return
		}
	}
	t.Errorf("the serving path holds %d files that are neither old, marker nor new", len(got))
}

func rootTree(root *os.Root) map[string]string {
	files := map[string]string{}
	_ = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root.FS(), path)
		files[path] = string(data)
		return err
	})
	return files
}
