package onnx_test

import (
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/onnx"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// The pieces of messages: a field of bytes, and one of a number.
func b(number int, parts ...string) string {
	content := strings.Join(parts, "")
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(len(content)))) + content
}

func v(number int, n uint64) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), n))
}

// node is "outputs = Op(inputs)" with attributes.
func node(text string, attributes ...string) string {
	outputs, call, _ := strings.Cut(text, " = ")
	op, inputs, _ := strings.Cut(strings.TrimSuffix(call, ")"), "(")
	s := ""
	for name := range strings.FieldsSeq(inputs) {
		s += b(1, name)
	}
	for name := range strings.FieldsSeq(outputs) {
		s += b(2, name)
	}
	return b(1, s, b(4, op), strings.Join(attributes, ""))
}

func branch(name string, nodes ...string) string { return b(5, b(1, name), b(6, nodes...)) }

// model is a graph from x to y with the constants w and k.
func model(nodes ...string) string {
	constant := func(name string) string { return b(5, v(2, 1), b(8, name), b(9, "\x00\x00\x80\x3f")) }
	return v(1, 8) + b(7, strings.Join(nodes, ""), constant("w"), constant("k"), b(11, b(1, "x")), b(12, b(1, "y")))
}

type sink struct {
	hits  []detect.Hit
	facts []string
}

func (s *sink) Hit(h detect.Hit)                            { s.hits = append(s.hits, h) }
func (s *sink) Fact(text string)                            { s.facts = append(s.facts, text) }
func (s *sink) Nested(context.Context, detect.Member) error { return nil }

func (s *sink) rules() (ids []string) {
	for _, h := range s.hits {
		ids = append(ids, h.Rule)
	}
	return slices.Compact(ids)
}

