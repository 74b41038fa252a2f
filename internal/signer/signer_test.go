package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/oms"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func generated(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := Generate(rand.Reader)
	must(t, err)
	return key
}

func password(s string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(s), nil }
}

func TestKeyPairRoundTrip(t *testing.T) {
	for name, secret := range map[string][]byte{"plain": nil, "encrypted": []byte("secret"), "empty_password": {}} {
		t.Run(name, func(t *testing.T) {
			key := generated(t)
			prefix := filepath.Join(t.TempDir(), "release")
			private, public, err := WriteKeyPair(prefix, key, secret)
			must(t, err)
			for path, mode := range map[string]os.FileMode{private: 0o600, public: 0o644} {
				info, err := os.Stat(path)
				must(t, err)
				if info.Mode().Perm() != mode {
					t.Errorf("%s: mode %v, want %v", path, info.Mode(), mode)
				}
			}
			got, err := LoadPrivateKey(private, password(string(secret)))
			must(t, err)
			if !key.Equal(got) {
				t.Error("another key came back")
			}
			keys, err := LoadPublicKeys(public)
			must(t, err)
			if len(keys) != 1 || !key.PublicKey.Equal(keys[0]) {
				t.Errorf("public keys %v", keys)
			}
			model := filepath.Join(t.TempDir(), "m")
			must(t, os.Mkdir(model, 0o755))
			must(t, os.WriteFile(filepath.Join(model, "a"), []byte("a"), 0o644))
			_, err = oms.Sign(t.Context(), model, got, oms.SignOptions{})
			must(t, err)
			r, err := oms.Verify(t.Context(), model, oms.VerifyOptions{Trust: oms.Trust{Keys: keys}})
			if err != nil || r.Verdict != oms.Verified {
				t.Errorf("verdict %v, %v", r, err)
			}
		})
	}
}

func TestKeyPairNeverOverwrites(t *testing.T) {
	for _, there := range []string{"k.pem", "k.pub"} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, there), []byte("mine"), 0o600))
		_, _, err := WriteKeyPair(filepath.Join(dir, "k"), generated(t), nil)
		if fault.KindOf(errors.Unwrap(err)) != fault.Conflict && fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s exists: %v", there, err)
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		if data, _ := os.ReadFile(filepath.Join(dir, there)); string(data) != "mine" || len(entries) != 1 {
			t.Errorf("%s exists: now %q, files %v", there, data, entries)
		}
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8Of(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return der
}

func pkix(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	must(t, err)
	return der
}

func TestPrivateKeyForms(t *testing.T) {
	key := generated(t)
	sec1, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	plain := block("PRIVATE KEY", pkcs8Of(t, key))
	locked := func(edit func(*encrypted)) string {
		b, err := encrypt(pkcs8Of(t, key), []byte("secret"), rand.Reader)
		must(t, err)
		var e encrypted
		must(t, json.Unmarshal(b.Bytes, &e))
		edit(&e)
		body, err := json.Marshal(e)
		must(t, err)
		return block("ENCRYPTED COSIGN PRIVATE KEY", body)
	}
	unchanged := func(*encrypted) {}
	tests := []struct {
		name, text, want string // want: part of the error, "" for none
	}{
		{"pkcs8", plain, ""},
		{"text_around", "made by hand\n" + plain + "the end\n", ""},
		{"sec1", block("EC PRIVATE KEY", sec1), ""},
		{"sec1_with_parameters", block("EC PARAMETERS", []byte{6, 8}) + block("EC PRIVATE KEY", sec1), ""},
		{"with_public_key", plain + block("PUBLIC KEY", pkix(t, key.Public())), ""},
		{"old_cosign", locked(unchanged), ""},
		{"legacy_cost_is_part_of_the_key", locked(func(e *encrypted) { e.KDF.Params.N = 32768 }), "password is wrong"},
		{"costly", locked(func(e *encrypted) { e.KDF.Params.N = 1 << 30 }), "scrypt parameters"},
		{"cheap", locked(func(e *encrypted) { e.KDF.Params.N = 2 }), "scrypt parameters"},
		{"wide", locked(func(e *encrypted) { e.KDF.Params.R = 1 << 20 }), "scrypt parameters"},
		{"other_kdf", locked(func(e *encrypted) { e.KDF.Name = "pbkdf2" }), "not as cosign does"},
		{"other_cipher", locked(func(e *encrypted) { e.Cipher.Name = "none" }), "not as cosign does"},
		{"short_nonce", locked(func(e *encrypted) { e.Cipher.Nonce = e.Cipher.Nonce[:1] }), "nonce"},
		{"no_ciphertext", locked(func(e *encrypted) { e.Ciphertext = nil }), "empty"},
		{"changed", locked(func(e *encrypted) { e.Ciphertext[20] ^= 1 }), "password is wrong"},
		{"locked_garbage", block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("x")), "parse encrypted key"},
		{"openssl", block("ENCRYPTED PRIVATE KEY", nil), "encrypted by OpenSSL"},
		{"two_keys", plain + plain, "more than one"},
		{"public_only", block("PUBLIC KEY", pkix(t, key.Public())), "no private key"},
		{"rsa", block("PRIVATE KEY", pkcs8Of(t, other)), "cannot sign models"},
		{"unknown_block", block("DSA PRIVATE KEY", nil), "none that is read here"},
		{"no_pem", "hello", "no private key"},
		{"empty", "", "no private key"},
		{"broken_der", block("PRIVATE KEY", []byte{0x30}), "PKCS#8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k.pem")
			must(t, os.WriteFile(path, []byte(tt.text), 0o600))
			got, err := LoadPrivateKey(path, password("secret"))
			switch {
			case tt.want == "" && (err != nil || !key.Equal(got)):
				t.Errorf("key %v, error %v", got, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || fault.KindOf(err) != fault.Invalid):
				t.Errorf("error %v, want an invalid key with %q", err, tt.want)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "k.pem")
	must(t, os.WriteFile(path, []byte(locked(unchanged)), 0o600))
	for name, ask := range map[string]func() ([]byte, error){
		"none": nil, "wrong": password("Secret"), "failing": func() ([]byte, error) { return nil, errors.New("no terminal") },
	} {
		if _, err := LoadPrivateKey(path, ask); err == nil {
			t.Errorf("password %s: the key opened", name)
		}
	}
}

