package catalog_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/catalog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestEveryTransportIsListed(t *testing.T) {
	listed := map[string]bool{"catalog": true}
	for _, k := range catalog.All() {
		listed[path.Base(reflect.TypeOf(k.New()).Elem().PkgPath())] = true
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !listed[e.Name()] {
			t.Errorf("package %s is not in catalog.All", e.Name())
		}
	}
	if names := catalog.Names(); !slices.IsSorted(names) || len(slices.Compact(names)) != len(catalog.All()) {
		t.Errorf("names are not sorted and single: %v", names)
	}
	if _, ok := catalog.New("pigeon"); ok {
		t.Error("there is a transport by pigeon")
	}
}

// Every kind has a section in the manual that names each of its keys.
func TestEveryTransportIsDescribed(t *testing.T) {
	data, err := os.ReadFile("../../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range catalog.All() {
		_, section, ok := strings.Cut(string(data), "\n### "+k.Name+"\n")
		if !ok {
			t.Errorf("docs/alerts.md has no section %s", k.Name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		for key := range k.New().Keys() {
			if policy := strings.Contains("forbid_private follow_redirects ca_file timeout", key); !policy && !strings.Contains(section, "`"+key+"`") {
				t.Errorf("docs/alerts.md: section %s does not name %s", k.Name, key)
			}
		}
	}
}

const token = "T0KEN-8d2f"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func world() notify.World {
	return notify.World{
		Getenv: func(string) string { return "" }, Now: func() time.Time { return noon },
		Log: slog.New(slog.DiscardHandler), Host: "gpu-7",
	}
}

// alerts are one of each status, with names as an attacker would choose them.
func alerts() map[string]notify.Alert {
	file := "<!channel> `x` [y](http://evil.example) @everyone\x1b[2J"
	tampered := indicator.New(indicator.ModelFileTampered, "ranker", noon, fmt.Sprintf("%q is not the file of the baseline", file),
		map[string]any{"file": file, "expected_hash": "00", "actual_hash": "ff", "model_id": "ranker"}, file, "ff")
	text := "weightwarden: 1 new for ranker\n" + notify.Word(tampered)
	base := notify.Alert{
		Key: strings.Repeat("5e", 32), Group: "model/ranker", Severity: finding.Critical, Critical: true, Source: "ranker",
		Title: "weightwarden: 1 new for ranker", Text: text, At: noon.Add(time.Second), Host: "gpu-7",
	}
	firing, resolved, test, long := base, base, base, base
	firing.Status, firing.New, firing.Open = notify.Firing, []indicator.Indicator{tampered}, 1
	resolved.Status, resolved.Resolved, resolved.Title = notify.Resolved, []indicator.Indicator{tampered}, "weightwarden: resolved: ranker"
	test.Status, test.Severity, test.Group = notify.Test, finding.Low, "test"
	long.Status, long.New, long.Open = notify.Firing, []indicator.Indicator{tampered}, 1
	long.Title, long.Text = strings.Repeat("ä<", 5000), strings.Repeat("ö&\n", 200000)
	return map[string]notify.Alert{"firing": firing, "resolved": resolved, "test": test, "long": long}
}

// seen is a request that a receiver got.
type seen struct {
	method, path string
	header       http.Header
	body         []byte
}

// receive starts a receiver that answers as told, and tells what it got.
func receive(t *testing.T, answer http.HandlerFunc) (address string, last func() *seen) {
	t.Helper()
	var got *seen
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = &seen{r.Method, r.URL.RequestURI(), r.Header, body}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/" + token, func() *seen { return got }
}

func ok(http.ResponseWriter, *http.Request) {}

// fill sets every key of a configuration that has an address; false for a kind
// that does not speak HTTP.
func fill(conf notify.Config, address string) bool {
	keys := conf.Keys()
	url, speaks := keys["url"].(*notify.Secret)
	if !speaks {
		return false
	}
	*url = notify.Inline(address)
	for _, key := range []string{"routing_key", "api_key", "token", "hmac_key"} {
		if s, ok := keys[key].(*notify.Secret); ok {
			*s = notify.Inline(token + key)
		}
	}
	if h, ok := keys["headers"].(*map[string]notify.Secret); ok {
		*h = map[string]notify.Secret{"Authorization": notify.Inline("Bearer " + token)}
	}
	if l, ok := keys["labels"].(*map[string]string); ok {
		*l = map[string]string{"site": "paris"}
	}
	return true
}

// each runs a test with every kind that speaks HTTP.
func each(t *testing.T, test func(t *testing.T, kind string, fresh func() notify.Config)) {
	n := 0
	for _, k := range catalog.All() {
		if fill(k.New(), "http://x") {
			n++
			t.Run(k.Name, func(t *testing.T) { test(t, k.Name, k.New) })
		}
	}
	if n < 8 {
		t.Errorf("%d kinds speak HTTP", n)
	}
}

func open(t *testing.T, conf notify.Config) notify.Transport {
	t.Helper()
	if err := conf.Check(); err != nil {
		t.Fatal(err)
	}
	tr, err := conf.Open(world())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// What is sent stays as it is, and keeps to the documented form of each
// receiver, whatever stands in the alert.
func TestPayloads(t *testing.T) {
	each(t, func(t *testing.T, kind string, fresh func() notify.Config) {
		for _, status := range slices.Sorted(maps.Keys(alerts())) {
			address, last := receive(t, ok)
			conf := fresh()
			fill(conf, address)
			a := alerts()[status]
			if retry, err := open(t, conf).Send(t.Context(), a); err != nil || retry {
				t.Fatalf("%s: retry %v, %v", status, retry, err)
			}
			keepsTo(t, kind, last())
			if strings.Contains(string(last().body), "\x1b") {
				t.Errorf("%s: a control character was sent", status)
			}
			if key := last().header.Get("Idempotency-Key"); key != a.Key {
				t.Errorf("%s: key %q", status, key)
			}
			if status != "long" {
				golden(t, kind+"."+status, dump(t, last()))
			}
		}
	})
}

// keepsTo checks a body against the recorded schema of its receiver.
func keepsTo(t *testing.T, kind string, got *seen) {
	t.Helper()
	if strings.Contains(got.path, "/close") {
		kind += ".close"
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("testdata/schemas/" + kind + ".json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("%s: %v", kind, err)
	}
	if kind != "webhook" && kind != "cloudevents" && len(got.body) > 512<<10 {
		t.Errorf("%s: %d bytes", kind, len(got.body))
	}
}

func dump(t *testing.T, s *seen) string {
	t.Helper()
	var out, body bytes.Buffer
	fmt.Fprintf(&out, "%s %s\n", s.method, s.path)
	for _, name := range slices.Sorted(maps.Keys(s.header)) {
		if !slices.Contains([]string{"Accept-Encoding", "Content-Length"}, name) {
			fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(s.header[name], ", "))
		}
	}
	if err := json.Indent(&body, s.body, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n" + body.String() + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got), -update accepts it:\n%s", name, d)
	}
}

// Which answers end the matter, which are worth another try, and that none of
// it is told with a secret.
func TestAnswers(t *testing.T) {
	tests := []struct {
		status    int
		ok, retry bool
	}{
		{200, true, false},
		{202, true, false},
		{204, true, false},
		{301, false, false},
		{302, false, false},
		{304, false, false},
		{307, false, false},
		{400, false, false},
		{401, false, false},
		{404, false, false},
		{408, false, true},
		{413, false, false},
		{425, false, true},
		{429, false, true},
		{500, false, true},
		{503, false, true},
	}
	each(t, func(t *testing.T, _ string, fresh func() notify.Config) {
		for _, tt := range tests {
			followed := false
			elsewhere, _ := receive(t, func(http.ResponseWriter, *http.Request) { followed = true })
			address, _ := receive(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", elsewhere)
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, "no "+r.URL.String()+r.Header.Get("Authorization")+" "+token)
			})
			conf := fresh()
			fill(conf, address)
			retry, err := open(t, conf).Send(t.Context(), alerts()["firing"])
			if (err == nil) != tt.ok || retry != tt.retry || followed {
				t.Errorf("%d: retry %v, %v, followed %v", tt.status, retry, err, followed)
			}
			hides(t, address, err)
		}
	})
}

