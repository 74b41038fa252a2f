package check_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
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
	"github.com/weightwarden/weightwarden/internal/drift"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/store"
	"github.com/weightwarden/weightwarden/internal/trust"
)

var (
	stateKey = evidence.SigningKey{Name: "weightwarden/test", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	start    = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
)

// host is a checker over a real state directory, one model and a signing key.
type host struct {
	*check.Checker
	t          *testing.T
	state, dir string
	key        *ecdsa.PrivateKey
}

func newHost(t *testing.T) *host {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, state: t.TempDir(), dir: filepath.Join(t.TempDir(), "m"), key: key}
	h.Checker = &check.Checker{
		Targets: []check.Target{{Model: artifact.Model{ID: "m", Path: h.dir}}},
		Trust:   oms.Trust{Keys: []crypto.PublicKey{key.Public()}}, DriftThreshold: 0.15, Actor: "ana@host", Now: func() time.Time { return start },
	}
	h.open()
	h.write("weights.bin", "weights")
	h.write("config.json", "{}")
	return h
}

func (h *host) open() {
	h.t.Helper()
	db, err := store.Open(h.t.Context(), h.state, stateKey)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = db.Close() })
	h.Ledger = db.Ledger()
	h.Baselines = baseline.Store{Documents: db.Documents(), Ledger: db.Ledger()}
}

func (h *host) write(name, content string) {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) do(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) remove(name string) { h.t.Helper(); h.do(os.RemoveAll(filepath.Join(h.dir, name))) }

func (h *host) sign() {
	h.t.Helper()
	_, err := oms.Sign(h.t.Context(), h.dir, h.key, oms.SignOptions{})
	h.do(err)
}

func (h *host) append(kind string, body any) {
	h.t.Helper()
	_, err := h.Ledger.Append(h.t.Context(), trust.Log, evidence.Any, evidence.Draft{Time: start, Actor: "ana", Kind: kind, Body: body})
	h.do(err)
}

func (h *host) denyRoot() {
	h.t.Helper()
	m, err := manifest.Take(h.t.Context(), h.dir, manifest.Options{})
	h.do(err)
	h.append(trust.KindDenied, trust.Denial{Subject: trust.Root, Value: m.Root().String(), Reason: "bad", Incident: "INC-1"})
}

func (h *host) denyKey() {
	h.t.Helper()
	hint, err := oms.KeyHint(h.key.Public())
	h.do(err)
	h.append(trust.KindDenied, trust.Denial{Subject: trust.Key, Value: hint, Reason: "stolen"})
}

// alter does what an intruder with write permission does.
func (h *host) alter(statement string) {
	h.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.state, "weightwarden.db"))
	h.do(err)
	_, err = db.ExecContext(h.t.Context(), statement)
	h.do(err)
	h.do(db.Close())
}

func (h *host) run(only ...string) *check.Report {
	h.t.Helper()
	r, err := h.Run(h.t.Context(), only)
	h.do(err)
	return r
}

func types(r *check.Report) []string {
	out := []string{}
	for _, i := range r.Indicators {
		out = append(out, strings.TrimSuffix(string(i.Type)+" "+i.File(), " "))
	}
	return out
}

