// Package lzma reads what is compressed with LZMA and LZMA2: streams of xz,
// streams of the older form ("lzma alone"), and the bare data of 7z archives.
//
// The decoder is a library's; what surrounds it is read here, because the
// library allocates the dictionary that a header asks for, and a header can
// ask for four gigabytes. [ReadXZ] looks at all headers of a file first, at
// those of the chunks inside the blocks too, and decompresses nothing. A
// dictionary is never larger than what comes out, nor than [MaxDictionary].
//
// Filters other than LZMA2 are not read: [ErrUnsupported] says so. Checks
// of the content are verified.
package lzma

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// Why data is refused. Each error that is not one of reading wraps one.
var (
	// ErrMalformed means that no decoder reads on.
	ErrMalformed = errors.New("malformed lzma")
	// ErrTruncated means that the data ends early.
	ErrTruncated = errors.New("lzma cut off")
	// ErrUnsupported means a filter or a check that is not known here.
	ErrUnsupported = errors.New("form of lzma that is not read")
	// ErrLimit means that a dictionary is larger than [MaxDictionary].
	ErrLimit = errors.New("limit of the lzma reader")
)

// MaxDictionary is the largest dictionary that is read with, in bytes: what
// the highest level of xz uses.
const MaxDictionary = 64 << 20

// aloneHeader is the length of the header of the older form: properties,
// dictionary, size of the content.
const aloneHeader = 13

// NewAlone decompresses a stream of the older form.
func NewAlone(r io.Reader) (io.Reader, error) {
	var h [aloneHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, fmt.Errorf("header: %w", cutOff(err))
	}
	return open(h, r)
}

// NewRaw decompresses LZMA whose properties (one byte, and the size of the
// dictionary in four) stand elsewhere, to size bytes.
func NewRaw(properties []byte, size int64, r io.Reader) (io.Reader, error) {
	if len(properties) != 5 || size < 0 {
		return nil, fmt.Errorf("%d bytes of properties: %w", len(properties), ErrMalformed)
	}
	var h [aloneHeader]byte
	copy(h[:], properties)
	binary.LittleEndian.PutUint64(h[5:], uint64(size))
	return open(h, r)
}

// open checks a header and decompresses what follows.
func open(h [aloneHeader]byte, r io.Reader) (io.Reader, error) {
	dictionary, size := int64(binary.LittleEndian.Uint32(h[1:])), int64(binary.LittleEndian.Uint64(h[5:]))
	if size >= 0 {
		dictionary = min(dictionary, max(size, lzma.MinDictCap))
	}
	if dictionary > MaxDictionary {
		return nil, fmt.Errorf("dictionary of %d bytes: %w", dictionary, ErrLimit)
	}
	binary.LittleEndian.PutUint32(h[1:], uint32(dictionary))
	d, err := lzma.ReaderConfig{DictCap: MaxDictionary}.NewReader(io.MultiReader(bytes.NewReader(h[:]), r))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cutOff(err), ErrMalformed)
	}
	return decoder{d}, nil
}

// NewRaw2 decompresses LZMA2 with a dictionary as its properties (one byte)
// say. most is how much comes out, or more.
func NewRaw2(properties []byte, most int64, r io.Reader) (io.Reader, error) {
	if len(properties) != 1 || properties[0] > 40 {
		return nil, fmt.Errorf("properties % x: %w", properties, ErrMalformed)
	}
	return chunks(dictionarySize(properties[0]), most, r)
}

// dictionarySize decodes the byte in which LZMA2 has it.
func dictionarySize(b byte) int64 {
	if b >= 40 {
		return 1<<32 - 1
	}
	return (2 | int64(b&1)) << (b/2 + 11)
}

func chunks(dictionary, most int64, r io.Reader) (io.Reader, error) {
	dictionary = max(min(dictionary, most), lzma.MinDictCap)
	if dictionary > MaxDictionary {
		return nil, fmt.Errorf("dictionary of %d bytes: %w", dictionary, ErrLimit)
	}
	d, err := lzma.Reader2Config{DictCap: int(dictionary)}.NewReader2(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cutOff(err), ErrMalformed)
	}
	return decoder{d}, nil
}

// decoder gives the library's errors a kind.
type decoder struct{ r io.Reader }

// Read implements io.Reader.
func (d decoder) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = cutOff(err)
	default:
		err = fmt.Errorf("%w: %w", err, ErrMalformed)
	}
	return n, err
}

// cutOff says that data ended where more was to come.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the data ends early: %w", ErrTruncated)
	}
	return err
}