func hides(t *testing.T, address string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range []string{address, token + "routing_key", token + "api_key", "Bearer " + token, "127.0.0.1"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %q: %v", secret, err)
		}
	}
}

func TestSecretsFromFilesAndEnvironment(t *testing.T) {
	each(t, func(t *testing.T, _ string, fresh func() notify.Config) {
		address, last := receive(t, ok)
		file := filepath.Join(t.TempDir(), "url")
		if err := os.WriteFile(file, []byte(address+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		conf := fresh()
		fill(conf, "")
		*conf.Keys()["url"].(*notify.Secret) = notify.FromFile(file)
		tr := open(t, conf)
		if _, err := tr.Send(t.Context(), alerts()["firing"]); err != nil || last() == nil {
			t.Errorf("%v", err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if retry, err := tr.Send(t.Context(), alerts()["firing"]); err == nil || !retry {
			t.Errorf("without its file: retry %v, %v", retry, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", conf, conf, conf), token) {
			t.Error("a configuration prints its secret")
		}
	})
}

func TestPrivateAddressIsRefused(t *testing.T) {
	each(t, func(t *testing.T, _ string, fresh func() notify.Config) {
		address, last := receive(t, ok)
		conf := fresh()
		fill(conf, strings.Replace(address, "127.0.0.1", "localhost", 1))
		*conf.Keys()["forbid_private"].(*bool) = true
		retry, err := open(t, conf).Send(t.Context(), alerts()["firing"])
		if err == nil || retry || last() != nil || !strings.Contains(err.Error(), "forbid_private") {
			t.Errorf("retry %v, %v, received %v", retry, err, last())
		}
		hides(t, address, err)
	})
}

func TestMissingKeys(t *testing.T) {
	for _, k := range catalog.All() {
		err := k.New().Check()
		if (err == nil) != (k.Name == "log" || k.Name == "kubernetes") {
			t.Errorf("an empty configuration of %s: %v", k.Name, err)
		}
	}
}
