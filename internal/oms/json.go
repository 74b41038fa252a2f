package oms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Every refusal of a bundle, a statement or a manifest wraps one of these.
var (
	// ErrMalformed: the data is not of the form it should have.
	ErrMalformed = errors.New("malformed")
	// ErrLimit: the data may be well-formed, and is more than is read.
	ErrLimit = errors.New("over the limit")
	// ErrRefused: the data is understood, and says what is not accepted.
	ErrRefused = errors.New("not accepted")
)

// reader reads JSON token by token, so that memory follows the limits and a
// key given twice is noticed: two readers would each believe another value.
type reader struct {
	dec *json.Decoder
	// fold also refuses keys that differ in case only, which some readers
	// take for the same. Not for objects whose keys are paths.
	fold bool
}

// newReader checks what a token reader would let pass or repair in silence.
func newReader(data []byte, depth int) (*reader, error) {
	switch {
	case !utf8.Valid(data):
		return nil, fmt.Errorf("JSON is not UTF-8: %w", ErrMalformed)
	case nesting(data) > depth:
		return nil, fmt.Errorf("JSON nested deeper than %d: %w", depth, ErrLimit)
	case !json.Valid(data):
		return nil, fmt.Errorf("not JSON: %w", ErrMalformed)
	case loneSurrogate(data):
		return nil, fmt.Errorf("JSON with half a character: %w", ErrMalformed)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return &reader{dec: dec}, nil
}

// nesting returns how deep brackets nest outside of strings.
func nesting(data []byte) int {
	deepest, depth, inString, escaped := 0, 0, false, false
	for _, c := range data {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// loneSurrogate reports a \u escape that is half of a pair. The decoder would
// replace it, and different names would become the same.
func loneSurrogate(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++ // the escaped character; json.Valid saw that it exists
		unit := surrogate(data[i-1:])
		switch {
		case unit == 0:
		case unit < 0xDC00 && surrogate(data[min(i+5, len(data)):]) >= 0xDC00:
			i += 6
		default:
			return true
		}
	}
	return false
}

// surrogate returns the code unit of the \u escape that data starts with, or
// 0 when it is none or no surrogate.
func surrogate(data []byte) uint64 {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil || unit < 0xD800 || unit > 0xDFFF {
		return 0
	}
	return unit
}

func (r *reader) token() (json.Token, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", r.dec.InputOffset(), ErrMalformed)
	}
	return t, nil
}

// end fails unless everything was read.
func (r *reader) end() error {
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more data after byte %d: %w", r.dec.InputOffset(), ErrMalformed)
	}
	return nil
}

func (r *reader) open(want json.Delim) error {
	t, err := r.token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("byte %d: want %v: %w", r.dec.InputOffset(), want, ErrMalformed)
	}
	return nil
}

// optional reads null, or a value that opens with want; read reads what
// follows.
func (r *reader) optional(want json.Delim, read func() error) error {
	t, err := r.token()
	switch {
	case err != nil || t == nil:
		return err
	case t != want:
		return fmt.Errorf("byte %d: want %v: %w", r.dec.InputOffset(), want, ErrMalformed)
	default:
		return read()
	}
}

// object reads an object and calls field after each key; field must read the
// value.
func (r *reader) object(field func(key string) error) error {
	if err := r.open('{'); err != nil {
		return err
	}
	return r.fields(field)
}

// fields reads what follows the opening brace.
func (r *reader) fields(field func(key string) error) error {
	seen := map[string]bool{}
	for r.dec.More() {
		key, err := r.str()
		if err != nil {
			return err
		}
		name := key
		if r.fold {
			name = strings.ToLower(strings.ToUpper(key))
		}
		if seen[name] {
			return fmt.Errorf("key %.80q given twice: %w", key, ErrMalformed)
		}
		seen[name] = true
		if err := field(key); err != nil {
			return fmt.Errorf("%.80q: %w", key, err)
		}
	}
	_, err := r.token()
	return err
}

// array reads an array of at most limit items and calls item for each.
func (r *reader) array(limit int, item func() error) error {
	if err := r.open('['); err != nil {
		return err
	}
	return r.items(limit, item)
}

// items reads what follows the opening bracket.
func (r *reader) items(limit int, item func() error) error {
	for n := 0; r.dec.More(); n++ {
		if n == limit {
			return fmt.Errorf("more than %d items: %w", limit, ErrLimit)
		}
		if err := item(); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

func (r *reader) str() (string, error) {
	t, err := r.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("byte %d: want a string: %w", r.dec.InputOffset(), ErrMalformed)
	}
	return s, nil
}

// into reads a string into s.
func (r *reader) into(s *string) error {
	v, err := r.str()
	*s = v
	return err
}

func (r *reader) boolean() (bool, error) {
	t, err := r.token()
	if err != nil {
		return false, err
	}
	b, ok := t.(bool)
	if !ok {
		return false, fmt.Errorf("byte %d: want true or false: %w", r.dec.InputOffset(), ErrMalformed)
	}
	return b, nil
}

// count reads a number that counts something. The reference implementation
// writes such numbers as doubles, so that 8 is also 8.0.
func (r *reader) count() (int64, error) {
	t, err := r.token()
	if err != nil {
		return 0, err
	}
	number, ok := t.(json.Number)
	if !ok {
		return 0, fmt.Errorf("byte %d: want a number: %w", r.dec.InputOffset(), ErrMalformed)
	}
	f, err := number.Float64()
	if err != nil || f <= 0 || f > 1<<53 || f != float64(int64(f)) {
		return 0, fmt.Errorf("number %.40q: want a whole number from 1 to 2^53: %w", number.String(), ErrMalformed)
	}
	return int64(f), nil
}

// skip reads a value that means nothing here, duplicate keys still refused.
// The depth was bounded before the first token.
func (r *reader) skip() error {
	t, err := r.token()
	if err != nil {
		return err
	}
	return r.skipFrom(t)
}

func (r *reader) skipFrom(t json.Token) error {
	switch t {
	case json.Delim('{'):
		return r.fields(func(string) error { return r.skip() })
	case json.Delim('['):
		return r.items(-1, r.skip)
	default:
		return nil
	}
}
