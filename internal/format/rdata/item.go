package rdata

import "fmt"

// The types of items (Rinternals.h, serialize.c).
const (
	symbol      = 1
	pairs       = 2
	closure     = 3
	environment = 4
	promise     = 5
	language    = 6
	special     = 7
	builtin     = 8
	chars       = 9
	logical     = 10
	integer     = 13
	double      = 14
	complexes   = 15
	strings     = 16
	dots        = 17
	vector      = 19
	expressions = 20
	codes       = 21
	pointer     = 22
	weak        = 23
	raw         = 24
	object      = 25

	alternative = 238
	attrPairs   = 239
	attrCall    = 240
	baseEnv     = 241
	emptyEnv    = 242
	repeatRef   = 243
	repeatDef   = 244
	persistent  = 247
	packages    = 248
	namespace   = 249
	baseSpace   = 250
	missing     = 251
	unbound     = 252
	global      = 253
	null        = 254
	reference   = 255
)

// The bits above the type.
const (
	hasAttributes = 1 << 9
	hasTag        = 1 << 10
)

// widths are the sizes of the elements of plain vectors.
var widths = map[int32]int64{logical: 4, integer: 4, double: 8, complexes: 16, raw: 1}

// item reads one item and pushes what is in it.
func (w *walker) item(t task) error {
	at := w.at
	flags, err := w.int()
	if err != nil {
		return err
	}
	kind := flags & 0xff
	if t.what == promiseValue && kind == unbound && len(w.result.Promises) < w.lim.Promises {
		w.result.Promises = append(w.result.Promises, t.at)
	}
	attributes := int64(0)
	if flags&hasAttributes != 0 {
		attributes = 1
	}
	switch kind {
	case null, emptyEnv, baseEnv, global, unbound, missing, baseSpace:
		return nil
	case reference:
		if flags>>8 != 0 {
			return nil
		}
		return w.skip(4)
	case symbol:
		w.push(task{count: 1})
	case pairs, closure, language, dots:
		w.push(task{count: 2 + attributes + int64(flags&hasTag)/hasTag})
	case promise: // value and expression come last
		w.push(task{count: 1})
		w.push(task{what: promiseValue, count: 1, at: at})
		w.push(task{count: attributes + int64(flags&hasTag)/hasTag})
	case environment:
		w.push(task{count: 4})
		return w.skip(4)
	case alternative:
		w.push(task{count: 3})
	case pointer:
		w.push(task{count: 2 + attributes})
	case weak, object:
		w.push(task{count: attributes})
	case persistent, packages, namespace:
		if err := w.skip(4); err != nil {
			return err
		}
		n, err := w.int()
		if err != nil {
			return err
		}
		return w.several(anItem, int64(n), 4)
	default:
		w.push(task{count: attributes}) // behind the content
		return w.content(kind)
	}
	return nil
}

// content reads the items that hold something of a length.
func (w *walker) content(kind int32) error {
	switch kind {
	case codes:
		w.push(task{what: byteCode, count: 1})
		return w.skip(4)
	case special, builtin, chars:
		n, err := w.int()
		if err != nil || n == -1 && kind == chars {
			return err
		}
		return w.skip(int64(n))
	case strings, vector, expressions:
		n, err := w.length()
		if err != nil {
			return err
		}
		return w.several(anItem, n, 4)
	}
	width, ok := widths[kind]
	if !ok {
		return fmt.Errorf("an item of type %d: %w", kind, ErrMalformed)
	}
	n, err := w.length()
	if err != nil {
		return err
	}
	if n > (w.size-w.at)/width {
		return fmt.Errorf("%d elements where %d bytes are left: %w", n, w.size-w.at, ErrTruncated)
	}
	return w.skip(n * width)
}

// length reads the length of a vector, which is long behind a -1.
func (w *walker) length() (int64, error) {
	n, err := w.int()
	if err != nil || n >= 0 {
		return int64(n), err
	}
	if n != -1 {
		return 0, fmt.Errorf("length %d: %w", n, ErrMalformed)
	}
	high, err := w.int()
	if err != nil {
		return 0, err
	}
	low, err := w.int()
	if err != nil {
		return 0, err
	}
	if high < 0 {
		return 0, fmt.Errorf("length %d: %w", high, ErrMalformed)
	}
	return int64(high)<<32 | int64(uint32(low)), nil
}

// constant reads a constant of byte code. Its type stands in front, and again
// in it where it is an item.
func (w *walker) constant() error {
	kind, err := w.int()
	if err != nil {
		return err
	}
	switch kind {
	case codes:
		w.push(task{what: byteCode, count: 1})
		return nil
	case language, pairs, repeatDef, repeatRef, attrCall, attrPairs:
		return w.expression(kind)
	}
	return w.item(task{})
}

// expression reads what follows the type of an expression of byte code.
func (w *walker) expression(kind int32) error {
	if kind == repeatRef {
		return w.skip(4)
	}
	if kind == repeatDef {
		if err := w.skip(4); err != nil {
			return err
		}
		var err error
		if kind, err = w.int(); err != nil {
			return err
		}
	}
	switch kind {
	case language, pairs, attrCall, attrPairs:
		w.push(task{what: expression, count: 2})
		w.push(task{count: 1}) // the tag
		if kind == attrCall || kind == attrPairs {
			w.push(task{count: 1})
		}
		return nil
	}
	return w.item(task{})
}
