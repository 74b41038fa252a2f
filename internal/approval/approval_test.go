package approval_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
)

var at = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) approval.Key {
	return approval.Key{Ed25519: k.Public().(ed25519.PublicKey)}
}

func statement() approval.Statement {
	return approval.Statement{
		Incident: "INC-20261123-AAAAAAAA", Plan: artifact.SHA256Of([]byte("plan")), Action: "rollback", Role: approval.Approver, By: "Bo",
		Issued: at, Expires: at.Add(time.Hour), Position: 12, Root: artifact.SHA256Of([]byte("root")),
	}
}

func TestRoundTrip(t *testing.T) {
	signed := approval.Sign(statement(), key(1))
	got, err := approval.Parse(signed.String())
	if err != nil {
		t.Fatal(err)
	}
	if got.Statement != statement() {
		t.Errorf("got %+v", got.Statement)
	}
	if k, err := got.Key(); err != nil || !k.Equal(public(key(1))) {
		t.Errorf("key %v, %v", k, err)
	}
	crlf := strings.Replace(signed.String(), signed.Signature, strings.ReplaceAll(signed.Signature, "\n", "\r\n"), 1)
	if got, err := approval.Parse(crlf); err != nil {
		t.Error(err)
	} else if _, err := got.Key(); err != nil {
		t.Errorf("a signature that went by mail: %v", err)
	}
}

