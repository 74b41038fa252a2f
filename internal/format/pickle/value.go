package pickle

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

// packed is a value in eight bytes: its kind, and what there is room for. Zero
// is no value. The machine keeps millions of them.
type packed uint64

// The fields of a packed value, from the low end: the kind, counted from one;
// the spelling; whether the rest is an index into [store].wide; and 56 bits.
// Those hold a number, or the offset and the length of a constant.
const (
	kindBits   = 5
	spellAt    = kindBits
	wideBit    = packed(1) << 7
	payloadAt  = 8
	lengthBits = 20
	offsetBits = 64 - payloadAt - lengthBits
)

// store packs values. Those that do not fit eight bytes are kept beside.
type store struct{ wide []Value }

func (s *store) pack(v Value) packed {
	p := packed(v.kind+1) | packed(v.spell)<<spellAt
	switch {
	case v.kind == Int:
		if int64(v.x)<<payloadAt>>payloadAt == int64(v.x) {
			return p | packed(v.x)<<payloadAt
		}
	case v.high == 0 && v.n>>lengthBits == 0 && v.x>>offsetBits == 0:
		return p | packed(v.x)<<(payloadAt+lengthBits) | packed(v.n)<<payloadAt
	}
	s.wide = append(s.wide, v)
	return p | wideBit | packed(len(s.wide)-1)<<payloadAt
}

func (s *store) unpack(p packed) Value {
	if p&wideBit != 0 {
		return s.wide[p>>payloadAt]
	}
	v := Value{kind: Kind(p&(1<<kindBits-1)) - 1, spell: uint8(p>>spellAt) & 3}
	if v.kind == Int {
		v.x = uint64(int64(p) >> payloadAt)
		return v
	}
	v.n = uint32(p>>payloadAt) & (1<<lengthBits - 1)
	v.x = uint64(p >> (payloadAt + lengthBits))
	return v
}
