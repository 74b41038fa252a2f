package pyenv_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/pyenv"
)

// put writes a file below dir, with the directories above it.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// installed makes an environment with the packages given as name, version, name, version.
func installed(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "pyvenv.cfg", "home = /usr/bin\nversion = 3.11.7\n")
	put(t, dir, "lib/python3.11/site-packages/README.txt", "")
	for i := 0; i < len(packages); i += 2 {
		install(t, dir, packages[i], packages[i+1])
	}
	return dir
}

const site = "lib/python3.11/site-packages/"

func install(t *testing.T, dir, name, version string) {
	t.Helper()
	put(t, dir, site+strings.ReplaceAll(name, "-", "_")+"-"+version+".dist-info/METADATA",
		"Metadata-Version: 2.1\nName: "+name+"\nVersion: "+version+"\n\nName: body\n")
}

func TestRead(t *testing.T) {
	dir := installed(t, "torch", "2.2.0+cu121", "Ruamel.YAML", "0.18")
	put(t, dir, site+"legacy-1.0-py3.11.egg-info/PKG-INFO", "Name: legacy\nVersion: 1.0\n")
	put(t, dir, site+"single-2.0.egg-info", "Name: single\nVersion: 2.0\n")
	put(t, dir, "lib/python3.11/dist-packages/UPPER-1.DIST-INFO/METADATA", "Name: upper\nVersion: 1\n")
	if err := os.Symlink("lib", filepath.Join(dir, "lib64")); err != nil {
		t.Fatal(err)
	}
	got := pyenv.Read(t.Context(), dir)
	at := func(name string) string { return filepath.Join(dir, site, name) }
	want := &pyenv.Environment{Root: dir, Python: "3.11.7", Packages: []pyenv.Package{
		{Name: "legacy", Version: "1.0", Path: at("legacy-1.0-py3.11.egg-info")},
		{Name: "ruamel-yaml", Version: "0.18", Path: at("Ruamel.YAML-0.18.dist-info")},
		{Name: "single", Version: "2.0", Path: at("single-2.0.egg-info")},
		{Name: "torch", Version: "2.2.0+cu121", Path: at("torch-2.2.0+cu121.dist-info")},
		{Name: "upper", Version: "1", Path: filepath.Join(dir, "lib/python3.11/dist-packages/UPPER-1.DIST-INFO")},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	direct := pyenv.Read(t.Context(), filepath.Join(dir, site))
	if direct.Python != "3.11" || len(direct.Packages) != 4 || len(direct.Problems) != 0 {
		t.Errorf("read by its site-packages: %+v", direct)
	}
}

func TestReadProblems(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, dir string)
		want string // package: reason
		pkgs int
	}{
		{"metadata_missing", func(t *testing.T, dir string) { put(t, dir, site+"torch-2.2.0.dist-info/RECORD", "") }, "torch: METADATA is missing", 0},
		{"metadata_is_a_directory", func(t *testing.T, dir string) { put(t, dir, site+"torch-2.dist-info/METADATA/x", "") }, "torch: is a directory, not a file", 0},
		{"metadata_is_a_fifo", func(t *testing.T, dir string) {
			put(t, dir, site+"torch-2.dist-info/RECORD", "")
			if err := syscall.Mkfifo(filepath.Join(dir, site, "torch-2.dist-info/METADATA"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "torch: is a fifo, not a file", 0},
		{"record_leads_out", func(t *testing.T, dir string) {
			outside := installed(t, "torch", "2")
			if err := os.Symlink(filepath.Join(outside, site, "torch-2.dist-info"), filepath.Join(dir, site, "torch-2.dist-info")); err != nil {
				t.Fatal(err)
			}
		}, "torch: path escapes from parent", 0},
		{"other_name_inside", func(t *testing.T, dir string) {
			put(t, dir, site+"torch-2.dist-info/METADATA", "Name: torchtriton\nVersion: 2\n")
		}, `torch: its metadata name the package "torchtriton"`, 1},
		{"other_version_inside", func(t *testing.T, dir string) {
			put(t, dir, site+"torch-2.dist-info/METADATA", "Name: torch\nVersion: 3\n")
		}, `torch: its metadata name the version "3"`, 1},
		{"given_twice", func(t *testing.T, dir string) {
			put(t, dir, site+"torch-2.dist-info/METADATA", "Name: torch\nVersion: 2\nVersion: 3\n")
		}, "torch: version given twice", 1},
		{"newline_in_the_name", func(t *testing.T, dir string) {
			put(t, dir, site+"a\nb-1.dist-info/METADATA", "Name: a\n b\nVersion: 1\n")
		}, "a\nb: name goes on over several lines", 1},
		{"egg", func(t *testing.T, dir string) { put(t, dir, site+"old-1.egg/EGG-INFO/PKG-INFO", "") }, "old: packages installed as egg are not read", 0},
		{"giant_metadata", func(t *testing.T, dir string) {
			put(t, dir, site+"torch-2.dist-info/METADATA", "Name: torch\nVersion: 2\n")
			if err := os.Truncate(filepath.Join(dir, site, "torch-2.dist-info/METADATA"), 1<<30); err != nil {
				t.Fatal(err)
			}
		}, "torch: a line longer than 65536 bytes", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := installed(t)
			tt.make(t, dir)
			e := pyenv.Read(t.Context(), dir)
			if !slices.ContainsFunc(e.Problems, func(p pyenv.Problem) bool { return p.Package+": "+p.Reason == tt.want }) {
				t.Errorf("problems %q, want %q", e.Problems, tt.want)
			}
			if len(e.Packages) != tt.pkgs {
				t.Errorf("packages %v, want %d", e.Packages, tt.pkgs)
			}
		})
	}
}

func TestReadWhatIsNoEnvironment(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "file", "")
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, reason := range map[string]string{
		"absent": "no such file or directory", "file": "not a directory", "fifo": "not a directory", ".": "no site-packages directory in it",
	} {
		e := pyenv.Read(t.Context(), filepath.Join(dir, name))
		if len(e.Problems) != 1 || e.Problems[0].Reason != reason || e.Problems[0].Package != "" {
			t.Errorf("%s: problems %q, want %q", name, e.Problems, reason)
		}
	}
}

func TestReadStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := pyenv.Read(ctx, installed(t, "torch", "2"))
	if len(e.Problems) != 1 || e.Problems[0].Reason != context.Canceled.Error() {
		t.Errorf("problems %q", e.Problems)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{
		"usr/lib/python3/dist-packages", "usr/local/lib/python3.11/site-packages", "usr/local/lib/python2.7/site-packages",
		"opt/conda/lib/python3.12/site-packages", "venv/lib/python3.11/site-packages", "home/me/.local/lib/python3.11/site-packages", "wei*rd",
	} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, root, "opt/README", "")
	if err := os.Symlink("lib", filepath.Join(root, "usr/local/lib64")); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"VIRTUAL_ENV": "/venv/", "CONDA_PREFIX": "/gone", "PYTHONUSERBASE": "/wei*rd", "HOME": "/home/me"}
	got := pyenv.Find(t.Context(), root, func(k string) string { return env[k] })
	var want []string
	for _, dir := range []string{
		"venv", "wei*rd", "home/me/.local/lib/python3.11/site-packages", "usr/lib/python3/dist-packages",
		"usr/local/lib/python3.11/site-packages", "opt/conda/lib/python3.12/site-packages",
	} {
		want = append(want, filepath.Join(root, dir))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environments (-want +got):\n%s", diff)
	}
	if got := pyenv.Find(t.Context(), t.TempDir(), func(string) string { return "relative" }); len(got) != 0 {
		t.Errorf("an empty host has %q", got)
	}
}

