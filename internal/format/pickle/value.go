package pickle

import "math"

// Kind is what is known about a value.
type Kind uint8

// The kinds of value.
const (
	// Unknown is a value nothing is known about; the zero value.
	Unknown Kind = iota
	None
	Bool
	Int
	// BigInt is a whole number that does not fit 64 bits, or one in text.
	BigInt
	Float
	Str
	Bytes
	// ByteStr is a string of Python 2: text or bytes, as the reader decides.
	ByteStr
	Tuple
	List
	Dict
	Set
	FrozenSet
	// Global is a name that was imported.
	Global
	// Instance is what a call returned.
	Instance
	Persistent
	Buffer
)

// spelling of a string constant.
const (
	plain    uint8 = iota
	escaped        // raw-unicode-escape
	literal        // a Python literal with its quotes
	computed       // in Machine.folded
)

// Value is one symbolic value. It belongs to the machine that made it.
type Value struct {
	kind  Kind
	spell uint8
	high  uint16 // of the length of a constant
	n     uint32 // its low 32 bits
	x     uint64 // offset of a constant, number, index of an object or global
}

// Kind returns what is known about v.
func (v Value) Kind() Kind { return v.kind }

// Int returns the number of an Int or a Bool.
func (v Value) Int() int64 { return int64(v.x) }

// GlobalID returns the index of a Global among the machine's globals, else -1.
func (v Value) GlobalID() int {
	if v.kind != Global {
		return -1
	}
	return int(v.x)
}

// Len returns the length in bytes of a string constant.
func (v Value) Len() int64 { return int64(v.high)<<32 | int64(v.n) }

// IsText reports whether v is a string constant, whatever its type.
func (v Value) IsText() bool { return v.kind == Str || v.kind == Bytes || v.kind == ByteStr }

func (v Value) isObject() bool {
	return v.kind >= Tuple && v.kind <= FrozenSet || v.kind == Instance || v.kind == Persistent
}

func constant(k Kind, spell uint8, off, length int64) Value {
	return Value{kind: k, spell: spell, high: uint16(length >> 32), n: uint32(length), x: uint64(off)}
}

// object is what is kept about a container or a call.
type object struct {
	// nodes is how many values hang below, counted once per reference: what
	// the object would expand to. Beyond 2^24 it is an estimate.
	nodes float32
	depth uint32
	// first and count are the values kept: items of a tuple, the first items
	// of a container, what a call was made with.
	first, count uint32
}

// blockSize is how many of the values below lie side by side.
const (
	blockBits = 10
	blockSize = 1 << blockBits
)

// blocks is a long list that grows without copying.
type blocks[T any] struct {
	all [][]T
	n   int
}

// add appends v and returns its index. Only the first block grows, so that
// small pickles stay small.
func (b *blocks[T]) add(v T) int {
	at := b.n
	if at>>blockBits == len(b.all) {
		var block []T
		if at > 0 {
			block = make([]T, 0, blockSize)
		}
		b.all = append(b.all, block)
	}
	last := &b.all[at>>blockBits]
	*last = append(*last, v)
	b.n++
	return at
}

func (b *blocks[T]) at(i int) *T { return &b.all[i>>blockBits][i&(blockSize-1)] }

// memo is the unpickler's dictionary from numbers to values. Small numbers,
// which are all there are in honest streams, lie in blocks.
type memo struct {
	dense [][]slot
	far   map[uint32]Value
	used  int
}

type slot struct {
	v   Value
	set bool
}

// slotBlock is smaller than blockSize: most pickles have few slots.
const (
	slotBits  = 8
	slotBlock = 1 << slotBits
)

func (m *memo) get(i uint64) (Value, bool) {
	if b := i >> slotBits; b < uint64(len(m.dense)) {
		s := &m.dense[b][i&(slotBlock-1)]
		return s.v, s.set
	}
	v, ok := m.far[uint32(min(i, math.MaxUint32))]
	return v, ok
}

// put stores v at i. Numbers are dense up to twice what is in use.
func (m *memo) put(i uint64, v Value) {
	b := i >> slotBits
	for b >= uint64(len(m.dense)) && i <= uint64(2*m.used+4*slotBlock) {
		m.dense = append(m.dense, make([]slot, slotBlock))
		m.pull()
	}
	if b < uint64(len(m.dense)) {
		s := &m.dense[b][i&(slotBlock-1)]
		if !s.set {
			m.used++
		}
		*s = slot{v, true}
		return
	}
	if m.far == nil {
		m.far = map[uint32]Value{}
	}
	if _, ok := m.far[uint32(i)]; !ok {
		m.used++
	}
	m.far[uint32(i)] = v
}

// pull moves what now is dense out of the map.
func (m *memo) pull() {
	if len(m.far) == 0 {
		return
	}
	for i, v := range m.far {
		if b := uint64(i) >> slotBits; b < uint64(len(m.dense)) {
			m.dense[b][i&(slotBlock-1)] = slot{v, true}
			delete(m.far, i)
		}
	}
}
