// Package tensorflow reads the structure of TensorFlow models: SavedModels,
// MetaGraphs and GraphDefs with their nodes, those of the function library
// included, the text constants that nodes have, and what the description says
// about assets, savers and objects. Numbers are skipped. What the schema does
// not know is named. It knows no operators and opens no other file.
package tensorflow

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
	// ErrMalformed means that it is no such model, or ends early.
	ErrMalformed = errors.New("malformed tensorflow model")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the tensorflow reader")
)

// Limits bound what is kept. A zero field has its default.
type Limits struct {
	// Nodes is how many there may be, with those of functions: 400 000.
	Nodes int
	// Text is how many bytes of names and constants are kept: 32 MiB.
	Text int64
}

func (l Limits) filled() Limits {
	return Limits{Nodes: cmp.Or(l.Nodes, 400_000), Text: cmp.Or(l.Text, 32<<20)}
}

// Kind is which of the messages a file is.
type Kind uint8

// The kinds of file.
const (
	SavedModel Kind = iota + 1
	MetaGraph
	GraphDef
	// KerasMetadata is what Keras writes beside a SavedModel about its layers,
	// Fingerprint are hashes of its parts.
	KerasMetadata
	Fingerprint
)

// Model is the structure of a model.
type Model struct {
	// Graphs are those of the model, each followed by its functions.
	Graphs []*Graph
	Assets []Asset
	// Objects are what the description says in JSON about the objects that
	// were saved, such as the layers of Keras.
	Objects []Object
	// Unknown are fields that the schema does not know; at most a hundred of
	// them.
	Unknown []Unknown
}

// Graph is a graph or the body of a function.
type Graph struct {
	// Function is the name of the function, empty for the graph itself.
	Function string
	Nodes    []*Node
}

// Node is one call of an operator or function.
type Node struct {
	Name, Op string
	Inputs   []string
	// Texts are the attributes that are text or hold some.
	Texts  []Text
	Offset int64
}

// Text is the text in an attribute.
type Text struct {
	Attribute string
	// Values are cut to [MaxText] bytes each; at most [MaxTexts] are kept.
	Values []string
}

// How much text of one attribute is kept.
const (
	MaxText  = 4096
	MaxTexts = 64
)

// Asset is a file that belongs to the model.
type Asset struct {
	// Tensor is the name of the node that gets its path when the model is
	// loaded.
	Tensor, File string
	Offset       int64
}

// Object is a saved object.
type Object struct {
	Identifier string
	// Offset and Length are where its description in JSON is.
	Offset, Length int64
}

// Unknown is a field that the schema does not know.
type Unknown struct {
	Offset int64
	Text   string
}

const maxUnknown = 100

// Read reads the structure of a file of that kind and size.
func Read(data io.ReaderAt, size int64, kind Kind, lim Limits) (*Model, error) {
	lim = lim.filled()
	r := &reader{Model: &Model{}, s: protobuf.New(data, size, protobuf.Limits{}), nodes: lim.Nodes, text: lim.Text}
	var err error
	switch kind {
	case SavedModel:
		err = r.savedModel(r.s.Root())
	case MetaGraph:
		err = r.metaGraph(r.s.Root())
	case KerasMetadata:
		err = r.kerasMetadata(r.s.Root())
	case Fingerprint:
		err = r.each(r.s.Root(), fingerprintMessage, func(protobuf.Field) error { return nil })
	default:
		err = r.graph(r.s.Root())
	}
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
