package protobuf

import "slices"

// Schema is what the definition of a message says of its fields: their
// encodings by their numbers.
type Schema struct {
	// Name is what to call such a message: "a node".
	Name   string
	Fields map[int32]Encoding
}

// Encoding says how a field is encoded.
type Encoding uint8

// The encodings. Those of several numbers may be packed or not.
const (
	Num  Encoding = iota + 1 // a varint
	F32                      // four bytes
	Len                      // text, bytes or a message
	Nums                     // several varints
	F32s
	F64s
)

// takes are the wire types of the encodings.
var takes = map[Encoding][]Wire{
	Num: {Varint}, F32: {Fixed32}, Len: {Bytes}, Nums: {Varint, Bytes}, F32s: {Fixed32, Bytes}, F64s: {Fixed64, Bytes},
}

// Knows reports whether the message has such a field in such an encoding.
func (s Schema) Knows(f Field) bool {
	return slices.Contains(takes[s.Fields[f.Number]], f.Wire)
}

// Fields returns a schema's fields with the numbers given, all of one encoding.
func Fields(e Encoding, numbers ...int32) map[int32]Encoding {
	m := make(map[int32]Encoding, len(numbers))
	for _, n := range numbers {
		m[n] = e
	}
	return m
}
