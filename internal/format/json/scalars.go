package json

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// literal reads true, false, null or a number.
func (p *parser) literal() error {
	at := p.at
	p.buf = p.buf[:0]
	for {
		c, err := p.r.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read JSON: %w", err)
		}
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'
		if err != nil || !letter {
			if err == nil {
				_ = p.r.UnreadByte()
			}
			break
		}
		if len(p.buf) >= 4096 {
			return fmt.Errorf("byte %d: number of more than 4096 characters: %w", at, ErrLimit)
		}
		p.buf = append(p.buf, c)
		p.at++
	}
	v := Value{Text: p.buf, Offset: at, Length: p.at - at}
	switch text := string(p.buf); {
	case text == "null":
		v.Kind = Null
	case text == "true" || text == "false":
		v.Kind = Bool
	case text == "NaN" || text == "Infinity" || text == "-Infinity" || isNumber(text):
		v.Kind = Number
	case text == "":
		c, _ := p.r.ReadByte()
		return p.malformed("%q where a value has to be", c)
	default:
		return p.malformed("%.40q is no value", text)
	}
	return p.scalar(v)
}

// isNumber follows the grammar: no leading zeros, plus signs or bare points.
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' || !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return digits() && s == ""
	}
	return s == ""
}

// str reads a string. The result is valid until the next one is read.
func (p *parser) str() ([]byte, error) {
	p.take()
	p.buf = p.buf[:0]
	plain := true
	for {
		if err := p.run(&plain); err != nil {
			return nil, err
		}
		c, err := p.r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil, p.malformed("ends in a string")
		}
		if err != nil {
			return nil, fmt.Errorf("read JSON: %w", err)
		}
		p.at++
		switch {
		case c == '"':
			if !plain && !utf8.Valid(p.buf) {
				return nil, p.malformed("a string is not UTF-8")
			}
			return p.buf, nil
		case c < ' ':
			return nil, p.malformed("control character %#x in a string", c)
		case c == '\\':
			if err := p.escape(); err != nil {
				return nil, err
			}
		default:
			plain = plain && c < utf8.RuneSelf
			p.buf = append(p.buf, c)
		}
		if len(p.buf) > p.lim.String {
			return nil, fmt.Errorf("byte %d: string of more than %d bytes: %w", p.at, p.lim.String, ErrLimit)
		}
	}
}

// run takes the stretch of a string that is buffered and needs no care.
func (p *parser) run(plain *bool) error {
	buffered, _ := p.r.Peek(p.r.Buffered())
	n := 0
	for n < len(buffered) && buffered[n] >= ' ' && buffered[n] != '"' && buffered[n] != '\\' {
		if buffered[n] >= utf8.RuneSelf {
			*plain = false
		}
		n++
	}
	if len(p.buf)+n > p.lim.String {
		return fmt.Errorf("byte %d: string of more than %d bytes: %w", p.at, p.lim.String, ErrLimit)
	}
	p.buf = append(p.buf, buffered[:n]...)
	_, _ = p.r.Discard(n)
	p.at += int64(n)
	return nil
}

const simple = `"\/bfnrt`

// escape reads what stands behind a backslash.
func (p *parser) escape() error {
	c, err := p.r.ReadByte()
	if err != nil {
		return p.malformed("ends in an escape")
	}
	p.at++
	if c != 'u' {
		n := bytes.IndexByte([]byte(simple), c)
		if n < 0 {
			return p.malformed("unknown escape %q", c)
		}
		p.buf = append(p.buf, "\"\\/\b\f\n\r\t"[n])
		return nil
	}
	r, err := p.hex()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if follow, _ := p.r.Peek(2); string(follow) == `\u` {
			_, _ = p.r.Discard(2)
			p.at += 2
			low, err := p.hex()
			if err != nil {
				return err
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				p.buf = utf8.AppendRune(p.buf, utf8.RuneError)
			}
		} else {
			r = utf8.RuneError
		}
	}
	p.buf = utf8.AppendRune(p.buf, r)
	return nil
}

func (p *parser) hex() (rune, error) {
	var digits [4]byte
	if _, err := io.ReadFull(p.r, digits[:]); err != nil {
		return 0, p.malformed("ends in an escape")
	}
	p.at += 4
	n, err := strconv.ParseUint(string(digits[:]), 16, 32)
	if err != nil {
		return 0, p.malformed("escape \\u%.4q", digits[:])
	}
	return rune(n), nil
}