// Whatever is changed in a statement, the signature does not fit any more; and
// whatever is changed in a signature, it is none, or not by that key.
func TestEveryChangeShows(t *testing.T) {
	signed := approval.Sign(statement(), key(1))
	text := signed.String()
	for i := range len(text) {
		for bit := range 8 {
			changed := []byte(text)
			changed[i] ^= 1 << bit
			s, err := approval.Parse(string(changed))
			if err != nil {
				continue
			}
			if k, err := s.Key(); err == nil && (s.Statement != signed.Statement || !k.Equal(public(key(1))) || s.Signature != signed.Signature) {
				t.Fatalf("byte %d, bit %d: %q is accepted", i, bit, changed)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	good := approval.Sign(statement(), key(1))
	tests := []struct{ name, text, want string }{
		{"empty", "", "no signature"},
		{"no_signature", good.Text(), "no signature"},
		{"another_form", strings.Replace(good.String(), "v1", "v2", 1), "not of the form"},
		{"line_missing", strings.Replace(good.String(), "role: approver\n", "", 1), "not of the form"},
		{"lines_exchanged", strings.Replace(good.String(), "action: rollback\nrole: approver", "role: approver\naction: rollback", 1), "is not \"action\""},
		{"line_added", strings.Replace(good.String(), "by: Bo\n", "by: Bo\nby: Al\n", 1), "not of the form"},
		{"no_such_role", strings.Replace(good.String(), "role: approver", "role: king", 1), "no role"},
		{"no_time", strings.Replace(good.String(), "expires: 2026", "expires: soon", 1), "is no time"},
		{"another_zone", strings.Replace(good.String(), "09:00:00Z", "10:00:00+01:00", 1), "not in the form"},
		{"number_padded", strings.Replace(good.String(), "position: 12", "position: 012", 1), "not in the form"},
		{"number_too_large", strings.Replace(good.String(), "position: 12", "position: 18446744073709551616", 1), "no number"},
		{"no_digest", strings.Replace(good.String(), "plan: ", "plan: zz", 1), "plan:"},
		{"signature_cut_off", good.String()[:len(good.String())-40], "no SSH SIGNATURE block"},
		{"no_base64", strings.Replace(good.String(), "U1NIU0lH", "!!!!!!!!", 1), "read signature"},
		{"flooded", good.Text() + "-----BEGIN SSH SIGNATURE-----\n" + strings.Repeat("A", 1<<20) + "\n-----END SSH SIGNATURE-----\n", "longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := approval.Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestForged(t *testing.T) {
	mine := approval.Sign(statement(), key(1))
	other := statement()
	other.Plan = artifact.SHA256Of([]byte("another plan"))
	moved := approval.Signed{Statement: other, Signature: mine.Signature}
	if _, err := moved.Key(); !errors.Is(err, approval.ErrForged) {
		t.Errorf("the signature of one plan under another: %v", err)
	}
}

// What OpenSSH signs is read here, and what is signed here OpenSSH verifies.
func TestOpenSSH(t *testing.T) {
	tool, err := exec.LookPath("ssh-keygen")
	if err != nil {
		if os.Getenv("WEIGHTWARDEN_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("ssh-keygen is not installed")
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	sh := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(tool, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v, %s", args, err, out)
		}
		return string(out)
	}
	sh("", "-q", "-t", "ed25519", "-N", "", "-C", "bo@laptop", "-f", file("id"))
	line, err := os.ReadFile(file("id.pub"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := approval.ParseKey(string(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("s"), []byte(statement().Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	sh("", "-q", "-Y", "sign", "-n", approval.Namespace, "-f", file("id"), file("s"))
	signature, err := os.ReadFile(file("s.sig"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := approval.Parse(statement().Text() + string(signature))
	if err != nil {
		t.Fatal(err)
	}
	if k, err := signed.Key(); err != nil || !k.Equal(want) {
		t.Errorf("signed by OpenSSH: %v, %v", k, err)
	}
	sh("", "-q", "-Y", "sign", "-n", "file", "-f", file("id"), file("id.pub"))

	ours := approval.Sign(statement(), key(1))
	for name, text := range map[string]string{"ours.sig": ours.Signature, "allowed": "bo " + public(key(1)).String() + "\n"} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sh(ours.Text(), "-Y", "verify", "-f", file("allowed"), "-I", "bo", "-n", approval.Namespace, "-s", file("ours.sig"))
}

func TestKeys(t *testing.T) {
	line := public(key(1)).String()
	if k, err := approval.ParseKey(line + " ana@laptop"); err != nil || k.String() != line {
		t.Errorf("got %v, %v", k, err)
	}
	for _, bad := range []string{
		"", "ssh-ed25519", "ssh-rsa " + strings.Fields(line)[1], "ssh-ed25519 !!", "ssh-ed25519 AAAA", line[:len(line)-8], "command=\"x\" " + line,
	} {
		if _, err := approval.ParseKey(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func roster() approval.Roster {
	return approval.Roster{People: []approval.Person{
		{Name: "Ana", Roles: []approval.Role{approval.Commander}, Users: []string{"ana"}},
		{Name: "Bo", Roles: []approval.Role{approval.Approver}, Users: []string{"bo@desk"}, Keys: []approval.Key{public(key(1))}},
		{Name: "Cy", Roles: []approval.Role{approval.Viewer}},
	}, Required: map[string]int{approval.Rollback: 2, approval.Close: 0}}
}

func TestRoster(t *testing.T) {
	r := roster()
	for actor, want := range map[string]string{"ana@anywhere": "Ana", "ana": "Ana", "bo@desk": "Bo", "bo@elsewhere": "", "cy@desk": "", "": ""} {
		if p, _ := r.ByUser(actor); p.Name != want {
			t.Errorf("%q is %q, want %q", actor, p.Name, want)
		}
	}
	if p, ok := r.ByKey(public(key(1))); !ok || p.Name != "Bo" {
		t.Errorf("the key is that of %+v", p)
	}
	if _, ok := r.ByKey(public(key(2))); ok {
		t.Error("a key of nobody is somebody's")
	}
	for action, want := range map[string]int{approval.Rollback: 2, approval.Close: 1, approval.Waive: 1, approval.Isolate: 0, "other": 0} {
		if n := r.Needs(action); n != want {
			t.Errorf("%s needs %d, want %d", action, n, want)
		}
		if n := (approval.Roster{Required: r.Required}).Needs(action); n != 0 {
			t.Errorf("alone: %s needs %d", action, n)
		}
	}
	if ana, _ := r.Named("Ana"); !ana.Has(approval.Responder) || ana.Has(approval.Approver, approval.Legal) {
		t.Error("a commander is a responder and nothing else")
	}
	if len(r.Approvers()) != 1 || r.Lifetime() != approval.DefaultTTL {
		t.Errorf("approvers %v, lifetime %v", r.Approvers(), r.Lifetime())
	}
}

func TestRosterIsTheSameAfterReading(t *testing.T) {
	data, err := json.Marshal(roster())
	if err != nil {
		t.Fatal(err)
	}
	var read approval.Roster
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if read.Hash() != roster().Hash() {
		t.Error("another roster")
	}
}

// Promise: what is read as an approval is written in exactly one way, and
// whose key made it is known only where the signature is over that text.
func FuzzParse(f *testing.F) {
	f.Add(approval.Sign(statement(), key(1)).String())
	f.Add(statement().Text())
	f.Add("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := approval.Parse(text)
		if err != nil {
			return
		}
		again, err := approval.Parse(s.String())
		if err != nil || again != s {
			t.Fatalf("%q reads as %+v, then %+v, %v", text, s, again, err)
		}
		if _, err := s.Key(); err == nil && !strings.HasPrefix(text, s.Text()) {
			t.Fatalf("%q: the signature is over another text", text)
		}
	})
}
