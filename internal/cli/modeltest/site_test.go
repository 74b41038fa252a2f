//go:build linux

package modeltest

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// begin is when every sequence begins; the files are older.
var begin = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// version is one of the archive, and all that decides whether a model may be
// rolled back to it.
type version struct {
	files map[string]string // by content
	// signed says that the key that is trusted signed it, since says when.
	signed bool
	since  time.Time
	broken bool // somebody has changed it after it was signed
	// root is the digest that was signed, installed that of the directory with
	// the signature in it.
	root, installed string
}

// site is a host with one model, an archive of four versions and what is
// known of them without asking the program.
type site struct {
	dir       string
	clock     atomic.Int64
	incidents []string
	// people says that approvers are configured: Ana commands and acts, Ben
	// acts and approves, Eve looks.
	people   bool
	versions map[string]*version
}

func (s *site) path(elem ...string) string { return filepath.Join(append([]string{s.dir}, elem...)...) }

func (s *site) serving() string { return s.path("models", "m") }

// must runs a command without a blow.
func (s *site) must(t *testing.T, want int, args ...string) result {
	t.Helper()
	r := s.here("ana@host", blow{}, args...)
	if r.code != want {
		t.Fatalf("%v: exit code %d: %s", args, r.code, r.errors)
	}
	return r
}

// The versions: two that may be put in place, one that somebody else signed,
// and one that is too new.
func newVersions() map[string]*version {
	return map[string]*version{
		"m-v1": {signed: true, since: begin.AddDate(0, 0, -10)},
		"m-v2": {signed: true, since: begin.AddDate(0, 0, -5)},
		"m-v3": {signed: false, since: begin.AddDate(0, 0, -4)},
		"m-v4": {signed: true, since: begin.AddDate(0, 0, 30)},
	}
}

// newSite tells the story up to the declaration, with the real commands; with
// assessed, the evidence is sealed too.
func newSite(t *testing.T, assessed, people bool) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), versions: newVersions(), people: people}
	s.clock.Store(begin.Unix())
	try(t, os.Mkdir(s.path("state"), 0o700))
	write(t, s.path("ben.pem"), benKey())
	try(t, s.configure())
	for _, key := range []string{"release", "stranger"} {
		s.must(t, 0, "--state", s.path("builder"), "key", "generate", "--out", s.path(key))
	}
	for name, v := range s.versions {
		key := "stranger.pem"
		if v.signed {
			key = "release.pem"
		}
		s.release(t, name, v, s.path(key))
	}
	try(t, os.Mkdir(s.path("models"), 0o700))
	try(t, clone(s.serving(), s.path("archive", "m-v2")))
	s.must(t, 0, "baseline", "create", "m")
	s.tamper(t)
	report := s.must(t, 1, "check")
	write(t, s.path("check.json"), report.out)
	s.declare(t)
	if assessed {
		s.must(t, 0, "incident", "assess", s.incidents[0])
	}
	return s
}

func (s *site) configure() error {
	text := fmt.Sprintf("models:\n  - id: m\n    path: %q\n    archive: %q\ntrust:\n  public_keys: [%q]\n",
		s.serving(), s.path("archive"), s.path("release.pub"))
	if s.people {
		text += "approvals:\n  people:\n    - {name: Ana, roles: [commander, responder], user: ana}\n" +
			"    - {name: Ben, roles: [responder, approver], user: ben, keys: [\"" + benPublic() + "\"]}\n" +
			"    - {name: Eve, roles: [viewer], user: eve}\n"
	}
	return os.WriteFile(s.path("config.yaml"), []byte(text), 0o600)
}

// ben is the key by which Ben approves.
func ben() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func benKey() string {
	der, err := x509.MarshalPKCS8PrivateKey(ben())
	if err != nil {
		panic(err) // a key that was just made
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func benPublic() string {
	var wire []byte
	for _, part := range [][]byte{[]byte("ssh-ed25519"), ben().Public().(ed25519.PublicKey)} {
		wire = append(binary.BigEndian.AppendUint32(wire, uint32(len(part))), part...)
	}
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(wire)
}

func (s *site) release(t *testing.T, name string, v *version, key string) {
	t.Helper()
	dir := s.path("archive", name)
	write(t, filepath.Join(dir, "config.json"), `{"version": "`+name+`"}`)
	write(t, filepath.Join(dir, "weights", "0.bin"), strings.Repeat(name, 40))
	write(t, filepath.Join(dir, "weights", "1.bin"), strings.Repeat("shared", 60))
	try(t, unix.Setxattr(filepath.Join(dir, "config.json"), attribute, []byte(name), 0))
	try(t, os.Chmod(filepath.Join(dir, "config.json"), 0o640))
	v.root = digestOf(t, s.must(t, 0, "--state", s.path("builder"), "sign", dir, "--private-key", key))
	v.installed = digestOf(t, s.must(t, 0, "digest", dir))
	for _, file := range []string{"model.sig", "config.json", "weights/0.bin", "weights/1.bin", "weights", "."} {
		try(t, os.Chtimes(filepath.Join(dir, file), v.since, v.since))
	}
	v.files = s.contents(t, dir)
}

func digestOf(t *testing.T, r result) string {
	t.Helper()
	var said struct {
		Root string `json:"root_digest"`
	}
	try(t, json.Unmarshal([]byte(r.out), &said))
	return said.Root
}

func (s *site) contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	seen, err := look(dir)
	try(t, err)
	return seen.contents()
}

func (s *site) tamper(t *testing.T) {
	t.Helper()
	write(t, filepath.Join(s.serving(), "weights", "0.bin"), "poison"+strings.Repeat("m-v2", 40)[6:])
	write(t, filepath.Join(s.serving(), "loader.py"), "print()")
}

func (s *site) declare(t *testing.T) {
	t.Helper()
	r := s.must(t, 0, "incident", "open", "--from-check", s.path("check.json"))
	var opened struct {
		ID string `json:"incident_id"`
	}
	try(t, json.Unmarshal([]byte(r.out), &opened))
	s.incidents = append(s.incidents, opened.ID)
}

// clone makes the same site in dir. The record does not depend on where it is.
func (s *site) clone(dir string) (*site, error) {
	c := &site{people: s.people, dir: dir, incidents: append([]string(nil), s.incidents...), versions: map[string]*version{}}
	c.clock.Store(s.clock.Load())
	for name, v := range s.versions {
		twin := *v
		twin.files = maps.Clone(v.files)
		c.versions[name] = &twin
	}
	var errs []error
	for _, part := range []string{"models", "archive", "state", "release.pub", "check.json", "ben.pem"} {
		errs = append(errs, clone(c.path(part), s.path(part)))
	}
	return c, errors.Join(append(errs, c.configure())...)
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	try(t, os.MkdirAll(filepath.Dir(path), 0o700))
	try(t, os.WriteFile(path, []byte(content), 0o600))
}
