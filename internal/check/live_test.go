package check_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// live returns a check that remembers, of the host's model.
func (m *matrix) live(small int64) *check.Live {
	m.checker.Targets = []check.Target{{Model: artifact.Model{ID: "m", Path: m.served()}}}
	return &check.Live{Checker: m.checker, Small: small}
}

func (m *matrix) cycle(l *check.Live) *check.Report {
	m.Helper()
	r, err := l.Run(m.Context(), nil)
	m.must(err)
	return r
}

// Between two whole looks a cycle reads little, and says the same.
func TestTamperMatrixOfCycles(t *testing.T) {
	for _, tt := range tamperCases() {
		t.Run(tt.name, func(t *testing.T) {
			m := newMatrix(t)
			m.checker.Hashing = matrixBlocks
			tt.make(m)
			m.adopt()
			l := m.live(check.DefaultSmall)
			for range 3 {
				if r := m.cycle(l); r.TotalIndicators > 0 || r.Models[0].Verdict != check.Clean {
					t.Fatalf("before anything was done: %v", said(r.Indicators))
				}
			}
			tt.do(m)
			for range 2 {
				r := m.cycle(l)
				got := slices.DeleteFunc(said(r.Indicators), func(s string) bool {
					return tt.name == "written_through_a_mapping" && s == "model_file_writer w.bin" // where leases tell
				})
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("indicators (-want +got):\n%s", diff)
				}
				located(t, r.Indicators)
			}
		})
	}
}

// A large file that looks as it did is read by name and by turn only, and both
// find what changed.
func TestLiveReadsLargeFilesByTurn(t *testing.T) {
	m := newMatrix(t)
	m.checker.Hashing = matrixBlocks
	m.plain()
	m.adopt()
	l := m.live(1024)
	m.cycle(l)
	m.keepTimes("w.bin", func() { m.flip("w.bin", 7) })
	if r := m.cycle(l); r.TotalIndicators > 0 || r.Models[0].Method != check.ByEvents {
		t.Fatalf("the cycle read it: %s, %v", r.Models[0].Method, said(r.Indicators))
	}
	s, v, ok := l.Stalest()
	if !ok || s.Model != "m" || v.Large != 2*matrixWeights || v.Files != 4 {
		t.Fatalf("stalest is %+v of %+v", s, v)
	}
	want := []string{"model_file_tampered w.bin"}
	for _, look := range []func() (*check.Report, error){
		func() (*check.Report, error) { return l.Read(t.Context(), "m", "w.bin", 1<<30) },
		func() (*check.Report, error) { return l.Look(t.Context(), "m", []string{"onnx"}) },
		func() (*check.Report, error) { return l.Look(t.Context(), "m", []string{"w.bin"}) },
		func() (*check.Report, error) { return l.Look(t.Context(), "m", nil) },
	} {
		r, err := look()
		m.must(err)
		if diff := cmp.Diff(want, said(r.Indicators)); diff != "" {
			t.Errorf("indicators (-want +got):\n%s", diff)
		}
	}
	before := s
	for range 4 {
		s, _, _ = l.Stalest()
		if s.Read.Before(before.Read) {
			t.Errorf("%v was read before %v", s, before)
		}
		before = s
		_, err := l.Read(t.Context(), s.Model, s.Path, 0)
		m.must(err)
	}
}

// What is not there to compare with is left to the next cycle: half a copy is
// no baseline.
func TestLookTakesNoBaseline(t *testing.T) {
	m := newMatrix(t)
	m.plain()
	l := m.live(check.DefaultSmall)
	if r, err := l.Look(t.Context(), "m", nil); err != nil || r != nil {
		t.Errorf("look: %+v, %v", r, err)
	}
	if r := m.cycle(l); r.Models[0].Baseline == nil {
		t.Errorf("the cycle took none: %+v", r.Models[0])
	}
	m.must(os.RemoveAll(m.model))
	if r, err := l.Look(t.Context(), "m", []string{"w.bin"}); err != nil || said(r.Indicators)[0] != "model_missing" {
		t.Errorf("look: %+v, %v", r, err)
	}
}

func TestFeasible(t *testing.T) {
	const gib = 1 << 30
	tests := []struct {
		name          string
		volume        check.Volume
		rate          int64
		interval, age time.Duration
		want          string
	}{
		{"no_limit", check.Volume{Large: 1 << 50}, 0, time.Minute, time.Hour, ""},
		{"enough", check.Volume{Large: 20 * gib}, 15 << 20, time.Minute, time.Hour, ""},
		{"too_slow", check.Volume{Large: 20 * gib}, 14 << 20, time.Minute, time.Hour, "raise hashing.rate to 14913081"},
		{"small_files_too_many", check.Volume{Small: gib}, 10 << 20, time.Minute, time.Hour, "raise hashing.rate to 17895698"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := check.Feasible(tt.volume, tt.rate, tt.interval, tt.age)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(fault.HintOf(err), tt.want) {
				t.Errorf("error %v, hint %q", err, fault.HintOf(err))
			}
		})
	}
}
