package oms

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stricter are the reasons for which this package refuses what the naive
// verifier accepts. Anything else is a fault in one of the two. There is no
// list the other way round: what the naive one refuses is never verified.
var stricter = []struct{ text, why string }{
	{"unknown field", "the schema of a bundle allows no other fields; a reader that skips them may miss what they mean"},
	{"given twice", "encoding/json takes the last of two keys, other readers the first"},
	{"differ in case", "encoding/json takes Payload for payload, other readers do not"},
	{"not UTF-8", "encoding/json puts another character in the place of what is not UTF-8"},
}

// difference is one random model with one or two random manipulations.
type difference struct {
	*mathrand.Rand
	t    testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	did  []string
	list []map[string]any
}

var differentialNames = []string{"a", "b.bin", "model/x", "model/y", "model.txt", "model-v", "onnx/m", ".hidden", "sub/.git/c", "a:b", "ü"}

func newDifference(t testing.TB, seed uint64) *difference {
	d := &difference{Rand: mathrand.New(mathrand.NewPCG(seed, 0)), t: t, dir: t.TempDir(), key: newKey(t, elliptic.P256())}
	for _, name := range differentialNames {
		if d.IntN(2) == 0 {
			d.put(name, strings.Repeat(name, d.IntN(40)))
		}
	}
	d.put("config.json", "{}")
	return d
}

func (d *difference) put(name, content string) { put(d.t, d.dir, name, content) }

// sign writes a bundle over the files that are there, without any help of this
// package, after change was made to the statement.
func (d *difference) sign(change func(statement map[string]any)) {
	d.t.Helper()
	root := sha256.New()
	for _, name := range append([]string{"config.json"}, differentialNames...) {
		data, err := os.ReadFile(filepath.Join(d.dir, name))
		if err != nil {
			continue
		}
		sum := sha256.Sum256(data)
		root.Write(sum[:])
		d.list = append(d.list, map[string]any{"name": name, "algorithm": "sha256", "digest": hex.EncodeToString(sum[:])})
	}
	statement := map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"name": "m", "digest": map[string]any{"sha256": hex.EncodeToString(root.Sum(nil))}}},
		"predicateType": "https://model_signing/signature/v1.0",
		"predicate": map[string]any{
			"serialization": map[string]any{"method": "files", "hash_type": "sha256", "allow_symlinks": false, "ignore_paths": []string{"model.sig", "cache"}},
			"resources":     d.list,
		},
	}
	change(statement)
	payload, err := json.Marshal(statement)
	must(d.t, err)
	const kind = "application/vnd.in-toto+json"
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload))
	sig, err := ecdsa.SignASN1(rand.Reader, d.key, sum[:])
	must(d.t, err)
	hint, err := KeyHint(d.key.Public())
	must(d.t, err)
	bundle, err := json.Marshal(map[string]any{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": hint}, "tlogEntries": []any{}},
		"dsseEnvelope": map[string]any{
			"payload": base64.StdEncoding.EncodeToString(payload), "payloadType": kind,
			"signatures": []any{map[string]any{"sig": base64.StdEncoding.EncodeToString(sig), "keyid": ""}},
		},
	})
	must(d.t, err)
	d.put("model.sig", string(bundle))
}

// restate changes what is signed: a signer that errs, or means harm.
func (d *difference) restate(s map[string]any) {
	predicate := s["predicate"].(map[string]any)
	serialization := predicate["serialization"].(map[string]any)
	entry := d.list[d.IntN(len(d.list))]
	switch d.did = append(d.did, "restate"); d.IntN(12) {
	case 0:
		predicate["resources"] = append(d.list, entry)
	case 1:
		predicate["resources"] = d.list[:len(d.list)-1]
	case 2:
		d.Shuffle(len(d.list), func(i, j int) { d.list[i], d.list[j] = d.list[j], d.list[i] })
	case 3:
		entry["name"] = []string{"../x", "/x", "a//b", "./a", "", "x/..", "a/"}[d.IntN(7)]
	case 4:
		entry["digest"] = strings.Repeat("0", 64)
	case 5:
		entry["algorithm"] = "md5"
	case 6:
		serialization["method"] = "shards"
	case 7:
		serialization["hash_type"] = "sha1"
	case 8:
		serialization["ignore_paths"] = []string{"model"}
	case 9:
		delete(serialization, "ignore_paths")
	case 10:
		s["_type"] = "https://in-toto.io/Statement/v0.1"
	case 11:
		predicate["more"] = map[string]any{"x": 1}
	}
}

