package finding_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/finding"
)

func TestSeverityNames(t *testing.T) {
	for want, name := range map[finding.Severity]string{
		finding.Low: "low", finding.Medium: "medium", finding.High: "high", finding.Critical: "critical",
	} {
		got, err := finding.ParseSeverity(name)
		if err != nil || got != want || got.String() != name {
			t.Errorf("%s is read as %v (%v)", name, got, err)
		}
	}
	for _, name := range []string{"", "none", "High", "worst"} {
		if s, err := finding.ParseSeverity(name); err == nil {
			t.Errorf("%q is read as %v", name, s)
		}
	}
	if got := finding.Severity(0).String(); got != "none" {
		t.Errorf("the zero severity is called %q", got)
	}
}

// The order is what exit codes and reports are made from: what was not
// understood outweighs clean, and what was found outweighs both.
func TestOrder(t *testing.T) {
	verdicts := []finding.Verdict{0, finding.Clean, finding.Inconclusive, finding.Suspicious, finding.Malicious}
	if !slices.IsSorted(verdicts) || slices.Max(verdicts) != finding.Malicious {
		t.Errorf("verdicts are ordered %v", verdicts)
	}
	severities := []finding.Severity{0, finding.Low, finding.Medium, finding.High, finding.Critical}
	if !slices.IsSorted(severities) {
		t.Errorf("severities are ordered %v", severities)
	}
}

func TestFindingInJSON(t *testing.T) {
	in := `{"rule":"R1","severity":"high","verdict":"error","file":"a","offset":-1,"summary":"s"}`
	var f finding.Finding
	if err := json.Unmarshal([]byte(in), &f); err != nil {
		t.Fatal(err)
	}
	if f.Severity != finding.High || f.Verdict != finding.Inconclusive {
		t.Errorf("read as %v, %v", f.Severity, f.Verdict)
	}
	out, err := json.Marshal(f)
	if d := cmp.Diff(in, string(out)); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	for _, bad := range []string{`{"severity":"awful"}`, `{"verdict":"fine"}`} {
		if err := json.Unmarshal([]byte(bad), &f); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestCompare(t *testing.T) {
	sorted := []finding.Finding{
		{Severity: finding.Critical, Verdict: finding.Malicious, File: "z"},
		{Severity: finding.Critical, Verdict: finding.Suspicious, File: "a"},
		{Severity: finding.High, File: "a", Offset: -1},
		{Severity: finding.High, File: "a", Offset: 3, Rule: "R1", Summary: "a"},
		{Severity: finding.High, File: "a", Offset: 3, Rule: "R1", Summary: "b"},
		{Severity: finding.High, File: "a", Offset: 3, Rule: "R2"},
		{Severity: finding.High, File: "a", Member: "m", Offset: 1},
		{Severity: finding.High, File: "b"},
		{Severity: finding.Low, Verdict: finding.Malicious, File: "a"},
	}
	got := slices.Clone(sorted)
	slices.Reverse(got)
	slices.SortFunc(got, finding.Compare)
	if d := cmp.Diff(sorted, got); d != "" {
		t.Error(d)
	}
	for n := range sorted {
		for m := range sorted {
			if (finding.Compare(sorted[n], sorted[m]) == 0) != (n == m) {
				t.Errorf("%+v and %+v", sorted[n], sorted[m])
			}
		}
	}
}
