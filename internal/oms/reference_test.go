package oms

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// referenceVerify applies the rules of the reference implementation's command
// line to a bundle that a key signed: the first signature counts, a wrong hint
// does not pass and none does, files and their names are compared as a map of
// text, a model that is one file is called ".", and what the bundle and the
// defaults ignore is not looked at. It shares nothing with this package.
func referenceVerify(model, bundleFile string, pub *ecdsa.PublicKey) error {
	data, err := os.ReadFile(bundleFile)
	if err != nil {
		return err
	}
	var b struct {
		MediaType string `json:"mediaType"`
		Material  struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Payload    []byte `json:"payload"`
			Type       string `json:"payloadType"`
			Signatures []struct {
				Sig []byte `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	if b.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" || b.Envelope.Type != "application/vnd.in-toto+json" || len(b.Envelope.Signatures) == 0 {
		return errors.New("another kind of bundle")
	}
	if err := referenceHint(pub, b.Material.PublicKey.Hint); err != nil {
		return err
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 28 %s %d %s", b.Envelope.Type, len(b.Envelope.Payload), b.Envelope.Payload))
	if !ecdsa.VerifyASN1(pub, digest[:], b.Envelope.Signatures[0].Sig) {
		return errors.New("signature")
	}
	return referenceFiles(model, bundleFile, b.Envelope.Payload)
}

func referenceHint(pub *ecdsa.PublicKey, hint string) error {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return err
	}
	var text bytes.Buffer // PEM, written by hand
	text.WriteString("-----BEGIN PUBLIC KEY-----\n")
	encoded, err := json.Marshal(der)
	if err != nil {
		return err
	}
	for line := range slices.Chunk(encoded[1:len(encoded)-1], 64) {
		text.Write(line)
		text.WriteByte('\n')
	}
	text.WriteString("-----END PUBLIC KEY-----\n")
	if sum := sha256.Sum256(text.Bytes()); hint != "" && hint != hex.EncodeToString(sum[:]) {
		return errors.New("hint")
	}
	return nil
}

func referenceFiles(model, bundleFile string, payload []byte) error {
	var st struct {
		Type    string `json:"_type"`
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		PredicateType string `json:"predicateType"`
		Predicate     struct {
			Serialization struct {
				Ignore []string `json:"ignore_paths"`
			} `json:"serialization"`
			Resources []struct {
				Name      string `json:"name"`
				Algorithm string `json:"algorithm"`
				Digest    string `json:"digest"`
			} `json:"resources"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &st); err != nil {
		return err
	}
	if st.Type != "https://in-toto.io/Statement/v1" || st.PredicateType != "https://model_signing/signature/v1.0" || len(st.Subject) != 1 {
		return errors.New("another kind of statement")
	}
	want, root := map[string]string{}, sha256.New()
	for _, r := range st.Predicate.Resources {
		raw, err := hex.DecodeString(r.Digest)
		if err != nil {
			return err
		}
		root.Write(raw)
		want[r.Name] = r.Algorithm + ":" + hex.EncodeToString(raw)
	}
	if got := hex.EncodeToString(root.Sum(nil)); got != st.Subject[0].Digest["sha256"] {
		return errors.New("root digest")
	}
	got, err := referenceManifest(model, bundleFile, st.Predicate.Serialization.Ignore)
	if err == nil && !maps.Equal(got, want) {
		err = fmt.Errorf("signature mismatch: want %v, got %v", want, got)
	}
	return err
}

func referenceManifest(model, bundleFile string, ignored []string) (map[string]string, error) {
	got := map[string]string{}
	skip := append([]string{".git", ".gitattributes", ".github", ".gitignore"}, ignored...)
	err := filepath.WalkDir(model, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(model, p)
		if err != nil {
			return err
		}
		name := path.Clean(filepath.ToSlash(rel))
		hidden := slices.ContainsFunc(skip, func(s string) bool { return name == s || strings.HasPrefix(name, s+"/") })
		switch {
		case hidden || p == bundleFile || d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is no file", name)
		}
		data, err := os.ReadFile(p)
		got[name] = fmt.Sprintf("sha256:%x", sha256.Sum256(data))
		return err
	})
	return got, err
}

// What is signed here verifies with the reference implementation's rules.
func TestReferenceAccepts(t *testing.T) {
	files := map[string]string{
		"a-b/c": "1", "a.txt": "2", "a/b": "3", "model/x": "4", "model.safetensors": "5", "ü": "", "sub/.git/x": "6", ".hidden": "7",
	}
	ignored := map[string]string{".git/config": "g", ".github/x": "h", "cache/y": "i"}
	key := newKey(t, elliptic.P256())
	for _, o := range []SignOptions{{}, {Compat: true}, {IgnorePaths: []string{"cache"}}, {IgnorePaths: []string{"cache"}, Compat: true}} {
		all := maps.Clone(files)
		if len(o.IgnorePaths) > 0 {
			maps.Copy(all, ignored)
		}
		dir := signed(t, key, all, o)
		if err := referenceVerify(dir, filepath.Join(dir, bundleName), &key.PublicKey); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		put(t, dir, "a/b", "changed")
		if err := referenceVerify(dir, filepath.Join(dir, bundleName), &key.PublicKey); err == nil {
			t.Errorf("%+v: a changed file is accepted: the rules prove nothing", o)
		}
	}
	for _, compat := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "w.bin")
		must(t, os.WriteFile(file, []byte("w"), 0o600))
		_, err := Sign(t.Context(), file, key, SignOptions{Compat: compat})
		must(t, err)
		if err := referenceVerify(file, file+".sig", &key.PublicKey); (err == nil) != compat {
			t.Errorf("a single file, compat %t: %v", compat, err)
		}
		if r := verdict(t, file, VerifyOptions{Trust: trust(key)}); r.Verdict != Verified {
			t.Errorf("a single file, compat %t, here: %s", compat, r.Verdict)
		}
	}
}

// The rules above are those of the reference implementation: they give what it
// gave for the shared vectors, where it is wrong, too.
func TestReferenceRules(t *testing.T) {
	_, own := vectors(t)
	key, ok := publicKey(t, filepath.Join(own, "own/key.pub.pem")).(*ecdsa.PublicKey)
	if !ok {
		t.Fatal("not an ECDSA key")
	}
	for name, want := range map[string]bool{
		"order-python": true, "order-spec": true, "order-random": true, "shards-python": false, "shards-spec": false,
		"duplicate-name": true, "two-signatures": true, "wrong-hint": false, "no-hint": true, "traversal-name": false,
		"wrong-root-digest": false, "unsupported-hash": false,
	} {
		model := filepath.Join(own, "own", name, "model")
		if _, err := os.Stat(model); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		err := referenceVerify(model, filepath.Join(own, "own", name, "bundle.sig"), key)
		if (err == nil) != want {
			t.Errorf("%s: accepted %t, want %t: %v", name, err == nil, want, err)
		}
	}
}
