package crashtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cli"
	"github.com/weightwarden/weightwarden/internal/contain/directory"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/signer"
	"github.com/weightwarden/weightwarden/internal/store"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// What the parent tells a child, in its environment.
const (
	childDir   = "WEIGHTWARDEN_CRASH_DIR"
	childArgs  = "WEIGHTWARDEN_CRASH_ARGS"
	childPoint = "WEIGHTWARDEN_CRASH_POINT"
)

// ready is what a child says when it is about to begin.
const ready = "ready\n"

// TestMain is the program itself when it is told to be.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Print(ready)
		os.Exit(program(dir))
	}
	os.Exit(m.Run())
}

// program runs a command and kills its own process at a point of the journal.
func program(dir string) int {
	point, err := strconv.Atoi(os.Getenv(childPoint))
	if err != nil {
		return 2
	}
	env := world(&bytes.Buffer{}, os.Stderr)
	env.Journal = func(string) {
		if point--; point == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	return cli.Main(context.Background(), env, arguments(dir, strings.Split(os.Getenv(childArgs), "\n")))
}

func world(stdout, stderr interface{ Write([]byte) (int, error) }) cli.Env {
	return cli.Env{
		Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr,
		Getenv: func(string) string { return "" }, Now: time.Now, Random: rand.Reader, Actor: "ana@host", Version: "test",
	}
}

func arguments(dir string, args []string) []string {
	return append([]string{"--state", filepath.Join(dir, "state"), "--config", filepath.Join(dir, "config.yaml"), "-o", "json"}, args...)
}

// site is a host with one model that was tampered with, an archive with a good
// version, and an incident whose evidence is sealed.
type site struct {
	dir, incident  string
	good, tampered map[string]string
}

func (s *site) path(elem ...string) string { return filepath.Join(append([]string{s.dir}, elem...)...) }

// run runs a command in this process.
func (s *site) run(t *testing.T, args ...string) (code int, out []byte) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Main(t.Context(), world(&stdout, &stderr), arguments(s.dir, args))
	if stdout.Len() == 0 {
		return code, stderr.Bytes()
	}
	return code, stdout.Bytes()
}

func (s *site) must(t *testing.T, want int, args ...string) []byte {
	t.Helper()
	code, out := s.run(t, args...)
	if code != want {
		t.Fatalf("%v: exit code %d, %s", args, code, out)
	}
	return out
}

// newSite tells the story up to the containment, with the real commands.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	s.configure(t)
	release := map[string]string{"config.json": `{"version": 2}`}
	for n := range 4 {
		release[fmt.Sprintf("shards/%d.bin", n)] = strings.Repeat(string([]byte{byte(n), 2}), 32<<10)
	}
	write(t, s.path("archive", "m-v2"), release)
	s.must(t, 0, "key", "generate", "--out", s.path("release"))
	s.must(t, 0, "sign", s.path("archive", "m-v2"), "--private-key", s.path("release.pem"))
	s.good = tree(t, s.path("archive", "m-v2"))
	write(t, s.path("models", "m"), s.good)
	s.must(t, 0, "baseline", "create", "m")

	s.tampered = maps.Clone(s.good)
	s.tampered["shards/1.bin"] = "poison" + s.tampered["shards/1.bin"][6:]
	s.tampered[".signatures/x.py"] = "print()"
	write(t, s.path("models", "m"), s.tampered)
	report := s.must(t, 1, "check")
	write(t, s.dir, map[string]string{"check.json": string(report)})
	s.incident = value(t, s.must(t, 0, "incident", "open", "--from-check", s.path("check.json")), "incident_id")
	s.must(t, 0, "incident", "assess", s.incident)
	return s
}

func (s *site) configure(t *testing.T) {
	t.Helper()
	if err := os.Mkdir(s.path("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, s.dir, map[string]string{"config.yaml": fmt.Sprintf(
		"models:\n  - id: m\n    path: %q\n    archive: %q\ntrust:\n  public_keys: [%q]\n",
		s.path("models", "m"), s.path("archive"), s.path("release.pub"))})
}

// clone makes the same site elsewhere. Nothing in the record depends on where
// it is; the configuration does.
func (s *site) clone(t *testing.T) *site {
	t.Helper()
	c := *s
	c.dir = t.TempDir()
	c.configure(t)
	for _, part := range []string{"models", "archive", "state"} {
		copyTree(t, c.path(part), s.path(part))
	}
	public, err := os.ReadFile(s.path("release.pub"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.dir, map[string]string{"release.pub": string(public)})
	return &c
}

// copyTree copies a tree with its modes: keys have to stay private.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(to+strings.TrimPrefix(path, from), info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// record returns the rows of the records as they are stored, and checks that
// nothing is wrong with them.
func (s *site) record(t *testing.T) map[string][]evidence.Stored {
	t.Helper()
	return s.read(t, s.incident, trust.Log)
}

func (s *site) rows(t *testing.T, log string) []evidence.Stored {
	t.Helper()
	return s.read(t, log)[log]
}

func (s *site) read(t *testing.T, logs ...string) map[string][]evidence.Stored {
	t.Helper()
	key, err := signer.StateKey(s.path("state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), s.path("state"), key)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows := map[string][]evidence.Stored{}
	for _, log := range logs {
		state, err := db.Ledger().State(t.Context(), log)
		if err != nil {
			t.Fatal(err)
		}
		if problems := evidence.VerifyLog(state, key.Public()); len(problems) > 0 {
			t.Errorf("the record %s: %v", log, problems)
		}
		rows[log] = state.Rows
	}
	return rows
}

// marker is what an isolated model's directory holds.
func (s *site) marker(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(s.path("models", "m", directory.MarkerName))
	if err != nil {
		return nil
	}
	if !strings.Contains(string(text), s.incident) {
		t.Errorf("the marker does not name the incident: %q", text)
	}
	return map[string]string{directory.MarkerName: string(text)}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
