package onnx

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

// message is what onnx.proto says of a message: the encodings of its fields by
// their numbers. Repeated numbers may be packed or not.
type message struct {
	name   string
	fields map[int32]encoding
}

type encoding uint8

const (
	number encoding = iota + 1 // a varint
	single                     // four bytes
	bytes                      // text, bytes or a message
	numbers
	singles
	doubles
)

// takes reports whether a field may be encoded so.
func (e encoding) takes(w protobuf.Wire) bool {
	switch e {
	case number:
		return w == protobuf.Varint
	case single:
		return w == protobuf.Fixed32
	case bytes:
		return w == protobuf.Bytes
	case numbers:
		return w == protobuf.Varint || w == protobuf.Bytes
	case singles:
		return w == protobuf.Fixed32 || w == protobuf.Bytes
	case doubles:
		return w == protobuf.Fixed64 || w == protobuf.Bytes
	}
	return false
}

// The messages of onnx.proto up to IR version 13 that hold graphs or tensors.
var (
	modelMessage = message{"the model", map[int32]encoding{
		1: number, 2: bytes, 3: bytes, 4: bytes, 5: number, 6: bytes, 7: bytes, 8: bytes, 14: bytes, 20: bytes, 25: bytes, 26: bytes,
	}}
	graphMessage = message{"a graph", map[int32]encoding{
		1: bytes, 2: bytes, 5: bytes, 10: bytes, 11: bytes, 12: bytes, 13: bytes, 14: bytes, 15: bytes, 16: bytes,
	}}
	nodeMessage = message{"a node", map[int32]encoding{
		1: bytes, 2: bytes, 3: bytes, 4: bytes, 5: bytes, 6: bytes, 7: bytes, 8: bytes, 9: bytes, 10: bytes,
	}}
	attributeMessage = message{"an attribute", map[int32]encoding{
		1: bytes, 2: single, 3: number, 4: bytes, 5: bytes, 6: bytes, 7: singles, 8: numbers, 9: bytes, 10: bytes, 11: bytes,
		13: bytes, 14: bytes, 15: bytes, 20: number, 21: bytes, 22: bytes, 23: bytes,
	}}
	tensorMessage = message{"a tensor", map[int32]encoding{
		1: numbers, 2: number, 3: bytes, 4: singles, 5: numbers, 6: bytes, 7: numbers, 8: bytes, 9: bytes, 10: doubles, 11: numbers,
		12: bytes, 13: bytes, 14: number, 16: bytes,
	}}
	sparseMessage   = message{"a sparse tensor", map[int32]encoding{1: bytes, 2: bytes, 3: numbers}}
	functionMessage = message{"a function", map[int32]encoding{
		1: bytes, 2: number, 3: number, 4: bytes, 5: bytes, 6: bytes, 7: bytes, 8: bytes, 9: bytes, 10: bytes, 11: bytes, 12: bytes,
		13: bytes, 14: bytes,
	}}
	trainingMessage = message{"training", map[int32]encoding{1: bytes, 2: bytes, 3: bytes, 4: bytes}}
	opsetMessage    = message{"an operator set", map[int32]encoding{1: bytes, 2: number}}
	pairMessage     = message{"an entry", map[int32]encoding{1: bytes, 2: bytes}}
	valueMessage    = message{"a value", map[int32]encoding{1: bytes, 2: bytes, 3: bytes, 4: bytes}}
)

// IsModelField reports whether a model has such a field, for those who have to
// guess what a message is.
func IsModelField(f protobuf.Field) bool { return modelMessage.fields[f.Number].takes(f.Wire) }

// DataType is the type of a tensor's elements.
type DataType int32

// bits are the sizes of the types; text has none.
var bits = map[DataType]struct {
	name string
	bits uint64
}{
	1: {"float", 32}, 2: {"uint8", 8}, 3: {"int8", 8}, 4: {"uint16", 16}, 5: {"int16", 16}, 6: {"int32", 32}, 7: {"int64", 64},
	8: {"string", 0}, 9: {"bool", 8}, 10: {"float16", 16}, 11: {"double", 64}, 12: {"uint32", 32}, 13: {"uint64", 64},
	14: {"complex64", 64}, 15: {"complex128", 128}, 16: {"bfloat16", 16}, 17: {"float8e4m3fn", 8}, 18: {"float8e4m3fnuz", 8},
	19: {"float8e5m2", 8}, 20: {"float8e5m2fnuz", 8}, 21: {"uint4", 4}, 22: {"int4", 4}, 23: {"float4e2m1", 4}, 24: {"float8e8m0", 8},
	25: {"uint2", 2}, 26: {"int2", 2},
}

// String returns the type's name, or its number when it is not known.
func (d DataType) String() string {
	if t, ok := bits[d]; ok {
		return t.name
	}
	return fmt.Sprintf("type %d", int32(d))
}

// Bits returns the size of one element, 0 for text. ok is false for a type that
// is not known.
func (d DataType) Bits() (n uint64, ok bool) {
	t, ok := bits[d]
	return t.bits, ok
}
