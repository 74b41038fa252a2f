package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate, and its key, to NAME.pem and NAME.key.
func issue(t *testing.T, dir, name string, parent *x509.Certificate, by *ecdsa.PrivateKey, edit func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	edit(template)
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		check(t, os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600))
	}
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return cert, key
}

// authorities writes a root, an intermediate and leaves below it.
func authorities(t *testing.T, dir string) {
	t.Helper()
	authority := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }
	leaf := func(use x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{use}
		}
	}
	root, rootKey := issue(t, dir, "root", nil, nil, authority)
	middle, middleKey := issue(t, dir, "middle", root, rootKey, authority)
	issue(t, dir, "leaf", middle, middleKey, leaf(x509.ExtKeyUsageCodeSigning))
	issue(t, dir, "server", middle, middleKey, leaf(x509.ExtKeyUsageServerAuth))
	issue(t, dir, "stranger", nil, nil, authority)
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	authorities(t, dir)
	check(t, os.Mkdir(filepath.Join(dir, "model"), 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "model", "w"), []byte("weights"), 0o600))
	sign := func(name string, more ...string) string {
		return strings.Join(append([]string{"sign model --private-key", name + ".key", "--signing-certificate", name + ".pem"}, more...), " ")
	}
	steps := []struct {
		args string
		code int
		want string
	}{
		{sign("leaf", "--certificate-chain", "middle.pem"), 0, "signed"},
		{"verify model --certificate-chain root.pem", 0, "CN=leaf"},
		{"verify model --certificate-chain middle.pem", 0, "CN=leaf"}, // nothing above it is trusted
		{"verify model --certificate-chain stranger.pem", 3, "unknown authority"},
		{"verify model --certificate-chain stranger.pem --certificate-chain middle.pem", 3, "unknown authority"},
		{"verify model --public-key leaf.pem", 0, "trusted by itself"},
		{sign("leaf"), 0, "signed"},
		{"verify model --certificate-chain root.pem", 3, "unknown authority"},
		{"verify model --certificate-chain root.pem --certificate-chain middle.pem", 0, "CN=leaf"},
		{sign("server", "--certificate-chain", "middle.pem"), 0, "signed"},
		{"verify model --certificate-chain root.pem", 3, "not for signing code"},
		{"verify model --certificate-chain root.pem --allow-server-certificates", 0, "CN=server"},
		{"sign model --private-key leaf.key --signing-certificate server.pem", 2, "not that of the key"},
		{"sign model --private-key leaf.key --signing-certificate leaf.key", 2, "no certificate"},
		{"verify model --certificate-chain leaf.key", 2, "no certificate"},
	}
	for _, s := range steps {
		args := strings.Fields(s.args)
		for i, a := range args {
			if a == "model" || strings.HasSuffix(a, ".pem") || strings.HasSuffix(a, ".key") {
				args[i] = filepath.Join(dir, a)
			}
		}
		code, out, errs := run(t, args...)
		if code != s.code || !strings.Contains(out+errs, s.want) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s%s", s.args, code, s.code, s.want, out, errs)
		}
	}
}
