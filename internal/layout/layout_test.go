package layout_test

import (
	"context"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

func TestPlain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "m/w.bin", "w")
	tests := []struct {
		name, path string
		want       layout.Kind
	}{
		{"directory", filepath.Join(dir, "m"), layout.Directory},
		{"file", filepath.Join(dir, "m", "w.bin"), layout.File},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, m := verify(t, tt.path)
			if r.Kind != tt.want || len(summary(r)) > 0 || len(m.Files) != 1 || m.Files[0].Path != "w.bin" {
				t.Errorf("%+v, %v", r, paths(m))
			}
		})
	}
}

// A place that nothing is at has a layout all the same, and taking it says
// what is wrong.
func TestNothing(t *testing.T) {
	for _, p := range []string{t.TempDir() + "/x", newHub(t).repo + "/snapshots/" + newer, ""} {
		l := layout.Detect(p)
		if _, err := l.Take(t.Context(), manifest.Options{}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: error is %v", l.Kind, err)
		}
	}
}

// oci is an image layout under construction.
type oci struct{ dir string }

func (o oci) blob(t testing.TB, content string) string {
	t.Helper()
	write(t, o.dir, "blobs/sha256/"+sha256Name(content), content)
	return content
}

func describe(mediaType, content, title string) string {
	annotations := ""
	if title != "" {
		name, _ := json.Marshal(title)
		annotations = `,"annotations":{"org.opencontainers.image.title":` + string(name) + `}`
	}
	return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%s","size":%d%s}`, mediaType, sha256Name(content), len(content), annotations)
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	weightType   = "application/vnd.cncf.model.weight.v1.raw"
	configType   = "application/vnd.cncf.model.config.v1+json"
)

// newOCI makes a layout with one manifest over the layers given.
func newOCI(t testing.TB, layers ...string) oci {
	t.Helper()
	o := oci{filepath.Join(t.TempDir(), "oci")}
	write(t, o.dir, "oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	if layers == nil {
		layers = []string{describe(weightType, o.blob(t, "weights"), "model.safetensors")}
	}
	config := describe(configType, o.blob(t, "{}"), "")
	list := o.blob(t, `{"schemaVersion":2,"mediaType":"`+manifestType+`","config":`+config+`,"layers":[`+strings.Join(layers, ",")+`]}`)
	o.index(t, describe(manifestType, list, ""))
	return o
}

func (o oci) index(t testing.TB, manifests ...string) {
	t.Helper()
	write(t, o.dir, "index.json", `{"schemaVersion":2,"manifests":[`+strings.Join(manifests, ",")+`]}`)
}

