package tensorflow_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/tensorflow"
	"github.com/weightwarden/weightwarden/internal/finding"
)

func b(number int, parts ...string) string {
	content := strings.Join(parts, "")
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(len(content)))) + content
}

// node is "name = Op(inputs)" with attributes.
func node(text string, attributes ...string) string {
	name, call, _ := strings.Cut(text, " = ")
	op, inputs, _ := strings.Cut(strings.TrimSuffix(call, ")"), "(")
	s := b(1, name) + b(2, op)
	for in := range strings.FieldsSeq(inputs) {
		s += b(3, in)
	}
	return s + strings.Join(attributes, "")
}

func text(value string) string { return b(5, b(1, "value"), b(2, b(8, b(8, value)))) }

func graph(nodes ...string) (s string) {
	for _, n := range nodes {
		s += b(1, n)
	}
	return s
}

type sink struct{ hits []detect.Hit }

func (s *sink) Hit(h detect.Hit)                            { s.hits = append(s.hits, h) }
func (s *sink) Fact(string)                                 {}
func (s *sink) Nested(context.Context, detect.Member) error { return nil }

func judge(t *testing.T, data string) (rules []string) {
	t.Helper()
	s := &sink{}
	in := detect.Input{Format: artifact.MetaGraph, Data: io.NewSectionReader(strings.NewReader(data), 0, int64(len(data)))}
	if err := tensorflow.New().Detect(t.Context(), in, s); err != nil {
		t.Fatal(err)
	}
	for _, h := range s.hits {
		rule := strings.TrimPrefix(h.Rule, "WW-TENSORFLOW-")
		if h.Verdict == finding.Suspicious {
			rule += " suspicious"
		}
		rules = append(rules, rule)
	}
	return slices.Compact(rules)
}

func TestOperators(t *testing.T) {
	tests := []struct {
		name  string
		nodes []string
		rules []string
	}{
		{"computes", []string{node("x = Placeholder()"), node("y = MatMul(x x)"), node("z = Softmax(y)")}, nil},
		{"writes", []string{node("p = Placeholder()"), node("w = WriteFile(p)")}, []string{"003"}},
		{"reads_a_constant", []string{node("c = Const()", text("a.txt")), node("i = Identity(c)"), node("r = ReadFile(i)")}, []string{"003"}},
		{"reads_what_is_joined", []string{node("c = Const()", text("/etc")), node("x = Placeholder()"), node("j = StringJoin(x c)"), node("r = ReadFile(j:0)")}, []string{"003"}},
		{"reads_what_the_caller_names", []string{node("x = Placeholder()"), node("r = ReadFile(x)")}, []string{"005"}},
		{"python", []string{node("p = EagerPyFunc(x)")}, []string{"004"}},
		{"dataset", []string{node("d = TFRecordDatasetV2(x)")}, []string{"005"}},
		{"receives", []string{node("r = _HostRecv()")}, []string{"005"}},
		{"collective", []string{node("r = CollectiveReduceV2(x)")}, []string{"005"}},
		{"database", []string{node("c = Const()", text("sqlite")), node("d = SqlDataset(c c c)")}, []string{"003"}},
		{"prints_to_a_file", []string{node("p = PrintV2(x)", b(5, b(1, "output_stream"), b(2, b(2, "file:///tmp/x"))))}, []string{"005"}},
		{"prints", []string{node("p = PrintV2(x)", b(5, b(1, "output_stream"), b(2, b(2, "stderr"))))}, nil},
		{"saves", []string{node("c = Const()", text("model")), node("s = SaveV2(c)"), node("r = RestoreV2(c)"), node("m = MergeV2Checkpoints(c)")}, nil},
		{"restores_from_elsewhere", []string{node("c = Const()", text("/tmp/evil")), node("r = RestoreV2(c)")}, []string{"006 suspicious"}},
		{"vocabulary", []string{node("c = Const()", text("assets/vocab.txt")), node("t = InitializeTableFromTextFileV2(h c)")}, nil},
		{"vocabulary_elsewhere", []string{node("c = Const()", text("../../secret")), node("t = InitializeTableFromTextFileV2(h c)")}, []string{"006"}},
		{"custom", []string{node("c = Evil>Operator(x)")}, []string{"008"}},
		{"control_input_is_no_path", []string{node("c = Const()", text("/etc")), node("x = Placeholder()"), node("r = ReadFile(x ^c)")}, []string{"005"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := judge(t, b(2, graph(tt.nodes...))); !cmp.Equal(got, tt.rules) {
				t.Errorf("in the graph: %v, want %v", got, tt.rules)
			}
			body := b(1, b(1, "f"))
			for _, n := range tt.nodes {
				body += b(3, n)
			}
			if got := judge(t, b(2, graph(node("call = f()")), b(2, b(1, body)))); !cmp.Equal(got, tt.rules) {
				t.Errorf("in a function: %v, want %v", got, tt.rules)
			}
		})
	}
}

func TestDescription(t *testing.T) {
	vocabulary := graph(node("c = Const()", text("/home/me/vocab.txt")), node("t = InitializeTableFromTextFileV2(h c)"))
	layer := func(json string) string { return b(7, b(1, b(4, b(1, "_tf_keras_layer"), b(3, json)))) }
	for name, tt := range map[string]struct {
		data  string
		rules []string
	}{
		"asset":           {b(2, vocabulary) + b(6, b(1, b(1, "c:0")), b(2, "vocab.txt")), nil},
		"asset_leads_out": {b(2, vocabulary) + b(6, b(1, b(1, "c:0")), b(2, "../vocab.txt")), []string{"007"}},
		"layer":           {b(2, vocabulary[:0]) + layer(`{"class_name":"Dense","config":{"name":"Lambda"}}`), nil},
		"lambda":          {b(2) + layer(`{"class_name":"Sequential","config":{"layers":[{"class_name":"Lambda"}]}}`), []string{"009"}},
		"no_json":         {b(2) + layer(`{"class_name"`), []string{"002"}},
		"unknown_field":   {b(2) + b(9, "x"), []string{"002"}},
		"cut_off":         {b(2, vocabulary)[:9], []string{"001"}},
	} {
		if got := judge(t, tt.data); !cmp.Equal(got, tt.rules) {
			t.Errorf("%s: %v, want %v", name, got, tt.rules)
		}
	}
}

func TestManyHits(t *testing.T) {
	var nodes []string
	for n := range 200 {
		nodes = append(nodes, node(fmt.Sprintf("n%d = WriteFile(x)", n)))
	}
	s := &sink{}
	data := b(2, graph(nodes...))
	in := detect.Input{Format: artifact.MetaGraph, Data: io.NewSectionReader(strings.NewReader(data), 0, int64(len(data)))}
	if err := tensorflow.New().Detect(t.Context(), in, s); err != nil || len(s.hits) != 50 {
		t.Errorf("%d hits, %v", len(s.hits), err)
	}
}
