package oms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority with one intermediate.
type authority struct {
	root, middle *x509.Certificate
	key          *ecdsa.PrivateKey // of the intermediate
}

func certificate(t testing.TB, template, parent *x509.Certificate, pub any, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	rootKey, key := newKey(t, elliptic.P256()), newKey(t, elliptic.P256())
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: vectorTime.AddDate(-5, 0, 0), NotAfter: vectorTime.AddDate(5, 0, 0), KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root := certificate(t, ca("root"), ca("root"), rootKey.Public(), rootKey)
	return authority{root, certificate(t, ca("middle"), root, key.Public(), rootKey), key}
}

func (a authority) leaf(t testing.TB, key *ecdsa.PrivateKey, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "releases", Organization: []string{"Example"}},
		NotBefore: vectorTime.AddDate(-1, 0, 0), NotAfter: vectorTime.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if edit != nil {
		edit(template)
	}
	return certificate(t, template, a.middle, key.Public(), a.key)
}

func TestCertificates(t *testing.T) {
	ca := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.root)
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	tests := []struct {
		name   string
		edit   func(*x509.Certificate)
		alone  bool // without the intermediate
		trust  Trust
		now    time.Time
		want   Verdict
		reason string
	}{
		{name: "valid", trust: Trust{Roots: roots}, now: vectorTime, want: Verified},
		{name: "nobody_trusted", now: vectorTime, want: Untrusted, reason: "no certificate authority is trusted"},
		{name: "other_authority", trust: Trust{Roots: x509.NewCertPool()}, now: vectorTime, want: Untrusted, reason: "unknown authority"},
		{name: "no_intermediate", alone: true, trust: Trust{Roots: roots}, now: vectorTime, want: Untrusted, reason: "unknown authority"},
		{name: "no_time", trust: Trust{Roots: roots}, want: Untrusted, reason: "without a time"},
		{name: "expired", trust: Trust{Roots: roots}, now: vectorTime.AddDate(2, 0, 0), want: Untrusted, reason: "expired"},
		{name: "expired_allowed", trust: Trust{Roots: roots, AllowExpiredLeaf: true}, now: vectorTime.AddDate(2, 0, 0), want: Verified, reason: "accepted because"},
		{name: "expired_long_after_its_authority", trust: Trust{Roots: roots, AllowExpiredLeaf: true}, now: vectorTime.AddDate(20, 0, 0), want: Verified, reason: "accepted because"},
		{name: "not_yet_valid", trust: Trust{Roots: roots, AllowExpiredLeaf: true}, now: vectorTime.AddDate(-2, 0, 0), want: Untrusted, reason: "not yet valid"},
		{name: "server", edit: server, trust: Trust{Roots: roots}, now: vectorTime, want: Untrusted, reason: "not for signing code"},
		{name: "server_allowed", edit: server, trust: Trust{Roots: roots, AllowServerCertificates: true}, now: vectorTime, want: Verified},
		{name: "server_without_signatures", edit: func(c *x509.Certificate) { server(c); c.KeyUsage = x509.KeyUsageKeyAgreement }, trust: Trust{Roots: roots, AllowServerCertificates: true}, now: vectorTime, want: Untrusted, reason: "not for signatures"},
		{name: "no_extended_usage", edit: func(c *x509.Certificate) { c.ExtKeyUsage = nil }, trust: Trust{Roots: roots}, now: vectorTime, want: Verified},
		{name: "code_signing_only", edit: func(c *x509.Certificate) { c.KeyUsage = 0 }, trust: Trust{Roots: roots}, now: vectorTime, want: Verified},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := newKey(t, elliptic.P384())
			chain := []*x509.Certificate{ca.leaf(t, key, tt.edit), ca.middle}
			if tt.alone {
				chain = chain[:1]
			}
			dir := signed(t, key, map[string]string{"a": "a"}, SignOptions{Certificates: chain})
			r := verdict(t, dir, VerifyOptions{Trust: tt.trust, Now: tt.now})
			if r.Verdict != tt.want || !strings.Contains(strings.Join(r.Reasons, "\n"), tt.reason) {
				t.Errorf("verdict %s, reasons %q; want %s, %q", r.Verdict, r.Reasons, tt.want, tt.reason)
			}
			if want := "CN=releases,O=Example"; tt.want == Verified && (r.Signer != want || r.Method != MethodCertificate) {
				t.Errorf("signer %q by %s, want %q", r.Signer, r.Method, want)
			}
			if !r.SignedAt.IsZero() {
				t.Error("a time that nobody vouches for")
			}
		})
	}
}

