package check_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/signer"
	"github.com/weightwarden/weightwarden/internal/store"
	"github.com/weightwarden/weightwarden/internal/trust"
)

const (
	matrixWeights = 64 << 10
	matrixCommit  = "c7a1b54e2f6f4d6a8e1e5d9f0b7a3c2d1e4f5a6b"
	matrixNewer   = "d8b2c65f3a7a5e7b9f2f6eaa1c8b4d3e2f5a6b7c"
)

// matrix is one host with one model on it.
type matrix struct {
	testing.TB
	dir, model string
	checker    *check.Checker
	ledger     evidence.Ledger
	now        time.Time
	// release and partner are both trusted, outsider is not.
	release, partner, outsider *ecdsa.PrivateKey
}

func newMatrix(t testing.TB) *matrix {
	t.Helper()
	m := &matrix{TB: t, dir: t.TempDir(), now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
	m.model = filepath.Join(m.dir, "model")
	key := evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	m.must(os.Mkdir(filepath.Join(m.dir, "state"), 0o700))
	db, err := store.Open(t.Context(), filepath.Join(m.dir, "state"), key)
	m.must(err)
	t.Cleanup(func() { _ = db.Close() })
	m.ledger = db.Ledger()
	for _, k := range []**ecdsa.PrivateKey{&m.release, &m.partner, &m.outsider} {
		*k, err = signer.Generate(rand.Reader)
		m.must(err)
	}
	m.checker = &check.Checker{
		Baselines: baseline.Store{Documents: db.Documents(), Ledger: db.Ledger()}, Ledger: db.Ledger(),
		Actor: "tester@host", Now: func() time.Time { m.now = m.now.Add(time.Second); return m.now },
	}
	m.checker.Trust.Keys = append(m.checker.Trust.Keys, m.release.Public(), m.partner.Public())
	return m
}

func (m *matrix) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *matrix) path(name string) string { return filepath.Join(m.model, name) }

