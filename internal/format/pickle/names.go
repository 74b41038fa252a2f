package pickle

import (
	_ "embed" // the table of Python 2 names
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed py2_names.tsv
var py2Table string

// py2 is _compat_pickle of CPython: names and modules of Python 2 and what an
// unpickler looks up instead when the protocol is below 3.
type py2 struct {
	names   map[[2]string][2]string
	modules map[string]string
}

var py2Names = sync.OnceValue(func() py2 {
	t := py2{map[[2]string][2]string{}, map[string]string{}}
	for line := range strings.Lines(py2Table) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		switch {
		case len(f) != 5:
		case f[0] == "module":
			t.modules[f[1]] = f[3]
		case f[0] == "name":
			t.names[[2]string{f[1], f[2]}] = [2]string{f[3], f[4]}
		}
	}
	return t
})

// mapName returns what is looked up for a name of a stream below protocol 3.
func mapName(module, name string) (string, string) {
	t := py2Names()
	if to, ok := t.names[[2]string{module, name}]; ok {
		return to[0], to[1]
	}
	if to, ok := t.modules[module]; ok {
		return to, name
	}
	return module, name
}

// opNameOf spells an opcode in errors. It does not use the table of opcodes,
// which refers to who calls it.
func opNameOf(code byte) string { return "opcode " + strconv.QuoteRuneToASCII(rune(code)) }

// twoLines reads the argument of GLOBAL and INST.
func (m *Machine) twoLines() (Value, error) {
	if m.op.long {
		if err := m.trouble(LongName); err != nil {
			return Value{}, err
		}
	}
	key, err := m.src.bytes(m.scratch[:0], m.op.off, m.op.len, m.lim.Line)
	if err != nil {
		return Value{}, err
	}
	module := len(key)
	key = append(key, '\n')
	key, err = m.src.bytes(key, m.op.second, m.op.secondLen, m.lim.Line)
	m.scratch = key
	if err != nil {
		return Value{}, err
	}
	return m.imported(key, module)
}

// imported finds or makes the global of a key: module, line end, name.
func (m *Machine) imported(key []byte, module int) (Value, error) {
	key = append(key, '\n', byte(m.result.Protocol))
	m.scratch = key
	id, ok := m.byName[string(key)]
	if !ok {
		if m.byName == nil {
			m.byName = map[string]int{}
		}
		if len(m.globals) >= m.lim.Objects {
			return Value{}, m.fail(ErrLimit, "more than %d names", m.lim.Objects)
		}
		id = len(m.globals)
		m.byName[string(key)] = id
		m.globals = append(m.globals, m.named(string(key[:module]), string(key[module+1:len(key)-2])))
	}
	v := Value{kind: Global, x: uint64(id)}
	return v, m.tell(Event{Kind: Import, Callee: v})
}

func (m *Machine) named(module, name string) Name {
	n := Name{Module: module, Name: name, Protocol: m.result.Protocol}
	if n.Protocol < 3 {
		n.Module, n.Name = mapName(module, name)
		if n.Module != module || n.Name != name {
			n.Written = module + " " + name
		}
	}
	return n
}

func (m *Machine) global() error {
	v, err := m.twoLines()
	if err != nil {
		return err
	}
	return m.push(v)
}

func (m *Machine) stackGlobal() error {
	if err := m.has(2); err != nil {
		return err
	}
	name, module := m.take(), m.take()
	key, ok, err := m.appendName(m.scratch[:0], module)
	if err != nil {
		return err
	}
	at := len(key)
	if ok {
		key, ok, err = m.appendName(append(key, '\n'), name)
		if err != nil {
			return err
		}
	}
	if !ok {
		if err := m.tell(Event{Kind: Computed, Callee: name, Args: module}); err != nil {
			return err
		}
		return m.push(Value{})
	}
	v, err := m.imported(key, at)
	if err != nil {
		return err
	}
	return m.push(v)
}

// appendName appends a string constant that may be a name. Bytes may not.
func (m *Machine) appendName(dst []byte, v Value) ([]byte, bool, error) {
	if v.kind != Str && v.kind != ByteStr || v.Len() > m.lim.Line {
		return dst, false, nil
	}
	if v.spell == plain {
		dst, err := m.src.bytes(dst, int64(v.x), v.Len(), m.lim.Line)
		return dst, true, err
	}
	text, ok, err := m.Text(v, m.lim.Line)
	return append(dst, text...), ok, err
}

// unescapeUnicode decodes raw-unicode-escape: \uXXXX and \UXXXXXXXX behind an
// odd number of backslashes, everything else Latin-1. What cannot be decoded
// stays as it is; an unpickler refuses it.
func unescapeUnicode(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		n := 0
		for i+n < len(raw) && raw[i+n] == '\\' {
			n++
		}
		if n > 0 {
			out = append(out, raw[i:i+n]...)
			i += n
			if n%2 == 1 && i < len(raw) && raw[i] != 'x' {
				if r, width := hexRune(raw[i:]); width > 0 {
					out = utf8.AppendRune(out[:len(out)-1], r)
					i += width
				}
			}
			continue
		}
		out = utf8.AppendRune(out, rune(raw[i]))
		i++
	}
	return out
}

// hexRune reads "xXX", "uXXXX" or "UXXXXXXXX" and returns its width, 0 for neither.
func hexRune(b []byte) (rune, int) {
	var width int
	switch b[0] {
	case 'x':
		width = 3
	case 'u':
		width = 5
	case 'U':
		width = 9
	}
	if width == 0 || len(b) < width {
		return 0, 0
	}
	x, err := strconv.ParseUint(string(b[1:width]), 16, 32)
	if err != nil {
		return 0, 0
	}
	return rune(x), width
}

// unescapeLiteral decodes a string literal of Python 2 in its quotes.
func unescapeLiteral(raw []byte) []byte {
	if len(raw) < 2 {
		return raw
	}
	raw = raw[1 : len(raw)-1]
	simple := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'a': 7, 'b': 8, 'f': 12, 'v': 11, '\\': '\\', '\'': '\'', '"': '"'}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) {
			out = append(out, raw[i])
			continue
		}
		i++
		switch c := raw[i]; {
		case simple[c] != 0:
			out = append(out, simple[c])
		case c == 'x' && i+2 < len(raw):
			if r, width := hexRune(raw[i:]); width > 0 {
				out = append(out, byte(r))
				i += width - 1
			}
		case c >= '0' && c <= '7':
			n := 1
			for n < 3 && i+n < len(raw) && raw[i+n] >= '0' && raw[i+n] <= '7' {
				n++
			}
			x, _ := strconv.ParseUint(string(raw[i:i+n]), 8, 16)
			out = append(out, byte(x))
			i += n - 1
		case c == '\n':
		default:
			out = append(out, '\\', c)
		}
	}
	return out
}