func TestRun(t *testing.T) {
	signed := func(h *host) { h.sign(); h.run() }
	used := func(h *host) { h.run() }
	const unverified = "baseline_unverified"
	tests := []struct {
		name     string
		before   func(h *host) // up to a baseline, or not
		then     func(h *host)
		want     []string // worst first
		verdict  check.Verdict
		baseline trust.Voucher // "" where there is none
	}{
		{"first_use", nil, nil, []string{unverified}, check.Unverified, trust.FirstUse},
		{"second_look", used, nil, []string{unverified}, check.Clean, trust.FirstUse},
		{"first_use_signed", func(h *host) { h.sign() }, nil, []string{}, check.Unverified, trust.BySignature},
		{"clean", signed, nil, []string{}, check.Clean, trust.BySignature},
		{"tampered", signed, func(h *host) { h.write("weights.bin", "Weights") }, []string{"model_file_tampered weights.bin"}, check.Tampered, trust.BySignature},
		{"tampered_and_nobody_vouches", used, func(h *host) { h.write("weights.bin", "Weights") }, []string{"model_file_tampered weights.bin", unverified}, check.Tampered, trust.FirstUse},
		{"missing_file", signed, func(h *host) { h.remove("weights.bin") }, []string{"model_file_missing weights.bin"}, check.Tampered, trust.BySignature},
		{"unexpected_in_signatures", signed, func(h *host) { h.write(".signatures/x", "x") }, []string{"unexpected_model_file .signatures/x"}, check.Tampered, trust.BySignature},
		{"unexpected_beside_signatures", signed, func(h *host) { h.write("x.signatures", "x") }, []string{"unexpected_model_file x.signatures"}, check.Tampered, trust.BySignature},
		{"signature_gone", signed, func(h *host) { h.remove("model.sig") }, []string{"model_file_missing model.sig"}, check.Tampered, trust.BySignature},
		{"pipe", signed, func(h *host) { h.do(syscall.Mkfifo(filepath.Join(h.dir, "pipe"), 0o600)) }, []string{
			"model_file_unreadable pipe", "unexpected_model_file pipe",
		}, check.Tampered, trust.BySignature},
		{"pipe_on_first_use", func(h *host) { h.do(syscall.Mkfifo(filepath.Join(h.dir, "pipe"), 0o600)) }, nil, []string{"model_file_unreadable pipe"}, check.Error, ""},
		{"link_out", signed, func(h *host) { h.do(os.Symlink("/etc/passwd", filepath.Join(h.dir, "link"))) }, []string{
			"model_file_tampered link", "model_link_escapes link", "unexpected_model_file link",
		}, check.Tampered, trust.BySignature},
		{"link_out_on_first_use", func(h *host) { h.do(os.Symlink("/etc/passwd", filepath.Join(h.dir, "link"))) }, nil, []string{"model_link_escapes link"}, check.Error, ""},
		{"path_missing", signed, func(h *host) { h.do(os.RemoveAll(h.dir)) }, []string{"model_missing"}, check.Tampered, ""},
		{"path_missing_on_first_use", func(h *host) { h.do(os.RemoveAll(h.dir)) }, nil, []string{"model_missing"}, check.Tampered, ""},
		{"path_is_a_pipe", signed, func(h *host) {
			h.do(os.RemoveAll(h.dir))
			h.do(syscall.Mkfifo(h.dir, 0o600))
		}, []string{"model_unreadable"}, check.Error, ""},
		{"volume_not_mounted_on_first_use", func(h *host) { h.remove("weights.bin"); h.remove("config.json") }, nil, []string{"check_failed"}, check.Error, ""},
		{"root_denied", signed, func(h *host) { h.denyRoot() }, []string{"model_denied", "baseline_revoked"}, check.Tampered, trust.BySignature},
		{"root_denied_on_first_use", func(h *host) { h.sign(); h.denyRoot() }, nil, []string{"model_denied"}, check.Tampered, ""},
		{"file_denied", signed, func(h *host) {
			h.append(trust.KindDenied, trust.Denial{Subject: trust.File, Value: artifact.SHA256Of([]byte("weights")).String()})
		}, []string{"model_denied weights.bin", "baseline_revoked"}, check.Tampered, trust.BySignature},
		{"denial_of_another_file", signed, func(h *host) {
			h.append(trust.KindDenied, trust.Denial{Subject: trust.File, Value: artifact.SHA256Of([]byte("other")).String()})
		}, []string{}, check.Clean, trust.BySignature},
		{"key_denied_on_first_use", func(h *host) { h.sign(); h.denyKey() }, nil, []string{"model_denied"}, check.Tampered, ""},
		{"signed_by_a_stranger", func(h *host) { h.sign(); h.Trust = oms.Trust{} }, nil, []string{unverified}, check.Unverified, trust.FirstUse},
		{"signed_and_tampered_on_first_use", func(h *host) { h.sign(); h.write("weights.bin", "Weights") }, nil, []string{"model_file_tampered weights.bin"}, check.Tampered, ""},
		{"signature_required_and_there", func(h *host) { h.sign(); h.RequireSigned = true }, nil, []string{}, check.Unverified, trust.BySignature},
		{"signature_required", func(h *host) { h.RequireSigned = true }, nil, []string{"baseline_refused"}, check.Untrusted, ""},
		{"signature_required_of_another_key", func(h *host) { h.sign(); h.RequireSigned = true; h.Trust = oms.Trust{} }, nil, []string{"baseline_refused"}, check.Untrusted, ""},
		{"signature_required_later", used, func(h *host) { h.RequireSigned = true }, []string{"baseline_refused"}, check.Untrusted, trust.FirstUse},
		{"signature_required_and_a_person_vouches", func(h *host) {
			_, err := h.TakeBaseline(h.t.Context(), h.Targets[0].Model, "ana", "")
			h.do(err)
			h.RequireSigned = true
		}, nil, []string{"baseline_refused"}, check.Untrusted, trust.ByPerson},
		{"baseline_altered", signed, func(h *host) { h.alter(`UPDATE documents SET doc = x'00'`) }, []string{"baseline_altered"}, check.Tampered, ""},
		{"baseline_gone", signed, func(h *host) { h.alter(`DELETE FROM documents; DELETE FROM documents_history`) }, []string{"baseline_altered"}, check.Tampered, ""},
		{"record_altered", used, func(h *host) {
			h.alter(`UPDATE entries SET entry = replace(entry, 'first_use', 'signature')`)
		}, []string{"record_altered"}, check.Error, ""},
		{"record_is_no_record", used, func(h *host) { h.alter(`UPDATE entries SET entry = '{}'`) }, []string{"record_altered"}, check.Error, ""},
		{"record_of_baselines_gone", signed, func(h *host) {
			h.write("weights.bin", "Weights")
			h.alter(`DELETE FROM entries`)
		}, []string{"record_altered"}, check.Error, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			for _, step := range []func(*host){tt.before, tt.then} {
				if step != nil {
					step(h)
				}
			}
			h.open() // a restart
			r := h.run()
			if diff := cmp.Diff(tt.want, slices.Compact(types(r))); diff != "" {
				t.Errorf("indicators (-want +got):\n%s", diff)
			}
			m := r.Models[0]
			voucher := trust.Voucher("")
			if m.Baseline != nil {
				voucher = m.Baseline.Voucher
			}
			if m.Verdict != tt.verdict || voucher != tt.baseline {
				t.Errorf("verdict %s, voucher %q", m.Verdict, voucher)
			}
			if r.TotalIndicators != len(r.Indicators) || r.Indicators == nil || !r.CheckTime.Equal(start) {
				t.Errorf("report is %+v", r)
			}
			if again := h.run(); tt.verdict != check.Unverified && !cmp.Equal(types(r), types(again)) {
				t.Errorf("the next look finds %v", types(again))
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	h := newHost(t)
	h.run()
	h.write("weights.bin", "poison")
	h.write("new", "")
	r := h.run()
	m := r.Models[0]
	if m.Files != 3 || m.Bytes != 8 || m.Root == "" || m.Root == m.Baseline.Root || m.Baseline.Trusted || r.Critical != 1 || !r.IncidentDetected {
		t.Errorf("report is %+v, %+v", r, m)
	}
	if clean := newHost(t).run(); clean.IncidentDetected || clean.Critical != 0 {
		t.Errorf("first use is an incident: %+v", clean)
	}
}

func TestOnly(t *testing.T) {
	h := newHost(t)
	other := filepath.Join(t.TempDir(), "gone")
	h.Targets = append(h.Targets, check.Target{Model: artifact.Model{ID: "other", Path: other, Critical: true}})
	h.Packages = map[string]string{"torch": "2.2.0"} // belongs to no model
	if r := h.run("m"); len(r.Models) != 1 || !cmp.Equal(types(r), []string{"baseline_unverified"}) {
		t.Errorf("found %v", types(r))
	}
	if r := h.run(); len(r.Models) != 2 || r.Indicators[0].Source != "other" || !r.Models[1].Critical {
		t.Errorf("found %v", types(r))
	}
	if _, err := h.Run(t.Context(), []string{"m", "nothing\n"}); fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestPackages(t *testing.T) {
	h := newHost(t)
	h.sign()
	env := t.TempDir()
	site := filepath.Join(env, "lib", "python3.11", "site-packages")
	for _, p := range []string{"torch-2.2.0", "numpy-1.26.0"} {
		dir := filepath.Join(site, p+".dist-info")
		h.do(os.MkdirAll(dir, 0o700))
		name, version, _ := strings.Cut(p, "-")
		h.do(os.WriteFile(filepath.Join(dir, "METADATA"), []byte("Metadata-Version: 2.1\nName: "+name+"\nVersion: "+version+"\n"), 0o600))
	}
	h.Environments = []string{env}
	h.Packages = map[string]string{"torch": "2.2.0", "numpy": "1.26.4", "scipy": "1.0"}
	if diff := cmp.Diff([]string{"dependency_changed", "dependency_missing"}, types(h.run())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h.Environments = []string{filepath.Join(env, "gone")}
	if got := types(h.run()); !slices.Contains(got, "dependency_unreadable") || slices.Contains(got, "dependency_missing") {
		t.Errorf("found %v", got)
	}
}

func TestBehaviour(t *testing.T) {
	lines := func(class string, n int) string { return strings.Repeat(`{"predicted_class": "`+class+`"}`+"\n", n) }
	tests := []struct {
		name    string
		outputs func(h *host, path string)
		want    []string
	}{
		{"as_before", func(h *host, path string) {
			h.do(os.WriteFile(path, []byte(lines("a", 50)+lines("b", 50)), 0o600))
		}, []string{}},
		{"drifted", func(h *host, path string) { h.do(os.WriteFile(path, []byte(lines("b", 100)), 0o600)) }, []string{"behavior_drift"}},
		{"not_json", func(h *host, path string) { h.do(os.WriteFile(path, []byte("hello\n"), 0o600)) }, []string{"behavior_unreadable"}},
		{"no_outputs", func(h *host, path string) { h.do(os.WriteFile(path, nil, 0o600)) }, []string{"behavior_insufficient"}},
		{"no_file", func(*host, string) {}, []string{"behavior_unreadable"}},
		{"a_pipe_that_nobody_writes", func(h *host, path string) { h.do(syscall.Mkfifo(path, 0o600)) }, []string{"behavior_unreadable"}},
		{"a_directory", func(h *host, path string) { h.do(os.Mkdir(path, 0o700)) }, []string{"behavior_unreadable"}},
		{"a_link_to_the_file_of_today", func(h *host, path string) {
			h.do(os.WriteFile(path+".1", []byte(lines("b", 100)), 0o600))
			h.do(os.Symlink(path+".1", path))
		}, []string{"behavior_drift"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			h.sign()
			dir := t.TempDir()
			files := drift.Config{Outputs: filepath.Join(dir, "outputs.jsonl"), Reference: filepath.Join(dir, "reference.json")}
			h.do(os.WriteFile(files.Reference, []byte(`{"a": 0.5, "b": 0.5}`), 0o600))
			h.Targets[0].Drift = files
			tt.outputs(h, files.Outputs)
			r := h.run()
			if diff := cmp.Diff(tt.want, types(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if r.Models[0].Verdict == check.Tampered {
				t.Error("the files are called tampered with")
			}
		})
	}
}

func TestTakeBaseline(t *testing.T) {
	take := func(h *host, who string) error {
		_, err := h.TakeBaseline(h.t.Context(), h.Targets[0].Model, who, "reason")
		return err
	}
	tests := []struct {
		name   string
		before func(h *host)
		who    string
		want   fault.Kind // Internal where it succeeds
		by     trust.Voucher
	}{
		{"nobody", nil, "", fault.Internal, trust.FirstUse},
		{"person", nil, "ana", fault.Internal, trust.ByPerson},
		{"signature", func(h *host) { h.sign() }, "ana", fault.Internal, trust.BySignature},
		{"signature_required", func(h *host) { h.RequireSigned = true }, "ana", fault.Untrusted, ""},
		{"denied", func(h *host) { h.denyRoot() }, "ana", fault.Untrusted, ""},
		{"key_denied", func(h *host) { h.sign(); h.denyKey(); h.RequireSigned = true }, "", fault.Untrusted, ""},
		{"model_missing", func(h *host) { h.do(os.RemoveAll(h.dir)) }, "ana", fault.NotFound, ""},
		{"pipe", func(h *host) { h.do(syscall.Mkfifo(filepath.Join(h.dir, "pipe"), 0o600)) }, "ana", fault.Incomplete, ""},
		{"record_altered", func(h *host) { h.run(); h.alter(`DELETE FROM entries`) }, "ana", fault.Incomplete, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			if tt.before != nil {
				tt.before(h)
			}
			err := take(h, tt.who)
			if (err != nil) != (tt.by == "") || fault.KindOf(err) != tt.want {
				t.Fatalf("got %v (%v)", err, fault.KindOf(err))
			}
			if err != nil {
				return
			}
			entries, err := h.Ledger.Entries(t.Context(), trust.Log, 1)
			h.do(err)
			state, err := trust.Fold(entries)
			h.do(err)
			b, _ := state.Baseline("m")
			if b.Body.Voucher != tt.by || b.Body.Reason != "reason" {
				t.Errorf("baseline is %+v", b.Body)
			}
			if v, ok := state.VouchedFor(b.Body.Root, start.Add(1)); ok != (tt.by == trust.ByPerson) || ok && v.Body.How != trust.Approved {
				t.Errorf("vouched for: %v, %+v", ok, v)
			}
		})
	}
}

// Found outranks doubt, which outranks what could not be looked at; the
// command line turns the first into its exit code.
func TestOutcome(t *testing.T) {
	const (
		tampered   = indicator.ModelFileTampered
		unexpected = indicator.UnexpectedModelFile
		refused    = indicator.BaselineRefused
		doubt      = indicator.BaselineUnverified
		unread     = indicator.ModelFileUnreadable
		few        = indicator.BehaviorInsufficient
	)
	tests := []struct {
		name                         string
		types                        []indicator.Type
		failOn                       finding.Severity
		found, untrusted, incomplete bool
	}{
		{"nothing", nil, finding.High, false, false, false},
		{"first_use", []indicator.Type{doubt}, finding.Low, false, false, false},
		{"tampered", []indicator.Type{tampered}, finding.High, true, false, false},
		{"high_where_only_critical_counts", []indicator.Type{unexpected}, finding.Critical, false, false, false},
		{"critical_where_only_critical_counts", []indicator.Type{tampered}, finding.Critical, true, false, false},
		{"refused", []indicator.Type{refused}, finding.High, false, true, false},
		{"refused_is_not_found", []indicator.Type{refused}, finding.Low, false, true, false},
		{"unreadable", []indicator.Type{unread}, finding.Critical, false, false, true},
		{"too_little_to_judge", []indicator.Type{few}, finding.Critical, false, false, true},
		{"all", []indicator.Type{few, refused, tampered}, finding.High, true, true, true},
		{"unknown_type_of_a_newer_program", []indicator.Type{"model_sings"}, finding.High, true, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &check.Report{}
			for _, typ := range tt.types {
				r.Indicators = append(r.Indicators, indicator.New(typ, "m", start, "", nil))
			}
			found, untrusted, incomplete := r.Outcome(tt.failOn)
			if found != tt.found || untrusted != tt.untrusted || incomplete != tt.incomplete {
				t.Errorf("found %v, untrusted %v, incomplete %v", found, untrusted, incomplete)
			}
		})
	}
}
