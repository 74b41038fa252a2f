package oms

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// blob writes the guide's two files, as cosign does.
func blob(t testing.TB, dir string, key *ecdsa.PrivateKey, list string) {
	t.Helper()
	put(t, dir, ".signatures/manifest.json", list)
	put(t, dir, ".signatures/manifest.sig", base64.StdEncoding.EncodeToString(blobSig(t, key, list))+"\n")
}

func blobSig(t testing.TB, key *ecdsa.PrivateKey, list string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(list))
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	must(t, err)
	return sig
}

func hexOf(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// jsonForm lists the files of dir as {"files": {path: digest}}.
func jsonForm(dir string, t testing.TB) string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			data, readErr := os.ReadFile(path)
			files[filepath.ToSlash(rel)], err = hexOf(string(data)), readErr
		}
		return err
	}))
	return string(mustJSON(t, map[string]any{"created": "today", "files": files}))
}

func TestBlobManifestForms(t *testing.T) {
	a, b := hexOf("a"), hexOf("b")
	tests := []struct{ name, list string }{
		{"object", `{"files": {"a": "` + a + `", "d/b": "` + b + `"}}`},
		{"object_with_other_keys", `{"model": "m", "version": 2, "files": {"a": "` + a + `", "d/b": "sha256:` + b + `"}, "by": {"x": [1]}}`},
		{"array", `{"files": [{"path": "a", "sha256": "` + a + `", "size": 1}, {"sha256": "` + b + `", "path": "d/b"}]}`},
		{"flat", `{"a": "` + a + `", "d/b": "` + strings.ToUpper(b) + `"}`},
		{"sha256sum_text", a + "  a\n" + b + "  d/b\n"},
		{"sha256sum_binary_no_last_line_end", a + " *a\n" + b + " *d/b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := newKey(t, elliptic.P256())
			dir := model(t, map[string]string{"a": "a", "d/b": "b"})
			blob(t, dir, key, tt.list)
			r := verdict(t, dir, VerifyOptions{Trust: trust(newKey(t, elliptic.P384()), key)})
			checkVerdict(t, r, true)
			if diff := cmp.Diff([]string{".signatures/manifest.json", ".signatures/manifest.sig"}, r.Material); diff != "" {
				t.Errorf("material (-want +got):\n%s", diff)
			}
			if want := hexOf(string(unhex(t, a+b))); r.RootDigest.Hex() != want || r.Method != MethodManifest {
				t.Errorf("root digest %v, want %s; method %s", r.RootDigest, want, r.Method)
			}
			checkVerdict(t, verdict(t, dir, VerifyOptions{}), false)
		})
	}
}

func unhex(t *testing.T, s string) (out []byte) {
	t.Helper()
	_, err := fmt.Sscanf(s, "%x", &out)
	must(t, err)
	return out
}