// tamper changes the files or the bundle, as somebody without the key can.
func (d *difference) tamper() {
	name := differentialNames[d.IntN(len(differentialNames))]
	full := filepath.Join(d.dir, name)
	n := d.IntN(12)
	d.did = append(d.did, fmt.Sprintf("tamper %d %s", n, name))
	switch n {
	case 0:
		d.put(name, "evil")
	case 1:
		must(d.t, os.RemoveAll(full))
	case 2:
		d.put([]string{".github/x", "cache/x", "x.signatures/x", "model.sig.x", "onnx/.gitignore", "new"}[d.IntN(6)], "x")
	case 3:
		must(d.t, os.RemoveAll(full))
		must(d.t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(d.t, os.Symlink("config.json", full))
	case 4:
		must(d.t, os.MkdirAll(filepath.Join(d.dir, "empty"), 0o755))
	case 5:
		must(d.t, os.RemoveAll(full))
		must(d.t, os.MkdirAll(full, 0o755))
	case 6:
		must(d.t, os.RemoveAll(filepath.Join(d.dir, "cache")))
		must(d.t, os.Symlink("/etc", filepath.Join(d.dir, "cache")))
	default:
		d.bundle(func(raw []byte) []byte {
			at := d.IntN(len(raw))
			switch d.IntN(6) {
			case 0:
				raw[at] ^= 1 << d.IntN(8)
				return raw
			case 1:
				return raw[:at]
			case 2:
				return slices.Insert(raw, at, byte(d.IntN(256)))
			case 3:
				return bytes.Replace(raw, []byte(`"payload":`), []byte(`"payload":"e30=","payload":`), 1)
			case 4:
				return bytes.Replace(raw, []byte(`"mediaType":`), []byte(`"MediaType":"x","mediaType":`), 1)
			default:
				return bytes.Replace(raw, []byte(`"signatures":[`), []byte(`"signatures":[{"sig":"AA=="},`), 1)
			}
		})
	}
}

func (d *difference) bundle(change func([]byte) []byte) {
	raw, err := os.ReadFile(filepath.Join(d.dir, "model.sig"))
	must(d.t, err)
	d.put("model.sig", string(change(raw)))
}

// run compares the two verifiers and returns whether the model was accepted.
func (d *difference) run() (accepted bool) {
	d.t.Helper()
	d.sign(func(s map[string]any) {
		if d.IntN(3) == 0 {
			d.restate(s)
		}
	})
	for range d.IntN(3) {
		d.tamper()
	}
	naive := naiveVerify(d.dir, &d.key.PublicKey)
	r, err := Verify(d.t.Context(), d.dir, VerifyOptions{Trust: trust(d.key)})
	must(d.t, err)
	switch ours := r.Verdict == Verified; {
	case ours && naive != nil:
		d.t.Fatalf("after %v: verified, and the naive verifier says %v", d.did, naive)
	case !ours && naive == nil && !strictly(r):
		d.t.Fatalf("after %v: %s %v %v, and the naive verifier accepts it", d.did, r.Verdict, r.Mismatches, r.Reasons)
	default:
		return ours
	}
	return false
}

// strictly reports whether a refusal is one of those that are meant.
func strictly(r *Result) bool {
	return slices.ContainsFunc(r.Reasons, func(reason string) bool {
		return slices.ContainsFunc(stricter, func(s struct{ text, why string }) bool { return strings.Contains(reason, s.text) })
	})
}

func TestDifferential(t *testing.T) {
	accepted := 0
	const runs = 400
	for seed := range uint64(runs) {
		if newDifference(t, seed).run() {
			accepted++
		}
	}
	// A comparison in which one outcome hardly occurs compares nothing.
	if accepted < runs/10 || accepted > runs*9/10 {
		t.Errorf("%d of %d were accepted", accepted, runs)
	}
}

// Whatever is done to a model, this package accepts nothing that the naive
// verifier refuses, and refuses more only for the reasons listed.
func FuzzDifferential(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { newDifference(t, seed).run() })
}
