package tensorflow

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

// The messages of TensorFlow's *.proto files that lead to nodes.
var (
	savedModelMessage = protobuf.Schema{Name: "the model", Fields: map[int32]protobuf.Encoding{1: protobuf.Num, 2: protobuf.Len}}
	metaGraphMessage  = protobuf.Schema{Name: "a graph with its description", Fields: protobuf.Fields(protobuf.Len, 1, 2, 3, 4, 5, 6, 7)}
	graphMessage      = protobuf.Schema{Name: "a graph", Fields: map[int32]protobuf.Encoding{1: protobuf.Len, 2: protobuf.Len, 3: protobuf.Num, 4: protobuf.Len, 5: protobuf.Len}}
	libraryMessage    = protobuf.Schema{Name: "a library", Fields: protobuf.Fields(protobuf.Len, 1, 2, 3)}
	functionMessage   = protobuf.Schema{Name: "a function", Fields: protobuf.Fields(protobuf.Len, 1, 3, 4, 5, 6, 7, 8)}
	nodeMessage       = protobuf.Schema{Name: "a node", Fields: protobuf.Fields(protobuf.Len, 1, 2, 3, 4, 5, 6, 7)}
	entryMessage      = protobuf.Schema{Name: "an entry", Fields: protobuf.Fields(protobuf.Len, 1, 2)}
	valueMessage      = protobuf.Schema{Name: "an attribute", Fields: map[int32]protobuf.Encoding{
		1: protobuf.Len, 2: protobuf.Len, 3: protobuf.Num, 4: protobuf.F32, 5: protobuf.Num, 6: protobuf.Num, 7: protobuf.Len,
		8: protobuf.Len, 9: protobuf.Len, 10: protobuf.Len,
	}}
	metadataMessage    = protobuf.Schema{Name: "the metadata", Fields: protobuf.Fields(protobuf.Len, 1)}
	objectMessage      = protobuf.Schema{Name: "an object", Fields: map[int32]protobuf.Encoding{1: protobuf.Len, 2: protobuf.Num, 3: protobuf.Len, 4: protobuf.Len, 5: protobuf.Len}}
	fingerprintMessage = protobuf.Schema{Name: "the fingerprint", Fields: map[int32]protobuf.Encoding{
		1: protobuf.Num, 2: protobuf.Num, 3: protobuf.Num, 4: protobuf.Num, 5: protobuf.Num, 6: protobuf.Len, 7: protobuf.Len,
	}}
	listMessage = protobuf.Schema{Name: "a list", Fields: map[int32]protobuf.Encoding{
		2: protobuf.Len, 3: protobuf.Nums, 4: protobuf.F32s, 5: protobuf.Nums, 6: protobuf.Nums, 7: protobuf.Len, 8: protobuf.Len, 9: protobuf.Len,
	}}
)

// reader is a model while it is read.
type reader struct {
	*Model
	s     *protobuf.Source
	nodes int
	text  int64
}

// each calls f for the fields of a message that its schema knows, and names
// the others.
func (r *reader) each(m *protobuf.Message, schema protobuf.Schema, f func(protobuf.Field) error) error {
	return m.Each(func(field protobuf.Field) error {
		if !schema.Knows(field) {
			if len(r.Unknown) < maxUnknown {
				r.Unknown = append(r.Unknown, Unknown{field.Offset, fmt.Sprintf("%s has a field %d that is not known", schema.Name, field.Number)})
			}
			return nil
		}
		return f(field)
	})
}

// spend counts what is kept.
func (r *reader) spend(n int64) error {
	if r.text -= n; r.text < 0 {
		return fmt.Errorf("too much text to keep: %w", ErrLimit)
	}
	return nil
}

func (r *reader) str(f protobuf.Field) (string, error) {
	if err := r.spend(f.Length + 16); err != nil {
		return "", err
	}
	return r.s.Text(f)
}

// texts reads the fields of a message with the numbers given as texts, the
// last of each.
func (r *reader) texts(f protobuf.Field, numbers ...int32) ([]string, error) {
	list := make([]string, len(numbers))
	err := r.s.Sub(f).Each(func(f protobuf.Field) (err error) {
		for i, n := range numbers {
			if f.Number == n && f.Wire == protobuf.Bytes {
				list[i], err = r.str(f)
			}
		}
		return err
	})
	return list, err
}

func (r *reader) savedModel(m *protobuf.Message) error {
	return r.each(m, savedModelMessage, func(f protobuf.Field) error {
		if f.Number != 2 {
			return nil
		}
		return r.metaGraph(r.s.Sub(f))
	})
}

func (r *reader) metaGraph(m *protobuf.Message) error {
	return r.each(m, metaGraphMessage, func(f protobuf.Field) error {
		switch f.Number {
		case 2:
			return r.graph(r.s.Sub(f))
		case 6:
			return r.asset(f)
		case 7:
			return r.objects(f)
		}
		return nil // about versions, savers, collections and signatures
	})
}

// asset reads an AssetFileDef: a TensorInfo and a file.
func (r *reader) asset(f protobuf.Field) error {
	a := Asset{Offset: f.Offset}
	err := r.s.Sub(f).Each(func(f protobuf.Field) (err error) {
		switch {
		case f.Wire != protobuf.Bytes:
		case f.Number == 1:
			var names []string
			if names, err = r.texts(f, 1); err == nil {
				a.Tensor = names[0]
			}
		case f.Number == 2:
			a.File, err = r.str(f)
		}
		return err
	})
	r.Assets = append(r.Assets, a)
	return err
}

