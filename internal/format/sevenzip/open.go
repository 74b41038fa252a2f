package sevenzip

import (
	"bufio"
	"compress/bzip2"
	"compress/flate"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/weightwarden/weightwarden/internal/format/lzma"
)

// The ids of coders.
const (
	coderCopy    = "\x00"
	coderLZMA    = "\x03\x01\x01"
	coderLZMA2   = "\x21"
	coderDeflate = "\x04\x01\x08"
	coderBzip2   = "\x04\x02\x02"
	coderAES     = "\x06\xf1\x07\x01"
	coderX86     = "\x03\x03\x01\x03"
)

// readable says why a folder cannot be unpacked, or nil.
func (f *folder) readable() error {
	if f.foreign != "" {
		return fmt.Errorf("%s: %w", f.foreign, ErrUnsupported)
	}
	switch string(f.coder) {
	case coderAES:
		return ErrEncrypted
	case coderCopy, coderLZMA, coderLZMA2, coderDeflate, coderBzip2:
		return nil
	}
	return fmt.Errorf("coder % x: %w", f.coder, ErrUnsupported)
}

// open unpacks a folder from its start.
func (a *Archive) open(f *folder) (io.Reader, error) {
	if err := f.readable(); err != nil {
		return nil, err
	}
	data := bufio.NewReaderSize(io.NewSectionReader(a.data, f.offset, f.packed), 32<<10)
	var r io.Reader
	var err error
	switch string(f.coder) {
	case coderLZMA:
		r, err = lzma.NewRaw(f.properties, f.size, data)
	case coderLZMA2:
		r, err = lzma.NewRaw2(f.properties, f.size, data)
	case coderDeflate:
		r = flate.NewReader(data)
	case coderBzip2:
		r = bzip2.NewReader(data)
	default:
		r = data
	}
	switch {
	case errors.Is(err, lzma.ErrLimit):
		return nil, fmt.Errorf("%w: %w", err, ErrLimit)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, ErrMalformed)
	}
	if f.branch {
		r = newBranch(r)
	}
	return io.LimitReader(r, f.size), nil
}

// Opener unpacks the members of one archive. It goes on where it stands when
// they are asked for in their order, so that each folder is unpacked once.
type Opener struct {
	a      *Archive
	folder int
	at     int64
	r      io.Reader
	busy   bool
}

// NewOpener returns an opener. One goroutine uses it.
func (a *Archive) NewOpener() *Opener { return &Opener{a: a, folder: -1} }

// Open unpacks a member. The error of the reader wraps [ErrMalformed] where
// the content is not what the checksum says, at its end.
func (o *Opener) Open(m *Member) (io.ReadCloser, error) {
	if m.Err != nil {
		return nil, m.Err
	}
	if m.folder < 0 {
		return io.NopCloser(io.LimitReader(nil, 0)), nil
	}
	own := o
	if o.busy {
		own = o.a.NewOpener() // two members at once: the second starts anew
	}
	if own.folder != m.folder || own.at > m.start || own.r == nil {
		r, err := o.a.open(&o.a.folders[m.folder])
		if err != nil {
			return nil, err
		}
		own.folder, own.at, own.r = m.folder, 0, r
	}
	n, err := io.CopyN(io.Discard, own.r, m.start-own.at)
	own.at += n
	if err != nil {
		own.r = nil
		return nil, fmt.Errorf("the folder ends at %d: %w: %w", own.at, err, ErrTruncated)
	}
	own.busy = true
	return &content{o: own, m: m, left: m.Size, sum: crc32.NewIEEE()}, nil
}

// content is one member being unpacked.
type content struct {
	o    *Opener
	m    *Member
	left int64
	sum  hash.Hash32
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		if c.m.hasCRC && c.sum.Sum32() != c.m.crc {
			return 0, fmt.Errorf("checksum: %w", ErrMalformed)
		}
		return 0, io.EOF
	}
	n, err := c.o.r.Read(p[:min(int64(len(p)), c.left)])
	_, _ = c.sum.Write(p[:n])
	c.left -= int64(n)
	c.o.at += int64(n)
	switch {
	case errors.Is(err, io.EOF) && c.left > 0:
		return n, fmt.Errorf("%d bytes are missing: %w", c.left, ErrTruncated)
	case err != nil && !errors.Is(err, io.EOF):
		return n, fmt.Errorf("%w: %w", err, ErrMalformed)
	}
	return n, nil
}

// Close implements io.Closer.
func (c *content) Close() error {
	c.o.busy = false
	return nil
}