func TestCheck(t *testing.T) {
	a := pyenv.Read(t.Context(), installed(t, "torch", "2.2.0", "numpy", "1.26"))
	b := pyenv.Read(t.Context(), installed(t, "torch", "2.3.0"))
	twiceDir := installed(t, "torch", "2.2.0")
	put(t, twiceDir, site+"Torch-2.2.0.dist-info/METADATA", "Name: Torch\nVersion: 2.2.0\n")
	twice := pyenv.Read(t.Context(), twiceDir)
	spoiltDir := installed(t)
	put(t, spoiltDir, site+"torch-2.2.0.dist-info/RECORD", "")
	spoilt := pyenv.Read(t.Context(), spoiltDir)
	gone := pyenv.Read(t.Context(), filepath.Join(t.TempDir(), "gone"))
	tests := []struct {
		name string
		envs []*pyenv.Environment
		want map[string]string
		out  string
	}{
		{"all_well", []*pyenv.Environment{a}, map[string]string{"Torch": "2.2", "numpy": "1.26.0"}, ""},
		{"nothing_wanted", nil, nil, ""},
		{"changed", []*pyenv.Environment{a}, map[string]string{"torch": "2.1.0"}, "dependency_changed torch 2.1.0 2.2.0"},
		{"local_part_counts", []*pyenv.Environment{a}, map[string]string{"torch": "2.2.0+cu121"}, "dependency_changed torch 2.2.0+cu121 2.2.0"},
		{"missing", []*pyenv.Environment{a, b}, map[string]string{"vllm": "0.4"}, "dependency_missing vllm 0.4 <nil>"},
		{"in_one_of_two", []*pyenv.Environment{a, b}, map[string]string{"numpy": "1.26"}, ""},
		{"every_environment_must_match", []*pyenv.Environment{a, b}, map[string]string{"torch": "2.2.0"}, "dependency_changed torch 2.2.0 2.3.0"},
		{"two_records", []*pyenv.Environment{twice}, map[string]string{"torch": "2.2.0"}, "dependency_changed torch 2.2.0 2.2.0, 2.2.0"},
		{"no_environment", nil, map[string]string{"torch": "2.2.0"}, "dependency_unreadable <nil> <nil> <nil>"},
		{"unreadable_is_not_missing", []*pyenv.Environment{spoilt}, map[string]string{"torch": "2.2.0"}, "dependency_unreadable torch <nil> <nil>"},
		{"but_others_are", []*pyenv.Environment{spoilt}, map[string]string{"vllm": "1"}, "dependency_missing vllm 1 <nil>\ndependency_unreadable torch <nil> <nil>"},
		{"environment_gone", []*pyenv.Environment{a, gone}, map[string]string{"torch": "2.2.0", "vllm": "1"}, "dependency_unreadable  <nil> <nil>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			for _, i := range pyenv.Check(tt.envs, tt.want, time.Unix(0, 0)) {
				lines = append(lines, fmt.Sprintf("%s %v %v %v", i.Type, i.Evidence["package"], i.Evidence["expected_version"], i.Evidence["actual_version"]))
			}
			slices.Sort(lines)
			if diff := cmp.Diff(tt.out, strings.Join(lines, "\n")); diff != "" {
				t.Errorf("indicators (-want +got):\n%s", diff)
			}
		})
	}
}

