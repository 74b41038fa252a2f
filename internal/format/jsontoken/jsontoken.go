// Package jsontoken reads JSON token by token from a stream of any size, strictly:
// the grammar of RFC 8259, UTF-8 and nothing else. It says where each token
// stands and leaves keys that are given twice to its caller, which sees all of
// them. It builds no tree and does not know what the text is for.
package jsontoken

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
)

// Why reading stops. Each error that is not one of reading wraps one.
var (
	// ErrMalformed means that the text is no JSON.
	ErrMalformed = errors.New("malformed JSON")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the JSON reader")
)

// Limits bound what is kept. A zero field has its default.
type Limits struct {
	// Depth is how many arrays and objects may be around a value: 1000.
	Depth int
	// String is how long a string or a number may be: 16 MiB.
	String int
}

func (l Limits) filled() Limits {
	return Limits{Depth: cmp.Or(l.Depth, 1000), String: cmp.Or(l.String, 16<<20)}
}

// Kind says what a token is.
type Kind uint8

// The kinds of token. A key is a string in front of a colon; the colon and
// commas are not delivered.
const (
	Null Kind = iota + 1
	Bool
	Number
	String
	Key
	Object
	ObjectEnd
	Array
	ArrayEnd
)

// Token is one token.
type Token struct {
	Kind Kind
	// Text is the decoded string, or the literal or number as it is spelt.
	Text string
	// Offset is where the token begins.
	Offset int64
}

// Reader reads tokens.
type Reader struct {
	r    *bufio.Reader
	at   int64
	lim  Limits
	open []byte // '{' and '['
	want state
	text []byte
}

// state is what the grammar allows next.
type state uint8

const (
	wantValue state = iota
	wantFirstValue
	wantFirstKey
	wantKey
	wantComma
	wantEnd
)

// New returns a reader whose first byte has that offset.
func New(r io.Reader, offset int64, lim Limits) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 32<<10), at: offset, lim: lim.filled()}
}

// Offset is behind the last token.
func (r *Reader) Offset() int64 { return r.at }

// Next returns the next token. After the end of the value it returns io.EOF,
// or an error when something else than white space follows.
func (r *Reader) Next() (Token, error) {
	c, err := r.skipSpace()
	if r.want == wantEnd {
		switch {
		case errors.Is(err, io.EOF):
			return Token{}, io.EOF
		case err == nil:
			return Token{}, r.fail("something behind the end")
		}
	}
	if errors.Is(err, io.EOF) {
		return Token{}, fmt.Errorf("ends at %d: %w: %w", r.at, io.ErrUnexpectedEOF, ErrMalformed)
	}
	if err != nil {
		return Token{}, fmt.Errorf("read JSON: %w", err)
	}
	if r.want == wantComma {
		if c == ',' {
			r.drop()
			r.want = wantValue
			if r.open[len(r.open)-1] == '{' {
				r.want = wantKey
			}
			return r.Next()
		}
		return r.closing(c)
	}
	if (r.want == wantFirstKey || r.want == wantFirstValue) && (c == '}' || c == ']') {
		return r.closing(c)
	}
	if r.want == wantKey || r.want == wantFirstKey {
		return r.key(c)
	}
	return r.value(c)
}

// Skip reads the rest of the value that begins with t.
func (r *Reader) Skip(t Token) error {
	if t.Kind != Object && t.Kind != Array {
		return nil
	}
	for depth := len(r.open); len(r.open) >= depth; {
		if _, err := r.Next(); err != nil {
			return err
		}
	}
	return nil
}

// Members calls f for each key of the object that the last token opened; f
// reads the value.
func (r *Reader) Members(f func(key Token) error) error {
	for {
		t, err := r.Next()
		if err != nil || t.Kind == ObjectEnd {
			return err
		}
		if err := f(t); err != nil {
			return err
		}
	}
}

