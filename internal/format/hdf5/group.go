package hdf5

import "fmt"

// symbolTable reads a group of the old style.
func (w *walker) symbolTable(p place, c *cursor) error {
	tree, heap := w.address(c), w.address(c)
	if c.short || tree == undefined || heap == undefined {
		return fmt.Errorf("symbol table: %w", ErrMalformed)
	}
	names, err := w.localHeap(heap)
	if err != nil {
		return err
	}
	return w.tree(tree, 0, 0, func(at int64, _ *cursor) error { return w.symbols(p, at, names) })
}

// localHeap returns the data of a heap of names.
func (w *walker) localHeap(at int64) (*cursor, error) {
	head, err := w.node(at, int64(8+2*w.lengths+w.offsets), "HEAP")
	if err != nil {
		return nil, err
	}
	c := &cursor{b: head[8:]}
	size := w.length(c)
	w.length(c)
	data := w.address(c)
	b, err := w.get(data, size)
	return &cursor{b: b, at: data}, err
}

// nameIn returns the text at an offset of a heap.
func nameIn(heap *cursor, at uint64) (string, error) {
	if at > uint64(len(heap.b)) {
		return "", fmt.Errorf("name at %d of a heap of %d: %w", at, len(heap.b), ErrMalformed)
	}
	c := &cursor{b: heap.b[at:]}
	name := c.text()
	if c.short {
		return "", fmt.Errorf("name without an end: %w", ErrMalformed)
	}
	return name, nil
}

// maxLevels is how many levels a tree may have.
const maxLevels = 64

// tree walks a B-tree of version 1. kind is 0 for groups, 1 for chunks, whose
// keys have keyLength bytes. leaf is called with the address of each leaf's
// child and the key before it.
func (w *walker) tree(root int64, kind, keyLength int, leaf func(at int64, key *cursor) error) error {
	if kind == 0 {
		keyLength = w.lengths
	}
	type step struct {
		at    int64
		level int
	}
	todo := []step{{root, -1}}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		lead := int64(8 + 2*w.offsets)
		head, err := w.node(next.at, lead, "TREE")
		if err != nil {
			return err
		}
		c := &cursor{b: head[4:]}
		is, level, count := c.int(1), c.int(1), c.int(2)
		if is != kind || level > maxLevels || next.level >= 0 && level != next.level {
			return fmt.Errorf("tree of kind %d, level %d at %d: %w", is, level, next.at, ErrMalformed)
		}
		body, err := w.get(next.at+lead, int64(count*(keyLength+w.offsets)+keyLength))
		if err != nil {
			return err
		}
		c = &cursor{b: body, at: next.at + lead}
		for range count {
			key := &cursor{b: c.take(keyLength)}
			at := w.address(c)
			if level > 0 {
				todo = append(todo, step{at, level - 1})
				continue
			}
			if err := leaf(at, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// symbols reads one node of a group's tree.
func (w *walker) symbols(p place, at int64, names *cursor) error {
	head, err := w.node(at, 8, "SNOD")
	if err != nil {
		return err
	}
	c := &cursor{b: head[4:]}
	version := c.int(1)
	c.take(1)
	count := c.int(2)
	if version != 1 {
		return fmt.Errorf("symbol node of version %d: %w", version, ErrUnsupported)
	}
	entry := 2*w.offsets + 8 + 16
	body, err := w.get(at+8, int64(count*entry))
	if err != nil {
		return err
	}
	c = &cursor{b: body, at: at + 8}
	for range count {
		at := c.at // before it is taken: the two have no order in one literal
		e := &cursor{at: at, b: c.take(entry)}
		if err := w.trouble(p.path, e.at, w.symbol(p, e, names)); err != nil {
			return visitorError{err}
		}
	}
	return nil
}

// symbol reads one entry of a group.
func (w *walker) symbol(p place, e *cursor, names *cursor) error {
	name, err := nameIn(names, e.number(w.offsets))
	if err != nil {
		return err
	}
	at := e.at
	object := w.address(e)
	cache := e.int(4)
	e.take(4)
	switch cache {
	case 0, 1:
		return w.hard(p, name, object)
	case 2:
		target, err := nameIn(names, e.number(4))
		if err != nil {
			return err
		}
		return tell(w.v.Link(child(p.path, name), Link{Kind: SoftLink, Target: target, Offset: at}))
	}
	return fmt.Errorf("symbol %.80q of kind %d: %w", name, cache, ErrUnsupported)
}

// linkMessage reads a link of the new style.
func (w *walker) linkMessage(p place, c *cursor) error {
	at := c.at
	version, flags := c.int(1), c.int(1)
	if version != 1 {
		return fmt.Errorf("link of version %d: %w", version, ErrUnsupported)
	}
	kind := 0
	if flags&8 != 0 {
		kind = c.int(1)
	}
	if flags&4 != 0 {
		c.take(8)
	}
	if flags&16 != 0 {
		c.take(1)
	}
	name := string(c.take(c.int(1 << (flags & 3))))
	if c.short {
		return nil // the caller says so
	}
	if kind == 0 {
		return w.hard(p, name, w.address(c))
	}
	value := &cursor{b: c.take(c.int(2))}
	if c.short {
		return nil
	}
	l := Link{Kind: UserLink, Class: uint8(kind), Offset: at}
	switch {
	case kind == 1:
		l.Kind, l.Target = SoftLink, string(value.b)
	case kind == 64:
		value.take(1)
		l.Kind, l.File, l.Target = ExternalLink, value.text(), value.text()
	case kind < 64:
		return fmt.Errorf("link %.80q of kind %d: %w", name, kind, ErrUnsupported)
	}
	return tell(w.v.Link(child(p.path, name), l))
}

// linkInfo reads where a group of the new style keeps many links.
func (w *walker) linkInfo(p place, c *cursor) error {
	if version := c.int(1); version != 0 {
		return fmt.Errorf("link information of version %d: %w", version, ErrUnsupported)
	}
	if flags := c.int(1); flags&1 != 0 {
		c.take(8)
	}
	heap, names := w.address(c), w.address(c)
	if c.short || heap == undefined || names == undefined {
		return nil
	}
	return w.dense(heap, names, 5, 4, func(c *cursor) error { return w.trouble(p.path, c.at, w.linkMessage(p, c)) })
}

// attributeInfo reads where an object keeps many attributes.
func (w *walker) attributeInfo(p place, c *cursor) error {
	if version := c.int(1); version != 0 {
		return fmt.Errorf("attribute information of version %d: %w", version, ErrUnsupported)
	}
	if flags := c.int(1); flags&1 != 0 {
		c.take(2)
	}
	heap, names := w.address(c), w.address(c)
	if c.short || heap == undefined || names == undefined {
		return nil
	}
	return w.dense(heap, names, 8, 0, func(c *cursor) error { return w.trouble(p.path, c.at, w.attribute(p, c)) })
}
