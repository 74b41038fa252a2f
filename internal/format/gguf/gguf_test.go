package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/gguf"
)

// maker writes a file in a version and byte order.
type maker struct {
	version uint32
	order   binary.AppendByteOrder
}

var v3 = maker{3, binary.LittleEndian}

func (m maker) u32(n uint32) string { return string(m.order.AppendUint32(nil, n)) }

func (m maker) count(n uint64) string {
	if m.version == 1 {
		return m.u32(uint32(n))
	}
	return string(m.order.AppendUint64(nil, n))
}

func (m maker) text(s string) string { return m.count(uint64(len(s))) + s }

func (m maker) key(name string, kind uint32, value string) string {
	return m.text(name) + m.u32(kind) + value
}

func (m maker) tensor(name string, kind uint32, offset uint64, dims ...uint64) string {
	s := m.text(name) + m.u32(uint32(len(dims)))
	for _, d := range dims {
		s += m.count(d)
	}
	return s + m.u32(kind) + string(m.order.AppendUint64(nil, offset))
}

// file is the whole, padded to 32 bytes in front of the data.
func (m maker) file(keys, tensors []string, data string) string {
	s := "GGUF" + m.u32(m.version) + m.count(uint64(len(tensors))) + m.count(uint64(len(keys))) + strings.Join(keys, "") + strings.Join(tensors, "")
	return s + strings.Repeat("\x00", (32-len(s)%32)%32) + data
}

func read(data string) (*gguf.File, error) {
	return gguf.Read(strings.NewReader(data), int64(len(data)), gguf.Limits{Keys: 20, Tensors: 20, Elements: 100})
}

func zeros(n int) string { return strings.Repeat("\x00", n) }

// b is a tensor that follows one that is named first.
var b = v3.tensor("b", 8, 32, 32)

func TestRead(t *testing.T) {
	for _, m := range []maker{v3, {2, binary.LittleEndian}, {3, binary.BigEndian}, {1, binary.LittleEndian}} {
		data := m.file([]string{
			m.key("general.architecture", 8, m.text("llama")), m.key("a.flag", 7, "\x01"), m.key("a.n", 10, string(m.order.AppendUint64(nil, 7))),
			m.key("tokens", 9, m.u32(8)+m.count(2)+m.text("x")+m.text("yz")), m.key("scores", 9, m.u32(6)+m.count(3)+zeros(12)),
			m.key("nested", 9, m.u32(9)+m.count(1)+m.u32(0)+m.count(2)+"ab"),
		}, []string{m.tensor("w", 0, 0, 2, 3), m.tensor("q", 8, 32, 64)}, zeros(32+68))
		f, err := read(data)
		if err != nil {
			t.Fatal(err)
		}
		if m.version > 1 && m.order == binary.AppendByteOrder(binary.LittleEndian) && len(f.Troubles) > 0 || len(f.Troubles) > 1 {
			t.Errorf("version %d: troubles %+v", m.version, f.Troubles)
		}
		if f.Version != m.version || f.Data+100 != int64(len(data)) || len(f.Values) != 6 {
			t.Errorf("version %d: %+v", m.version, f)
		}
		want := []gguf.Tensor{
			{Name: "w", Type: 0, Shape: []int64{2, 3}, Offset: f.Data, Length: 24, Described: f.Tensors[0].Described},
			{Name: "q", Type: 8, Shape: []int64{64}, Offset: f.Data + 32, Length: 68, Described: f.Tensors[1].Described},
		}
		if d := cmp.Diff(want, f.Tensors); d != "" {
			t.Error(d)
		}
		s := f.Values[0].Strings[0]
		if got := data[s.Offset:][:s.Length]; got != "llama" || f.Values[2].Bits != 7 || f.Values[3].Count != 2 || len(f.Values[3].Strings) != 2 {
			t.Errorf("values are %+v", f.Values)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name, in string
		err      error
		text     string
	}{
		{"short", "GGUF", gguf.ErrTruncated, "8 bytes at 0"},
		{"another", "GGUE" + zeros(30), gguf.ErrMalformed, "signature"},
		{"version_0", "GGUF" + zeros(30), gguf.ErrVersion, "version 0"},
		{"version_4", "GGUF\x04" + zeros(30), gguf.ErrVersion, "version 4"},
		{"no_counts", "GGUF\x03\x00\x00\x00" + zeros(9), gguf.ErrTruncated, "at 16"},
		{"cut_off_in_a_key", v3.file([]string{v3.key("general.name", 8, v3.text("x"))}, nil, "")[:30], gguf.ErrTruncated, "in a file of 30"},
		{"cut_off_in_a_value", v3.file([]string{v3.key("abc", 8, v3.text(strings.Repeat("x", 100)))}, nil, "")[:70], gguf.ErrTruncated, "bytes of text"},
		{"many_keys", "GGUF\x03\x00\x00\x00" + v3.count(0) + v3.count(21) + zeros(500), gguf.ErrLimit, "21 keys"},
		{"many_tensors", "GGUF\x03\x00\x00\x00" + v3.count(21) + v3.count(0) + zeros(900), gguf.ErrLimit, "21 tensors"},
		{"many_strings", v3.file([]string{v3.key("abc", 9, v3.u32(8)+v3.count(101)+zeros(808))}, nil, ""), gguf.ErrLimit, "more than 100 strings"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(tt.in); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v, want %v with %q", err, tt.err, tt.text)
			}
		})
	}
}

