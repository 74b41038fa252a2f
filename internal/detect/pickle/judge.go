package pickle

import (
	"context"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/pickle"
)

// examiner is one artifact while it is judged; streams of it are judged one
// after the other.
type examiner struct {
	ctx   context.Context //nolint:containedctx // lives as long as one Detect
	in    detect.Input
	out   func(detect.Hit)
	fact  func(string)
	depth int   // of pickles in constants
	spent int64 // bytes looked at for pickles in constants
	// storages are told to whoever knows what a storage is; nil for nobody.
	storages func(m *format.Machine, id format.Value)
}

func (j *examiner) hit(h detect.Hit) { j.out(h) }

// stream is one pickle of the artifact.
type stream struct {
	*examiner
	names []judgement // by id of the global, with standing set once judged
	known []bool
	// active says that something ran that is not plain data; plain that all
	// names are data.
	active, plain bool
	registry      bool // copyreg.add_extension was imported
	told          map[toldKey]bool
	types         map[format.Value]dtype // that BUILD changed
}

// toldKey keeps the same thing from being reported with every opcode.
type toldKey struct {
	rule string
	what int
}

func (j *examiner) stream() *stream {
	return &stream{examiner: j, plain: true, told: map[toldKey]bool{}}
}

// once reports a hit unless the same was reported in this stream.
func (s *stream) once(what int, e *format.Event, h detect.Hit) {
	k := toldKey{h.Rule, what}
	if s.told[k] {
		return
	}
	s.told[k] = true
	h.Offset, h.Length, h.Node = e.Offset, min(e.End-e.Offset, 1<<20), format.OpName(e.Op)
	h.Evidence = s.evidence(e)
	s.hit(h)
}

// evidence is the opcode as it stands in the file.
func (s *stream) evidence(e *format.Event) []byte {
	b := make([]byte, min(e.End-e.Offset, 64))
	n, _ := s.in.Data.ReadAt(b, e.Offset)
	return b[:n]
}

// event is the handler of the machine.
func (s *stream) event(m *format.Machine, e *format.Event) error {
	switch e.Kind {
	case format.Constant:
		return s.constant(m, e)
	case format.Import:
		s.imported(m, e)
	case format.Call:
		return s.call(m, e)
	case format.Build:
		return s.build(m, e)
	case format.Mutate:
		s.mutated(m, e, e.Target)
	case format.Computed:
		s.active, s.plain = true, false
		s.once(0, e, detect.Hit{Rule: ruleComputed, Summary: "the name of a global is no text constant"})
	case format.Extension:
		s.active, s.plain = true, false
		h := detect.Hit{Rule: ruleExtension, Summary: fmt.Sprintf("extension code %d stands for a callable that the file does not name", e.Number)}
		if s.registry {
			h.Verdict, h.Severity = finding.Malicious, finding.Critical
			h.Summary += "; the file registers one itself"
		}
		s.once(int(e.Number), e, h)
	case format.PersistentID:
		return s.persistent(m, e)
	case format.Bad:
		s.bad(e)
	case format.Declared:
	}
	return s.ctx.Err()
}

// policy returns the judgement over a global, made once.
func (s *stream) policy(m *format.Machine, id int) judgement {
	for len(s.names) <= id {
		s.names, s.known = append(s.names, judgement{}), append(s.known, false)
	}
	if !s.known[id] {
		s.names[id], s.known[id] = judge(m.Global(id), s.in.Allowed), true
	}
	return s.names[id]
}

func (s *stream) imported(m *format.Machine, e *format.Event) {
	id := e.Callee.GlobalID()
	first := id >= len(s.known) || !s.known[id]
	j := s.policy(m, id)
	if !first {
		return
	}
	n := m.Global(id)
	full := n.Module + "." + n.Name
	if n.Module == "copyreg" && n.Name == "add_extension" {
		s.registry = true
	}
	if j.standing != allowed {
		s.active, s.plain = true, false
	}
	spelt := ""
	if n.Written != "" {
		spelt = fmt.Sprintf(" (written %.120q)", n.Written)
	}
	switch j.standing {
	case dangerous:
		s.once(id, e, detect.Hit{Rule: ruleDangerous, Name: full, Summary: fmt.Sprintf("loading imports %.120q%s: %s", full, spelt, categories[j.category])})
	case walks:
		s.once(id, e, detect.Hit{Rule: ruleWalk, Name: full, Summary: fmt.Sprintf("loading walks attributes to %.120q%s", full, spelt)})
	case unknown:
		s.once(id, e, detect.Hit{Rule: ruleUnknown, Name: full, Summary: fmt.Sprintf("loading imports %.120q%s, which is not known to be data", full, spelt)})
	case allowed:
		if j.library != "" {
			s.plain = false
			s.fact("needs the library " + j.library)
		}
	}
}

