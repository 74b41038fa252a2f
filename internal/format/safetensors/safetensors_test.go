package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/safetensors"
)

// file is a header with its length and n bytes of data.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func read(data []byte) (*safetensors.File, error) {
	return safetensors.Read(bytes.NewReader(data), int64(len(data)), safetensors.Limits{Tensors: 5, Dims: 4, Metadata: 100})
}

const a = `"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}`

func TestRead(t *testing.T) {
	got, err := read(file(`{"__metadata__":{"format":"pt"},"b":{"dtype":"I8","shape":[],"data_offsets":[16,17]},`+a+`,"z":{"data_offsets":[17,17],"dtype":"U8","shape":[0]}}   `, 17))
	if err != nil {
		t.Fatal(err)
	}
	want := &safetensors.File{
		Data:     got.Data,
		Metadata: []safetensors.Pair{{Key: "format", Value: "pt", Offset: 34}},
		Tensors: []safetensors.Tensor{
			{Name: "a", DType: "F32", Shape: []int64{2, 2}, Offset: got.Data, Length: 16, Described: 93},
			{Name: "b", DType: "I8", Shape: []int64{}, Offset: got.Data + 16, Length: 1, Described: 40},
			{Name: "z", DType: "U8", Shape: []int64{0}, Offset: got.Data + 17, Length: 0, Described: 149},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		err  error
		text string
	}{
		{"short", []byte("1234567"), safetensors.ErrTruncated, "7 bytes"},
		{"past_the_end", file("{}", 0)[:9], safetensors.ErrTruncated, "header of 2 bytes in a file of 9"},
		{"a_byte_over_the_limit", append(binary.LittleEndian.AppendUint64(nil, 100_000_001), "{}"...), safetensors.ErrTooLong, "100000001"},
		{"all_ones", bytes.Repeat([]byte{0xff}, 20), safetensors.ErrTooLong, "header of"},
		{"empty_header", file("", 8), safetensors.ErrMalformed, "0 bytes"},
		{"array", file("[]", 0), safetensors.ErrMalformed, "no object"},
		{"latin_1", file("{\"\xe9\":1}", 0), safetensors.ErrMalformed, "UTF-8"},
		{"ends_in_the_middle", file(`{"a":`, 0), safetensors.ErrMalformed, "ends at"},
		{"goes_on", file(`{}x`, 0), safetensors.ErrMalformed, "behind the end"},
		{"one_tensor_again_and_again", file(`{`+strings.Repeat(a+",", 6)+a+`}`, 16), safetensors.ErrLimit, "more than 5 tensors"},
		{"too_many_tensors", file(`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1}`, 0), safetensors.ErrLimit, "more than 5 tensors"},
		{"too_many_dimensions", file(`{"a":{"shape":[1,1,1,1,1]}}`, 0), safetensors.ErrLimit, "more than 4 dimensions"},
		{"too_much_metadata", file(`{"__metadata__":{"x":"`+strings.Repeat("y", 101)+`"}}`, 0), safetensors.ErrLimit, "metadata"},
		{"deep", file(`{"a":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`}`, 0), safetensors.ErrLimit, "nested"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(tt.in); !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v, want %v with %q", err, tt.err, tt.text)
			}
		})
	}
}

func tensor(rest string) string { return `{"a":{` + rest + `}}` }

func TestTroubles(t *testing.T) {
	tests := []struct {
		name, header string
		data         int
		kind         safetensors.TroubleKind
		text         string
	}{
		{"key_twice", `{` + a + `,` + a + `}`, 16, safetensors.Twice, `"a" is given twice`},
		{"key_twice_in_a_tensor", tensor(`"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]`), 16, safetensors.Twice, `"dtype" is given twice`},
		{"key_twice_by_an_escape", `{` + a + `,"\u0061":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]}}`, 32, safetensors.Twice, "given twice"},
		{"hole_in_front", tensor(`"dtype":"F32","shape":[1],"data_offsets":[4,8]`), 8, safetensors.Hole, "4 bytes before"},
		{"hole_between", `{` + a + `,"b":{"dtype":"I8","shape":[1],"data_offsets":[20,21]}}`, 21, safetensors.Hole, "4 bytes before"},
		{"overlap", `{` + a + `,"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}`, 24, safetensors.Overlap, `"b" shares bytes`},
		{"tail", `{` + a + `}`, 21, safetensors.Tail, "5 bytes behind"},
		{"tail_alone", `{}`, 3, safetensors.Tail, "3 bytes behind"},
		{"short", `{` + a + `}`, 15, safetensors.Short, "the file ends"},
		{"shape", tensor(`"dtype":"F32","shape":[3],"data_offsets":[0,16]`), 16, safetensors.Extent, "make 12"},
		{"shape_overflows", tensor(`"dtype":"F32","shape":[4294967296,4294967296,16],"data_offsets":[0,0]`), 0, safetensors.Extent, "overflows"},
		{"bits_overflow", tensor(`"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]`), 0, safetensors.Extent, "overflows"},
		{"half_a_byte", tensor(`"dtype":"F4","shape":[3],"data_offsets":[0,2]`), 2, safetensors.Extent, "at a byte"},
		{"float_offset", tensor(`"dtype":"F32","shape":[4],"data_offsets":[0,16.0]`), 16, safetensors.Number, `"16.0"`},
		{"exponent", tensor(`"dtype":"F32","shape":[4e0],"data_offsets":[0,16]`), 16, safetensors.Number, `"4e0"`},
		{"negative_dimension", tensor(`"dtype":"F32","shape":[-4],"data_offsets":[0,16]`), 16, safetensors.Number, `"-4"`},
		{"text_for_a_number", tensor(`"dtype":"F32","shape":["4"],"data_offsets":[0,16]`), 16, safetensors.Number, `"4"`},
		{"beyond_64_bits", tensor(`"dtype":"F32","shape":[4],"data_offsets":[0,18446744073709551632]`), 16, safetensors.Number, "18446744073709551632"},
		{"ends_before_it_begins", tensor(`"dtype":"F32","shape":[4],"data_offsets":[16,0]`), 16, safetensors.Number, "ends before it begins"},
		{"one_offset", tensor(`"dtype":"F32","shape":[4],"data_offsets":[0]`), 16, safetensors.Number, "1 offsets"},
		{"three_offsets", tensor(`"dtype":"F32","shape":[4],"data_offsets":[0,16,16]`), 16, safetensors.Number, "more than two"},
		{"shape_is_no_list", tensor(`"dtype":"F32","shape":4,"data_offsets":[0,16]`), 16, safetensors.Number, "no list"},
		{"unknown_type", tensor(`"dtype":"F31","shape":[4],"data_offsets":[0,16]`), 16, safetensors.Type, `"F31"`},
		{"type_is_no_text", tensor(`"dtype":1,"shape":[4],"data_offsets":[0,16]`), 16, safetensors.Form, "lacks dtype"},
		{"no_shape", tensor(`"dtype":"F32","data_offsets":[0,16]`), 16, safetensors.Form, "lacks dtype"},
		{"another_key", tensor(`"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":{"y":[1]}`), 16, safetensors.Form, `key "x"`},
		{"tensor_is_a_list", `{"a":[1,[2]]}`, 0, safetensors.Form, "is no object"},
		{"metadata_is_a_list", `{"__metadata__":[]}`, 0, safetensors.Form, "is no object"},
		{"metadata_of_numbers", `{"__metadata__":{"x":[1]}}`, 0, safetensors.Form, `"x" is no string`},
		{"metadata_twice", `{"__metadata__":{},"__metadata__":{}}`, 0, safetensors.Twice, "given twice"},
		{"white_space_in_front", ` {` + a + `}`, 16, safetensors.Form, "white space before"},
		{"a_page_of_white_space", `{` + a + `}` + strings.Repeat(" ", 5000), 16, safetensors.Form, "5000 bytes of white space"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := file(tt.header, tt.data)
			f, err := read(data)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range f.Troubles {
				if got.Offset < 0 || got.Offset > int64(len(data)) || got.Length < 0 {
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

func TestReadIndex(t *testing.T) {
	const good = `{"metadata":{"total_size":32,"total_parameters":8},"weight_map":{"a":"model-2.safetensors","b":"model-1.safetensors","c":"model-1.safetensors"}}`
	x, err := safetensors.ReadIndex(strings.NewReader(good), safetensors.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := &safetensors.Index{Files: []string{"model-1.safetensors", "model-2.safetensors"}, Tensors: 3, TotalSize: 32}
	if d := cmp.Diff(want, x); d != "" {
		t.Error(d)
	}
	for text, kind := range map[string]safetensors.TroubleKind{
		`{"weight_map":{"a":"x","a":"y"}}`:               safetensors.Twice,
		`{"weight_map":{"a":1}}`:                         safetensors.Form,
		`{"weight_map":{},"x":1}`:                        safetensors.Form,
		`{"metadata":{}}`:                                safetensors.Form,
		`{"metadata":{"total_size":-1},"weight_map":{}}`: safetensors.Number,
	} {
		x, err := safetensors.ReadIndex(strings.NewReader(text), safetensors.Limits{})
		if err != nil || len(x.Troubles) == 0 || x.Troubles[0].Kind != kind {
			t.Errorf("%s: %+v, %v", text, x, err)
		}
	}
	if _, err := safetensors.ReadIndex(strings.NewReader(good[:50]), safetensors.Limits{}); !errors.Is(err, safetensors.ErrMalformed) {
		t.Errorf("error is %v", err)
	}
}

// FuzzRead promises: without trouble, the tensors tile the data of the file
// exactly, and each has as many bytes as its shape and type make; and the same
// bytes always read the same.
func FuzzRead(f *testing.F) {
	f.Add(file(`{`+a+`,"__metadata__":{"x":"y"}}  `, 16))
	f.Add(file(`{"a":{"dtype":"F4","shape":[2,1],"data_offsets":[0,1]},"b":{"dtype":"F64","shape":[0],"data_offsets":[1,1]}}`, 1))
	f.Add(file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16.5]}}`, 16))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := read(data)
		if err != nil {
			return
		}
		again, _ := read(data)
		if d := cmp.Diff(h, again); d != "" {
			t.Fatal(d)
		}
		if len(h.Troubles) > 0 {
			return
		}
		at := h.Data
		for _, x := range h.Tensors {
			width, _ := x.DType.Bits()
			n := width
			for _, d := range x.Shape {
				n *= uint64(d)
			}
			if x.Offset != at || n != 8*uint64(x.Length) {
				t.Fatalf("%+v at %d", x, at)
			}
			at += x.Length
		}
		if at != int64(len(data)) {
			t.Fatalf("tensors end at %d of %d", at, len(data))
		}
	})
}
