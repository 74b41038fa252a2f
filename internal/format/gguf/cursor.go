package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// cursor reads forward and skips without reading.
type cursor struct {
	data     io.ReaderAt
	size, at int64
	order    binary.ByteOrder
	buf      []byte
	from     int64 // where buf is
}

const window = 32 << 10

// next returns the next n bytes, of which there are few.
func (c *cursor) next(n int64) ([]byte, error) {
	if n > c.left() {
		return nil, fmt.Errorf("%d bytes at %d in a file of %d: %w", n, c.at, c.size, ErrTruncated)
	}
	if c.at < c.from || c.at+n > c.from+int64(len(c.buf)) {
		if c.buf == nil {
			c.buf = make([]byte, 0, window)
		}
		c.from, c.buf = c.at, c.buf[:min(window, c.left())]
		if got, err := c.data.ReadAt(c.buf, c.at); err != nil && (!errors.Is(err, io.EOF) || got < len(c.buf)) {
			return nil, fmt.Errorf("read gguf: %w", err)
		}
	}
	b := c.buf[c.at-c.from:][:n]
	c.at += n
	return b, nil
}

func (c *cursor) left() int64 { return c.size - c.at }

func (c *cursor) u32() (uint32, error) {
	b, err := c.next(4)
	if err != nil {
		return 0, err
	}
	return c.order.Uint32(b), nil
}

func (c *cursor) u64() (uint64, error) {
	b, err := c.next(8)
	if err != nil {
		return 0, err
	}
	return c.order.Uint64(b), nil
}

// number reads one value of that width, extended with zeros.
func (c *cursor) number(width int64) (uint64, error) {
	b, err := c.next(width)
	if err != nil {
		return 0, err
	}
	switch width {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(c.order.Uint16(b)), nil
	case 4:
		return uint64(c.order.Uint32(b)), nil
	}
	return c.order.Uint64(b), nil
}
