// Package json reads JSON as a stream of scalars and closed objects, with the
// place of each, in memory that follows the limits and not the file.
//
// It is stricter than the readers of models are, and more honest than
// encoding/json: a key given twice in one object is reported, since some
// readers take the first and others the last, and so is whatever is no JSON.
// NaN and Infinity, which Python writes, are numbers here. Comments are not
// understood.
package json

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
)

// Why a text cannot be read. Every error of [Walk] that is not one of reading
// or of the handler wraps one.
var (
	// ErrMalformed means that the text is no JSON.
	ErrMalformed = errors.New("malformed JSON")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the JSON reader")
)

// Limits bound reading. A zero field has its default.
type Limits struct {
	// Depth is how deep values may be nested: 200.
	Depth int
	// String is the length of one string or number: 16 MiB.
	String int
	// Keys is how many keys the objects that are open may have: 4 million.
	Keys int
	// Kept is how many bytes the fields that are kept may have: 32 MiB.
	Kept int
	// Lines accepts further values behind the first, one a line.
	Lines bool
}

// Kind is the kind of a value.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota + 1
	Bool
	Number
	String
	Object
	Array
)

// Value is a value and where it stands. Objects and arrays have no text here.
type Value struct {
	Kind Kind
	// Text is the string, without quotes and escapes, or the literal. It is
	// valid during the call.
	Text []byte
	// Offset is where the value begins, Length how many bytes it takes; 0 for
	// objects and arrays.
	Offset, Length int64
}

// Step is one element of a path: a key, or the index in an array.
type Step struct {
	Key   string
	Index int // -1 where there is a key
}

// Path is where a value stands, the outermost step first.
type Path []Step

// Key is the key of the object field that the value is, or that the arrays
// around it are; empty where there is none.
func (p Path) Key() string {
	for _, v := range slices.Backward(p) {
		if v.Index < 0 {
			return v.Key
		}
	}
	return ""
}

// Has reports whether one of the steps is the key.
func (p Path) Has(key string) bool {
	for _, s := range p {
		if s.Index < 0 && s.Key == key {
			return true
		}
	}
	return false
}

// String writes the path as a.b[3].c, with keys that are longer than sixty
// bytes cut.
func (p Path) String() string {
	var b []byte
	for _, s := range p {
		switch {
		case s.Index >= 0:
			b = append(strconv.AppendInt(append(b, '['), int64(s.Index), 10), ']')
		case len(b) > 0:
			b = fmt.Appendf(append(b, '.'), "%.60s", s.Key)
		default:
			b = fmt.Appendf(b, "%.60s", s.Key)
		}
	}
	return string(b)
}

// Fields are the values of one object under the keys that the handler wants.
// Their text stays valid. Of objects and arrays only kind and place are known.
type Fields map[string]Value

// Text returns the string under the key, or "".
func (f Fields) Text(key string) string {
	if f[key].Kind != String {
		return ""
	}
	return string(f[key].Text)
}

// Handler takes what is in a text. An error of it ends reading.
type Handler interface {
	// Keep reports whether [Handler.Closed] wants the field.
	Keep(key string) bool
	// Scalar is called for each value that is no object and no array. The
	// path is valid during the call.
	Scalar(p Path, v Value) error
	// Closed is called when an object ends, with its place.
	Closed(p Path, at int64, f Fields) error
	// Twice is called for a key that its object has already.
	Twice(p Path, at int64) error
}

// Mentions reports whether a text may have one of the keys, which are of small
// letters and underscores: as letters, or as escapes of such. It reads to the
// first that it finds.
func Mentions(r io.Reader, keys ...string) (bool, error) {
	wanted := [][]byte{[]byte(`\u005`), []byte(`\u006`), []byte(`\u007`)}
	for _, k := range keys {
		wanted = append(wanted, []byte(k))
	}
	const keep = 64
	buf := make([]byte, 64<<10)
	have := 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		for _, w := range wanted {
			if bytes.Contains(buf[:have], w) {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read JSON: %w", err)
		}
		if have > keep {
			have = copy(buf, buf[have-keep:have])
		}
	}
}

// Walk reads the text to its end.
func Walk(r io.Reader, lim Limits, h Handler) error {
	lim = Limits{cmp.Or(lim.Depth, 200), cmp.Or(lim.String, 16<<20), cmp.Or(lim.Keys, 4_000_000), cmp.Or(lim.Kept, 32<<20), lim.Lines}
	p := &parser{r: bufio.NewReaderSize(r, 64<<10), lim: lim, h: h, seed: maphash.MakeSeed()}
	if mark, _ := p.r.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = p.r.Discard(3)
		p.at = 3
	}
	return p.text()
}

// frame is an object or an array that is open.
type frame struct {
	object bool
	at     int64
	keys   map[uint64]struct{}
	fields Fields
	kept   int
}

type parser struct {
	r    *bufio.Reader
	lim  Limits
	h    Handler
	seed maphash.Seed

	at     int64
	path   Path
	frames []frame
	keys   int // of the open objects
	kept   int
	buf    []byte
}

func (p *parser) malformed(format string, args ...any) error {
	return fmt.Errorf("byte %d: "+format+": %w", append(append([]any{p.at}, args...), ErrMalformed)...)
}

// peek returns the next byte that is no white space.
func (p *parser) peek() (byte, error) {
	for {
		buffered, _ := p.r.Peek(p.r.Buffered())
		n := 0
		for n < len(buffered) && (buffered[n] == ' ' || buffered[n] == '\n' || buffered[n] == '\t' || buffered[n] == '\r') {
			n++
		}
		_, _ = p.r.Discard(n)
		p.at += int64(n)
		if n < len(buffered) {
			return buffered[n], nil
		}
		c, err := p.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c, p.r.UnreadByte()
		}
		p.at++
	}
}

