// Package onnx reads the structure of ONNX models: graphs with their nodes,
// functions, and every tensor wherever one may stand (initializers, sparse ones,
// attributes, graphs in attributes, functions, training). Numbers are skipped,
// so that a model of any size costs only its structure. What the schema does
// not know is named as [Trouble], and so are tensors that contradict
// themselves. It opens no external data and knows no operators.
package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

// Why a model is refused. Each error of [Read] that is not one of reading
// wraps one.
var (
	// ErrMalformed means that it is no ONNX model, or ends early.
	ErrMalformed = errors.New("malformed onnx")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the onnx reader")
)

// Limits bound what is kept. A zero field has its default.
type Limits struct {
	// Nodes is how many there may be, with those of functions: 250 000.
	Nodes int
	// Tensors is how many there may be: 250 000.
	Tensors int
	// Depth is how many graphs may be in graphs: 64.
	Depth int
	// Text is how many bytes of names are kept: 32 MiB.
	Text int64
}

func (l Limits) filled() Limits {
	return Limits{
		Nodes: cmp.Or(l.Nodes, 250_000), Tensors: cmp.Or(l.Tensors, 250_000), Depth: cmp.Or(l.Depth, 64), Text: cmp.Or(l.Text, 32<<20),
	}
}

// Model is the structure of a model.
type Model struct {
	IRVersion uint64
	Producer  string
	// Opsets are the domains of operators that the model imports, with their
	// versions.
	Opsets []Opset
	// Graph is the model's graph, Training those of training.
	Graph     *Graph
	Training  []*Graph
	Functions []*Function
	// Tensors are all tensors, in the order of the file.
	Tensors  []*Tensor
	Troubles []Trouble
	// More is how many troubles are not in the list.
	More int
}

// Opset is an imported set of operators.
type Opset struct {
	Domain  string
	Version uint64
}

// Graph is a graph, of the model or in an attribute.
type Graph struct {
	Name            string
	Nodes           []*Node
	Inputs, Outputs []string
	// Initializers are the names of its constants.
	Initializers []string
	Offset       int64
}

// Function is a function that the model defines.
type Function struct {
	Graph
	Domain, Overload string
}

// Node is one call of an operator or function.
type Node struct {
	Name, Op, Domain, Overload string
	Inputs, Outputs            []string
	// Graphs are those in its attributes, by the name of the attribute.
	Graphs []Branch
	// Offset is where it stands, Where the graphs around it.
	Offset int64
	Where  string
}

// Branch is a graph in an attribute.
type Branch struct {
	Attribute string
	Graph     *Graph
}

// Tensor is one tensor.
type Tensor struct {
	Name  string
	Where string
	Type  DataType
	Shape []int64
	// Offset and Length are where its raw bytes are, Length -1 when it has
	// none of them.
	Offset, Length int64
	// Bytes is what type and shape make, -1 when that is not known.
	Bytes int64
	// External are the entries that say where its bytes are, outside of the
	// file.
	External []Pair
	// Elsewhere says that a reader takes the bytes from there.
	Elsewhere bool
	// Described is where it stands.
	Described int64
}

// Pair is a key and its value.
type Pair struct {
	Key, Value string
	Offset     int64
}

// Trouble is something that is not understood, or that contradicts itself.
type Trouble struct {
	Kind   TroubleKind
	Offset int64
	// Where are the graphs around it, Name what it is about.
	Where, Name, Text string
}

// TroubleKind says what sort of trouble it is.
type TroubleKind uint8

// The kinds of trouble.
const (
	// Unknown is a field or a type that this reader does not know.
	Unknown TroubleKind = iota + 1
	// Shape is a tensor whose shape, type and data contradict each other.
	Shape
	// Deep means graphs in graphs beyond the limit, which were not read.
	Deep
	// Twice is something given twice that there is only one of.
	Twice
)

const maxTroubles = 100

func (m *Model) trouble(t Trouble, format string, args ...any) {
	if len(m.Troubles) >= maxTroubles {
		m.More++
		return
	}
	t.Text = fmt.Sprintf(format, args...)
	m.Troubles = append(m.Troubles, t)
}

// Read reads the structure of a model of that size.
func Read(data io.ReaderAt, size int64, lim Limits) (*Model, error) {
	lim = lim.filled()
	r := &reader{Model: &Model{}, s: protobuf.New(data, size, protobuf.Limits{}), lim: lim, nodes: lim.Nodes, text: lim.Text}
	err := r.model()
	switch {
	case errors.Is(err, protobuf.ErrMalformed):
		return nil, fmt.Errorf("%w: %w", err, ErrMalformed)
	case errors.Is(err, protobuf.ErrLimit):
		return nil, fmt.Errorf("%w: %w", err, ErrLimit)
	case err != nil:
		return nil, err
	}
	return r.Model, nil
}