func TestBlobManifestEscapes(t *testing.T) {
	key := newKey(t, elliptic.P256())
	name := "a\\b\nc\rd"
	dir := model(t, map[string]string{name: "a"})
	blob(t, dir, key, `\`+hexOf("a")+`  a\\b\nc\rd`+"\n")
	checkVerdict(t, verdict(t, dir, VerifyOptions{Trust: trust(key)}), true)
}

func TestBlobManifestRefused(t *testing.T) {
	d := hexOf("a")
	tests := []struct {
		name, list string
		err        error
		text       string
	}{
		{"empty", "", ErrMalformed, "it is empty"},
		{"blank", " \n", ErrMalformed, "it is empty"},
		{"no_files", `{"files": {}}`, ErrRefused, "no file is listed"},
		{"empty_object", `{}`, ErrRefused, "no file is listed"},
		{"array_on_top", `[{"path":"a","sha256":"` + d + `"}]`, ErrRefused, "a JSON array"},
		{"files_is_a_number", `{"files": 3}`, ErrRefused, "want an object or an array"},
		{"files_is_null", `{"files": null}`, ErrRefused, "want an object or an array"},
		{"nothing_like_it", `{"name": "m", "layers": []}`, ErrRefused, `no "files", and the value of "layers" is no digest`},
		{"duplicate_key", `{"files": {"a":"` + d + `","a":"` + d + `"}}`, ErrMalformed, "given twice"},
		{"duplicate_by_escape", `{"files": {"a":"` + d + `","\u0061":"` + d + `"}}`, ErrMalformed, "given twice"},
		{"files_twice", `{"files": {"a":"` + d + `"},"files": {"b":"` + d + `"}}`, ErrMalformed, "given twice"},
		{"duplicate_in_array", `{"files": [{"path":"a","sha256":"` + d + `"},{"path":"a","sha256":"` + d + `"}]}`, ErrRefused, "listed twice"},
		{"array_item_without_path", `{"files": [{"sha256":"` + d + `"}]}`, ErrRefused, "empty"},
		{"array_item_without_digest", `{"files": [{"path":"a"}]}`, ErrRefused, "want a SHA-256 digest"},
		{"md5", `{"files": {"a": "d41d8cd98f00b204e9800998ecf8427e"}}`, ErrRefused, "want a SHA-256 digest"},
		{"sha512", `{"files": {"a": "sha512:` + d + d + `"}}`, ErrRefused, "want a SHA-256 digest"},
		{"blake3", `{"files": {"a": "blake3:` + d + `"}}`, ErrRefused, "want a SHA-256 digest"},
		{"parent", `{"files": {"../a": "` + d + `"}}`, ErrRefused, "not in its shortest form"},
		{"absolute", `{"/a": "` + d + `"}`, ErrRefused, "absolute"},
		{"dot_slash", d + "  ./a\n", ErrRefused, "not in its shortest form"},
		{"nul", `{"files": {"a\u0000": "` + d + `"}}`, ErrRefused, "NUL"},
		{"half_a_character", `{"files": {"\ud800": "` + d + `"}}`, ErrMalformed, "half a character"},
		{"half_a_character_second", `{"files": {"\ud83d\ud83d": "` + d + `"}}`, ErrMalformed, "half a character"},
		{"not_utf8_json", "{\"files\": {\"\xff\": \"" + d + "\"}}", ErrMalformed, "not UTF-8"},
		{"not_utf8_lines", d + "  \xff\n", ErrMalformed, "not UTF-8"},
		{"truncated_json", `{"files": {"a": "` + d + `"}`, ErrMalformed, "not JSON"},
		{"trailing_json", `{"files": {"a": "` + d + `"}} {}`, ErrMalformed, "not JSON"},
		{"deep", `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `,"files":{}}`, ErrLimit, "nested deeper"},
		{"duplicate_line", d + "  a\n" + d + "  a\n", ErrRefused, "line 2"},
		{"blank_line", d + "  a\n\n", ErrRefused, "line 2"},
		{"comment", "# made today\n", ErrRefused, "line 1"},
		{"one_space", d + " a\n", ErrRefused, "want a SHA-256 digest"},
		{"bsd_form", "SHA256 (a) = " + d + "\n", ErrRefused, "want a SHA-256 digest"},
		{"crlf", d + "  a\r\n", ErrRefused, "carriage return"},
		{"unknown_escape", `\` + d + `  a\x` + "\n", ErrRefused, "unknown escape"},
		{"escape_at_the_end", `\` + d + `  a\` + "\n", ErrRefused, "unknown escape"},
		{"endless_line", strings.Repeat("a", 1<<17), ErrLimit, "line 1 is too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseBlobManifest([]byte(tt.list), Limits{}.fill())
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.err, tt.text)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestBlobSignature(t *testing.T) {
	key := newKey(t, elliptic.P256())
	list := `{"files":{"a":"` + hexOf("a") + `"}}`
	sig := blobSig(t, key, list)
	tests := []struct {
		name, file, content string
		want                Verdict
	}{
		{"raw", "manifest.sig", string(sig), Verified},
		{"other_name", "manifest.json.sig", base64.StdEncoding.EncodeToString(sig), Verified},
		{"none", "manifest.sig.bak", string(sig), Untrusted},
		{"empty", "manifest.sig", "", Error},
		{"no_base64", "manifest.sig", "?", Error},
		{"other_content", "manifest.sig", base64.StdEncoding.EncodeToString(blobSig(t, key, list+" ")), Untrusted},
		{"too_long", "manifest.sig", strings.Repeat("A", blobSignatureLimit+1), Error},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := model(t, map[string]string{"a": "a"})
			put(t, dir, ".signatures/manifest.json", list)
			put(t, dir, ".signatures/"+tt.file, tt.content)
			for _, given := range []string{"", filepath.Join(dir, ".signatures")} {
				if r := verdict(t, dir, VerifyOptions{Trust: trust(key), Signature: given}); r.Verdict != tt.want {
					t.Errorf("signature %q: verdict %s, want %s; reasons %q, mismatches %v", given, r.Verdict, tt.want, r.Reasons, r.Mismatches)
				}
			}
		})
	}
}
