package manifest_test

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

func TestCompare(t *testing.T) {
	unread := artifact.File{Path: "w", Kind: artifact.Regular, Size: 1}
	longer := artifact.File{Path: "w", Kind: artifact.Regular, Size: 2}
	touched := file("w", "1")
	touched.Mode, touched.ModTime = 0o777, touched.ModTime.AddDate(1, 0, 0)
	problem := func(path string, k manifest.ProblemKind) []manifest.Problem {
		return []manifest.Problem{{Path: path, Kind: k, Reason: "r"}}
	}
	tests := []struct {
		name     string
		want     []artifact.File
		got      []artifact.File
		problems []manifest.Problem
		changes  []string
	}{
		{"same", []artifact.File{file("w", "1")}, []artifact.File{touched}, nil, nil},
		{"content", []artifact.File{file("w", "1")}, []artifact.File{file("w", "2")}, nil, []string{"w modified"}},
		{
			"both_ends",
			[]artifact.File{file("a", ""), file("c", "")},
			[]artifact.File{file("b", ""), file("d", "")},
			nil,
			[]string{"a missing", "b unexpected", "c missing", "d unexpected"},
		},
		{"swapped_contents", []artifact.File{file("a", "1"), file("b", "2")}, []artifact.File{file("a", "2"), file("b", "1")}, nil, []string{"a modified", "b modified"}},
		{"link_target", []artifact.File{link("w", "a")}, []artifact.File{link("w", "b")}, problem("w", manifest.LinkEscapes), []string{"w modified"}},
		{"file_became_link", []artifact.File{file("w", "1")}, []artifact.File{link("w", "b")}, nil, []string{"w modified"}},
		{"file_became_fifo", []artifact.File{file("w", "1")}, []artifact.File{kind("w", artifact.FIFO)}, problem("w", manifest.Special), []string{"w modified"}},
		{"unread", []artifact.File{file("w", "1")}, []artifact.File{unread}, problem("w", manifest.Unreadable), nil},
		{"unread_and_longer", []artifact.File{file("w", "1")}, []artifact.File{longer}, problem("w", manifest.Unstable), []string{"w modified"}},
		{"unread_without_a_problem", []artifact.File{file("w", "1")}, []artifact.File{unread}, nil, []string{"w modified"}},
		{"unread_at_baseline", []artifact.File{unread}, []artifact.File{file("w", "1")}, nil, []string{"w modified"}},
		{"name_problem_is_of_another_file", []artifact.File{file(`"\xff"`, "1")}, nil, problem(`"\xff"`, manifest.Name), []string{`"\xff" missing`}},
		{"below_unlisted_directory", []artifact.File{file("a/b/w", "1"), file("ab", "1")}, nil, problem("a", manifest.Walk), []string{"ab missing"}},
		{"below_dangling_link", []artifact.File{file("a/w", "1")}, []artifact.File{link("a", "x")}, problem("a", manifest.LinkEscapes), []string{"a unexpected", "a/w missing"}},
		{"empty_directory_appears", nil, []artifact.File{kind("a", artifact.Directory)}, nil, []string{"a unexpected"}},
		{"empty_directory_goes", []artifact.File{kind("a", artifact.Directory)}, nil, nil, []string{"a missing"}},
		{"directory_fills", []artifact.File{kind("a", artifact.Directory)}, []artifact.File{file("a-b", ""), file("a/w", "")}, nil, []string{"a-b unexpected", "a/w unexpected"}},
		{"directory_empties", []artifact.File{file("a/w", "")}, []artifact.File{kind("a", artifact.Directory)}, nil, []string{"a/w missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := manifest.Compare(&manifest.Manifest{Files: tt.want}, &manifest.Manifest{Files: tt.got, Problems: tt.problems})
			var changes []string
			for _, c := range got {
				changes = append(changes, c.Path+" "+string(c.Kind))
				if (c.Kind == manifest.Unexpected) != (c.Want == artifact.File{}) || (c.Kind == manifest.Missing) != (c.Got == artifact.File{}) {
					t.Errorf("%s has the wrong side: %+v", c.Path, c)
				}
			}
			if diff := gocmp.Diff(tt.changes, changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRootDigest(t *testing.T) {
	a, b := file("a", "1"), file("b", "2")
	both := artifact.SHA256Of(append(a.Digest.Bytes(), b.Digest.Bytes()...))
	tests := []struct {
		name  string
		files []artifact.File
		want  artifact.Digest
	}{
		{"path_order", []artifact.File{b, a}, both},
		{"only_regular_files", []artifact.File{a, kind("aa", artifact.Directory), b, link("c", "a")}, both},
		{"nothing", nil, artifact.Digest{}},
		{"one_without_a_digest", []artifact.File{a, {Path: "b", Kind: artifact.Regular}}, artifact.Digest{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			given := slices.Clone(tt.files)
			if got := manifest.RootDigest(tt.files); got != tt.want {
				t.Errorf("root digest %v, want %v", got, tt.want)
			}
			if !slices.Equal(given, tt.files) {
				t.Error("the argument was reordered")
			}
		})
	}
}

// The published vectors say which root digest a tree has.
func TestRootOfSignedModel(t *testing.T) {
	dir := vectors(t) + "/model-transparency/scripts/tests/v1.1.0-certificate"
	want, names := signedRoot(t, readFile(t, dir+"/model.sig"))
	m, err := manifest.Take(t.Context(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	signed := slices.DeleteFunc(m.Files, func(f artifact.File) bool { return !slices.Contains(names, f.Path) })
	if got := manifest.RootDigest(signed); got.String() != want {
		t.Errorf("root digest of %v is %v, signed was %s", names, got, want)
	}
}

func TestRootOfArchivedModel(t *testing.T) {
	dir := t.TempDir()
	unpack(t, vectors(t)+"/own.tar.gz", dir)
	want, _ := signedRoot(t, readFile(t, dir+"/own/cert-valid/bundle.sig"))
	m, err := manifest.Take(t.Context(), dir+"/own/cert-valid/model", manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Root().String() != want || m.Regular() != 2 || m.Bytes() == 0 {
		t.Errorf("root digest %v of %d files, signed was %s", m.Root(), m.Regular(), want)
	}
}

func vectors(t *testing.T) string {
	t.Helper()
	dir := cmp.Or(os.Getenv("WEIGHTWARDEN_SHARED"), "../../../shared") + "/vectors/oms"
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the OMS vectors are not here: %v", err)
	}
	return dir
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// signedRoot takes the subject digest and the resource names out of a bundle,
// without verifying anything.
func signedRoot(t *testing.T, bundle []byte) (root string, names []string) {
	t.Helper()
	var b struct {
		Envelope struct {
			Payload string `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	var s struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		Predicate struct {
			Resources []struct {
				Name string `json:"name"`
			} `json:"resources"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(b.Envelope.Payload)
	if err := errors.Join(err, json.Unmarshal(payload, &s)); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Predicate.Resources {
		names = append(names, r.Name)
	}
	return s.Subject[0].Digest["sha256"], names
}

// unpack extracts the regular files of a trusted archive.
func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
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
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		tree{t, dir}.write(h.Name, string(data))
	}
}
