package hdf5

import (
	"fmt"
	"math/bits"
)

// dense calls each with the objects of a fractal heap that a B-tree of
// version 2 names. The heap's ids stand skip bytes into each record.
func (w *walker) dense(heapAt, treeAt int64, kind, skip int, each func(*cursor) error) error {
	heap, err := w.fractalHeap(heapAt)
	if err != nil {
		return err
	}
	return w.records(treeAt, kind, func(record *cursor) error {
		record.take(skip)
		object, err := heap.object(record)
		if err != nil {
			return err
		}
		if err := each(object); err != nil {
			return visitorError{err}
		}
		return nil
	})
}

// fractalHeap is a heap whose objects have ids.
type fractalHeap struct {
	w                      *walker
	offsetSize, lengthSize int
	maxDirect, start       uint64
	width, directRows      int
	root                   int64
	rows                   int
	bits                   int
	checked                bool
	blocks                 map[int64][]byte
}

func (w *walker) fractalHeap(at int64) (*fractalHeap, error) {
	head, err := w.node(at, int64(22+12*w.lengths+3*w.offsets+4), "FRHP")
	if err != nil {
		return nil, err
	}
	c := &cursor{b: head[4:]}
	version := c.int(1)
	c.take(2)
	filtered, flags := c.int(2), c.int(1)
	maxManaged := c.number(4)
	c.take(w.lengths + w.offsets + w.lengths + w.offsets + 8*w.lengths)
	h := &fractalHeap{w: w, checked: flags&2 != 0, blocks: map[int64][]byte{}}
	h.width = c.int(2)
	h.start, h.maxDirect = uint64(w.length(c)), uint64(w.length(c))
	h.bits = c.int(2)
	c.take(2)
	h.root, h.rows = w.address(c), c.int(2)
	switch {
	case version != 0 || filtered != 0:
		return nil, fmt.Errorf("fractal heap of version %d with filters of %d bytes: %w", version, filtered, ErrUnsupported)
	case c.short || h.width == 0 || h.width > 1024 || h.start == 0 || h.start > h.maxDirect || h.maxDirect > 1<<31 || h.bits == 0 || h.bits > 64 || h.rows > 1024:
		return nil, fmt.Errorf("fractal heap at %d: %w", at, ErrMalformed)
	}
	h.offsetSize = (h.bits + 7) / 8
	h.lengthSize = min((bits.Len64(h.maxDirect)+6)/8, (bits.Len64(maxManaged)+7)/8)
	h.directRows = bits.Len64(h.maxDirect) - bits.Len64(h.start) + 2
	return h, nil
}

// object returns the object with the id that the record has.
func (h *fractalHeap) object(id *cursor) (*cursor, error) {
	lead := id.int(1)
	switch lead >> 4 & 3 {
	case 0:
	case 2:
		return &cursor{b: id.take(lead&15 + 1)}, nil
	default:
		return nil, fmt.Errorf("huge object of a heap: %w", ErrUnsupported)
	}
	at, n := id.number(h.offsetSize), id.number(h.lengthSize)
	if id.short {
		return nil, fmt.Errorf("id of a heap's object: %w", ErrMalformed)
	}
	block, start, size, err := h.find(at)
	if err != nil {
		return nil, err
	}
	data, ok := h.blocks[block]
	if !ok {
		if data, err = h.w.node(block, int64(size), "FHDB"); err != nil {
			return nil, err
		}
		h.blocks[block] = data
	}
	from := at - start
	if from > uint64(len(data)) || n > uint64(len(data))-from {
		return nil, fmt.Errorf("heap's object of %d bytes at %d: %w", n, at, ErrMalformed)
	}
	return &cursor{b: data[from : from+n], at: block + int64(from)}, nil
}

// rowSize is the size of the blocks of a row.
func (h *fractalHeap) rowSize(row int) uint64 {
	if row < 2 {
		return h.start
	}
	if row > 63 {
		return 0
	}
	return h.start << (row - 1)
}

// find descends to the direct block that holds an offset of the heap.
func (h *fractalHeap) find(at uint64) (block int64, start, size uint64, err error) {
	block, rows := h.root, h.rows
	if rows == 0 {
		return block, 0, h.start, nil // the root is a direct block
	}
	for range maxLevels {
		entry, row, from, ok := h.entry(rows, at-start)
		if !ok {
			break
		}
		direct := min(rows, h.directRows) * h.width
		head := 5 + h.w.offsets + h.offsetSize
		b, err := h.indirect(block, head+(direct+max(0, rows-h.directRows)*h.width)*h.w.offsets)
		if err != nil {
			return 0, 0, 0, err
		}
		c := &cursor{b: b[head+entry*h.w.offsets:]}
		block, start = h.w.address(c), start+from
		if row < h.directRows {
			return block, start, h.rowSize(row), nil
		}
		rows = bits.Len64(h.rowSize(row)) - bits.Len64(h.start*uint64(h.width)) + 1
		if rows < 1 || rows > 1024 {
			break
		}
	}
	return 0, 0, 0, fmt.Errorf("heap offset %d: %w", at, ErrMalformed)
}

