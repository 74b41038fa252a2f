package oms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func trust(keys ...*ecdsa.PrivateKey) Trust {
	var tr Trust
	for _, k := range keys {
		tr.Keys = append(tr.Keys, k.Public())
	}
	return tr
}

// model writes files, by path, to a new directory.
func model(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "m")
	for path, content := range files {
		put(t, dir, path, content)
	}
	return dir
}

func put(t testing.TB, dir, path, content string) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var weights = map[string]string{
	"config.json": "{}", "model.safetensors": strings.Repeat("w", 5000), "model/x.bin": "x", "onnx/m": "1", "onnx-fp16/m": "2",
	"empty": "", ".hidden": "h", ".gitmodules": "signed", "sub/.git/x": "signed too", "a:b": "colon", "sp ace\nnl\"\\": "hostile name",
}

func signed(t testing.TB, key *ecdsa.PrivateKey, files map[string]string, o SignOptions) string {
	t.Helper()
	dir := model(t, files)
	if _, err := Sign(t.Context(), dir, key, o); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRoundTrip(t *testing.T) {
	tests := []struct {
		name   string
		curve  elliptic.Curve
		compat bool
	}{
		{"p256", elliptic.P256(), false},
		{"p384", elliptic.P384(), false},
		{"p521", elliptic.P521(), false},
		{"compat", elliptic.P256(), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := newKey(t, tt.curve)
			dir := signed(t, key, weights, SignOptions{Compat: tt.compat})
			r := verdict(t, dir, VerifyOptions{Trust: trust(key)})
			hint, err := KeyHint(key.Public())
			must(t, err)
			want := &Result{
				Path: dir, Verdict: Verified, Method: MethodKey, Signer: "key:" + hint, KeyHint: hint, RootDigest: r.RootDigest,
				Files: len(weights), Bytes: r.Bytes, Mismatches: []Mismatch{}, Uncovered: []string{}, Reasons: []string{},
				Covered: r.Covered, Material: []string{"model.sig"},
			}
			if diff := cmp.Diff(want, r, cmp.Comparer(func(a, b artifact.Digest) bool { return a == b })); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			checkByHand(t, dir, key, tt.compat)
			if d, err := Digest(t.Context(), dir, "model.sig"); err != nil || (d == r.RootDigest) != tt.compat {
				t.Errorf("digest %v, %v; the bundle's is %v", d, err, r.RootDigest)
			}
		})
	}
}

