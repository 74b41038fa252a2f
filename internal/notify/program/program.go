// Package program hands alerts to a program of the operator: the callback of
// the guide. It starts the program without a shell, with an environment of its
// own, for a bounded time, and reads a bounded part of what it says.
package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is which program.
type Config struct {
	// Path is the program's, Args are its arguments.
	Path string
	Args []string
	// Input is what stands on its standard input: "indicators", one JSON
	// document on a line for each, or "alert", one document.
	Input   string
	Timeout time.Duration
	// Environment are variables that it gets beside PATH and those that tell
	// of the alert.
	Environment map[string]notify.Secret
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return map[string]any{
		"path": (*egress.Path)(&c.Path), "args": &c.Args, "input": &c.Input, "timeout": &c.Timeout, "environment": &c.Environment,
	}
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	input := ""
	if !slices.Contains([]string{"", "indicators", "alert"}, c.Input) {
		input = "input: want indicators or alert"
	}
	for name := range c.Environment {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "WEIGHTWARDEN_") {
			input = fmt.Sprintf("environment: %.40q cannot be set for the program", name)
		}
	}
	return notify.Problems(notify.Need("path", c.Path != ""), input)
}

// Open implements [notify.Config].
func (c *Config) Open(w notify.World) (notify.Transport, error) { return sender{c, w}, nil }

type sender struct {
	conf *Config
	w    notify.World
}

// Bounds of one run.
const (
	defaultTimeout = 30 * time.Second
	maxOutput      = 16 << 10
	lastWords      = 200
)

// The exit codes that say that no further try will help: those of sysexits.h
// for a wrong command line, wrong data and a wrong configuration.
var final = []int{64, 65, 78}

// Send implements [notify.Transport].
func (s sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	if err := trusted(s.conf.Path); err != nil {
		return true, err
	}
	input, err := s.input(a)
	if err != nil {
		return false, err
	}
	limit := s.conf.Timeout
	if limit <= 0 {
		limit = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	env, secrets, err := s.environment(a)
	if err != nil {
		return true, err
	}
	var out tail
	cmd := exec.CommandContext(ctx, s.conf.Path, s.conf.Args...) //nolint:gosec // the operator's configuration names it
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &out
	cmd.Env, cmd.Dir, cmd.WaitDelay = env, "/", time.Second
	ownGroup(cmd)
	err = cmd.Run()
	if code, ok := errors.AsType[*exec.ExitError](err); ok && ctx.Err() == nil {
		return !slices.Contains(final, code.ExitCode()), egress.Scrub(fmt.Errorf("program: %s%s", code.ProcessState, out.words()), secrets...)
	}
	if ctx.Err() != nil {
		return true, fmt.Errorf("program: not done within %s", limit)
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return true, egress.Scrub(fmt.Errorf("program: %w", err), secrets...)
	}
	return false, nil
}

// trusted refuses a program that others could have written: it runs with the
// rights of the agent.
func trusted(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("program: %w", err)
	case !filepath.IsAbs(path) || !info.Mode().IsRegular():
		return fmt.Errorf("program: %q is not a file with a whole path", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("program: %q may be written by others than its owner: chmod go-w it", path)
	}
	return nil
}

func (s sender) input(a notify.Alert) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	list := append(append([]indicator.Indicator{}, a.New...), a.Updated...)
	if a.Status == notify.Resolved {
		list = a.Resolved
	}
	if s.conf.Input == "alert" || len(list) == 0 {
		err := enc.Encode(a)
		return buf.Bytes(), err
	}
	for _, i := range list {
		if err := enc.Encode(i); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), nil
}

func (s sender) environment(a notify.Alert) (env, secrets []string, err error) {
	env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
		"WEIGHTWARDEN_KEY=" + a.Key, "WEIGHTWARDEN_STATUS=" + string(a.Status), "WEIGHTWARDEN_SEVERITY=" + a.Severity.String(),
		"WEIGHTWARDEN_SOURCE=" + notify.Plain(a.Source), "WEIGHTWARDEN_HOST=" + notify.Plain(a.Host),
	}
	for name, secret := range s.conf.Environment {
		value, err := secret.Read(s.w)
		if err != nil {
			return nil, nil, err
		}
		env, secrets = append(env, name+"="+value), append(secrets, value)
	}
	return env, secrets, nil
}

// tail keeps the end of what is written, and takes all of it.
type tail struct{ data []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if over := len(t.data) - maxOutput; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

func (t *tail) words() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.data[max(0, len(t.data)-lastWords):]), ""))
	if text == "" {
		return ""
	}
	return ": " + notify.Plain(text)
}
