package pickle

import (
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/pickle"
)

// array takes the bytes that joblib puts between opcodes behind the BUILD of a
// wrapper (joblib/numpy_pickle.py): with objects a pickle of its own, else
// padding and the numbers. The older wrappers name a file beside this one.
func (s *stream) array(m *format.Machine, e *format.Event) error {
	state, err := s.state(m, e.State)
	if err != nil {
		return err
	}
	odd := func(why string) error {
		s.active = true
		s.once(0, e, detect.Hit{Rule: ruleArray, Summary: "the array that follows " + why})
		return nil
	}
	if name, ok := state["filename"]; ok {
		return s.sibling(m, name, odd)
	}
	dtype, known := state["dtype"]
	if _, ok := state["shape"]; !known || !ok {
		return nil // not the wrapper that interleaves
	}
	code, ok, err := s.typeCode(m, dtype)
	if err != nil {
		return err
	}
	if !ok {
		return odd("has a type that is not plain")
	}
	t, changed := s.types[dtype]
	if t.odd || changed && !t.fits(code) || !changed && len(s.types) >= maxTypes {
		return odd("has a type that is not as it is called")
	}
	if strings.HasPrefix(code, "O") || t.objects {
		return s.objects(m, e)
	}
	n, ok := arrayBytes(code, m.Items(state["shape"]))
	if !ok {
		return odd("has no possible size")
	}
	at := e.End
	if v, ok := state["numpy_array_alignment_bytes"]; ok && v.Kind() == format.Int {
		var pad [1]byte
		if _, err := s.in.Data.ReadAt(pad[:], at); err != nil {
			return odd("is cut off")
		}
		at += 1 + int64(pad[0])
	}
	if n > m.Size()-at {
		return odd(fmt.Sprintf("has %d bytes, more than there are", n))
	}
	s.numbers(e, at, n)
	m.SkipTo(at + n)
	return nil
}

// state returns the items of a dictionary by their names.
func (s *stream) state(m *format.Machine, v format.Value) (map[string]format.Value, error) {
	items := m.Items(v)
	state := map[string]format.Value{}
	for i := 0; i+1 < len(items); i += 2 {
		name, _, err := m.Text(items[i], 64)
		if err != nil {
			return nil, err
		}
		state[string(name)] = items[i+1]
	}
	return state, nil
}

// typeCode returns the argument of numpy.dtype, "f8".
func (s *stream) typeCode(m *format.Machine, v format.Value) (string, bool, error) {
	made := m.Items(v)
	if v.Kind() != format.Instance || len(made) != 2 {
		return "", false, nil
	}
	if id := made[0].GlobalID(); id < 0 || m.Global(id).Module != "numpy" || m.Global(id).Name != "dtype" {
		return "", false, nil
	}
	args := m.Items(made[1])
	if len(args) == 0 {
		return "", false, nil
	}
	code, ok, err := m.Text(args[0], 16)
	return string(code), ok, err
}

// dtype is what BUILD makes of a numpy.dtype: whether it holds objects, and
// how many bytes it takes where that is not in its name alone.
type dtype struct {
	odd, objects bool
	size         int64
}

// maxTypes is how many types are remembered; with more, none is taken on trust.
const maxTypes = 1 << 16

// typed remembers the state that a numpy.dtype is given, (3, order, None,
// names, fields, size, alignment, flags): whether an array holds objects is decided by
// the flags, and not by the name of its type.
func (s *stream) typed(m *format.Machine, e *format.Event) {
	if s.types == nil {
		s.types = map[format.Value]dtype{}
	}
	_, again := s.types[e.Target]
	t := dtype{odd: true}
	items := m.Items(e.State)
	if !again && len(s.types) < maxTypes && e.State.Kind() == format.Tuple && (len(items) == 8 || len(items) == 9) &&
		items[0].Kind() == format.Int && (items[0].Int() == 3 || items[0].Int() == 4) && items[2].Kind() == format.None &&
		items[5].Kind() == format.Int && items[7].Kind() == format.Int {
		t = dtype{objects: items[7].Int()&1 != 0, size: items[5].Int()}
	}
	if len(s.types) < maxTypes || again {
		s.types[e.Target] = t
	}
}

// fits reports whether a type is as its code says.
func (t dtype) fits(code string) bool {
	switch code[:min(len(code), 1)] {
	case "O":
		return t.objects && t.size < 0
	case "S", "U", "V":
		n, ok := arrayBytes(code, nil)
		return ok && n == t.size
	}
	return !t.objects && t.size < 0
}

// arrayBytes is the size of an array of plain numbers, characters or records.
func arrayBytes(code string, shape []format.Value) (int64, bool) {
	if len(code) < 2 || !strings.ContainsRune("biufcmMSUV", rune(code[0])) {
		return 0, false
	}
	width, err := strconv.ParseUint(code[1:], 10, 32)
	if err != nil {
		return 0, false
	}
	if code[0] == 'U' {
		width *= 4
	}
	n := width
	for _, d := range shape {
		if d.Kind() != format.Int || d.Int() < 0 {
			return 0, false
		}
		over, low := bits.Mul64(n, uint64(d.Int()))
		if over != 0 || low > 1<<62 {
			return 0, false
		}
		n = low
	}
	return int64(n), true
}

// objects runs the pickle that holds the elements.
func (s *stream) objects(m *format.Machine, e *format.Event) error {
	inner := s.stream()
	r, err := format.Run(s.in.Data, e.End, s.in.Data.Size(), format.Limits{}, inner.event)
	if err != nil {
		return err
	}
	s.active, s.plain = s.active || inner.active, s.plain && inner.plain
	if !r.Stopped {
		s.once(0, e, detect.Hit{Rule: ruleArray, Summary: fmt.Sprintf("the pickle of an array's elements ends early: %v", r.Err)})
	}
	m.SkipTo(r.End)
	return nil
}

// numbers looks at numbers the way a loader would that knows no joblib: as
// opcodes.
func (s *stream) numbers(e *format.Event, at, n int64) {
	head := make([]byte, min(n, maxConstant))
	got, err := io.NewSectionReader(s.in.Data, at, n).ReadAt(head, 0)
	if err != nil && got == 0 || s.depth >= maxLayers {
		return
	}
	if worst := s.worst(head[:got]); worst != nil {
		s.once(1, e, detect.Hit{Rule: ruleNested, Name: worst.Name, Summary: "the numbers of an array are opcodes to other loaders: " + worst.Summary})
	}
}

// sibling judges the file that an old wrapper names.
func (s *stream) sibling(m *format.Machine, name format.Value, odd func(string) error) error {
	text, ok, err := m.Text(name, 4096)
	if err != nil {
		return err
	}
	if !ok || strings.ContainsAny(string(text), "/\\:\x00") || strings.HasPrefix(string(text), ".") {
		return odd("is in a file that does not lie beside this one")
	}
	s.fact("reads arrays from files beside it")
	return nil
}
