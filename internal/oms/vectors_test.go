package oms

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// vectorTime is inside the validity of every certificate of the vectors that
// is to be accepted.
var vectorTime = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// exceptions are rows of the index whose expectation is not ours, with the
// reason.
var exceptions = map[string]struct {
	want   bool
	reason string
}{
	"model-signing-spec/test-vectors-v1.0/invalid/missing-tlog-entries.bundle.json": {
		true, "the schema asks for tlogEntries; every key and certificate bundle up to v1.0.1 lacks them",
	},
	"model-transparency/tests/signing-testdata/signing/TestPayload/empty_model_folder": {
		false, "a statement over no file: the specification says to refuse it, and later releases do",
	},
	"model-transparency/tests/signing-testdata/signing/TestPayload/empty_model_folder_shard": {
		false, "as above",
	},
	"model-transparency/tests/signing-testdata/signing/TestPayload/empty_model_folder_small_shards": {
		false, "as above",
	},
	"model-transparency/tests/signing-testdata/signing/TestPayload/empty_model_file_shard": {
		false, "an empty file has no shard, so that the statement is over nothing",
	},
	"model-transparency/tests/signing-testdata/signing/TestPayload/model_folder_with_empty_file_shard": {
		false, "as above",
	},
	"model-transparency/tests/signing-testdata/signing/TestPayload/model_folder_with_empty_file_small_shards": {
		false, "as above",
	},
	"model-transparency/tests/signing-testdata/signing/TestPayload/empty_model_file_small_shards": {
		false, "as above",
	},
}

// vectors returns the directory of the shared vectors, with own.tar.gz
// unpacked to a directory of its own.
func vectors(t *testing.T) (dir, own string) {
	t.Helper()
	shared := os.Getenv("WEIGHTWARDEN_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	dir = filepath.Join(shared, "vectors", "oms")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the shared vectors are not here: %v", err)
	}
	own = t.TempDir()
	untar(t, filepath.Join(dir, "own.tar.gz"), own)
	return dir, own
}

func untar(t *testing.T, archive, to string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, filepath.FromSlash(h.Name))
		if !filepath.IsLocal(h.Name) {
			t.Fatalf("archive holds %q", h.Name)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, path)
		default:
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, data, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

type indexRow struct{ path, expected, command string }

func index(t *testing.T, dir string) []indexRow {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []indexRow
	for s := bufio.NewScanner(f); s.Scan(); {
		cells := strings.Split(s.Text(), "\t")
		if cells[0] != "path" {
			rows = append(rows, indexRow{cells[0], cells[5], cells[6]})
		}
	}
	return rows
}

var recommended = regexp.MustCompile(`recommend (ACCEPT|REJECT)`)

// accepts reads the expectation of a row: what is recommended, or what comes
// first.
func (r indexRow) accepts(t *testing.T) bool {
	t.Helper()
	if m := recommended.FindStringSubmatch(r.expected); m != nil {
		return m[1] == "ACCEPT"
	}
	m := regexp.MustCompile(`ACCEPT|REJECT|VERIFY OK`).FindString(r.expected)
	if m == "" {
		t.Fatalf("no expectation in %q", r.expected)
	}
	return m != "REJECT"
}

// TestVectors goes through the whole index. A row of a kind that it does not
// know fails.
func TestVectors(t *testing.T) {
	dir, own := vectors(t)
	kinds := []struct {
		match string
		run   func(t *testing.T, row indexRow)
	}{
		{`^own/.*\.sig$`, func(t *testing.T, r indexRow) { ownVector(t, own, r) }},
		{`^model-transparency/scripts/.*model\.sig$`, func(t *testing.T, r indexRow) { historicalVector(t, dir, r) }},
		{`^model-signing-spec/test-vectors`, func(t *testing.T, r indexRow) { schemaVector(t, dir, r) }},
		{`^model-transparency/tests/signing-testdata/signing/`, func(t *testing.T, r indexRow) { payloadVector(t, dir, r) }},
		{`^model-transparency/tests/serialization-testdata/`, func(t *testing.T, r indexRow) { orderVector(t, dir, r) }},
		{`^sigstore-go/.*json$`, func(t *testing.T, r indexRow) { foreignVector(t, dir, r) }},
		// Files of models, keys, certificates and schemas are no signatures.
		{`^own/|^model-transparency/scripts/|custom_trust_config|schemas-v1.0/|sigstore-go/.*(pub|pem)$`, nil},
	}
	ran := 0
	for _, row := range index(t, dir) {
		i := slices.IndexFunc(kinds, func(k struct {
			match string
			run   func(t *testing.T, row indexRow)
		},
		) bool {
			return regexp.MustCompile(k.match).MatchString(row.path)
		})
		switch {
		case i < 0:
			t.Errorf("%s: what kind of vector is this?", row.path)
		case kinds[i].run != nil:
			ran++
			t.Run(row.path, func(t *testing.T) { kinds[i].run(t, row) })
		}
	}
	if ran < 80 {
		t.Errorf("only %d vectors were run", ran)
	}
}

func publicKey(t *testing.T, path string) crypto.PublicKey {
	t.Helper()
	for rest := readFile(t, path); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatalf("%s: no public key", path)
		}
		if block.Type != "PUBLIC KEY" {
			continue
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
}

