package catalog_test

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	diff "github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/atlas"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/finding"
)

var update = flag.Bool("update", false, "write the pages of the manual")

const pages = "../../../docs/detectors"

func TestEveryDetectorIsListed(t *testing.T) {
	listed := map[string]bool{"catalog": true}
	for _, d := range catalog.All() {
		folder := filepath.Base(reflect.TypeOf(d).PkgPath())
		listed[folder] = true
		if name := d.Info().Name; name != folder {
			t.Errorf("the detector in folder %s is called %s", folder, name)
		}
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !listed[e.Name()] {
			t.Errorf("package %s is not in catalog.All", e.Name())
		}
	}
}

var ruleID = regexp.MustCompile(`^WW-[A-Z0-9]+-\d{3}$`)

func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, info := range catalog.Infos() {
		if len(info.Rules) == 0 {
			t.Errorf("%s: has no rules", info.Name)
		}
		for _, f := range info.Covers {
			if len(info.Formats) > 0 && !slices.Contains(info.Formats, f) {
				t.Errorf("%s: covers %s and does not ask for it", info.Name, f)
			}
		}
		for _, r := range info.Rules {
			if seen[r.ID] || !ruleID.MatchString(r.ID) {
				t.Errorf("%s: rule id %s is not new, or not of the form", info.Name, r.ID)
			}
			seen[r.ID] = true
			checkRule(t, r)
		}
	}
}

func checkRule(t *testing.T, r detect.Rule) {
	t.Helper()
	if r.Title == "" || r.About == "" || r.Do == "" || r.Misses == "" {
		t.Errorf("%s: a text is missing", r.ID)
	}
	if r.Severity < finding.Low || r.Severity > finding.Critical || r.Verdict < finding.Inconclusive || r.Verdict > finding.Malicious {
		t.Errorf("%s: severity or verdict is missing", r.ID)
	}
	for _, id := range r.Techniques {
		if _, ok := atlas.Lookup(id); !ok {
			t.Errorf("%s: ATLAS has no technique %s", r.ID, id)
		}
	}
	for _, n := range r.Cases {
		if !slices.ContainsFunc(detect.Cases, func(c detect.Case) bool { return c.Number == n }) {
			t.Errorf("%s: there is no case %d", r.ID, n)
		}
	}
}

func TestNobodyCoversTheUnknown(t *testing.T) {
	for _, info := range catalog.Infos() {
		if slices.Contains(info.Covers, artifact.Unknown) {
			t.Errorf("%s claims to understand what nobody knows", info.Name)
		}
	}
}

// The pages are what the rules say; go test -update writes them.
func TestPages(t *testing.T) {
	want := map[string]string{"attacks.md": detect.CasesPage(catalog.Infos())}
	var rules []detect.Rule
	for _, info := range catalog.Infos() {
		rules = append(rules, info.Rules...)
	}
	slices.SortFunc(rules, func(a, b detect.Rule) int { return cmp.Compare(a.ID, b.ID) })
	index := "# What the scanner can find\n\n[Public attacks and the rules that catch them](attacks.md)\n\n| rule | | verdict | severity |\n| --- | --- | --- | --- |\n"
	for _, r := range rules {
		want[r.ID+".md"] = r.Page()
		index += "| [" + r.ID + "](" + r.ID + ".md) | " + r.Title + " | " + r.Verdict.String() + " | " + r.Severity.String() + " |\n"
	}
	want["README.md"] = index
	got := map[string]string{}
	entries, _ := os.ReadDir(pages)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(pages, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = string(data)
	}
	if *update {
		write(t, want, got)
		return
	}
	if d := diff.Diff(want, got); d != "" {
		t.Errorf("docs/detectors is not what the rules say (-want +got); go test ./internal/detect/catalog -update writes it:\n%.3000s", d)
	}
}

func write(t *testing.T, want, got map[string]string) {
	t.Helper()
	if err := os.MkdirAll(pages, 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			if err := os.Remove(filepath.Join(pages, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(pages, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
