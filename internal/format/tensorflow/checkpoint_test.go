package tensorflow_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/tensorflow"
)

// entry is a key with its value, without sharing.
func entry(key, value string) string {
	s := binary.AppendUvarint([]byte{0}, uint64(len(key)))
	return string(binary.AppendUvarint(s, uint64(len(value)))) + key + value
}

// block is entries with their end, the compression and the checksum.
func block(entries ...string) string {
	s := strings.Join(entries, "") + "\x00\x00\x00\x00\x01\x00\x00\x00" + "\x00"
	sum := crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli))
	return s + string(binary.LittleEndian.AppendUint32(nil, bits.RotateLeft32(sum, -15)+0xa282ead8))
}

func placeOf(at, size int) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(at)), uint64(size-5)))
}

// indexOf is a table of one block of data.
func indexOf(data string) string {
	meta := block()
	list := block(entry("z", placeOf(0, len(data))))
	end := placeOf(len(data), len(meta)) + placeOf(len(data)+len(meta), len(list))
	return data + meta + list + end + strings.Repeat("\x00", 40-len(end)) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
}

// variable is an entry's value: floats at a place in the first file.
func variable(dims []uint64, at, size uint64) string {
	s := ""
	for _, d := range dims {
		s += b(2, v(1, d))
	}
	return v(1, 1) + b(2, s) + v(4, at) + v(5, size) + "\x35\x01\x02\x03\x04"
}

func TestReadCheckpoint(t *testing.T) {
	data := indexOf(block(entry("", v(1, 1)), entry("a/kernel", variable([]uint64{2, 3}, 0, 24)), "\x02\x05\x11shift"+variable([]uint64{1}, 24, 4)))
	c, err := tensorflow.ReadCheckpoint(strings.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	want := &tensorflow.Checkpoint{Shards: 1, Variables: []tensorflow.Variable{
		{Name: "a/kernel", Type: 1, Shape: []int64{2, 3}, Length: 24}, {Name: "a/shift", Type: 1, Shape: []int64{1}, Offset: 24, Length: 4},
	}}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if !c.Variables[0].Fits() || (tensorflow.Variable{Type: 1, Shape: []int64{1 << 62, 8}}).Fits() || (tensorflow.Variable{Type: 9, Shape: []int64{-1}, Length: -8}).Fits() {
		t.Error("shapes are not compared")
	}
}

func TestCheckpointTroubles(t *testing.T) {
	good := block(entry("", v(1, 1)), entry("a", variable(nil, 0, 4)))
	wrong := []byte(indexOf(good))
	wrong[len(good)-1] ^= 1
	padded := []byte(indexOf(good))
	padded[len(padded)-9] = 1
	tests := []struct{ name, in, text string }{
		{"twice", indexOf(block(entry("", v(1, 1)), entry("a", ""), entry("a", ""))), `"a" is given twice`},
		{"out_of_order", indexOf(block(entry("", v(1, 1)), entry("b", ""), entry("a", ""))), "out of order"},
		{"no_header", indexOf(block(entry("a", ""))), "no header"},
		{"odd_field", indexOf(block(entry("", v(1, 1)), entry("a", v(9, 1)))), "odd field 9"},
		{"negative", indexOf(block(entry("", v(1, 1)), entry("a", v(4, 1<<63)))), "odd field 4"},
		{"checksum", string(wrong), "checksum of the block at 0"},
		{"padding", string(padded), "padding"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tensorflow.ReadCheckpoint(strings.NewReader(tt.in), int64(len(tt.in)))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(c.Troubles, func(u tensorflow.Unknown) bool { return strings.Contains(u.Text, tt.text) }) {
				t.Errorf("troubles are %+v", c.Troubles)
			}
		})
	}
	if c, err := tensorflow.ReadCheckpoint(strings.NewReader(indexOf(good)), int64(len(indexOf(good)))); err != nil || len(c.Troubles) > 0 {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestReadCheckpointRefuses(t *testing.T) {
	good := indexOf(block(entry("", v(1, 1))))
	compressed := []byte(good)
	compressed[len(block(entry("", v(1, 1))))-5] = 1
	for name, tt := range map[string]struct {
		in  string
		err error
	}{
		"short":        {good[:40], tensorflow.ErrMalformed},
		"no_signature": {good[:len(good)-1] + "x", tensorflow.ErrMalformed},
		"places":       {strings.Repeat("\xff", 40) + good[len(good)-8:], tensorflow.ErrMalformed},
		"outside":      {good[1:], tensorflow.ErrMalformed},
		"compressed":   {string(compressed), tensorflow.ErrLimit},
		"long_name":    {indexOf(block(entry(strings.Repeat("x", 5000), ""))), tensorflow.ErrLimit},
		"message":      {indexOf(block(entry("a", "\x0b"))), tensorflow.ErrMalformed},
		"lengths":      {indexOf(block("\x05\x00\x00")), tensorflow.ErrMalformed},
	} {
		if _, err := tensorflow.ReadCheckpoint(strings.NewReader(tt.in), int64(len(tt.in))); !errors.Is(err, tt.err) {
			t.Errorf("%s: error is %v, want %v", name, err, tt.err)
		}
	}
}

// FuzzReadCheckpoint promises: without trouble, names grow from entry to entry.
func FuzzReadCheckpoint(f *testing.F) {
	f.Add([]byte(indexOf(block(entry("", v(1, 1)), entry("a", variable([]uint64{2}, 0, 8))))))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := tensorflow.ReadCheckpoint(bytes.NewReader(data), int64(len(data)))
		if err != nil || len(c.Troubles) > 0 {
			return
		}
		for i, x := range c.Variables {
			if i > 0 && c.Variables[i-1].Name > x.Name && !strings.Contains(x.Name+c.Variables[i-1].Name, "\ufffd") || x.Offset < 0 || x.Length < 0 {
				t.Fatalf("%+v", c.Variables)
			}
		}
	})
}
