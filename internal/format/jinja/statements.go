package jinja

import (
	"slices"
	"strings"
)

// body reads statements up to the end, or to a block that begins with "end",
// "else" or "elif", which is for the caller.
func (p *parser) body() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	at := p.here()
	var kids []*Node
	for p.at < len(p.tokens) {
		t := p.tokens[p.at]
		var n *Node
		var err error
		switch t.kind {
		case tokenText:
			p.at++
			n = p.node(Text, "", t.at)
			n.Value = t.text
		case tokenOutput:
			p.at++
			n, err = p.output(t.at)
		case tokenBlock:
			word := p.peekWord()
			if strings.HasPrefix(word, "end") || word == "else" || word == "elif" {
				return p.node(Body, "", at, kids...), nil
			}
			p.at++
			n, err = p.statement(t.at)
		default:
			err = p.wrong("unexpected %.40q", t.text)
		}
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	return p.node(Body, "", at, kids...), nil
}

func (p *parser) output(at int) (*Node, error) {
	n, err := p.tuple()
	if err != nil {
		return nil, err
	}
	if err := p.expect(tokenOutputEnd, ""); err != nil {
		return nil, err
	}
	return p.node(Output, "", at, n), nil
}

// tuple reads an expression, or several with commas between them.
func (p *parser) tuple() (*Node, error) {
	at := p.here()
	n, err := p.expression()
	if err != nil || !p.op(",") {
		return n, err
	}
	kids := []*Node{n}
	for p.skip(tokenOperator, ",") {
		if p.is(tokenBlockEnd) || p.is(tokenOutputEnd) || p.op("=", ")") || p.word("in") {
			break
		}
		if n, err = p.expression(); err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	return p.node(Tuple, "", at, kids...), nil
}

// target reads what is assigned to.
func (p *parser) target() (*Node, error) {
	at := p.here()
	var kids []*Node
	for {
		n, err := p.oneTarget()
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
		if !p.skip(tokenOperator, ",") || p.word("in") || p.op("=") {
			break
		}
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return p.node(Tuple, "", at, kids...), nil
}

func (p *parser) oneTarget() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	at := p.here()
	if p.skip(tokenOperator, "(") {
		n, err := p.target()
		if err != nil {
			return nil, err
		}
		return n, p.expect(tokenOperator, ")")
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	n := p.node(Name, name, at)
	for p.skip(tokenOperator, ".") {
		if name, err = p.name(); err != nil {
			return nil, err
		}
		n = p.node(Attr, name, at, n)
	}
	return n, nil
}

// statement reads a block behind its opening.
func (p *parser) statement(at int) (*Node, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	switch name {
	case "if":
		return p.ifBlock(at)
	case "for":
		return p.forBlock(at)
	case "set":
		return p.set(at)
	case "macro":
		return p.macro(at)
	case "call":
		return p.callBlock(at)
	case "filter":
		return p.filterBlock(at)
	case "block", "generation", "autoescape":
		return p.block(at, name)
	case "with":
		return p.with(at)
	case "import", "include", "from", "extends":
		return p.load(at, name)
	case "do", "print":
		n, err := p.tuple()
		if err != nil {
			return nil, err
		}
		if name == "print" {
			n = p.node(Output, "", at, n)
		} else {
			n = p.node(Do, "", at, n)
		}
		return n, p.shut()
	case "break", "continue":
		return p.node(Jump, name, at), p.shut()
	}
	p.at--
	return nil, p.wrong("unknown statement %.40q", name)
}

// shut takes the end of a block's opening.
func (p *parser) shut() error { return p.expect(tokenBlockEnd, "") }

// end reads a Body and the block that ends it.
func (p *parser) end(words ...string) (*Node, string, error) {
	n, err := p.body()
	if err != nil {
		return nil, "", err
	}
	word := p.peekWord()
	if !slices.Contains(words, word) {
		return nil, "", p.wrong("%q is missing", words[0])
	}
	p.at += 2
	return n, word, nil
}

func (p *parser) ifBlock(at int) (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	test, err := p.tuple()
	if err == nil {
		err = p.shut()
	}
	if err != nil {
		return nil, err
	}
	body, word, err := p.end("endif", "else", "elif")
	if err != nil {
		return nil, err
	}
	kids := []*Node{test, body}
	switch word {
	case "elif":
		other, err := p.ifBlock(p.here())
		if err != nil {
			return nil, err
		}
		return p.node(If, "", at, append(kids, p.node(Body, "", other.Offset, other))...), nil
	case "else":
		if err := p.shut(); err != nil {
			return nil, err
		}
		other, _, err := p.end("endif")
		if err != nil {
			return nil, err
		}
		kids = append(kids, other)
	}
	return p.node(If, "", at, kids...), p.shut()
}

func (p *parser) forBlock(at int) (*Node, error) {
	target, err := p.target()
	if err != nil {
		return nil, err
	}
	if err := p.expect(tokenName, "in"); err != nil {
		return nil, err
	}
	// "if" begins the filter here, not a conditional expression.
	iterable, err := p.iterable()
	if err != nil {
		return nil, err
	}
	kids := []*Node{target, iterable}
	var filter *Node
	if p.skip(tokenName, "if") {
		if filter, err = p.expression(); err != nil {
			return nil, err
		}
	}
	p.skip(tokenName, "recursive")
	if err := p.shut(); err != nil {
		return nil, err
	}
	body, word, err := p.end("endfor", "else")
	if err != nil {
		return nil, err
	}
	other := p.node(Body, "", p.here())
	if word == "else" {
		if err := p.shut(); err != nil {
			return nil, err
		}
		if other, _, err = p.end("endfor"); err != nil {
			return nil, err
		}
	}
	kids = append(kids, body, other)
	if filter != nil {
		kids = append(kids, filter)
	}
	return p.node(For, "", at, kids...), p.shut()
}

func (p *parser) iterable() (*Node, error) {
	at := p.here()
	n, err := p.or()
	if err != nil || !p.op(",") {
		return n, err
	}
	kids := []*Node{n}
	for p.skip(tokenOperator, ",") {
		if n, err = p.or(); err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	return p.node(Tuple, "", at, kids...), nil
}

func (p *parser) set(at int) (*Node, error) {
	target, err := p.target()
	if err != nil {
		return nil, err
	}
	if p.skip(tokenOperator, "=") {
		value, err := p.tuple()
		if err != nil {
			return nil, err
		}
		return p.node(Set, "", at, target, value), p.shut()
	}
	kids := []*Node{target}
	if p.op("|") {
		filters, err := p.filters(p.node(Nothing, "", p.here()), p.here())
		if err != nil {
			return nil, err
		}
		kids = append(kids, filters)
	}
	if err := p.shut(); err != nil {
		return nil, err
	}
	body, _, err := p.end("endset")
	if err != nil {
		return nil, err
	}
	return p.node(SetBlock, "", at, append(kids, body)...), p.shut()
}

// parameters reads those of a macro, with brackets.
func (p *parser) parameters() (*Node, error) {
	at := p.here()
	if err := p.expect(tokenOperator, "("); err != nil {
		return nil, err
	}
	return p.list(List, ")", at, func() (*Node, error) {
		at := p.here()
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		n := p.node(Keyword, name, at)
		if p.skip(tokenOperator, "=") {
			value, err := p.expression()
			if err != nil {
				return nil, err
			}
			n.Kids = append(n.Kids, value)
		}
		return n, nil
	})
}

// closing reads the body of a block, its end and what may stand there.
func (p *parser) closing(name string) (*Node, error) {
	if err := p.shut(); err != nil {
		return nil, err
	}
	body, _, err := p.end("end" + name)
	if err != nil {
		return nil, err
	}
	if p.is(tokenName) { // the name of the block once more
		p.at++
	}
	return body, p.shut()
}

func (p *parser) macro(at int) (*Node, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	parameters, err := p.parameters()
	if err != nil {
		return nil, err
	}
	body, err := p.closing("macro")
	if err != nil {
		return nil, err
	}
	return p.node(Macro, name, at, parameters, body), nil
}

func (p *parser) callBlock(at int) (*Node, error) {
	parameters := p.node(List, "", p.here())
	var err error
	if p.op("(") {
		if parameters, err = p.parameters(); err != nil {
			return nil, err
		}
	}
	call, err := p.expression()
	if err != nil {
		return nil, err
	}
	body, err := p.closing("call")
	if err != nil {
		return nil, err
	}
	return p.node(CallBlock, "", at, parameters, call, body), nil
}

func (p *parser) filterBlock(at int) (*Node, error) {
	start := p.here()
	n, err := p.filter(p.node(Nothing, "", start), start)
	if err == nil {
		n, err = p.filters(n, start)
	}
	if err != nil {
		return nil, err
	}
	body, err := p.closing("filter")
	if err != nil {
		return nil, err
	}
	return p.node(FilterBlock, "", at, n, body), nil
}

// block reads blocks that only hold others.
func (p *parser) block(at int, kind string) (*Node, error) {
	name := ""
	var kids []*Node
	switch kind {
	case "block":
		var err error
		if name, err = p.name(); err != nil {
			return nil, err
		}
		for p.word("scoped", "required") {
			p.at++
		}
	case "autoescape":
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	body, err := p.closing(kind)
	if err != nil {
		return nil, err
	}
	return p.node(Block, name, at, append(kids, body)...), nil
}

func (p *parser) with(at int) (*Node, error) {
	var kids []*Node
	for !p.is(tokenBlockEnd) {
		if len(kids) > 0 {
			if err := p.expect(tokenOperator, ","); err != nil {
				return nil, err
			}
		}
		start := p.here()
		target, err := p.oneTarget()
		if err == nil {
			err = p.expect(tokenOperator, "=")
		}
		if err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		kids = append(kids, p.node(Set, "", start, target, value))
	}
	body, err := p.closing("with")
	if err != nil {
		return nil, err
	}
	return p.node(With, "", at, append(kids, body)...), nil
}

// load reads what takes another template. What stands behind the name does
// not matter: nothing of it is allowed.
func (p *parser) load(at int, kind string) (*Node, error) {
	n, err := p.expression()
	if err != nil {
		return nil, err
	}
	for p.at < len(p.tokens) && !p.is(tokenBlockEnd) {
		p.at++
	}
	return p.node(Load, kind, at, n), p.shut()
}
