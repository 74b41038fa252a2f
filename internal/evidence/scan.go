package evidence

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// scanEntry reads an entry in the form that nearly all have: the keys in their
// order, texts without anything that JSON escapes. Whatever else there is, it
// leaves to [ParseEntry], which encodes again what it read and compares; here
// the form itself leaves no second way to write the same.
func scanEntry(raw []byte) (e Entry, ok bool) {
	raw = bytes.Clone(raw)
	e, ok = scanOwned(raw)
	return e, ok && canonicalJSON(e.Body)
}

// ParseProven reads an entry that is proven by a checkpoint to be what was
// written, and whose form is therefore known. The entry keeps raw.
func ParseProven(raw []byte) (Entry, error) {
	if e, ok := scanOwned(raw); ok {
		return e, nil
	}
	return parseEntry(raw)
}

// scanOwned is scanEntry without a look at the body; the entry keeps raw.
func scanOwned(raw []byte) (e Entry, ok bool) {
	s := scanner{rest: raw}
	e.Log = s.text(`{"log":"`)
	e.Seq = s.number(`,"seq":`)
	e.Time = s.time(`,"time":"`)
	e.Actor = s.text(`,"actor":"`)
	e.Kind = s.text(`,"kind":"`)
	s.prefix(`,"body":`)
	body, ok := bytes.CutSuffix(s.rest, []byte("}"))
	if s.bad || !ok || e.Log == "" || e.Seq == 0 || e.Kind == "" {
		return Entry{}, false
	}
	if body, e.Prev, ok = cutPrev(body); !ok {
		return Entry{}, false
	}
	e.raw, e.Body = raw, json.RawMessage(slices.Clip(body))
	return e, true
}

// scanner reads from the front; bad says that something did not fit.
type scanner struct {
	rest []byte
	bad  bool
}

func (s *scanner) prefix(p string) {
	if s.bad || len(s.rest) < len(p) || string(s.rest[:len(p)]) != p {
		s.bad = true
		return
	}
	s.rest = s.rest[len(p):]
}

// text reads what stands between prefix and the next quote, if nothing in it
// can be escaped.
func (s *scanner) text(prefix string) string {
	s.prefix(prefix)
	for i, c := range s.rest {
		switch {
		case c == '"' && !s.bad:
			text := string(s.rest[:i])
			s.rest = s.rest[i+1:]
			return text
		case c < ' ' || c > '~' || c == '\\' || c == '<' || c == '>' || c == '&':
			s.bad = true
			return ""
		}
	}
	s.bad = true
	return ""
}

func (s *scanner) number(prefix string) uint64 {
	s.prefix(prefix)
	i := 0
	for i < len(s.rest) && i < 19 && s.rest[i] >= '0' && s.rest[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(string(s.rest[:i]), 10, 63)
	if s.bad || err != nil || i > 1 && s.rest[0] == '0' {
		s.bad = true
		return 0
	}
	s.rest = s.rest[i:]
	return n
}

// time reads a time in the one form that entries have, in UTC.
func (s *scanner) time(prefix string) time.Time {
	text := s.text(prefix)
	if len(text) != len("2006-01-02T15:04:05.000000000Z") || !strings.HasSuffix(text, "Z") || text[19] != '.' {
		s.bad = true
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Format(timeLayout) != text {
		s.bad = true
	}
	return t
}

// cutPrev takes the link off the end of an entry without its last brace. A
// body cannot end like a link: JSON has no value that ends with a quote behind
// a key.
func cutPrev(data []byte) (body []byte, prev artifact.Digest, ok bool) {
	const before = `,"prev":"`
	at := len(data) - len(before) - 2*sha256Size - 1
	if at < 0 || string(data[at:at+len(before)]) != before || data[len(data)-1] != '"' {
		return data, prev, true
	}
	digits := string(data[at+len(before) : len(data)-1])
	prev, err := artifact.ParseDigest(digits)
	return data[:at], prev, err == nil && prev.Hex() == digits
}

// sha256Size is the size of a SHA-256 in bytes.
const sha256Size = 32

// canonicalJSON reports whether data is one JSON value as the encoder writes
// a value that was encoded before: without white space between tokens, and
// with the characters escaped that mean something in HTML or JavaScript.
func canonicalJSON(data []byte) bool {
	inText := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '<' || c == '>' || c == '&' || c == 0xE2: // U+2028 and U+2029 begin with 0xE2
			return false
		case c == '"':
			inText = !inText
		case c == '\\':
			i++ // inside a text, or no JSON
		case !inText && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return false
		}
	}
	return json.Valid(data)
}

// scan reads an item in the form that nearly all have, ten times as fast as
// the decoder; false leaves it to that.
func (i *Item) scan(body []byte) bool {
	s := scanner{rest: body}
	item := Item{Type: s.text(`{"type":"`), Name: s.text(`,"name":"`), Origin: s.text(`,"origin":"`)}
	digest := s.text(`,"sha256":"`)
	item.Size = int64(s.number(`,"size":`))
	at := s.text(`,"collected_at":"`)
	if s.bad || string(s.rest) != "}" || item.SHA256.UnmarshalText([]byte(digest)) != nil || item.CollectedAt.UnmarshalText([]byte(at)) != nil {
		return false
	}
	*i = item
	return true
}