func TestOCI(t *testing.T) {
	r, m := verify(t, newOCI(t).dir)
	want := []layout.Content{
		{Title: "", MediaType: configType, Digest: "sha256:" + sha256Name("{}"), Size: 2},
		{Title: "model.safetensors", MediaType: weightType, Digest: "sha256:" + sha256Name("weights"), Size: 7},
	}
	if r.Kind != layout.OCI || r.Verified != 3 || len(m.Files) != 5 || len(summary(r)) > 0 {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff(want, r.Contents); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}

func TestOCIManipulated(t *testing.T) {
	weights := "blobs/sha256/" + sha256Name("weights")
	tests := []struct {
		name string
		make func(t *testing.T) oci
		do   func(t *testing.T, o oci)
		want []string
	}{
		{"layer", nil, func(t *testing.T, o oci) { write(t, o.dir, weights, "WEIGHTS") }, []string{"modified model.safetensors"}},
		{"layer_longer", nil, func(t *testing.T, o oci) { write(t, o.dir, weights, "weights!") }, []string{"modified model.safetensors", "contradiction size"}},
		{"layer_gone", nil, func(t *testing.T, o oci) { must(t, os.Remove(filepath.Join(o.dir, weights))) }, []string{"missing model.safetensors"}},
		{"unreferenced_blob", nil, func(t *testing.T, o oci) { o.blob(t, "later") }, []string{"note unreferenced_blob"}},
		{"unreferenced_and_wrong", nil, func(t *testing.T, o oci) { write(t, o.dir, "blobs/sha256/"+sha256Name("a"), "b") }, []string{"modified ", "note unreferenced_blob"}},
		{"stray_file", nil, func(t *testing.T, o oci) { write(t, o.dir, "evil.py", "x") }, []string{"unverified stray_path"}},
		{"blob_without_digest", nil, func(t *testing.T, o oci) { write(t, o.dir, "blobs/sha256/x", "x") }, []string{"unverified blob_name"}},
		{"unknown_manifest", nil, func(t *testing.T, o oci) {
			o.index(t, describe("application/x-evil", o.blob(t, "e"), ""))
		}, []string{"note unreferenced_blob", "note unreferenced_blob", "note unreferenced_blob", "unverified media_type"}},
		{"index_gone", nil, func(t *testing.T, o oci) { must(t, os.Remove(filepath.Join(o.dir, "index.json"))) }, []string{
			"note unreferenced_blob", "note unreferenced_blob", "note unreferenced_blob", "contradiction document_missing",
		}},
		{"version", nil, func(t *testing.T, o oci) { write(t, o.dir, "oci-layout", `{"imageLayoutVersion":"9"}`) }, []string{"unverified layout_version"}},
		{"title_leaves", func(t *testing.T) oci { return newOCI(t, describe(weightType, "{}", "../x")) }, nil, []string{"contradiction title_leaves"}},
		{"title_twice", func(t *testing.T) oci {
			return newOCI(t, describe(weightType, "{}", "x"), describe(weightType, "{}", "x"))
		}, nil, []string{"contradiction title_twice"}},
		{"unknown_layer", func(t *testing.T) oci { return newOCI(t, describe("text/evil", "{}", "x")) }, nil, []string{"unverified media_type"}},
		{"duplicate_key", nil, func(t *testing.T, o oci) { write(t, o.dir, "index.json", `{"manifests":[],"manifests":[]}`) }, []string{
			"note unreferenced_blob", "note unreferenced_blob", "note unreferenced_blob", "unverified document_unread",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			build := tt.make
			if build == nil {
				build = func(t *testing.T) oci { return newOCI(t) }
			}
			o := build(t)
			if tt.do != nil {
				tt.do(t, o)
			}
			r, _ := verify(t, o.dir)
			if diff := cmp.Diff(tt.want, summary(r)); diff != "" {
				t.Errorf("report (-want +got):\n%s\n%+v", diff, r.Problems)
			}
		})
	}
}

func TestOCIWithSHA512(t *testing.T) {
	sum := fmt.Sprintf("%x", sha512.Sum512([]byte("weights")))
	layer := fmt.Sprintf(`{"mediaType":%q,"digest":"sha512:%s","size":7}`, weightType, sum)
	o := newOCI(t, layer)
	write(t, o.dir, "blobs/sha512/"+sum, "weights")
	if r, _ := verify(t, o.dir); r.Verified != 3 || len(summary(r)) > 0 {
		t.Errorf("%+v", r)
	}
	write(t, o.dir, "blobs/sha512/"+sum, "WEIGHTS")
	if r, _ := verify(t, o.dir); len(r.Mismatches) != 1 || r.Mismatches[0].Algorithm != "sha512" || r.Mismatches[0].ExpectedHash != sum {
		t.Errorf("%+v", r)
	}
}

const mlmodel = `artifact_path: model
flavors:
  python_function:
    data: model.pkl
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
  sklearn:
    pickled_model: model.pkl
    code: null
run_id: 0a1b
`

func TestMLflow(t *testing.T) {
	all := []string{"model.pkl", "conda.yaml", "python_env.yaml"}
	tests := []struct {
		name, mlmodel string
		files         []string
		want, flavors []string
	}{
		{"complete", mlmodel, all, []string{}, []string{"python_function", "sklearn"}},
		{"model_missing", mlmodel, all[1:], []string{"contradiction reference_missing", "contradiction reference_missing"}, []string{"python_function", "sklearn"}},
		{"leaves", "flavors:\n  f: {data: ../../x}\n", nil, []string{"contradiction reference_leaves"}, []string{"f"}},
		{"absolute", "flavors:\n  f: {code: [/etc]}\n", nil, []string{"contradiction reference_leaves"}, []string{"f"}},
		{"artifacts", "flavors:\n  python_function:\n    artifacts: {w: {path: artifacts/w, uri: s3://x/w}}\n", nil, []string{"contradiction reference_missing"}, []string{"python_function"}},
		{"alias", "a: &a [1]\nflavors: {f: *a}\n", nil, []string{"unverified document_unread"}, nil},
		{"key_twice", "flavors:\n  f: {data: a, data: b}\n", nil, []string{"unverified document_unread"}, nil},
		{"no_flavor", "run_id: 1\n", nil, []string{"unverified no_flavor"}, nil},
		{"not_yaml", "\t{", nil, []string{"unverified document_unread"}, nil},
		{"too_large", "a: " + strings.Repeat("x", 1<<20), nil, []string{"unverified document_unread"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "MLmodel", tt.mlmodel)
			for _, f := range tt.files {
				write(t, dir, f, f)
			}
			r, _ := verify(t, dir)
			if diff := cmp.Diff(tt.want, summary(r)); diff != "" || r.Kind != layout.MLflow {
				t.Errorf("%s report (-want +got):\n%s\n%+v", r.Kind, diff, r.Problems)
			}
			if diff := cmp.Diff(tt.flavors, r.Flavors); diff != "" {
				t.Errorf("flavors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	h := newHub(t)
	l := layout.Detect(h.snapshot)
	m, err := l.Take(t.Context(), manifest.Options{})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Verify(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// A blob that changes between the two hashes is no proof of anything.
func TestChangedSinceTheManifest(t *testing.T) {
	h := newHub(t)
	l := layout.Detect(h.snapshot)
	m, err := l.Take(t.Context(), manifest.Options{})
	must(t, err)
	write(t, h.repo, "blobs/"+gitName(`{"a":1}`), `{"a":2}`)
	r, err := l.Verify(t.Context(), m)
	must(t, err)
	if diff := cmp.Diff([]string{"unverified unstable"}, summary(r)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}