func pool(t *testing.T, path string) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(readFile(t, path)) {
		t.Fatalf("%s: no certificate", path)
	}
	return p
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func verdict(t *testing.T, path string, o VerifyOptions) *Result {
	t.Helper()
	r, err := Verify(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkVerdict(t *testing.T, r *Result, want bool) {
	t.Helper()
	if got := r.Verdict == Verified; got != want {
		t.Errorf("verdict %s, want verified: %t; reasons %q, mismatches %v", r.Verdict, want, r.Reasons, r.Mismatches)
	}
	if !want && len(r.Reasons)+len(r.Mismatches) == 0 {
		t.Error("refused without a reason")
	}
}

// ownVector runs "omsprobe verify METHOD KEY-OR-CA MODEL BUNDLE".
func ownVector(t *testing.T, own string, row indexRow) {
	args := strings.Fields(row.command)[2:]
	for i := range args[1:] {
		args[i+1] = filepath.Join(own, args[i+1])
	}
	o := VerifyOptions{Signature: args[3], Now: vectorTime}
	if args[0] == "certificate" {
		o.Trust.Roots = pool(t, args[1])
	} else {
		o.Trust.Keys = []crypto.PublicKey{publicKey(t, args[1])}
	}
	r := verdict(t, args[2], o)
	checkVerdict(t, r, row.accepts(t))
	if strings.Contains(row.path, "hides-payload") && len(r.Uncovered) != 1 {
		t.Errorf("uncovered %q, want the hidden file", r.Uncovered)
	}
}

// historicalVector runs the command of the reference implementation.
func historicalVector(t *testing.T, dir string, row indexRow) {
	base := filepath.Join(dir, "model-transparency/scripts/tests")
	args := strings.Fields(row.command)[3:]
	model := args[len(args)-1]
	o := VerifyOptions{Now: vectorTime}
	want := row.accepts(t)
	for i, a := range args {
		switch a {
		case "--signature":
			o.Signature = filepath.Join(base, args[i+1])
		case "--public_key":
			o.Trust.Keys = []crypto.PublicKey{publicKey(t, filepath.Join(base, args[i+1]))}
		case "--certificate_chain":
			o.Trust.Roots = pool(t, filepath.Join(base, args[i+1]))
		case "--ignore-paths":
			o.IgnorePaths = []string{filepath.Base(args[i+1])}
		}
	}
	if args[1] == "sigstore" {
		want = false // nobody is trusted here: see Trust.Keyless
	}
	r := verdict(t, filepath.Join(base, model), o)
	checkVerdict(t, r, want)
	if args[1] == "sigstore" && (r.Verdict != Untrusted || len(r.Mismatches) > 0) {
		t.Errorf("verdict %s with mismatches %v, want untrusted and the files as listed", r.Verdict, r.Mismatches)
	}
	if !want {
		return
	}
	o.Trust = Trust{Keys: []crypto.PublicKey{publicKey(t, filepath.Join(base, "keys/certificate/signing-key-pub.pem"))}}
	checkVerdict(t, verdict(t, filepath.Join(base, model), o), true) // as the reference's own tests do
	o.Trust = Trust{}
	checkVerdict(t, verdict(t, filepath.Join(base, model), o), false)
}

func (r indexRow) want(fallback bool) bool {
	if e, ok := exceptions[r.path]; ok {
		return e.want
	}
	return fallback
}

func schemaVector(t *testing.T, dir string, row indexRow) {
	data := readFile(t, filepath.Join(dir, row.path))
	err := func() error {
		b, err := parseBundle(data, Limits{}.fill())
		if err != nil {
			return err
		}
		s, err := parseStatement(b.payload, Limits{}.fill())
		if err != nil {
			return err
		}
		_, err = s.understand()
		return err
	}()
	if want := row.want(strings.HasPrefix(row.expected, "schema-valid")); (err == nil) != want {
		t.Errorf("accepted: %t, want %t: %v", err == nil, want, err)
	}
}

func payloadVector(t *testing.T, dir string, row indexRow) {
	s, err := parseStatement(readFile(t, filepath.Join(dir, row.path)), Limits{}.fill())
	if err == nil {
		_, err = s.understand()
	}
	if want := row.want(true); (err == nil) != want {
		t.Errorf("accepted: %t, want %t: %v", err == nil, want, err)
	}
}

// orderVector checks our idea of the reference implementation's order against
// its golden lists of "name:digest".
func orderVector(t *testing.T, dir string, row indexRow) {
	var names []descriptor
	for line := range strings.Lines(string(readFile(t, filepath.Join(dir, row.path)))) {
		name, _, ok := cutLast(strings.TrimSpace(line))
		if ok {
			names = append(names, descriptor{name: name})
		}
	}
	order := func(a, b descriptor) int { return comparePython(a.name, b.name) }
	if strings.Contains(row.path, "file_shard") {
		order = compareShardsPython
	}
	if !slices.IsSortedFunc(names, order) {
		t.Errorf("not in our order: %v", names)
	}
}

// foreignVector is some other Sigstore document: read or refused, never good
// for a model.
func foreignVector(t *testing.T, dir string, row indexRow) {
	model := t.TempDir()
	r := verdict(t, model, VerifyOptions{Signature: filepath.Join(dir, row.path), Now: vectorTime})
	checkVerdict(t, r, false)
}
