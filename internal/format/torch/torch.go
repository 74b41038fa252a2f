// Package torch knows how torch lays out what it saves: the sizes of the
// elements of its storages, and the names of the members of its archives. It
// reads no bytes; pickles and zips have their own packages.
package torch

import "strings"

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

// Layout is where things are in a torch archive: everything lies in one
// folder, which the name of the first entry gives.
type Layout struct {
	// Root is the folder with its slash, or "" for archives without one.
	Root string
	// Script says that it is a TorchScript archive: it has code.
	Script bool
	// Exported says that it is an archive of torch.export or AOTInductor (pt2),
	// which has its weights elsewhere and no pickle of its own.
	Exported bool
}

// LayoutOf reads the layout from the names of an archive's members, in the
// order of its directory. ok is false for what is no torch archive.
func LayoutOf(names []string) (l Layout, ok bool) {
	for _, n := range names {
		if base, found := strings.CutSuffix(n, "data.pkl"); found && strings.Count(base, "/") <= 1 && (base == "" || strings.HasSuffix(base, "/")) {
			l.Root, ok = base, true
			break
		}
	}
	for _, n := range names {
		if base, found := strings.CutSuffix(n, "archive_format"); found && !ok && strings.Count(base, "/") <= 1 && (base == "" || strings.HasSuffix(base, "/")) {
			l.Root, l.Exported = base, true
		}
	}
	ok = ok || l.Exported
	for _, n := range names {
		l.Script = l.Script || ok && n == l.Root+"constants.pkl"
	}
	return l, ok
}

// Storage returns the key of the storage that a member holds.
func (l Layout) Storage(name string) (key string, ok bool) {
	for _, folder := range []string{"data/", "constants/"} {
		if key, found := strings.CutPrefix(name, l.Root+folder); found && digits(key) {
			return strings.TrimSuffix(folder, "data/") + key, true
		}
	}
	for _, folder := range []string{"data/weights/weight_", "data/constants/tensor_"} {
		if key, found := strings.CutPrefix(name, l.Root+folder); found && l.Exported && digits(key) {
			return folder + key, true
		}
	}
	return "", false
}

// Code reports whether a member is TorchScript code or what belongs to it.
func (l Layout) Code(name string) bool {
	return l.Script && strings.HasPrefix(name, l.Root+"code/") && strings.HasSuffix(name, ".py")
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