// categories say in words why a name is listed.
var categories = map[string]string{
	"code-exec": "it runs code", "process": "it starts processes", "file": "it reads or writes files", "network": "it opens connections",
	"native": "it runs native code", "nested-load": "it loads another pickle or code object", "import-or-attr": "it reaches any other name",
	"introspection": "it reaches any other name", "registry": "it changes what names mean", "scanner-off": "it switches a scanner off",
	"thread-signal": "it runs code later", "decoder": "it unpacks hidden data", "other": "it runs code or reaches any other name",
}

// call judges what is called with what.
func (s *stream) call(m *format.Machine, e *format.Event) error {
	if id := e.Callee.GlobalID(); id >= 0 {
		if j := s.policy(m, id); j.standing == allowed {
			return s.callAllowed(m, e, j)
		}
		s.active = true
		return s.fold(m, e)
	}
	s.active, s.plain = true, false
	switch k := e.Callee.Kind(); k {
	case format.Instance, format.Persistent:
		s.once(0, e, detect.Hit{Rule: ruleCall, Summary: "the result of a call is called"})
	case format.Unknown:
		s.once(1, e, detect.Hit{Rule: ruleCall, Verdict: finding.Suspicious, Summary: "something whose name is not in the file is called"})
	default:
		s.once(2, e, detect.Hit{Rule: ruleCall, Verdict: finding.Suspicious, Summary: "a constant is called"})
	}
	return nil
}

// callAllowed holds allowed names to their roles.
func (s *stream) callAllowed(m *format.Machine, e *format.Event, j judgement) error {
	n := m.Global(e.Callee.GlobalID())
	full := n.Module + "." + n.Name
	wrong := func(why string) {
		s.active, s.plain = true, false
		s.once(e.Callee.GlobalID(), e, detect.Hit{Rule: ruleRole, Name: full, Summary: fmt.Sprintf("%.120q %s", full, why)})
	}
	args := m.Items(e.Args)
	switch j.role {
	case roleValue, roleStorage:
		wrong("is called, and is known only as data")
	case roleCodec:
		if len(args) > 0 {
			return s.encode(m, e, args, wrong)
		}
	case roleFactory:
		if len(args) > 0 && args[0].Kind() != format.None && !s.isAllowed(m, args[0], roleCall, roleClass) {
			wrong("gets a factory that is not known to make data")
		}
	case roleReconstructor:
		if len(args) != 3 || !s.isAllowed(m, args[0], roleCall, roleClass, roleWrapper) {
			wrong("rebuilds something that is no known class")
		}
	case roleRebuild:
		if len(args) < 2 || !s.isAllowed(m, args[0], roleCall, roleClass) {
			wrong("calls a function that is not known to make data")
		}
	}
	return nil
}

// isAllowed reports whether v is a global that is allowed in one of the roles,
// or not a global that was reported already.
func (s *stream) isAllowed(m *format.Machine, v format.Value, roles ...string) bool {
	id := v.GlobalID()
	if id < 0 {
		return false
	}
	j := s.policy(m, id)
	for _, r := range roles {
		if j.standing == allowed && j.role == r {
			return true
		}
	}
	return false
}

// encode is _codecs.encode(text, "latin1"): how bytes are written before
// protocol 3. The result is a constant like any other.
func (s *stream) encode(m *format.Machine, e *format.Event, args []format.Value, wrong func(string)) error {
	text, ok, err := m.Text(args[0], maxConstant)
	if err != nil {
		return err
	}
	codec := []byte("latin1")
	if len(args) > 1 {
		if codec, _, err = m.Text(args[1], 64); err != nil {
			return err
		}
	}
	switch string(codec) {
	case "latin1", "latin-1", "iso-8859-1", "ascii", "utf-8", "utf8":
	default:
		wrong("is used with a codec other than for writing bytes")
		return nil
	}
	if !args[0].IsText() {
		wrong("encodes something that is no text")
		return nil
	}
	if ok {
		e.Result = m.Fold(format.Bytes, latin1(text))
		return s.probe(m, e, e.Result)
	}
	return nil
}

// latin1 turns text into the bytes it stands for.
func latin1(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		out = append(out, byte(r))
	}
	return out
}

func (s *stream) build(m *format.Machine, e *format.Event) error {
	s.mutated(m, e, e.Target)
	made := m.Items(e.Target)
	if e.Target.Kind() != format.Instance || len(made) == 0 {
		return nil
	}
	id := made[0].GlobalID()
	if id < 0 {
		return nil
	}
	if m.Global(id).Module == "numpy" && m.Global(id).Name == "dtype" {
		s.typed(m, e)
	}
	if j := s.policy(m, id); j.role == roleWrapper && j.standing == allowed {
		return s.array(m, e)
	}
	return nil
}

