package hdf5

import (
	"fmt"
	"math/bits"
)

// array is what the messages of an object say about a dataset.
type array struct {
	at       int64
	is       bool // there is a layout message
	layout   cursor
	out      Dataset
	external bool
}

// maxExtents is how many stretches of a dataset are told.
const maxExtents = 1000

// dataset tells the dataset that the object is, if it is one.
func (w *walker) dataset(p place, d *array) error {
	if !d.is && !d.external {
		return nil
	}
	d.out.Offset = d.at
	if err := w.trouble(p.path, d.at, w.layout(d)); err != nil {
		return visitorError{err}
	}
	return tell(w.v.Dataset(p.path, d.out))
}

// extent notes where a dataset has bytes.
func (w *walker) extent(d *array, at, n int64) error {
	if at == undefined || n == 0 {
		return nil
	}
	if at > w.size || n > w.size-at {
		return fmt.Errorf("%d bytes of data at %d of %d: %w", n, at, w.size, ErrMalformed)
	}
	w.use(at, n)
	if len(d.out.Extents) < maxExtents {
		d.out.Extents = append(d.out.Extents, Extent{at, n})
	}
	return nil
}

// The classes of layouts.
const (
	compact    = 0
	contiguous = 1
	chunked    = 2
	virtual    = 3
)

// layout reads where the bytes are.
func (w *walker) layout(d *array) error {
	c := &d.layout
	if !d.is {
		return nil
	}
	var err error
	switch version := c.int(1); version {
	case 1, 2:
		err = w.oldLayout(d, c)
	case 3, 4, 5:
		err = w.newLayout(d, c, version)
	default:
		err = fmt.Errorf("layout of version %d: %w", version, ErrUnsupported)
	}
	if err == nil && c.short {
		err = fmt.Errorf("layout ends early: %w", ErrMalformed)
	}
	return err
}

func (w *walker) oldLayout(d *array, c *cursor) error {
	rank, class := c.int(1), c.int(1)
	c.take(5)
	at := int64(undefined)
	if class != compact {
		at = w.address(c)
	}
	size := uint64(1)
	for range min(rank, 33) {
		high, low := bits.Mul64(size, c.number(4))
		if high != 0 || low > 1<<62 {
			return fmt.Errorf("layout of more bytes than there are numbers: %w", ErrMalformed)
		}
		size = low
	}
	switch class {
	case compact:
		n := c.int(4)
		start := c.at
		c.take(n)
		return w.extent(d, start, int64(n))
	case contiguous:
		return w.extent(d, at, int64(size))
	case chunked:
		return w.chunks(d, at, rank)
	}
	return fmt.Errorf("layout of class %d: %w", class, ErrUnsupported)
}

func (w *walker) newLayout(d *array, c *cursor, version int) error {
	switch class := c.int(1); class {
	case compact:
		n := c.int(2)
		start := c.at
		c.take(n)
		if c.short {
			return nil
		}
		return w.extent(d, start, int64(n))
	case contiguous:
		at, n := w.address(c), w.length(c)
		return w.extent(d, at, n)
	case chunked:
		if version == 3 {
			rank := c.int(1)
			return w.chunks(d, w.address(c), rank)
		}
		return w.newChunks(d, c)
	case virtual:
		return w.virtual(d, c)
	default:
		return fmt.Errorf("layout of class %d: %w", class, ErrUnsupported)
	}
}

// chunks walks the tree of a dataset in chunks; rank counts the element too.
func (w *walker) chunks(d *array, at int64, rank int) error {
	if rank < 1 || rank > 33 {
		return fmt.Errorf("chunks of rank %d: %w", rank, ErrMalformed)
	}
	if at == undefined {
		return nil
	}
	return w.tree(at, 1, 8+8*rank, func(at int64, key *cursor) error { return w.extent(d, at, int64(key.number(4))) })
}

// newChunks reads the layouts that HDF5 1.10 added. Of the indexes, only those
// of one chunk and of none are read.
func (w *walker) newChunks(d *array, c *cursor) error {
	flags, rank, width := c.int(1), c.int(1), c.int(1)
	if rank < 1 || rank > 33 || width < 1 || width > 8 {
		return fmt.Errorf("chunks of rank %d, width %d: %w", rank, width, ErrMalformed)
	}
	size := uint64(1)
	for range rank {
		high, low := bits.Mul64(size, c.number(width))
		if high != 0 || low > 1<<62 {
			return fmt.Errorf("chunk of more bytes than there are numbers: %w", ErrMalformed)
		}
		size = low
	}
	switch index := c.int(1); index {
	case 1:
		if flags&2 != 0 {
			size = uint64(w.length(c))
			c.take(4)
		}
		return w.extent(d, w.address(c), int64(size))
	default:
		w.blurred = true
		return fmt.Errorf("chunk index of kind %d: %w", index, ErrUnsupported)
	}
}

// virtual reads which datasets of which files make up this one.
func (w *walker) virtual(d *array, c *cursor) error {
	heap, index := w.address(c), c.int(4)
	if c.short {
		return nil
	}
	if heap == undefined {
		d.out.Virtual = append(d.out.Virtual, ".")
		return nil
	}
	b, at, err := w.heapObject(heap, index)
	if err != nil {
		d.out.Virtual = append(d.out.Virtual, "?")
		return err
	}
	v := &cursor{b: b, at: at}
	version := v.int(1)
	count := w.length(v)
	if version > 1 {
		d.out.Virtual = append(d.out.Virtual, "?")
		return fmt.Errorf("virtual dataset of version %d: %w", version, ErrUnsupported)
	}
	// Selections are of many kinds; only the first source is read, and others
	// are noted as not read.
	if version == 1 {
		v.take(1)
	}
	d.out.Virtual = append(d.out.Virtual, v.text())
	if count > 1 {
		d.out.Virtual = append(d.out.Virtual, "?")
	}
	if v.short {
		return fmt.Errorf("virtual dataset: %w", ErrMalformed)
	}
	return nil
}

// external reads the list of other files that hold a dataset's bytes.
func (w *walker) external(c *cursor, d *array) error {
	d.external = true
	version := c.int(1)
	c.take(3 + 2)
	used, heap := c.int(2), w.address(c)
	if version != 1 {
		d.out.External = append(d.out.External, "?")
		return fmt.Errorf("external files of version %d: %w", version, ErrUnsupported)
	}
	names, err := w.localHeap(heap)
	if err != nil {
		d.out.External = append(d.out.External, "?")
		return err
	}
	for range used {
		at := c.number(w.lengths)
		c.take(2 * w.lengths)
		if c.short {
			break
		}
		name, err := nameIn(names, at)
		if err != nil {
			name = "?"
		}
		d.out.External = append(d.out.External, name)
	}
	return nil
}

// filters reads the numbers of a dataset's filters.
func (w *walker) filters(c *cursor, d *array) error {
	version, count := c.int(1), c.int(1)
	switch version {
	case 1:
		c.take(6)
	case 2:
	default:
		return fmt.Errorf("filters of version %d: %w", version, ErrUnsupported)
	}
	for range min(count, 32) {
		id := c.int(2)
		named := version == 1 || id >= 256
		length := 0
		if named {
			length = c.int(2)
		}
		c.take(2) // flags
		values := c.int(2)
		if version == 1 {
			length = (length + 7) / 8 * 8
		}
		c.take(length + 4*values)
		if version == 1 && values%2 == 1 {
			c.take(4)
		}
		if c.short {
			return nil
		}
		d.out.Filters = append(d.out.Filters, uint16(id))
	}
	return nil
}
