// Package numpy reads the headers of npy files as numpy writes them
// (numpy/lib/format.py). The header is a Python literal; it is parsed as one,
// and nothing in it is evaluated: exactly the keys descr, fortran_order and
// shape, each once. It is stricter than numpy where two readers could differ,
// and reads none of the array.
package numpy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"
)

// Why a header is refused. Each error of [ReadHeader] that is not one of
// reading wraps one.
var (
	// ErrMalformed means that it is not what numpy writes.
	ErrMalformed = errors.New("malformed npy")
	// ErrTruncated means that the file ends within the header.
	ErrTruncated = errors.New("npy cut off")
	// ErrLimit means that the header is longer than one million bytes.
	ErrLimit = errors.New("limit of the npy reader")
)

// Magic begins every file.
const Magic = "\x93NUMPY"

// maxHeader is the longest header that is read, in bytes. Numpy itself refuses
// more than ten thousand without allow_pickle.
const maxHeader = 1 << 20

// Header describes an array.
type Header struct {
	Version byte
	// Objects says that the elements, or parts of them, are Python objects: a
	// pickle follows.
	Objects bool
	// Data is where the array begins, Bytes how many bytes it takes; -1 with
	// Objects.
	Data, Bytes int64
	Descr       string
	Shape       []int64
}

// ReadHeader reads the header of an npy file of that size.
func ReadHeader(data io.ReaderAt, size int64) (*Header, error) {
	var b [12]byte
	n, err := data.ReadAt(b[:min(size, 12)], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read npy: %w", err)
	}
	if n < 10 || string(b[:6]) != Magic {
		return nil, fmt.Errorf("%d bytes: %w", n, ErrTruncated)
	}
	h := &Header{Version: b[6], Data: 10 + int64(binary.LittleEndian.Uint16(b[8:]))}
	start := int64(10)
	switch {
	case b[6] == 0 || b[6] > 3 || b[7] != 0:
		return nil, fmt.Errorf("version %d.%d: %w", b[6], b[7], ErrMalformed)
	case b[6] > 1:
		start, h.Data = 12, 12+int64(binary.LittleEndian.Uint32(b[8:]))
	}
	if h.Data-start > maxHeader {
		return nil, fmt.Errorf("header of %d bytes: %w", h.Data-start, ErrLimit)
	}
	if h.Data > size {
		return nil, fmt.Errorf("header of %d bytes in a file of %d: %w", h.Data-start, size, ErrTruncated)
	}
	text := make([]byte, h.Data-start)
	if _, err := data.ReadAt(text, start); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read npy: %w", err)
	}
	return h, h.parse(string(text))
}

// parse reads the literal.
func (h *Header) parse(text string) error {
	if strings.TrimRight(text, " \n\x00\t") == "" {
		return fmt.Errorf("empty header: %w", ErrMalformed)
	}
	p := parser{text: text}
	v, err := p.value(0)
	if err != nil {
		return err
	}
	if rest := strings.TrimSpace(text[p.at:]); rest != "" {
		return fmt.Errorf("header goes on with %.40q: %w", rest, ErrMalformed)
	}
	d, ok := v.(dict)
	if !ok || len(d) != 3 || d["descr"] == nil || d["shape"] == nil {
		return fmt.Errorf("header without exactly descr, fortran_order and shape: %w", ErrMalformed)
	}
	if _, ok := d["fortran_order"].(bool); !ok {
		return fmt.Errorf("fortran_order is no truth value: %w", ErrMalformed)
	}
	width, err := h.dtype(d["descr"], 0)
	if err != nil {
		return err
	}
	return h.extent(d["shape"], width)
}

// extent computes the number of bytes.
func (h *Header) extent(shape any, width uint64) error {
	dims, ok := shape.(tuple)
	if !ok {
		return fmt.Errorf("shape is no tuple: %w", ErrMalformed)
	}
	n := width
	for _, d := range dims {
		i, ok := d.(int64)
		if !ok || i < 0 {
			return fmt.Errorf("shape with something that is no size: %w", ErrMalformed)
		}
		h.Shape = append(h.Shape, i)
		over, low := bits.Mul64(n, uint64(i))
		if over != 0 || low > 1<<62 {
			return fmt.Errorf("shape overflows: %w", ErrMalformed)
		}
		n = low
	}
	h.Bytes = int64(n)
	if h.Objects {
		h.Bytes = -1
	}
	return nil
}

// dtype returns the size of one element of a descr: "<f8", or a list of fields.
func (h *Header) dtype(v any, depth int) (uint64, error) {
	switch v := v.(type) {
	case string:
		if depth == 0 {
			h.Descr = v
		}
		return h.scalar(v)
	case list:
		total := uint64(0)
		for _, field := range v {
			f, ok := field.(tuple)
			if !ok || len(f) < 2 || len(f) > 3 {
				return 0, fmt.Errorf("field that is no (name, type): %w", ErrMalformed)
			}
			width, err := h.dtype(f[1], depth+1)
			if err != nil {
				return 0, err
			}
			if len(f) == 3 {
				sub := Header{}
				if err := sub.extent(f[2], width); err != nil {
					return 0, err
				}
				width = uint64(sub.Bytes)
			}
			total += width
		}
		h.Descr = "structured"
		return total, nil
	case tuple: // (type, shape)
		if len(v) == 2 {
			return h.dtype(list{tuple{"", v[0], v[1]}}, depth+1)
		}
	}
	return 0, fmt.Errorf("descr of another form: %w", ErrMalformed)
}

// scalar reads "<f8", "|O", "|S10".
func (h *Header) scalar(s string) (uint64, error) {
	code := strings.TrimLeft(s, "<>|=")
	if code == "" || len(s)-len(code) > 1 {
		return 0, fmt.Errorf("type %.40q: %w", s, ErrMalformed)
	}
	if code[0] == 'O' {
		h.Objects = true
		return 8, nil
	}
	digits, _, _ := strings.Cut(code[1:], "[")
	width, err := strconv.ParseUint(digits, 10, 32)
	if err != nil && digits != "" || !strings.ContainsRune("?bBiufcmMSaUVhHlLqQedgpP", rune(code[0])) {
		return 0, fmt.Errorf("type %.40q: %w", s, ErrMalformed)
	}
	if digits == "" {
		width = map[byte]uint64{'?': 1, 'b': 1, 'B': 1, 'h': 2, 'H': 2, 'e': 2, 'i': 4, 'u': 4, 'f': 4, 'l': 8, 'L': 8, 'q': 8, 'Q': 8, 'd': 8, 'c': 8}[code[0]]
	}
	if code[0] == 'U' {
		width *= 4
	}
	return width, nil
}