// indirect reads an indirect block, once.
func (h *fractalHeap) indirect(at int64, size int) ([]byte, error) {
	if b, ok := h.blocks[at]; ok {
		if len(b) < size {
			return nil, fmt.Errorf("indirect block at %d: %w", at, ErrMalformed)
		}
		return b, nil
	}
	b, err := h.w.node(at, int64(size), "FHIB")
	if err == nil {
		h.blocks[at] = b
		h.w.use(at+int64(size), 4)
	}
	return b, err
}

// entry finds the entry of an indirect block that holds an offset.
func (h *fractalHeap) entry(rows int, at uint64) (entry, row int, from uint64, ok bool) {
	var start uint64
	for row := range rows {
		size := h.rowSize(row)
		span := size * uint64(h.width)
		if size == 0 || span/size != uint64(h.width) || start+span < start {
			return 0, 0, 0, false
		}
		if at < start+span {
			n := (at - start) / size
			return row*h.width + int(n), row, start + n*size, true
		}
		start += span
	}
	return 0, 0, 0, false
}

// records walks a B-tree of version 2.
func (w *walker) records(at int64, kind int, each func(*cursor) error) error {
	head, err := w.node(at, int64(4+1+1+4+2+2+1+1+w.offsets+2+w.lengths+4), "BTHD")
	if err != nil {
		return err
	}
	c := &cursor{b: head[4:]}
	version, is := c.int(1), c.int(1)
	t := &recordTree{w: w, node: c.int(4), record: c.int(2), each: each}
	depth := c.int(2)
	c.take(2)
	root, count := w.address(c), c.int(2)
	if version != 0 || is != kind {
		return fmt.Errorf("tree of version %d, kind %d: %w", version, is, ErrUnsupported)
	}
	if c.short || t.record < 4 || t.node < 16 || int64(t.node) > w.lim.Block || depth > maxLevels {
		return fmt.Errorf("tree at %d: %w", at, ErrMalformed)
	}
	if root == undefined {
		return nil
	}
	t.plan(depth)
	return t.walk(root, count, depth)
}

// recordTree is a B-tree of version 2 while it is walked.
type recordTree struct {
	w            *walker
	node, record int
	each         func(*cursor) error
	// countSize is how many bytes hold the number of a child's records,
	// allSizes the same for whole subtrees, by depth.
	countSize int
	allSizes  []int
}

// plan works out how wide the pointers of each level are.
func (t *recordTree) plan(depth int) {
	const lead = 10
	most := uint64(max(0, t.node-lead) / t.record)
	all := most
	t.countSize = (bits.Len64(most) + 7) / 8
	t.allSizes = []int{0}
	for d := 1; d <= depth; d++ {
		pointer := t.w.offsets + t.countSize + t.allSizes[d-1]
		n := uint64(max(0, t.node-lead-pointer) / (t.record + pointer))
		high, low := bits.Mul64(n+1, all)
		if high != 0 || low+n < low {
			low = 1<<63 - n
		}
		all = low + n
		t.allSizes = append(t.allSizes, (bits.Len64(all)+7)/8)
	}
}

func (t *recordTree) walk(root int64, count, depth int) error {
	type step struct {
		at           int64
		count, depth int
	}
	todo := []step{{root, count, depth}}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		sign := "BTLF"
		if next.depth > 0 {
			sign = "BTIN"
		}
		b, err := t.w.node(next.at, int64(t.node), sign)
		if err != nil {
			return err
		}
		c := &cursor{b: b[6:], at: next.at + 6}
		if next.count*t.record > len(c.b) {
			return fmt.Errorf("%d records in a node of %d bytes: %w", next.count, t.node, ErrMalformed)
		}
		for range next.count {
			at := c.at
			r := &cursor{at: at, b: c.take(t.record)}
			if err := t.each(r); err != nil {
				return err
			}
		}
		for range next.count + 1 {
			if next.depth == 0 {
				break
			}
			s := step{t.w.address(c), c.int(t.countSize), next.depth - 1}
			c.take(t.allSizes[next.depth-1])
			if c.short {
				return fmt.Errorf("pointers of a node at %d: %w", next.at, ErrMalformed)
			}
			todo = append(todo, s)
		}
	}
	return nil
}
