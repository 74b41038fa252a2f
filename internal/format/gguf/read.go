package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// reader is a file while it is read.
type reader struct {
	*File
	cursor
	lim      Limits
	names    map[string]bool
	elements int
	kept     int64 // bytes of names
}

func (r *reader) read() error {
	r.order = binary.LittleEndian
	head, err := r.next(8)
	if err != nil {
		return err
	}
	if string(head[:4]) != Magic {
		return fmt.Errorf("no signature: %w", ErrMalformed)
	}
	r.Version = binary.LittleEndian.Uint32(head[4:])
	if r.Version&0xffff == 0 && r.Version != 0 {
		r.order, r.BigEndian = binary.BigEndian, true
		r.Version = binary.BigEndian.Uint32(head[4:])
		r.trouble(Trouble{Kind: Form, Offset: 4, Length: 4}, "the file is written for big-endian machines")
	}
	switch r.Version {
	case 1:
		r.trouble(Trouble{Kind: Old, Offset: 4, Length: 4}, "version 1, which readers of today refuse")
	case 2, 3:
	default:
		return fmt.Errorf("version %d: %w", r.Version, ErrVersion)
	}
	tensors, err := r.count()
	if err != nil {
		return err
	}
	keys, err := r.count()
	if err != nil {
		return err
	}
	if err := r.values(keys, tensors); err != nil {
		return err
	}
	if err := r.tensors(tensors); err != nil {
		return err
	}
	return r.place()
}

// count reads a number of things: 32 bits wide in version 1.
func (r *reader) count() (uint64, error) {
	if r.Version == 1 {
		n, err := r.u32()
		return uint64(n), err
	}
	return r.u64()
}

// lie ends reading: a claim cannot be true.
func (r *reader) lie(kind TroubleKind, at int64, name, format string, args ...any) error {
	r.trouble(Trouble{Kind: kind, Offset: at, Name: name}, format, args...)
	return errStop
}

// fits compares a claim of n times width bytes with what is left. A file that
// was merely cut off claims no more than a whole one could have.
func (r *reader) fits(n uint64, width int64, at int64, name, what string) error {
	if n <= uint64(r.left()/width) {
		return nil
	}
	if over, low := bits.Mul64(n, uint64(width)); over != 0 || low > uint64(max(16*r.size, 1<<20)) {
		return r.lie(Count, at, name, "%d %s in a file of %d bytes", n, what, r.size)
	}
	return fmt.Errorf("%d %s at %d in a file of %d: %w", n, what, at, r.size, ErrTruncated)
}

// Least bytes of a key with its value, and of the description of a tensor.
const (
	leastValue  = 8 + 1 + 4 + 1
	leastTensor = 8 + 1 + 4 + 4 + 8
)

func (r *reader) values(keys, tensors uint64) error {
	if over, _ := bits.Add64(keys, tensors, 0); over < keys {
		return r.lie(Count, 8, "", "%d keys and %d tensors in a file of %d bytes", keys, tensors, r.size)
	}
	if r.Version > 1 {
		if err := r.fits(keys, leastValue, 16, "", "keys"); err != nil {
			return err
		}
		if err := r.fits(tensors, leastTensor, 8, "", "tensors"); err != nil {
			return err
		}
	}
	if keys > uint64(r.lim.Keys) {
		return fmt.Errorf("%d keys: %w", keys, ErrLimit)
	}
	if tensors > uint64(r.lim.Tensors) {
		return fmt.Errorf("%d tensors: %w", tensors, ErrLimit)
	}
	for range keys {
		if err := r.value(); err != nil {
			return err
		}
	}
	return nil
}

// maxKey and maxName are the longest a key and a tensor's name may be; the
// latter has a byte for the end in C.
const (
	maxKey  = math.MaxUint16
	maxName = 64
	maxKept = 32 << 20
)

// short reads a string that must be short.
func (r *reader) short(most uint64, what string) (string, error) {
	at := r.at
	n, err := r.count()
	if err != nil {
		return "", err
	}
	if err := r.fits(n, 1, at, "", "bytes of "+what); err != nil {
		return "", err
	}
	if n > most {
		return "", r.lie(Count, at, "", "%s of %d bytes", what, n)
	}
	if r.kept += int64(n); r.kept > maxKept {
		return "", fmt.Errorf("more than %d bytes of names: %w", maxKept, ErrLimit)
	}
	var text strings.Builder
	for n > 0 {
		part := min(n, window/2)
		b, err := r.next(int64(part))
		if err != nil {
			return "", err
		}
		text.Write(b)
		n -= part
	}
	return text.String(), nil
}

