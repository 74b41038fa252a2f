package layout_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

const (
	commit = "c7a1b54e2f6f4d6a8e1e5d9f0b7a3c2d1e4f5a6b"
	newer  = "d8b2c65f3a7a5e7b9f2f6eaa1c8b4d3e2f5a6b7c"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	p := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(p), 0o755))
	must(t, os.WriteFile(p, []byte(content), 0o644))
}

func gitName(content string) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)))
}

func sha256Name(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

// hub is a repository of a hub cache, as the hub's own library makes it.
type hub struct{ repo, snapshot string }

func newHub(t testing.TB) hub {
	t.Helper()
	repo := filepath.Join(t.TempDir(), "models--acme--tiny")
	h := hub{repo, filepath.Join(repo, "snapshots", commit)}
	h.add(t, "model.safetensors", strings.Repeat("w", 70_000), sha256Name)
	h.add(t, "config.json", `{"a":1}`, gitName)
	h.add(t, "onnx/model.onnx", "onnx", sha256Name)
	write(t, repo, "refs/main", commit)
	return h
}

// add puts a blob in place and links to it.
func (h hub) add(t testing.TB, name, content string, naming func(string) string) {
	t.Helper()
	blob := naming(content)
	write(t, h.repo, "blobs/"+blob, content)
	link := filepath.Join(h.snapshot, name)
	must(t, os.MkdirAll(filepath.Dir(link), 0o755))
	must(t, os.Symlink(strings.Repeat("../", 2+strings.Count(name, "/"))+"blobs/"+blob, link))
}

// summary is a report in a few words each.
func summary(r *layout.Report) []string {
	out := []string{}
	for _, m := range r.Mismatches {
		out = append(out, m.Kind+" "+strings.Join(m.Names, ","))
	}
	for _, p := range r.Problems {
		out = append(out, string(p.Class)+" "+p.Kind)
	}
	return out
}

func verify(t testing.TB, path string) (*layout.Report, *manifest.Manifest) {
	t.Helper()
	l := layout.Detect(path)
	m, err := l.Take(t.Context(), manifest.Options{})
	must(t, err)
	r, err := l.Verify(t.Context(), m)
	must(t, err)
	return r, m
}

func paths(m *manifest.Manifest) []string {
	out := make([]string, 0, len(m.Files))
	for _, f := range m.Files {
		out = append(out, f.Path)
	}
	return out
}

func TestHubSnapshot(t *testing.T) {
	h := newHub(t)
	// another revision in the same cache is not this model's
	write(t, h.repo, "snapshots/"+newer+"/other.bin", "x")
	write(t, h.repo, "blobs/"+sha256Name("other"), "other")
	must(t, os.Symlink("/etc/passwd", filepath.Join(h.repo, "snapshots", newer, "escape")))
	r, m := verify(t, h.snapshot)
	if r.Kind != layout.HubSnapshot || r.Repository != "acme/tiny" || r.Revision != commit || r.Verified != 3 {
		t.Errorf("layout is %+v", r)
	}
	if diff := cmp.Diff([]string{}, summary(r)); diff != "" || len(m.Problems) > 0 {
		t.Errorf("problems (-want +got):\n%s%v", diff, m.Problems)
	}
	want := []string{
		"blobs/" + sha256Name(strings.Repeat("w", 70_000)), "blobs/" + gitName(`{"a":1}`), "blobs/" + sha256Name("onnx"), "refs/main",
		"snapshots/" + commit + "/config.json", "snapshots/" + commit + "/model.safetensors", "snapshots/" + commit + "/onnx/model.onnx",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, paths(m)); diff != "" {
		t.Errorf("what belongs to the model (-want +got):\n%s", diff)
	}
	view, locate := layout.Detect(h.snapshot).View(m)
	if diff := cmp.Diff([]string{"config.json", "model.safetensors", "onnx/model.onnx"}, paths(view)); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
	if f := view.Files[0]; f.Kind != artifact.Regular || f.Digest.Hex() != sha256Name(`{"a":1}`) || locate(f.Path) != "blobs/"+gitName(`{"a":1}`) {
		t.Errorf("seen as %+v at %s", f, locate(f.Path))
	}
}

func TestHubIsRecognised(t *testing.T) {
	h := newHub(t)
	current := filepath.Join(t.TempDir(), "current")
	must(t, os.Symlink(h.snapshot, current))
	tests := []struct {
		name, path string
		want       layout.Kind
		files      int
	}{
		{"repository", h.repo, layout.HubRepository, 7},
		{"snapshot", h.snapshot, layout.HubSnapshot, 7},
		{"snapshot_by_a_link", current, layout.HubSnapshot, 7},
		{"one_file", filepath.Join(h.snapshot, "model.safetensors"), layout.HubSnapshot, 3},
		{"directory_of_a_snapshot", filepath.Join(h.snapshot, "onnx"), layout.HubSnapshot, 3},
		{"blobs", filepath.Join(h.repo, "blobs"), layout.Directory, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, m := verify(t, tt.path)
			if r.Kind != tt.want || len(m.Files) != tt.files || len(m.Problems) != 0 {
				t.Errorf("%s with %v and %v", r.Kind, paths(m), m.Problems)
			}
		})
	}
}