func TestTroubles(t *testing.T) {
	key := func(name string, kind uint32, value string) string {
		return v3.file([]string{v3.key(name, kind, value)}, nil, "")
	}
	one := func(tensor, data string) string { return v3.file(nil, []string{tensor}, data) }
	tests := []struct {
		name, in string
		kind     gguf.TroubleKind
		text     string
	}{
		{"keys", "GGUF\x03\x00\x00\x00" + v3.count(0) + v3.count(1<<60) + zeros(90), gguf.Count, "keys in a file"},
		{"tensors", "GGUF\x03\x00\x00\x00" + v3.count(1<<60) + v3.count(0) + zeros(90), gguf.Count, "tensors in a file"},
		{"both_overflow", "GGUF\x03\x00\x00\x00" + v3.count(1<<63) + v3.count(1<<63) + zeros(90), gguf.Count, "keys and"},
		{"length_of_a_key", "GGUF\x03\x00\x00\x00" + v3.count(0) + v3.count(1) + v3.count(1<<63) + zeros(90), gguf.Count, "bytes of a key"},
		{"long_key", key(strings.Repeat("k", 65536), 0, "x"), gguf.Count, "65536 bytes"},
		{"length_of_a_text", key("abc", 8, v3.count(1<<64-1)), gguf.Count, "bytes of text"},
		{"elements", key("abc", 9, v3.u32(10)+v3.count(1<<61)), gguf.Count, "elements in"},
		{"strings", key("abc", 9, v3.u32(8)+v3.count(1<<61)), gguf.Count, "elements in"},
		{"value_type", key("abc", 13, zeros(9)), gguf.ValueKind, "type 13"},
		{"element_type", key("abc", 9, v3.u32(77)+v3.count(0)), gguf.ValueKind, "type 77"},
		{"arrays_in_arrays", key("abc", 9, strings.Repeat(v3.u32(9)+v3.count(1), 9)), gguf.Depth, "deeper than 8"},
		{"alignment_0", key("general.alignment", 4, v3.u32(0)), gguf.Impossible, "alignment is 0"},
		{"alignment_48", key("general.alignment", 4, v3.u32(48)), gguf.Impossible, "alignment is 48"},
		{"alignment_of_another_type", key("general.alignment", 10, v3.count(64)), gguf.Form, "has the type 10"},
		{"alignment_of_a_megabyte", key("general.alignment", 4, v3.u32(1<<20)), gguf.Form, "alignment is 1048576"},
		{"key_twice", v3.file([]string{v3.key("abc", 0, "x"), v3.key("abc", 0, "y")}, nil, ""), gguf.Twice, `"abc" is given twice`},
		{"odd_key", key("a b", 0, "x"), gguf.Form, `"a b" has characters`},
		{"truth_value", key("abc", 7, "\x02"), gguf.Form, "is 2"},
		{"big_endian", maker{3, binary.BigEndian}.file(nil, nil, ""), gguf.Form, "big-endian"},
		{"version_1", maker{1, binary.LittleEndian}.file(nil, nil, ""), gguf.Old, "version 1"},
		{"name_twice", v3.file(nil, []string{v3.tensor("b", 0, 0, 8), b}, zeros(66)), gguf.Twice, `"b" is given twice`},
		{"long_name", one(v3.tensor(strings.Repeat("n", 64), 0, 0, 8), zeros(32)), gguf.Impossible, "64 bytes"},
		{"very_long_name", one(v3.tensor(strings.Repeat("n", 2000), 0, 0, 8), zeros(32)), gguf.Count, "2000 bytes"},
		{"five_dimensions", one(v3.tensor("a", 0, 0, 1, 1, 1, 1, 8), zeros(32)), gguf.Impossible, "5 dimensions"},
		{"dimension_0", one(v3.tensor("a", 0, 0, 0), zeros(32)), gguf.Impossible, "dimension of 0"},
		{"dimension_negative", one(v3.tensor("a", 0, 0, 1<<63), zeros(32)), gguf.Impossible, "dimension of 9223372036854775808"},
		{"dimensions_overflow", one(v3.tensor("a", 0, 0, 1<<32, 1<<32), zeros(32)), gguf.Impossible, "dimensions of the tensor \"a\" overflow"},
		{"size_overflows", one(v3.tensor("a", 0, 0, 1<<62), zeros(32)), gguf.Impossible, "size of the tensor"},
		{"half_a_block", one(v3.tensor("a", 8, 0, 33), zeros(64)), gguf.Impossible, "block of Q8_0 32"},
		{"not_aligned", one(v3.tensor("a", 0, 8, 8), zeros(64)), gguf.Impossible, "alignment is 32"},
		{"outside", one(v3.tensor("a", 0, 640, 8), zeros(64)), gguf.Outside, "begins at 704"},
		{"far_outside", one(v3.tensor("a", 0, 1<<63, 8), zeros(64)), gguf.Outside, "begins at"},
		{"short", one(v3.tensor("a", 0, 0, 16), zeros(63)), gguf.Short, "ends at 128, the file at 127"},
		{"overlap", v3.file(nil, []string{v3.tensor("a", 0, 0, 16), b}, zeros(66)), gguf.Overlap, `"b" shares`},
		{"hole", v3.file(nil, []string{b}, zeros(66)), gguf.Hidden, "32 bytes before"},
		{"tail", one(v3.tensor("a", 0, 0, 8), zeros(32)+"x"), gguf.Hidden, "1 bytes behind"},
		{"padding", one(v3.tensor("a", 0, 0, 1), zeros(31)+"x"), gguf.Hidden, "padding"},
		{"unknown_type", one(v3.tensor("a", 42, 0, 8), zeros(32)), gguf.Unknown, "type 42"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := read(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range f.Troubles {
				if got.Offset < 0 || got.Offset > int64(len(tt.in)) || got.Length < 0 {
					t.Errorf("odd place: %+v", got)
				}
				if got.Kind == tt.kind && strings.Contains(got.Text, tt.text) {
					return
				}
			}
			t.Errorf("troubles are %+v", f.Troubles)
		})
	}
}

