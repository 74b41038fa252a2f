package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/drift"
	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/program"
	"github.com/weightwarden/weightwarden/internal/notify/slack"
	"github.com/weightwarden/weightwarden/internal/notify/webhook"
	"github.com/weightwarden/weightwarden/internal/pyenv"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Every file of testdata/mistakes is one mistake; the golden file is the table
// of what is said about it.
func TestMistakes(t *testing.T) {
	const golden = "testdata/mistakes.golden"
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	var got strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse("c.yaml", strings.NewReader(string(data)))
		if err == nil || c != nil || fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%s: config %v, error %v, want an invalid fault with a hint", file, c, err)
		}
		fmt.Fprintf(&got, "== %s\n%v\n", strings.TrimSuffix(filepath.Base(file), ".yaml"), err)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("messages (-want +got), -update accepts them:\n%s", diff)
	}
}

func TestGuideFileLoads(t *testing.T) {
	got, err := config.Load("testdata/valid/guide.json")
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs("testdata/valid/guide.json")
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Path: path, CheckInterval: 2 * time.Minute, AlertWebhook: "https://chat.example.org/hook/abc",
		Models: []config.Model{
			{Model: artifact.Model{ID: "ranker-v3", Path: "/srv/models/ranker-v3", Critical: true}},
			{Model: artifact.Model{ID: "embedder-v1.2", Path: "/srv/models/embedder-v1.2"}},
		},
		BaselineDependencies: map[string]string{"numpy": "1.26.4", "torch": "2.2.0+cu121"},
		DriftThreshold:       0.2, Alerts: config.Alerts{MinSeverity: finding.Medium}, Hashing: config.Hashing{FullAge: config.DefaultFullHashAge},
		Watch: config.Watch{FullPassAge: config.DefaultFullHashAge, Poll: config.DefaultPoll},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if m, ok := got.Model("ranker-v3"); !ok || !m.Critical {
		t.Errorf("Model(ranker-v3) = %v, %v", m, ok)
	}
	if _, ok := got.Model("ranker"); ok {
		t.Error("a model was found by a part of its id")
	}
}

