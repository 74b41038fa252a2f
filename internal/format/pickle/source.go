package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// source reads opcodes through a window over the data.
type source struct {
	data io.ReaderAt
	size int64
	base int64 // offset of buf[0]
	pos  int   // next byte in buf
	buf  []byte
	room []byte // what buf is a part of
	// looked says that room was filled once.
	looked bool
}

// window is how much is read at a time; the first look is shorter, since many
// pickles are.
const (
	window    = 64 << 10
	firstLook = 1 << 10
)

func newSource(data io.ReaderAt, start, size int64) source {
	return source{data: data, size: size, base: start, room: make([]byte, min(firstLook, max(size-start, 16)))}
}

func (s *source) offset() int64 { return s.base + int64(s.pos) }

// seek goes to an offset of the data.
func (s *source) seek(at int64) {
	if at >= s.base && at <= s.base+int64(len(s.buf)) {
		s.pos = int(at - s.base)
		return
	}
	s.base, s.pos, s.buf = at, 0, nil
}

// need makes at least n bytes stand in the window, n being at most its size.
// It reports ErrTruncated when the data has not so many.
func (s *source) need(n int) error {
	if len(s.buf)-s.pos >= n {
		return nil
	}
	at := s.offset()
	if s.size-at < int64(n) {
		return fmt.Errorf("offset %d: %w", at, ErrTruncated)
	}
	if s.looked && len(s.room) < window {
		s.room = make([]byte, min(window, max(s.size-at, 16)))
	}
	s.looked = true
	want := min(int64(len(s.room)), s.size-at)
	got, err := s.data.ReadAt(s.room[:want], at)
	if err != nil && (!errors.Is(err, io.EOF) || got < n) {
		return fmt.Errorf("read pickle: offset %d: %w", at, err)
	}
	s.base, s.pos, s.buf = at, 0, s.room[:got]
	return nil
}

// op is one opcode. Which fields are set depends on the kind of argument.
type op struct {
	code  byte
	start int64
	// num is an argument that is a number; off and len are where a string's
	// bytes are, without length and line end.
	num      int64
	off, len int64
	// second is the second line of a pair.
	second, secondLen int64
	long              bool // a line longer than the limit
}

// next reads one opcode and stands behind its argument.
func (s *source) next(o *op, maxLine int64) error {
	if s.pos >= len(s.buf) {
		if err := s.need(1); err != nil {
			return err
		}
	}
	o.code = s.buf[s.pos]
	o.start = s.base + int64(s.pos)
	s.pos++
	kind := opcodes[o.code].arg
	if kind == argNone {
		return nil
	}
	if kind == argUnknown {
		s.pos--
		return fmt.Errorf("offset %d: no opcode %#02x: %w", o.start, o.code, ErrMalformed)
	}
	var err error
	switch {
	case kind < argLine:
		err = s.fixed(o, kind)
	case kind < argSized:
		err = s.lines(o, kind, maxLine)
	default:
		err = s.sized(o, kind)
	}
	return err
}

// fixed reads an argument of fixed length.
func (s *source) fixed(o *op, kind argument) error {
	n := fixedLength[kind]
	if len(s.buf)-s.pos < n {
		if err := s.need(n); err != nil {
			return err
		}
	}
	b := s.buf[s.pos : s.pos+n]
	s.pos += n
	o.off, o.len = o.start+1, int64(n)
	switch kind {
	case arg1:
		o.num = int64(b[0])
	case arg2:
		o.num = int64(binary.LittleEndian.Uint16(b))
	case arg4:
		o.num = int64(binary.LittleEndian.Uint32(b))
	case arg4s:
		o.num = int64(int32(binary.LittleEndian.Uint32(b)))
	default:
		o.num = int64(binary.LittleEndian.Uint64(b))
	}
	return nil
}

// sized reads the length of an argument and skips it.
func (s *source) sized(o *op, kind argument) error {
	if err := s.fixed(o, kind-argSized); err != nil {
		return err
	}
	at := s.offset()
	if o.num < 0 {
		return fmt.Errorf("offset %d: length %d: %w", o.start, o.num, ErrMalformed)
	}
	if o.num > s.size-at {
		return fmt.Errorf("offset %d: %d bytes, of which %d are there: %w", o.start, o.num, s.size-at, ErrTruncated)
	}
	o.off, o.len = at, o.num
	if n := len(s.buf) - s.pos; o.num <= int64(n) {
		s.pos += int(o.num)
		return nil
	}
	s.seek(at + o.num)
	return nil
}

// lines reads one line, or two.
func (s *source) lines(o *op, kind argument, maxLine int64) (err error) {
	o.off, o.len, err = s.line(o.start)
	o.long = o.len > maxLine
	if err == nil && kind == argPair {
		o.second, o.secondLen, err = s.line(o.start)
		o.long = o.long || o.secondLen > maxLine
	}
	return err
}

// line finds the end of a line and stands behind it. An unpickler takes a last
// line without an end for cut off.
func (s *source) line(start int64) (off, length int64, err error) {
	off = s.offset()
	for {
		if n := bytes.IndexByte(s.buf[s.pos:], '\n'); n >= 0 {
			length = s.offset() + int64(n) - off
			s.pos += n + 1
			return off, length, nil
		}
		s.pos = len(s.buf)
		if err := s.need(1); err != nil {
			if errors.Is(err, ErrTruncated) {
				err = fmt.Errorf("offset %d: a line without end: %w", start, ErrTruncated)
			}
			return off, s.offset() - off, err
		}
	}
}

// bytes appends up to max bytes of data at off to dst.
func (s *source) bytes(dst []byte, off, length, most int64) ([]byte, error) {
	length = min(length, most)
	if in := off - s.base; in >= 0 && in+length <= int64(len(s.buf)) {
		return append(dst, s.buf[in:in+length]...), nil
	}
	at := len(dst)
	dst = append(dst, make([]byte, length)...)
	if n, err := s.data.ReadAt(dst[at:], off); err != nil && (!errors.Is(err, io.EOF) || int64(n) < length) {
		return dst[:at], fmt.Errorf("read pickle: offset %d: %w", off, err)
	}
	return dst, nil
}
