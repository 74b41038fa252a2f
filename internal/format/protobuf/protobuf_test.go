package protobuf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

func read(data string, lim protobuf.Limits) (fields []protobuf.Field, err error) {
	err = protobuf.New(strings.NewReader(data), int64(len(data)), lim).Root().Each(func(f protobuf.Field) error {
		fields = append(fields, f)
		return nil
	})
	return fields, err
}

func TestEach(t *testing.T) {
	got, err := read("\x08\x96\x01"+"\x12\x03abc"+"\x1d\x01\x02\x03\x04"+"\x21\x01\x00\x00\x00\x00\x00\x00\x80"+"\x80\x01\x00", protobuf.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []protobuf.Field{
		{Number: 1, Wire: protobuf.Varint, Value: 150, Offset: 0, Data: 1, Length: 2},
		{Number: 2, Wire: protobuf.Bytes, Offset: 3, Data: 5, Length: 3},
		{Number: 3, Wire: protobuf.Fixed32, Value: 0x04030201, Offset: 8, Data: 9, Length: 4},
		{Number: 4, Wire: protobuf.Fixed64, Value: 1<<63 | 1, Offset: 13, Data: 14, Length: 8},
		{Number: 16, Wire: protobuf.Varint, Offset: 22, Data: 24, Length: 1},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEachRefuses(t *testing.T) {
	tests := []struct {
		name, in string
		err      error
		text     string
	}{
		{"field_0", "\x00\x01", protobuf.ErrMalformed, "field number 0"},
		{"huge_field", "\x80\x80\x80\x80\x7f\x01", protobuf.ErrMalformed, "field number"},
		{"group", "\x0b\x0c", protobuf.ErrMalformed, "wire type 3"},
		{"wire_type_7", "\x0f", protobuf.ErrMalformed, "wire type 7"},
		{"number_without_end", "\x08\x80", protobuf.ErrMalformed, "without end at 2"},
		{"number_of_70_bits", "\x08" + strings.Repeat("\xff", 10) + "\x01", protobuf.ErrMalformed, "more than 64 bits"},
		{"longer_than_the_message", "\x12\x04abc", protobuf.ErrMalformed, "field of 4 bytes at 0"},
		{"an_exabyte", "\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7fabc", protobuf.ErrMalformed, "field of"},
		{"short_fixed", "\x1d\x01\x02", protobuf.ErrMalformed, "without end"},
		{"many_fields", strings.Repeat("\x08\x01", 11), protobuf.ErrLimit, "too many fields at 20"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(tt.in, protobuf.Limits{Fields: 10}); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v, want %v with %q", err, tt.err, tt.text)
			}
		})
	}
}

func TestContent(t *testing.T) {
	data := "\x0a\x04\x12\x02hi" + "\x12\x03\x01\x96\x01" + "\x1a\x02\xff\xfe"
	s := protobuf.New(strings.NewReader(data), int64(len(data)), protobuf.Limits{Text: 3})
	var fields []protobuf.Field
	if err := s.Root().Each(func(f protobuf.Field) error { fields = append(fields, f); return nil }); err != nil {
		t.Fatal(err)
	}
	inner, err := s.Sub(fields[0]).Next()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := s.Text(inner); text != "hi" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	var numbers []uint64
	if err := s.Packed(fields[1], func(n uint64) error { numbers = append(numbers, n); return nil }); err != nil || !cmp.Equal(numbers, []uint64{1, 150}) {
		t.Errorf("%v, %v", numbers, err)
	}
	if _, err := s.Text(fields[2]); !errors.Is(err, protobuf.ErrMalformed) {
		t.Errorf("error is %v", err)
	}
	if _, err := s.Bytes(fields[0]); !errors.Is(err, protobuf.ErrLimit) {
		t.Errorf("error is %v", err)
	}
}

// What is skipped is not read.
func TestSkips(t *testing.T) {
	const size = 3 << 30
	head := append([]byte("\x08\x01\x12"), binary.AppendUvarint(nil, size)...)
	r := &sparse{head: head}
	s := protobuf.New(r, int64(len(head))+size, protobuf.Limits{})
	if err := s.Root().Each(func(protobuf.Field) error { return nil }); err != nil || r.read > 100_000 {
		t.Errorf("%d bytes were read: %v", r.read, err)
	}
}

// sparse is zeros behind a head.
type sparse struct {
	head []byte
	read int
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	s.read += len(p)
	return len(p), nil
}

// FuzzEach promises: fields that are accepted lie one behind the other and
// fill their message.
func FuzzEach(f *testing.F) {
	f.Add([]byte("\x08\x96\x01\x12\x03abc\x1d\x01\x02\x03\x04\x21\x01\x00\x00\x00\x00\x00\x00\x80"))
	f.Add([]byte("\x0a\x04\x12\x02hi\x0b\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		at := int64(0)
		err := protobuf.New(bytes.NewReader(data), int64(len(data)), protobuf.Limits{}).Root().Each(func(f protobuf.Field) error {
			if f.Offset != at || f.Data <= f.Offset || f.Length < 0 || f.Number < 1 {
				t.Fatalf("%+v at %d", f, at)
			}
			at = f.Data + f.Length
			return nil
		})
		if err == nil && at != int64(len(data)) {
			t.Fatalf("ends at %d of %d", at, len(data))
		}
	})
}
