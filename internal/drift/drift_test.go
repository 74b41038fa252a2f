package drift_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weightwarden/weightwarden/internal/drift"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

type dist = drift.Distribution

func TestJSD(t *testing.T) {
	tests := []struct {
		name string
		p, q dist
		want float64
	}{
		{"equal", dist{"a": 0.3, "b": 0.7}, dist{"a": 0.3, "b": 0.7}, 0},
		{"disjoint", dist{"a": 1}, dist{"b": 1}, 1},
		{"both_empty", dist{}, nil, 0},
		{"one_empty", dist{"a": 1}, dist{}, 1},
		{"no_mass_is_empty", dist{"a": 1}, dist{"a": 0}, 1},
		{"not_a_number_is_empty", dist{"a": math.NaN()}, dist{"a": 1}, 1},
		// m = {.75, .25}: 1/2·log2(4/3) + 1/2·(1/2·log2(2/3) + 1/2·log2 2)
		{"one_against_even", dist{"a": 1}, dist{"a": 0.5, "b": 0.5}, 0.31127812445913283},
		// 1 - H(1/4), the capacity that is left
		{"mirrored_quarters", dist{"a": 0.75, "b": 0.25}, dist{"a": 0.25, "b": 0.75}, 0.18872187554086717},
		{"counts_are_divided_by_their_sum", dist{"a": 750, "b": 250}, dist{"a": 1, "b": 3}, 0.18872187554086717},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, back := drift.JSD(tt.p, tt.q), drift.JSD(tt.q, tt.p)
			if math.Abs(got-tt.want) > 1e-15 || got != back {
				t.Errorf("JSD = %v, turned round %v, want %v", got, back, tt.want)
			}
		})
	}
}

// The order of a map differs between two walks, the sum must not.
func TestJSDDoesNotDependOnOrder(t *testing.T) {
	p, q := dist{}, dist{}
	for i := range 5000 {
		p[fmt.Sprint(i)] = 1 / float64(i+1)
		q[fmt.Sprint(i)] = 1 / float64(5001-i)
	}
	want := drift.JSD(p, q)
	for range 20 {
		if got := drift.JSD(p, q); got != want {
			t.Fatalf("JSD = %v and %v for the same distributions", got, want)
		}
	}
}

func TestJSDAgainstVectors(t *testing.T) {
	shared := os.Getenv("WEIGHTWARDEN_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	data, err := os.ReadFile(filepath.Join(shared, "vectors/drift/vectors.json"))
	if err != nil {
		t.Skipf("no vectors: %v", err)
	}
	var file struct {
		Categorical struct {
			Cases []struct {
				Name string          `json:"name"`
				Ref  json.RawMessage `json:"ref"`
				Cur  json.RawMessage `json:"cur"`
				Bits float64         `json:"jsd_bits"`
			} `json:"cases"`
		} `json:"categorical"`
	}
	data = bytes.ReplaceAll(data, []byte("Infinity"), []byte("0")) // Python's JSON has it; the fields used here do not
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Categorical.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var ref, cur []float64
			if json.Unmarshal(c.Ref, &ref) != nil || json.Unmarshal(c.Cur, &cur) != nil {
				t.Skip("the counts are described, not listed")
			}
			if got := drift.JSD(numbered(ref), numbered(cur)); math.Abs(got-c.Bits) > 1e-9 {
				t.Errorf("JSD = %v, want %v", got, c.Bits)
			}
		})
	}
	if len(file.Categorical.Cases) == 0 {
		t.Error("the vectors hold no cases")
	}
}

func numbered(counts []float64) dist {
	d := dist{}
	for i, c := range counts {
		d[fmt.Sprint(i)] = c
	}
	return d
}

