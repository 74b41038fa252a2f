package hdf5

import (
	"bytes"
	"fmt"
	"math/bits"
)

// The classes of types that hold text.
const (
	classString   = 3
	classVariable = 9
)

// datatype is what there is to know of a type.
type datatype struct {
	class int
	size  int64
	text  bool // of variable length, and of characters
}

// typeOf reads a datatype message.
func typeOf(c *cursor) (datatype, error) {
	lead := c.int(1)
	flags := c.number(3)
	t := datatype{class: lead & 15, size: int64(c.int(4))}
	t.text = t.class == classVariable && flags&15 == 1
	if c.short || lead>>4 == 0 || lead>>4 > 5 || t.class > 12 {
		return t, fmt.Errorf("datatype of class %d, version %d: %w", t.class, lead>>4, ErrMalformed)
	}
	return t, nil
}

// elements counts the elements of a dataspace message.
func (w *walker) elements(c *cursor) (uint64, error) {
	version, rank, flags := c.int(1), c.int(1), c.int(1)
	kind := 1
	switch version {
	case 1:
		c.take(5)
	case 2:
		kind = c.int(1)
	default:
		return 0, fmt.Errorf("dataspace of version %d: %w", version, ErrUnsupported)
	}
	if kind == 2 {
		return 0, nil
	}
	n := uint64(1)
	for range rank {
		high, low := bits.Mul64(n, uint64(w.length(c)))
		if high != 0 {
			return 0, fmt.Errorf("dataspace with more elements than there are numbers: %w", ErrMalformed)
		}
		n = low
	}
	if flags&1 != 0 {
		c.take(rank * w.lengths)
	}
	if c.short || rank > 32 {
		return 0, fmt.Errorf("dataspace of rank %d: %w", rank, ErrMalformed)
	}
	return n, nil
}

// attribute reads an attribute message.
func (w *walker) attribute(p place, c *cursor) error {
	version, flags := c.int(1), c.int(1)
	name, kind, space := c.int(2), c.int(2), c.int(2)
	pad := 1
	switch version {
	case 1:
		pad, flags = 8, 0
	case 2:
	case 3:
		c.take(1) // character set
	default:
		return fmt.Errorf("attribute of version %d: %w", version, ErrUnsupported)
	}
	part := func(n int) *cursor {
		at := c.at
		return &cursor{at: at, b: c.take((n + pad - 1) / pad * pad)}
	}
	a := Attribute{Name: string(bytes.TrimRight(part(name).b, "\x00"))}
	typeBytes, spaceBytes := part(kind), part(space)
	if c.short {
		return fmt.Errorf("attribute ends early: %w", ErrMalformed)
	}
	t, err := w.attributeType(typeBytes, flags&1 != 0)
	if err != nil {
		return fmt.Errorf("attribute %.80q: %w", a.Name, err)
	}
	if flags&2 != 0 {
		return fmt.Errorf("attribute %.80q with a shared dataspace: %w", a.Name, ErrUnsupported)
	}
	n, err := w.elements(spaceBytes)
	if err != nil {
		return fmt.Errorf("attribute %.80q: %w", a.Name, err)
	}
	if err := w.value(&a, c, t, n); err != nil {
		return fmt.Errorf("attribute %.80q: %w", a.Name, err)
	}
	return tell(w.v.Attribute(p.path, a))
}

// attributeType reads the type, or that of the object it refers to.
func (w *walker) attributeType(c *cursor, shared bool) (datatype, error) {
	if !shared {
		return typeOf(c)
	}
	version, kind := c.int(1), c.int(1)
	if version == 1 {
		c.take(6)
	}
	if version > 3 || version == 3 && kind != 2 {
		return datatype{}, fmt.Errorf("shared datatype of version %d, kind %d: %w", version, kind, ErrUnsupported)
	}
	at := w.address(c)
	if c.short || at == undefined {
		return datatype{}, fmt.Errorf("shared datatype: %w", ErrMalformed)
	}
	// Only the header's first block is asked: a committed type is small. It is
	// met again as an object, so that its block is not counted here.
	nodes := w.nodes
	w.nodes = map[int64]bool{}
	list, err := w.header(at)
	w.nodes = nodes
	for n := range list {
		if list[n].kind == msgDatatype && !list[n].shared {
			return typeOf(&list[n].cursor)
		}
	}
	if err == nil {
		err = fmt.Errorf("shared datatype at %d: %w", at, ErrMalformed)
	}
	return datatype{}, err
}

