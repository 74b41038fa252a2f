package numpy

import (
	"fmt"
	"strconv"
	"strings"
)

// The values of a literal, beside string, int64, bool and nil.
type (
	dict  map[string]any
	list  []any
	tuple []any
)

// maxDepth is how deep a literal may be nested.
const maxDepth = 20

// parser reads a Python literal: strings, whole numbers, True, False, None,
// tuples, lists and dictionaries. Everything else is refused, calls foremost.
type parser struct {
	text string
	at   int
}

func (p *parser) fail(what string) error {
	return fmt.Errorf("header: %s at %d: %w", what, p.at, ErrMalformed)
}

func (p *parser) next() byte {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, p.fail("nested too deep")
	}
	switch c := p.next(); {
	case c == '{':
		return p.dict(depth)
	case c == '(':
		items, commas, err := p.items(')', depth)
		if err == nil && len(items) == 1 && commas == 0 {
			return items[0], nil
		}
		return tuple(items), err
	case c == '[':
		items, _, err := p.items(']', depth)
		return list(items), err
	case c == '\'' || c == '"':
		return p.str()
	case c >= '0' && c <= '9' || c == '-':
		return p.number()
	}
	for word, v := range map[string]any{"True": true, "False": false, "None": nil} {
		if strings.HasPrefix(p.text[p.at:], word) {
			p.at += len(word)
			return v, nil
		}
	}
	return nil, p.fail("no literal")
}

// items reads up to the closing bracket and counts commas.
func (p *parser) items(end byte, depth int) (items []any, commas int, err error) {
	p.at++
	for p.next() != end {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, 0, err
		}
		items = append(items, v)
		if p.next() == ',' {
			p.at++
			commas++
		} else if p.next() != end {
			return nil, 0, p.fail("no comma")
		}
	}
	p.at++
	return items, commas, nil
}

func (p *parser) dict(depth int) (dict, error) {
	p.at++
	d := dict{}
	for p.next() != '}' {
		if c := p.next(); c != '\'' && c != '"' {
			return nil, p.fail("a key that is no string")
		}
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		if _, twice := d[key]; twice {
			return nil, p.fail("a key given twice")
		}
		if p.next() != ':' {
			return nil, p.fail("no colon")
		}
		p.at++
		if d[key], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		if p.next() == ',' {
			p.at++
		} else if p.next() != '}' {
			return nil, p.fail("no comma")
		}
	}
	p.at++
	return d, nil
}

// str reads a string without escapes; numpy writes none for plain names, and
// with one the bytes are kept as they are.
func (p *parser) str() (string, error) {
	quote := p.text[p.at]
	p.at++
	start := p.at
	for p.at < len(p.text) && p.text[p.at] != quote {
		if p.text[p.at] == '\\' {
			p.at++
		}
		p.at++
	}
	if p.at >= len(p.text) {
		return "", p.fail("a string without end")
	}
	p.at++
	return p.text[start : p.at-1], nil
}

func (p *parser) number() (int64, error) {
	start := p.at
	p.at++
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	n, err := strconv.ParseInt(p.text[start:p.at], 10, 64)
	if err != nil {
		return 0, p.fail("no number")
	}
	if p.at < len(p.text) && p.text[p.at] == 'L' { // Python 2
		p.at++
	}
	return n, nil
}