// Elements calls f with the first token of each element of the array that the
// last token opened; f reads the rest of it.
func (r *Reader) Elements(f func(first Token) error) error {
	for {
		t, err := r.Next()
		if err != nil || t.Kind == ArrayEnd {
			return err
		}
		if err := f(t); err != nil {
			return err
		}
	}
}

// End returns nil when nothing but white space follows the value.
func (r *Reader) End() error {
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (r *Reader) fail(what string) error {
	return fmt.Errorf("%s at %d: %w", what, r.at, ErrMalformed)
}

func (r *Reader) peek() (byte, error) {
	b, err := r.r.Peek(1)
	if len(b) == 0 {
		return 0, err
	}
	return b[0], nil
}

func (r *Reader) drop() {
	_, _ = r.r.Discard(1)
	r.at++
}

func (r *Reader) skipSpace() (byte, error) {
	for {
		c, err := r.peek()
		if err != nil || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c, err
		}
		r.drop()
	}
}

// closing reads the bracket that ends what is open.
func (r *Reader) closing(c byte) (Token, error) {
	kind := ObjectEnd
	switch last := r.open[len(r.open)-1]; {
	case c == '}' && last == '{':
	case c == ']' && last == '[':
		kind = ArrayEnd
	default:
		return Token{}, r.fail("no comma or end")
	}
	t := Token{Kind: kind, Text: string(c), Offset: r.at}
	r.drop()
	r.open = r.open[:len(r.open)-1]
	r.done()
	return t, nil
}

// done notes that a value is complete.
func (r *Reader) done() {
	r.want = wantComma
	if len(r.open) == 0 {
		r.want = wantEnd
	}
}

func (r *Reader) key(c byte) (Token, error) {
	if c != '"' {
		return Token{}, r.fail("no key")
	}
	t := Token{Kind: Key, Offset: r.at}
	var err error
	if t.Text, err = r.str(); err != nil {
		return t, err
	}
	c, err = r.skipSpace()
	if err != nil && !errors.Is(err, io.EOF) {
		return t, fmt.Errorf("read JSON: %w", err)
	}
	if err != nil || c != ':' {
		return t, r.fail("no colon")
	}
	r.drop()
	r.want = wantValue
	return t, nil
}

func (r *Reader) value(c byte) (Token, error) {
	t := Token{Offset: r.at}
	switch c {
	case '{', '[':
		if len(r.open) >= r.lim.Depth {
			return t, fmt.Errorf("nested deeper than %d at %d: %w", r.lim.Depth, r.at, ErrLimit)
		}
		r.drop()
		r.open = append(r.open, c)
		t.Kind, t.Text, r.want = Object, string(c), wantFirstKey
		if c == '[' {
			t.Kind, r.want = Array, wantFirstValue
		}
		return t, nil
	case '"':
		t.Kind = String
		var err error
		t.Text, err = r.str()
		r.done()
		return t, err
	}
	text, err := r.literal()
	if err != nil {
		return t, err
	}
	t.Text = text
	switch {
	case text == "null":
		t.Kind = Null
	case text == "true" || text == "false":
		t.Kind = Bool
	case isNumber(text):
		t.Kind = Number
	default:
		return t, fmt.Errorf("no value at %d: %w", t.Offset, ErrMalformed)
	}
	r.done()
	return t, nil
}

// literal reads what is neither white space nor punctuation.
func (r *Reader) literal() (string, error) {
	r.text = r.text[:0]
	for {
		c, err := r.peek()
		word := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return "", fmt.Errorf("read JSON: %w", err)
		case err != nil || !word:
			return string(r.text), nil //nolint:nilerr // the text ends where the number does
		case len(r.text) >= min(r.lim.String, 10_000):
			return "", fmt.Errorf("number of more than %d characters at %d: %w", len(r.text), r.at, ErrLimit)
		}
		r.text = append(r.text, c)
		r.drop()
	}
}

// isNumber holds the grammar of numbers.
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
	if s != "" && s[0] == '0' {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		s = s[1:]
		if !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return digits() && s == ""
	}
	return s == ""
}