func (m *matrix) write(name, content string) {
	m.Helper()
	m.must(os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	m.must(os.WriteFile(m.path(name), []byte(content), 0o644))
}

// plain is a directory with files, a folder and a link.
func (m *matrix) plain() {
	m.write("w.bin", strings.Repeat("w", matrixWeights))
	m.write("v.bin", strings.Repeat("v", matrixWeights))
	m.write("config.json", "{}")
	m.write("onnx/model.onnx", "onnx")
	m.must(os.Symlink("w.bin", m.path("latest")))
}

// signed is one whose signature covers every file.
func (m *matrix) signed() {
	m.plain()
	m.must(os.Remove(m.path("latest")))
	m.sign(m.release)
}

func (m *matrix) sign(key *ecdsa.PrivateKey) {
	m.Helper()
	_, err := oms.Sign(m.Context(), m.model, key, oms.SignOptions{})
	m.must(err)
}

// hub is a snapshot in a hub cache, with another one beside it.
func (m *matrix) hub() {
	m.model = filepath.Join(m.dir, "models--acme--tiny")
	for name, content := range map[string]string{"model.safetensors": strings.Repeat("w", matrixWeights), "config.json": "{}"} {
		blob := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		m.write("blobs/"+blob, content)
		m.must(os.MkdirAll(m.path("snapshots/"+matrixCommit), 0o755))
		m.must(os.Symlink("../../blobs/"+blob, m.path("snapshots/"+matrixCommit+"/"+name)))
	}
	m.must(os.MkdirAll(m.path("snapshots/"+matrixNewer), 0o755))
	m.write("refs/main", matrixCommit)
}

// served is the path that is configured.
func (m *matrix) served() string {
	if snapshot := m.path("snapshots/" + matrixCommit); strings.Contains(m.model, "models--") {
		return snapshot
	}
	return m.model
}

func (m *matrix) check() *check.Report {
	m.Helper()
	m.checker.Targets = []check.Target{{Model: artifact.Model{ID: "m", Path: m.served()}}}
	r, err := m.checker.Run(m.Context(), nil)
	m.must(err)
	return r
}

// adopt makes the model as it is the baseline that a person vouches for.
func (m *matrix) adopt() {
	m.Helper()
	_, err := m.checker.TakeBaseline(m.Context(), artifact.Model{ID: "m", Path: m.served()}, "alice", "release")
	m.must(err)
}

func (m *matrix) deny(subject trust.Subject, value string) {
	m.Helper()
	_, err := m.ledger.Append(m.Context(), trust.Log, evidence.Any, evidence.Draft{
		Time: m.now, Actor: "alice", Kind: trust.KindDenied, Body: trust.Denial{Subject: subject, Value: value, Reason: "test"},
	})
	m.must(err)
}

// flip changes one byte.
func (m *matrix) flip(name string, at int64) {
	m.Helper()
	f, err := os.OpenFile(m.path(name), os.O_RDWR, 0)
	m.must(err)
	_, err = f.WriteAt([]byte{'!'}, at)
	m.must(err)
	m.must(f.Close())
}

// keepTimes puts the modification time of name back to what it was.
func (m *matrix) keepTimes(name string, do func()) {
	m.Helper()
	info, err := os.Stat(m.path(name))
	m.must(err)
	do()
	m.must(os.Chtimes(m.path(name), info.ModTime(), info.ModTime()))
}

// said is an indicator in a few words.
func said(list []indicator.Indicator) []string {
	out := []string{}
	for _, i := range list {
		text := fmt.Sprintf("%s %s", i.Type, i.File())
		if a, ok := i.Evidence["attribute"]; ok {
			text += fmt.Sprintf(" %s %s", a, i.Severity)
		}
		out = append(out, strings.TrimSpace(strings.ReplaceAll(text, matrixCommit, "COMMIT")))
	}
	slices.Sort(out)
	return out
}

// hubBlob is the blob of the weights in the hub.
var hubBlob = fmt.Sprintf("blobs/%x", sha256.Sum256([]byte(strings.Repeat("w", matrixWeights))))

// matrixBlocks looks at models by the tags of their blocks.
var matrixBlocks = check.Hashing{Secret: make([]byte, manifest.SecretSize), FullAge: 24 * time.Hour}

// The bytes that changed are named to the block, whichever way was looked.
func TestTamperedRange(t *testing.T) {
	const block, size = 4 << 20, 9 << 20
	tests := []struct {
		name string
		do   func(*matrix)
		want []manifest.Range
	}{
		{"first_byte", func(m *matrix) { m.flip("large.bin", 0) }, []manifest.Range{{0, block}}},
		{"middle_byte", func(m *matrix) { m.flip("large.bin", block+7) }, []manifest.Range{{block, 2 * block}}},
		{"last_byte", func(m *matrix) { m.flip("large.bin", size-1) }, []manifest.Range{{2 * block, size}}},
		{"two_ends", func(m *matrix) { m.flip("large.bin", 0); m.flip("large.bin", size-1) }, []manifest.Range{{0, block}, {2 * block, size}}},
	}
	for _, tt := range tests {
		for _, full := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/full_%v", tt.name, full), func(t *testing.T) {
				m := newMatrix(t)
				m.checker.Hashing = matrixBlocks
				m.write("large.bin", strings.Repeat("w", size))
				m.adopt()
				tt.do(m)
				m.checker.Hashing.Full = full
				r := m.check()
				if diff := cmp.Diff([]string{"model_file_tampered large.bin"}, said(r.Indicators)); diff != "" {
					t.Fatalf("indicators (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(any(tt.want), r.Indicators[0].Evidence["ranges"]); diff != "" {
					t.Errorf("ranges (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// tamperCase is one way to tamper with a model, and all that is to be said of
// it.
type tamperCase struct {
	name string
	make func(*matrix)
	do   func(*matrix)
	want []string
}

func tamperCases() []tamperCase {
	plain, signed, hub := (*matrix).plain, (*matrix).signed, (*matrix).hub
	return []tamperCase{
		{"first_byte", plain, func(m *matrix) { m.flip("w.bin", 0) }, []string{"model_file_tampered w.bin"}},
		{"middle_byte", plain, func(m *matrix) { m.flip("w.bin", matrixWeights/2) }, []string{"model_file_tampered w.bin"}},
		{"last_byte", plain, func(m *matrix) { m.flip("w.bin", matrixWeights-1) }, []string{"model_file_tampered w.bin"}},
		{"forged_times", plain, func(m *matrix) { m.keepTimes("w.bin", func() { m.flip("w.bin", 7) }) }, []string{"model_file_tampered w.bin"}},
		{"truncated", plain, func(m *matrix) { m.must(os.Truncate(m.path("w.bin"), matrixWeights-1)) }, []string{"model_file_tampered w.bin"}},
		{"emptied", plain, func(m *matrix) { m.must(os.Truncate(m.path("w.bin"), 0)) }, []string{"model_file_tampered w.bin"}},
		{"appended", plain, func(m *matrix) { m.write("w.bin", strings.Repeat("w", matrixWeights)+"!") }, []string{"model_file_tampered w.bin"}},
		{"swapped", plain, func(m *matrix) {
			m.must(os.Rename(m.path("w.bin"), m.path("t")))
			m.must(os.Rename(m.path("v.bin"), m.path("w.bin")))
			m.must(os.Rename(m.path("t"), m.path("v.bin")))
		}, []string{"model_file_tampered v.bin", "model_file_tampered w.bin"}},
		{"renamed", plain, func(m *matrix) { m.must(os.Rename(m.path("v.bin"), m.path("x.bin"))) }, []string{"model_file_missing v.bin", "unexpected_model_file x.bin"}},
		{"added", plain, func(m *matrix) { m.write("x.py", "x") }, []string{"unexpected_model_file x.py"}},
		{"deleted", plain, func(m *matrix) { m.must(os.Remove(m.path("v.bin"))) }, []string{"model_file_missing v.bin"}},
		{"empty_directory", plain, func(m *matrix) { m.must(os.Mkdir(m.path("d"), 0o755)) }, []string{"unexpected_model_file d"}},
		{"model_gone", plain, func(m *matrix) { m.must(os.RemoveAll(m.model)) }, []string{"model_missing"}},
		{"mode", plain, func(m *matrix) { m.must(os.Chmod(m.path("w.bin"), 0o600)) }, []string{"model_file_attributes w.bin mode medium"}},
		{"world_writable", plain, func(m *matrix) { m.must(os.Chmod(m.path("w.bin"), 0o666)) }, []string{"model_file_attributes w.bin mode high"}},
		{"setuid", plain, func(m *matrix) { m.must(os.Chmod(m.path("w.bin"), 0o755|os.ModeSetuid)) }, []string{"model_file_attributes w.bin mode high"}},
		{"owner", plain, func(m *matrix) { m.asRoot(); m.must(os.Chown(m.path("w.bin"), 12345, -1)) }, []string{"model_file_attributes w.bin owner high"}},
		{"group", plain, func(m *matrix) { m.asRoot(); m.must(os.Chown(m.path("w.bin"), -1, 12345)) }, []string{"model_file_attributes w.bin group medium"}},
		{"extended_attribute", plain, func(m *matrix) { m.xattr("w.bin", "x") }, []string{"model_file_attributes w.bin xattr medium"}},
		{"link_swapped", plain, func(m *matrix) {
			m.must(os.Remove(m.path("latest")))
			m.must(os.Symlink("v.bin", m.path("latest")))
		}, []string{"model_file_tampered latest"}},
		{"link_out", plain, func(m *matrix) {
			m.must(os.Remove(m.path("latest")))
			m.must(os.Symlink("/etc/hostname", m.path("latest")))
		}, []string{"model_file_tampered latest", "model_link_escapes latest"}},
		{"link_for_a_file", plain, func(m *matrix) {
			m.must(os.Remove(m.path("v.bin")))
			m.must(os.Symlink("w.bin", m.path("v.bin")))
		}, []string{"model_file_tampered v.bin"}},
		{"hard_link_made", plain, func(m *matrix) { m.must(os.Link(m.path("w.bin"), filepath.Join(m.dir, "outside"))) }, []string{"model_file_attributes w.bin links high"}},
		{"hard_link_written_through", func(m *matrix) {
			m.plain()
			m.must(os.Link(m.path("w.bin"), filepath.Join(m.dir, "outside")))
		}, func(m *matrix) {
			m.keepTimes("w.bin", func() { m.flip("../outside", 9) })
		}, []string{"model_file_tampered w.bin"}},
		{"written_through_a_mapping", plain, func(m *matrix) { m.keepTimes("w.bin", func() { m.storeMapped("w.bin") }) }, []string{"model_file_tampered w.bin"}},
		{"fifo_for_a_file", plain, func(m *matrix) {
			m.must(os.Remove(m.path("v.bin")))
			m.must(syscall.Mkfifo(m.path("v.bin"), 0o644))
		}, []string{"model_file_tampered v.bin", "model_file_unreadable v.bin"}},

		{"signed_file_changed", signed, func(m *matrix) { m.flip("w.bin", 0) }, []string{"model_file_tampered w.bin"}},
		{"signature_by_another_valid_signer", signed, func(m *matrix) { m.sign(m.partner) }, []string{"model_file_tampered model.sig", "model_signer_changed"}},
		{"signature_by_an_outsider", signed, func(m *matrix) { m.sign(m.outsider) }, []string{"model_file_tampered model.sig", "model_signature_untrusted"}},
		{"signature_removed", signed, func(m *matrix) { m.must(os.Remove(m.path("model.sig"))) }, []string{"model_file_missing model.sig"}},
		{"signature_broken", signed, func(m *matrix) { m.write("model.sig", "{") }, []string{"model_file_tampered model.sig", "model_signature_untrusted"}},
		{"other_version_signed", signed, func(m *matrix) { m.flip("w.bin", 0); m.sign(m.release) }, []string{"model_file_tampered model.sig", "model_file_tampered w.bin", "model_replaced"}},
		{"payload_under_git_path", signed, func(m *matrix) { m.write(".github/evil.py", "x") }, []string{"unexpected_model_file .github/evil.py"}},
		{"payload_beside_signatures", signed, func(m *matrix) { m.write("x.signatures/evil.py", "x") }, []string{"unexpected_model_file x.signatures/evil.py"}},
		{"payload_under_ignored_path", func(m *matrix) {
			m.plain()
			m.must(os.Remove(m.path("latest")))
			_, err := oms.Sign(m.Context(), m.model, m.release, oms.SignOptions{IgnorePaths: []string{"cache"}})
			m.must(err)
		}, func(m *matrix) { m.write("cache/evil.py", "x") }, []string{"unexpected_model_file cache/evil.py"}},

		{"hub_blob_changed", hub, func(m *matrix) { m.flip(hubBlob, 5) }, []string{"model_file_tampered " + hubBlob}},
		{"hub_blob_renamed", hub, func(m *matrix) {
			m.must(os.Rename(m.path(hubBlob), m.path("blobs/"+strings.Repeat("0", 64))))
		}, []string{"model_file_missing " + hubBlob, "model_link_escapes snapshots/COMMIT/model.safetensors"}},
		{"hub_blob_renamed_and_linked", hub, func(m *matrix) {
			evil := fmt.Sprintf("blobs/%x", sha256.Sum256([]byte("evil")))
			m.write(evil, "evil")
			m.must(os.Remove(m.path("snapshots/" + matrixCommit + "/model.safetensors")))
			m.must(os.Symlink("../../"+evil, m.path("snapshots/"+matrixCommit+"/model.safetensors")))
		}, []string{
			"model_file_missing " + hubBlob, "model_file_tampered snapshots/COMMIT/model.safetensors",
			fmt.Sprintf("unexpected_model_file blobs/%x", sha256.Sum256([]byte("evil"))),
		}},
		{"hub_ref_moved", hub, func(m *matrix) { m.write("refs/main", matrixNewer) }, []string{"model_file_tampered refs/main"}},
		{"hub_ref_to_nothing", hub, func(m *matrix) { m.write("refs/main", strings.Repeat("a", 40)) }, []string{"model_file_tampered refs/main", "model_layout_invalid refs/main"}},
		{"hub_file_added", hub, func(m *matrix) { m.write("snapshots/"+matrixCommit+"/evil.py", "x") }, []string{"unexpected_model_file snapshots/COMMIT/evil.py"}},
	}
}

// Every way in which a model is tampered with is found, and named by what it
// is. The list is exact: what else is reported would be noise.
func TestTamperMatrix(t *testing.T) {
	for _, tt := range tamperCases() {
		for _, method := range []check.Method{check.BySHA256, check.ByBlocks} {
			t.Run(tt.name+"/"+string(method), func(t *testing.T) {
				m := newMatrix(t)
				if method == check.ByBlocks {
					m.checker.Hashing = check.Hashing{Secret: make([]byte, manifest.SecretSize), FullAge: time.Hour}
				}
				tt.make(m)
				m.adopt()
				if r := m.check(); r.TotalIndicators > 0 || r.Models[0].Verdict != check.Clean {
					t.Fatalf("before anything was done: %v", said(r.Indicators))
				}
				tt.do(m)
				r := m.check()
				got := slices.DeleteFunc(said(r.Indicators), func(s string) bool {
					return tt.name == "written_through_a_mapping" && s == "model_file_writer w.bin" // where leases tell
				})
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("indicators (-want +got):\n%s", diff)
				}
				if m := r.Models[0]; m.Verdict == check.Clean || m.Method != method && m.Files > 0 {
					t.Errorf("verdict %s by %s", m.Verdict, m.Method)
				}
				if method == check.ByBlocks {
					located(t, r.Indicators)
				}
			})
		}
	}
}

// located checks that a changed file that is still one comes with the bytes
// that differ.
func located(t *testing.T, list []indicator.Indicator) {
	t.Helper()
	for _, i := range list {
		_, other := i.Evidence["actual_kind"]
		_, link := i.Evidence["expected_kind"]
		if i.Type != indicator.ModelFileTampered || other || link {
			continue
		}
		ranges, ok := i.Evidence["ranges"].([]manifest.Range)
		if !ok || len(ranges) != 1 || ranges[0][0] != 0 || i.Evidence["actual_hash"] == "" {
			t.Errorf("%s: evidence %v", i.File(), i.Evidence)
		}
	}
}

func (m *matrix) asRoot() {
	if os.Geteuid() != 0 {
		m.Skip("only root can give files away")
	}
}

func (m *matrix) xattr(name, value string) {
	if err := syscall.Setxattr(m.path(name), "user.note", []byte(value), 0); err != nil {
		m.Skipf("no extended attributes here: %v", err)
	}
}

// storeMapped writes through a mapping whose descriptor is closed.
func (m *matrix) storeMapped(name string) {
	m.Helper()
	f, err := os.OpenFile(m.path(name), os.O_RDWR, 0)
	m.must(err)
	data, err := syscall.Mmap(int(f.Fd()), 0, matrixWeights, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	m.must(err)
	m.must(f.Close())
	data[100] ^= 1
	m.Cleanup(func() { _ = syscall.Munmap(data) })
}

// An older version that was validly signed, and was the baseline once, is put
// back in the place of the current one.
func TestReplayOfAnOlderVersion(t *testing.T) {
	m := newMatrix(t)
	m.signed()
	if r := m.check(); r.TotalIndicators > 0 || !r.Models[0].Baseline.Trusted {
		t.Fatalf("first version: %v", said(r.Indicators))
	}
	old := filepath.Join(m.dir, "v1")
	m.must(os.CopyFS(old, os.DirFS(m.model)))
	m.write("w.bin", strings.Repeat("W", matrixWeights))
	m.sign(m.release)
	m.adopt()
	if r := m.check(); r.TotalIndicators > 0 {
		t.Fatalf("second version: %v", said(r.Indicators))
	}
	m.must(os.RemoveAll(m.model))
	m.must(os.CopyFS(m.model, os.DirFS(old)))
	r := m.check()
	want := []string{"model_file_tampered model.sig", "model_file_tampered w.bin", "model_replaced"}
	got := slices.DeleteFunc(said(r.Indicators), func(s string) bool { return strings.HasPrefix(s, "model_file_attributes") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("indicators (-want +got):\n%s", diff)
	}
	at := slices.IndexFunc(r.Indicators, func(i indicator.Indicator) bool { return i.Type == indicator.ModelReplaced })
	if at < 0 || r.Indicators[at].Evidence["known_since"] == nil || !strings.Contains(r.Indicators[at].Description, "older") {
		t.Errorf("it is not said that the version is an older one: %+v", r.Indicators)
	}
}

// A model that shows by itself that it was tampered with gets no baseline.
func TestFirstUseOfATamperedModel(t *testing.T) {
	tests := []struct {
		name string
		make func(*matrix)
		want []string
	}{
		{"hub_blob", func(m *matrix) { m.hub(); m.flip(hubBlob, 5) }, []string{"model_file_tampered " + hubBlob}},
		{"hub_blob_gone", func(m *matrix) { m.hub(); m.must(os.Remove(m.path(hubBlob))) }, []string{
			"model_file_missing " + hubBlob, "model_link_escapes snapshots/COMMIT/model.safetensors",
		}},
		{"signed_file", func(m *matrix) { m.signed(); m.flip("w.bin", 0) }, []string{"model_file_tampered w.bin"}},
		{"denied_file", func(m *matrix) {
			m.plain()
			m.deny(trust.File, artifact.SHA256Of([]byte("{}")).String())
		}, []string{"model_denied config.json"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMatrix(t)
			tt.make(m)
			for range 2 { // the second check is a first use again
				r := m.check()
				if diff := cmp.Diff(tt.want, said(r.Indicators)); diff != "" {
					t.Errorf("indicators (-want +got):\n%s", diff)
				}
				if r.Models[0].Baseline != nil || r.Models[0].Verdict != check.Tampered {
					t.Errorf("accepted: %+v", r.Models[0])
				}
			}
		})
	}
	m := newMatrix(t)
	m.hub()
	m.flip(hubBlob, 5)
	r := m.check()
	if e := r.Indicators[0].Evidence; e["expected_hash"] != filepath.Base(hubBlob) || e["actual_hash"] == "" {
		t.Errorf("evidence is %v", e)
	}
	if _, err := m.checker.TakeBaseline(t.Context(), artifact.Model{ID: "m", Path: m.served()}, "alice", ""); err == nil {
		t.Error("a person could vouch for content that contradicts its name")
	}
}

// An uncovered payload keeps a signature from vouching on first use.
func TestFirstUseWithUncoveredPayload(t *testing.T) {
	m := newMatrix(t)
	m.signed()
	m.write(".github/evil.py", "x")
	r := m.check()
	if diff := cmp.Diff([]string{"baseline_unverified"}, said(r.Indicators)); diff != "" || r.Models[0].Baseline.Trusted {
		t.Errorf("indicators (-want +got):\n%s", diff)
	}
}

// Putting something on the deny-list counts from the next look on.
func TestDenialsCountAtOnce(t *testing.T) {
	tests := []struct {
		name string
		deny func(*matrix)
		want []string
	}{
		{"key", func(m *matrix) { m.deny(trust.Key, m.hint(m.release)) }, []string{"baseline_revoked", "model_denied"}},
		{"identity", func(m *matrix) { m.deny(trust.Identity, "key:"+m.hint(m.release)) }, []string{"baseline_revoked", "model_denied"}},
		{"root_digest", func(m *matrix) { m.deny(trust.Root, m.check().Models[0].Root) }, []string{"baseline_revoked", "model_denied"}},
		{"signed_root_digest", func(m *matrix) {
			d, err := oms.Digest(m.Context(), m.model, "model.sig")
			m.must(err)
			m.deny(trust.Root, d.String())
		}, []string{"baseline_revoked", "model_denied"}},
		{"file_digest", func(m *matrix) { m.deny(trust.File, artifact.SHA256Of([]byte("{}")).String()) }, []string{"baseline_revoked", "model_denied config.json"}},
		{"another_key", func(m *matrix) { m.deny(trust.Key, m.hint(m.partner)) }, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMatrix(t)
			m.signed()
			if r := m.check(); r.TotalIndicators > 0 || !r.Models[0].Baseline.Trusted {
				t.Fatalf("before: %v", said(r.Indicators))
			}
			tt.deny(m)
			r := m.check()
			if diff := cmp.Diff(tt.want, said(r.Indicators)); diff != "" {
				t.Errorf("indicators (-want +got):\n%s", diff)
			}
			b := r.Models[0].Baseline
			if revoked := len(tt.want) > 0; b.Trusted == revoked || (b.Revoked != "") != revoked {
				t.Errorf("baseline is %+v", b)
			}
		})
	}
}

// A person who vouched is an identity too.
func TestDeniedPerson(t *testing.T) {
	m := newMatrix(t)
	m.plain()
	m.adopt()
	m.deny(trust.Identity, "alice")
	r := m.check()
	if diff := cmp.Diff([]string{"baseline_revoked"}, said(r.Indicators)); diff != "" || r.Models[0].Verdict != check.Untrusted {
		t.Errorf("%s, indicators (-want +got):\n%s", r.Models[0].Verdict, diff)
	}
}

func (m *matrix) hint(key *ecdsa.PrivateKey) string {
	m.Helper()
	hint, err := oms.KeyHint(key.Public())
	m.must(err)
	return hint
}

// Nothing is reported of a model that nobody touches, however often it is
// looked at.
func TestNoFalseAlarm(t *testing.T) {
	for name, build := range map[string]func(*matrix){"signed": (*matrix).signed, "hub": (*matrix).hub} {
		t.Run(name, func(t *testing.T) {
			m := newMatrix(t)
			build(m)
			if name == "signed" {
				m.checker.Hashing = matrixBlocks
			}
			m.adopt()
			for n := range 500 {
				if r := m.check(); r.TotalIndicators > 0 || r.Models[0].Verdict != check.Clean {
					t.Fatalf("check %d: %v", n, said(r.Indicators))
				}
			}
		})
	}
}