func TestHubManipulated(t *testing.T) {
	weights := strings.Repeat("w", 70_000)
	tests := []struct {
		name string
		do   func(t *testing.T, h hub)
		want []string
	}{
		{"large_blob", func(t *testing.T, h hub) { write(t, h.repo, "blobs/"+sha256Name(weights), "evil") }, []string{"modified snapshots/" + commit + "/model.safetensors"}},
		{"small_blob", func(t *testing.T, h hub) { write(t, h.repo, "blobs/"+gitName(`{"a":1}`), `{"a":2}`) }, []string{"modified snapshots/" + commit + "/config.json"}},
		{"blob_gone", func(t *testing.T, h hub) { must(t, os.Remove(filepath.Join(h.repo, "blobs", sha256Name("onnx")))) }, []string{"missing snapshots/" + commit + "/onnx/model.onnx"}},
		{"blob_renamed", func(t *testing.T, h hub) {
			must(t, os.Rename(filepath.Join(h.repo, "blobs", sha256Name("onnx")), filepath.Join(h.repo, "blobs", sha256Name("x"))))
		}, []string{"missing snapshots/" + commit + "/onnx/model.onnx"}},
		{"blob_without_hash", func(t *testing.T, h hub) {
			h.add(t, "x", "x", func(string) string { return "abc-12" })
		}, []string{"unverified blob_name"}},
		{"blob_is_link", func(t *testing.T, h hub) {
			p := filepath.Join(h.repo, "blobs", sha256Name("onnx"))
			must(t, os.Remove(p))
			must(t, os.Symlink(sha256Name(weights), p))
		}, []string{"contradiction blob_not_file"}},
		{"link_out", func(t *testing.T, h hub) { must(t, os.Symlink("/etc/hostname", filepath.Join(h.snapshot, "x"))) }, []string{"contradiction link_leaves"}},
		{"link_to_another_repository", func(t *testing.T, h hub) {
			must(t, os.Symlink("../../../models--other/blobs/"+sha256Name("onnx"), filepath.Join(h.snapshot, "x")))
		}, []string{"contradiction link_leaves"}},
		{"link_within_the_snapshot", func(t *testing.T, h hub) { must(t, os.Symlink("config.json", filepath.Join(h.snapshot, "x"))) }, []string{"contradiction link_leaves"}},
		{"file_instead_of_link", func(t *testing.T, h hub) {
			must(t, os.Remove(filepath.Join(h.snapshot, "config.json")))
			write(t, h.snapshot, "config.json", `{"a":1}`)
		}, []string{"unverified unnamed_content"}},
		{"signature", func(t *testing.T, h hub) { write(t, h.snapshot, "model.sig", "{}") }, []string{"note signature_file"}},
		{"ref_to_nothing", func(t *testing.T, h hub) { write(t, h.repo, "refs/main", newer) }, []string{"contradiction ref_missing"}},
		{"ref_without_commit", func(t *testing.T, h hub) { write(t, h.repo, "refs/pr/1", "../../x") }, []string{"contradiction ref_invalid"}},
		{"ref_too_long", func(t *testing.T, h hub) { write(t, h.repo, "refs/main", strings.Repeat("a", 1000)) }, []string{"unverified ref_unreadable"}},
		{"ref_moved_to_what_is_there", func(t *testing.T, h hub) {
			must(t, os.MkdirAll(filepath.Join(h.repo, "snapshots", newer), 0o755))
			write(t, h.repo, "refs/main", newer)
		}, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHub(t)
			tt.do(t, h)
			r, _ := verify(t, h.snapshot)
			if diff := cmp.Diff(tt.want, summary(r)); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHubMismatchNamesTheHashes(t *testing.T) {
	h := newHub(t)
	blob := gitName(`{"a":1}`)
	write(t, h.repo, "blobs/"+blob, `{"a":2}`)
	r, _ := verify(t, h.repo)
	want := []layout.Mismatch{{
		File: "blobs/" + blob, Names: []string{"snapshots/" + commit + "/config.json"}, Kind: layout.Modified, Algorithm: "git-sha1",
		ExpectedHash: blob, ActualHash: gitName(`{"a":2}`), Reason: "the content is not what its name says: git-sha1 " + gitName(`{"a":2}`),
	}}
	if diff := cmp.Diff(want, r.Mismatches); diff != "" || r.Sound() || r.Verified != 2 {
		t.Errorf("mismatches (-want +got):\n%s", diff)
	}
}

func TestHubRepository(t *testing.T) {
	h := newHub(t)
	write(t, h.repo, ".no_exist/"+commit+"/adapter_config.json", "")
	write(t, h.repo, "blobs/"+sha256Name("later")+".incomplete", "la")
	r, m := verify(t, h.repo)
	if diff := cmp.Diff([]string{"note incomplete_download"}, summary(r)); diff != "" || slices.ContainsFunc(paths(m), func(p string) bool { return strings.HasPrefix(p, ".no_exist") }) {
		t.Errorf("report (-want +got):\n%s\n%v", diff, paths(m))
	}
	write(t, h.repo, ".no_exist/"+commit+"/payload.py", "import os")
	write(t, h.repo, "snapshots/evil/x", "x")
	write(t, h.repo, "payload.py", "x")
	r, _ = verify(t, h.repo)
	want := []string{"unverified stray_path", "note incomplete_download", "unverified stray_path", "contradiction snapshot_name"}
	if diff := cmp.Diff(want, summary(r)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}
