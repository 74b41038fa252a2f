// Package safetensors reads the headers of safetensors files: the names, types,
// shapes and places of tensors. It is stricter than the readers in use and
// names whatever they could disagree about as [Trouble]: keys given twice,
// numbers that are no whole numbers, ranges that do not tile the data. It reads
// the header only and none of the numbers.
package safetensors

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/format/jsontoken"
)

// Why a file is refused. Each error of [Read] that is not one of reading wraps
// one.
var (
	// ErrTruncated means that the file ends before its header does.
	ErrTruncated = errors.New("safetensors cut off")
	// ErrMalformed means that the header is no JSON object.
	ErrMalformed = errors.New("malformed safetensors")
	// ErrTooLong means that the header claims more bytes than the format
	// allows any.
	ErrTooLong = errors.New("header too long for safetensors")
	// ErrLimit means that a limit of this reader was reached.
	ErrLimit = errors.New("limit of the safetensors reader")
)

// MaxHeader is how long the format allows a header to be.
const MaxHeader = 100_000_000

// Limits bound what is kept. A zero field has its default.
type Limits struct {
	// Tensors is how many there may be: 250 000.
	Tensors int
	// Dims is how many dimensions one may have: 64.
	Dims int
	// Metadata is how many bytes of metadata are kept: 16 MiB.
	Metadata int
}

func (l Limits) filled() Limits {
	return Limits{Tensors: cmp.Or(l.Tensors, 250_000), Dims: cmp.Or(l.Dims, 64), Metadata: cmp.Or(l.Metadata, 16<<20)}
}

// DType is the type of a tensor's elements, as the format spells it.
type DType string

// widths are the sizes of the types in bits.
var widths = map[DType]uint64{
	"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
	"F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
	"C64": 64, "F64": 64, "I64": 64, "U64": 64,
}

// Bits returns the size of one element. ok is false for a type that is not
// known.
func (d DType) Bits() (n uint64, ok bool) {
	n, ok = widths[d]
	return n, ok
}

// Tensor is one tensor.
type Tensor struct {
	Name  string
	DType DType
	Shape []int64
	// Offset is where its bytes are in the file, Length how many there are.
	Offset, Length int64
	// Described is where the header names it.
	Described int64
}

// Pair is an entry of the metadata.
type Pair struct {
	Key, Value string
	Offset     int64
}

// File is the structure of a file. When Troubles is empty, the tensors tile
// the data from its first byte to the end of the file, each has a known type,
// and its shape and type make its length.
type File struct {
	// Tensors are in the order of their places.
	Tensors  []Tensor
	Metadata []Pair
	// Data is where the data begins.
	Data     int64
	Troubles []Trouble
	// More is how many troubles are not in the list.
	More int
}

// Trouble is something in which readers may disagree, or where bytes hide.
type Trouble struct {
	Kind TroubleKind
	// Offset and Length say where in the file.
	Offset, Length int64
	// Tensor is the name of the tensor it is about, if it is about one.
	Tensor, Text string
}

// TroubleKind says what sort of trouble it is.
type TroubleKind uint8

// The kinds of trouble.
const (
	// Twice is a key that an object has twice.
	Twice TroubleKind = iota + 1
	// Number is a size or an offset that is no whole number from zero on, or
	// that no file could have.
	Number
	// Extent means that shape and type do not make the length.
	Extent
	// Overlap means that two tensors share bytes.
	Overlap
	// Hole is data that belongs to no tensor, between them or before them.
	Hole
	// Tail is data behind the last tensor.
	Tail
	// Short means that the file ends within the data of a tensor.
	Short
	// Type is a type of elements that is not known.
	Type
	// Form is a header of another form than the format's, which some readers
	// accept.
	Form
)

const maxTroubles = 100

// Read reads the header of a file of that size.
func Read(data io.ReaderAt, size int64, lim Limits) (*File, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, fmt.Errorf("%d bytes: %w", size, ErrTruncated)
	}
	if _, err := data.ReadAt(prefix[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read length of header: %w", err)
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case n > MaxHeader:
		return nil, fmt.Errorf("header of %d bytes: %w", n, ErrTooLong)
	case n > uint64(size-8):
		return nil, fmt.Errorf("header of %d bytes in a file of %d: %w", n, size, ErrTruncated)
	case n < 2:
		return nil, fmt.Errorf("header of %d bytes: %w", n, ErrMalformed)
	}
	r := &reader{
		File: &File{Data: 8 + int64(n)}, lim: lim.filled(), size: size, names: map[string]bool{},
		in: jsontoken.New(io.NewSectionReader(data, 8, int64(n)), 8, jsontoken.Limits{Depth: 100}),
	}
	if err := r.header(); err != nil {
		return nil, err
	}
	r.tile()
	return r.File, nil
}

// trouble notes something.
func (f *File) trouble(t Trouble, format string, args ...any) {
	if len(f.Troubles) >= maxTroubles {
		f.More++
		return
	}
	t.Text = fmt.Sprintf(format, args...)
	f.Troubles = append(f.Troubles, t)
}
