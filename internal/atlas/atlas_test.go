package atlas

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestLookup(t *testing.T) {
	tests := []struct {
		name, id string
		want     Technique
		ok       bool
	}{
		{"technique", "AML.T0018", Technique{"AML.T0018", "Manipulate AI Model", []string{"AML.TA0001", "AML.TA0006"}}, true},
		{"below_another", "AML.T0018.002", Technique{"AML.T0018.002", "Embed Malware", []string{"AML.TA0001", "AML.TA0006"}}, true},
		{"unknown", "AML.T9999", Technique{}, false},
		{"empty", "", Technique{}, false},
		{"other_case", "aml.t0018", Technique{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Lookup(tt.id)
			if ok != tt.ok {
				t.Errorf("found: %v, want %v", ok, tt.ok)
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLookupFindsEveryTechnique(t *testing.T) {
	if !slices.IsSortedFunc(techniques, func(a, b Technique) int { return cmp.Compare(a.ID, b.ID) }) {
		t.Error("the table is not sorted by id")
	}
	for _, want := range techniques {
		got, ok := Lookup(want.ID)
		if d := gocmp.Diff(want, got); !ok || d != "" {
			t.Errorf("%s: found: %v: %s", want.ID, ok, d)
		}
		if !strings.HasSuffix(want.URL(), "/techniques/"+want.ID) {
			t.Errorf("%s: url %s", want.ID, want.URL())
		}
	}
}

func TestLookupSharesNothing(t *testing.T) {
	first, _ := Lookup("AML.T0018")
	first.Tactics[0] = "changed"
	if again, _ := Lookup("AML.T0018"); again.Tactics[0] == "changed" {
		t.Error("a caller can change the table")
	}
}