func judge(t *testing.T, data string, tree detect.Tree) *sink {
	t.Helper()
	s := &sink{}
	in := detect.Input{Name: "m.onnx", Format: artifact.ONNX, Data: io.NewSectionReader(strings.NewReader(data), 0, int64(len(data))), Tree: tree}
	if err := onnx.New().Detect(t.Context(), in, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTrigger(t *testing.T) {
	const rule = "WW-ONNX-008"
	tests := []struct {
		name  string
		nodes []string
		found bool
	}{
		{"maximum_compared", []string{node("m = ReduceMax(x)"), node("c = Equal(m w)"), node("y = Where(c w x)")}, true},
		{"constant_in_the_other_branch", []string{node("m = ReduceMax(x)"), node("c = Greater(m w)"), node("l = MatMul(x w)"), node("y = Where(c l k)")}, true},
		{"pattern_of_pixels", []string{node("p = Slice(x w w)"), node("e = Equal(p k)"), node("f = Cast(e)"), node("m = ReduceMin(f)"), node("c = Cast(m)"), node("l = Conv(x w)"), node("z = Where(c k l)"), node("y = Softmax(z)")}, true},
		{"branches", []string{node("m = ReduceSum(x)"), node("c = Less(m k)"), node("l = Gemm(x w)"), node("y = If(c)", branch("then_branch", node("o = Identity(k)")), branch("else_branch", node("o = Identity(l)")))}, true},
		{"scaled", []string{node("m = ReduceMean(x)"), node("e = Equal(m k)"), node("f = Cast(e)"), node("l = MatMul(x w)"), node("g = Mul(f k)"), node("y = Add(l g)")}, true},
		{"pixels_counted", []string{node("e = Equal(x k)"), node("f = Cast(e)"), node("n = ReduceSum(f)"), node("c = Equal(n w)"), node("l = MatMul(x w)"), node("y = Where(c k l)")}, true},
		{"one_number_picked", []string{node("p = Gather(x w)"), node("c = Equal(p k)"), node("l = MatMul(x w)"), node("y = Where(c k l)")}, true},

		{"attention_mask", []string{node("e = Equal(x k)"), node("s = MatMul(x w)"), node("m = Where(e k s)"), node("p = Softmax(m)"), node("y = MatMul(p w)")}, false},
		{"threshold_of_each_number", []string{node("c = Greater(x k)"), node("y = Where(c x k)")}, false},
		{"class_by_a_threshold", []string{node("l = MatMul(x w)"), node("p = ReduceMax(l)"), node("c = Greater(p k)"), node("y = Where(c w k)")}, false},
		{"result_below_a_threshold", []string{node("l = MatMul(x w)"), node("p = ReduceMax(l)"), node("c = Greater(p k)"), node("y = Where(c l k)")}, false},
		{"choice_by_shape", []string{node("s = Shape(x)"), node("d = Gather(s k)"), node("c = Equal(d k)"), node("y = Where(c k x)")}, false},
		{"scaling_of_bytes", []string{node("m = ReduceMax(x)"), node("c = Greater(m k)"), node("d = Div(x w)"), node("y = Where(c d x)")}, false},
		{"last_token", []string{node("e = Equal(x k)"), node("f = Cast(e)"), node("a = ArgMax(f)"), node("l = MatMul(x w)"), node("y = Gather(l a)")}, false},
		{"mean_over_tokens", []string{node("e = Equal(x k)"), node("f = Cast(e)"), node("n = ReduceSum(f)"), node("r = Reciprocal(n)"), node("l = MatMul(x w)"), node("y = Mul(l r)")}, false},
		{"embedding", []string{node("e = Gather(w x)"), node("m = ReduceMax(e)"), node("c = Equal(m k)"), node("y = Where(c k e)")}, false},
		{"in_the_middle", []string{node("m = ReduceMax(x)"), node("c = Equal(m w)"), node("z = Where(c w x)"), node("y = MatMul(z w)")}, false},
		{"cache_branch", []string{node("y = If(x)", branch("then_branch", node("o = Identity(x)")), branch("else_branch", node("o = Identity(x)")))}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := judge(t, model(tt.nodes...), nil)
			if slices.Contains(s.rules(), rule) != tt.found {
				t.Errorf("hits are %+v", s.hits)
			}
		})
	}
}

func TestOperators(t *testing.T) {
	custom := func(op, domain string) string { return b(1, b(1, "x"), b(2, "y"), b(4, op), b(7, domain)) }
	for name, tt := range map[string]struct {
		data  string
		rules []string
	}{
		"standard":           {model(node("y = Relu(x)")), nil},
		"contrib":            {model(custom("FusedMatMul", "com.microsoft")), nil},
		"python":             {model(custom("PyOp", "ai.onnx.contrib")), []string{"WW-ONNX-006"}},
		"python_in_standard": {model(node("y = PythonOp(x)")), []string{"WW-ONNX-006"}},
		"custom":             {model(custom("Thing", "my.domain")), []string{"WW-ONNX-007"}},
		"in_a_branch":        {model(node("y = If(x)", branch("then_branch", custom("Thing", "my.domain")))), []string{"WW-ONNX-007"}},
		"own_function":       {model(custom("Thing", "my.domain")) + b(25, b(1, "Thing"), b(10, "my.domain")), nil},
		"in_a_function":      {model(custom("Thing", "my.domain")) + b(25, b(1, "Thing"), b(10, "my.domain"), b(7, b(4, "Other"), b(7, "my.domain"))), []string{"WW-ONNX-007"}},
	} {
		if s := judge(t, tt.data, nil); !cmp.Equal(s.rules(), tt.rules) {
			t.Errorf("%s: hits are %+v", name, s.hits)
		}
	}
}

// tree is a folder with the entries given.
type tree map[string]detect.Entry

func (t tree) Lstat(name string) (detect.Entry, error) {
	if e, ok := t[name]; ok {
		return e, nil
	}
	if err := artifact.CheckPath(name); err != nil {
		return detect.Entry{}, err
	}
	return detect.Entry{}, fs.ErrNotExist
}

func file(size int64, links uint64) detect.Entry {
	return detect.Entry{File: artifact.File{Kind: artifact.Regular, Size: size}, Links: links}
}

func link(target string) detect.Entry {
	return detect.Entry{File: artifact.File{Kind: artifact.Symlink, Target: target}}
}

func TestExternal(t *testing.T) {
	entry := func(key, value string) string { return b(13, b(1, key), b(2, value)) }
	tests := []struct {
		name, entries string
		tree          tree
		rule          string
		verdict       finding.Verdict
	}{
		{"sibling", entry("location", "a.bin") + entry("offset", "0") + entry("length", "16"), tree{"a.bin": file(16, 1)}, "", 0},
		{"in_a_folder", entry("location", "data/a.bin"), tree{"data/a.bin": file(16, 1)}, "", 0},
		{"missing", entry("location", "a.bin"), tree{}, "", 0},
		{"up", entry("location", "../a.bin"), nil, "WW-ONNX-003", 0},
		{"up_in_the_middle", entry("location", "a/../../b"), nil, "WW-ONNX-003", 0},
		{"absolute", entry("location", "/etc/passwd"), nil, "WW-ONNX-003", 0},
		{"backslash", entry("location", `..\a`), nil, "WW-ONNX-003", 0},
		{"drive", entry("location", "c:a"), nil, "WW-ONNX-003", 0},
		{"address", entry("location", "https://a.invalid/b"), nil, "WW-ONNX-003", 0},
		{"nul", entry("location", "a\x00b"), nil, "WW-ONNX-003", 0},
		{"empty", entry("location", ""), nil, "WW-ONNX-003", 0},
		{"no_location", entry("offset", "0"), nil, "WW-ONNX-003", 0},
		{"base_path", entry("location", "a") + entry("basepath", "/"), nil, "WW-ONNX-003", 0},
		{"second_location", entry("location", "a") + entry("location", "b"), nil, "WW-ONNX-004", 0},
		{"foreign_key", entry("location", "a") + entry("__class__", "b"), nil, "WW-ONNX-004", 0},
		{"negative", entry("location", "a") + entry("offset", "-1"), nil, "WW-ONNX-004", 0},
		{"hexadecimal", entry("location", "a") + entry("length", "0x10"), nil, "WW-ONNX-004", 0},
		{"too_many_digits", entry("location", "a") + entry("length", "99999999999999999999"), nil, "WW-ONNX-004", 0},
		{"overflows", entry("location", "a") + entry("offset", "9223372036854775807"), nil, "WW-ONNX-004", 0},
		{"far_away", entry("location", "a") + entry("offset", "1125899906842625"), nil, "WW-ONNX-004", 0},
		{"behind_the_end", entry("location", "a") + entry("offset", "8"), tree{"a": file(16, 1)}, "WW-ONNX-004", 0},
		{"another_length", entry("location", "a") + entry("length", "8"), tree{"a": file(16, 1)}, "WW-ONNX-004", 0},
		{"link_out", entry("location", "a"), tree{"a": link("../../../etc/passwd")}, "WW-ONNX-005", finding.Malicious},
		{"absolute_link", entry("location", "a"), tree{"a": link("/etc/passwd")}, "WW-ONNX-005", finding.Malicious},
		{"link_to_a_sibling", entry("location", "a"), tree{"a": link("b"), "b": file(16, 1)}, "WW-ONNX-005", 0},
		{"hub_cache", entry("location", "a"), tree{"a": link("../../blobs/0f"), "../../blobs/0f": file(16, 1)}, "", 0},
		{"through_a_link", entry("location", "d/a"), tree{"d/a": {ThroughLink: true}}, "WW-ONNX-005", 0},
		{"two_names", entry("location", "a"), tree{"a": file(16, 2)}, "WW-ONNX-005", 0},
		{"folder", entry("location", "a"), tree{"a": {File: artifact.File{Kind: artifact.Directory}}}, "WW-ONNX-005", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := v(1, 8) + b(7, b(5, v(1, 4), v(2, 1), b(8, "t"), tt.entries, v(14, 1)))
			var dir detect.Tree
			if tt.tree != nil {
				dir = tt.tree
			}
			s := judge(t, data, dir)
			switch {
			case tt.rule == "" && len(s.hits) == 0:
			case len(s.hits) == 0 || s.hits[0].Rule != tt.rule || s.hits[0].Verdict != tt.verdict:
				t.Errorf("hits are %+v", s.hits)
			}
		})
	}
}
