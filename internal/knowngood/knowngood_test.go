package knowngood_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/knowngood"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// bad is the first bad moment.
var bad = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func days(n int) time.Time { return bad.AddDate(0, 0, n) }

// archive is a directory of versions, with the key that signs them.
type archive struct {
	t       *testing.T
	dir     string
	key     *ecdsa.PrivateKey
	entries []evidence.Entry
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	return &archive{t: t, dir: t.TempDir(), key: newKey(t)}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *archive) path(elem ...string) string {
	return filepath.Join(append([]string{a.dir}, elem...)...)
}

func (a *archive) do(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *archive) write(name, content string) {
	a.t.Helper()
	a.do(os.MkdirAll(filepath.Dir(a.path(name)), 0o700))
	a.do(os.WriteFile(a.path(name), []byte(content), 0o600))
}

// sign signs a version; the file of the signature is as old as days tells.
func (a *archive) sign(version string, key crypto.Signer, day int, o oms.SignOptions) artifact.Digest {
	a.t.Helper()
	s, err := oms.Sign(a.t.Context(), a.path(version), key, o)
	a.do(err)
	a.do(os.Chtimes(s.Signature, days(day), days(day)))
	return s.RootDigest
}

// version makes and signs a version.
func (a *archive) version(name string, day int) artifact.Digest {
	a.t.Helper()
	a.write(name+"/weights.bin", "weights of "+name)
	a.write(name+"/sub/config.json", "{}")
	return a.sign(name, a.key, day, oms.SignOptions{})
}

func (a *archive) record(day int, kind string, body any) {
	a.t.Helper()
	var prev artifact.Digest
	if n := len(a.entries); n > 0 {
		prev = a.entries[n-1].Hash()
	}
	e, err := evidence.Seal(trust.Log, uint64(len(a.entries))+1, prev, evidence.Draft{Time: days(day), Actor: "ana", Kind: kind, Body: body})
	a.do(err)
	a.entries = append(a.entries, e)
}

func (a *archive) vouch(day int, how trust.Vouching, root artifact.Digest) {
	a.t.Helper()
	a.record(day, trust.KindVouched, trust.Vouch{Root: root, How: how, Who: "w"})
}

func (a *archive) selector() knowngood.Selector {
	a.t.Helper()
	state, err := trust.Fold(a.entries)
	a.do(err)
	return knowngood.Selector{Trust: oms.Trust{Keys: []crypto.PublicKey{a.key.Public()}}, State: state, Before: bad, Now: days(1)}
}

func (a *archive) examine(name string) knowngood.Candidate {
	a.t.Helper()
	c, err := a.selector().Examine(a.t.Context(), a.path(name))
	a.do(err)
	return c
}

func TestExamine(t *testing.T) {
	deny := func(a *archive, subject trust.Subject, value string) {
		a.record(0, trust.KindDenied, trust.Denial{Subject: subject, Value: value, Reason: "poison"})
	}
	tests := []struct {
		name    string
		setup   func(a *archive)
		refusal string // "" where it is eligible
		day     int    // since when it is vouched for
		by      string
		weak    bool
	}{
		{"signed_here", func(a *archive) { a.vouch(-5, trust.Signed, a.version("v", -1)) }, "", -5, "signed here", false},
		{"verified_here", func(a *archive) {
			r := a.version("v", 3)
			a.vouch(-9, trust.Verified, r)
			a.vouch(-2, trust.Verified, r)
		}, "", -2, "verified here", false},
		{"approved_as_installed", func(a *archive) {
			a.version("v", 3)
			a.vouch(-4, trust.Approved, a.examine("v").Installed)
		}, "", -4, "approved here", false},
		{"weak_time", func(a *archive) { a.version("v", -3) }, "", -3, "weak", true},
		{"weak_time_too_late", func(a *archive) { a.version("v", 1) }, "not before the first bad moment", 1, "weak", true},
		{"at_the_bad_moment", func(a *archive) { a.version("v", 0) }, "not before the first bad moment", 0, "weak", true},
		{"vouched_after_first_bad", func(a *archive) { a.vouch(2, trust.Verified, a.version("v", 2)) }, "not before the first bad moment", 2, "weak", true},
		{"verified_late_but_old", func(a *archive) { a.vouch(2, trust.Verified, a.version("v", -6)) }, "", -6, "weak", true},
		{"signed_late_and_made_to_look_old", func(a *archive) { a.vouch(2, trust.Signed, a.version("v", -6)) }, "not before the first bad moment", 2, "signed here", false},
		{"unsigned", func(a *archive) { a.write("v/weights.bin", "w") }, "not signed", 0, "", false},
		{"altered", func(a *archive) { a.version("v", -3); a.write("v/weights.bin", "poison") }, "weights.bin modified", 0, "", false},
		{"file_added", func(a *archive) { a.version("v", -3); a.write("v/x.py", "x") }, "x.py unexpected", 0, "", false},
		{"file_gone", func(a *archive) { a.version("v", -3); a.do(os.Remove(a.path("v/weights.bin"))) }, "weights.bin missing", 0, "", false},
		{"signed_by_a_stranger", func(a *archive) { a.version("v", -3); a.sign("v", newKey(a.t), -3, oms.SignOptions{}) }, "untrusted", 0, "", false},
		{"root_denied", func(a *archive) { deny(a, trust.Root, a.version("v", -3).String()) }, "deny-list: root_digest", -3, "weak", true},
		{"root_denied_as_installed", func(a *archive) { a.version("v", -3); deny(a, trust.Root, a.examine("v").Installed.String()) }, "deny-list: root_digest", -3, "weak", true},
		{"file_denied", func(a *archive) {
			a.version("v", -3)
			deny(a, trust.File, artifact.SHA256Of([]byte("weights of v")).String())
		}, "deny-list: file_digest", -3, "weak", true},
		{"signer_denied", func(a *archive) {
			a.version("v", -3)
			hint, err := oms.KeyHint(a.key.Public())
			a.do(err)
			deny(a, trust.Key, hint)
		}, "signer is on the deny-list", -3, "weak", true},
		{"signer_denied_by_name", func(a *archive) {
			a.version("v", -3)
			hint, err := oms.KeyHint(a.key.Public())
			a.do(err)
			deny(a, trust.Identity, "key:"+hint)
		}, "signer is on the deny-list", -3, "weak", true},
		{"denial_lifted", func(a *archive) {
			root := a.version("v", -3).String()
			deny(a, trust.Root, root)
			a.record(1, trust.KindAllowed, trust.Lifted{Subject: trust.Root, Value: root})
		}, "", -3, "weak", true},
		{"link_to_a_good_version", func(a *archive) { a.version("w", -3); a.do(os.Symlink(a.path("w"), a.path("v"))) }, "is a symlink", 0, "", false},
		{"link_to_nothing", func(a *archive) { a.do(os.Symlink(a.path("w"), a.path("v"))) }, "is a symlink", 0, "", false},
		{"file", func(a *archive) {
			a.write("v", "weights")
			a.sign("v", a.key, -3, oms.SignOptions{})
		}, "is a file, not a directory", 0, "", false},
		{"nothing", func(*archive) {}, "could not be read", 0, "", false},
		{"link_out_inside", func(a *archive) { a.version("v", -3); a.do(os.Symlink("/etc/passwd", a.path("v/l"))) }, "l symlink", 0, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newArchive(t)
			tt.setup(a)
			c := a.examine("v")
			if c.Eligible() != (tt.refusal == "") || !strings.Contains(strings.Join(c.Refusals, "; "), tt.refusal) {
				t.Errorf("refusals are %q", c.Refusals)
			}
			if !strings.Contains(c.VouchedBy, tt.by) || c.Weak != tt.weak || tt.by != "" && !c.VouchedAt.Equal(days(tt.day)) {
				t.Errorf("vouched for since %v (%s), weak %v", c.VouchedAt, c.VouchedBy, c.Weak)
			}
			if c.Ref != "v" || c.Path != a.path("v") || c.Verdict == "" || c.Eligible() && (c.Verdict != oms.Verified || len(c.Files) == 0) {
				t.Errorf("candidate is %+v", c)
			}
		})
	}
}

