package oms

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// TestSignedStatements seals statements that an honest signer would not make,
// with a key that is trusted: what they say must be refused all the same.
func TestSignedStatements(t *testing.T) {
	d := hexOf("a")
	root := fmt.Sprintf("%x", sha256.Sum256(unhex(t, d)))
	root2 := fmt.Sprintf("%x", sha256.Sum256(unhex(t, d+d)))
	statement := func(root, serialization, resources string) string {
		return `{"_type":"` + statementType + `","subject":[{"name":"m","digest":{"sha256":"` + root + `"}}],"predicateType":"` +
			predicateV1 + `","predicate":{"serialization":{` + serialization + `},"resources":[` + resources + `]}}`
	}
	const files = `"method":"files","hash_type":"sha256"`
	const shards = `"method":"shards","hash_type":"sha256","shard_size":1`
	res := func(name string) string { return `{"name":"` + name + `","algorithm":"sha256","digest":"` + d + `"}` }
	good := statement(root, files, res("a"))
	tests := []struct {
		name, payload string
		want          Verdict
		reason        string
	}{
		{"good", good, Verified, ""},
		{"numbers_as_doubles", statement(root, `"method":"shards","hash_type":"sha256","shard_size":1e0`, res("a:0:1")), Verified, ""},
		{"duplicate_key", strings.Replace(good, `"subject"`, `"_type":"`+statementType+`","subject"`, 1), Error, "given twice"},
		{"duplicate_nested", strings.Replace(good, `"name":"a"`, `"name":"a","name":"b"`, 1), Error, "given twice"},
		{"duplicate_in_unknown", strings.Replace(good, `"predicate":{`, `"predicate":{"x":{"y":1,"y":2},`, 1), Error, "given twice"},
		{"duplicate_but_for_case", strings.Replace(good, `"resources":[`, `"Resources":[],"resources":[`, 1), Error, "given twice"},
		{"duplicate_but_for_folding", strings.Replace(good, `"resources":[`, `"re\u017fources":[],"resources":[`, 1), Error, "given twice"},
		{"keys_in_other_case", strings.Replace(good, `"subject"`, `"SUBJECT"`, 1), Untrusted, "unknown field"},
		{"other_type", strings.Replace(good, "Statement/v1", "Statement/v0.1", 1), Untrusted, "type"},
		{"other_predicate", strings.Replace(good, "signature/v1.0", "signature/v2.0", 1), Untrusted, "predicate type"},
		{"no_subject", strings.Replace(good, `[{"name":"m","digest":{"sha256":"`+root+`"}}]`, `[]`, 1), Untrusted, "0 subjects"},
		{"two_subjects", strings.Replace(good, `"subject":[`, `"subject":[{"name":"n","digest":{"sha256":"`+root+`"}},`, 1), Untrusted, "2 subjects"},
		{"nameless_subject", strings.Replace(good, `"name":"m"`, `"name":""`, 1), Error, "no name"},
		{"no_resources", statement(hexOf(""), files, ""), Untrusted, "no file is listed"},
		{"wrong_root", statement(d, files, res("a")), Untrusted, "root digest"},
		{"short_root", statement("00", files, res("a")), Error, "root digest"},
		{"listed_twice", statement(root2, files, res("a")+","+res("a")), Untrusted, "listed twice"},
		{"listed_twice_escaped", statement(root2, files, res("a")+","+res(`\u0061`)), Untrusted, "listed twice"},
		{"parent", statement(root, files, res("../a")), Untrusted, "shortest form"},
		{"inner_parent", statement(root, files, res("x/../a")), Untrusted, "shortest form"},
		{"absolute", statement(root, files, res("/a")), Untrusted, "absolute"},
		{"nul", statement(root, files, res(`a\u0000`)), Untrusted, "NUL"},
		{"not_utf8", statement(root, files, res("a\xff")), Error, "UTF-8"},
		{"half_a_character", statement(root, files, res(`\udc00`)), Error, "half a character"},
		{"newline_is_missing_not_misread", statement(root, files, res(`a\n`)), Tampered, ""},
		{"dot_among_others", statement(root2, files, res("a")+","+res(".")), Untrusted, "empty"},
		{"dot_for_a_directory", statement(root, files, res(".")), Tampered, ""},
		{"ignores_everything", statement(root, files+`,"ignore_paths":["."]`, res("a")), Untrusted, "ignored path"},
		{"ignores_outside", statement(root, files+`,"ignore_paths":["../x"]`, res("a")), Untrusted, "ignored path"},
		{"md5", statement(root, `"method":"files","hash_type":"md5"`, res("a")), Untrusted, "hash type"},
		{"sha512", statement(root, `"method":"files","hash_type":"sha512"`, res("a")), Untrusted, "hash type"},
		{"other_algorithm", strings.Replace(good, `"algorithm":"sha256"`, `"algorithm":"blake3"`, 1), Untrusted, "algorithm"},
		{"no_method", statement(root, `"hash_type":"sha256"`, res("a")), Untrusted, "method"},
		{"files_named_like_shards", statement(root, files, res("a:0:1")), Tampered, ""},
		{"shards_without_size", statement(root, `"method":"shards","hash_type":"sha256"`, res("a:0:1")), Error, "shard size"},
		{"shard_size_zero", statement(root, `"method":"shards","hash_type":"sha256","shard_size":0`, res("a:0:1")), Error, "whole number"},
		{"shard_size_half", statement(root, `"method":"shards","hash_type":"sha256","shard_size":1.5`, res("a:0:1")), Error, "whole number"},
		{"shard_size_huge", statement(root, `"method":"shards","hash_type":"sha256","shard_size":1e400`, res("a:0:1")), Error, "whole number"},
		{"shard_hole_at_start", statement(root, shards, res("a:1:2")), Untrusted, "does not follow"},
		{"shard_hole", statement(root2, shards, res("a:0:1")+","+res("a:2:3")), Untrusted, "does not follow"},
		{"shard_twice", statement(root2, shards, res("a:0:1")+","+res("a:0:1")), Untrusted, "does not follow"},
		{"shard_too_long", statement(root, shards, res("a:0:2")), Untrusted, "does not follow"},
		{"shard_empty", statement(root, shards, res("a:0:0")), Untrusted, "does not follow"},
		{"shard_backwards", statement(root, shards, res("a:1:0")), Untrusted, "does not follow"},
		{"shard_other_spelling", statement(root, shards, res("a:00:1")), Error, "offset"},
		{"shard_overflow", statement(root, shards, res("a:0:99999999999999999999")), Error, "offset"},
		{"shard_negative", statement(root, shards, res("a:-1:0")), Error, "offset"},
		{"shard_nameless", statement(root, shards, res(":0:1")), Error, "want path:start:end"},
		{"shard_beyond_the_end", statement(root2, shards, res("a:0:1")+","+res("a:1:2")), Tampered, ""},
		{"not_json", "statement", Error, "not JSON"},
		{"trailing", good + "{}", Error, "not JSON"},
		{"deep", `{"predicate":` + strings.Repeat(`{"a":`, 1<<20), Error, "nested deeper"},
		{"deep_in_strings_only", strings.Replace(good, `"name":"m"`, `"name":"`+strings.Repeat("[", 1000)+`"`, 1), Verified, ""},
		{"many_times_the_same", statement(root, files, strings.Repeat(res("a")+",", 1_000_000/8)+res("a")), Untrusted, "listed twice"},
	}
	key := newKey(t, elliptic.P256())
	material := mustMaterial(t, key)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := model(t, map[string]string{"a": "a"})
			data, err := seal([]byte(tt.payload), key, material, rand.Reader)
			must(t, err)
			put(t, dir, "model.sig", string(data))
			r := verdict(t, dir, VerifyOptions{Trust: trust(key)})
			if text := strings.Join(r.Reasons, "\n"); r.Verdict != tt.want || !strings.Contains(text, tt.reason) || len(text) > 1000 {
				t.Errorf("verdict %s, reasons %.2000q, mismatches %v; want %s, %q", r.Verdict, text, r.Mismatches, tt.want, tt.reason)
			}
		})
	}
}