// mutated judges a change to something that is not a plain container.
func (s *stream) mutated(m *format.Machine, e *format.Event, target format.Value) {
	switch target.Kind() {
	case format.Instance:
	case format.Global:
		n := m.Global(target.GlobalID())
		s.active, s.plain = true, false
		s.once(target.GlobalID(), e, detect.Hit{
			Rule: ruleMutate, Name: n.Module + "." + n.Name, Summary: fmt.Sprintf("loading changes %.120q itself", n.Module+"."+n.Name),
		})
	default:
		s.active, s.plain = true, false
		s.once(-int(target.Kind()), e, detect.Hit{
			Rule: ruleMutate, Severity: finding.High, Verdict: finding.Suspicious,
			Summary: format.OpName(e.Op) + " on something that is neither a container of its kind nor an instance",
		})
	}
}

// persistent wants torch's ("storage", class, key, location, numel), or a class.
func (s *stream) persistent(m *format.Machine, e *format.Event) error {
	odd := func(why string) {
		s.plain = false
		s.once(0, e, detect.Hit{Rule: rulePersID, Summary: "a persistent id " + why})
	}
	if e.Args.Kind() != format.Tuple {
		odd("is not a tuple")
		return nil
	}
	id := m.Items(e.Args)
	var word []byte
	if len(id) > 0 {
		var err error
		if word, _, err = m.Text(id[0], 64); err != nil {
			return err
		}
	}
	if string(word) == "module" && len(id) == 4 {
		s.module(m, e, id, odd)
		return nil
	}
	if len(id) != 5 && len(id) != 6 {
		odd(fmt.Sprintf("has %d parts", len(id)))
		return nil
	}
	switch {
	case string(word) != "storage":
		odd("is not that of a storage")
	case !s.isAllowed(m, id[1], roleStorage):
		odd("has something else than a class of storages for its type")
	case !id[2].IsText() || !id[3].IsText():
		odd("has no text for its key or location")
	case id[4].Kind() != format.Int || id[4].Int() < 0:
		odd("has no number of elements")
	case s.storages != nil:
		s.storages(m, e.Args)
	}
	return nil
}

// module is the id of a class in legacy torch files, ("module", class, file,
// source). A loader compares the source with its own, warns, and takes the class.
func (s *stream) module(m *format.Machine, e *format.Event, id []format.Value, odd func(string)) {
	if !s.isAllowed(m, id[1], roleClass) || !id[2].IsText() || !id[3].IsText() {
		odd("is not that of a known class")
		return
	}
	e.Result = id[1]
}

// bad reports what the machine found odd about the stream itself.
func (s *stream) bad(e *format.Event) {
	t := format.Trouble(e.Number)
	mal, sus := finding.Malicious, finding.Suspicious
	h := detect.Hit{Rule: ruleOdd}
	switch t {
	case format.FrameStraddled:
		h = detect.Hit{Rule: ruleFrame, Verdict: mal, Severity: finding.Critical, Summary: "an opcode crosses the end of its frame"}
	case format.FrameInFrame:
		h = detect.Hit{Rule: ruleFrame, Verdict: sus, Summary: "a frame begins before another one ends"}
	case format.FramePastEnd:
		h = detect.Hit{Rule: ruleFrame, Verdict: sus, Summary: "a frame is longer than the file"}
	case format.Expands:
		h = detect.Hit{Rule: ruleExpands, Verdict: mal, Summary: "the value stands for more than a thousand nodes per byte"}
	case format.DeepNesting:
		h = detect.Hit{Rule: ruleExpands, Verdict: sus, Summary: "values are nested more than ten thousand deep"}
	case format.FarMemo:
		h = detect.Hit{Rule: ruleExpands, Verdict: sus, Summary: "a memo index costs a reader gigabytes"}
	case format.ProtocolLate:
		h.Summary = "the protocol is declared in the middle of the stream"
	case format.ProtocolUnknown:
		h = detect.Hit{Rule: ruleBroken, Summary: "a protocol that is not known"}
	case format.OutOfBand:
		h.Summary = "a buffer is used that is not in the file"
	case format.HugeNumber:
		h.Summary = "a number with more than ten thousand digits"
	case format.OddNumber:
		h.Summary = "text that is not plainly a number"
	case format.OddString:
		h.Summary = "a string without matching quotes"
	case format.LongName:
		h = detect.Hit{Rule: ruleUnknown, Summary: "a name longer than a line may be"}
	case format.KeptTooMuch:
		h = detect.Hit{Rule: ruleLimit, Summary: "more containers than are looked into"}
	}
	s.once(int(t), e, h)
}