func TestIntermediatesOfTheVerifier(t *testing.T) {
	ca, other, key := newAuthority(t), newAuthority(t), newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a"}, SignOptions{Certificates: []*x509.Certificate{ca.leaf(t, key, nil)}})
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.root)
	middle.AddCert(ca.middle)
	if r := verdict(t, dir, VerifyOptions{Trust: Trust{Roots: roots, Intermediates: middle}, Now: vectorTime}); r.Verdict != Verified {
		t.Errorf("verdict %s, reasons %q", r.Verdict, r.Reasons)
	}
	roots = x509.NewCertPool()
	roots.AddCert(other.root)
	if r := verdict(t, dir, VerifyOptions{Trust: Trust{Roots: roots, Intermediates: middle}, Now: vectorTime}); r.Verdict != Untrusted {
		t.Errorf("an intermediate is trusted by itself: verdict %s", r.Verdict)
	}
}

// A leaf that has expired is accepted when a time that is verified lies inside
// its life, and only then.
func TestTimeStamps(t *testing.T) {
	ca, key := newAuthority(t), newKey(t, elliptic.P256())
	roots := x509.NewCertPool()
	roots.AddCert(ca.root)
	dir := signed(t, key, map[string]string{"a": "a"}, SignOptions{Certificates: []*x509.Certificate{ca.leaf(t, key, nil), ca.middle}})
	bundle := strings.Replace(string(readFile(t, filepath.Join(dir, bundleName))), `"tlogEntries":[]`,
		`"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"AAAA"}]}`, 1)
	put(t, dir, bundleName, bundle)
	says := func(at time.Time, err error) func(signature, stamp []byte) (time.Time, error) {
		return func(signature, stamp []byte) (time.Time, error) {
			if string(stamp) != "\x00\x00\x00" || !strings.Contains(bundle, base64.StdEncoding.EncodeToString(signature)) {
				t.Error("asked about something else")
			}
			return at, err
		}
	}
	late := vectorTime.AddDate(2, 0, 0)
	tests := []struct {
		name   string
		stamp  func(signature, stamp []byte) (time.Time, error)
		now    time.Time
		want   Verdict
		reason string
	}{
		{"inside", says(vectorTime, nil), late, Verified, "verified time"},
		{"after_the_end", says(late, nil), late, Untrusted, "expired"},
		{"before_the_start", says(vectorTime.AddDate(-2, 0, 0), nil), late, Untrusted, "not yet valid"},
		{"not_verified", says(time.Time{}, errors.New("forged")), late, Untrusted, "not used: forged"},
		{"nobody_to_verify_it", nil, late, Untrusted, "no time-stamping authority"},
		{"not_needed", nil, vectorTime, Verified, "not verified"},
		{"forged_and_not_needed", says(time.Time{}, errors.New("forged")), vectorTime, Verified, "not used"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := verdict(t, dir, VerifyOptions{Trust: Trust{Roots: roots, Timestamp: tt.stamp}, Now: tt.now})
			if r.Verdict != tt.want || !strings.Contains(strings.Join(r.Reasons, "\n"), tt.reason) {
				t.Errorf("verdict %s, reasons %q; want %s, %q", r.Verdict, r.Reasons, tt.want, tt.reason)
			}
			if want := tt.name == "inside"; want != r.SignedAt.Equal(vectorTime) {
				t.Errorf("signed at %v", r.SignedAt)
			}
		})
	}
}

func TestSealerIsChecked(t *testing.T) {
	key := newKey(t, elliptic.P256())
	over := func(edit func([]byte) []byte) Sealer {
		return func(_ context.Context, _ string, payload []byte) ([]byte, error) {
			return seal(edit(payload), key, mustMaterial(t, key), rand.Reader)
		}
	}
	same := func(b []byte) []byte { return b }
	for name, s := range map[string]Sealer{
		"another_payload": over(func([]byte) []byte { return []byte("{}") }),
		"no_bundle":       func(context.Context, string, []byte) ([]byte, error) { return []byte("{}"), nil },
		"error":           func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("offline") },
	} {
		dir := model(t, map[string]string{"a": "a"})
		if _, err := SignBy(t.Context(), dir, s, SignOptions{}); err == nil {
			t.Errorf("%s: written", name)
		}
		if _, err := os.Stat(filepath.Join(dir, bundleName)); err == nil {
			t.Errorf("%s: there is a bundle", name)
		}
	}
	dir := model(t, map[string]string{"a": "a"})
	_, err := SignBy(t.Context(), dir, over(same), SignOptions{})
	must(t, err)
	if r := verdict(t, dir, VerifyOptions{Trust: trust(key)}); r.Verdict != Verified {
		t.Errorf("verdict %s, reasons %q", r.Verdict, r.Reasons)
	}
}

