package jinja

import (
	"fmt"
	"slices"
	"strings"
)

type parser struct {
	tokens []token
	at     int
	lim    Limits
	size   int
	nodes  int
	depth  int
}

func (p *parser) wrong(format string, args ...any) error {
	at := p.size
	if p.at < len(p.tokens) {
		at = p.tokens[p.at].at
	}
	return fmt.Errorf("byte %d: "+format+": %w", append(append([]any{at}, args...), ErrSyntax)...)
}

// node makes a node that begins at the offset and ends before the next token.
func (p *parser) node(kind Kind, name string, at int, kids ...*Node) *Node {
	p.nodes++
	end := at
	if p.at > 0 {
		end = p.tokens[p.at-1].end
	}
	return &Node{Kind: kind, Name: name, Offset: at, End: max(at, end), Kids: kids}
}

// enter counts depth; the limits of depth and size are held here.
func (p *parser) enter() error {
	if p.depth++; p.depth > p.lim.Depth || p.nodes > p.lim.Nodes {
		return fmt.Errorf("deeper than %d, or more than %d nodes: %w", p.lim.Depth, p.lim.Nodes, ErrLimit)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) is(kind tokenKind, texts ...string) bool {
	return p.at < len(p.tokens) && p.tokens[p.at].kind == kind && (len(texts) == 0 || slices.Contains(texts, p.tokens[p.at].text))
}

func (p *parser) op(texts ...string) bool   { return p.is(tokenOperator, texts...) }
func (p *parser) word(texts ...string) bool { return p.is(tokenName, texts...) }

// skip takes the token if it is there.
func (p *parser) skip(kind tokenKind, text string) bool {
	if !p.is(kind, text) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(kind tokenKind, text string) error {
	if !p.skip(kind, text) {
		return p.wrong("%q is missing", text)
	}
	return nil
}

func (p *parser) here() int {
	if p.at < len(p.tokens) {
		return p.tokens[p.at].at
	}
	return p.size
}

func (p *parser) name() (string, error) {
	if !p.is(tokenName) {
		return "", p.wrong("a name is missing")
	}
	p.at++
	return p.tokens[p.at-1].text, nil
}

// peekWord is the name behind the opening of a block.
func (p *parser) peekWord() string {
	if p.at+1 < len(p.tokens) && p.tokens[p.at].kind == tokenBlock && p.tokens[p.at+1].kind == tokenName {
		return p.tokens[p.at+1].text
	}
	return ""
}

// expression reads a conditional expression.
func (p *parser) expression() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	at := p.here()
	n, err := p.or()
	for err == nil && p.skip(tokenName, "if") {
		var test, other *Node
		if test, err = p.or(); err != nil {
			break
		}
		other = p.node(Nothing, "", p.here())
		if p.skip(tokenName, "else") {
			other, err = p.expression()
		}
		n = p.node(Cond, "", at, n, test, other)
	}
	return n, err
}

// chain reads operands of the next level with operators between them. Those of
// one operator in a row become one node, so that a long chain is not deep.
func (p *parser) chain(next func() (*Node, error), kind tokenKind, ops ...string) (*Node, error) {
	at := p.here()
	n, err := next()
	last, turns := "", 0
	for err == nil && p.is(kind, ops...) {
		op := p.tokens[p.at].text
		p.at++
		var right *Node
		if right, err = next(); err != nil {
			break
		}
		if op == last {
			n.Kids = append(n.Kids, right)
			n.End = right.End
			continue
		}
		if turns++; turns > p.lim.Depth {
			return nil, fmt.Errorf("more than %d different operators in a row: %w", p.lim.Depth, ErrLimit)
		}
		n, last = p.node(Binary, op, at, n, right), op
	}
	return n, err
}

func (p *parser) or() (*Node, error)  { return p.chain(p.and, tokenName, "or") }
func (p *parser) and() (*Node, error) { return p.chain(p.not, tokenName, "and") }

func (p *parser) not() (*Node, error) {
	at := p.here()
	if !p.skip(tokenName, "not") {
		return p.compare()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n, err := p.not()
	if err != nil {
		return nil, err
	}
	return p.node(Unary, "not", at, n), nil
}

func (p *parser) compare() (*Node, error) {
	at := p.here()
	n, err := p.sum()
	for turns := 0; err == nil; turns++ {
		if turns > p.lim.Depth {
			return nil, fmt.Errorf("more than %d comparisons in a row: %w", p.lim.Depth, ErrLimit)
		}
		var op string
		switch {
		case p.op("==", "!=", "<", ">", "<=", ">="):
			op = p.tokens[p.at].text
			p.at++
		case p.skip(tokenName, "in"):
			op = "in"
		case p.word("not") && p.at+1 < len(p.tokens) && p.tokens[p.at+1].kind == tokenName && p.tokens[p.at+1].text == "in":
			op = "not in"
			p.at += 2
		default:
			return n, nil
		}
		var right *Node
		if right, err = p.sum(); err == nil {
			n = p.node(Binary, op, at, n, right)
		}
	}
	return n, err
}

func (p *parser) sum() (*Node, error)    { return p.chain(p.concat, tokenOperator, "+", "-") }
func (p *parser) concat() (*Node, error) { return p.chain(p.product, tokenOperator, "~") }
func (p *parser) product() (*Node, error) {
	return p.chain(p.power, tokenOperator, "*", "/", "//", "%")
}

func (p *parser) power() (*Node, error) {
	return p.chain(func() (*Node, error) { return p.unary(true) }, tokenOperator, "**")
}

func (p *parser) unary(filters bool) (*Node, error) {
	at := p.here()
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var n *Node
	var err error
	if p.op("-", "+") {
		op := p.tokens[p.at].text
		p.at++
		if n, err = p.unary(false); err == nil {
			n = p.node(Unary, op, at, n)
		}
	} else {
		n, err = p.primary()
	}
	if err == nil {
		n, err = p.postfix(n, at)
	}
	if err == nil && filters {
		n, err = p.filters(n, at)
	}
	return n, err
}

func (p *parser) primary() (*Node, error) {
	at := p.here()
	if p.at >= len(p.tokens) {
		return nil, p.wrong("an expression is missing")
	}
	t := p.tokens[p.at]
	leaf := func(kind Kind, name, value string) (*Node, error) {
		n := p.node(kind, name, at)
		n.Value = value
		return n, nil
	}
	switch t.kind {
	case tokenName:
		p.at++
		switch t.text {
		case "true", "True", "false", "False", "none", "None":
			return leaf(Const, "", t.text)
		}
		return leaf(Name, t.text, "")
	case tokenString:
		var text strings.Builder
		for p.is(tokenString) {
			text.WriteString(p.tokens[p.at].text)
			if len(text.String()) > p.lim.Bytes {
				return nil, fmt.Errorf("string of more than %d bytes: %w", p.lim.Bytes, ErrLimit)
			}
			p.at++
		}
		return leaf(Str, "", text.String())
	case tokenNumber:
		p.at++
		return leaf(Num, "", t.text)
	case tokenOperator:
		p.at++
		switch t.text {
		case "(":
			return p.bracket(at)
		case "[":
			return p.list(List, "]", at, p.expression)
		case "{":
			return p.list(Dict, "}", at, p.pair)
		}
		p.at--
	default: // a delimiter
	}
	return nil, p.wrong("unexpected %.40q", t.text)
}

// bracket reads an expression or tuple behind "(".
func (p *parser) bracket(at int) (*Node, error) {
	n, err := p.list(Tuple, ")", at, p.expression)
	if err == nil && len(n.Kids) == 1 && p.tokens[p.at-2].text != "," {
		return n.Kids[0], nil
	}
	return n, err
}

// list reads elements up to the closing bracket.
func (p *parser) list(kind Kind, end string, at int, element func() (*Node, error)) (*Node, error) {
	var kids []*Node
	for !p.op(end) {
		if len(kids) > 0 {
			if err := p.expect(tokenOperator, ","); err != nil {
				return nil, err
			}
			if p.op(end) {
				break
			}
		}
		n, err := element()
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	p.at++
	return p.node(kind, "", at, kids...), nil
}

func (p *parser) pair() (*Node, error) {
	at := p.here()
	key, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.expect(tokenOperator, ":"); err != nil {
		return nil, err
	}
	value, err := p.expression()
	if err != nil {
		return nil, err
	}
	return p.node(Pair, "", at, key, value), nil
}

// postfix reads attributes, elements and calls.
func (p *parser) postfix(n *Node, at int) (*Node, error) {
	for steps := 0; ; steps++ {
		// Each of them makes the tree one deeper, without recursion here.
		if steps > p.lim.Depth {
			return nil, fmt.Errorf("more than %d accesses in a row: %w", p.lim.Depth, ErrLimit)
		}
		switch {
		case p.skip(tokenOperator, "."):
			if p.is(tokenNumber) {
				index := p.node(Num, "", p.here())
				index.Value = p.tokens[p.at].text
				p.at++
				n = p.node(Item, "", at, n, index)
				continue
			}
			name, err := p.name()
			if err != nil {
				return nil, err
			}
			n = p.node(Attr, name, at, n)
		case p.skip(tokenOperator, "["):
			index, err := p.subscript()
			if err != nil {
				return nil, err
			}
			n = p.node(Item, "", at, n, index)
		case p.op("("):
			args, err := p.arguments()
			if err != nil {
				return nil, err
			}
			n = p.node(Call, "", at, append([]*Node{n}, args...)...)
		default:
			return n, nil
		}
	}
}

// subscript reads an index or a slice, up to "]".
func (p *parser) subscript() (*Node, error) {
	at := p.here()
	list, err := p.list(Tuple, "]", at, p.slice)
	if err != nil {
		return nil, err
	}
	switch len(list.Kids) {
	case 0:
		return nil, p.wrong("an index is missing")
	case 1:
		return list.Kids[0], nil
	}
	return list, nil
}

func (p *parser) slice() (*Node, error) {
	at := p.here()
	var kids []*Node
	colons := 0
	for {
		if p.op(":", ",", "]") {
			kids = append(kids, p.node(Nothing, "", p.here()))
		} else {
			n, err := p.expression()
			if err != nil {
				return nil, err
			}
			kids = append(kids, n)
		}
		if colons < 2 && p.skip(tokenOperator, ":") {
			colons++
			continue
		}
		break
	}
	if colons == 0 {
		if kids[0].Kind == Nothing {
			return nil, p.wrong("an index is missing")
		}
		return kids[0], nil
	}
	return p.node(Slice, "", at, kids...), nil
}

// arguments reads the arguments of a call, with its brackets.
func (p *parser) arguments() ([]*Node, error) {
	p.at++
	n, err := p.list(Tuple, ")", p.here(), p.argument)
	if err != nil {
		return nil, err
	}
	return n.Kids, nil
}

func (p *parser) argument() (*Node, error) {
	at := p.here()
	if p.op("*", "**") {
		op := p.tokens[p.at].text
		p.at++
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		return p.node(Star, op, at, n), nil
	}
	if p.is(tokenName) && p.at+1 < len(p.tokens) && p.tokens[p.at+1].kind == tokenOperator && p.tokens[p.at+1].text == "=" {
		name := p.tokens[p.at].text
		p.at += 2
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		return p.node(Keyword, name, at, n), nil
	}
	return p.expression()
}

// filters reads filters and tests.
func (p *parser) filters(n *Node, at int) (*Node, error) {
	for steps := 0; ; steps++ {
		if steps > p.lim.Depth {
			return nil, fmt.Errorf("more than %d filters in a row: %w", p.lim.Depth, ErrLimit)
		}
		var err error
		switch {
		case p.skip(tokenOperator, "|"):
			n, err = p.filter(n, at)
		case p.skip(tokenName, "is"):
			n, err = p.test(n, at)
		case p.op("("):
			var args []*Node
			if args, err = p.arguments(); err == nil {
				n = p.node(Call, "", at, append([]*Node{n}, args...)...)
			}
		default:
			return n, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) dotted() (string, error) {
	name, err := p.name()
	for err == nil && p.skip(tokenOperator, ".") {
		var more string
		more, err = p.name()
		name += "." + more
	}
	return name, err
}

func (p *parser) filter(n *Node, at int) (*Node, error) {
	name, err := p.dotted()
	if err != nil {
		return nil, err
	}
	kids := []*Node{n}
	if p.op("(") {
		args, err := p.arguments()
		if err != nil {
			return nil, err
		}
		kids = append(kids, args...)
	}
	return p.node(Filter, name, at, kids...), nil
}

func (p *parser) test(n *Node, at int) (*Node, error) {
	negated := p.skip(tokenName, "not")
	name, err := p.dotted()
	if err != nil {
		return nil, err
	}
	kids := []*Node{n}
	switch {
	case p.op("("):
		args, err := p.arguments()
		if err != nil {
			return nil, err
		}
		kids = append(kids, args...)
	case p.is(tokenString), p.is(tokenNumber), p.op("[", "{"), p.is(tokenName) && !p.word("else", "or", "and", "is", "if", "in", "not", "recursive"):
		start := p.here()
		arg, err := p.primary()
		if err == nil {
			arg, err = p.postfix(arg, start)
		}
		if err != nil {
			return nil, err
		}
		kids = append(kids, arg)
	}
	t := p.node(Test, name, at, kids...)
	if negated {
		return p.node(Unary, "not", at, t), nil
	}
	return t, nil
}