func TestPublicKeyForms(t *testing.T) {
	a, b := generated(t), generated(t)
	pubA, pubB := block("PUBLIC KEY", pkix(t, a.Public())), block("PUBLIC KEY", pkix(t, b.Public()))
	tests := []struct {
		name, text string
		keys       []*ecdsa.PrivateKey
		want       string
	}{
		{"one", pubA, []*ecdsa.PrivateKey{a}, ""},
		{"two_in_order_each_once", pubB + "text\n" + pubA + pubB, []*ecdsa.PrivateKey{b, a}, ""},
		{"parameters_beside_it", block("EC PARAMETERS", []byte{6}) + pubA, []*ecdsa.PrivateKey{a}, ""},
		{"private", block("PRIVATE KEY", pkcs8Of(t, a)), nil, "private key where a public one"},
		{"private_beside_it", pubA + block("PRIVATE KEY", pkcs8Of(t, a)), nil, "private key where a public one"},
		{"broken", block("PUBLIC KEY", []byte{0x30}), nil, "parse public key"},
		{"broken_certificate", pubA + block("CERTIFICATE", []byte{0x30}), nil, "parse certificate"},
		{"none", "hello", nil, "no public key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k.pub")
			must(t, os.WriteFile(path, []byte(tt.text), 0o644))
			keys, err := LoadPublicKeys(path)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			must(t, err)
			if len(keys) != len(tt.keys) {
				t.Fatalf("%d keys, want %d", len(keys), len(tt.keys))
			}
			for i, k := range tt.keys {
				if !k.PublicKey.Equal(keys[i]) {
					t.Errorf("key %d is another", i)
				}
			}
		})
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	must(t, os.WriteFile(big, nil, 0o600))
	must(t, os.Truncate(big, 1<<40))
	for path, want := range map[string]fault.Kind{dir + "/none": fault.NotFound, dir: fault.Incomplete, big: fault.Incomplete, "/dev/zero": fault.Incomplete} {
		_, err := LoadPrivateKey(path, nil)
		if fault.KindOf(err) != want {
			t.Errorf("%s: %v of kind %v, want %v", path, err, fault.KindOf(err), want)
		}
		if _, err := LoadPublicKeys(path); fault.KindOf(err) != want {
			t.Errorf("%s: %v of kind %v, want %v", path, err, fault.KindOf(err), want)
		}
	}
}

func TestStateKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	const users = 16
	keys := make([]evidence.SigningKey, users)
	var wg sync.WaitGroup
	for i := range users {
		wg.Go(func() {
			key, err := StateKey(dir, rand.Reader)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !k.Key.Equal(keys[0].Key) || k.Name != keys[0].Name {
			t.Fatal("racing first uses ended with different keys")
		}
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("files %v, want the key and its public half", entries)
	}
	info, err := os.Stat(filepath.Join(dir, "state.key"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	text, err := os.ReadFile(filepath.Join(dir, "state.pub"))
	must(t, err)
	pub, err := evidence.ParseVerifierKey(string(text))
	must(t, err)
	if pub.Name != keys[0].Name || !pub.Key.Equal(keys[0].Key.Public()) || !strings.HasPrefix(pub.Name, "weightwarden/") {
		t.Errorf("public half %v", pub)
	}
}

func TestStateKeyRefused(t *testing.T) {
	_, other, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	tests := []struct {
		name string
		do   func(t *testing.T, key string)
		kind fault.Kind
		want string
	}{
		{"group_can_read", func(t *testing.T, key string) { must(t, os.Chmod(key, 0o640)) }, fault.Refused, "mode 0640"},
		{"others_can_write", func(t *testing.T, key string) { must(t, os.Chmod(key, 0o602)) }, fault.Refused, "mode 0602"},
		{"empty", func(t *testing.T, key string) { must(t, os.Truncate(key, 0)) }, fault.Incomplete, "not one private key"},
		{"cut_off", func(t *testing.T, key string) { must(t, os.Truncate(key, 50)) }, fault.Incomplete, "not one private key"},
		{"other_kind", func(t *testing.T, key string) {
			must(t, os.WriteFile(key, []byte(block("PRIVATE KEY", pkcs8Of(t, generated(t)))), 0o600))
		}, fault.Incomplete, "not an Ed25519 key"},
		{"other_key", func(t *testing.T, key string) {
			must(t, os.WriteFile(key, []byte(block("PRIVATE KEY", pkcs8Of(t, other))), 0o600))
		}, fault.Incomplete, "state.pub is that of another key"},
		{"gone", func(t *testing.T, key string) { must(t, os.Remove(key)) }, fault.Incomplete, "shows that there was one"},
		{"directory", func(t *testing.T, key string) {
			must(t, os.Remove(key))
			must(t, os.Mkdir(key, 0o700))
		}, fault.Incomplete, "not a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := StateKey(dir, nil)
			must(t, err)
			tt.do(t, filepath.Join(dir, "state.key"))
			_, err = StateKey(dir, nil)
			if err == nil || fault.KindOf(err) != tt.kind || fault.HintOf(err) == "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v of kind %v, hint %q; want %v, %q", err, fault.KindOf(err), fault.HintOf(err), tt.kind, tt.want)
			}
		})
	}
}

func TestStateKeyWithoutRandomness(t *testing.T) {
	dir := t.TempDir()
	if _, err := encrypt(nil, nil, bytes.NewReader(nil)); err == nil {
		t.Error("encrypted without randomness")
	}
	if _, err := StateKey(filepath.Join(dir, "f", "\x00"), nil); err == nil || fault.HintOf(err) == "" {
		t.Errorf("in a directory that cannot be: %v", err)
	}
}

// FuzzPrivateKey: whatever is accepted can sign, and what it signs verifies
// with its own public half.
func FuzzPrivateKey(f *testing.F) {
	key := generated(f)
	sec1, err := x509.MarshalECPrivateKey(key)
	must(f, err)
	f.Add([]byte(block("PRIVATE KEY", pkcs8Of(f, key))))
	f.Add([]byte(block("EC PRIVATE KEY", sec1)))
	f.Add([]byte(block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte(`{"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1}}}`))))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parsePrivateKey(data, nil) // without a password no work is done
		if err != nil {
			return
		}
		k, ok := got.(*ecdsa.PrivateKey)
		if !ok {
			if _, ok := got.(ed25519.PrivateKey); !ok {
				t.Fatalf("accepted a %T", got)
			}
			return
		}
		sum := bytes.Repeat([]byte{7}, 32)
		sig, err := k.Sign(rand.Reader, sum, crypto.SHA256)
		if err != nil || !ecdsa.VerifyASN1(&k.PublicKey, sum, sig) {
			t.Fatalf("a key that was accepted does not sign: %v", err)
		}
	})
}

// FuzzPublicKeys: whatever is accepted is at least one key, no key is there
// twice, and each can be written and read again.
func FuzzPublicKeys(f *testing.F) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(f, err)
	f.Add([]byte(block("PUBLIC KEY", pkix(f, generated(f).Public()))))
	f.Add([]byte("text\n" + block("PUBLIC KEY", pkix(f, p384.Public())) + block("CERTIFICATE", []byte{0x30, 0})))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parsePublicKeys(data)
		if err != nil {
			return
		}
		var text []byte
		for _, k := range keys {
			again, err := encodePublic(k)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, again...)
		}
		back, err := parsePublicKeys(text)
		if err != nil || len(back) != len(keys) || len(keys) == 0 {
			t.Fatalf("%d keys, %d when read again, %v", len(keys), len(back), err)
		}
	})
}
