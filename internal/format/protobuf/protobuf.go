// Package protobuf reads the wire format of protocol buffers field by field:
// numbers, types and places, without a schema. What is length-delimited is
// skipped until it is asked for, so that a message of any size costs only the
// fields that are looked at. It is strict where parsers are lenient: no groups,
// no numbers of more than 64 bits, no field that is longer than its message.
package protobuf

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Why reading stops. Each error that is not one of reading wraps one, but for
// io.EOF at the end of a message.
var (
	// ErrMalformed means that the bytes are no message.
	ErrMalformed = errors.New("malformed protobuf")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the protobuf reader")
)

// Limits bound reading. A zero field has its default.
type Limits struct {
	// Fields is how many fields may be read, over all messages: 50 million.
	Fields int
	// Text is how long a text may be that is kept: 1 MiB.
	Text int64
}

// Wire is how a field is encoded.
type Wire uint8

// The encodings that are in use.
const (
	Varint  Wire = 0
	Fixed64 Wire = 1
	Bytes   Wire = 2
	Fixed32 Wire = 5
)

// Field is one field of a message.
type Field struct {
	Number int32
	Wire   Wire
	// Value is the number of a field that is none of Bytes.
	Value uint64
	// Offset is where the field begins, Data where its content does, Length
	// how long that is.
	Offset, Data, Length int64
}

// Source is the bytes that messages lie in. It is used by one goroutine.
type Source struct {
	data   io.ReaderAt
	size   int64
	buf    []byte
	from   int64 // where buf is
	fields int
	text   int64
}

const window = 32 << 10

// New returns a source of that size.
func New(data io.ReaderAt, size int64, lim Limits) *Source {
	s := &Source{data: data, size: size, fields: 50_000_000, text: 1 << 20}
	if lim.Fields > 0 {
		s.fields = lim.Fields
	}
	if lim.Text > 0 {
		s.text = lim.Text
	}
	return s
}

// Message is a message while it is read.
type Message struct {
	s       *Source
	at, end int64
}

// Root returns the message that the source is.
func (s *Source) Root() *Message { return &Message{s, 0, s.size} }

// Sub returns the message that a field holds.
func (s *Source) Sub(f Field) *Message { return &Message{s, f.Data, f.Data + f.Length} }

// byte returns the byte at an offset that is inside of the source.
func (s *Source) byte(at int64) (byte, error) {
	if at < s.from || at >= s.from+int64(len(s.buf)) {
		if s.buf == nil {
			s.buf = make([]byte, 0, min(window, s.size))
		}
		s.from, s.buf = at, s.buf[:min(window, s.size-at)]
		if n, err := s.data.ReadAt(s.buf, at); err != nil && (!errors.Is(err, io.EOF) || n < len(s.buf)) {
			s.buf = s.buf[:0]
			return 0, fmt.Errorf("read protobuf: %w", err)
		}
	}
	return s.buf[at-s.from], nil
}

// Next returns the next field. At the end of the message it returns io.EOF.
func (m *Message) Next() (Field, error) {
	if m.at == m.end {
		return Field{}, io.EOF
	}
	if m.s.fields--; m.s.fields < 0 {
		return Field{}, fmt.Errorf("too many fields at %d: %w", m.at, ErrLimit)
	}
	f := Field{Offset: m.at}
	key, err := m.varint()
	if err != nil {
		return f, err
	}
	if key>>3 == 0 || key>>3 > 1<<29-1 {
		return f, fmt.Errorf("field number %d at %d: %w", key>>3, f.Offset, ErrMalformed)
	}
	f.Number, f.Wire, f.Data = int32(key>>3), Wire(key&7), m.at
	switch f.Wire {
	case Varint:
		f.Value, err = m.varint()
		f.Length = m.at - f.Data
	case Fixed32:
		f.Value, err = m.fixed(4)
		f.Length = 4
	case Fixed64:
		f.Value, err = m.fixed(8)
		f.Length = 8
	case Bytes:
		n, err := m.varint()
		if err != nil {
			return f, err
		}
		if n > uint64(m.end-m.at) {
			return f, fmt.Errorf("field of %d bytes at %d, the message ends at %d: %w", n, f.Offset, m.end, ErrMalformed)
		}
		f.Data, f.Length = m.at, int64(n)
		m.at += f.Length
	default:
		return f, fmt.Errorf("wire type %d at %d: %w", f.Wire, f.Offset, ErrMalformed)
	}
	return f, err
}

func (m *Message) varint() (n uint64, err error) {
	for shift := 0; ; shift += 7 {
		if m.at == m.end {
			return 0, fmt.Errorf("number without end at %d: %w", m.at, ErrMalformed)
		}
		c, err := m.s.byte(m.at)
		if err != nil {
			return 0, err
		}
		if shift == 63 && c > 1 {
			return 0, fmt.Errorf("number of more than 64 bits at %d: %w", m.at, ErrMalformed)
		}
		m.at++
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n, nil
		}
	}
}

func (m *Message) fixed(width int64) (n uint64, err error) {
	if m.end-m.at < width {
		return 0, fmt.Errorf("number without end at %d: %w", m.at, ErrMalformed)
	}
	for i := range width {
		c, err := m.s.byte(m.at + i)
		if err != nil {
			return 0, err
		}
		n |= uint64(c) << (8 * i)
	}
	m.at += width
	return n, nil
}

// Bytes returns the content of a field of Bytes. What is longer than the limit
// of text is an error.
func (s *Source) Bytes(f Field) ([]byte, error) {
	if f.Length > s.text {
		return nil, fmt.Errorf("text of %d bytes at %d: %w", f.Length, f.Offset, ErrLimit)
	}
	b := make([]byte, f.Length)
	if f.Data >= s.from && f.Data+f.Length <= s.from+int64(len(s.buf)) {
		copy(b, s.buf[f.Data-s.from:])
		return b, nil
	}
	if n, err := s.data.ReadAt(b, f.Data); err != nil && (!errors.Is(err, io.EOF) || n < len(b)) {
		return nil, fmt.Errorf("read protobuf: %w", err)
	}
	return b, nil
}

// Text returns the content of a field as text, which has to be UTF-8.
func (s *Source) Text(f Field) (string, error) {
	b, err := s.Bytes(f)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("text at %d that is not UTF-8: %w", f.Offset, ErrMalformed)
	}
	return string(b), nil
}

// Each calls f for every field of a message.
func (m *Message) Each(f func(Field) error) error {
	for {
		field, err := m.Next()
		switch {
		case errors.Is(err, io.EOF) && m.at == m.end:
			return nil
		case err != nil:
			return err
		}
		if err := f(field); err != nil {
			return err
		}
	}
}

// Packed calls f for every number of a repeated field: one number, or many in
// one field.
func (s *Source) Packed(field Field, f func(uint64) error) error {
	if field.Wire != Bytes {
		return f(field.Value)
	}
	m := s.Sub(field)
	for m.at < m.end {
		if s.fields--; s.fields < 0 {
			return fmt.Errorf("too many numbers at %d: %w", m.at, ErrLimit)
		}
		n, err := m.varint()
		if err != nil {
			return err
		}
		if err := f(n); err != nil {
			return err
		}
	}
	return nil
}