// The same observation has the same id whenever it is made; another version
// is another observation.
func TestCheckIDs(t *testing.T) {
	dir := installed(t, "torch", "2.3.0")
	id := func(at int64, dir string) string {
		out := pyenv.Check([]*pyenv.Environment{pyenv.Read(t.Context(), dir)}, map[string]string{"torch": "2.2.0"}, time.Unix(at, 0))
		return out[0].ID
	}
	first := id(0, dir)
	if again := id(9, dir); again != first {
		t.Errorf("ids %s and %s", first, again)
	}
	if err := os.RemoveAll(filepath.Join(dir, site, "torch-2.3.0.dist-info")); err != nil {
		t.Fatal(err)
	}
	install(t, dir, "torch", "2.4.0")
	if other := id(0, dir); other == first {
		t.Error("another version has the same id")
	}
}

func TestCheckBoundsProblems(t *testing.T) {
	e := &pyenv.Environment{Root: "/venv"}
	for i := range 500 {
		e.Problems = append(e.Problems, pyenv.Problem{Path: fmt.Sprintf("/venv/\x1b[2J%d", i), Package: "x", Reason: "METADATA is missing"})
	}
	out := pyenv.Check([]*pyenv.Environment{e}, map[string]string{"torch": "1"}, time.Unix(0, 0))
	if len(out) != 52 {
		t.Errorf("%d indicators, want 50, the rest in one, and the missing package", len(out))
	}
	for _, i := range out {
		if strings.ContainsRune(i.Description, '\x1b') {
			t.Fatalf("description %q", i.Description)
		}
	}
}

func TestSharedEnvironments(t *testing.T) {
	dir := t.TempDir()
	untar(t, filepath.Join(vectors(t), "site-packages.tar.gz"), dir)
	want := map[string]string{"monotonic": "1.6", "demo-pkg": "1.0"}
	clean := pyenv.Check([]*pyenv.Environment{pyenv.Read(t.Context(), filepath.Join(dir, "clean"))}, want, time.Unix(0, 0))
	if len(clean) != 0 {
		t.Errorf("clean: %v", clean)
	}
	tampered := pyenv.Check([]*pyenv.Environment{pyenv.Read(t.Context(), filepath.Join(dir, "tampered"))}, want, time.Unix(0, 0))
	if len(tampered) != 1 || tampered[0].Type != indicator.DependencyChanged || tampered[0].Evidence["actual_version"] != "1.5, 1.6" {
		t.Errorf("tampered: %v", tampered)
	}
}

func untar(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Skipf("no vectors: %v", err)
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
		if h.Typeflag == tar.TypeReg && filepath.IsLocal(h.Name) {
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			put(t, dir, h.Name, string(text))
		}
	}
}
