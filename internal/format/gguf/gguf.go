// Package gguf reads the structure of GGUF files, versions 1 to 3 and either
// byte order: keys and values, and the names, types, shapes and places of
// tensors. It names as [Trouble] whatever readers written in C have stumbled
// over: counts and lengths that no file has, dimensions that overflow, tensors
// that lie outside or on each other. Strings and arrays are skipped, not read;
// so are the numbers.
package gguf

import (
	"cmp"
	"errors"
	"fmt"
	"io"
)

// Why a file is refused. Each error of [Read] that is not one of reading wraps
// one.
var (
	// ErrTruncated means that the file ends before its description does.
	ErrTruncated = errors.New("gguf cut off")
	// ErrVersion means that the version is not known.
	ErrVersion = errors.New("unknown version of gguf")
	// ErrMalformed means that it is no GGUF file.
	ErrMalformed = errors.New("malformed gguf")
	// ErrLimit means that a limit of this reader was reached.
	ErrLimit = errors.New("limit of the gguf reader")
)

// Magic begins every file.
const Magic = "GGUF"

// Limits bound what is kept. A zero field has its default.
type Limits struct {
	// Keys is how many keys there may be: 100 000.
	Keys int
	// Tensors is how many there may be: 250 000.
	Tensors int
	// Elements is how many strings and arrays may be in arrays, over all of
	// them: 20 million.
	Elements int
}

func (l Limits) filled() Limits {
	return Limits{Keys: cmp.Or(l.Keys, 100_000), Tensors: cmp.Or(l.Tensors, 250_000), Elements: cmp.Or(l.Elements, 20_000_000)}
}

// Span is a string's place in the file.
type Span struct{ Offset, Length int64 }

// Value is one entry of the metadata.
type Value struct {
	Key string
	// Offset is where the key begins.
	Offset int64
	Type   ValueType
	// Bits is the value of a number or truth value, as it stands in the file
	// and extended with zeros.
	Bits uint64
	// Strings are where the bytes of a string are, or of the first strings of
	// an array.
	Strings []Span
	// Element and Count describe an array.
	Element ValueType
	Count   uint64
}

// Tensor is one tensor.
type Tensor struct {
	Name string
	Type Type
	// Shape has the fastest dimension first.
	Shape []int64
	// Offset is where its bytes are in the file, Length how many there are;
	// Length is -1 when the type is not known.
	Offset, Length int64
	// Described is where the file names it.
	Described int64
}

// File is the structure of a file. When Troubles is empty, each tensor lies in
// the file behind the description, none shares bytes with another, and each has
// as many bytes as its type and shape make.
type File struct {
	Version   uint32
	BigEndian bool
	Alignment int64
	Values    []Value
	// Tensors are in the order of the file.
	Tensors []Tensor
	// Data is where the numbers begin. 0 when the description was not read to
	// its end.
	Data     int64
	Troubles []Trouble
	// More is how many troubles are not in the list.
	More int
}

// Trouble is something that breaks readers, or where bytes hide.
type Trouble struct {
	Kind           TroubleKind
	Offset, Length int64
	// Name is the key or the tensor it is about, if it is about one.
	Name, Text string
}

// TroubleKind says what sort of trouble it is.
type TroubleKind uint8

// The kinds of trouble. Behind the first three the file cannot be read on.
const (
	// Count is a number of things, or the length of one, that cannot be in
	// the file.
	Count TroubleKind = iota + 1
	// ValueKind is a type of value that does not exist.
	ValueKind
	// Depth means arrays in arrays in arrays.
	Depth
	// Impossible is a tensor or an alignment that cannot be.
	Impossible
	// Outside means that a tensor begins behind the end of the file.
	Outside
	// Twice is a key or a name that is given twice.
	Twice
	// Overlap means that two tensors share bytes.
	Overlap
	// Hidden is data that belongs to no tensor.
	Hidden
	// Short means that the file ends within a tensor.
	Short
	// Unknown is a type of elements that is not known.
	Unknown
	// Form is something that the usual writers do not write.
	Form
	// Old is a version that readers of today refuse.
	Old
)

const maxTroubles = 100

func (f *File) trouble(t Trouble, format string, args ...any) {
	if len(f.Troubles) >= maxTroubles {
		f.More++
		return
	}
	t.Text = fmt.Sprintf(format, args...)
	f.Troubles = append(f.Troubles, t)
}

// errStop ends reading after a trouble behind which nothing can be read.
var errStop = errors.New("stop")

// Read reads the description in a file of that size.
func Read(data io.ReaderAt, size int64, lim Limits) (*File, error) {
	r := &reader{File: &File{Alignment: 32}, cursor: cursor{data: data, size: size}, lim: lim.filled(), names: map[string]bool{}}
	err := r.read()
	switch {
	case errors.Is(err, errStop):
		return r.File, nil
	case err != nil:
		return nil, err
	}
	return r.File, nil
}