func TestCheck(t *testing.T) {
	even := dist{"a": 0.5, "b": 0.5}
	tests := []struct {
		name      string
		recent    drift.Sample
		reference dist
		want      drift.State
		reason    string
		types     []indicator.Type
	}{
		{"stable", sample(0, "a", 5, "b", 5), even, drift.Stable, "", nil},
		{"drift", sample(0, "a", 10), even, drift.Drift, "0.3113 bits", []indicator.Type{indicator.BehaviorDrift}},
		{"a_class_nobody_knew", sample(0, "c", 1), even, drift.Drift, "1.0000 bits", []indicator.Type{indicator.BehaviorDrift}},
		{"no_outputs", sample(0), even, drift.Insufficient, "no outputs", []indicator.Type{indicator.BehaviorInsufficient}},
		{"unreadable_lines", sample(2, "a", 5, "b", 5), even, drift.Unreadable, "2 lines", []indicator.Type{indicator.BehaviorUnreadable}},
		{"only_unreadable_lines", sample(1), even, drift.Unreadable, "line 7: spoilt", []indicator.Type{indicator.BehaviorUnreadable}},
		{"found_outranks_unreadable", sample(1, "a", 10), even, drift.Drift, "bits", []indicator.Type{indicator.BehaviorDrift, indicator.BehaviorUnreadable}},
		{"no_reference", sample(0, "a", 10), nil, drift.Unreadable, "reference distribution is empty", []indicator.Type{indicator.BehaviorUnreadable}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := drift.Check(tt.recent, tt.reference, 0.15)
			if r.State != tt.want || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("state %q, reason %q, want %q, %q", r.State, r.Reason, tt.want, tt.reason)
			}
			var types []indicator.Type
			for _, i := range r.Indicators("m", time.Unix(0, 0)) {
				types = append(types, i.Type)
			}
			if diff := cmp.Diff(tt.types, types); diff != "" {
				t.Errorf("indicators (-want +got):\n%s", diff)
			}
		})
	}
}

func sample(unreadable int, classes ...any) drift.Sample {
	s := drift.Sample{Counts: map[string]int{}, Unreadable: unreadable}
	if unreadable > 0 {
		s.FirstLine, s.FirstReason = 7, "spoilt"
	}
	for i := 0; i < len(classes); i += 2 {
		s.Counts[classes[i].(string)] = classes[i+1].(int)
	}
	return s
}

// Drift that goes on is one observation: other figures, same id.
func TestDriftKeepsItsID(t *testing.T) {
	even := dist{"a": 0.5, "b": 0.5}
	first := drift.Check(sample(0, "a", 10), even, 0.15).Indicators("m", time.Unix(0, 0))[0]
	later := drift.Check(sample(0, "a", 90, "b", 1), even, 0.15).Indicators("m", time.Unix(9, 0))[0]
	if first.ID != later.ID {
		t.Errorf("ids %s and %s", first.ID, later.ID)
	}
	if other := drift.Check(sample(0, "a", 10), even, 0.15).Indicators("n", time.Unix(0, 0))[0]; other.ID == first.ID {
		t.Error("two models share an id")
	}
}

func TestEvidence(t *testing.T) {
	i := drift.Check(sample(0, "a", 10), dist{"a": 0.5, "b": 0.5}, 0.15).Indicators("m", time.Unix(0, 0))[0]
	want := map[string]any{
		"jsd": 0.31127812445913283, "sample_count": 10, "threshold": 0.15,
		"recent_distribution": dist{"a": 1}, "baseline_distribution": dist{"a": 0.5, "b": 0.5},
		"reason": "divergence of 0.3113 bits is above the threshold of 0.15",
	}
	if diff := cmp.Diff(want, i.Evidence, cmpopts.EquateApprox(0, 1e-15)); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	s := sample(0)
	for n := range 5000 {
		s.Counts[fmt.Sprint(n)] = n + 1
	}
	i := drift.Check(s, dist{"a": 1}, 0.15).Indicators("m", time.Unix(0, 0))[0]
	recent := i.Evidence["recent_distribution"].(dist)
	if len(recent) > 200 || recent["4999"] == 0 || i.Evidence["classes_left_out"] != 4800 {
		t.Errorf("%d classes, %v left out", len(recent), i.Evidence["classes_left_out"])
	}
}

// A report of nothing must not read like a report of no divergence.
func TestNothingMeasuredIsNull(t *testing.T) {
	for name, r := range map[string]drift.Report{
		"insufficient": drift.Check(sample(0), dist{"a": 1}, 0.15),
		"failed":       drift.Failed(0.15, "open outputs: no such file"),
	} {
		data, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(data), `"jsd":null`) {
			t.Errorf("%s: %s, %v", name, data, err)
		}
	}
}
