package cli_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a hostile signature may cost at most.
const (
	hostileTime   = time.Minute
	hostileMemory = 512 << 20 // bytes, resident
)

// hostile is a signature, or something beside it, that must never verify.
type hostile struct {
	name  string
	files func() map[string]string // below the work directory; model.sig is model/model.sig
	size  map[string]int64         // files that are as large as this, and empty
	codes []int
}

// hostileSigner makes signatures that verify, so that what they say is read.
type hostileSigner struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	pub string
}

func newHostileSigner(t *testing.T) hostileSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	check(t, err)
	return hostileSigner{t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

func (s hostileSigner) over(message []byte) string {
	digest := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, s.key, digest[:])
	check(s.t, err)
	return base64.StdEncoding.EncodeToString(sig)
}

// bundle signs a payload.
func (s hostileSigner) bundle(payload string) map[string]string {
	const kind = "application/vnd.in-toto+json"
	sig := s.over(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload))
	return map[string]string{"model/model.sig": `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{},"tlogEntries":[]},` +
		`"dsseEnvelope":{"payloadType":"` + kind + `","signatures":[{"sig":"` + sig + `"}],"payload":"` +
		base64.StdEncoding.EncodeToString([]byte(payload)) + `"}}`}
}

// statement lists resources, each the JSON of a name.
func statement(names ...string) string {
	digest := sha256.Sum256([]byte("w"))
	one := hex.EncodeToString(digest[:])
	root := sha256.New()
	var resources strings.Builder
	for i, name := range names {
		if i > 0 {
			resources.WriteByte(',')
		}
		resources.WriteString(`{"name":` + name + `,"algorithm":"sha256","digest":"` + one + `"}`)
		root.Write(digest[:])
	}
	return `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"` + hex.EncodeToString(root.Sum(nil)) +
		`"}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"serialization":{"method":"files","hash_type":"sha256"},"resources":[` +
		resources.String() + `]}}`
}

// blob signs a manifest as the published guide does.
func (s hostileSigner) blob(list string) map[string]string {
	return map[string]string{
		"model/.signatures/manifest.json": list,
		"model/.signatures/manifest.sig":  s.over([]byte(list)),
	}
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(`"f%d"`, i)
	}
	return out
}

