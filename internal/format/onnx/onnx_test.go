package onnx_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/onnx"
)

// The pieces of messages: a field of bytes, and one of a number.
func b(number int, parts ...string) string {
	content := strings.Join(parts, "")
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(len(content)))) + content
}

func v(number int, n uint64) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), n))
}

func model(parts ...string) string { return v(1, 8) + strings.Join(parts, "") }

func graph(parts ...string) string { return b(7, parts...) }

// tensor is the content of a tensor of floats.
func tensor(name string, dims []uint64, rest ...string) string {
	s := ""
	for _, d := range dims {
		s += v(1, d)
	}
	return s + v(2, 1) + b(8, name) + strings.Join(rest, "")
}

func outside(name, location string) string {
	return tensor(name, []uint64{4}, b(13, b(1, "location"), b(2, location)), v(14, 1))
}

func node(op string, attributes ...string) string {
	return b(1, b(1, "x"), b(2, "y"), b(4, op)+strings.Join(attributes, ""))
}

func read(data string) (*onnx.Model, error) {
	return onnx.Read(strings.NewReader(data), int64(len(data)), onnx.Limits{Nodes: 20, Tensors: 20, Depth: 5, Text: 5000})
}

func TestRead(t *testing.T) {
	data := model(b(2, "test"), graph(node("Relu"), b(2, "g"), b(5, tensor("w", []uint64{2, 2}, b(9, strings.Repeat("x", 16)))), b(11, b(1, "x")), b(12, b(1, "y"))), b(8, b(1, "ai.onnx.ml"), v(2, 3)))
	m, err := read(data)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(strings.Index(data, "xxxx"))
	want := &onnx.Model{
		IRVersion: 8, Producer: "test", Opsets: []onnx.Opset{{Domain: "ai.onnx.ml", Version: 3}},
		Graph: &onnx.Graph{
			Name: "g", Inputs: []string{"x"}, Outputs: []string{"y"}, Initializers: []string{"w"}, Offset: 8,
			Nodes: []*onnx.Node{{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}, Offset: 10}},
		},
		Tensors: []*onnx.Tensor{{Name: "w", Where: "initializer", Type: 1, Shape: []int64{2, 2}, Offset: at, Length: 16, Bytes: 16, Described: 27}},
	}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
}

// Wherever a tensor may stand, it is found.
func TestTensorsEverywhere(t *testing.T) {
	attribute := func(parts ...string) string { return b(5, append([]string{b(1, "a")}, parts...)...) }
	inner := b(6, node("Add", attribute(b(5, outside("t", "f")))))
	tests := map[string]string{
		"initializer":          graph(b(5, outside("t", "f"))),
		"sparse_values":        graph(b(15, b(1, outside("t", "f")))),
		"sparse_indices":       graph(b(15, b(2, outside("t", "f")))),
		"attribute":            graph(node("Constant", attribute(b(5, outside("t", "f"))))),
		"list_in_an_attribute": graph(node("Constant", attribute(b(10, outside("t", "f"))))),
		"sparse_attribute":     graph(node("Constant", attribute(b(22, b(1, outside("t", "f")))))),
		"sparse_list":          graph(node("Constant", attribute(b(23, b(2, outside("t", "f")))))),
		"subgraph":             graph(node("If", attribute(inner))),
		"list_of_subgraphs":    graph(node("If", attribute(b(11, b(5, outside("t", "f")))))),
		"two_subgraphs_deep":   graph(node("If", attribute(b(6, node("If", attribute(inner)))))),
		"function":             graph() + b(25, b(1, "fn"), b(7, b(4, "Constant"), attribute(b(5, outside("t", "f"))))),
		"default_of_function":  graph() + b(25, b(1, "fn"), b(11, b(1, "a"), b(5, outside("t", "f")))),
		"training":             graph() + b(20, b(1, b(5, outside("t", "f")))),
		"training_algorithm":   graph() + b(20, b(2, b(5, outside("t", "f")))),
	}
	for name, parts := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := read(model(parts))
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Tensors) != 1 || len(m.Tensors[0].External) != 1 || m.Tensors[0].External[0].Value != "f" || !m.Tensors[0].Elsewhere || m.Tensors[0].Where == "" || len(m.Troubles) > 0 {
				t.Errorf("tensors are %+v, troubles %+v", m.Tensors, m.Troubles)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	deep := node("Relu")
	for range 10 {
		deep = node("If", b(5, b(1, "a"), b(6, deep)))
	}
	tests := []struct {
		name, in string
		err      error
		text     string
	}{
		{"cut_off", model(graph(node("Relu")))[:10], onnx.ErrMalformed, "message ends"},
		{"no_graph", model(), onnx.ErrMalformed, "no graph"},
		{"name_that_is_not_text", model(graph(b(2, "\xff"))), onnx.ErrMalformed, "UTF-8"},
		{"node_cut_off", model(graph(b(1, "\x0a\x09x"))), onnx.ErrMalformed, "message ends"},
		{"many_nodes", model(graph(strings.Repeat(node("Relu"), 21))), onnx.ErrLimit, "more than 20 nodes"},
		{"many_tensors", model(graph(strings.Repeat(b(5), 21))), onnx.ErrLimit, "more than 20 tensors"},
		{"much_text", model(graph(b(2, strings.Repeat("x", 5001)))), onnx.ErrLimit, "names"},
		{"empty_names", model(graph(b(1, strings.Repeat(b(1), 400)))), onnx.ErrLimit, "names"},
		{"many_dimensions", model(graph(b(5, b(1, strings.Repeat("\x01", 1001))))), onnx.ErrLimit, "dimensions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(tt.in); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v, want %v with %q", err, tt.err, tt.text)
			}
		})
	}
	m, err := read(model(graph(deep)))
	if err != nil || len(m.Troubles) != 1 || m.Troubles[0].Kind != onnx.Deep {
		t.Errorf("graphs in graphs: %v, %+v", err, m)
	}
}

