// Package jinja parses templates of Jinja2 into a tree: the language of version
// 3 with the extensions that chat templates use (do, break, continue,
// generation). Line statements are off, as they are for chat templates.
//
// Nothing is rendered. Strings have their escapes resolved, so that a name
// spelt with them is the name that the engine sees. What the grammar does not
// have is refused, since engines differ there.
package jinja

import (
	"cmp"
	"errors"
	"fmt"
)

// Why a template cannot be read. Every error of [Parse] wraps one.
var (
	// ErrSyntax means that the text is no template that is understood here.
	ErrSyntax = errors.New("syntax of the template")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the template reader")
)

// Limits bound parsing. A zero field has its default.
type Limits struct {
	// Bytes is the size of the text: 1 MiB.
	Bytes int
	// Nodes is the size of the tree: 500 000.
	Nodes int
	// Depth is how deep the tree may be: 200.
	Depth int
}

// Kind is the kind of a node.
type Kind uint8

// Statements, and what they hold in [Node.Kids].
const (
	// Body is a list of statements.
	Body Kind = iota + 1
	// Text is output as it stands: Value.
	Text
	// Output is an expression whose value is output.
	Output
	// If has a condition, a Body and, with else, another.
	If
	// For has a target, an iterable, a Body, one for else or an empty one and,
	// with a filter, a condition.
	For
	// Set has a target and an expression.
	Set
	// SetBlock has a target and a Body.
	SetBlock
	// Macro has its name in Name, a List of parameters and a Body.
	Macro
	// CallBlock has a List of parameters, a call and a Body.
	CallBlock
	// FilterBlock has an expression of filters over nothing, and a Body.
	FilterBlock
	// Block has its name in Name and a Body, With Keywords and a Body.
	Block
	With
	// Load is an import, include, from or extends, as Name says, with the
	// expression of what is loaded.
	Load
	// Do has an expression.
	Do
	// Jump is break or continue, as Name says.
	Jump
)

// Expressions, and what they hold in [Node.Kids].
const (
	// Name is a variable.
	Name Kind = iota + 64
	// Str is a string, Num a number and Const true, false or none: Value.
	Str
	Num
	Const
	// Attr is the attribute Name of an expression, Item an element by an
	// expression, which may be a Slice of up to three.
	Attr
	Item
	Slice
	// Call has what is called, then arguments, some of them Keyword.
	Call
	// Keyword is an argument with a name, Star one that is unpacked.
	Keyword
	Star
	// Filter and Test have what they apply to, then arguments.
	Filter
	Test
	// Binary has two expressions, or more for comparisons; Unary has one. Name
	// is the operator.
	Binary
	Unary
	// Cond is "a if b else c", with a, b and c, in this order.
	Cond
	// List, Tuple and Dict have their elements; those of Dict are Pairs.
	List
	Tuple
	Dict
	Pair
	// Nothing stands for what is left out.
	Nothing
)

// Node is a node of the tree.
type Node struct {
	Kind Kind
	// Name is an identifier or operator, Value a text.
	Name, Value string
	// Offset and End are where it stands in the text.
	Offset, End int
	Kids        []*Node
}

// Walk calls visit for the node and what is below it, outer ones first, while
// visit returns true.
func (n *Node) Walk(visit func(*Node) bool) {
	if n == nil || !visit(n) {
		return
	}
	for _, k := range n.Kids {
		k.Walk(visit)
	}
}

// Parse parses a template.
func Parse(text string, lim Limits) (*Node, error) {
	lim = Limits{cmp.Or(lim.Bytes, 1<<20), cmp.Or(lim.Nodes, 500_000), cmp.Or(lim.Depth, 200)}
	if len(text) > lim.Bytes {
		return nil, fmt.Errorf("template of %d bytes: %w", len(text), ErrLimit)
	}
	tokens, err := lex(text, lim)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, lim: lim, size: len(text)}
	body, err := p.body()
	if err == nil && p.at < len(p.tokens) {
		err = p.wrong("nothing is open that %q could end", p.peekWord())
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}