func TestBundleRefused(t *testing.T) {
	key := newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a"}, SignOptions{})
	good := string(readFile(t, filepath.Join(dir, "model.sig")))
	change := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %q in the bundle", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	tests := []struct {
		name, bundle string
		want         Verdict
		reason       string
	}{
		{"empty", "", Error, "not JSON"},
		{"array", "[]", Error, "want {"},
		{"truncated", good[:len(good)/2], Error, "not JSON"},
		{"nul_bytes", strings.Repeat("\x00", 1000), Error, "not JSON"},
		{"media_type", change("bundle.v0.3+json", "bundle.v0.4+json"), Untrusted, "media type"},
		{"no_media_type", change(`"mediaType":"`+bundleType+`",`, ""), Untrusted, "media type"},
		{"payload_type", change("application/vnd.in-toto+json", "application/vnd.in-toto"), Untrusted, "payload type"},
		{"duplicate_envelope", change(`"mediaType"`, `"dsseEnvelope":{},"mediaType"`), Error, "given twice"},
		{"message_signature", change(`"dsseEnvelope"`, `"messageSignature"`), Untrusted, "unknown field"},
		{"no_material", change(`"publicKey"`, `"tlogEntries2"`), Untrusted, "unknown field"},
		{"two_materials", change(`"publicKey"`, `"certificate":{},"publicKey"`), Untrusted, "2 methods"},
		{"no_signature", change(`"signatures":[`, `"signatures":[],"x":[`), Untrusted, "unknown field"},
		{"two_signatures", change(`"signatures":[`, `"signatures":[{"sig":"AA=="},`), Untrusted, "2 signatures"},
		{"empty_signature", change(`"sig":"`, `"sig":"","keyid":"`), Error, "given twice"},
		{"signature_not_base64", change(`"sig":"`, `"sig":"*`), Error, "base64"},
		{"signature_changed", change(`"sig":"M`, `"sig":"N`), Untrusted, "does not verify"},
		{"payload_changed", change(`"payload":"ey`, `"payload":"ICB7`), Error, ""},
		{"empty_hint_is_no_hint", change(`"hint":"`, `"hint":"","keyDetails":"`), Verified, "does not name its key"},
		{"key_is_no_pem", change(`"hint":"`, `"rawBytes":"AAAA","keyDetails":"`), Error, "not PEM"},
		{"empty_chain", regexp.MustCompile(`"publicKey":{[^}]*}`).ReplaceAllString(good, `"x509CertificateChain":{"certificates":[]}`), Error, "without a certificate"},
		{"many_time_stamps", change(`"tlogEntries":[]`, `"timestampVerificationData":{"rfc3161Timestamps":[`+strings.Repeat(`{},`, 100)+`{}]}`), Error, "more than 32"},
		{"time_stamp_of_another_kind", change(`"tlogEntries":[]`, `"timestampVerificationData":{"other":[]}`), Untrusted, "unknown field"},
		{"unknown_field", change(`"mediaType"`, `"extra":1,"mediaType"`), Untrusted, "unknown field"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			put(t, dir, "model.sig", tt.bundle)
			r := verdict(t, dir, VerifyOptions{Trust: trust(key)})
			if text := strings.Join(r.Reasons, "\n"); r.Verdict != tt.want || !strings.Contains(text, tt.reason) {
				t.Errorf("verdict %s, reasons %q; want %s, %q", r.Verdict, text, tt.want, tt.reason)
			}
		})
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	key := newKey(t, elliptic.P256())
	tests := []struct {
		name   string
		do     func(t *testing.T, dir string) (signature string)
		want   Verdict
		reason string
	}{
		{"no_model", func(t *testing.T, dir string) string { must(t, os.RemoveAll(dir)); return "" }, Error, "no such file"},
		{"unsigned", func(t *testing.T, dir string) string { must(t, os.Remove(dir+"/model.sig")); return "" }, Untrusted, "not signed"},
		{"named_and_missing", func(_ *testing.T, dir string) string { return dir + "/other.sig" }, Untrusted, "not signed"},
		{"manifest_without_signature", func(t *testing.T, dir string) string {
			must(t, os.Remove(dir+"/model.sig"))
			put(t, dir, ".signatures/manifest.json", "{}")
			return ""
		}, Untrusted, "not signed"},
		{"bundle_is_a_fifo", func(t *testing.T, dir string) string {
			must(t, os.Remove(dir+"/model.sig"))
			must(t, syscall.Mkfifo(dir+"/model.sig", 0o644))
			return ""
		}, Untrusted, "it is a fifo"},
		{"named_fifo", func(t *testing.T, dir string) string {
			must(t, syscall.Mkfifo(dir+"/fifo", 0o644))
			return dir + "/fifo"
		}, Untrusted, "it is a fifo"},
		{"bundle_is_a_directory", func(t *testing.T, dir string) string {
			must(t, os.Rename(dir+"/model.sig", dir+"/x"))
			must(t, os.Mkdir(dir+"/model.sig", 0o755))
			return ""
		}, Untrusted, "it is a directory"},
		{"bundle_is_a_link", func(t *testing.T, dir string) string {
			must(t, os.Rename(dir+"/model.sig", dir+"/../x"))
			must(t, os.Symlink("../x", dir+"/model.sig"))
			return ""
		}, Untrusted, "it is a symlink"},
		{"bundle_over_the_limit", func(t *testing.T, dir string) string {
			must(t, os.Truncate(dir+"/model.sig", 1<<30))
			return ""
		}, Error, "over the limit"},
		{"bundle_elsewhere", func(t *testing.T, dir string) string {
			must(t, os.Rename(dir+"/model.sig", dir+"/../x"))
			return dir + "/../x"
		}, Verified, ""},
		{"bundle_elsewhere_in_the_model", func(t *testing.T, dir string) string {
			must(t, os.Mkdir(dir+"/s", 0o755))
			must(t, os.Rename(dir+"/model.sig", dir+"/s/x"))
			return dir + "/../" + filepath.Base(dir) + "/s/x"
		}, Verified, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := signed(t, key, map[string]string{"a": "a"}, SignOptions{})
			o := VerifyOptions{Trust: trust(key), Signature: tt.do(t, dir)}
			r := verdict(t, dir, o)
			if text := strings.Join(r.Reasons, "\n"); r.Verdict != tt.want || !strings.Contains(text, tt.reason) {
				t.Errorf("verdict %s, reasons %q, mismatches %v; want %s, %q", r.Verdict, text, r.Mismatches, tt.want, tt.reason)
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root reads everything: the parts are tested through the index.
		testUnreadIndex(t)
		return
	}
	key := newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a", "d/b": "b"}, SignOptions{})
	for _, path := range []string{"a", "d"} {
		must(t, os.Chmod(filepath.Join(dir, path), 0))
		if r := verdict(t, dir, VerifyOptions{Trust: trust(key)}); r.Verdict != Error || len(r.Mismatches) > 0 {
			t.Errorf("%s: verdict %s, mismatches %v", path, r.Verdict, r.Mismatches)
		}
		must(t, os.Chmod(filepath.Join(dir, path), 0o755))
	}
}

func TestArguments(t *testing.T) {
	for _, o := range []VerifyOptions{{IgnorePaths: []string{"../x"}}, {IgnorePaths: []string{""}}, {IgnorePaths: []string{"/etc"}}} {
		if _, err := Verify(t.Context(), t.TempDir(), o); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("ignoring %q: %v, want an invalid argument with a hint", o.IgnorePaths, err)
		}
	}
	if _, err := Verify(t.Context(), "", VerifyOptions{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no path: %v", err)
	}
	key := newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a"}, SignOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, dir, VerifyOptions{Trust: trust(key)}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	key := newKey(t, elliptic.P256())
	tests := []struct {
		name string
		do   func(t *testing.T, dir string)
		key  crypto.Signer
		kind fault.Kind
	}{
		{"empty", func(t *testing.T, dir string) { must(t, os.Remove(dir+"/a")) }, key, fault.Invalid},
		{"missing", func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, key, fault.NotFound},
		{"fifo", func(t *testing.T, dir string) { must(t, syscall.Mkfifo(dir+"/f", 0o644)) }, key, fault.Incomplete},
		{"link", func(t *testing.T, dir string) { must(t, os.Symlink("a", dir+"/l")) }, key, fault.Invalid},
		{"name_not_utf8", func(t *testing.T, dir string) { put(t, dir, "\xff", "x") }, key, fault.Incomplete},
		{"no_key", func(*testing.T, string) {}, nil, fault.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := model(t, map[string]string{"a": "a"})
			tt.do(t, dir)
			_, err := Sign(t.Context(), dir, tt.key, SignOptions{})
			if fault.KindOf(err) != tt.kind || fault.HintOf(errors.Unwrap(err)) == "" {
				t.Errorf("error %v of kind %v, want %v with a hint", err, fault.KindOf(err), tt.kind)
			}
			if _, err := os.Lstat(dir + "/model.sig"); err == nil {
				t.Error("a bundle was written")
			}
		})
	}
}

