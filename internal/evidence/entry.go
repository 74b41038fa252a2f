// Package evidence holds what makes a record worth believing a year later:
// entries chained by their hashes, checkpoints that a key signed, sealed
// items, and the verification of all of them, which needs no database.
package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Draft is an entry before it has its place in a log.
type Draft struct {
	// Time is when the thing happened, not when it was written down.
	Time time.Time
	// Actor is who did it: "user@host", or the name of a process.
	Actor string
	// Kind names the type of Body.
	Kind string
	// Body is encoded as JSON.
	Body any
}

// Entry is one record of a log. What is stored, hashed and exported is Raw;
// the other fields are read from it.
type Entry struct {
	Log   string          `json:"log"`
	Seq   uint64          `json:"seq"`
	Time  time.Time       `json:"time"`
	Actor string          `json:"actor"`
	Kind  string          `json:"kind"`
	Body  json.RawMessage `json:"body"`
	// Prev is the hash of the entry before, absent in the first.
	Prev artifact.Digest `json:"prev,omitzero"`

	raw []byte
}

// timeLayout keeps all nine digits, so that texts sort as times do.
const timeLayout = "2006-01-02T15:04:05.000000000Z07:00"

// Seal places d at seq of log, behind the entry whose hash is prev, and
// returns the finished entry.
func Seal(log string, seq uint64, prev artifact.Digest, d Draft) (Entry, error) {
	body, err := json.Marshal(d.Body)
	if err != nil {
		return Entry{}, fmt.Errorf("encode %s: %w", d.Kind, err)
	}
	raw, err := encode(log, seq, prev, d.Time, d.Actor, d.Kind, body)
	if err != nil {
		return Entry{}, err
	}
	return ParseEntry(raw)
}

// encode returns the one stored form that an entry with these values has.
func encode(log string, seq uint64, prev artifact.Digest, at time.Time, actor, kind string, body json.RawMessage) ([]byte, error) {
	raw, err := json.Marshal(struct {
		Log   string          `json:"log"`
		Seq   uint64          `json:"seq"`
		Time  string          `json:"time"`
		Actor string          `json:"actor"`
		Kind  string          `json:"kind"`
		Body  json.RawMessage `json:"body"`
		Prev  artifact.Digest `json:"prev,omitzero"`
	}{log, seq, at.UTC().Format(timeLayout), actor, kind, body, prev})
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	return raw, nil
}

// ParseEntry reads the stored form of an entry and accepts nothing else: what
// two readers of JSON could understand differently (a key given twice, other
// spellings of a key or a time) is refused. It checks the form only; whether
// the entry is what was once written is for [VerifyLog] to say.
func ParseEntry(raw []byte) (Entry, error) {
	if e, ok := scanEntry(raw); ok {
		return e, nil
	}
	return parseEntry(raw)
}

// parseEntry is ParseEntry for every form.
func parseEntry(raw []byte) (Entry, error) {
	var e Entry
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return Entry{}, fmt.Errorf("read entry: %w", err)
	}
	if dec.InputOffset() != int64(len(raw)) {
		return Entry{}, fmt.Errorf("read entry: %d bytes behind its end", int64(len(raw))-dec.InputOffset())
	}
	if e.Log == "" || e.Seq == 0 || e.Kind == "" {
		return Entry{}, fmt.Errorf("read entry: log, seq or kind is missing")
	}
	again, err := encode(e.Log, e.Seq, e.Prev, e.Time, e.Actor, e.Kind, e.Body)
	if err != nil || !bytes.Equal(again, raw) {
		return Entry{}, fmt.Errorf("read entry: not in the form in which entries are written")
	}
	e.raw = again
	return e, nil
}

// Raw returns the stored form. It must not be changed.
func (e Entry) Raw() []byte { return e.raw }

// Hash returns the [LeafHash] of the stored form: it chains the entries and is
// the leaf of the tree that checkpoints sign.
func (e Entry) Hash() artifact.Digest { return LeafHash(e.raw) }

// Decode reads the body into v. Unknown fields are kept out of v but are no
// error: a newer program may have written them.
func (e Entry) Decode(v any) error {
	if item, ok := v.(*Item); ok && item.scan(e.Body) {
		return nil // long logs are made of these
	}
	if err := json.Unmarshal(e.Body, v); err != nil {
		return fmt.Errorf("read %s entry %d: %w", e.Kind, e.Seq, err)
	}
	return nil
}
