package jsontoken

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes are those of one letter.
var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// str reads a string whose quote is next.
func (r *Reader) str() (string, error) {
	r.drop()
	r.text = r.text[:0]
	plain := true
	for {
		c, err := r.peek()
		if err != nil {
			return "", r.broken(err)
		}
		switch {
		case c == '"':
			r.drop()
			if !plain && !utf8.Valid(r.text) {
				return "", r.fail("a string that is not UTF-8")
			}
			return string(r.text), nil
		case c < ' ':
			return "", r.fail("a control character in a string")
		case len(r.text) >= r.lim.String:
			return "", fmt.Errorf("string of more than %d bytes at %d: %w", r.lim.String, r.at, ErrLimit)
		case c == '\\':
			if err := r.escape(); err != nil {
				return "", err
			}
		default:
			plain = plain && c < utf8.RuneSelf
			r.text = append(r.text, c)
			r.drop()
		}
	}
}

func (r *Reader) broken(err error) error {
	return fmt.Errorf("string without end at %d: %w: %w", r.at, err, ErrMalformed)
}

// escape reads a backslash and what it escapes. A half of a surrogate pair is
// refused: readers disagree about it.
func (r *Reader) escape() error {
	r.drop()
	c, err := r.peek()
	if err != nil {
		return r.broken(err)
	}
	r.drop()
	if plain, ok := escapes[c]; ok {
		r.text = append(r.text, plain)
		return nil
	}
	if c != 'u' {
		return r.fail("unknown escape")
	}
	unit, err := r.unit()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(unit) {
		b, _ := r.r.Peek(2)
		if string(b) != `\u` {
			return r.fail("half of a surrogate pair")
		}
		r.drop()
		r.drop()
		second, err := r.unit()
		if err != nil {
			return err
		}
		if unit = utf16.DecodeRune(unit, second); unit == utf8.RuneError {
			return r.fail("half of a surrogate pair")
		}
	}
	r.text = utf8.AppendRune(r.text, unit)
	return nil
}

// unit reads four hexadecimal digits.
func (r *Reader) unit() (rune, error) {
	b, err := r.r.Peek(4)
	if len(b) < 4 {
		return 0, r.broken(err)
	}
	n, err := strconv.ParseUint(string(b), 16, 16)
	if err != nil {
		return 0, r.fail("no hexadecimal digits")
	}
	for range 4 {
		r.drop()
	}
	return rune(n), nil
}
