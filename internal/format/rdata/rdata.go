// Package rdata walks what R serializes (saveRDS, save): it follows every item
// of the stream and reports promises that are not evaluated yet, which R
// evaluates as soon as somebody touches the object. Nothing is built and
// nothing is evaluated.
//
// It follows src/main/serialize.c of R 4 for the binary forms, big-endian (X)
// and of the machine (B), versions 2 and 3, byte code and alternative
// representations included. The form in ASCII is not read. Items nest without
// recursion here, and no length decides an allocation.
package rdata

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Why a stream is refused. Each error that is not one of reading wraps one.
var (
	// ErrMalformed means that R reads no further either.
	ErrMalformed = errors.New("malformed R data")
	// ErrTruncated means that the data ends early.
	ErrTruncated = errors.New("data of R cut off")
	// ErrUnsupported means the form in ASCII, or another version.
	ErrUnsupported = errors.New("form of R data that is not read")
	// ErrLimit means that a [Limits] was reached.
	ErrLimit = errors.New("limit of the R data reader")
)

// Limits bound one walk. A zero field has its default.
type Limits struct {
	// Items is the number of items: 50 million.
	Items int64
	// Depth is how many items may be unfinished: 1 million.
	Depth int
	// Promises is how many are reported: 100.
	Promises int
}

// Result is what a stream holds.
type Result struct {
	// Promises are the offsets of promises that are not evaluated yet.
	Promises []int64
	// End is the offset behind the stream.
	End   int64
	Items int64
}

// Walk follows the stream in the first size bytes of data. With an error, the
// result holds what came before.
func Walk(data io.ReaderAt, size int64, lim Limits) (Result, error) {
	w := &walker{
		r: bufio.NewReaderSize(io.NewSectionReader(data, 0, size), 32<<10), size: size,
		lim: Limits{cmp.Or(lim.Items, 50_000_000), cmp.Or(lim.Depth, 1_000_000), cmp.Or(lim.Promises, 100)},
	}
	err := w.header()
	if err == nil {
		w.push(task{what: anItem, count: 1})
		err = w.run()
	}
	w.result.End = w.at
	return w.result, err
}

// walker is one walk.
type walker struct {
	r        *bufio.Reader
	at, size int64
	order    binary.ByteOrder
	lim      Limits
	todo     []task
	result   Result
}

// work is a kind of thing that is still to be read.
type work uint8

const (
	anItem work = iota
	promiseValue
	byteCode
	constants  // of byte code: their number, then they
	constant   // of byte code
	expression // of byte code, which spells its calls in its own way
)

// task is work that is still to be done, and how often.
type task struct {
	what  work
	count int64
	at    int64 // of a promise
}

func (w *walker) push(t task) {
	if t.count > 0 {
		w.todo = append(w.todo, t)
	}
}

// run does what is to be done, the newest first.
func (w *walker) run() error {
	for len(w.todo) > 0 {
		top := &w.todo[len(w.todo)-1]
		t := *top
		if top.count--; top.count == 0 {
			w.todo = w.todo[:len(w.todo)-1]
		}
		if w.result.Items++; w.result.Items > w.lim.Items || len(w.todo) > w.lim.Depth {
			return fmt.Errorf("offset %d: %d items, %d of them open: %w", w.at, w.result.Items, len(w.todo), ErrLimit)
		}
		if err := w.do(t); err != nil {
			return fmt.Errorf("offset %d: %w", w.at, err)
		}
	}
	return nil
}

func (w *walker) do(t task) error {
	switch t.what {
	case byteCode: // the code is an item, its constants follow
		w.push(task{what: constants, count: 1})
		return w.item(task{})
	case constants:
		n, err := w.int()
		if err != nil {
			return err
		}
		return w.several(constant, int64(n), 4)
	case constant:
		return w.constant()
	case expression:
		kind, err := w.int()
		if err != nil {
			return err
		}
		return w.expression(kind)
	default:
		return w.item(t)
	}
}

// several pushes n pieces of work, of which each takes at least width bytes.
func (w *walker) several(what work, n, width int64) error {
	if n < 0 || n > (w.size-w.at)/width {
		return fmt.Errorf("%d items in %d bytes: %w", n, w.size-w.at, ErrMalformed)
	}
	w.push(task{what: what, count: n})
	return nil
}

// header reads what stands in front of the first item.
func (w *walker) header() error {
	magic, err := w.r.Peek(5)
	if len(magic) < 5 {
		return fmt.Errorf("%d bytes: %w: %w", len(magic), err, ErrTruncated)
	}
	if m := string(magic[:4]); m == "RDX2" || m == "RDX3" || m == "RDB2" || m == "RDB3" || m == "RDA2" || m == "RDA3" {
		if err := w.skip(5); err != nil {
			return err
		}
	}
	form, err := w.byte()
	if err != nil {
		return err
	}
	switch form {
	case 'X':
		w.order = binary.BigEndian
	case 'B':
		w.order = binary.LittleEndian
	default:
		return fmt.Errorf("form %q: %w", form, ErrUnsupported)
	}
	if err := w.skip(1); err != nil {
		return err
	}
	version, err := w.int()
	if err != nil {
		return err
	}
	if err := w.skip(8); err != nil {
		return err
	}
	switch version {
	case 2:
		return nil
	case 3: // and the name of an encoding
		n, err := w.int()
		if err != nil {
			return err
		}
		return w.skip(int64(n))
	}
	return fmt.Errorf("version %d: %w", version, ErrUnsupported)
}

func (w *walker) byte() (byte, error) {
	b, err := w.r.ReadByte()
	if err != nil {
		return 0, ended(err)
	}
	w.at++
	return b, nil
}

func (w *walker) int() (int32, error) {
	var b [4]byte
	n, err := io.ReadFull(w.r, b[:])
	w.at += int64(n)
	if err != nil {
		return 0, ended(err)
	}
	return int32(w.order.Uint32(b[:])), nil
}

// skip leaves out n bytes.
func (w *walker) skip(n int64) error {
	switch {
	case n < 0:
		return fmt.Errorf("length %d: %w", n, ErrMalformed)
	case n > w.size-w.at:
		return fmt.Errorf("%d bytes where %d are left: %w", n, w.size-w.at, ErrTruncated)
	}
	for n > 0 {
		d, err := w.r.Discard(int(min(n, 1<<30)))
		w.at += int64(d)
		n -= int64(d)
		if err != nil {
			return ended(err)
		}
	}
	return nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the stream ends early: %w", ErrTruncated)
	}
	return fmt.Errorf("read R data: %w", err)
}
