package pickle

import (
	"bytes"
	"math"
	"strconv"
)

func (m *Machine) none() error    { return m.push(Value{kind: None}) }
func (m *Machine) float() error   { return m.push(Value{kind: Float}) }
func (m *Machine) number() error  { return m.push(Value{kind: Int, x: uint64(m.op.num)}) }
func (m *Machine) boolean() error { return m.push(Value{kind: Bool, x: uint64(0x89 - m.op.code)}) }

// long reads a number of up to eight bytes, little-endian two's complement.
func (m *Machine) long() error {
	if m.op.len > 8 {
		return m.push(Value{kind: BigInt})
	}
	b, err := m.src.bytes(m.scratch[:0], m.op.off, m.op.len, 8)
	if err != nil {
		return err
	}
	m.scratch = b
	var x uint64
	for i, c := range b {
		x |= uint64(c) << (8 * i)
	}
	if n := len(b); n > 0 && n < 8 && b[n-1] >= 0x80 {
		x |= math.MaxUint64 << (8 * n)
	}
	return m.push(Value{kind: Int, x: x})
}

// maxDigits is from when on a number in text costs the reader quadratic time.
const maxDigits = 10_000

// digits reads the text of a number. Python takes signs, spaces, underscores
// and, for INT, other bases; what is not plain digits is trouble and stays
// unknown.
func (m *Machine) digits(b []byte) (x int64, known bool, err error) {
	switch {
	case m.op.len > maxDigits:
		return 0, false, m.trouble(HugeNumber)
	case len(b) > 18:
		return 0, false, nil
	}
	x, bad := strconv.ParseInt(string(b), 10, 64)
	if bad != nil {
		return 0, false, m.trouble(OddNumber)
	}
	return x, true, nil
}

func (m *Machine) line() ([]byte, error) {
	b, err := m.src.bytes(m.scratch[:0], m.op.off, m.op.len, min(m.lim.Line, maxDigits+1))
	m.scratch = b
	return bytes.TrimRight(b, "\r"), err
}

func (m *Machine) intLine() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	if s := string(b); s == "00" || s == "01" {
		return m.push(Value{kind: Bool, x: uint64(s[1] - '0')})
	}
	return m.pushDigits(b)
}

func (m *Machine) longLine() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	return m.pushDigits(bytes.TrimSuffix(b, []byte("L")))
}

func (m *Machine) pushDigits(b []byte) error {
	x, known, err := m.digits(b)
	if err != nil {
		return err
	}
	if !known {
		return m.push(Value{kind: BigInt})
	}
	return m.push(Value{kind: Int, x: uint64(x)})
}

func (m *Machine) floatLine() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	if _, bad := strconv.ParseFloat(string(b), 64); bad != nil && m.op.len < maxDigits {
		if n, ok := bad.(*strconv.NumError); !ok || n.Err == strconv.ErrSyntax { //nolint:errorlint // the documented type
			if err := m.trouble(OddNumber); err != nil {
				return err
			}
		}
	}
	return m.float()
}

func (m *Machine) text(k Kind, spell uint8) error {
	v := constant(k, spell, m.op.off, m.op.len)
	if err := m.push(v); err != nil || m.op.len < MinConstant {
		return err
	}
	return m.tell(Event{Kind: Constant, Target: v})
}

func (m *Machine) byteString() error  { return m.text(ByteStr, plain) }
func (m *Machine) bytes() error       { return m.text(Bytes, plain) }
func (m *Machine) unicode() error     { return m.text(Str, plain) }
func (m *Machine) unicodeLine() error { return m.text(Str, escaped) }

// stringLine wants a literal in matching quotes, as every unpickler does.
func (m *Machine) stringLine() error {
	ends, err := m.src.bytes(m.scratch[:0], m.op.off, m.op.len, 1)
	if err != nil {
		return err
	}
	m.scratch = ends
	if m.op.len > 1 {
		last, err := m.src.bytes(ends, m.op.off+m.op.len-1, 1, 1)
		if err != nil {
			return err
		}
		m.scratch = last
		if last[0] == last[1] && (last[0] == '\'' || last[0] == '"') {
			return m.text(ByteStr, literal)
		}
	}
	if err := m.trouble(OddString); err != nil {
		return err
	}
	return m.text(ByteStr, plain)
}

func (m *Machine) mark() error {
	if len(m.marks) >= m.lim.Stack {
		return m.fail(ErrLimit, "more than %d marks", m.lim.Stack)
	}
	m.marks = append(m.marks, len(m.stack))
	return nil
}

// popOne takes a mark where one is on top.
func (m *Machine) popOne() error {
	if n := len(m.marks); n > 0 && m.marks[n-1] == len(m.stack) {
		m.marks = m.marks[:n-1]
		return nil
	}
	if err := m.has(1); err != nil {
		return err
	}
	m.take()
	return nil
}

func (m *Machine) popMark() error {
	_, err := m.takeMark()
	return err
}

func (m *Machine) dup() error {
	if err := m.has(1); err != nil {
		return err
	}
	return m.push(m.top())
}

func (m *Machine) getLine() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	x, known, err := m.digits(b)
	if err != nil {
		return err
	}
	if !known {
		return m.push(Value{})
	}
	m.op.num = x
	return m.get()
}

func (m *Machine) get() error {
	v := m.memo.get(uint64(m.op.num))
	if v == 0 || m.op.num < 0 {
		return m.fail(ErrMalformed, "memo slot %d is empty", m.op.num)
	}
	return m.push(m.values.unpack(v))
}

func (m *Machine) putLine() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	x, known, err := m.digits(b)
	if err != nil || !known {
		return err
	}
	m.op.num = x
	return m.put()
}

// maxSlot is the largest index an unpickler in C has room for.
const maxSlot = math.MaxInt32

func (m *Machine) put() error {
	if err := m.has(1); err != nil {
		return err
	}
	if m.op.num < 0 || m.op.num > maxSlot {
		if err := m.trouble(FarMemo); err != nil {
			return err
		}
		m.op.num &= math.MaxUint32
	}
	if m.op.num > 1<<24 && m.op.num > int64(4*m.memo.used) {
		if err := m.trouble(FarMemo); err != nil {
			return err
		}
	}
	return m.store(uint64(m.op.num))
}

// memoize stores at the number of slots in use, not at a counter.
func (m *Machine) memoize() error {
	if err := m.has(1); err != nil {
		return err
	}
	return m.store(uint64(m.memo.used))
}

func (m *Machine) store(i uint64) error {
	if m.memo.used >= m.lim.Memo {
		return m.fail(ErrLimit, "more than %d memo slots", m.lim.Memo)
	}
	m.memo.put(i, m.values.pack(m.top()))
	return nil
}

func (m *Machine) proto() error {
	late := m.op.start != m.first
	m.result.Protocol = int(m.op.num)
	if err := m.tell(Event{Kind: Declared, Number: m.op.num}); err != nil {
		return err
	}
	if late {
		if err := m.trouble(ProtocolLate); err != nil {
			return err
		}
	}
	if m.op.num > 5 {
		return m.trouble(ProtocolUnknown)
	}
	return nil
}

func (m *Machine) newFrame() error {
	end := m.src.offset()
	if m.op.num < 0 || m.op.num > m.src.size-end {
		m.frameEnd = 0
		return m.trouble(FramePastEnd)
	}
	m.frameEnd = end + m.op.num
	return nil
}

func (m *Machine) stop() error {
	if err := m.has(1); err != nil {
		return err
	}
	m.result.Value = m.take()
	m.result.Stopped = true
	return nil
}