func (r *reader) value() error {
	v := Value{Offset: r.at}
	var err error
	if v.Key, err = r.short(maxKey, "a key"); err != nil {
		return err
	}
	if r.names[v.Key] {
		r.trouble(Trouble{Kind: Twice, Offset: v.Offset, Name: v.Key}, "the key %.80q is given twice", v.Key)
	}
	r.names[v.Key] = true
	if odd(v.Key) {
		r.trouble(Trouble{Kind: Form, Offset: v.Offset, Name: v.Key}, "the key %.80q has characters that keys do not have", v.Key)
	}
	kind, err := r.u32()
	if err != nil {
		return err
	}
	v.Type = ValueType(kind)
	if err := r.content(&v); err != nil {
		return err
	}
	r.Values = append(r.Values, v)
	if v.Key == "general.alignment" {
		return r.align(v)
	}
	return nil
}

// odd reports whether a key has other characters than writers use.
func odd(key string) bool {
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return true
		}
	}
	return key == ""
}

// content reads a value that is no part of an array.
func (r *reader) content(v *Value) error {
	at := r.at
	var err error
	switch width := widths[v.Type]; {
	case width > 0:
		v.Bits, err = r.number(width)
		if err == nil && v.Type == Bool && v.Bits > 1 {
			r.trouble(Trouble{Kind: Form, Offset: at, Name: v.Key}, "the truth value %.80q is %d", v.Key, v.Bits)
		}
		return err
	case v.Type == String:
		span, err := r.span(v.Key)
		v.Strings = []Span{span}
		return err
	case v.Type == Array:
		return r.array(v, 1)
	}
	return r.lie(ValueKind, at-4, v.Key, "the value of %.80q has the type %d, which does not exist", v.Key, v.Type)
}

// span skips a string.
func (r *reader) span(key string) (Span, error) {
	at := r.at
	n, err := r.count()
	if err != nil {
		return Span{}, err
	}
	if err := r.fits(n, 1, at, key, "bytes of text"); err != nil {
		return Span{}, err
	}
	s := Span{r.at, int64(n)}
	r.at += s.Length
	return s, nil
}

// How deep arrays may be nested, and how many strings of one are kept.
const (
	maxDepth   = 8
	maxStrings = 64
)

// array reads an array at a depth; only the outermost is described.
func (r *reader) array(v *Value, depth int) error {
	at := r.at
	if depth > maxDepth {
		return r.lie(Depth, at, v.Key, "the arrays of %.80q are nested deeper than %d", v.Key, maxDepth)
	}
	kind, err := r.u32()
	if err != nil {
		return err
	}
	n, err := r.count()
	if err != nil {
		return err
	}
	element := ValueType(kind)
	if depth == 1 {
		v.Element, v.Count = element, n
	}
	least := widths[element]
	switch {
	case element == String, element == Array:
		least = 8
		if r.Version == 1 {
			least = 4
		}
	case least == 0:
		return r.lie(ValueKind, at, v.Key, "the elements of %.80q have the type %d, which does not exist", v.Key, kind)
	}
	if err := r.fits(n, least, at, v.Key, "elements"); err != nil {
		return err
	}
	if widths[element] > 0 {
		r.at += int64(n) * least
		return nil
	}
	for range n {
		if r.elements++; r.elements > r.lim.Elements {
			return fmt.Errorf("more than %d strings in arrays: %w", r.lim.Elements, ErrLimit)
		}
		if element == Array {
			if err := r.array(v, depth+1); err != nil {
				return err
			}
			continue
		}
		s, err := r.span(v.Key)
		if err != nil {
			return err
		}
		if depth == 1 && len(v.Strings) < maxStrings {
			v.Strings = append(v.Strings, s)
		}
	}
	return nil
}

// align takes the alignment from its key.
func (r *reader) align(v Value) error {
	at := Trouble{Offset: v.Offset, Name: v.Key}
	if v.Type != Uint32 {
		at.Kind = Form
		r.trouble(at, "the alignment has the type %d", v.Type)
	}
	if v.Bits == 0 || v.Bits&(v.Bits-1) != 0 || v.Bits > math.MaxUint32 {
		return r.lie(Impossible, v.Offset, v.Key, "the alignment is %d", v.Bits)
	}
	if v.Bits > maxPadding {
		at.Kind = Form
		r.trouble(at, "the alignment is %d", v.Bits)
	}
	r.Alignment = int64(v.Bits)
	return nil
}
