package pickle

// argument says how an opcode's argument is written.
type argument uint8

const (
	argUnknown argument = iota // no such opcode
	argNone
	arg1  // one byte
	arg2  // little-endian
	arg4  // unsigned
	arg4s // signed
	arg8
	argLine            // a line
	argPair            // two lines
	argSized           // here and above: argSized + how the length is written
	argSized1          = argSized + arg1
	argSized4          = argSized + arg4
	argSized4s         = argSized + arg4s
	argSized8          = argSized + arg8
	opStop        byte = '.'
	opFrame       byte = 0x95
	opStackGlobal byte = 0x93
)

var fixedLength = [...]int{arg1: 1, arg2: 2, arg4: 4, arg4s: 4, arg8: 8}

type opcode struct {
	name string
	arg  argument
	exec func(*Machine) error
}

// opcodes are those of pickletools.opcodes, in its order.
var opcodes = [256]opcode{
	'I':  {"INT", argLine, (*Machine).intLine},
	'J':  {"BININT", arg4s, (*Machine).number},
	'K':  {"BININT1", arg1, (*Machine).number},
	'M':  {"BININT2", arg2, (*Machine).number},
	'L':  {"LONG", argLine, (*Machine).longLine},
	0x8a: {"LONG1", argSized1, (*Machine).long},
	0x8b: {"LONG4", argSized4s, (*Machine).long},
	'S':  {"STRING", argLine, (*Machine).stringLine},
	'T':  {"BINSTRING", argSized4s, (*Machine).byteString},
	'U':  {"SHORT_BINSTRING", argSized1, (*Machine).byteString},
	'B':  {"BINBYTES", argSized4, (*Machine).bytes},
	'C':  {"SHORT_BINBYTES", argSized1, (*Machine).bytes},
	0x8e: {"BINBYTES8", argSized8, (*Machine).bytes},
	0x96: {"BYTEARRAY8", argSized8, (*Machine).bytes},
	0x97: {"NEXT_BUFFER", argNone, (*Machine).nextBuffer},
	0x98: {"READONLY_BUFFER", argNone, (*Machine).readonlyBuffer},
	'N':  {"NONE", argNone, (*Machine).none},
	0x88: {"NEWTRUE", argNone, (*Machine).boolean},
	0x89: {"NEWFALSE", argNone, (*Machine).boolean},
	'V':  {"UNICODE", argLine, (*Machine).unicodeLine},
	0x8c: {"SHORT_BINUNICODE", argSized1, (*Machine).unicode},
	'X':  {"BINUNICODE", argSized4, (*Machine).unicode},
	0x8d: {"BINUNICODE8", argSized8, (*Machine).unicode},
	'F':  {"FLOAT", argLine, (*Machine).floatLine},
	'G':  {"BINFLOAT", arg8, (*Machine).float},
	']':  {"EMPTY_LIST", argNone, (*Machine).emptyList},
	'a':  {"APPEND", argNone, (*Machine).appendOne},
	'e':  {"APPENDS", argNone, (*Machine).appendMany},
	'l':  {"LIST", argNone, (*Machine).list},
	')':  {"EMPTY_TUPLE", argNone, (*Machine).emptyTuple},
	't':  {"TUPLE", argNone, (*Machine).tuple},
	0x85: {"TUPLE1", argNone, (*Machine).tupleOf},
	0x86: {"TUPLE2", argNone, (*Machine).tupleOf},
	0x87: {"TUPLE3", argNone, (*Machine).tupleOf},
	'}':  {"EMPTY_DICT", argNone, (*Machine).emptyDict},
	'd':  {"DICT", argNone, (*Machine).dict},
	's':  {"SETITEM", argNone, (*Machine).setItem},
	'u':  {"SETITEMS", argNone, (*Machine).setItems},
	0x8f: {"EMPTY_SET", argNone, (*Machine).emptySet},
	0x90: {"ADDITEMS", argNone, (*Machine).addItems},
	0x91: {"FROZENSET", argNone, (*Machine).frozenSet},
	'0':  {"POP", argNone, (*Machine).popOne},
	'2':  {"DUP", argNone, (*Machine).dup},
	'(':  {"MARK", argNone, (*Machine).mark},
	'1':  {"POP_MARK", argNone, (*Machine).popMark},
	'g':  {"GET", argLine, (*Machine).getLine},
	'h':  {"BINGET", arg1, (*Machine).get},
	'j':  {"LONG_BINGET", arg4, (*Machine).get},
	'p':  {"PUT", argLine, (*Machine).putLine},
	'q':  {"BINPUT", arg1, (*Machine).put},
	'r':  {"LONG_BINPUT", arg4, (*Machine).put},
	0x94: {"MEMOIZE", argNone, (*Machine).memoize},
	0x82: {"EXT1", arg1, (*Machine).extension},
	0x83: {"EXT2", arg2, (*Machine).extension},
	0x84: {"EXT4", arg4s, (*Machine).extension},
	'c':  {"GLOBAL", argPair, (*Machine).global},
	0x93: {"STACK_GLOBAL", argNone, (*Machine).stackGlobal},
	'R':  {"REDUCE", argNone, (*Machine).reduce},
	'b':  {"BUILD", argNone, (*Machine).build},
	'i':  {"INST", argPair, (*Machine).inst},
	'o':  {"OBJ", argNone, (*Machine).obj},
	0x81: {"NEWOBJ", argNone, (*Machine).reduce},
	0x92: {"NEWOBJ_EX", argNone, (*Machine).newObjEx},
	0x80: {"PROTO", arg1, (*Machine).proto},
	'.':  {"STOP", argNone, (*Machine).stop},
	0x95: {"FRAME", arg8, (*Machine).newFrame},
	'P':  {"PERSID", argLine, (*Machine).persIDLine},
	'Q':  {"BINPERSID", argNone, (*Machine).persID},
}

// OpName returns the name of an opcode, "" when there is none.
func OpName(code byte) string { return opcodes[code].name }
