package watch_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/watch"
)

// gatekeeper judges by the name of the file.
type gatekeeper struct {
	mu      sync.Mutex
	refused []string
	by      []watch.Process
}

func (k *gatekeeper) judge(ctx context.Context, o watch.Opening) (watch.Answer, string) {
	switch {
	case strings.Contains(o.Path, "evil"):
		return watch.Refuse, "it is evil"
	case strings.Contains(o.Path, "slow"):
		<-ctx.Done()
		return watch.Doubt, "slow"
	case strings.Contains(o.Path, "hangs"):
		time.Sleep(2 * time.Second)
		return watch.Refuse, "too late"
	}
	return watch.Allow, ""
}

func (k *gatekeeper) told(o watch.Opening, _ watch.Answer, _ string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused, k.by = append(k.refused, o.Root+" "+o.Path), append(k.by, o.Process)
}

// openGate puts a gate in front of a model.
func openGate(t *testing.T, onDoubt watch.Answer) (tree string, k *gatekeeper, stop func()) {
	t.Helper()
	dir := t.TempDir()
	tree = filepath.Join(dir, "model")
	for _, name := range []string{"good", "evil", "slow", "hangs", "sub/evil", "sub/good"} {
		write(t, filepath.Join(tree, name), name)
	}
	write(t, filepath.Join(dir, "evil-but-outside"), "x")
	k = &gatekeeper{}
	g, err := watch.NewGate([]watch.Root{{ID: "m", Tree: tree}}, watch.GateOptions{
		Judge: k.judge, OnDoubt: onDoubt, Within: 200 * time.Millisecond, Refused: k.told,
	})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	return tree, k, stop
}

// reads reports whether another process can read the file, and how long it took.
func reads(path string) (bool, time.Duration) {
	began := time.Now()
	err := exec.Command("cat", path).Run()
	return err == nil, time.Since(began)
}

// Who opens what does not match is refused and named; nobody waits longer than
// was promised, whatever the judge does.
func TestGate(t *testing.T) {
	for _, onDoubt := range []watch.Answer{watch.Allow, watch.Refuse} {
		tree, k, stop := openGate(t, onDoubt)
		for _, tt := range []struct {
			path string
			want bool
		}{
			{"good", true},
			{"sub/good", true},
			{"evil", false},
			{"sub/evil", false},
			{"slow", onDoubt == watch.Allow},
			{"hangs", onDoubt == watch.Allow},
			{"../evil-but-outside", true},
		} {
			got, took := reads(filepath.Join(tree, tt.path))
			if got != tt.want {
				t.Errorf("on doubt %d: %s could be read: %t", onDoubt, tt.path, got)
			}
			if took > 10*time.Second {
				t.Errorf("%s: waited %v", tt.path, took)
			}
		}
		if data, err := os.ReadFile(filepath.Join(tree, "evil")); err != nil || string(data) != "evil" {
			t.Errorf("this program cannot read what was tampered with: %v", err)
		}
		k.mu.Lock()
		if want := []string{"m evil", "m sub/evil", "m slow", "m hangs"}; strings.Join(k.refused, ",") != strings.Join(want, ",") {
			t.Errorf("told of %q, want %q", k.refused, want)
		}
		for i, p := range k.by {
			if !strings.HasSuffix(p.Executable, "cat") && !strings.Contains(p.Executable, "coreutils") || p.UID != os.Getuid() {
				t.Errorf("%s: opened by %+v", k.refused[i], p)
			}
		}
		k.mu.Unlock()
		stop()
		if ok, _ := reads(filepath.Join(tree, "evil")); !ok {
			t.Error("the gate is gone, and still nobody gets in")
		}
	}
}

// What came is behind the gate too.
func TestGateFollows(t *testing.T) {
	tree, _, stop := openGate(t, watch.Allow)
	defer stop()
	write(t, filepath.Join(tree, "evil-new"), "x")
	if ok, _ := reads(filepath.Join(tree, "evil-new")); ok {
		t.Error("a new file in a known directory could be read")
	}
}

// Nobody waits for a gate that is gone: the kernel lets everybody through. That
// of a process that is stopped goes after a time.
func TestGateOfAnotherProcess(t *testing.T) {
	if dir := os.Getenv("GATE_OF"); dir != "" {
		g, err := watch.NewGate([]watch.Root{{ID: "m", Tree: dir}}, watch.GateOptions{
			Judge: func(context.Context, watch.Opening) (watch.Answer, string) { select {} }, OnDoubt: watch.Refuse, Within: time.Second,
		})
		must(t, err)
		os.Stdout.WriteString("ready\n")
		_ = g.Run(t.Context())
		return
	}
	for name, tt := range map[string]struct {
		signal syscall.Signal
		within time.Duration
	}{"killed": {syscall.SIGKILL, 800 * time.Millisecond}, "stopped": {syscall.SIGSTOP, 20 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			tree, _, stop := openGate(t, watch.Allow)
			stop()
			c := exec.Command(os.Args[0], "-test.run", "TestGateOfAnotherProcess$")
			c.Env = append(os.Environ(), "GATE_OF="+tree)
			out, err := c.StdoutPipe()
			must(t, err)
			must(t, c.Start())
			_, err = out.Read(make([]byte, 6))
			must(t, err)
			reader := make(chan bool, 1)
			if tt.signal == syscall.SIGSTOP { // nobody answers from here on
				must(t, c.Process.Signal(tt.signal))
			}
			go func() { ok, _ := reads(filepath.Join(tree, "good")); reader <- ok }()
			select {
			case <-reader:
				t.Error("it did not wait for an answer")
			case <-time.After(200 * time.Millisecond):
			}
			must(t, c.Process.Signal(tt.signal))
			select {
			case ok := <-reader:
				if !ok {
					t.Error("it was refused")
				}
			case <-time.After(tt.within):
				t.Errorf("after %v it still waits", tt.within)
				_ = c.Process.Kill()
			}
			if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("the process ended with %v", err)
			}
		})
	}
}
