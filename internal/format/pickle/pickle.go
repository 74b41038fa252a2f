// Package pickle runs pickle streams on a symbolic machine: the stack, the
// marks, the memo, frames and protocols are those of CPython's unpickler, the
// values on them only say where they come from. No object is built and no name
// is resolved.
//
// The machine follows Modules/_pickle.c and Lib/pickle.py of CPython 3.11 to
// 3.14. Where the two disagree, and where a reader could, it reports a
// [Trouble] and goes on as long as the next opcode's place is certain: what
// stands behind trouble may still run somewhere. It stops where every
// unpickler stops: at STOP, at an opcode that does not exist, at an argument
// that is cut off, at an empty stack and at an empty memo slot.
//
// It knows nothing of which names are harmless, and nothing of what stands
// behind STOP.
package pickle

import (
	"cmp"
	"errors"
	"fmt"
	"io"
)

// Why a stream ended before STOP. Each error of [Result.Err] wraps one.
var (
	// ErrMalformed means that no unpickler reads on.
	ErrMalformed = errors.New("malformed pickle")
	// ErrTruncated means that the data ends within the stream.
	ErrTruncated = errors.New("pickle cut off")
	// ErrLimit means that a [Limits] was reached.
	ErrLimit = errors.New("limit of the pickle machine")
)

// Limits bound one run. A zero field has its default.
type Limits struct {
	// Ops is the number of opcodes: 50 million.
	Ops int64
	// Stack is the height of the stack: 1 million values of 16 bytes.
	Stack int
	// Memo is the number of memo slots in use: 4 million of 8 bytes.
	Memo int
	// Objects is the number of containers and calls: 4 million of 16 bytes.
	// Four times as many values are kept to look into them, of 8 bytes.
	Objects int
	// Line is the length of a text argument that is looked at, in bytes: 64
	// KiB. A longer one is skipped.
	Line int64
}

// DefaultLimits are what zero fields mean.
var DefaultLimits = Limits{Ops: 50_000_000, Stack: 1_000_000, Memo: 4_000_000, Objects: 4_000_000, Line: 64 << 10}

func (l Limits) filled() Limits {
	d := DefaultLimits
	return Limits{
		Ops: cmp.Or(l.Ops, d.Ops), Stack: cmp.Or(l.Stack, d.Stack), Memo: cmp.Or(l.Memo, d.Memo),
		Objects: cmp.Or(l.Objects, d.Objects), Line: cmp.Or(l.Line, d.Line),
	}
}

// A Handler is told what happens. An error ends the run and is returned by
// [Run]. The event and what it refers to are valid during the call only.
type Handler func(m *Machine, e *Event) error

// Result is how a run ended.
type Result struct {
	// Stopped says that STOP was reached with a value on the stack.
	Stopped bool
	// End is the offset behind the last opcode that was read.
	End int64
	// Err says why the run ended before STOP; nil when it did not.
	Err error
	// Ops counts opcodes; Protocol is the last one declared, 0 without PROTO.
	Ops      int64
	Protocol int
	// Used are the opcodes that occurred.
	Used [256]bool
	// Value is what STOP returned.
	Value Value
}

// Run runs the stream that begins at start. Trouble in the stream is in the
// result; the error is that of reading or of the handler. size is that of data.
func Run(data io.ReaderAt, start, size int64, lim Limits, h Handler) (Result, error) {
	m := &Machine{src: newSource(data, start, size), lim: lim.filled(), handle: h, first: start}
	err := m.run()
	m.result.End = m.src.offset()
	if err != nil && !m.failed {
		return m.result, err
	}
	m.result.Err = err
	return m.result, nil
}

// fail ends the run because of what the stream is.
func (m *Machine) fail(kind error, format string, args ...any) error {
	m.failed = true
	return fmt.Errorf("offset %d: %s: %w", m.op.start, fmt.Sprintf(format, args...), kind)
}

func (m *Machine) run() error {
	for !m.result.Stopped {
		if err := m.next(); err != nil {
			return err
		}
		if m.result.Ops++; m.result.Ops > m.lim.Ops {
			return m.fail(ErrLimit, "more than %d opcodes", m.lim.Ops)
		}
		m.result.Used[m.op.code] = true
		if m.frameEnd != 0 {
			if err := m.frame(); err != nil {
				return err
			}
		}
		if err := opcodes[m.op.code].exec(m); err != nil {
			return err
		}
	}
	return nil
}

// next reads the next opcode with its argument.
func (m *Machine) next() error {
	err := m.src.next(&m.op, m.lim.Line)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrTruncated):
		m.failed = true
	}
	return err
}

// frame checks an opcode against the frame it should lie in. Unpicklers in C
// and in Python read different bytes when it does not.
func (m *Machine) frame() error {
	switch {
	case m.op.start >= m.frameEnd:
		m.frameEnd = 0
	case m.src.offset() > m.frameEnd:
		m.frameEnd = 0
		return m.trouble(FrameStraddled)
	case m.op.code == opFrame:
		return m.trouble(FrameInFrame)
	}
	return nil
}

// Op is an opcode as it stands in a stream.
type Op struct {
	Code   byte
	Name   string
	Offset int64
}

// Ops gives the opcodes of the stream at start to yield, up to and including
// STOP, without running it. The error is like that of [Result.Err], or that of
// reading.
func Ops(data io.ReaderAt, start, size int64, yield func(Op) bool) error {
	src := newSource(data, start, size)
	var o op
	for {
		if err := src.next(&o, DefaultLimits.Line); err != nil {
			return err
		}
		if !yield(Op{o.code, opcodes[o.code].name, o.start}) || o.code == opStop {
			return nil
		}
	}
}
