//go:build unix

package program_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/program"
)

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "callback")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func alert() notify.Alert {
	i := indicator.New(indicator.ModelFileTampered, "m", time.Unix(1e9, 0), "changed", map[string]any{"file": "a"}, "a")
	j := indicator.New(indicator.UnexpectedModelFile, "m", time.Unix(1e9, 0), "there", nil, "b")
	return notify.Alert{Key: "k1", Status: notify.Firing, Severity: finding.Critical, Source: "$(touch /tmp/no)", New: []indicator.Indicator{i, j}}
}

func send(t *testing.T, c program.Config) (bool, error) {
	t.Helper()
	tr, err := c.Open(notify.World{Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	return tr.Send(t.Context(), alert())
}

func TestCallback(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WW_SECRET_OF_THE_AGENT", "T0KEN")
	path := script(t, `cat > "$1/in"; env > "$1/env"; echo "$2" > "$1/arg"`)
	retry, err := send(t, program.Config{
		Path: path, Args: []string{dir, "$(id) *"}, Environment: map[string]notify.Secret{"PAGER": notify.Inline("7")},
	})
	if err != nil || retry {
		t.Fatalf("retry %v, %v", retry, err)
	}
	in, _ := os.ReadFile(filepath.Join(dir, "in"))
	env, _ := os.ReadFile(filepath.Join(dir, "env"))
	arg, _ := os.ReadFile(filepath.Join(dir, "arg"))
	lines := strings.Split(strings.TrimSpace(string(in)), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"type":"model_file_tampered"`) || !strings.Contains(lines[1], `"type":"unexpected_model_file"`) {
		t.Errorf("standard input:\n%s", in)
	}
	for _, want := range []string{"WEIGHTWARDEN_KEY=k1\n", "WEIGHTWARDEN_STATUS=firing\n", "WEIGHTWARDEN_SEVERITY=critical\n", "PAGER=7\n", "SOURCE=$(touch /tmp/no)\n"} {
		if !strings.Contains(string(env), want) {
			t.Errorf("environment lacks %q:\n%s", want, env)
		}
	}
	if strings.Contains(string(env), "T0KEN") || string(arg) != "$(id) *\n" {
		t.Errorf("argument %q, environment:\n%s", arg, env)
	}
	if _, err := send(t, program.Config{Path: path, Args: []string{dir, ""}, Input: "alert"}); err != nil {
		t.Fatal(err)
	}
	in, _ = os.ReadFile(filepath.Join(dir, "in"))
	if strings.Count(string(in), "\n") != 1 || !strings.Contains(string(in), `"key":"k1"`) {
		t.Errorf("alert:\n%s", in)
	}
}

func TestOutcomes(t *testing.T) {
	tests := []struct {
		name, script string
		retry        bool
		says         string
	}{
		{"fails", "echo no route; exit 1", true, "no route"},
		{"try_again", "exit 75", true, "exit status 75"},
		{"wrong_data", "exit 65", false, "exit status 65"},
		{"wrong_configuration", "exit 78", false, "exit status 78"},
		{"killed", "kill -9 $$", true, "killed"},
		{"endless_output", "yes x", true, "not done within"},
		{"hangs", "sleep 100", true, "not done within"},
		{"hangs_in_a_child", "sleep 100 & wait", true, "not done within"},
		{"says_a_secret", `echo "key is $KEY"; exit 1`, true, "key is (address)"},
		{"control_characters", `printf '\033[2Jx'; exit 1`, true, `\x1b[2Jx`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			retry, err := send(t, program.Config{
				Path: script(t, tt.script), Timeout: 500 * time.Millisecond, Environment: map[string]notify.Secret{"KEY": notify.Inline("T0KEN")},
			})
			if err == nil || retry != tt.retry || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "T0KEN") {
				t.Errorf("retry %v, %v", retry, err)
			}
			if len(fmt.Sprint(err)) > 1000 || time.Since(start) > 5*time.Second {
				t.Errorf("%d bytes after %v", len(fmt.Sprint(err)), time.Since(start))
			}
		})
	}
}

// A program that somebody else could have written is not started.
func TestNotTrusted(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	path := script(t, "touch "+ran)
	if err := os.Chmod(path, 0o722); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, "callback", filepath.Dir(path), path + ".no"} {
		if retry, err := send(t, program.Config{Path: p}); err == nil || !retry {
			t.Errorf("%s: retry %v, %v", p, retry, err)
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("it ran")
	}
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]program.Config{
		"no path": {}, "input": {Path: "/x", Input: "xml"},
		"loader":   {Path: "/x", Environment: map[string]notify.Secret{"LD_PRELOAD": notify.Inline("x")}},
		"ours":     {Path: "/x", Environment: map[string]notify.Secret{"WEIGHTWARDEN_KEY": notify.Inline("x")}},
		"equals":   {Path: "/x", Environment: map[string]notify.Secret{"A=B": notify.Inline("x")}},
		"no name ": {Path: "/x", Environment: map[string]notify.Secret{"": notify.Inline("x")}},
	} {
		if c.Check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
