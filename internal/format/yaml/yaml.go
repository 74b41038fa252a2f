// Package yaml reads YAML as scalars and tags with their places. Nothing is constructed, and aliases are not followed: what an anchor
// holds is told once, where it stands.
//
// The grammar is that of go.yaml.in/yaml, which is not that of every reader:
// what it refuses is not understood.
package yaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Why a text cannot be read. Every error of [Walk] that is not one of reading
// or of the handler wraps one.
var (
	// ErrMalformed means that the text is no YAML that is understood here.
	ErrMalformed = errors.New("malformed YAML")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the YAML reader")
)

// Limits bound reading. A zero field has its default.
type Limits struct {
	// Bytes is the size of the text: 4 MiB. It is held in memory, as a tree.
	Bytes int64
	// Nodes is the number of values: 300 000.
	Nodes int
	// Depth is how deep they may be nested: 100.
	Depth int
}

// Node is a scalar, or a mapping or sequence without what is inside.
type Node struct {
	// Path is written as a.b[3].c, Key is the last key in it.
	Path, Key string
	// Tag is the tag that the text gives, in its short form, or "".
	Tag string
	// Scalar says that Value is a scalar's text.
	Scalar bool
	Value  string
	// Offset is where it begins.
	Offset int64
}

// Handler takes what is in a text. An error of it ends reading.
type Handler interface {
	// Value is called for each node, outer ones first.
	Value(n Node) error
	// Twice is called for a key that its mapping has already.
	Twice(n Node) error
}

// Walk reads all documents of the text.
func Walk(r io.Reader, lim Limits, h Handler) (err error) {
	lim = Limits{cmp.Or(lim.Bytes, 4<<20), cmp.Or(lim.Nodes, 300_000), cmp.Or(lim.Depth, 100)}
	text, err := io.ReadAll(io.LimitReader(r, lim.Bytes+1))
	if err != nil {
		return fmt.Errorf("read YAML: %w", err)
	}
	if int64(len(text)) > lim.Bytes {
		return fmt.Errorf("more than %d bytes: %w", lim.Bytes, ErrLimit)
	}
	w := &walker{lim: lim, h: h, lines: lines(text)}
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		err := decode(d, &document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.walk(&document); err != nil {
			return err
		}
	}
}

// decode reads one document. The library panics on some texts.
func decode(d *yaml.Decoder, into *yaml.Node) (err error) {
	defer func() {
		if broke := recover(); broke != nil {
			err = fmt.Errorf("%.200v: %w", broke, ErrMalformed)
		}
	}()
	err = d.Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%.200s: %w", err.Error(), ErrMalformed)
	}
	return err
}

// lines returns where each line begins.
func lines(text []byte) []int64 {
	starts := []int64{0}
	for n, c := range text {
		if c == '\n' {
			starts = append(starts, int64(n)+1)
		}
	}
	return starts
}

type walker struct {
	lim   Limits
	h     Handler
	lines []int64
	nodes int
}

func (w *walker) offset(n *yaml.Node) int64 {
	if n.Line < 1 || n.Line > len(w.lines) {
		return 0
	}
	return w.lines[n.Line-1] + int64(max(0, n.Column-1))
}

// core are the tags of the YAML types themselves.
var core = map[string]bool{
	"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true, "!!map": true, "!!seq": true, "!!set": true, "!!omap": true,
	"!!pairs": true, "!!binary": true, "!!timestamp": true, "!!merge": true, "!": true, "": true,
}

// tag is the tag of a node, when it is none of YAML itself.
func tag(n *yaml.Node) string {
	short := n.ShortTag()
	if core[short] {
		return ""
	}
	return short
}

// item is a node that is still to be told.
type item struct {
	node  *yaml.Node
	path  string
	key   string
	depth int
}

func (w *walker) walk(document *yaml.Node) error {
	todo := []item{{node: document}}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if w.nodes++; w.nodes > w.lim.Nodes {
			return fmt.Errorf("more than %d values: %w", w.lim.Nodes, ErrLimit)
		}
		if next.depth > w.lim.Depth {
			return fmt.Errorf("nested deeper than %d: %w", w.lim.Depth, ErrLimit)
		}
		n := Node{Path: next.path, Key: next.key, Tag: tag(next.node), Offset: w.offset(next.node)}
		if next.node.Kind == yaml.ScalarNode {
			n.Scalar, n.Value = true, next.node.Value
		}
		if next.node.Kind != yaml.DocumentNode && next.node.Kind != yaml.AliasNode {
			if err := w.h.Value(n); err != nil {
				return err
			}
		}
		more, err := w.inside(next)
		if err != nil {
			return err
		}
		todo = append(todo, more...)
	}
	return nil
}

// inside returns what a node holds, last first.
func (w *walker) inside(of item) (items []item, err error) {
	depth := of.depth + 1
	switch of.node.Kind {
	case yaml.DocumentNode:
		depth = of.depth
		for _, n := range of.node.Content {
			items = append(items, item{node: n, depth: depth})
		}
	case yaml.SequenceNode:
		for i, v := range slices.Backward(of.node.Content) {
			items = append(items, item{node: v, path: of.path + "[" + strconv.Itoa(i) + "]", key: of.key, depth: depth})
		}
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := len(of.node.Content) - 2; i >= 0; i -= 2 {
			key, value := of.node.Content[i], of.node.Content[i+1]
			name := cut(key.Value)
			if key.Kind == yaml.ScalarNode && key.Value != "<<" && seen[key.Value] {
				err = errors.Join(err, w.h.Twice(Node{Path: join(of.path, name), Key: key.Value, Offset: w.offset(key)}))
			}
			seen[key.Value] = true
			items = append(items, item{node: value, path: join(of.path, name), key: key.Value, depth: depth})
			if key.Kind != yaml.ScalarNode || tag(key) != "" {
				items = append(items, item{node: key, path: join(of.path, "(key)"), depth: depth})
			}
		}
	case yaml.AliasNode, yaml.ScalarNode, yaml.StreamNode:
	default:
	}
	return items, err
}

func cut(key string) string {
	if len(key) > 60 {
		return strings.ToValidUTF8(key[:60], "")
	}
	return key
}

// join appends a key to a path. Paths that are too long for people lose their
// front.
func join(path, key string) string {
	const most = 400
	if path != "" {
		key = path + "." + key
	}
	if len(key) > most {
		return "…" + key[len(key)-most:]
	}
	return key
}
