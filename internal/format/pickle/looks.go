package pickle

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// minUndecided is how many opcodes of a longer stream have to run before bytes
// that got neither to STOP nor to an import are taken for a pickle.
const minUndecided = 16

// Looks reports whether an artifact of that size that begins with head is a
// pickle: protocol 2 and up say so, the others have to run to STOP, to an
// import of something that could be a name, or far enough that it is no
// accident.
func Looks(head []byte, size int64) bool {
	if len(head) < 2 {
		return false
	}
	if head[0] == 0x80 && head[1] <= 31 {
		return len(head) == 2 || OpName(head[2]) != "" || head[1] >= 2
	}
	r, imports := probe(head, false)
	switch {
	case imports:
		return true
	case r.Stopped:
		return r.Ops > 1
	}
	return errors.Is(r.Err, ErrTruncated) && int64(len(head)) < size && r.Ops >= minUndecided
}

// Imports reports whether head begins a pickle that imports something that
// could be a name. Arbitrary numbers do not.
func Imports(head []byte) bool {
	_, imports := probe(head, true)
	return imports
}

// probe runs head up to the first import. A text persistent id ends it where
// strict is set: no unpickler without a loader of its own gets beyond, and the
// letter begins many formats.
func probe(head []byte, strict bool) (Result, bool) {
	imported := errors.New("imported")
	r, err := Run(bytes.NewReader(head), 0, int64(len(head)), Limits{}, func(m *Machine, e *Event) error {
		switch e.Kind {
		case Import:
			if n := m.Global(e.Callee.GlobalID()); identifier(n.Module) && identifier(n.Name) {
				return imported
			}
		case Computed:
			return imported
		case PersistentID:
			if strict && e.Op == 'P' {
				return ErrMalformed
			}
		default:
		}
		return nil
	})
	return r, errors.Is(err, imported)
}

// identifier reports whether s could be a dotted name of Python.
func identifier(s string) bool {
	for _, c := range s {
		if c < 0x80 && c != '.' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != "" && utf8.ValidString(s) && (s[0] < '0' || s[0] > '9')
}
