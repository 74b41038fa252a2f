package keyless

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/oms"
)

// The signer of the public vectors.
var vectorSigner = Identity{"stefanb@us.ibm.com", "https://sigstore.verify.ibm.com/oauth2"}

// vectors returns the directory of the shared vectors and the trusted root of
// the public instance.
func vectors(t testing.TB) (string, *Root) {
	t.Helper()
	shared := os.Getenv("WEIGHTWARDEN_SHARED")
	if shared == "" {
		shared = "../../../../shared"
	}
	dir := filepath.Join(shared, "vectors", "oms")
	data, err := os.ReadFile(filepath.Join(dir, "sigstore-go", "trusted-root-public-good.json"))
	if err != nil {
		t.Skipf("the shared vectors are not here: %v", err)
	}
	r, err := ReadRoot(bytes.NewReader(data))
	must(t, err)
	return dir, r
}

// sigstoreVectors returns the vectors of the sigstore method by the model they
// are over, from the index.
func sigstoreVectors(t testing.TB, dir string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "INDEX.tsv"))
	must(t, err)
	found := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, "\t")
		switch {
		case strings.HasSuffix(name, "-sigstore/model.sig"):
			found[filepath.Join(dir, filepath.Dir(name))] = filepath.Join(dir, name)
		case strings.HasSuffix(name, "/valid/sigstore.bundle.json"):
			// It was made over the files of the v1.1.0 model.
			found[filepath.Join(dir, "model-transparency/scripts/tests/v1.1.0-sigstore")+"/"] = filepath.Join(dir, name)
		}
	}
	if len(found) != 5 {
		t.Fatalf("%d vectors of the sigstore method, want 5", len(found))
	}
	return found
}

func TestVectors(t *testing.T) {
	dir, r := vectors(t)
	trusted := oms.Trust{Keyless: verifier(t, r, vectorSigner)}
	for model, bundle := range sigstoreVectors(t, dir) {
		t.Run(strings.TrimPrefix(bundle, dir), func(t *testing.T) {
			work := t.TempDir()
			must(t, os.CopyFS(work, os.DirFS(model)))
			o := oms.VerifyOptions{Signature: filepath.Join(work, "model.sig"), Trust: trusted, Now: time.Now(), IgnorePaths: []string{"ignore-me"}}
			data, err := os.ReadFile(bundle)
			must(t, err)
			must(t, os.Chmod(o.Signature, 0o600))
			must(t, os.WriteFile(o.Signature, data, 0o600))
			if got := verdict(t, work, o); got.Verdict != oms.Verified || got.Signer != vectorSigner.String() || got.SignedAt.Year() < 2025 {
				t.Fatalf("verdict %s, signer %q at %v, reasons %q", got.Verdict, got.Signer, got.SignedAt, got.Reasons)
			}
			tamper(t, work, o, data)
		})
	}
}

// tamper changes one thing at a time in a model that verifies.
func tamper(t *testing.T, work string, o oms.VerifyOptions, bundle []byte) {
	t.Helper()
	file := filepath.Join(work, "signme-1")
	good, err := os.ReadFile(file)
	must(t, err)
	must(t, os.Chmod(file, 0o600))
	must(t, os.WriteFile(file, append([]byte("x"), good...), 0o600))
	if got := verdict(t, work, o); got.Verdict != oms.Tampered {
		t.Errorf("a changed file: %s", got.Verdict)
	}
	must(t, os.WriteFile(file, good, 0o600))
	for _, path := range []string{"dsseEnvelope.payload", "dsseEnvelope.signatures.0.sig", "verificationMaterial.certificate.rawBytes"} {
		must(t, os.WriteFile(o.Signature, flip(t, bundle, strings.Split(path, "."), 1), 0o600))
		if got := verdict(t, work, o); got.Verdict != oms.Untrusted && got.Verdict != oms.Error {
			t.Errorf("%s changed: %s", path, got.Verdict)
		}
	}
	must(t, os.WriteFile(o.Signature, bundle, 0o600))
	for _, trust := range []oms.Trust{{}, {Keyless: strangers(t, o)}} {
		other := o
		other.Trust = trust
		if got := verdict(t, work, other); got.Verdict != oms.Untrusted {
			t.Errorf("nobody is trusted: %s", got.Verdict)
		}
	}
}

func strangers(t *testing.T, _ oms.VerifyOptions) oms.Keyless {
	_, r := vectors(t)
	return verifier(t, r, Identity{vectorSigner.Name, "https://accounts.example.org"})
}

func verdict(t *testing.T, path string, o oms.VerifyOptions) *oms.Result {
	t.Helper()
	r, err := oms.Verify(t.Context(), path, o)
	must(t, err)
	return r
}

// Other documents of the same libraries are not models' signatures.
func TestForeignBundles(t *testing.T) {
	dir, r := vectors(t)
	keyless := verifier(t, r, vectorSigner)
	seen := 0
	err := filepath.WalkDir(filepath.Join(dir, "sigstore-go"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		data, err := os.ReadFile(path)
		must(t, err)
		seen++
		if id, err := keyless(t.Context(), data); err == nil {
			t.Errorf("%s: verified as %q", path, id.Signer)
		}
		return nil
	})
	if err != nil || seen < 8 {
		t.Errorf("%d documents: %v", seen, err)
	}
}

// FuzzVerify changes bundles that verify. Whatever comes out, what verified is
// signed by the one identity, and its own payload is what was compared.
func FuzzVerify(f *testing.F) {
	dir, r := vectors(f)
	for _, bundle := range sigstoreVectors(f, dir) {
		data, err := os.ReadFile(bundle)
		must(f, err)
		f.Add(data)
	}
	keyless, err := r.Verifier(vectorSigner)
	must(f, err)
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := keyless(t.Context(), data)
		if err == nil && (id.Signer != vectorSigner.String() || id.Key == nil || id.SignedAt.IsZero()) {
			t.Errorf("verified as %+v", id)
		}
		if err != nil && (id != oms.Identity{}) {
			t.Errorf("refused, and %+v", id)
		}
	})
}

func TestReadRootRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "not_json": "x", "other_type": `{"mediaType":"application/json"}`, "list": "[]",
		"endless": strings.Repeat(" ", maxDocument+1), "deep": strings.Repeat("[", 1<<20),
		"empty_log": `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[{}]}`,
	} {
		if r, err := ReadRoot(strings.NewReader(text)); err == nil || r != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Many small things in a bundle take no more than what is allowed of them.
func TestLimits(t *testing.T) {
	_, err := newInstance(t).read().verify(t.Context(), []byte(`{"dsseEnvelope":{"payload":"AA=="},"verificationMaterial":{"tlogEntries":[`+
		strings.Repeat("{},", maxMaterial/3)+`{}]}}`))
	if err == nil || !strings.Contains(err.Error(), "beside the payload") {
		t.Errorf("error %v", err)
	}
	for _, bad := range []string{"", "[]", "{}", `{"dsseEnvelope":1}`, `{"dsseEnvelope":null}`, strings.Repeat("{", 1<<20)} {
		if _, err := newInstance(t).read().verify(t.Context(), []byte(bad)); err == nil {
			t.Errorf("%.20q: accepted", bad)
		}
	}
}
