package pickle

import (
	"math"
	"slices"
)

// Machine is one run. Handlers read from it during an event.
type Machine struct {
	src    source
	op     op
	lim    Limits
	handle Handler
	first  int64
	result Result
	failed bool

	stack []Value
	marks []int
	memo  memo

	objects blocks[object]
	kept    blocks[packed]
	values  store
	folded  [][]byte
	globals []Name
	byName  map[string]int
	scratch []byte
	event   Event

	frameEnd int64 // 0 outside of frames
	told     uint32
}

// tell gives an event to the handler.
func (m *Machine) tell(e Event) error {
	e.Op, e.Offset, e.End = m.op.code, m.op.start, m.src.offset()
	m.event = e
	return m.handle(m, &m.event)
}

// trouble reports a trouble; those that repeat with every opcode only once.
func (m *Machine) trouble(t Trouble) error {
	once := t == Expands || t == DeepNesting || t == KeptTooMuch || t == FarMemo
	if bit := uint32(1) << t; once && m.told&bit != 0 {
		return nil
	}
	m.told |= 1 << t
	return m.tell(Event{Kind: Bad, Number: int64(t)})
}

func (m *Machine) push(v Value) error {
	if len(m.stack) >= m.lim.Stack {
		return m.fail(ErrLimit, "more than %d values on the stack", m.lim.Stack)
	}
	m.stack = append(m.stack, v)
	return nil
}

// floor is where the stack ends for opcodes: no unpickler reaches below the
// last mark.
func (m *Machine) floor() int {
	if n := len(m.marks); n > 0 {
		return m.marks[n-1]
	}
	return 0
}

func (m *Machine) has(n int) error {
	if len(m.stack)-m.floor() < n {
		return m.fail(ErrMalformed, "%s with too little on the stack", opNameOf(m.op.code))
	}
	return nil
}

// take pops one value; the caller has asked has.
func (m *Machine) take() Value {
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v
}

// top is the value that stays; the caller has asked has.
func (m *Machine) top() Value { return m.stack[len(m.stack)-1] }

// takeMark pops everything above the last mark, and the mark. The values are
// valid until the next push.
func (m *Machine) takeMark() ([]Value, error) {
	n := len(m.marks)
	if n == 0 {
		return nil, m.fail(ErrMalformed, "%s without a mark", opNameOf(m.op.code))
	}
	at := m.marks[n-1]
	m.marks = m.marks[:n-1]
	items := m.stack[at:]
	m.stack = m.stack[:at]
	return items, nil
}

// The numbers of values that are kept to look into an object.
const (
	keepTuple = 256
	keepOther = 64
)

// make makes an object of items.
func (m *Machine) make(k Kind, items []Value) (Value, error) {
	if m.objects.n >= m.lim.Objects {
		return Value{}, m.fail(ErrLimit, "more than %d containers and calls", m.lim.Objects)
	}
	o := object{nodes: 1, depth: 1}
	keep := keepOther
	if k == Tuple || k == Instance {
		keep = keepTuple
	}
	if err := m.keep(&o, items[:min(len(items), keep)]); err != nil {
		return Value{}, err
	}
	if err := m.grow(&o, items); err != nil {
		return Value{}, err
	}
	return Value{kind: k, x: uint64(m.objects.add(o))}, nil
}

// keep stores values to look into later.
func (m *Machine) keep(o *object, items []Value) error {
	if len(items) == 0 || o.count > 0 {
		return nil
	}
	if m.kept.n+len(items) > 4*m.lim.Objects {
		return m.trouble(KeptTooMuch)
	}
	o.first, o.count = uint32(m.kept.n), uint32(len(items))
	for _, v := range items {
		m.kept.add(m.values.pack(v))
	}
	return nil
}

const (
	// expandFrom and expandRate are when a value stands for too much: beyond
	// a hundred thousand nodes, more than a thousand per byte read.
	expandFrom = 100_000
	expandRate = 1000
	maxDepth   = 10_000
)

// grow counts items into an object.
func (m *Machine) grow(o *object, items []Value) error {
	nodes, depth := float32(0), o.depth
	for _, v := range items {
		if !v.isObject() {
			nodes++
			continue
		}
		child := m.objects.at(int(v.x))
		nodes += child.nodes
		depth = max(depth, child.depth+1)
	}
	o.nodes = min(o.nodes+nodes, math.MaxFloat32)
	o.depth = depth
	if o.nodes > expandFrom && float64(o.nodes) > expandRate*float64(m.src.offset()-m.first) {
		if err := m.trouble(Expands); err != nil {
			return err
		}
	}
	if depth > maxDepth {
		return m.trouble(DeepNesting)
	}
	return nil
}

// into adds items to the container below them.
func (m *Machine) into(target Value, items []Value, kinds ...Kind) error {
	if target.isObject() {
		o := m.objects.at(int(target.x))
		if target.kind != Instance {
			if err := m.keep(o, items[:min(len(items), keepOther)]); err != nil {
				return err
			}
		}
		if err := m.grow(o, items); err != nil {
			return err
		}
	}
	if slices.Contains(kinds, target.kind) {
		return nil
	}
	return m.tell(Event{Kind: Mutate, Target: target})
}