// next is peek where the text must go on.
func (p *parser) next() (byte, error) {
	c, err := p.peek()
	if errors.Is(err, io.EOF) {
		return 0, p.malformed("ends early")
	}
	if err != nil {
		return 0, fmt.Errorf("read JSON: %w", err)
	}
	return c, nil
}

func (p *parser) take() {
	_, _ = p.r.Discard(1)
	p.at++
}

// text reads the value, or the values.
func (p *parser) text() error {
	for first := true; ; first = false {
		_, err := p.peek()
		switch {
		case errors.Is(err, io.EOF) && !first:
			return nil
		case errors.Is(err, io.EOF):
			return p.malformed("no value")
		case err != nil:
			return fmt.Errorf("read JSON: %w", err)
		case !first && !p.lim.Lines:
			return p.malformed("more behind the value")
		}
		if err := p.value(); err != nil {
			return err
		}
		for len(p.frames) > 0 {
			if err := p.inside(); err != nil {
				return err
			}
		}
	}
}

// value reads a scalar, or opens an object or array.
func (p *parser) value() error {
	c, err := p.next()
	if err != nil {
		return err
	}
	switch c {
	case '{', '[':
		if len(p.frames) >= p.lim.Depth {
			return fmt.Errorf("byte %d: nested deeper than %d: %w", p.at, p.lim.Depth, ErrLimit)
		}
		kind := Array
		if c == '{' {
			kind = Object
		}
		p.keep(Value{Kind: kind, Offset: p.at})
		p.frames = append(p.frames, frame{object: c == '{', at: p.at})
		p.path = append(p.path, Step{Index: -1})
		p.take()
		return p.opened(c)
	case '"':
		at := p.at
		text, err := p.str()
		if err != nil {
			return err
		}
		return p.scalar(Value{Kind: String, Text: text, Offset: at, Length: p.at - at})
	}
	return p.literal()
}

// opened reads what stands behind the opening bracket: nothing, or the first
// element.
func (p *parser) opened(c byte) error {
	end, err := p.next()
	if err != nil {
		return err
	}
	if end == c+2 { // both pairs of brackets are two apart
		p.take()
		return p.closed()
	}
	return p.element()
}

// element reads an object's field, or an array's element.
func (p *parser) element() error {
	f := &p.frames[len(p.frames)-1]
	step := &p.path[len(p.path)-1]
	if !f.object {
		step.Index++
		return p.value()
	}
	c, err := p.next()
	if err != nil {
		return err
	}
	if c != '"' {
		return p.malformed("%q where a key has to be", c)
	}
	at := p.at
	key, err := p.str()
	if err != nil {
		return err
	}
	step.Key = string(key)
	if err := p.once(f, key, at); err != nil {
		return err
	}
	if c, err = p.next(); err != nil {
		return err
	}
	if c != ':' {
		return p.malformed("%q where a colon has to be", c)
	}
	p.take()
	return p.value()
}

// once notes the key and reports one that was there.
func (p *parser) once(f *frame, key []byte, at int64) error {
	if f.keys == nil {
		f.keys = map[uint64]struct{}{}
	}
	sum := maphash.Bytes(p.seed, key)
	if _, there := f.keys[sum]; there {
		return p.h.Twice(p.path, at)
	}
	f.keys[sum] = struct{}{}
	if p.keys++; p.keys > p.lim.Keys {
		return fmt.Errorf("byte %d: more than %d keys: %w", at, p.lim.Keys, ErrLimit)
	}
	return nil
}

// inside goes on in the innermost object or array.
func (p *parser) inside() error {
	c, err := p.next()
	if err != nil {
		return err
	}
	end := byte(']')
	if p.frames[len(p.frames)-1].object {
		end = '}'
	}
	switch c {
	case end:
		p.take()
		return p.closed()
	case ',':
		p.take()
		return p.element()
	}
	return p.malformed("%q where a comma or %q has to be", c, end)
}

// closed ends the innermost object or array.
func (p *parser) closed() error {
	f := p.frames[len(p.frames)-1]
	p.frames = p.frames[:len(p.frames)-1]
	p.path = p.path[:len(p.path)-1]
	p.keys -= len(f.keys)
	p.kept -= f.kept
	if !f.object {
		return nil
	}
	return p.h.Closed(p.path, f.at, f.fields)
}

func (p *parser) scalar(v Value) error {
	if err := p.h.Scalar(p.path, v); err != nil {
		return err
	}
	if n := p.keep(v); n > 0 && p.kept > p.lim.Kept {
		return fmt.Errorf("byte %d: more than %d bytes in fields that are kept: %w", p.at, p.lim.Kept, ErrLimit)
	}
	return nil
}

// keep keeps a field that the handler wants when its object ends. The last of
// two with one key stays; that there are two is reported.
func (p *parser) keep(v Value) int {
	if len(p.frames) == 0 || !p.frames[len(p.frames)-1].object {
		return 0
	}
	f := &p.frames[len(p.frames)-1]
	key := p.path[len(p.path)-1].Key
	if !p.h.Keep(key) {
		return 0
	}
	if f.fields == nil {
		f.fields = Fields{}
	}
	v.Text = bytes.Clone(v.Text)
	f.fields[key] = v
	n := len(key) + len(v.Text) + 64
	f.kept += n
	p.kept += n
	return n
}
