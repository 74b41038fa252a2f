package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/weightwarden/weightwarden/internal/cli"
)

var update = flag.Bool("update", false, "rewrite golden files, scripts and the manual's pages")

// The program runs in processes of its own, which are this test binary again.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weightwarden": func() { os.Exit(program()) }})
}

// program is cmd/weightwarden's main with a fixed person in front of it. The
// clock is real unless a script sets WW_TEST_NOW (RFC 3339), randomness unless
// it sets WW_TEST_SEED (a number).
func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	terminal := os.Getenv("WW_TEST_TERMINAL") != ""
	code := cli.Main(ctx, cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, OutTerminal: terminal, ErrTerminal: terminal,
		Getenv: os.Getenv, Now: clock, Random: random(), Actor: "tester@host", Version: "test", TempDir: os.Getenv("TMPDIR"),
		Reloads: func() <-chan os.Signal {
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGHUP)
			return c
		},
	}, os.Args[1:])
	if file := os.Getenv("WW_TEST_PEAK"); file != "" { // Linux
		status, _ := os.ReadFile("/proc/self/status")
		_ = os.WriteFile(file, status, 0o600)
	}
	return code
}

func clock() time.Time {
	if t, err := time.Parse(time.RFC3339, os.Getenv("WW_TEST_NOW")); err == nil {
		return t
	}
	return time.Now()
}

func random() io.Reader {
	if seed, err := strconv.ParseUint(os.Getenv("WW_TEST_SEED"), 10, 8); err == nil {
		return mathrand.NewChaCha8([32]byte{byte(seed)})
	}
	return rand.Reader
}

func TestScripts(t *testing.T)  { runScripts(t, "testdata/script") }
func TestExamples(t *testing.T) { runScripts(t, "../../examples") }

func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Cmds: commands(), Setup: setup, Condition: condition,
	})
}

// setup gives every script a state directory and a configuration of its own.
func setup(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir+"/home")
	env.Setenv("WEIGHTWARDEN_STATE", env.WorkDir+"/state")
	env.Setenv("WEIGHTWARDEN_CONFIG", env.WorkDir+"/config.yaml")
	env.Setenv("TMPDIR", env.WorkDir+"/.tmp")
	return nil
}

func condition(name string) (bool, error) {
	if name != "mount" {
		return false, fmt.Errorf("no condition %q", name)
	}
	return mayMount(), nil
}

// run runs the program in this process, for tests of the command tree.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	home := t.TempDir()
	code = cli.Main(t.Context(), cli.Env{
		Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &errs, Now: time.Now, Random: rand.Reader,
		Getenv: func(name string) string { return map[string]string{"HOME": home}[name] },
		Actor:  "tester@host", Version: "test", TempDir: home,
	}, args)
	return code, out.String(), errs.String()
}