// checkByHand verifies a bundle without this package: it rebuilds the payload
// from the files on disk and the signed bytes from the payload.
func checkByHand(t *testing.T, dir string, key *ecdsa.PrivateKey, compat bool) {
	t.Helper()
	var b struct {
		Envelope struct {
			Payload    string `json:"payload"`
			Signatures []struct {
				Sig string `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	must(t, json.Unmarshal(readFile(t, filepath.Join(dir, "model.sig")), &b))
	payload, err := base64.StdEncoding.DecodeString(b.Envelope.Payload)
	must(t, err)
	var got any
	must(t, json.Unmarshal(payload, &got))
	if diff := cmp.Diff(expectedStatement(dir, compat), got); diff != "" {
		t.Errorf("statement (-want +got):\n%s", diff)
	}
	signedBytes := []byte("DSSEv1 28 application/vnd.in-toto+json " + fmt.Sprint(len(payload)) + " " + string(payload))
	sig, err := base64.StdEncoding.DecodeString(b.Envelope.Signatures[0].Sig)
	must(t, err)
	var sum []byte
	switch key.Params().BitSize {
	case 256:
		h := sha256.Sum256(signedBytes)
		sum = h[:]
	case 384:
		h := sha512.Sum384(signedBytes)
		sum = h[:]
	default:
		h := sha512.Sum512(signedBytes)
		sum = h[:]
	}
	if !ecdsa.VerifyASN1(&key.PublicKey, sum, sig) {
		t.Error("the signature does not verify by hand")
	}
}

func expectedStatement(dir string, compat bool) any {
	var names []string
	for name := range weights {
		names = append(names, name)
	}
	slices.Sort(names)
	if compat { // NUL sorts before everything that a name may have
		slices.SortFunc(names, func(a, b string) int {
			return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
		})
	}
	var resources []any
	var raw []byte
	for _, name := range names {
		sum := sha256.Sum256([]byte(weights[name]))
		raw = append(raw, sum[:]...)
		resources = append(resources, map[string]any{"name": name, "algorithm": "sha256", "digest": hex.EncodeToString(sum[:])})
	}
	root := sha256.Sum256(raw)
	return map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"name": filepath.Base(dir), "digest": map[string]any{"sha256": hex.EncodeToString(root[:])}}},
		"predicateType": "https://model_signing/signature/v1.0",
		"predicate": map[string]any{
			"serialization": map[string]any{
				"method": "files", "hash_type": "sha256", "allow_symlinks": false,
				"ignore_paths": []any{".git", ".gitattributes", ".github", ".gitignore", "model.sig"},
			},
			"resources": resources,
		},
	}
}

// kinds returns the mismatches as "kind file".
func kinds(r *Result) []string {
	var out []string
	for _, m := range r.Mismatches {
		out = append(out, m.Kind+" "+m.File)
	}
	return out
}

// sealedForms are the ways to seal a model whose every file is covered.
var sealedForms = map[string]func(t *testing.T, dir string, key *ecdsa.PrivateKey){
	"bundle": func(t *testing.T, dir string, key *ecdsa.PrivateKey) {
		_, err := Sign(t.Context(), dir, key, SignOptions{})
		must(t, err)
	},
	"blob manifest": func(t *testing.T, dir string, key *ecdsa.PrivateKey) {
		blob(t, dir, key, jsonForm(dir, t))
	},
	"shards": func(t *testing.T, dir string, key *ecdsa.PrivateKey) {
		statement := shardStatement(t, dir, artifact.SHA256, 1000)
		data, err := seal(statement, key, mustMaterial(t, key), rand.Reader)
		must(t, err)
		put(t, dir, "model.sig", string(data))
	},
}

func mustMaterial(t testing.TB, key *ecdsa.PrivateKey) jsonMaterial {
	t.Helper()
	m, err := signingMaterial(key, nil)
	must(t, err)
	return m
}

func TestTampering(t *testing.T) {
	files := map[string]string{"a.bin": strings.Repeat("a", 2500), "d/b.bin": strings.Repeat("b", 2500), "c": "c"}
	edit := func(path string, f func([]byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			put(t, dir, path, string(f(readFile(t, filepath.Join(dir, path)))))
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	rename := func(from, to string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { must(t, os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))) }
	}
	tests := []struct {
		name string
		do   func(t *testing.T, dir string)
		want []string
	}{
		{"first_byte", edit("a.bin", flip(0)), []string{"modified a.bin"}},
		{"middle_byte", edit("a.bin", flip(1250)), []string{"modified a.bin"}},
		{"last_byte", edit("a.bin", flip(2499)), []string{"modified a.bin"}},
		{"truncated", edit("a.bin", func(b []byte) []byte { return b[:2499] }), []string{"modified a.bin"}},
		{"truncated_at_a_shard", edit("a.bin", func(b []byte) []byte { return b[:2000] }), []string{"modified a.bin"}},
		{"emptied", edit("a.bin", func([]byte) []byte { return nil }), []string{"modified a.bin"}},
		{"appended", edit("a.bin", func(b []byte) []byte { return append(b, 0) }), []string{"modified a.bin"}},
		{"renamed", rename("a.bin", "z.bin"), []string{"missing a.bin", "unexpected z.bin"}},
		{"moved_out_of_its_directory", rename("d/b.bin", "b.bin"), []string{"unexpected b.bin", "missing d/b.bin"}},
		{"swapped", func(t *testing.T, dir string) {
			rename("a.bin", "tmp")(t, dir)
			rename("d/b.bin", "a.bin")(t, dir)
			rename("tmp", "d/b.bin")(t, dir)
		}, []string{"modified a.bin", "modified d/b.bin"}},
		{"added", func(t *testing.T, dir string) { put(t, dir, "evil.py", "x") }, []string{"unexpected evil.py"}},
		{"added_beside_a_signature_name", func(t *testing.T, dir string) { put(t, dir, "x.signatures/evil.py", "x") }, []string{"unexpected x.signatures/evil.py"}},
		{"added_in_the_signature_directory", func(t *testing.T, dir string) { put(t, dir, ".signatures/evil.py", "x") }, []string{"unexpected .signatures/evil.py"}},
		{"added_in_a_nested_git_directory", func(t *testing.T, dir string) { put(t, dir, "d/.git/evil", "x") }, []string{"unexpected d/.git/evil"}},
		{"deleted", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "c"))) }, []string{"missing c"}},
		{"directory_deleted", func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, "d"))) }, []string{"missing d/b.bin"}},
		{"file_became_a_directory", func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "c")))
			put(t, dir, "c/evil", "x")
		}, []string{"missing c", "unexpected c/evil"}},
		{"file_became_an_empty_directory", func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "c")))
			must(t, os.Mkdir(filepath.Join(dir, "c"), 0o755))
		}, []string{"missing c"}},
		{"file_became_a_link_to_the_same_bytes", func(t *testing.T, dir string) {
			put(t, filepath.Dir(dir), "outside", "c")
			must(t, os.Remove(filepath.Join(dir, "c")))
			must(t, os.Symlink("../outside", filepath.Join(dir, "c")))
		}, []string{"symlink c"}},
		{"file_became_a_fifo", func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "c")))
			must(t, syscall.Mkfifo(filepath.Join(dir, "c"), 0o644))
		}, []string{"modified c"}},
		{"link_added", func(t *testing.T, dir string) { must(t, os.Symlink("/etc", filepath.Join(dir, "lib"))) }, []string{"symlink lib"}},
		{"directory_became_a_link", func(t *testing.T, dir string) {
			rename("d", "../d")(t, dir)
			must(t, os.Symlink("../d", filepath.Join(dir, "d")))
		}, []string{"symlink d", "missing d/b.bin"}},
		{"name_not_utf8", func(t *testing.T, dir string) { put(t, dir, "evil\xff.py", "x") }, []string{`unexpected "evil\xff.py"`}},
		{"empty_directory", func(t *testing.T, dir string) { must(t, os.Mkdir(filepath.Join(dir, "e"), 0o755)) }, nil},
	}
	for form, sign := range sealedForms {
		for _, tt := range tests {
			t.Run(strings.ReplaceAll(form, " ", "_")+"/"+tt.name, func(t *testing.T) {
				key := newKey(t, elliptic.P256())
				dir := model(t, files)
				sign(t, dir, key)
				tt.do(t, dir)
				r := verdict(t, dir, VerifyOptions{Trust: trust(key)})
				if diff := cmp.Diff(tt.want, kinds(r)); diff != "" {
					t.Errorf("mismatches (-want +got):\n%s", diff)
				}
				if want := map[bool]Verdict{true: Tampered, false: Verified}[len(tt.want) > 0]; r.Verdict != want {
					t.Errorf("verdict %s, want %s; reasons %q", r.Verdict, want, r.Reasons)
				}
				// The same files under a signature that proves nothing.
				r = verdict(t, dir, VerifyOptions{Trust: trust(newKey(t, elliptic.P256()))})
				if r.Verdict != Untrusted || r.Signer != "" || !r.RootDigest.IsZero() {
					t.Errorf("with another key: verdict %s, signer %q, root digest %q", r.Verdict, r.Signer, r.RootDigest)
				}
				if diff := cmp.Diff(tt.want, kinds(r)); diff != "" {
					t.Errorf("mismatches with another key (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// shardStatement is a statement over the files of dir in shards.
func shardStatement(t testing.TB, dir string, alg artifact.Algorithm, size int) []byte {
	t.Helper()
	var resources []jsonResource
	var raw bytes.Buffer
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		for at := 0; at < len(data); at += size {
			end := min(at+size, len(data))
			h, err := newHash(alg)
			must(t, err)
			h.Write(data[at:end])
			raw.Write(h.Sum(nil))
			resources = append(resources, jsonResource{
				fmt.Sprintf("%s:%d:%d", filepath.ToSlash(rel), at, end), fmt.Sprintf("%s-sharded-%d", alg, size), hex.EncodeToString(h.Sum(nil)),
			})
		}
		return err
	}))
	root := sha256.Sum256(raw.Bytes())
	return fmt.Appendf(nil, `{"_type":%q,"subject":[{"name":"m","digest":{"sha256":"%x"}}],"predicateType":%q,
		"predicate":{"serialization":{"method":"shards","hash_type":%q,"shard_size":%d.0,"allow_symlinks":false},"resources":%s}}`,
		statementType, root, predicateV1, alg, size, mustJSON(t, resources))
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	must(t, err)
	return data
}

func TestHashTypes(t *testing.T) {
	for _, alg := range []artifact.Algorithm{artifact.SHA256, artifact.BLAKE2b512, artifact.BLAKE3} {
		for _, size := range []int{1, 7, 1000, 1 << 20} {
			t.Run(fmt.Sprintf("%s_%d", alg, size), func(t *testing.T) {
				key := newKey(t, elliptic.P256())
				dir := model(t, map[string]string{"a:1": strings.Repeat("a", 999), "b": "b", "empty": ""})
				data, err := seal(shardStatement(t, dir, alg, size), key, mustMaterial(t, key), rand.Reader)
				must(t, err)
				put(t, dir, "model.sig", string(data))
				r := verdict(t, dir, VerifyOptions{Trust: trust(key)})
				checkVerdict(t, r, true)
				if diff := cmp.Diff([]string{"empty"}, r.Uncovered); diff != "" {
					t.Errorf("an empty file has no shard and is not covered:\n%s", diff)
				}
				if len(r.Covered) != 2 || r.Covered[1].Digest != artifact.SHA256Of([]byte("b")) {
					t.Errorf("covered %v, want the SHA-256 of both files", r.Covered)
				}
				put(t, dir, "b", "B")
				r = verdict(t, dir, VerifyOptions{Trust: trust(key)})
				if r.Verdict != Tampered || !strings.Contains(r.Mismatches[0].ExpectedHash+"sha256:", string(alg)) {
					t.Errorf("verdict %s, mismatches %v", r.Verdict, r.Mismatches)
				}
			})
		}
	}
}

func TestUncovered(t *testing.T) {
	key := newKey(t, elliptic.P256())
	dir := model(t, map[string]string{"a": "a"})
	for _, p := range []string{".github/evil.py", ".gitignore", "cache/x", "cache2/y", "mine/z"} {
		put(t, dir, p, p)
	}
	must(t, os.Symlink("/etc", filepath.Join(dir, "cache", "link")))
	_, err := Sign(t.Context(), dir, key, SignOptions{IgnorePaths: []string{"cache", "mine/z"}})
	must(t, err)
	put(t, dir, ".git/later", "x")
	put(t, dir, "theirs", "x")
	o := VerifyOptions{Trust: trust(key), IgnorePaths: []string{"theirs"}}
	r := verdict(t, dir, o)
	want := []string{".git/later", ".github/evil.py", ".gitignore", "cache/link", "cache/x", "mine/z", "theirs"}
	checkVerdict(t, r, true)
	if diff := cmp.Diff(want, r.Uncovered); diff != "" {
		t.Errorf("uncovered (-want +got):\n%s", diff)
	}
	o.FailUncovered = true
	r = verdict(t, dir, o)
	if r.Verdict != Tampered || len(r.Mismatches) != len(want) {
		t.Errorf("failing uncovered paths: verdict %s, mismatches %v", r.Verdict, r.Mismatches)
	}
	// A name that is both listed and ignored is compared.
	put(t, dir, "a", "changed")
	o = VerifyOptions{Trust: trust(key), IgnorePaths: []string{"a", "theirs"}}
	if r := verdict(t, dir, o); r.Verdict != Tampered {
		t.Errorf("a signed file was ignored: verdict %s", r.Verdict)
	}
}

func TestSymlinksAllowed(t *testing.T) {
	key := newKey(t, elliptic.P256())
	dir := model(t, map[string]string{"blobs/1": "one", "sub/x": "x"})
	must(t, os.Symlink("blobs/1", filepath.Join(dir, "weights")))
	_, err := Sign(t.Context(), dir, key, SignOptions{})
	if err == nil || !strings.Contains(err.Error(), "weights is a symbolic link") {
		t.Fatalf("signed a link: %v", err)
	}
	_, err = Sign(t.Context(), dir, key, SignOptions{AllowSymlinks: true})
	must(t, err)
	o := VerifyOptions{Trust: trust(key)}
	if r := verdict(t, dir, o); r.Verdict != Tampered || kinds(r)[0] != "symlink weights" {
		t.Errorf("the bundle decided about links: %s %v", r.Verdict, r.Mismatches)
	}
	o.AllowSymlinks = true
	checkVerdict(t, verdict(t, dir, o), true)
	for name, target := range map[string]string{"directory": "sub", "outside": "/etc/passwd", "broken": "nothing", "cycle": "weights"} {
		t.Run(name, func(t *testing.T) {
			must(t, os.Remove(filepath.Join(dir, "weights")))
			must(t, os.Symlink(target, filepath.Join(dir, "weights")))
			if r := verdict(t, dir, o); r.Verdict != Tampered || kinds(r)[0] != "symlink weights" {
				t.Errorf("verdict %s, mismatches %v", r.Verdict, r.Mismatches)
			}
		})
	}
}

func TestSingleFile(t *testing.T) {
	for _, compat := range []bool{false, true} {
		key := newKey(t, elliptic.P256())
		dir := model(t, map[string]string{"w.gguf": "w", "other": "o"})
		file := filepath.Join(dir, "w.gguf")
		s, err := Sign(t.Context(), file, key, SignOptions{Compat: compat})
		must(t, err)
		if s.Signature != file+".sig" || s.Files != 1 {
			t.Errorf("signed %+v", s)
		}
		checkVerdict(t, verdict(t, file, VerifyOptions{Trust: trust(key)}), true)
		put(t, dir, "w.gguf", "W")
		if r := verdict(t, file, VerifyOptions{Trust: trust(key)}); r.Verdict != Tampered || kinds(r)[0] != "modified w.gguf" {
			t.Errorf("verdict %s, mismatches %v", r.Verdict, r.Mismatches)
		}
	}
}

func TestCoveredIsWhatTheSignatureCovers(t *testing.T) {
	key := newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a", "b": "b"}, SignOptions{})
	put(t, dir, "c", "c")
	put(t, dir, ".git/x", "x")
	r := verdict(t, dir, VerifyOptions{Trust: trust(key)})
	var got []string
	for _, f := range r.Covered {
		got = append(got, f.Path+" "+f.Digest.Hex()[:4])
	}
	if diff := cmp.Diff([]string{"a ca97", "b 3e23"}, got); diff != "" {
		t.Errorf("covered (-want +got):\n%s", diff)
	}
}

func TestUnsupportedKeysNeverMatch(t *testing.T) {
	key := newKey(t, elliptic.P224())
	_, err := Sign(t.Context(), model(t, map[string]string{"a": "a"}), key, SignOptions{})
	if err == nil || !strings.Contains(err.Error(), "not ECDSA on P-256") {
		t.Errorf("signed with P-224: %v", err)
	}
	good := newKey(t, elliptic.P256())
	dir := signed(t, good, map[string]string{"a": "a"}, SignOptions{})
	odd := []crypto.PublicKey{nil, (*ecdsa.PublicKey)(nil), key.Public(), "text"}
	checkVerdict(t, verdict(t, dir, VerifyOptions{Trust: Trust{Keys: odd}}), false)
	checkVerdict(t, verdict(t, dir, VerifyOptions{Trust: Trust{Keys: append(odd, good.Public())}}), true)
}
