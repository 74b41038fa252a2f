package onnx

import (
	"fmt"
	"math"
	mathbits "math/bits"
	"slices"

	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

// maxDims is how many dimensions a tensor may have, maxExternal how many
// entries about external data.
const (
	maxDims     = 1000
	maxExternal = 100
)

// content is what a tensor has of data beside raw bytes.
type content struct {
	fields map[int32]bool // those with data
	counts map[int32]int64
	region bool
}

// tensor reads a tensor, without its numbers.
func (r *reader) tensor(f protobuf.Field, at place) (*Tensor, error) {
	if len(r.Tensors) >= r.lim.Tensors {
		return nil, fmt.Errorf("more than %d tensors: %w", r.lim.Tensors, ErrLimit)
	}
	t := &Tensor{Where: at.where, Length: -1, Bytes: -1, Described: f.Offset}
	r.Tensors = append(r.Tensors, t)
	c := content{fields: map[int32]bool{}, counts: map[int32]int64{}}
	err := r.each(r.s.Sub(f), tensorMessage, at, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 1:
			err = r.dims(t, f)
		case 2:
			t.Type = DataType(int32(f.Value))
			if f.Value > math.MaxInt32 {
				t.Type = -1
			}
		case 3:
			c.region = true
		case 4, 5, 6, 7, 10, 11:
			c.fields[f.Number] = true
			c.counts[f.Number] += r.elements(f)
		case 8:
			t.Name, err = r.str(f)
		case 9:
			c.fields[9] = true
			t.Offset, t.Length = f.Data, f.Length
		case 13:
			err = r.external(t, f, at)
		case 14:
			t.Elsewhere = f.Value == 1
		default: // texts about it
		}
		return err
	})
	if err == nil {
		r.compare(t, c)
	}
	return t, err
}

func (r *reader) dims(t *Tensor, f protobuf.Field) error {
	return r.s.Packed(f, func(n uint64) error {
		if len(t.Shape) >= maxDims {
			return fmt.Errorf("a tensor of more than %d dimensions: %w", maxDims, ErrLimit)
		}
		t.Shape = append(t.Shape, int64(n))
		return nil
	})
}

// external reads one entry about external data.
func (r *reader) external(t *Tensor, f protobuf.Field, at place) error {
	if len(t.External) >= maxExternal {
		return fmt.Errorf("more than %d entries of external data: %w", maxExternal, ErrLimit)
	}
	p := Pair{Offset: f.Offset}
	err := r.each(r.s.Sub(f), pairMessage, at, func(f protobuf.Field) (err error) {
		if f.Number == 1 {
			p.Key, err = r.str(f)
		} else {
			p.Value, err = r.str(f)
		}
		return err
	})
	t.External = append(t.External, p)
	return err
}

// elements counts the elements of a field of numbers; -1<<40 for packed ones of
// varying width, which would have to be read to be counted.
func (r *reader) elements(f protobuf.Field) int64 {
	switch {
	case f.Wire != protobuf.Bytes || f.Number == 6:
		return 1
	case f.Number == 4:
		return f.Length / 4
	case f.Number == 10:
		return f.Length / 8
	}
	return -1 << 40
}

// fieldsOf are the fields in which a type keeps its numbers when they are not
// raw, and how many of them make an element.
func fieldsOf(d DataType) (field int32, each int64) {
	switch d {
	case 1:
		return 4, 1
	case 14:
		return 4, 2
	case 11:
		return 10, 1
	case 15:
		return 10, 2
	case 7:
		return 7, 1
	case 12, 13:
		return 11, 1
	case 8:
		return 6, 1
	}
	return 5, 1
}

// compare holds the parts of a tensor against each other.
func (r *reader) compare(t *Tensor, c content) {
	lie := func(format string, args ...any) {
		r.trouble(Trouble{Kind: Shape, Offset: t.Described, Where: t.Where, Name: t.Name}, "the tensor %.80q "+format, append([]any{t.Name}, args...)...)
	}
	width, known := t.Type.Bits()
	if !known {
		if t.Type == 0 && len(c.fields) == 0 && len(t.External) == 0 {
			return // a tensor that is not set
		}
		r.trouble(Trouble{Kind: Unknown, Offset: t.Described, Where: t.Where, Name: t.Name}, "the tensor %.80q has the unknown %s", t.Name, t.Type)
		return
	}
	elements, ok := product(t.Shape)
	if !ok {
		lie("has dimensions that are negative or overflow: %.60s", fmt.Sprint(t.Shape))
		return
	}
	if width > 0 {
		over, low := mathbits.Mul64(uint64(elements), width)
		if over != 0 || low > math.MaxInt64-7 {
			lie("has a size that overflows")
			return
		}
		t.Bytes = int64((low + 7) / 8)
	}
	external := t.Elsewhere || len(t.External) > 0
	switch {
	case len(c.fields) > 1:
		lie("has data in several fields")
	case external && len(c.fields) > 0:
		lie("has data here and outside")
	case t.Length >= 0 && width == 0:
		lie("is text and has raw data")
	case t.Length >= 0 && t.Length != t.Bytes:
		lie("has %d bytes, its shape and type make %d", t.Length, t.Bytes)
	case c.region || external || t.Length >= 0:
	case len(c.fields) == 0:
		if elements != 0 {
			lie("has no data")
		}
	default:
		r.counted(t, c, elements, lie)
	}
}

// counted compares the number of elements where it is cheap to know.
func (r *reader) counted(t *Tensor, c content, elements int64, lie func(string, ...any)) {
	field, each := fieldsOf(t.Type)
	if !c.fields[field] {
		lie("has data in a field of another type")
		return
	}
	if got := c.counts[field]; got >= 0 && field != 5 && got != elements*each {
		lie("has %d numbers, its shape makes %d", got, elements*each)
	}
}

// product multiplies dimensions.
func product(shape []int64) (n int64, ok bool) {
	if slices.Contains(shape, 0) {
		return 0, !slices.ContainsFunc(shape, func(d int64) bool { return d < 0 })
	}
	total := uint64(1)
	for _, d := range shape {
		over, low := mathbits.Mul64(total, uint64(d))
		if d < 0 || over != 0 || low > math.MaxInt64/2 {
			return 0, false
		}
		total = low
	}
	return int64(total), true
}
