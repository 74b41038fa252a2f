package stamp_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/stamp"
)

const text = "weightwarden/host/INC-20261123-AAAAAAAA\n5\nroot\n"

// authority is a real one: OpenSSL behind an address.
type authority struct {
	t     *testing.T
	dir   string
	roots []*x509.Certificate
	*httptest.Server
	// spoil changes an answer on its way.
	spoil func([]byte) []byte
}

func newAuthority(t *testing.T, usage ...x509.ExtKeyUsage) *authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("WEIGHTWARDEN_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("openssl is not installed")
	}
	a := &authority{t: t, dir: t.TempDir(), spoil: func(b []byte) []byte { return b }}
	a.certify(usage)
	a.Server = httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(a.Close)
	return a
}

// certify makes a root and a certificate for time stamps below it.
func (a *authority) certify(usage []x509.ExtKeyUsage) {
	a.t.Helper()
	if usage == nil {
		usage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
	}
	rootKey, key := newKey(a.t), newKey(a.t)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{criticalUsage(a.t, usage)},
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	a.do(err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	a.do(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	a.do(err)
	a.pem("root.pem", "CERTIFICATE", rootDER)
	a.pem("tsa.pem", "CERTIFICATE", leafDER)
	a.pem("tsa.key", "PRIVATE KEY", keyDER)
	a.write("tsa.cnf", fmt.Sprintf("[tsa]\ndefault_tsa=t\n[t]\nserial=%s\ncrypto_device=builtin\nsigner_digest=sha256\n"+
		"default_policy=1.2.3.4\ndigests=sha256\naccuracy=secs:1\n", filepath.Join(a.dir, "serial")))
	a.write("serial", "01\n")
	data, err := os.ReadFile(filepath.Join(a.dir, "root.pem"))
	a.do(err)
	a.roots, err = stamp.ParseRoots(data)
	a.do(err)
}

func criticalUsage(t *testing.T, usage []x509.ExtKeyUsage) pkix.Extension {
	t.Helper()
	oids := map[x509.ExtKeyUsage]asn1.ObjectIdentifier{
		x509.ExtKeyUsageTimeStamping: {1, 3, 6, 1, 5, 5, 7, 3, 8},
		x509.ExtKeyUsageCodeSigning:  {1, 3, 6, 1, 5, 5, 7, 3, 3},
	}
	var list []asn1.ObjectIdentifier
	for _, u := range usage {
		list = append(list, oids[u])
	}
	value, err := asn1.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: value}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) do(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) write(name, content string) {
	a.t.Helper()
	a.do(os.WriteFile(filepath.Join(a.dir, name), []byte(content), 0o600))
}

func (a *authority) pem(name, kind string, der []byte) {
	a.t.Helper()
	a.write(name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

// answer stamps what was asked, with openssl ts.
func (a *authority) answer(w http.ResponseWriter, r *http.Request) {
	query, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
		http.Error(w, "no query", http.StatusBadRequest)
		return
	}
	path := filepath.Join(a.t.TempDir(), "q")
	if err := os.WriteFile(path, query, 0o600); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	c := exec.Command("openssl", "ts", "-reply", "-config", "tsa.cnf", "-section", "t", "-queryfile", path,
		"-signer", "tsa.pem", "-inkey", "tsa.key", "-out", path+".reply")
	c.Dir = a.dir
	if out, err := c.CombinedOutput(); err != nil {
		http.Error(w, string(out), http.StatusInternalServerError)
		return
	}
	reply, err := os.ReadFile(path + ".reply")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	_, _ = w.Write(a.spoil(reply))
}

func (a *authority) ask(text string) ([]byte, stamp.Stamp, error) {
	return stamp.Client{Random: rand.Reader}.Ask(a.t.Context(), a.URL, text)
}

func TestStamp(t *testing.T) {
	a := newAuthority(t)
	answer, s, err := a.ask(text)
	if err != nil {
		t.Fatal(err)
	}
	if time.Since(s.Time).Abs() > time.Minute || s.Policy != "1.2.3.4" || s.Signer != "CN=test authority" || s.Accuracy != time.Second {
		t.Errorf("stamp is %+v", s)
	}
	got, err := stamp.Verify(answer, text, a.roots)
	if err != nil || got != s {
		t.Errorf("verified to %+v, %v", got, err)
	}
	if _, err := stamp.Verify(answer, text+"x", a.roots); err == nil || !strings.Contains(err.Error(), "about something else") {
		t.Errorf("of another text: %v", err)
	}
	if _, err := stamp.Verify(answer, text, newAuthority(t).roots); err == nil {
		t.Error("verifies with the root of somebody else")
	}
	if got, err := stamp.Verify(answer, text, nil); !errors.Is(err, stamp.ErrNoRoots) || got != s {
		t.Errorf("without roots: %+v, %v", got, err)
	}
}

// OpenSSL itself verifies what is kept.
func TestOpenSSLVerifiesIt(t *testing.T) {
	a := newAuthority(t)
	answer, _, err := a.ask(text)
	if err != nil {
		t.Fatal(err)
	}
	a.write("reply", string(answer))
	a.write("text", text)
	c := exec.Command("openssl", "ts", "-verify", "-in", "reply", "-data", "text", "-CAfile", "root.pem")
	c.Dir = a.dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// Every bit of an answer: none makes another time, signer or number verify.
func TestEveryBitOfAnAnswer(t *testing.T) {
	a := newAuthority(t)
	answer, s, err := a.ask(text)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for bit := range len(answer) * 8 {
		flipped := bytes.Clone(answer)
		flipped[bit/8] ^= 1 << (bit % 8)
		got, err := stamp.Verify(flipped, text, a.roots)
		if err == nil && (!got.Time.Equal(s.Time) || got.Serial != s.Serial || got.Policy != s.Policy || got.Signer != s.Signer) {
			t.Fatalf("bit %d of %d verifies as %+v", bit, len(answer)*8, got)
		}
		if err != nil {
			refused++
		}
	}
	t.Logf("%d of %d flips are refused; the others change nothing that is said", refused, len(answer)*8)
	if refused < len(answer)*8*9/10 {
		t.Errorf("only %d of %d flips are refused", refused, len(answer)*8)
	}
	for n := range answer {
		if _, err := stamp.Verify(answer[:n], text, a.roots); err == nil {
			t.Fatalf("cut to %d of %d bytes it verifies", n, len(answer))
		}
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	old := newAuthority(t)
	earlier, _, err := old.ask(text)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		spoil func([]byte) []byte
		kind  fault.Kind
	}{
		{"of_yesterday", func([]byte) []byte { return earlier }, fault.Untrusted},
		{"garbage", func([]byte) []byte { return []byte("<html>") }, fault.Untrusted},
		{"empty", func([]byte) []byte { return nil }, fault.Untrusted},
		{"endless", func(b []byte) []byte { return bytes.Repeat(b, 1000) }, fault.Incomplete},
		{"with_a_tail", func(b []byte) []byte { return append(b, 0) }, fault.Untrusted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthority(t)
			a.spoil = tt.spoil
			if _, _, err := a.ask(text); fault.KindOf(err) != tt.kind || fault.HintOf(err) == "" {
				t.Errorf("got %v, kind %v", err, fault.KindOf(err))
			}
		})
	}
}

func TestCertificateForOtherThings(t *testing.T) {
	a := newAuthority(t, x509.ExtKeyUsageTimeStamping, x509.ExtKeyUsageCodeSigning)
	answer, _, err := a.ask(text)
	if err != nil {
		t.Skipf("openssl refuses it itself: %v", err)
	}
	if _, err := stamp.Verify(answer, text, a.roots); err == nil {
		t.Error("a certificate that also signs code verifies")
	}
}

func TestAddresses(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	gone := closed.URL
	closed.Close()
	moved := httptest.NewServer(http.RedirectHandler("https://elsewhere.invalid/", http.StatusFound))
	t.Cleanup(moved.Close)
	for address, kind := range map[string]fault.Kind{
		"": fault.Invalid, "tsa.example": fault.Invalid, "file:///etc/passwd": fault.Invalid, "https://": fault.Invalid,
		gone: fault.Incomplete, moved.URL: fault.Incomplete,
	} {
		if _, _, err := (stamp.Client{Random: rand.Reader}).Ask(t.Context(), address, text); fault.KindOf(err) != kind || fault.HintOf(err) == "" {
			t.Errorf("%q: %v, kind %v", address, err, fault.KindOf(err))
		}
	}
}

func TestParseRootsRefuses(t *testing.T) {
	a := newAuthority(t)
	root, err := os.ReadFile(filepath.Join(a.dir, "root.pem"))
	a.do(err)
	key, err := os.ReadFile(filepath.Join(a.dir, "tsa.key"))
	a.do(err)
	for name, data := range map[string]string{
		"empty": "", "no_pem": "x", "a_key": string(key), "a_tail": string(root) + "x",
		"no_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		if _, err := stamp.ParseRoots([]byte(data)); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	if got, err := stamp.ParseRoots(append(root, root...)); err != nil || len(got) != 2 {
		t.Errorf("two roots: %v, %v", got, err)
	}
}

// FuzzVerify promises that no answer makes the program end, and that none
// verifies without roots.
func FuzzVerify(f *testing.F) {
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x00})
	f.Add([]byte{0x30, 0x80, 0x30, 0x80, 0x02, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, err := stamp.Verify(answer, text, nil); err == nil {
			t.Error("verified without roots")
		}
	})
}