func TestSignReplacesItsOwnSignature(t *testing.T) {
	key := newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a"}, SignOptions{})
	first, err := Sign(t.Context(), dir, key, SignOptions{})
	must(t, err)
	if first.Files != 1 || first.Bytes != 1 {
		t.Errorf("signed %+v, want one file of one byte", first)
	}
	checkVerdict(t, verdict(t, dir, VerifyOptions{Trust: trust(key)}), true)
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	info, err := os.Stat(dir + "/model.sig")
	must(t, err)
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestLimits(t *testing.T) {
	key := newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a", "b": "b", "c": "c"}, SignOptions{})
	size := int64(len(readFile(t, filepath.Join(dir, "model.sig"))))
	tests := []struct {
		name string
		lim  Limits
		want Verdict
	}{
		{"as_large_as_allowed", Limits{Bundle: size, Resources: 8, Depth: 6}, Verified},
		{"one_byte_more", Limits{Bundle: size - 1}, Error},
		{"too_many_files", Limits{Resources: 2}, Error},
		{"too_deep", Limits{Depth: 3}, Error},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := verdict(t, dir, VerifyOptions{Trust: trust(key), Limits: tt.lim})
			if text := strings.Join(r.Reasons, "\n"); r.Verdict != tt.want || tt.want == Error && !strings.Contains(text, "over the limit") {
				t.Errorf("verdict %s, reasons %q; want %s", r.Verdict, text, tt.want)
			}
		})
	}
}

