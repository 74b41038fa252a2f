package onnx

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

// reader is a model while it is read.
type reader struct {
	*Model
	s     *protobuf.Source
	lim   Limits
	nodes int
	text  int64
}

// place is where in the model something stands.
type place struct {
	where string
	depth int
}

// maxWhere is how long a description of a place gets; what is outermost is
// left out first.
const maxWhere = 300

func (p place) in(what, name string) place {
	if name != "" {
		what += fmt.Sprintf(" %.60q", name)
	}
	switch {
	case p.where == "":
		return place{what, p.depth}
	case len(p.where) > maxWhere:
		return place{"…, " + what, p.depth}
	}
	return place{p.where + ", " + what, p.depth}
}

// each calls f for the fields of a message that its schema knows, and names
// the others.
func (r *reader) each(m *protobuf.Message, schema protobuf.Schema, at place, f func(protobuf.Field) error) error {
	return m.Each(func(field protobuf.Field) error {
		if !schema.Knows(field) {
			r.trouble(Trouble{Kind: Unknown, Offset: field.Offset, Where: at.where}, "%s has a field %d that is not known", schema.Name, field.Number)
			return nil
		}
		return f(field)
	})
}

// str reads a name and counts it.
func (r *reader) str(f protobuf.Field) (string, error) {
	if r.text -= f.Length; r.text < 0 {
		return "", fmt.Errorf("more than %d bytes of names: %w", r.lim.Text, ErrLimit)
	}
	return r.s.Text(f)
}

func (r *reader) strs(list *[]string, f protobuf.Field) error {
	if r.text -= 16; r.text < 0 { // an empty name takes memory, too
		return fmt.Errorf("more than %d bytes of names: %w", r.lim.Text, ErrLimit)
	}
	text, err := r.str(f)
	*list = append(*list, text)
	return err
}

func (r *reader) model() error {
	graphs := 0
	err := r.each(r.s.Root(), modelMessage, place{}, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 1:
			r.IRVersion = f.Value
		case 2:
			r.Producer, err = r.str(f)
		case 7:
			if graphs++; graphs > 1 {
				// Parsers merge the two.
				r.trouble(Trouble{Kind: Twice, Offset: f.Offset}, "the model has two graphs")
			} else {
				r.Graph = &Graph{}
			}
			err = r.graph(f, r.Graph, place{})
		case 8:
			err = r.opset(f)
		case 20:
			err = r.training(f)
		case 25:
			err = r.function(f)
		default: // texts about the model
		}
		return err
	})
	if err == nil && r.Graph == nil {
		return fmt.Errorf("no graph: %w", ErrMalformed)
	}
	return err
}

func (r *reader) opset(f protobuf.Field) error {
	var o Opset
	err := r.each(r.s.Sub(f), opsetMessage, place{}, func(f protobuf.Field) (err error) {
		if f.Number == 1 {
			o.Domain, err = r.str(f)
		} else {
			o.Version = f.Value
		}
		return err
	})
	if r.text -= 32; r.text < 0 {
		return fmt.Errorf("too many operator sets: %w", ErrLimit)
	}
	r.Opsets = append(r.Opsets, o)
	return err
}

func (r *reader) training(f protobuf.Field) error {
	return r.each(r.s.Sub(f), trainingMessage, place{}, func(f protobuf.Field) error {
		if f.Number > 2 {
			return nil
		}
		g := &Graph{}
		r.Training = append(r.Training, g)
		return r.graph(f, g, place{where: "training"})
	})
}

// graph reads a graph into g, which may have been begun by another field.
func (r *reader) graph(f protobuf.Field, g *Graph, at place) error {
	g.Offset = f.Offset
	if at.depth++; at.depth > r.lim.Depth {
		r.trouble(Trouble{Kind: Deep, Offset: f.Offset, Where: at.where}, "graphs in graphs beyond a depth of %d", r.lim.Depth)
		return nil
	}
	return r.each(r.s.Sub(f), graphMessage, at, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 1:
			err = r.node(f, g, at)
		case 2:
			g.Name, err = r.str(f)
		case 5:
			var t *Tensor
			if t, err = r.tensor(f, at.in("initializer", "")); err == nil {
				g.Initializers = append(g.Initializers, t.Name)
			}
		case 11:
			err = r.value(f, &g.Inputs, at)
		case 12:
			err = r.value(f, &g.Outputs, at)
		case 15:
			var name string
			if name, err = r.sparse(f, at.in("sparse initializer", "")); err == nil {
				g.Initializers = append(g.Initializers, name)
			}
		default: // types and texts, which hold no tensors
		}
		return err
	})
}