// value reads the strings of an attribute, or its bytes.
func (w *walker) value(a *Attribute, c *cursor, t datatype, n uint64) error {
	a.Offset = c.at
	high, total := bits.Mul64(n, uint64(t.size))
	if high != 0 || total > uint64(len(c.b)) {
		return fmt.Errorf("%d values of %d bytes in %d: %w", n, t.size, len(c.b), ErrMalformed)
	}
	data := c.take(int(total))
	switch {
	case t.class == classString && t.size > 0:
		for i := range min(n, uint64(w.lim.Strings)) {
			s := data[int64(i)*t.size : int64(i+1)*t.size]
			a.Strings = append(a.Strings, bytes.TrimRight(s, "\x00"))
		}
	case t.text:
		v := &cursor{b: data}
		for i := range min(n, uint64(w.lim.Strings)) {
			s, at, err := w.variable(v)
			if err != nil {
				return err
			}
			if i == 0 {
				a.Offset = at
			}
			a.Strings = append(a.Strings, s)
		}
	default:
		a.Raw = data
		return nil
	}
	if n > uint64(w.lim.Strings) {
		return fmt.Errorf("more than %d strings: %w", w.lim.Strings, ErrLimit)
	}
	return nil
}

// variable reads a string that is kept in a global heap.
func (w *walker) variable(c *cursor) ([]byte, int64, error) {
	length := int64(c.int(4))
	heap := w.address(c)
	index := c.int(4)
	if c.short {
		return nil, 0, fmt.Errorf("reference to a heap: %w", ErrMalformed)
	}
	if length == 0 || heap == undefined || heap == w.base {
		return nil, -1, nil
	}
	if length > w.lim.Text {
		return nil, 0, fmt.Errorf("string of %d bytes: %w", length, ErrLimit)
	}
	s, at, err := w.heapObject(heap, index)
	if err == nil && int64(len(s)) < length {
		err = fmt.Errorf("string of %d bytes in a heap object of %d: %w", length, len(s), ErrMalformed)
	}
	if err != nil {
		return nil, 0, err
	}
	return s[:length], at, nil
}

// maxHeaps is how many collections of the global heap are kept.
const maxHeaps = 16

// heapObject returns an object of the global heap.
func (w *walker) heapObject(at int64, index int) ([]byte, int64, error) {
	collection, ok := w.heaps[at]
	if !ok {
		head, err := w.get(at, int64(8+w.lengths))
		if err != nil {
			return nil, 0, err
		}
		c := &cursor{b: head}
		if string(c.take(4)) != "GCOL" {
			return nil, 0, fmt.Errorf("no GCOL at %d: %w", at, ErrMalformed)
		}
		c.take(4)
		if collection, err = w.get(at, w.length(c)); err != nil {
			return nil, 0, err
		}
		if len(w.heaps) >= maxHeaps {
			clear(w.heaps)
		}
		w.heaps[at] = collection
	}
	c := &cursor{b: collection, at: at}
	c.take(8 + w.lengths)
	for len(c.b) >= 8+w.lengths {
		is := c.int(2)
		c.take(6)
		size := w.length(c)
		if is == 0 || size > int64(len(c.b)) {
			break
		}
		if is == index {
			return c.b[:size], c.at, nil
		}
		c.take(int(min(int64(len(c.b)), (size+7)/8*8)))
	}
	return nil, 0, fmt.Errorf("no object %d in the heap at %d: %w", index, at, ErrMalformed)
}