// TestALinkIsNoSignature names a bundle through a link inside the model.
func TestALinkIsNoSignature(t *testing.T) {
	key := newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a"}, SignOptions{})
	must(t, os.Rename(dir+"/model.sig", dir+"/../x"))
	must(t, os.Symlink("../x", dir+"/model.sig"))
	r := verdict(t, dir, VerifyOptions{Trust: trust(key), Signature: dir + "/model.sig", IgnorePaths: []string{"b"}})
	if r.Verdict != Verified || len(r.Uncovered) != 1 {
		// model.sig is among the ignored paths of the bundle.
		t.Errorf("verdict %s, uncovered %q", r.Verdict, r.Uncovered)
	}
}

// TestBoundedTime reads large bundles that are none.
func TestBoundedTime(t *testing.T) {
	if testing.Short() {
		t.Skip("reads large bundles")
	}
	start := time.Now()
	for name, data := range map[string]string{
		"spaces":   strings.Repeat(" ", 8<<20),
		"brackets": strings.Repeat("[", 8<<20),
		"keys":     `{"verificationMaterial":{"tlogEntries":[` + strings.Repeat(`{"a":1},`, 1<<19) + `{}]}}`,
	} {
		if _, err := parseBundle([]byte(data), Limits{}.fill()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

func testUnreadIndex(t *testing.T) {
	t.Helper()
	key := newKey(t, elliptic.P256())
	dir := signed(t, key, map[string]string{"a": "a", "d/b": "b"}, SignOptions{})
	v := &verification{path: dir, isDir: true, out: &Result{}}
	want := claim{"d/b", []shard{{0, -1, artifact.SHA256Of(nil)}}}
	c := comparison{verification: v, claims: &claims{files: []claim{want}}}
	c.index(unlistable("d"))
	must(t, c.claim(t.Context(), want))
	if !v.incomplete || len(v.out.Mismatches) > 0 {
		t.Errorf("below a directory that cannot be listed: %+v", v.out)
	}
}

func unlistable(path string) *manifest.Manifest {
	return &manifest.Manifest{Problems: []manifest.Problem{{Path: path, Kind: manifest.Walk, Reason: "permission denied"}}}
}