func TestCertificateOfAnotherKey(t *testing.T) {
	ca, key := newAuthority(t), newKey(t, elliptic.P256())
	chain := []*x509.Certificate{ca.leaf(t, newKey(t, elliptic.P256()), nil)}
	if _, err := Sign(t.Context(), model(t, map[string]string{"a": "a"}), key, SignOptions{Certificates: chain}); err == nil {
		t.Error("signed with a certificate of another key")
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.root)
	dir := model(t, map[string]string{"a": "a"})
	l, err := list(t.Context(), dir, true, listOptions{})
	must(t, err)
	payload, err := l.statement("m", false)
	must(t, err)
	m := jsonMaterial{Chain: &jsonChain{[]jsonCertificate{{chain[0].Raw}, {ca.middle.Raw}}}}
	data, err := seal(payload, key, m, rand.Reader)
	must(t, err)
	put(t, dir, "model.sig", string(data))
	r := verdict(t, dir, VerifyOptions{Trust: Trust{Roots: roots}, Now: vectorTime})
	if r.Verdict != Untrusted {
		t.Errorf("verdict %s, reasons %q", r.Verdict, r.Reasons)
	}
}

func TestKeyless(t *testing.T) {
	key := newKey(t, elliptic.P256())
	dir := model(t, map[string]string{"a": "a"})
	l, err := list(t.Context(), dir, true, listOptions{})
	must(t, err)
	payload, err := l.statement("m", false)
	must(t, err)
	data, err := seal(payload, key, mustMaterial(t, key), rand.Reader)
	must(t, err)
	bundle := strings.Replace(string(data), `"publicKey":{`, `"certificate":{"rawBytes":"AA==","x":`, 1)
	bundle = strings.Replace(bundle, `"x":"hint":`, `"x":`, 1)
	put(t, dir, "model.sig", bundle)
	tests := []struct {
		name    string
		keyless Keyless
		want    Verdict
	}{
		{"none", nil, Untrusted},
		{"refused", func(context.Context, []byte) (Identity, error) { return Identity{}, errors.New("no log entry") }, Untrusted},
		{"nobody", func(context.Context, []byte) (Identity, error) { return Identity{}, nil }, Untrusted},
		{"of_another_payload", func(context.Context, []byte) (Identity, error) {
			return Identity{Signer: "me@example.org", Key: newKey(t, elliptic.P256()).Public()}, nil
		}, Untrusted},
		{"without_a_key", func(context.Context, []byte) (Identity, error) { return Identity{Signer: "me@example.org"}, nil }, Untrusted},
		{"accepted", func(_ context.Context, got []byte) (Identity, error) {
			if string(got) != bundle {
				t.Error("the verifier was given something else")
			}
			return Identity{Signer: "me@example.org", Key: key.Public(), SignedAt: vectorTime}, nil
		}, Verified},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := verdict(t, dir, VerifyOptions{Trust: Trust{Keyless: tt.keyless, Keys: trust(key).Keys}})
			if r.Verdict != tt.want || r.Method != MethodSigstore {
				t.Errorf("verdict %s by %s, want %s; reasons %q", r.Verdict, r.Method, tt.want, r.Reasons)
			}
			if tt.want == Verified && (r.Signer != "me@example.org" || !r.SignedAt.Equal(vectorTime)) {
				t.Errorf("signer %q at %v", r.Signer, r.SignedAt)
			}
		})
	}
}

func TestKeyHintOfTheReference(t *testing.T) {
	dir, _ := vectors(t)
	hint, err := KeyHint(publicKey(t, filepath.Join(dir, "model-transparency/scripts/tests/keys/certificate/signing-key-pub.pem")))
	if want := "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e"; hint != want || err != nil {
		t.Errorf("hint %s, %v; want %s", hint, err, want)
	}
}
