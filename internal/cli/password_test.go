package cli_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cli"
)

// A person at a terminal is asked for the password of a key: twice for a new
// one, once to use it, and never when it comes from elsewhere.
func TestPasswordPrompt(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "model"), 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "model", "w"), []byte("weights"), 0o600))
	at := func(name string) string { return filepath.Join(dir, name) }
	steps := []struct {
		name    string
		answers []string
		env     string
		code    int
		asked   int
		args    []string
	}{
		{"differ", []string{"horse", "house"}, "", 2, 2, []string{"key", "generate", "--out", at("k"), "--encrypted"}},
		{"empty", []string{"", ""}, "", 2, 2, []string{"key", "generate", "--out", at("k"), "--encrypted"}},
		{"interrupted", nil, "", 4, 1, []string{"key", "generate", "--out", at("k"), "--encrypted"}},
		{"new", []string{"horse", "horse"}, "", 0, 2, []string{"key", "generate", "--out", at("k"), "--encrypted"}},
		{"wrong", []string{"house"}, "", 2, 1, []string{"sign", at("model"), "--private-key", at("k.pem")}},
		{"right", []string{"horse"}, "", 0, 1, []string{"sign", at("model"), "--private-key", at("k.pem")}},
		{"from_the_environment", nil, "horse", 0, 0, []string{"sign", at("model"), "--private-key", at("k.pem")}},
	}
	for _, s := range steps {
		asked := 0
		var out, errs bytes.Buffer
		code := cli.Main(t.Context(), cli.Env{
			Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &errs, Now: time.Now, Random: rand.Reader, Actor: "tester@host",
			Getenv: func(name string) string { return map[string]string{"HOME": dir, "COSIGN_PASSWORD": s.env}[name] },
			ReadPassword: func(string) ([]byte, error) {
				asked++
				if asked > len(s.answers) {
					return nil, errors.New("interrupted")
				}
				return []byte(s.answers[asked-1]), nil
			},
		}, s.args)
		if code != s.code || asked != s.asked {
			t.Errorf("%s: exit code %d after %d questions, want %d after %d: %s", s.name, code, asked, s.code, s.asked, errs.String())
		}
		if text := out.String() + errs.String(); bytes.Contains([]byte(text), []byte("horse")) || bytes.Contains([]byte(text), []byte("house")) {
			t.Errorf("%s: the password is in the output: %s", s.name, text)
		}
	}
}
