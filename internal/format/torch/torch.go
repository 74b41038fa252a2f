// Package torch knows how torch lays out what it saves: the sizes of the
// elements of its storages, and the names of the members of its archives. It
// reads no bytes; pickles and zips have their own packages.
package torch

// elementSizes are the sizes in bytes of one element of each class of storage
// (c10/core/ScalarType.h).
var elementSizes = map[string]int64{
	"DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
	"ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexDoubleStorage": 16,
	"ComplexFloatStorage": 8, "QUInt8Storage": 1, "QInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1,
	"QUInt2x4Storage": 1, "UntypedStorage": 1, "_UntypedStorage": 1,
}

// ElementSize returns the size in bytes of one element of a class of storage,
// by the last part of its name. ok is false for a class that is not known.
func ElementSize(class string) (size int64, ok bool) {
	size, ok = elementSizes[class]
	return size, ok
}

// Magic is the number in the first pickle of a legacy file,
// 0x1950a86a20f9469cfc6c, as the opcodes that follow PROTO 2.
const Magic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
