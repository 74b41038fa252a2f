package indicator_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/atlas"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func idOf(t indicator.Type, source string, key ...string) string {
	return indicator.New(t, source, noon, "", nil, key...).ID
}

func TestIDIsTheSameForTheSameObservation(t *testing.T) {
	first := indicator.New(indicator.ModelFileTampered, "fraud", noon, "changed", map[string]any{"file": "a"}, "a", "00ff")
	later := indicator.New(indicator.ModelFileTampered, "fraud", noon.Add(time.Hour), "still changed", nil, "a", "00ff")
	if first.ID != later.ID {
		t.Errorf("%s became %s an hour later", first.ID, later.ID)
	}
	// Records name indicators by id: a change of how it is made orphans them.
	if want := "ind-b74080866c121a25a40d"; first.ID != want {
		t.Errorf("id is %s, was %s", first.ID, want)
	}
}

func TestIDTellsObservationsApart(t *testing.T) {
	tests := []struct{ name, a, b string }{
		{"type", idOf("a", "s", "k"), idOf("b", "s", "k")},
		{"source", idOf("a", "s", "k"), idOf("a", "t", "k")},
		{"key", idOf("a", "s", "k"), idOf("a", "s", "l")},
		{"no_key_and_empty_key", idOf("a", "s"), idOf("a", "s", "")},
		{"order_of_keys", idOf("a", "s", "k", "l"), idOf("a", "s", "l", "k")},
		{"border_moved", idOf("a", "s", "kl", "m"), idOf("a", "s", "k", "lm")},
		{"border_to_source", idOf("a", "sk", "l"), idOf("a", "s", "kl")},
		{"border_to_type", idOf("as", "k"), idOf("a", "sk")},
		{"nul_for_a_border", idOf("a", "s", "k", "l"), idOf("a", "s", "k\x00l")},
		{"separator_for_a_border", idOf("a", "s", "k", "l"), idOf("a", "s", "k\x00\x02l")},
		{"escape_for_a_nul", idOf("a", "s", "k\x00"), idOf("a", "s", "k\x00\x01")},
		{"nul_then_end", idOf("a", "s", "k\x00", "\x02"), idOf("a", "s", "k", "\x00\x02")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.a == tt.b {
				t.Errorf("both are %s", tt.a)
			}
		})
	}
}

// Two observations have one id only when all their parts are the same.
func FuzzID(f *testing.F) {
	f.Add("s", "k", "l", "s", "kl", "")
	f.Add("s", "k\x00\x02", "l", "s", "k", "\x00\x02l")
	f.Fuzz(func(t *testing.T, s1, k1, l1, s2, k2, l2 string) {
		same := s1 == s2 && k1 == k2 && l1 == l2
		if got := idOf("t", s1, k1, l1) == idOf("t", s2, k2, l2); got != same {
			t.Fatalf("%q and %q: one id: %v", []string{s1, k1, l1}, []string{s2, k2, l2}, got)
		}
		if idOf("t", s1, k1, l1) == idOf("t", s2, k2+l2) {
			t.Fatalf("%q and %q have one id", []string{s1, k1, l1}, []string{s2, k2 + l2})
		}
	})
}

func TestNew(t *testing.T) {
	at := noon.In(time.FixedZone("", 3600))
	got := indicator.New(indicator.ModelFileMissing, "fraud", at, "gone", nil)
	want := indicator.Indicator{
		ID: got.ID, Type: indicator.ModelFileMissing, Severity: finding.Critical, Source: "fraud",
		Description: "gone", Timestamp: noon, Evidence: map[string]any{}, Atlas: []string{"AML.T0018"},
	}
	if d := cmp.Diff(want, got); d != "" || got.Timestamp.Location() != time.UTC {
		t.Error(d, got.Timestamp)
	}
	got.Atlas[0] = "changed"
	if info := indicator.InfoOf(indicator.ModelFileMissing); info.Atlas[0] != "AML.T0018" {
		t.Error("an indicator can change the table of types")
	}
}

func TestUnknownTypeIsNotTakenLightly(t *testing.T) {
	info := indicator.InfoOf("from_the_future")
	if info.Class != indicator.Found || info.Severity < finding.High {
		t.Errorf("a type that is not known is %+v", info)
	}
}

func TestTypes(t *testing.T) {
	all := indicator.Types()
	if !slices.IsSorted(all) || len(all) != len(slices.Compact(slices.Clone(all))) {
		t.Errorf("types are not sorted and single: %v", all)
	}
	for _, typ := range all {
		info := indicator.InfoOf(typ)
		if info.Severity == 0 || info.Meaning == "" || !slices.IsSorted(info.Atlas) {
			t.Errorf("%s: incomplete or unsorted: %+v", typ, info)
		}
		for _, id := range info.Atlas {
			if _, ok := atlas.Lookup(id); !ok {
				t.Errorf("%s names %s, which ATLAS does not have", typ, id)
			}
		}
	}
}

// The severities that the published guide gives its own types.
func TestSeveritiesOfTheGuide(t *testing.T) {
	for typ, want := range map[indicator.Type]finding.Severity{
		"model_file_tampered": finding.Critical, "unexpected_model_file": finding.High,
		"model_file_missing": finding.Critical, "behavior_drift": finding.High,
		"dependency_missing": finding.High, "dependency_changed": finding.Critical,
	} {
		if !slices.Contains(indicator.Types(), typ) || indicator.InfoOf(typ).Severity != want {
			t.Errorf("%s is %v, want %v", typ, indicator.InfoOf(typ).Severity, want)
		}
	}
}

func TestCompare(t *testing.T) {
	file := func(name string) map[string]any { return map[string]any{"file": name} }
	sorted := []indicator.Indicator{
		{Severity: finding.Critical, Source: "b", Type: "z"},
		{Severity: finding.High, Source: "a", Type: "a", Evidence: file("a")},
		{Severity: finding.High, Source: "a", Type: "a", Evidence: file("b"), ID: "ind-1"},
		{Severity: finding.High, Source: "a", Type: "a", Evidence: file("b"), ID: "ind-2"},
		{Severity: finding.High, Source: "a", Type: "b", Evidence: file("a")},
		{Severity: finding.High, Source: "b", Type: "a"},
		{Severity: finding.Low, Source: "a", Type: "a"},
	}
	got := slices.Clone(sorted)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(got), func(n, m int) { got[n], got[m] = got[m], got[n] })
	slices.SortFunc(got, indicator.Compare)
	if d := cmp.Diff(sorted, got); d != "" {
		t.Error(d)
	}
}

func TestFile(t *testing.T) {
	for _, evidence := range []map[string]any{nil, {}, {"file": 3}, {"file": nil}} {
		if got := (indicator.Indicator{Evidence: evidence}).File(); got != "" {
			t.Errorf("%v names the file %q", evidence, got)
		}
	}
	if got := (indicator.Indicator{Evidence: map[string]any{"file": "a"}}).File(); got != "a" {
		t.Errorf("file is %q", got)
	}
}