// value reads the name of an input or output.
func (r *reader) value(f protobuf.Field, names *[]string, at place) error {
	return r.each(r.s.Sub(f), valueMessage, at, func(f protobuf.Field) error {
		if f.Number != 1 {
			return nil
		}
		return r.strs(names, f)
	})
}

func (r *reader) function(f protobuf.Field) error {
	fn := &Function{Graph: Graph{Offset: f.Offset}}
	r.Functions = append(r.Functions, fn)
	name, err := r.first(f, 1)
	if err != nil {
		return err
	}
	if r.text -= 128; r.text < 0 {
		return fmt.Errorf("too many functions: %w", ErrLimit)
	}
	fn.Name = name
	at := place{depth: 1}.in("function", name)
	return r.each(r.s.Sub(f), functionMessage, at, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 4:
			err = r.strs(&fn.Inputs, f)
		case 5:
			err = r.strs(&fn.Outputs, f)
		case 7:
			err = r.node(f, &fn.Graph, at)
		case 10:
			fn.Domain, err = r.str(f)
		case 11:
			err = r.attribute(f, &Node{}, at)
		case 13:
			fn.Overload, err = r.str(f)
		default: // texts and versions
		}
		return err
	})
}

// first reads the text of the last field with a number, ahead of the others:
// names stand behind what they name.
func (r *reader) first(f protobuf.Field, number int32) (text string, err error) {
	err = r.s.Sub(f).Each(func(f protobuf.Field) (err error) {
		if f.Number == number && f.Wire == protobuf.Bytes {
			text, err = r.str(f)
		}
		return err
	})
	return text, err
}

func (r *reader) node(f protobuf.Field, g *Graph, at place) error {
	if r.nodes--; r.nodes < 0 {
		return fmt.Errorf("more than %d nodes: %w", r.lim.Nodes, ErrLimit)
	}
	n := &Node{Offset: f.Offset, Where: at.where}
	g.Nodes = append(g.Nodes, n)
	var attributes []protobuf.Field
	err := r.each(r.s.Sub(f), nodeMessage, at, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 1:
			err = r.strs(&n.Inputs, f)
		case 2:
			err = r.strs(&n.Outputs, f)
		case 3:
			n.Name, err = r.str(f)
		case 4:
			n.Op, err = r.str(f)
		case 5:
			if r.text -= 64; r.text < 0 {
				return fmt.Errorf("too many attributes: %w", ErrLimit)
			}
			attributes = append(attributes, f)
		case 7:
			n.Domain, err = r.str(f)
		case 8:
			n.Overload, err = r.str(f)
		default: // texts, and on which device it runs
		}
		return err
	})
	if err != nil {
		return err
	}
	name := n.Name
	if name == "" && len(n.Outputs) > 0 {
		name = n.Outputs[0]
	}
	within := at.in(fmt.Sprintf("node %.40s", n.Op), name)
	for _, a := range attributes {
		if err := r.attribute(a, n, within); err != nil {
			return err
		}
	}
	return nil
}

// attribute reads the tensors and graphs of an attribute.
func (r *reader) attribute(f protobuf.Field, n *Node, at place) error {
	name, err := r.first(f, 1)
	if err != nil {
		return err
	}
	at = at.in("attribute", name)
	return r.each(r.s.Sub(f), attributeMessage, at, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 5, 10:
			_, err = r.tensor(f, at)
		case 6, 11:
			g := &Graph{}
			n.Graphs = append(n.Graphs, Branch{name, g})
			err = r.graph(f, g, at)
		case 22, 23:
			_, err = r.sparse(f, at)
		default: // numbers, texts and types
		}
		return err
	})
}

// sparse reads a sparse tensor and returns the name of its values, which is
// its own.
func (r *reader) sparse(f protobuf.Field, at place) (name string, err error) {
	err = r.each(r.s.Sub(f), sparseMessage, at, func(f protobuf.Field) error {
		if f.Number == 3 {
			return nil
		}
		t, err := r.tensor(f, at.in("sparse tensor", ""))
		if err == nil && f.Number == 1 {
			name = t.Name
		}
		return err
	})
	return name, err
}