// objects reads what a SavedObjectGraph says about objects of the user's own
// classes: nodes 1, user_object 4, identifier 1 and metadata 3.
func (r *reader) objects(f protobuf.Field) error {
	return r.s.Sub(f).Each(func(node protobuf.Field) error {
		if node.Number != 1 || node.Wire != protobuf.Bytes {
			return nil
		}
		return r.s.Sub(node).Each(func(object protobuf.Field) error {
			if object.Number != 4 || object.Wire != protobuf.Bytes {
				return nil
			}
			var o Object
			err := r.s.Sub(object).Each(func(f protobuf.Field) (err error) {
				switch {
				case f.Wire != protobuf.Bytes:
				case f.Number == 1:
					o.Identifier, err = r.str(f)
				case f.Number == 3:
					o.Offset, o.Length = f.Data, f.Length
				}
				return err
			})
			if o.Length > 0 {
				r.Objects = append(r.Objects, o)
				err = orElse(err, r.spend(64))
			}
			return err
		})
	})
}

// kerasMetadata reads a SavedMetadata: nodes 1 with an identifier 4 and a
// description 5.
func (r *reader) kerasMetadata(m *protobuf.Message) error {
	return r.each(m, metadataMessage, func(node protobuf.Field) error {
		var o Object
		err := r.each(r.s.Sub(node), objectMessage, func(f protobuf.Field) (err error) {
			switch f.Number {
			case 4:
				o.Identifier, err = r.str(f)
			case 5:
				o.Offset, o.Length = f.Data, f.Length
			}
			return err
		})
		r.Objects = append(r.Objects, o)
		return orElse(err, r.spend(64))
	})
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func (r *reader) graph(m *protobuf.Message) error {
	g := &Graph{}
	r.Graphs = append(r.Graphs, g)
	return r.each(m, graphMessage, func(f protobuf.Field) error {
		switch f.Number {
		case 1:
			return r.node(f, g)
		case 2:
			return r.each(r.s.Sub(f), libraryMessage, func(f protobuf.Field) error {
				if f.Number != 1 {
					return nil // which function is the gradient of which
				}
				return r.function(f)
			})
		}
		return nil // versions, and where in which source a node was made
	})
}

func (r *reader) function(f protobuf.Field) error {
	g := &Graph{}
	r.Graphs = append(r.Graphs, g)
	if err := r.spend(128); err != nil {
		return err
	}
	return r.each(r.s.Sub(f), functionMessage, func(f protobuf.Field) error {
		switch f.Number {
		case 1:
			names, err := r.texts(f, 1)
			g.Function = names[0]
			return err
		case 3:
			return r.node(f, g)
		}
		return nil
	})
}

func (r *reader) node(f protobuf.Field, g *Graph) error {
	if r.nodes--; r.nodes < 0 {
		return fmt.Errorf("too many nodes: %w", ErrLimit)
	}
	n := &Node{Offset: f.Offset}
	g.Nodes = append(g.Nodes, n)
	return r.each(r.s.Sub(f), nodeMessage, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 1:
			n.Name, err = r.str(f)
		case 2:
			n.Op, err = r.str(f)
		case 3:
			var input string
			input, err = r.str(f)
			n.Inputs = append(n.Inputs, input)
		case 5:
			err = r.attribute(f, n)
		default: // the device, and where in which source it was made
		}
		return err
	})
}

// attribute reads one entry of a node's attributes.
func (r *reader) attribute(f protobuf.Field, n *Node) error {
	var t Text
	err := r.each(r.s.Sub(f), entryMessage, func(f protobuf.Field) (err error) {
		if f.Number == 1 {
			t.Attribute, err = r.str(f)
			return err
		}
		return r.each(r.s.Sub(f), valueMessage, func(f protobuf.Field) error { return r.value(&t, f) })
	})
	if len(t.Values) > 0 {
		n.Texts = append(n.Texts, t)
	}
	return err
}

// value reads the texts of an AttrValue: a text, a tensor, or a list of these.
func (r *reader) value(t *Text, f protobuf.Field) error {
	switch f.Number {
	case 2:
		return r.keep(t, f)
	case 8:
		return r.s.Sub(f).Each(func(f protobuf.Field) error { // a TensorProto; 8 are its texts
			if f.Number != 8 || f.Wire != protobuf.Bytes {
				return nil
			}
			return r.keep(t, f)
		})
	case 1:
		return r.each(r.s.Sub(f), listMessage, func(f protobuf.Field) error {
			if f.Number == 2 || f.Number == 8 {
				return r.value(t, f)
			}
			return nil
		})
	}
	return nil
}

// keep keeps a text, which may be any bytes.
func (r *reader) keep(t *Text, f protobuf.Field) error {
	if len(t.Values) >= MaxTexts {
		return nil
	}
	f.Length = min(f.Length, MaxText)
	if err := r.spend(f.Length + 16); err != nil {
		return err
	}
	b, err := r.s.Bytes(f)
	t.Values = append(t.Values, string(b))
	return err
}