func TestSharedGuideFileLoads(t *testing.T) {
	shared := os.Getenv("WEIGHTWARDEN_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	file := filepath.Join(shared, "guide/config.json")
	if _, err := os.Stat(file); err != nil {
		t.Skipf("no guide: %v", err)
	}
	c, err := config.Load(file)
	if err != nil || len(c.Models) != 2 || len(c.BaselineDependencies) != 3 || c.CheckInterval != 300*time.Second {
		t.Errorf("configuration %+v, error %v", c, err)
	}
}

func TestEveryKey(t *testing.T) {
	const in = `
check_interval_seconds: 1
monitored_models:
  - {id: a, path: a, archive: old/a, quarantine: /q, drift: {outputs: o.jsonl, reference: /r.json}}
  - {id: b, path: ./m/../b/}
archive: old
behavior_drift_threshold: 0.5
trust: {require_signed: true, public_keys: [k.pub], certificate_chains: [/c.pem], trusted_root: r.json, identities: [{identity: a@b, issuer: "https://c"}]}
python: {environments: [venv]}
alerts:
  min_severity: critical
  receivers:
    - {name: s, type: slack, url: {env: S}, channel: "#c", timeout: 5s}
    - {name: w, type: webhook, url: "https://x/T", headers: {A: {file: a}}, hmac_key: k, body: "{{.Text}}\n{{.Key}}", forbid_private: true, ca_file: ca.pem}
    - {name: p, type: program, path: bin/p, args: [x, "y z"]}
  routes: [{receivers: [s, w], min_severity: high, models: [a, "b*"], critical_models: true, resolved: false}, {receivers: [p]}]
  give_up_after: 2h
  refused_give_up_after: 1m
  max_pending: 500
  heartbeat: {url: "https://y", interval_seconds: 30, follow_redirects: true}
operations: {listen: ":9464", pprof: "[::1]:6060"}
hashing: {workers: 3, rate: 5242880, full_hash_age: 90m}
watch: {full_pass_age: 6h, poll_interval: 5s, drift_interval: 10m, python_interval: 2h, declare: critical}
secrets_to_rotate: [HF_TOKEN, registry/push]
templates: t.yaml
`
	got, err := config.Parse("/etc/ww/c.yaml", strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Path: "/etc/ww/c.yaml", CheckInterval: time.Second,
		Models: []config.Model{
			{
				Model: artifact.Model{ID: "a", Path: "/etc/ww/a", Archive: "/etc/ww/old/a"}, Quarantine: "/q",
				Drift: drift.Config{Outputs: "/etc/ww/o.jsonl", Reference: "/r.json"},
			},
			{Model: artifact.Model{ID: "b", Path: "/etc/ww/b", Archive: "/etc/ww/old"}},
		},
		DriftThreshold: 0.5, Archive: "/etc/ww/old",
		Trust:  config.Trust{RequireSigned: true, PublicKeys: []string{"/etc/ww/k.pub"}, CertificateChains: []string{"/c.pem"}, TrustedRoot: "/etc/ww/r.json", Identities: []config.Identity{{Name: "a@b", Issuer: "https://c"}}},
		Python: pyenv.Config{Environments: []string{"/etc/ww/venv"}},
		Alerts: config.Alerts{
			MinSeverity: finding.Critical, GiveUpAfter: 2 * time.Hour, RefusedGiveUpAfter: time.Minute, MaxPending: 500,
			Receivers: []config.Receiver{
				{Name: "s", Kind: "slack", Config: &slack.Config{URL: notify.FromEnv("S"), Channel: "#c", Policy: egress.Policy{Timeout: 5 * time.Second}}},
				{Name: "w", Kind: "webhook", Config: &webhook.Config{
					URL: notify.Inline("https://x/T"), Headers: map[string]notify.Secret{"A": notify.FromFile("/etc/ww/a")}, Key: notify.Inline("k"),
					Body: "{{.Text}}\n{{.Key}}", Policy: egress.Policy{ForbidPrivate: true, CAFile: "/etc/ww/ca.pem"},
				}},
				{Name: "p", Kind: "program", Config: &program.Config{Path: "/etc/ww/bin/p", Args: []string{"x", "y z"}}},
			},
			Routes: []config.Route{
				{Receivers: []string{"s", "w"}, MinSeverity: finding.High, Models: []string{"a", "b*"}, CriticalModels: true, Unresolved: true},
				{Receivers: []string{"p"}},
			},
			Heartbeat: &config.Heartbeat{URL: notify.Inline("https://y"), Interval: 30 * time.Second, Policy: egress.Policy{FollowRedirects: true}},
		},
		Watch: config.Watch{
			FullPassAge: 6 * time.Hour, Poll: 5 * time.Second, DriftEvery: 10 * time.Minute, PackagesEvery: 2 * time.Hour,
			Declare: finding.Critical,
		},
		Operations: config.Operations{Listen: ":9464", Pprof: "[::1]:6060"}, Hashing: config.Hashing{Workers: 3, Rate: 5 << 20, FullAge: 90 * time.Minute},
		Secrets: []string{"HF_TOKEN", "registry/push"}, Templates: "/etc/ww/t.yaml",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestAccepted(t *testing.T) {
	for name, in := range map[string]string{
		"no_models":           "{}",
		"empty_models":        `{"models": []}`,
		"json_with_tabs":      "{\n\t\"models\": [\n\t\t{\"id\": \"a\", \"path\": \"/m/a\"}\n\t]\n}",
		"json_numbers":        `{"check_interval_seconds": 3e2}`,
		"byte_order_mark":     "\ufeffarchive: /a\n",
		"neighbours":          "models: [{id: a, path: /m/a}, {id: b, path: /m/a-b}, {id: c, path: /m/ab}]",
		"no_webhook":          `alert_webhook: ""`,
		"archive_around_them": "archive: /m\nmodels: [{id: a, path: /m/a}]",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := config.Parse("c.yaml", strings.NewReader(in)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExample(t *testing.T) {
	c, err := config.Parse("/etc/weightwarden/config.yaml", strings.NewReader(config.Example()))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Models) != 2 || c.Models[1].Archive != c.Archive || c.Templates != "/etc/weightwarden/templates.yaml" {
		t.Errorf("configuration %+v", c)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#", 1<<20+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path, text string
		kind             fault.Kind
	}{
		{"absent", filepath.Join(dir, "no.yaml"), "does not exist", fault.NotFound},
		{"directory", dir, "is not a file", fault.Invalid},
		{"too_large", large, "larger than 1048576 bytes", fault.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Load(tt.path)
			if fault.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("error %v (%v), want %v %q", err, fault.KindOf(err), tt.kind, tt.text)
			}
		})
	}
}

// Promise: in an accepted configuration every model id is clean and unique,
// every path absolute and clean, the interval at least a second and the
// threshold between 0 and 1.
func FuzzParse(f *testing.F) {
	f.Add(config.Example())
	f.Add(`{"models": [{"id": "a", "path": "b"}], "check_interval_seconds": 1e0}`)
	f.Fuzz(func(t *testing.T, in string) {
		c, err := config.Parse("c.yaml", strings.NewReader(in))
		if err != nil {
			return
		}
		paths := []string{c.Path, c.Archive, c.Templates}
		paths = append(append(append(paths, c.Trust.PublicKeys...), c.Trust.CertificateChains...), c.Python.Environments...)
		ids := map[string]bool{}
		for _, m := range c.Models {
			if err := artifact.CheckID(m.ID); err != nil || ids[m.ID] || m.Path == "" {
				t.Errorf("model %q at %q: %v", m.ID, m.Path, err)
			}
			ids[m.ID] = true
			paths = append(paths, m.Path, m.Archive, m.Quarantine, m.Drift.Outputs, m.Drift.Reference)
		}
		for _, p := range paths {
			if p != "" && (!filepath.IsAbs(p) || filepath.Clean(p) != p) {
				t.Errorf("path %q", p)
			}
		}
		if c.CheckInterval < time.Second || !(c.DriftThreshold > 0 && c.DriftThreshold < 1) {
			t.Errorf("interval %v, threshold %v", c.CheckInterval, c.DriftThreshold)
		}
	})
}
