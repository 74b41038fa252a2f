package keyless

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/oms"
)

func model(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "weights.bin"), []byte("weights"), 0o600))
	return dir
}

func signer(t *testing.T, s *instance, stamps bool) *Signer {
	t.Helper()
	made, err := s.read().NewSigner(strings.NewReader(s.config(stamps)), strings.NewReader(token()+"\n"), time.Now())
	must(t, err)
	return made
}

func verifier(t *testing.T, r *Root, ids ...Identity) oms.Keyless {
	t.Helper()
	v, err := r.Verifier(ids...)
	must(t, err)
	return v
}

func result(t *testing.T, dir string, trust oms.Trust) *oms.Result {
	t.Helper()
	r, err := oms.Verify(t.Context(), dir, oms.VerifyOptions{Trust: trust, Now: time.Now()})
	must(t, err)
	return r
}

func TestSignAndVerify(t *testing.T) {
	for _, stamps := range []bool{false, true} {
		t.Run(map[bool]string{true: "with_a_time_stamp", false: "with_the_time_of_the_log"}[stamps], func(t *testing.T) {
			s := newInstance(t)
			dir, by := model(t), signer(t, s, stamps)
			signed, err := oms.SignBy(t.Context(), dir, by.Seal, oms.SignOptions{})
			must(t, err)
			who := Identity{signerName, signerIssuer}
			r := result(t, dir, oms.Trust{Keyless: verifier(t, s.read(), who)})
			if r.Verdict != oms.Verified || r.Signer != who.String() || r.Method != oms.MethodSigstore || r.KeyHint == "" {
				t.Errorf("verdict %s, signer %q by %s, reasons %q", r.Verdict, r.Signer, r.Method, r.Reasons)
			}
			if signed.RootDigest != r.RootDigest || by.Who().Signer != who.String() {
				t.Errorf("signed %s as %q, verified %s", signed.RootDigest, by.Who().Signer, r.RootDigest)
			}
			if since := time.Since(r.SignedAt); since < -time.Minute || since > time.Minute {
				t.Errorf("signed at %v", r.SignedAt)
			}
			must(t, os.WriteFile(filepath.Join(dir, "weights.bin"), []byte("Weights"), 0o600))
			if r := result(t, dir, oms.Trust{Keyless: verifier(t, s.read(), who)}); r.Verdict != oms.Tampered {
				t.Errorf("a changed file: verdict %s", r.Verdict)
			}
		})
	}
}

// Every one of these signatures is good; the trust is not.
func TestTrustIsExact(t *testing.T) {
	s := newInstance(t)
	dir := model(t)
	_, err := oms.SignBy(t.Context(), dir, signer(t, s, false).Seal, oms.SignOptions{})
	must(t, err)
	tests := []struct {
		name string
		root *Root
		who  Identity
		want string
	}{
		{"other_name", s.read(), Identity{"mallory@example.org", signerIssuer}, "signed by " + signerName},
		{"other_issuer", s.read(), Identity{signerName, "https://accounts.example.com"}, "signed by"},
		{"name_in_other_case", s.read(), Identity{strings.ToUpper(signerName), signerIssuer}, "signed by"},
		{"part_of_the_name", s.read(), Identity{"releases", signerIssuer}, "signed by"},
		{"pattern", s.read(), Identity{".*", ".*"}, "signed by"},
		{"other_instance", newInstance(t).read(), Identity{signerName, signerIssuer}, "log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := result(t, dir, oms.Trust{Keyless: verifier(t, tt.root, tt.who)})
			if text := strings.Join(r.Reasons, "\n"); r.Verdict != oms.Untrusted || r.Signer != "" || !strings.Contains(text, tt.want) {
				t.Errorf("verdict %s, signer %q, reasons %q", r.Verdict, r.Signer, text)
			}
		})
	}
	both := verifier(t, s.read(), Identity{"a@example.org", signerIssuer}, Identity{signerName, signerIssuer})
	if r := result(t, dir, oms.Trust{Keyless: both}); r.Verdict != oms.Verified {
		t.Errorf("one of two identities: verdict %s, %q", r.Verdict, r.Reasons)
	}
	for _, ids := range [][]Identity{nil, {{signerName, ""}}, {{"", signerIssuer}}, {{signerName, signerIssuer}, {}}} {
		if _, err := s.read().Verifier(ids...); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: error %v, want an invalid fault", ids, err)
		}
	}
}

// What the services return is verified before it is written.
func TestBadServices(t *testing.T) {
	tests := []struct {
		name string
		edit func(*instance)
		want fault.Kind
	}{
		{"no_certificate_transparency", func(s *instance) { s.noSCT = true }, fault.Untrusted},
		{"certificate_of_another_key", func(s *instance) { s.otherKey = true }, fault.Incomplete},
		{"proof_of_nothing", func(s *instance) { s.noProof = true }, fault.Untrusted},
		{"refused", func(s *instance) { s.status = http.StatusForbidden }, fault.Incomplete},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newInstance(t)
			tt.edit(s)
			dir := model(t)
			_, err := oms.SignBy(t.Context(), dir, signer(t, s, false).Seal, oms.SignOptions{})
			if fault.KindOf(err) != tt.want || fault.HintOf(err) == "" {
				t.Errorf("error %v of kind %v, want %v with a hint", err, fault.KindOf(err), tt.want)
			}
			if strings.Contains(err.Error(), token()) {
				t.Error("the token is in the error")
			}
			if _, err := os.Stat(filepath.Join(dir, "model.sig")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a signature was written: %v", err)
			}
		})
	}
}