func TestTroubles(t *testing.T) {
	raw := func(n int) string { return b(9, strings.Repeat("x", n)) }
	one := func(t string) string { return model(graph(b(5, t))) }
	tests := []struct {
		name, in string
		kind     onnx.TroubleKind
		text     string
	}{
		{"field_of_the_model", model(graph(), b(99, "")), onnx.Unknown, "the model has a field 99"},
		{"field_of_another_encoding", model(graph(v(1, 1))), onnx.Unknown, "a graph has a field 1"},
		{"field_of_a_node", model(graph(b(1, b(77, "")))), onnx.Unknown, "a node has a field 77"},
		{"field_of_a_tensor", one(b(15, "")), onnx.Unknown, "a tensor has a field 15"},
		{"type", one(v(2, 99) + raw(4)), onnx.Unknown, "type 99"},
		{"two_graphs", model(graph(), graph()), onnx.Twice, "two graphs"},
		{"bytes", one(tensor("w", []uint64{3}, raw(16))), onnx.Shape, "make 12"},
		{"negative", one(tensor("w", []uint64{math.MaxUint64}, raw(16))), onnx.Shape, "negative or overflow"},
		{"negative_and_zero", one(tensor("w", []uint64{0, math.MaxUint64}, raw(0))), onnx.Shape, "negative or overflow"},
		{"overflow", one(tensor("w", []uint64{1 << 32, 1 << 32}, raw(0))), onnx.Shape, "negative or overflow"},
		{"bits_overflow", one(tensor("w", []uint64{1 << 61}, raw(0))), onnx.Shape, "size that overflows"},
		{"twice", one(tensor("w", []uint64{4}, raw(16), b(4, strings.Repeat("x", 16)))), onnx.Shape, "several fields"},
		{"here_and_there", one(outside("w", "f") + raw(16)), onnx.Shape, "here and outside"},
		{"nothing", one(tensor("w", []uint64{4})), onnx.Shape, "no data"},
		{"packed", one(tensor("w", []uint64{4}, b(4, strings.Repeat("x", 12)))), onnx.Shape, "3 numbers"},
		{"another_field", one(tensor("w", []uint64{1}, b(7, "\x01"))), onnx.Shape, "another type"},
		{"raw_text", one(v(1, 1) + v(2, 8) + raw(3)), onnx.Shape, "text and has raw"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := read(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Troubles) != 1 || m.Troubles[0].Kind != tt.kind || !strings.Contains(m.Troubles[0].Text, tt.text) {
				t.Errorf("troubles are %+v", m.Troubles)
			}
		})
	}
}

func TestWithoutTrouble(t *testing.T) {
	for name, in := range map[string]string{
		"zero":         tensor("w", []uint64{0, 5}, b(9)),
		"scalar":       tensor("w", nil, b(9, "xxxx")),
		"packed":       tensor("w", []uint64{2}, b(4, "xxxxyyyy")),
		"not_set":      "",
		"int4":         v(1, 3) + v(2, 22) + b(9, "xx"),
		"integers":     v(1, 3) + v(2, 6) + b(5, "\x01\x02\x03"),
		"external":     outside("w", "weights.bin"),
		"complex":      v(1, 1) + v(2, 14) + b(4, "xxxxyyyy"),
		"text":         v(1, 2) + v(2, 8) + b(6, "a") + b(6, "b"),
		"empty_packed": tensor("w", []uint64{0}),
	} {
		if m, err := read(model(graph(b(5, in)))); err != nil || len(m.Troubles) > 0 {
			t.Errorf("%s: %v, %+v", name, err, m)
		}
	}
}

// FuzzRead promises: whatever is read as a tensor with bytes has them in the
// file, without trouble as many as its shape and type make; and what says that
// it is elsewhere has not both.
func FuzzRead(f *testing.F) {
	f.Add([]byte(model(graph(node("Relu"), b(5, tensor("w", []uint64{2, 2}, b(9, strings.Repeat("x", 16))))))))
	f.Add([]byte(model(graph(node("If", b(5, b(1, "a"), b(6, b(5, outside("t", "../f")))))), b(25, b(1, "fn"), b(11, b(5, outside("t", "f")))))))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Read(bytes.NewReader(data), int64(len(data)), onnx.Limits{})
		if err != nil {
			return
		}
		for _, x := range m.Tensors {
			if x.Length >= 0 && (x.Offset < 0 || x.Offset+x.Length > int64(len(data))) {
				t.Fatalf("%+v of %d bytes", x, len(data))
			}
			if len(m.Troubles) == 0 && x.Length >= 0 && (x.Length != x.Bytes || x.Elsewhere) {
				t.Fatalf("%+v without trouble", x)
			}
		}
	})
}
