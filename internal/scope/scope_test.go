package scope_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/scope"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func take(t *testing.T, dir string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Take(t.Context(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLook(t *testing.T) {
	good := map[string]string{"config.json": "{}", "model.bin": "good", "empty": ""}
	bad := map[string]string{"config.json": "{}", "model.bin": "evil", "empty": ""}
	suspect := scope.NewSuspect(take(t, tree(t, bad)), take(t, tree(t, good)))
	outside := tree(t, bad)
	tests := []struct {
		name    string
		files   map[string]string
		prepare func(dir string) error
		verdict incident.PlaceVerdict
		root    bool
		matches int
	}{
		{"the_whole_suspect", bad, nil, incident.PlaceAffected, true, 1},
		{"the_good_version", good, nil, incident.PlaceClear, false, 0},
		{"empty", nil, nil, incident.PlaceClear, false, 0},
		{"one_suspect_file_under_another_name", map[string]string{"x/y.dat": "evil"}, nil, incident.PlaceAffected, false, 1},
		{"the_suspect_and_more", map[string]string{"config.json": "{}", "model.bin": "evil", "empty": "", "more": "x"}, nil, incident.PlaceAffected, false, 1},
		{"same_size_other_content", map[string]string{"model.bin": "fine"}, nil, incident.PlaceClear, false, 0},
		{"link_to_a_suspect_file", nil, func(dir string) error {
			return os.Symlink(filepath.Join(outside, "model.bin"), filepath.Join(dir, "weights"))
		}, incident.PlaceAffected, false, 1},
		{"link_to_nothing", nil, func(dir string) error { return os.Symlink("/nonexistent/x", filepath.Join(dir, "weights")) }, incident.PlaceUnknown, false, 0},
		{"link_to_a_directory_outside", nil, func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "weights")) }, incident.PlaceUnknown, false, 0},
		{"gone", nil, os.Remove, incident.PlaceUnknown, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			if tt.prepare != nil {
				if err := tt.prepare(dir); err != nil {
					t.Fatal(err)
				}
			}
			p, err := suspect.Look(t.Context(), scope.Target{Kind: scope.Archive, Path: dir})
			if err != nil || p.Verdict != tt.verdict || p.SameRoot != tt.root || p.Matches != tt.matches {
				t.Errorf("%+v, %v", p, err)
			}
			if p.Counts() != (tt.verdict != incident.PlaceClear) {
				t.Errorf("counts: %t", p.Counts())
			}
		})
	}
	if p, err := suspect.Look(t.Context(), scope.Target{Path: filepath.Join(outside, "model.bin")}); err != nil || p.Matches != 1 {
		t.Errorf("a model that is one file: %+v, %v", p, err)
	}
}

func TestUnreadableIsUnknown(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	suspect := scope.NewSuspect(take(t, tree(t, map[string]string{"a": "evil"})), nil)
	dir := tree(t, map[string]string{"b": "evil"})
	if err := os.Chmod(filepath.Join(dir, "b"), 0); err != nil {
		t.Fatal(err)
	}
	if p, err := suspect.Look(t.Context(), scope.Target{Path: dir}); err != nil || p.Verdict != incident.PlaceUnknown {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestWithoutBaselineEveryFileIsSuspect(t *testing.T) {
	s := scope.NewSuspect(take(t, tree(t, map[string]string{"a": "x", "b": "y", "empty": ""})), nil)
	if len(s.Bad) != 2 {
		t.Errorf("%d suspect contents", len(s.Bad))
	}
}

func TestTargets(t *testing.T) {
	dir := tree(t, map[string]string{"models--o--m/blobs/a": "x", "datasets--d/blobs/b": "y", "version.txt": "1", ".locks/x": ""})
	var paths []string
	for _, target := range scope.Repositories(dir) {
		paths = append(paths, filepath.Base(target.Path))
	}
	if !slices.Equal(paths, []string{"datasets--d", "models--o--m"}) {
		t.Errorf("repositories are %q", paths)
	}
	if got := scope.Repositories(filepath.Join(dir, "none")); got != nil {
		t.Errorf("a cache that does not exist has %v", got)
	}
	if got := scope.Versions(filepath.Join(dir, "none")); len(got) != 1 {
		t.Errorf("an archive that cannot be read is %v", got)
	}
	env := map[string]string{"HF_HOME": "/hf", "HOME": "/home/a", "HF_HUB_CACHE": "relative"}
	got := scope.Caches(func(name string) string { return env[name] }, []string{"/home/a", "/home/b"})
	want := []string{"/hf/hub", "/home/a/.cache/huggingface/hub", "/root/.cache/huggingface/hub", "/home/b/.cache/huggingface/hub"}
	if !slices.Equal(got, want) {
		t.Errorf("caches are %q", got)
	}
}

func TestFirstBad(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	file := scope.Changed{Path: "w", Changed: noon.Add(-time.Hour), Modified: noon.AddDate(-9, 0, 0)}
	inc := &incident.Incident{DetectedAt: noon}
	at, source, considered := scope.FirstBad(inc, []scope.Changed{file, {Path: "x"}})
	if !at.Equal(file.Changed) || source != "the kernel's time of change of w" || len(considered) != 3 || !considered[0].Weak {
		t.Errorf("%v, %s, %v", at, source, considered)
	}
	inc.Facts = map[string]incident.StatedFact{"first_bad_at": {Fact: incident.Fact{Value: noon.Format(time.RFC3339)}, By: "ana"}}
	if at, source, _ := scope.FirstBad(inc, []scope.Changed{file}); !at.Equal(noon) || source != "stated by ana" {
		t.Errorf("a person's word does not count: %v, %s", at, source)
	}
}