func TestSignerRefuses(t *testing.T) {
	s := newInstance(t)
	r := s.read()
	tests := []struct{ name, config, token string }{
		{"no_configuration", "", token()},
		{"other_version", strings.Replace(s.config(false), "v0.2", "v0.1", 1), token()},
		{"no_service_now", strings.ReplaceAll(s.config(false), "2020-", "2999-"), token()},
		{"no_service_of_a_known_version", strings.ReplaceAll(s.config(false), `"majorApiVersion":1`, `"majorApiVersion":9`), token()},
		{"no_token", s.config(false), ""},
		{"a_password", s.config(false), "hunter2"},
		{"endless", strings.Repeat(" ", maxDocument+1), token()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.NewSigner(strings.NewReader(tt.config), strings.NewReader(tt.token), time.Now())
			if fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want an invalid fault", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verifier(t, r, Identity{"a", "b"})(ctx, []byte("{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after the context was cancelled", err)
	}
}

// A change anywhere in the bundle of a good signature is noticed: either the
// bundle does not verify, or what is signed is the same.
func TestChangedBundle(t *testing.T) {
	s := newInstance(t)
	dir := model(t)
	_, err := oms.SignBy(t.Context(), dir, signer(t, s, true).Seal, oms.SignOptions{})
	must(t, err)
	good, err := os.ReadFile(filepath.Join(dir, "model.sig"))
	must(t, err)
	keyless := verifier(t, s.read(), Identity{signerName, signerIssuer})
	changed := 0
	for _, path := range []string{"dsseEnvelope.payload", "dsseEnvelope.signatures.0.sig", "verificationMaterial.certificate.rawBytes"} {
		for _, at := range []int{0, 1, 2} { // start, middle, end
			data := flip(t, good, strings.Split(path, "."), at)
			if bytes.Equal(data, good) {
				t.Fatalf("%s was not changed", path)
			}
			changed++
			if id, err := keyless(t.Context(), data); err == nil {
				t.Errorf("%s changed at %d/2: verified as %q", path, at, id.Signer)
			}
		}
	}
	for _, part := range []string{"tlogEntries", "certificate"} {
		if _, err := keyless(t.Context(), without(t, good, part)); err == nil {
			t.Errorf("verified without %s", part)
		}
	}
	if changed != 9 {
		t.Errorf("%d changes", changed)
	}
}

// flip changes one bit of the base64 value at a path.
func flip(t *testing.T, data []byte, path []string, at int) []byte {
	t.Helper()
	var doc any
	must(t, json.Unmarshal(data, &doc))
	node := doc
	for _, key := range path[:len(path)-1] {
		if list, ok := node.([]any); ok {
			node = list[0]
			continue
		}
		node = node.(map[string]any)[key]
	}
	last := path[len(path)-1]
	raw, err := base64.StdEncoding.DecodeString(node.(map[string]any)[last].(string))
	must(t, err)
	raw[(len(raw)-1)*at/2] ^= 1
	node.(map[string]any)[last] = base64.StdEncoding.EncodeToString(raw)
	out, err := json.Marshal(doc)
	must(t, err)
	return out
}

func without(t *testing.T, data []byte, part string) []byte {
	t.Helper()
	var doc map[string]any
	must(t, json.Unmarshal(data, &doc))
	delete(doc["verificationMaterial"].(map[string]any), part)
	out, err := json.Marshal(doc)
	must(t, err)
	return out
}

func TestTimestamp(t *testing.T) {
	s := newInstance(t)
	signature := []byte("signature")
	digest := sha256.Sum256(signature)
	stamp, err := s.stampOver(digest[:])
	must(t, err)
	at, err := s.read().Timestamp(signature, stamp)
	if since := time.Since(at); err != nil || since < -time.Minute || since > time.Minute {
		t.Errorf("time %v, %v", at, err)
	}
	bad := map[string]struct {
		root             *Root
		signature, stamp []byte
	}{
		"another_signature": {s.read(), []byte("Signature"), stamp},
		"another_authority": {newInstance(t).read(), signature, stamp},
		"empty":             {s.read(), signature, nil},
		"huge":              {s.read(), signature, make([]byte, maxToken+1)},
		"cut_off":           {s.read(), signature, stamp[:len(stamp)/2]},
	}
	for name, tt := range bad {
		if at, err := tt.root.Timestamp(tt.signature, tt.stamp); err == nil {
			t.Errorf("%s: accepted, %v", name, at)
		}
	}
}
