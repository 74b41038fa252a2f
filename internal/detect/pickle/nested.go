package pickle

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/pickle"
)

// The limits of looking for pickles in constants, in bytes and in layers.
const (
	maxConstant = 4 << 20
	maxSpent    = 256 << 20
	maxLayers   = 4
	peek        = 256
)

func (s *stream) constant(m *format.Machine, e *format.Event) error { return s.probe(m, e, e.Target) }

// probe looks for a pickle in a string constant. Nearly all constants are
// names and texts, so the first bytes decide whether to read all of it.
func (s *stream) probe(m *format.Machine, e *format.Event, v format.Value) error {
	if s.depth >= maxLayers || s.spent > maxSpent || v.Len() < format.MinConstant {
		return nil
	}
	var room [peek]byte
	head, err := m.Start(v, room[:0])
	if err != nil || !promising(head, v.Len()) {
		return err
	}
	text, ok, err := m.Text(v, maxConstant)
	if err != nil || !ok {
		return err
	}
	s.spent += int64(len(text))
	if v.Kind() == format.Str {
		text = latin1(text)
	}
	s.layers(text, e, "")
	return nil
}

// promising reports whether bytes may begin a pickle, as they are or encoded.
// all is the length of what they begin.
func promising(head []byte, all int64) bool {
	if len(head) < format.MinConstant {
		return false
	}
	if begins(head, all > int64(len(head))) || packed(head) {
		return true
	}
	var room [peek]byte
	if n := decodeBase64(room[:], head[:min(len(head), 64)]); n >= 6 && (begins(room[:n], true) || packed(room[:n])) {
		return true
	}
	n, err := hex.Decode(room[:], head[:min(len(head), 64)&^1])
	return err == nil && n >= 4 && (begins(room[:n], true) || packed(room[:n]))
}

// begins reports whether a pickle may begin so: with a protocol, or with an
// opcode, and then something that no name and no sentence has.
func begins(b []byte, cut bool) bool {
	if b[0] == 0x80 {
		return b[1] <= 5
	}
	if format.OpName(b[0]) == "" {
		return false
	}
	if cut && len(b) >= peek {
		return true
	}
	for _, c := range b {
		if c == '\n' || c >= 0x80 {
			return true
		}
	}
	return false
}

func packed(b []byte) bool {
	return b[0] == 0x78 && (int(b[0])<<8+int(b[1]))%31 == 0 || b[0] == 0x1f && b[1] == 0x8b || bytes.HasPrefix(b, []byte("BZh"))
}

// decodeBase64 decodes as much of src as is base64, standard or URL-safe, and
// returns the number of bytes.
func decodeBase64(dst, src []byte) int {
	src = src[:len(src)&^3]
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		if n, err := enc.Decode(dst, src); err == nil {
			return n
		}
	}
	return 0
}

// layers runs text as a pickle and takes off one layer of encoding after the
// other.
func (s *stream) layers(text []byte, e *format.Event, how string) {
	if s.depth >= maxLayers || len(text) < 4 {
		return
	}
	if begins(text, false) {
		s.inner(text, e, how)
	}
	for _, l := range unpackings {
		if out := l.unpack(text); len(out) >= 4 {
			s.spent += int64(len(out))
			s.depth++
			s.layers(out, e, strings.TrimSpace(l.name+" "+how))
			s.depth--
		}
	}
}

// unpackings are the encodings that are taken off.
var unpackings = []struct {
	name   string
	unpack func([]byte) []byte
}{
	{"base64", fromBase64},
	{"hex", fromHex},
	{"zlib", func(b []byte) []byte {
		return inflate(b, func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) })
	}},
	{"gzip", func(b []byte) []byte {
		return inflate(b, func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })
	}},
	{"bzip2", func(b []byte) []byte {
		return inflate(b, func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil })
	}},
}

func fromBase64(b []byte) []byte {
	b = bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == ' ' {
			return -1
		}
		return r
	}, b)
	b = bytes.TrimRight(b, "=")
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(b)))
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if n, err := enc.Decode(out, b); err == nil {
			return out[:n]
		}
	}
	return nil
}

