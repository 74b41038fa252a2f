package keyless_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cli"
	"github.com/weightwarden/weightwarden/internal/oms/keyless"
)

// run runs the program's command line.
func run(t *testing.T, home, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Main(t.Context(), cli.Env{
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr, Now: time.Now, Random: rand.Reader,
		Getenv: func(name string) string { return map[string]string{"HOME": home}[name] },
		Actor:  "tester@host", Version: "test", TempDir: home,
	}, args)
	return code, stdout.String(), stderr.String()
}

func TestCommandLine(t *testing.T) {
	home := t.TempDir()
	path := func(name string) string { return filepath.Join(home, name) }
	trusted, services, token := keyless.NewFiles(t)
	for name, content := range map[string]string{
		"root.json": trusted, "services.json": services, "token": token, "model/weights.bin": "weights",
		"config.yaml": "trust:\n  trusted_root: root.json\n  identities:\n    - {identity: " + keyless.TestName + ", issuer: " + keyless.TestIssuer + "}\n",
		"other.yaml":  "trust:\n  trusted_root: root.json\n  identities:\n    - {identity: other@example.org, issuer: " + keyless.TestIssuer + "}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	identity := []string{"--identity", keyless.TestName, "--identity-provider", keyless.TestIssuer}
	steps := []struct {
		name, stdin string
		args        []string
		code        int
		want        string
	}{
		{"sign", "", []string{"sign", path("model"), "--identity-token", path("token"), "--signing-config", path("services.json"), "--trusted-root", path("root.json")}, 0, "signed"},
		{"sign_from_standard_input", token, []string{"sign", path("model"), "--identity-token", "-", "--signing-config", path("services.json"), "--config", path("config.yaml")}, 0, "signed"},
		{"sign_with_a_bad_token", "x", []string{"sign", path("model"), "--identity-token", "-", "--signing-config", path("services.json"), "--config", path("config.yaml")}, 2, "OpenID"},
		{"verify", "", append([]string{"verify", path("model"), "--trusted-root", path("root.json")}, identity...), 0, "sigstore"},
		{"root_of_the_configuration", "", append([]string{"verify", path("model"), "--config", path("config.yaml")}, identity...), 0, keyless.TestName},
		{"configured_identity", "", []string{"verify", path("model"), "--config", path("config.yaml")}, 0, keyless.TestIssuer},
		{"other_configured_identity", "", []string{"verify", path("model"), "--config", path("other.yaml")}, 3, "not a trusted identity"},
		{"flags_before_the_configuration", "", append([]string{"verify", path("model"), "--config", path("other.yaml")}, identity...), 0, keyless.TestName},
		{"nobody", "", []string{"verify", path("model")}, 3, "no trusted identity"},
		{"root_without_an_identity", "", []string{"verify", path("model"), "--trusted-root", path("root.json")}, 3, "no trusted identity"},
	}
	for _, s := range steps {
		code, out, errs := run(t, home, s.stdin, s.args...)
		if code != s.code || !strings.Contains(out+errs, s.want) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s%s", s.name, code, s.code, s.want, out, errs)
		}
	}
}
