package gguf

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// tensors reads the descriptions. Offsets become those in the file once it is
// known where the data begins.
func (r *reader) tensors(n uint64) error {
	clear(r.names)
	for range n {
		t := Tensor{Described: r.at}
		var err error
		if t.Name, err = r.short(1<<10, "a tensor's name"); err != nil {
			return err
		}
		at := Trouble{Kind: Impossible, Offset: t.Described, Name: t.Name}
		if len(t.Name) >= maxName {
			r.trouble(at, "the name of the tensor %.80q has %d bytes, readers keep %d", t.Name, len(t.Name), maxName-1)
		}
		if r.names[t.Name] {
			r.trouble(Trouble{Kind: Twice, Offset: t.Described, Name: t.Name}, "the tensor %.80q is given twice", t.Name)
		}
		r.names[t.Name] = true
		if err := r.shape(&t); err != nil {
			return err
		}
		kind, err := r.u32()
		if err != nil {
			return err
		}
		offset, err := r.u64()
		if err != nil {
			return err
		}
		t.Type = Type(kind)
		r.measure(&t)
		if offset%uint64(r.Alignment) != 0 {
			r.trouble(at, "the tensor %.80q begins at %d, the alignment is %d", t.Name, offset, r.Alignment)
		}
		if offset > math.MaxInt64/4 {
			r.trouble(Trouble{Kind: Outside, Offset: t.Described, Name: t.Name}, "the tensor %.80q begins at %d", t.Name, offset)
			continue
		}
		t.Offset = int64(offset)
		r.Tensors = append(r.Tensors, t)
	}
	return nil
}

// maxDims is how many dimensions ggml knows.
const maxDims = 4

func (r *reader) shape(t *Tensor) error {
	at := r.at
	dims, err := r.u32()
	if err != nil {
		return err
	}
	if dims > maxDims {
		return r.lie(Impossible, at, t.Name, "the tensor %.80q has %d dimensions", t.Name, dims)
	}
	t.Shape = make([]int64, 0, dims)
	for range dims {
		d, err := r.count()
		if err != nil {
			return err
		}
		if d == 0 || d > math.MaxInt64 {
			r.trouble(Trouble{Kind: Impossible, Offset: at, Name: t.Name}, "the tensor %.80q has a dimension of %d", t.Name, d)
			d = 0
		}
		t.Shape = append(t.Shape, int64(d))
	}
	return nil
}

// measure computes the length.
func (r *reader) measure(t *Tensor) {
	t.Length = -1
	elements, bytes, ok := t.Type.Block()
	at := Trouble{Kind: Impossible, Offset: t.Described, Name: t.Name}
	if !ok {
		at.Kind = Unknown
		r.trouble(at, "the tensor %.80q has the unknown type %d", t.Name, uint32(t.Type))
		return
	}
	n, first := uint64(1), uint64(1)
	for i, d := range t.Shape {
		over, low := bits.Mul64(n, uint64(d))
		if over != 0 || low > math.MaxInt64 {
			r.trouble(at, "the dimensions of the tensor %.80q overflow", t.Name)
			return
		}
		if n = low; i == 0 {
			first = uint64(d)
		}
	}
	if first%elements != 0 {
		r.trouble(at, "a row of the tensor %.80q has %d elements, a block of %s %d", t.Name, first, t.Type, elements)
		return
	}
	over, low := bits.Mul64(n/elements, bytes)
	if over != 0 || low > math.MaxInt64/4 {
		r.trouble(at, "the size of the tensor %.80q overflows", t.Name)
		return
	}
	t.Length = int64(low)
}

func (f *File) aligned(n int64) int64 { return (n + f.Alignment - 1) / f.Alignment * f.Alignment }

// place moves the tensors to where they are in the file, and compares them
// with each other and with the file.
func (r *reader) place() error {
	r.Data = r.aligned(r.at)
	order := make([]*Tensor, 0, len(r.Tensors))
	for i := range r.Tensors {
		r.Tensors[i].Offset += r.Data
		order = append(order, &r.Tensors[i])
	}
	slices.SortFunc(order, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length), cmp.Compare(a.Described, b.Described))
	})
	if err := r.zeros(r.at, min(r.Data, r.size)); err != nil {
		return err
	}
	at, known := r.Data, true // at is behind what came so far, when its end is known
	for _, t := range order {
		if err := r.between(t, at, known); err != nil {
			return err
		}
		known = t.Length >= 0
		at = max(at, t.Offset+max(t.Length, 0))
	}
	if !known || at >= r.size {
		return nil
	}
	end := min(r.aligned(at), r.size)
	if err := r.zeros(at, end); err != nil {
		return err
	}
	if end < r.size {
		r.trouble(Trouble{Kind: Hidden, Offset: end, Length: r.size - end}, "%d bytes behind the last tensor", r.size-end)
	}
	return nil
}

// between looks at a tensor and at what is before it.
func (r *reader) between(t *Tensor, at int64, known bool) error {
	trouble := Trouble{Offset: t.Described, Name: t.Name}
	end := t.Offset + max(t.Length, 0)
	switch {
	case t.Offset > r.size, t.Offset == r.size && end > t.Offset:
		trouble.Kind = Outside
		r.trouble(trouble, "the tensor %.80q begins at %d, the file ends at %d", t.Name, t.Offset, r.size)
	case end > r.size:
		trouble.Kind = Short
		r.trouble(trouble, "the tensor %.80q ends at %d, the file at %d", t.Name, end, r.size)
	}
	switch {
	case t.Offset < at:
		trouble.Kind = Overlap
		r.trouble(trouble, "the tensor %.80q shares bytes with another", t.Name)
	case !known || t.Offset > r.size:
	case t.Offset > r.aligned(at):
		trouble = Trouble{Kind: Hidden, Offset: at, Length: t.Offset - at, Name: t.Name}
		r.trouble(trouble, "%d bytes before the tensor %.80q belong to no tensor", t.Offset-at, t.Name)
	default:
		return r.zeros(at, t.Offset)
	}
	return nil
}

// maxPadding is how much padding is looked at; a larger alignment is reported.
const maxPadding = 64 << 10

// zeros wants padding to be zeros.
func (r *reader) zeros(from, to int64) error {
	to = min(to, from+maxPadding)
	for at := from; at < to; {
		r.at = at
		b, err := r.next(min(to-at, 4096))
		if err != nil {
			return fmt.Errorf("padding: %w", err)
		}
		if i := slices.IndexFunc(b, func(c byte) bool { return c != 0 }); i >= 0 {
			r.trouble(Trouble{Kind: Hidden, Offset: at + int64(i), Length: to - at - int64(i)}, "the padding at %d is not zero", from)
			return nil
		}
		at += int64(len(b))
	}
	return nil
}
