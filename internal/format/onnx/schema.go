package onnx

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

// The messages of onnx.proto up to IR version 13 that hold graphs or tensors.
var (
	modelMessage = protobuf.Schema{Name: "the model", Fields: map[int32]protobuf.Encoding{
		1: protobuf.Num, 2: protobuf.Len, 3: protobuf.Len, 4: protobuf.Len, 5: protobuf.Num, 6: protobuf.Len, 7: protobuf.Len, 8: protobuf.Len, 14: protobuf.Len, 20: protobuf.Len, 25: protobuf.Len, 26: protobuf.Len,
	}}
	graphMessage = protobuf.Schema{Name: "a graph", Fields: map[int32]protobuf.Encoding{
		1: protobuf.Len, 2: protobuf.Len, 5: protobuf.Len, 10: protobuf.Len, 11: protobuf.Len, 12: protobuf.Len, 13: protobuf.Len, 14: protobuf.Len, 15: protobuf.Len, 16: protobuf.Len,
	}}
	nodeMessage = protobuf.Schema{Name: "a node", Fields: map[int32]protobuf.Encoding{
		1: protobuf.Len, 2: protobuf.Len, 3: protobuf.Len, 4: protobuf.Len, 5: protobuf.Len, 6: protobuf.Len, 7: protobuf.Len, 8: protobuf.Len, 9: protobuf.Len, 10: protobuf.Len,
	}}
	attributeMessage = protobuf.Schema{Name: "an attribute", Fields: map[int32]protobuf.Encoding{
		1: protobuf.Len, 2: protobuf.F32, 3: protobuf.Num, 4: protobuf.Len, 5: protobuf.Len, 6: protobuf.Len, 7: protobuf.F32s, 8: protobuf.Nums, 9: protobuf.Len, 10: protobuf.Len, 11: protobuf.Len,
		13: protobuf.Len, 14: protobuf.Len, 15: protobuf.Len, 20: protobuf.Num, 21: protobuf.Len, 22: protobuf.Len, 23: protobuf.Len,
	}}
	tensorMessage = protobuf.Schema{Name: "a tensor", Fields: map[int32]protobuf.Encoding{
		1: protobuf.Nums, 2: protobuf.Num, 3: protobuf.Len, 4: protobuf.F32s, 5: protobuf.Nums, 6: protobuf.Len, 7: protobuf.Nums, 8: protobuf.Len, 9: protobuf.Len, 10: protobuf.F64s, 11: protobuf.Nums,
		12: protobuf.Len, 13: protobuf.Len, 14: protobuf.Num, 16: protobuf.Len,
	}}
	sparseMessage   = protobuf.Schema{Name: "a sparse tensor", Fields: map[int32]protobuf.Encoding{1: protobuf.Len, 2: protobuf.Len, 3: protobuf.Nums}}
	functionMessage = protobuf.Schema{Name: "a function", Fields: map[int32]protobuf.Encoding{
		1: protobuf.Len, 2: protobuf.Num, 3: protobuf.Num, 4: protobuf.Len, 5: protobuf.Len, 6: protobuf.Len, 7: protobuf.Len, 8: protobuf.Len, 9: protobuf.Len, 10: protobuf.Len, 11: protobuf.Len, 12: protobuf.Len,
		13: protobuf.Len, 14: protobuf.Len,
	}}
	trainingMessage = protobuf.Schema{Name: "training", Fields: map[int32]protobuf.Encoding{1: protobuf.Len, 2: protobuf.Len, 3: protobuf.Len, 4: protobuf.Len}}
	opsetMessage    = protobuf.Schema{Name: "an operator set", Fields: map[int32]protobuf.Encoding{1: protobuf.Len, 2: protobuf.Num}}
	pairMessage     = protobuf.Schema{Name: "an entry", Fields: map[int32]protobuf.Encoding{1: protobuf.Len, 2: protobuf.Len}}
	valueMessage    = protobuf.Schema{Name: "a value", Fields: map[int32]protobuf.Encoding{1: protobuf.Len, 2: protobuf.Len, 3: protobuf.Len, 4: protobuf.Len}}
)

// IsModelField reports whether a model has such a field, for those who have to
// guess what a message is.
func IsModelField(f protobuf.Field) bool { return modelMessage.Knows(f) }

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
