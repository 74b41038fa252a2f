package tensorflow_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/tensorflow"
)

// The pieces of messages: a field of bytes, and one of a number.
func b(number int, parts ...string) string {
	content := strings.Join(parts, "")
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(len(content)))) + content
}

func v(number int, n uint64) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), n))
}

func node(op, name string, rest ...string) string {
	return b(1, b(1, name), b(2, op), strings.Join(rest, ""))
}

func attr(key, value string) string { return b(5, b(1, key), b(2, value)) }

func read(kind tensorflow.Kind, data string) (*tensorflow.Model, error) {
	return tensorflow.Read(strings.NewReader(data), int64(len(data)), kind, tensorflow.Limits{Nodes: 20, Text: 10_000})
}

func TestRead(t *testing.T) {
	graph := node("Const", "c", attr("value", b(8, v(1, 7), b(8, "a/b"), b(8, "c")))) + node("Print", "p", b(3, "c:0"), attr("s", b(2, "text")), attr("list", b(1, b(2, "x"), b(8, b(8, "y"))))) +
		b(2, b(1, b(1, b(1, "fn")), b(3, b(1, "r"), b(2, "ReadFile"))))
	data := v(1, 1) + b(2, b(2, graph), b(6, b(1, b(1, "c:0")), b(2, "vocab.txt")), b(7, b(1, b(4, b(1, "_tf_keras_layer"), b(3, `{"a":1}`)))))
	m, err := read(tensorflow.SavedModel, data)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Unknown) > 0 || len(m.Graphs) != 2 || m.Graphs[1].Function != "fn" || m.Graphs[1].Nodes[0].Op != "ReadFile" {
		t.Fatalf("model is %+v", m)
	}
	c, p := m.Graphs[0].Nodes[0], m.Graphs[0].Nodes[1]
	if d := cmp.Diff([]tensorflow.Text{{Attribute: "value", Values: []string{"a/b", "c"}}}, c.Texts); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]tensorflow.Text{{Attribute: "s", Values: []string{"text"}}, {Attribute: "list", Values: []string{"x", "y"}}}, p.Texts); d != "" {
		t.Error(d)
	}
	if m.Assets[0].Tensor != "c:0" || m.Assets[0].File != "vocab.txt" || !cmp.Equal(p.Inputs, []string{"c:0"}) {
		t.Errorf("model is %+v", m)
	}
	if o := m.Objects[0]; o.Identifier != "_tf_keras_layer" || data[o.Offset:][:o.Length] != `{"a":1}` {
		t.Errorf("object is %+v", o)
	}
	for kind, inner := range map[tensorflow.Kind]string{tensorflow.GraphDef: graph, tensorflow.MetaGraph: b(2, graph)} {
		if m, err := read(kind, inner); err != nil || len(m.Graphs) != 2 || len(m.Unknown) > 0 {
			t.Errorf("kind %d: %v, %+v", kind, err, m)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name, in string
		err      error
		text     string
	}{
		{"cut_off", node("A", "a")[:4], tensorflow.ErrMalformed, "message ends"},
		{"group", "\x0b", tensorflow.ErrMalformed, "wire type 3"},
		{"name_that_is_not_text", node("\xff", "a"), tensorflow.ErrMalformed, "UTF-8"},
		{"many_nodes", strings.Repeat(node("A", "a"), 21), tensorflow.ErrLimit, "too many nodes"},
		{"much_text", node("A", strings.Repeat("a", 10_001)), tensorflow.ErrLimit, "too much text"},
		{"many_functions", b(2, strings.Repeat(b(1), 100)), tensorflow.ErrLimit, "too much text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(tensorflow.GraphDef, tt.in); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v, want %v with %q", err, tt.err, tt.text)
			}
		})
	}
	for _, in := range []string{b(9, "x"), node("A", "a", b(99, "x")), node("A", "a", attr("k", b(77, "x"))), v(1, 1)} {
		if m, err := read(tensorflow.GraphDef, in); err != nil || len(m.Unknown) != 1 {
			t.Errorf("%q: %v, %+v", in, err, m)
		}
	}
}

func TestTextsAreCut(t *testing.T) {
	m, err := read(tensorflow.GraphDef, node("Const", "c", attr("value", b(8, b(8, strings.Repeat("x", 5000)), strings.Repeat(b(8, "y"), 100)))))
	if err != nil {
		t.Fatal(err)
	}
	if values := m.Graphs[0].Nodes[0].Texts[0].Values; len(values) != tensorflow.MaxTexts || len(values[0]) != tensorflow.MaxText {
		t.Errorf("%d values, the first of %d bytes", len(values), len(values[0]))
	}
}

// FuzzRead promises: what is read of a file is of its bytes: nodes, assets and
// objects stand in it, and texts are no longer than the limit.
func FuzzRead(f *testing.F) {
	f.Add([]byte(v(1, 1)+b(2, b(2, node("Const", "c", attr("value", b(8, b(8, "/etc/passwd")))), b(2, b(1, b(3, b(2, "ReadFile"))))))), byte(1))
	f.Add([]byte(node("A", "a", attr("x", b(1, b(2, "y"))))), byte(3))
	f.Fuzz(func(t *testing.T, data []byte, kind byte) {
		m, err := tensorflow.Read(bytes.NewReader(data), int64(len(data)), tensorflow.Kind(kind), tensorflow.Limits{})
		if err != nil {
			return
		}
		size := int64(len(data))
		for _, g := range m.Graphs {
			for _, n := range g.Nodes {
				if n.Offset >= size {
					t.Fatalf("%+v of %d bytes", n, size)
				}
				for _, text := range n.Texts {
					for _, value := range text.Values {
						if len(value) > tensorflow.MaxText || !bytes.Contains(data, []byte(value)) {
							t.Fatalf("%q is not in it", value)
						}
					}
				}
			}
		}
		for _, o := range m.Objects {
			if o.Offset+o.Length > size {
				t.Fatalf("%+v of %d bytes", o, size)
			}
		}
	})
}