func hostileInputs(s hostileSigner) []hostile {
	const sig = "model/model.sig"
	digest := sha256.Sum256([]byte("w"))
	one := hex.EncodeToString(digest[:])
	return []hostile{
		{name: "bundle_of_a_gigabyte", size: map[string]int64{sig: 1 << 30}, codes: []int{4}},
		{name: "bundle_of_brackets", files: func() map[string]string { return map[string]string{sig: strings.Repeat("[", 60<<20)} }, codes: []int{4}},
		{name: "bundle_of_one_string", files: func() map[string]string {
			return map[string]string{sig: `{"mediaType":"` + strings.Repeat("a", 60<<20) + `"}`}
		}, codes: []int{3, 4}},
		{name: "bundle_of_log_entries", files: func() map[string]string {
			return map[string]string{sig: `{"verificationMaterial":{"tlogEntries":[` + strings.Repeat("{},", 16<<20) + `{}]}}`}
		}, codes: []int{3, 4}},
		{name: "bundle_of_signatures", files: func() map[string]string {
			return map[string]string{sig: `{"dsseEnvelope":{"signatures":[` + strings.Repeat("{},", 16<<20) + `{}]}}`}
		}, codes: []int{3, 4}},
		{name: "payload_deep", files: func() map[string]string { return s.bundle(`{"a":` + strings.Repeat("[", 40<<20)) }, codes: []int{4}},
		{name: "payload_of_300000_resources", files: func() map[string]string { return s.bundle(statement(names(300_000)...)) }, codes: []int{4}},
		{name: "payload_of_a_million_resources", files: func() map[string]string { return s.bundle(statement(names(1_000_000)...)) }, codes: []int{4}},
		{name: "payload_parent", files: func() map[string]string { return s.bundle(statement(`"../w"`)) }, codes: []int{3}},
		{name: "payload_nul", files: func() map[string]string { return s.bundle(statement(`"w\u0000"`)) }, codes: []int{3}},
		{name: "payload_not_utf8", files: func() map[string]string { return s.bundle(statement("\"w\xff\"")) }, codes: []int{4}},
		{name: "payload_newline", files: func() map[string]string { return s.bundle(statement(`"w\nverified"`)) }, codes: []int{1}}, // a name like any other, of a file that is not there
		{name: "manifest_of_a_gigabyte", files: func() map[string]string { return map[string]string{"model/.signatures/manifest.sig": "AAAA"} }, size: map[string]int64{"model/.signatures/manifest.json": 1 << 30}, codes: []int{4}},
		{name: "manifest_signature_of_a_gigabyte", files: func() map[string]string { return map[string]string{"model/.signatures/manifest.json": "{}"} }, size: map[string]int64{"model/.signatures/manifest.sig": 1 << 30}, codes: []int{4}},
		{name: "manifest_deep", files: func() map[string]string { return s.blob(strings.Repeat(`{"files":`, 5<<20)) }, codes: []int{4}},
		{name: "manifest_of_600000_lines", files: func() map[string]string { return s.blob(strings.Repeat(one+"  w\n", 600_000)) }, codes: []int{3, 4}},
		{name: "manifest_parent", files: func() map[string]string { return s.blob(`{"files":{"../w":"` + one + `"}}`) }, codes: []int{3}},
		{name: "manifest_nul", files: func() map[string]string { return s.blob(`{"files":{"w\u0000":"` + one + `"}}`) }, codes: []int{3}},
		{name: "manifest_not_utf8", files: func() map[string]string { return s.blob("{\"files\":{\"w\xff\":\"" + one + "\"}}") }, codes: []int{4}},
		// Keys come from the operator: what is wrong with them is an error of usage.
		{name: "key_of_a_gigabyte", size: map[string]int64{"key.pub": 1 << 30}, codes: []int{4}},
		{name: "key_of_headers", files: func() map[string]string {
			return map[string]string{"key.pub": strings.Repeat("-----BEGIN PUBLIC KEY-----\n", 1<<15)}
		}, codes: []int{2}},
		{name: "key_of_nothing", files: func() map[string]string {
			return map[string]string{"key.pub": strings.Repeat("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 1<<14)}
		}, codes: []int{2}},
	}
}

// TestHostileSignatures verifies models whose signatures were made to hurt the
// verifier, each in a process of its own: bounded time and memory, a reason,
// and never "verified".
func TestHostileSignatures(t *testing.T) {
	if testing.Short() {
		t.Skip("reads signatures of many megabytes")
	}
	s := newHostileSigner(t)
	for _, h := range hostileInputs(s) {
		t.Run(h.name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"model/w": "w", "key.pub": s.pub}
			if h.files != nil {
				maps.Copy(files, h.files())
			}
			for name, content := range files {
				check(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
				check(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
			}
			for name, size := range h.size {
				check(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
				check(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
				check(t, os.Truncate(filepath.Join(dir, name), size))
			}
			h.run(t, dir)
		})
	}
}

func (h hostile) run(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = []string{"weightwarden", "verify", "model", "--public-key", "key.pub", "-o", "json"}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), "HOME="+dir, "WW_TEST_PEAK="+filepath.Join(dir, "peak")), &out, &errs
	start := time.Now()
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	took, resident := time.Since(start), peak(t, filepath.Join(dir, "peak"))
	t.Logf("%v, %d MiB", took.Round(time.Millisecond), resident>>20)
	if code := cmd.ProcessState.ExitCode(); !slices.Contains(h.codes, code) {
		t.Errorf("exit code %d, want one of %v: %.500s %.500s", code, h.codes, out.String(), errs.String())
	}
	if took > hostileTime || resident > hostileMemory {
		t.Errorf("%v and %d bytes of memory", took, resident)
	}
	h.verdict(t, out.Bytes(), errs.String())
}

// peak returns the most memory, in bytes, that was resident in a process which
// left its status in a file. What the kernel reports to the parent would
// include the parent.
func peak(t *testing.T, file string) int64 {
	t.Helper()
	data, err := os.ReadFile(file)
	check(t, err)
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			check(t, err)
			return n << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

func (h hostile) verdict(t *testing.T, out []byte, errs string) {
	t.Helper()
	if len(out) == 0 {
		if errs == "" || len(errs) > 2000 || strings.Contains(errs, "panic") {
			t.Errorf("said %.2000q", errs)
		}
		return
	}
	var r struct {
		Verdict    string   `json:"verdict"`
		Reasons    []string `json:"reasons"`
		Mismatches []any    `json:"mismatches"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %.500s", err, out)
	}
	if r.Verdict == "verified" || r.Verdict == "" || len(r.Reasons)+len(r.Mismatches) == 0 {
		t.Errorf("verdict %q, reasons %.500q", r.Verdict, r.Reasons)
	}
	if text := strings.Join(r.Reasons, ""); len(text) > 2000 || strings.ContainsAny(text, "\x00\x1b") {
		t.Errorf("reasons of %d bytes: %.500q", len(text), text)
	}
}