// FuzzRead promises: without trouble, every tensor lies in the file behind the
// description, no two share a byte, and no byte behind it is left out but for
// padding; strings lie in the description.
func FuzzRead(f *testing.F) {
	f.Add([]byte(v3.file([]string{v3.key("a.b", 8, v3.text("x")), v3.key("c", 9, v3.u32(8)+v3.count(1)+v3.text("y"))}, []string{v3.tensor("a", 0, 0, 8), b}, zeros(66))))
	f.Add([]byte(maker{1, binary.BigEndian}.file([]string{v3.key("a.b", 8, v3.text("x"))}, nil, "")))
	f.Add([]byte(v3.file([]string{v3.key("general.alignment", 4, v3.u32(64))}, []string{v3.tensor("a", 42, 0, 8)}, zeros(64))))
	f.Fuzz(func(t *testing.T, data []byte) {
		size := int64(len(data))
		h, err := gguf.Read(bytes.NewReader(data), size, gguf.Limits{Elements: 10_000})
		if err != nil {
			return
		}
		for _, v := range h.Values {
			for _, s := range v.Strings {
				if s.Offset < 0 || s.Length < 0 || s.Offset+s.Length > size {
					t.Fatalf("%+v of %d bytes", v, size)
				}
			}
		}
		if len(h.Troubles) > 0 {
			return
		}
		used := int64(0)
		for i, x := range h.Tensors {
			if x.Offset < h.Data || x.Length < 0 || x.Offset+x.Length > size {
				t.Fatalf("%+v of %d bytes", x, size)
			}
			used += (x.Length + h.Alignment - 1) / h.Alignment * h.Alignment
			for _, y := range h.Tensors[:i] {
				if x.Offset < y.Offset+y.Length && y.Offset < x.Offset+x.Length {
					t.Fatalf("%+v and %+v", x, y)
				}
			}
		}
		if h.Data+used < size {
			t.Fatalf("%d bytes from %d on, of %d", used, h.Data, size)
		}
	})
}
