package drift_test

import (
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/drift"
)

// small limits keep the rows readable.
var small = drift.Limits{LineBytes: 60, ClassBytes: 16, Classes: 2, ReferenceBytes: 200}

func TestReadOutputs(t *testing.T) {
	tests := []struct {
		name, in string
		want     map[string]int
		bad      int
		line     int
		reason   string
	}{
		{"classes", "{\"predicted_class\":\"a\"}\n{\"predicted_class\":\"b\"}\n{\"predicted_class\":\"a\"}", map[string]int{"a": 2, "b": 1}, 0, 0, ""},
		{"label", `{"text":"x","label":"a"}`, map[string]int{"a": 1}, 0, 0, ""},
		{"predicted_class_goes_first", `{"label":"truth","predicted_class":"a"}`, map[string]int{"a": 1}, 0, 0, ""},
		{"numbers_are_names", "{\"label\":1}\n{\"label\":1.0}\n{\"label\":\"1\"}\n{\"label\":1e0}", map[string]int{"1": 4}, 0, 0, ""},
		{"fractions_and_bools", "{\"label\":0.5}\n{\"label\":true}", map[string]int{"0.5": 1, "true": 1}, 0, 0, ""},
		{"large_numbers_keep_their_digits", "{\"label\":9007199254740993}\n{\"label\":9007199254740992}", map[string]int{"9007199254740993": 1, "9007199254740992": 1}, 0, 0, ""},
		{"empty_lines_and_crlf", "\r\n{\"label\":\"a\"}\r\n\n", map[string]int{"a": 1}, 0, 0, ""},
		{"empty", "", map[string]int{}, 0, 0, ""},
		{"not_json", "{\"label\":\"a\"}\nhello\n{\"label\":\"a\"}", map[string]int{"a": 2}, 1, 2, "not JSON"},
		{"not_an_object", `["a"]`, map[string]int{}, 1, 1, "not a JSON object"},
		{"cut_off", `{"label":"a"`, map[string]int{}, 1, 1, "not JSON"},
		{"two_objects", `{"label":"a"}{"label":"b"}`, map[string]int{}, 1, 1, "something after the JSON object"},
		{"no_class", `{"text":"a"}`, map[string]int{}, 1, 1, "has neither predicted_class nor label"},
		{"keys_have_a_case", `{"Label":"a"}`, map[string]int{}, 1, 1, "has neither predicted_class nor label"},
		{"class_in_a_nested_object", `{"out":{"label":"a"}}`, map[string]int{}, 1, 1, "has neither predicted_class nor label"},
		{"null", `{"predicted_class":null,"label":"a"}`, map[string]int{}, 1, 1, "predicted_class is neither a string nor a number nor a bool"},
		{"list", `{"label":["a"]}`, map[string]int{}, 1, 1, "label is neither a string nor a number nor a bool"},
		{"given_twice", `{"label":"a","label":"b"}`, map[string]int{}, 1, 1, "label given twice"},
		{"number_out_of_range", `{"label":1e999}`, map[string]int{}, 1, 1, "class number out of range"},
		{"not_utf8", "{\"label\":\"\xff\"}", map[string]int{}, 1, 1, "not UTF-8"},
		{"huge_class", `{"label":"12345678901234567"}`, map[string]int{}, 1, 1, "class name of 17 bytes, at most 16 are allowed"},
		{"too_many_classes", "{\"label\":1}\n{\"label\":2}\n{\"label\":3}\n{\"label\":1}", map[string]int{"1": 2, "2": 1}, 1, 3, "more than 2 classes"},
		{"long_line", "{\"label\":\"" + strings.Repeat("x", 60) + "\"}\n{\"label\":\"a\"}\n{", map[string]int{"a": 1}, 2, 1, "longer than 60 bytes"},
		{"longest_line", `{"label":"a"` + strings.Repeat(" ", 47) + "}\n", map[string]int{"a": 1}, 0, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				got, err := drift.ReadOutputs(r, small)
				if err != nil {
					t.Fatal(err)
				}
				want := drift.Sample{Counts: tt.want, Unreadable: tt.bad, FirstLine: tt.line, FirstReason: tt.reason}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("sample (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A line far beyond the bound costs no memory and no other line.
func TestReadOutputsSkipsAGiantLine(t *testing.T) {
	giant := io.LimitReader(endless('x'), 64<<20)
	s, err := drift.ReadOutputs(io.MultiReader(giant, strings.NewReader("\n{\"label\":\"a\"}\n")), drift.Limits{})
	if err != nil || s.Unreadable != 1 || s.Counts["a"] != 1 {
		t.Errorf("sample %v, error %v", s, err)
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestTroubleOfTheReaderIsAnError(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, before := range []string{"", "{\"label\":\"a\"}\n", `{"a": 0.`} {
		in := func() io.Reader { return io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken)) }
		if _, err := drift.ReadOutputs(in(), drift.Limits{}); !errors.Is(err, broken) {
			t.Errorf("outputs after %q: error %v", before, err)
		}
		if _, err := drift.ReadReference(in(), drift.Limits{}); !errors.Is(err, broken) {
			t.Errorf("reference after %q: error %v", before, err)
		}
	}
}

func TestReadReference(t *testing.T) {
	tests := []struct {
		name, in string
		want     drift.Distribution
		err      string
	}{
		{"shares", `{"a": 0.25, "b": 0.75}`, drift.Distribution{"a": 0.25, "b": 0.75}, ""},
		{"over_several_lines", "{\n  \"label\": 0.25,\n  \"b\": 0.75\n}\n", drift.Distribution{"label": 0.25, "b": 0.75}, ""},
		{"counts", `{"a": 1, "b": 3}`, drift.Distribution{"a": 0.25, "b": 0.75}, ""},
		{"outputs", "\n{\"label\":\"a\"}\n{\"label\":\"b\"}\n", drift.Distribution{"a": 0.5, "b": 0.5}, ""},
		{"one_output", `{"label":"a"}`, drift.Distribution{"a": 1}, ""},
		{"one_class", `{"a": 1}`, drift.Distribution{"a": 1}, ""},
		{"empty", "", nil, "not JSON"},
		{"no_classes", "{}", nil, "no class has a share"},
		{"zero", `{"a": 0}`, nil, "no class has a share"},
		{"half_of_it", `{"a": 0.5}`, nil, "shares add up to 0.5, want 1"},
		{"percent", `{"a": 33.3, "b": 66.7}`, nil, "shares add up to 100, want 1"},
		{"negative", `{"a": -0.5, "b": 1.5}`, nil, `class "a": "-0.5" is not a share`},
		{"infinite", `{"a": 1e999}`, nil, `class "a": "1e999" is not a share`},
		{"text", `{"a": "1"}`, nil, `class "a": not a number`},
		{"null", `{"a": null}`, nil, `class "a": not a number`},
		{"nested", `{"a": {"b": 1}}`, nil, `class "a": not a number`},
		{"given_twice", `{"a": 0.5, "a": 0.5}`, nil, `class "a" given twice`},
		{"something_after", `{"a": 1} {"b": 1}`, nil, "something after"},
		{"list", `[0.5, 0.5]`, nil, "not a JSON object"},
		{"hostile_name", `{"\u001b[2J": "x"}`, nil, `class "\x1b[2J": not a number`},
		{"huge_class", `{"12345678901234567": 1}`, nil, "class name of 17 bytes, at most 16 are allowed"},
		{"too_many_classes", `{"a": 1, "b": 1, "c": 1}`, nil, "more than 2 classes"},
		{"too_large", `{"a": ` + strings.Repeat(" ", 300) + `1}`, nil, "larger than 200 bytes"},
		{"spoilt_output", "{\"label\":\"a\"}\n{\"label\":", nil, "line 2: not JSON (1 such lines)"},
		{"output_or_shares", `{"label": 0.4, "b": 0.6}`, nil, "one object that may be a single output or shares"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := drift.ReadReference(strings.NewReader(tt.in), small)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("error %v, reference (-want +got):\n%s", err, diff)
			}
		})
	}
}

// Promise: every line that is not empty is counted once, as a class within
// the limits or as unreadable.
func FuzzReadOutputs(f *testing.F) {
	f.Add("{\"label\":\"a\"}\n\n{\"predicted_class\":1.0}\r\nx")
	f.Add("{\"label\":\"" + strings.Repeat("x", 70) + "\"}")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := drift.ReadOutputs(strings.NewReader(in), small)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range strings.SplitSeq(in, "\n") {
			// a line beyond the bound is unreadable even if it is all blanks
			if strings.TrimSpace(line) != "" || len(line) > small.LineBytes {
				lines++
			}
		}
		if got := s.Size() + s.Unreadable; got != lines {
			t.Errorf("%d classes + %d unreadable of %d lines", s.Size(), s.Unreadable, lines)
		}
		for class := range maps.Keys(s.Counts) {
			if len(class) > small.ClassBytes || !utf8.ValidString(class) || len(s.Counts) > small.Classes {
				t.Errorf("%d classes, one is %q", len(s.Counts), class)
			}
		}
	})
}

// Promise: an accepted reference is within the limits, its shares are positive
// and add up to 1, and it does not diverge from itself.
func FuzzReadReference(f *testing.F) {
	f.Add(`{"a": 0.25, "b": 0.75}`)
	f.Add(`{"a": 5e-324, "b": 1}`)
	f.Add("{\"label\":\"a\"}\n{\"label\":\"b\"}")
	f.Fuzz(func(t *testing.T, in string) {
		d, err := drift.ReadReference(strings.NewReader(in), small)
		if err != nil {
			return
		}
		total := 0.0
		for class, share := range d {
			if share < 0 || len(class) > small.ClassBytes {
				t.Errorf("class %q has %v", class, share)
			}
			total += share
		}
		if len(d) > small.Classes || len(d) > 0 && (total < 1-1e-9 || total > 1+1e-9) {
			t.Errorf("%d classes add up to %v", len(d), total)
		}
		if jsd := drift.JSD(d, d); jsd != 0 {
			t.Errorf("JSD with itself = %v", jsd)
		}
	})
}
