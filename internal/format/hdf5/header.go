package hdf5

import (
	"fmt"
	"path"
)

// The types of messages in an object header.
const (
	msgNil           = 0x00
	msgDataspace     = 0x01
	msgLinkInfo      = 0x02
	msgDatatype      = 0x03
	msgLink          = 0x06
	msgExternal      = 0x07
	msgLayout        = 0x08
	msgFilters       = 0x0b
	msgAttribute     = 0x0c
	msgContinuation  = 0x10
	msgSymbolTable   = 0x11
	msgDriver        = 0x14
	msgAttributeInfo = 0x15
	msgLast          = 0x18
)

// plain are messages that say nothing about where bytes are or lead: fill
// values, comments, times, B-tree ranks, counts.
var plain = map[int]bool{
	msgNil: true, 0x04: true, 0x05: true, 0x09: true, 0x0a: true, 0x0d: true, 0x0e: true, 0x0f: true, 0x12: true, 0x13: true,
	0x16: true, 0x17: true, msgLast: true,
}

// message is one message of an object header.
type message struct {
	kind   int
	shared bool
	cursor
}

// header reads all messages of the object at the address.
func (w *walker) header(at int64) ([]message, error) {
	lead, err := w.get(at, min(16, max(0, w.size-at)))
	if err != nil {
		return nil, err
	}
	if len(lead) >= 4 && string(lead[:4]) == "OHDR" {
		return w.newHeader(at)
	}
	return w.oldHeader(at, lead)
}

// block is a stretch of an object header.
type block struct{ at, length int64 }

func (w *walker) oldHeader(at int64, lead []byte) ([]message, error) {
	c := &cursor{b: lead, at: at}
	if version := c.int(1); version != 1 || len(lead) < 16 {
		return nil, fmt.Errorf("object header of version %d at %d: %w", version, at, ErrMalformed)
	}
	c.take(7)
	var list []message
	blocks := []block{{at + 16, int64(c.int(4))}}
	for n := 0; n < len(blocks); n++ {
		b, err := w.node(blocks[n].at, blocks[n].length, "")
		if err != nil {
			return list, err
		}
		c := &cursor{b: b, at: blocks[n].at}
		for len(c.b) >= 8 {
			kind, size, flags := c.int(2), c.int(2), c.int(1)
			c.take(3)
			list = append(list, w.messageOf(c, kind, size, flags))
			if c.short {
				return list, fmt.Errorf("message of %d bytes at %d: %w", size, c.at, ErrMalformed)
			}
			blocks = w.continued(blocks, list[len(list)-1])
		}
	}
	return list, nil
}

func (w *walker) messageOf(c *cursor, kind, size, flags int) message {
	at := c.at
	return message{kind: kind, shared: flags&2 != 0, cursor: cursor{b: c.take(size), at: at}}
}

// continued appends the block that a continuation message leads to.
func (w *walker) continued(blocks []block, m message) []block {
	if m.kind != msgContinuation {
		return blocks
	}
	return append(blocks, block{w.address(&m.cursor), w.length(&m.cursor)})
}

func (w *walker) newHeader(at int64) ([]message, error) {
	lead, err := w.get(at, min(34, w.size-at))
	if err != nil {
		return nil, err
	}
	c := &cursor{b: lead, at: at}
	c.take(4)
	version, flags := c.int(1), c.int(1)
	if version != 2 {
		return nil, fmt.Errorf("object header of version %d at %d: %w", version, at, ErrUnsupported)
	}
	if flags&0x20 != 0 {
		c.take(16)
	}
	if flags&0x10 != 0 {
		c.take(4)
	}
	size := int64(c.number(1 << (flags & 3)))
	if c.short || size < 0 || size > w.size {
		return nil, fmt.Errorf("object header of %d bytes at %d: %w", size, at, ErrMalformed)
	}
	var list []message
	blocks := []block{{c.at, size + 4}}
	for n := 0; n < len(blocks); n++ {
		sign := ""
		if n > 0 {
			sign = "OCHK"
		}
		b, err := w.node(blocks[n].at, blocks[n].length, sign)
		if err != nil {
			return list, err
		}
		c := &cursor{b: b[len(sign):max(len(sign), len(b)-4)], at: blocks[n].at + int64(len(sign))}
		lead := 4
		if flags&4 != 0 {
			lead = 6
		}
		for len(c.b) >= lead {
			kind, size, mark := c.int(1), c.int(2), c.int(1)
			c.take(lead - 4)
			list = append(list, w.messageOf(c, kind, size, mark))
			if c.short {
				return list, fmt.Errorf("message of %d bytes at %d: %w", size, c.at, ErrMalformed)
			}
			blocks = w.continued(blocks, list[len(list)-1])
		}
	}
	return list, nil
}

