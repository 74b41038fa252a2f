package pickle

// EventKind is what happened.
type EventKind uint8

// The events. What does nothing but build plain containers is none.
const (
	// Import is GLOBAL, INST or STACK_GLOBAL with two constants: a module is
	// imported and a name looked up. Callee is the Global.
	Import EventKind = iota + 1
	// Computed is STACK_GLOBAL with operands that are no string constants.
	// Callee is the name, Args the module.
	Computed
	// Extension is EXT1, EXT2 or EXT4; Number is the code.
	Extension
	// Call is REDUCE, NEWOBJ, NEWOBJ_EX, OBJ or INST: Callee is called with
	// Args, a Tuple unless the stream says otherwise. Result is what the
	// machine goes on with; the handler may replace it. State holds the
	// keyword arguments of NEWOBJ_EX.
	Call
	// Build is BUILD: Target takes State.
	Build
	// Mutate is APPEND(S), SETITEM(S) or ADDITEMS on anything but a plain
	// container of the right type. Target is changed.
	Mutate
	// Constant is a string constant of at least [MinConstant] bytes, Target.
	Constant
	// PersistentID is PERSID or BINPERSID: Args is the id, Result the object.
	PersistentID
	// Declared is PROTO; Number is the protocol.
	Declared
	// Bad is a [Trouble]; Number is it.
	Bad
)

// MinConstant is the length from which a constant is worth an event.
const MinConstant = 8

// Trouble is what two readers may disagree about, or what no honest pickler
// writes.
type Trouble uint8

// The troubles.
const (
	// FrameStraddled is an opcode that crosses the end of its frame.
	FrameStraddled Trouble = iota + 1
	// FrameInFrame is a frame that begins before another ends.
	FrameInFrame
	// FramePastEnd is a frame longer than the data.
	FramePastEnd
	// ProtocolLate is a PROTO that is not the first opcode.
	ProtocolLate
	// ProtocolUnknown is a protocol above 5.
	ProtocolUnknown
	// OutOfBand is a buffer that is not in the file.
	OutOfBand
	// FarMemo is a memo index beyond 2^24 and what is in use.
	FarMemo
	// Expands is a value that stands for more than a thousand nodes per byte.
	Expands
	// DeepNesting is a value nested deeper than 10 000.
	DeepNesting
	// HugeNumber is a number in text with more than 10 000 digits.
	HugeNumber
	// OddNumber is text that is not plainly a number.
	OddNumber
	// OddString is a STRING without matching quotes.
	OddString
	// LongName is a name or module longer than the limit of a line.
	LongName
	// KeptTooMuch means that containers were too many to look into all of
	// them; arguments of later calls are not known.
	KeptTooMuch
)

// Event is something that happened in the stream. Which fields are set
// depends on the kind; Op, Offset and End always are.
type Event struct {
	Kind EventKind
	Op   byte
	// Offset is where the opcode is, End where the next one begins.
	Offset, End int64
	Number      int64
	Callee      Value
	Target      Value
	Args, State Value
	Result      Value
}

// Name is an imported name.
type Name struct {
	// Module and Name are what is looked up, after Python 2 names were mapped.
	Module, Name string
	// Written is how the stream spells them when that is something else.
	Written string
	// Protocol is the one in force when the name was imported: from 4 on a
	// dotted name is walked with getattr.
	Protocol int
}

// Global returns the name with the id.
func (m *Machine) Global(id int) Name { return m.globals[id] }

// Items returns what is kept of an object: all items of a tuple up to 256, the
// first 64 values (keys and values in turn) of a dictionary or a list, for an
// Instance what it was called with (callee, arguments), for a Persistent its
// id. The slice is the caller's.
func (m *Machine) Items(v Value) []Value {
	if !v.isObject() {
		return nil
	}
	o := m.objects.at(int(v.x))
	items := make([]Value, o.count)
	for i := range items {
		items[i] = m.values.unpack(*m.kept.at(int(o.first) + i))
	}
	return items
}

// Text returns a string constant decoded, at most limit bytes of it. ok is
// false for everything else, and for a constant longer than limit.
func (m *Machine) Text(v Value, limit int64) (text []byte, ok bool, err error) {
	if !v.IsText() || v.Len() > limit {
		return nil, false, nil
	}
	if v.spell == computed {
		return m.folded[v.x], true, nil
	}
	raw, err := m.src.bytes(nil, int64(v.x), v.Len(), limit)
	if err != nil {
		return nil, false, err
	}
	switch v.spell {
	case escaped:
		return unescapeUnicode(raw), true, nil
	case literal:
		return unescapeLiteral(raw), true, nil
	}
	return raw, true, nil
}

// Start returns the first bytes of a constant as they stand in the data. They
// are valid until the next call and lie in the machine's own window or dst.
func (m *Machine) Start(v Value, dst []byte) ([]byte, error) {
	if v.spell == computed {
		return append(dst[:0], m.folded[v.x][:min(len(m.folded[v.x]), cap(dst))]...), nil
	}
	return m.src.bytes(dst[:0], int64(v.x), v.Len(), int64(cap(dst)))
}

// Fold makes a string constant of bytes that a handler computed, as a result
// of a call for [Event].Result.
func (m *Machine) Fold(k Kind, data []byte) Value {
	m.folded = append(m.folded, data)
	return constant(k, computed, int64(len(m.folded)-1), int64(len(data)))
}

// SkipTo makes the machine go on at an offset of the data, for formats that
// put something else between opcodes.
func (m *Machine) SkipTo(at int64) {
	m.src.seek(at)
	m.frameEnd = 0
}

// Size returns the size of the data.
func (m *Machine) Size() int64 { return m.src.size }
