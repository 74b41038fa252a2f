//go:build linux

package modeltest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/cli"
)

// What the test tells a process that it kills, in its environment.
const (
	childDir   = "WEIGHTWARDEN_MODEL_DIR"
	childArgs  = "WEIGHTWARDEN_MODEL_ARGS"
	childActor = "WEIGHTWARDEN_MODEL_ACTOR"
	childClock = "WEIGHTWARDEN_MODEL_CLOCK"
	childBlow  = "WEIGHTWARDEN_MODEL_BLOW"
)

// TestMain is the program itself when it is told to be.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child runs one command and suffers the blow: as a whole process, with all
// of its threads.
func child(dir string) int {
	var b blow
	if err := json.Unmarshal([]byte(os.Getenv(childBlow)), &b); err != nil {
		return 2
	}
	at, err := strconv.ParseInt(os.Getenv(childClock), 10, 64)
	if err != nil {
		return 2
	}
	var clock atomic.Int64
	clock.Store(at)
	look := func() {
		if b.At--; b.At != 0 {
			return
		}
		if b.How == "kill" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		if err := b.strike(filepath.Join(dir, "state"), true); err != nil {
			panic(err)
		}
	}
	env := world(io.Discard, os.Stderr, os.Getenv(childActor), &clock, look)
	return cli.Main(context.Background(), env, arguments(dir, strings.Split(os.Getenv(childArgs), "\n")))
}

// world is what a command may touch. Its clock goes by a second with each
// look at it, so that a sequence gives the same record each time.
func world(stdout, stderr io.Writer, actor string, clock *atomic.Int64, look func()) cli.Env {
	return cli.Env{
		Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Getenv: func(string) string { return "" },
		Now: func() time.Time {
			look()
			return time.Unix(clock.Add(1), 0).UTC()
		},
		Journal: func(string) { look() },
		Random:  rand.Reader, Actor: actor, Version: "test",
	}
}

func arguments(dir string, args []string) []string {
	return append([]string{"--state", filepath.Join(dir, "state"), "--config", filepath.Join(dir, "config.yaml"), "-o", "json"}, args...)
}

// result is what a command said.
type result struct {
	code        int // -1 when it was killed
	out, errors string
	// struck says that the blow fell before the command had ended.
	struck bool
	args   []string
}

// did reports whether it is the result of that command.
func (r result) did(words ...string) bool {
	return len(r.args) > len(words) && slices.Equal(r.args[:len(words)], words)
}

// here runs a command in this process, on a thread of its own: a blow is for
// that thread, and the thread ends with it.
func (s *site) here(actor string, b blow, args ...string) (r result) {
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		var stdout, stderr bytes.Buffer
		thread, n := unix.Gettid(), 0
		look := func() {
			if unix.Gettid() != thread {
				return
			}
			if n++; n == b.At && b.How != "" {
				if err := b.strike(s.path("state"), false); err != nil {
					panic(err)
				}
			}
		}
		code := cli.Main(context.Background(), world(&stdout, &stderr, actor, &s.clock, look), arguments(s.dir, args))
		done <- result{code, stdout.String(), stderr.String(), b.How != "" && n >= b.At, args}
	}()
	return <-done
}

// apart runs a command in a process of its own and lets the blow fall on it.
func (s *site) apart(actor string, b blow, args ...string) (result, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return result{}, err
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+s.dir, childActor+"="+actor, childClock+"="+strconv.FormatInt(s.clock.Load(), 10),
		childArgs+"="+strings.Join(args, "\n"), childBlow+"="+string(text))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	err = c.Run()
	s.clock.Add(1000) // what the other process has seen of it
	status := c.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return result{code: -1, struck: true, args: args}, nil
	case status.Signaled():
		return result{}, fmt.Errorf("the process ended by %v: %s", status.Signal(), &stderr)
	}
	_ = err // an exit code is no trouble
	return result{code: status.ExitStatus(), errors: stderr.String(), args: args}, nil
}
