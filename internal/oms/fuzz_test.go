package oms

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// small keeps hostile input from being slow instead of wrong.
var small = Limits{Bundle: 1 << 20, Resources: 1000}.fill()

// FuzzBundle: a mutated bundle is either not accepted, or says exactly what
// was signed.
func FuzzBundle(f *testing.F) {
	key := newKey(f, elliptic.P256())
	dir := model(f, map[string]string{"a": "a", "b/c": "c"})
	l, err := list(f.Context(), dir, true, listOptions{})
	must(f, err)
	payload, err := l.statement("m", false)
	must(f, err)
	data, err := seal(payload, key, mustMaterial(f, key), rand.Reader)
	must(f, err)
	f.Add(data)
	f.Add([]byte(strings.Replace(string(data), `"hint"`, `"keyDetails"`, 1)))
	f.Add([]byte(`{"mediaType":"` + bundleType + `","verificationMaterial":{"x509CertificateChain":{"certificates":[{"rawBytes":"MAA="}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBundle(data, small)
		if err != nil {
			return
		}
		if b.payloadType != payloadType || len(b.payload) == 0 || len(b.signature) == 0 {
			t.Fatalf("accepted %+v", b)
		}
		var naive struct {
			Envelope struct {
				Signatures []json.RawMessage `json:"signatures"`
			} `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(data, &naive); err != nil || len(naive.Envelope.Signatures) != 1 {
			t.Fatalf("another reader sees %d signatures, %v", len(naive.Envelope.Signatures), err)
		}
		s, err := check{bundle: b, raw: data, trust: trust(key), now: vectorTime}.signer(t.Context())
		if err == nil && (!bytes.Equal(b.payload, payload) || s.key == nil) {
			t.Fatalf("accepted a signature over %q", b.payload)
		}
	})
}

// FuzzStatement: what is understood names every file once, by a path that
// stays inside the model, and its root digest is that of a naive reading.
func FuzzStatement(f *testing.F) {
	dir := model(f, map[string]string{"a:1": "aaaa", "b/c": "c"})
	l, err := list(f.Context(), dir, true, listOptions{ignore: []string{"x"}})
	must(f, err)
	whole, err := l.statement("m", true)
	must(f, err)
	f.Add(whole)
	f.Add(shardStatement(f, dir, artifact.SHA256, 3))
	f.Add(shardStatement(f, dir, artifact.BLAKE2b512, 3))
	f.Add([]byte(`{"_type":"` + statementType + `","predicateType":"` + predicateV01 + `","subject":[{"name":"a","digest":{"sha256":"` +
		hexOf("a") + `"},"annotations":{"actual_hash_algorithm":"file-sha256"}}],"predicate":{"unused":"x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseStatement(data, small)
		if err != nil {
			return
		}
		c, err := s.understand()
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, file := range c.files {
			if seen[file.path] || !filepath.IsLocal(file.path) || file.path == "." && len(c.files) > 1 {
				t.Fatalf("accepted the path %q", file.path)
			}
			seen[file.path] = true
			checkTiling(t, file)
		}
		if len(c.files) == 0 {
			t.Fatal("accepted a statement over nothing")
		}
		if !c.root.IsZero() && c.root.Hex() != naiveRoot(t, data) {
			t.Fatalf("root digest %v", c.root)
		}
	})
}

func checkTiling(t *testing.T, c claim) {
	t.Helper()
	if c.whole() {
		return
	}
	at := int64(0)
	for _, s := range c.shards {
		if s.start != at || s.end <= s.start {
			t.Fatalf("%q: shards %v", c.path, c.shards)
		}
		at = s.end
	}
}

// naiveRoot reads a statement as a careless verifier would.
func naiveRoot(t *testing.T, data []byte) string {
	t.Helper()
	var s struct {
		Predicate struct {
			Resources []struct {
				Digest artifactHex `json:"digest"`
			} `json:"resources"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatalf("another reader refuses it: %v", err)
	}
	h := sha256.New()
	for _, r := range s.Predicate.Resources {
		h.Write(r.Digest)
	}
	d, err := artifact.NewDigest(artifact.SHA256, h.Sum(nil))
	must(t, err)
	return d.Hex()
}

type artifactHex []byte

func (a *artifactHex) UnmarshalText(text []byte) (err error) {
	*a = make([]byte, len(text)/2)
	for i := range *a {
		d, parseErr := artifact.ParseDigest(strings.Repeat(string(text[2*i:2*i+2]), 32))
		if parseErr != nil {
			return parseErr
		}
		(*a)[i] = d.Bytes()[0]
	}
	return nil
}

// FuzzBlobManifest: what is accepted names every file once, by a path that
// stays inside the model, each with a SHA-256 digest.
func FuzzBlobManifest(f *testing.F) {
	d := hexOf("a")
	for _, seed := range []string{
		`{"files":{"a":"` + d + `"}}`, `{"files":[{"path":"a","sha256":"` + d + `"}]}`, `{"a":"` + d + `"}`,
		d + "  a\n" + d + " *b\n", `\` + d + `  a\n` + "\n", `{"files":{"../a":"` + d + `"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseBlobManifest(data, small)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, file := range c.files {
			if seen[file.path] || artifact.CheckPath(file.path) != nil || !file.plainSHA256() {
				t.Fatalf("accepted %q: %v", file.path, file.shards)
			}
			seen[file.path] = true
		}
		if len(seen) == 0 || len(c.ignore) > 0 {
			t.Fatalf("accepted %+v", c)
		}
	})
}
