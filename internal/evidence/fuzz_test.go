package evidence_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// What is accepted as an entry is the one stored form of what was read from
// it: sealing the same values again gives the same bytes.
func FuzzParseEntry(f *testing.F) {
	for _, r := range grow(f, ours, "a", 3, 1, "text").Rows {
		f.Add(r.Raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := evidence.ParseEntry(raw)
		if err != nil {
			return
		}
		again, err := evidence.Seal(e.Log, e.Seq, e.Prev, evidence.Draft{Time: e.Time, Actor: e.Actor, Kind: e.Kind, Body: e.Body})
		if err != nil || !bytes.Equal(again.Raw(), raw) {
			t.Errorf("accepted %q, which is sealed as %q, %v", raw, again.Raw(), err)
		}
	})
}

// The quick way to read an entry and the thorough one agree.
func FuzzScanEntry(f *testing.F) {
	for _, r := range grow(f, ours, "a", 3, 1, "text").Rows {
		f.Add(r.Raw)
	}
	f.Add([]byte(`{"log":"a","seq":1,"time":"2026-03-01T12:00:00.000000000Z","actor":"","kind":"k","body":{"x":[1,"\\\"",{}]},"prev":""}`))
	f.Add([]byte(`{"log":"a","seq":1,"time":"2026-03-01T12:00:00.000000000Z","actor":"u","kind":"k","body":"\u003c é ☃"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		quick, err := evidence.ParseEntry(raw)
		thorough, err2 := evidence.ParseEntryThoroughly(raw)
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(quick, thorough) {
			t.Errorf("%q is %+v (%v), and thoroughly %+v (%v)", raw, quick, err, thorough, err2)
		}
	})
}

// The quick way to read an item agrees with the decoder.
func FuzzScanItem(f *testing.F) {
	for _, i := range []evidence.Item{{}, {Type: "t", Name: "n", Origin: "/", SHA256: artifact.SHA256Of(nil), Size: 1, CollectedAt: noon}} {
		body, err := json.Marshal(i)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var quick, slow evidence.Item
		if err := json.Unmarshal(body, &slow); err != nil {
			if quick.Scan(body) {
				t.Errorf("%q is no item, and read as %+v", body, quick)
			}
			return
		}
		if quick.Scan(body) && !reflect.DeepEqual(quick, slow) {
			t.Errorf("%q is %+v, and quickly %+v", body, slow, quick)
		}
	})
}

// What is accepted as a checkpoint begins with its own text.
func FuzzParseCheckpoint(f *testing.F) {
	f.Add(checkpoint(3).Text())
	f.Add(checkpoint(3).Text() + "extension\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := evidence.ParseCheckpoint(text)
		if err == nil && (len(text) < len(c.Text()) || text[:len(c.Text())] != c.Text()) {
			t.Errorf("accepted %q as %q", text, c.Text())
		}
	})
}

// No note but the one that was signed gives another checkpoint.
func FuzzOpenCheckpoint(f *testing.F) {
	f.Add(ours.SignCheckpoint(checkpoint(3)))
	f.Add(key("witness.example", 2).SignCheckpoint(checkpoint(4)))
	f.Fuzz(func(t *testing.T, note string) {
		c, err := evidence.OpenCheckpoint(note, ours.Public())
		if err == nil && c != checkpoint(3) {
			t.Errorf("accepted %q", note)
		}
	})
}

// A key that is accepted has one spelling.
func FuzzParseVerifierKey(f *testing.F) {
	f.Add(ours.Public().String())
	f.Fuzz(func(t *testing.T, s string) {
		k, err := evidence.ParseVerifierKey(s)
		if err == nil && k.String() != string(bytes.TrimSpace([]byte(s))) {
			t.Errorf("accepted %q as %q", s, k)
		}
	})
}