func fromHex(b []byte) []byte {
	out := make([]byte, hex.DecodedLen(len(b)))
	n, err := hex.Decode(out, bytes.TrimSpace(b))
	if err != nil {
		return nil
	}
	return out[:n]
}

func inflate(b []byte, open func(io.Reader) (io.Reader, error)) []byte {
	if !packed(b) {
		return nil
	}
	r, err := open(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(r, maxConstant)) // what came out before an error is a pickle all the same
	return out
}

// inner runs bytes of a constant and reports what would be dangerous.
func (s *stream) inner(text []byte, e *format.Event, how string) {
	worst := s.worst(text)
	if worst == nil {
		return
	}
	if how != "" {
		how = " behind " + how
	}
	s.plain = false
	s.once(int(e.Offset), e, detect.Hit{
		Rule: ruleNested, Name: worst.Name, Summary: fmt.Sprintf("a constant holds a pickle%s: %s", how, worst.Summary),
	})
}

// worst judges bytes as a pickle and returns the first hit of the worst kind,
// if it is bad enough that it is no accident.
func (s *stream) worst(text []byte) (worst *detect.Hit) {
	var hits []detect.Hit
	data := io.NewSectionReader(bytes.NewReader(text), 0, int64(len(text)))
	sub := &examiner{
		ctx: s.ctx, depth: s.depth + 1, spent: s.spent, fact: func(string) {}, out: func(h detect.Hit) { hits = append(hits, h) },
		in: detect.Input{Name: s.in.Name, Format: artifact.Pickle, Data: data, Allowed: s.in.Allowed, Depth: s.in.Depth},
	}
	inner := sub.stream()
	r, err := format.Run(data, 0, data.Size(), format.Limits{Ops: 1_000_000}, inner.event)
	if err != nil || !inner.active && len(hits) == 0 {
		return nil
	}
	for i := range hits {
		h := &hits[i]
		serious := h.Rule == ruleDangerous || h.Rule == ruleWalk || h.Rule == ruleNested
		if r.Stopped {
			serious = serious || h.Rule == ruleComputed || h.Rule == ruleMutate && h.Verdict != finding.Suspicious || h.Rule == ruleUnknown && r.Used['R']
		}
		if serious && worst == nil {
			worst = h
		}
	}
	return worst
}

// decoders are functions whose result on constants is known.
var decoders = map[string]func([]byte) []byte{
	"base64.b64decode": fromBase64, "base64.decodebytes": fromBase64, "base64.urlsafe_b64decode": fromBase64,
	"base64.standard_b64decode": fromBase64, "binascii.a2b_base64": fromBase64,
	"binascii.unhexlify": fromHex, "binascii.a2b_hex": fromHex, "base64.b16decode": fromHex, "builtins.bytes.fromhex": fromHex,
	"zlib.decompress": unpackings[2].unpack, "gzip.decompress": unpackings[3].unpack, "bz2.decompress": unpackings[4].unpack,
	"codecs.decode": decodeAny, "_codecs.decode": decodeAny,
}

func decodeAny(b []byte) []byte {
	for _, l := range unpackings {
		if out := l.unpack(b); len(out) > 0 {
			return out
		}
	}
	return nil
}

// fold computes what a decoder makes of a constant, so that what it hides is
// looked at.
func (s *stream) fold(m *format.Machine, e *format.Event) error {
	n := m.Global(e.Callee.GlobalID())
	decode := decoders[n.Module+"."+n.Name]
	args := m.Items(e.Args)
	if decode == nil || len(args) == 0 {
		return nil
	}
	text, ok, err := m.Text(args[0], maxConstant)
	if err != nil || !ok {
		return err
	}
	if out := decode(text); len(out) > 0 && s.spent < maxSpent {
		s.spent += int64(len(out))
		e.Result = m.Fold(format.Bytes, out)
		s.layers(out, e, "")
	}
	return nil
}