func TestFilesAreWhatTheSignatureCovers(t *testing.T) {
	a := newArchive(t)
	a.write("v/weights.bin", "w")
	a.write("v/notes/secret.txt", "left out")
	a.sign("v", a.key, -3, oms.SignOptions{IgnorePaths: []string{"notes"}})
	a.write("v/.gitattributes", "left out by the form")
	c := a.examine("v")
	var got []string
	for _, f := range c.Files {
		got = append(got, f.Path)
		if f.Digest.IsZero() || f.Kind != artifact.Regular {
			t.Errorf("file is %+v", f)
		}
	}
	if diff := cmp.Diff([]string{"model.sig", "weights.bin"}, got); diff != "" || !c.Eligible() {
		t.Errorf("%v (-want +got):\n%s", c.Refusals, diff)
	}
	if c.Installed.IsZero() || c.Installed == c.Root {
		t.Errorf("installed %v, signed %v", c.Installed, c.Root)
	}
}

func TestList(t *testing.T) {
	a := newArchive(t)
	a.vouch(-9, trust.Signed, a.version("sent-v9", -9))
	a.vouch(-2, trust.Signed, a.version("sent-v1", -2)) // the newest, whatever its name
	a.vouch(-5, trust.Signed, a.version("sent-v10", -5))
	a.version("sent-v13", -1) // newer, if one believes the time of a file
	a.version("sent-v11", 4)
	a.write("sent-v12/weights.bin", "unsigned")
	a.version("sentiment-v1", -1)
	a.version("other-v1", -1)
	a.do(os.Symlink(a.path("sentiment-v1"), a.path("sent-latest")))
	list, err := a.selector().List(t.Context(), a.dir, "sent", []string{"sent", "sentiment", "other"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		got = append(got, c.Ref)
	}
	if diff := cmp.Diff([]string{"sent-v1", "sent-v10", "sent-v9", "sent-v13", "sent-latest", "sent-v12", "sent-v11"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	eligible := slices.IndexFunc(list, func(c knowngood.Candidate) bool { return !c.Eligible() })
	if eligible != 4 {
		t.Errorf("%d are eligible", eligible)
	}
}

func TestListFails(t *testing.T) {
	a := newArchive(t)
	if _, err := a.selector().List(t.Context(), "", "m", nil); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
		t.Errorf("no archive: %v", err)
	}
	if _, err := a.selector().List(t.Context(), a.path("gone"), "m", nil); fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" {
		t.Errorf("archive is gone: %v", err)
	}
	if list, err := a.selector().List(t.Context(), a.dir, "m", nil); err != nil || len(list) != 0 {
		t.Errorf("empty archive: %v, %v", list, err)
	}
	a.version("m-v1", -1)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if list, err := a.selector().List(ctx, a.dir, "m", nil); err == nil {
		t.Errorf("stopped: %v", list)
	}
}