// object reads a group or dataset, tells what it has, and notes its children.
func (w *walker) object(p place) error {
	if w.objects[p.at] {
		return nil
	}
	if len(w.objects) >= w.lim.Objects {
		return fmt.Errorf("more than %d objects: %w", w.lim.Objects, ErrLimit)
	}
	w.objects[p.at] = true
	list, err := w.header(p.at)
	if err != nil && len(list) == 0 {
		return err
	}
	// What was read before the header broke still counts.
	if err := w.trouble(p.path, p.at, err); err != nil {
		return visitorError{err}
	}
	d := array{at: p.at}
	for n := range list {
		m := &list[n]
		if err := w.trouble(p.path, m.at, w.message(p, m, &d)); err != nil {
			return visitorError{err}
		}
	}
	return w.dataset(p, &d)
}

// message reads one message of an object.
func (w *walker) message(p place, m *message, d *array) (err error) {
	if m.shared && m.kind != msgAttribute && m.kind != msgDatatype && !plain[m.kind] {
		return fmt.Errorf("shared message of type %#x: %w", m.kind, ErrUnsupported)
	}
	switch c := &m.cursor; m.kind {
	case msgLink:
		err = w.linkMessage(p, c)
	case msgLinkInfo:
		err = w.linkInfo(p, c)
	case msgSymbolTable:
		err = w.symbolTable(p, c)
	case msgAttribute:
		if m.shared {
			return fmt.Errorf("shared attribute: %w", ErrUnsupported)
		}
		err = w.attribute(p, c)
	case msgAttributeInfo:
		err = w.attributeInfo(p, c)
	case msgExternal:
		err = w.external(c, d)
	case msgLayout:
		d.layout, d.is = *c, true
	case msgFilters:
		err = w.filters(c, d)
	case msgDataspace, msgDatatype, msgContinuation:
	case msgDriver:
		return fmt.Errorf("driver information: %w", ErrUnsupported)
	default:
		if !plain[m.kind] {
			return fmt.Errorf("message of type %#x: %w", m.kind, ErrUnsupported)
		}
	}
	if err == nil && m.short {
		return fmt.Errorf("message of type %#x ends early: %w", m.kind, ErrMalformed)
	}
	return err
}

// maxPath is how long a path may become. Longer ones are cut in the middle:
// it is for people only.
const maxPath = 400

func child(parent, name string) string {
	if len(name) > 100 {
		name = name[:100]
	}
	p := path.Join(parent, name)
	if len(p) > maxPath {
		p = p[:maxPath/2] + "…" + p[len(p)-maxPath/2:]
	}
	return p
}

// hard notes an object that a group names.
func (w *walker) hard(p place, name string, at int64) error {
	if at == undefined {
		return fmt.Errorf("link %.80q without an address: %w", name, ErrMalformed)
	}
	if !w.objects[at] {
		if len(w.todo) > w.lim.Nodes {
			return fmt.Errorf("more than %d links: %w", w.lim.Nodes, ErrLimit)
		}
		w.todo = append(w.todo, place{at, child(p.path, name)})
	}
	return nil
}
