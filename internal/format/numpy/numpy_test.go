package numpy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/numpy"
)

func npy(header string) []byte {
	return append(binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header))), header...)
}

func TestReadHeader(t *testing.T) {
	const rest = ", 'fortran_order': False, 'shape': (2, 3)}"
	tests := []struct {
		name, header string
		bytes        int64
		objects      bool
	}{
		{"floats", "{'descr': '<f8'" + rest, 48, false},
		{"objects", "{'descr': '|O'" + rest, -1, true},
		{"fields", "{'descr': [('a', '<f4'), ('b', '|S3')]" + rest, 42, false},
		{"objects_in_fields", "{'descr': [('a', '<f4'), ('b', [('c', '|O')])]" + rest, -1, true},
		{"sub_array", "{'descr': [('a', '<i2', (4,))]" + rest, 48, false},
		{"text", "{'descr': '<U5'" + rest, 120, false},
		{"no_dimension", "{'descr': '<i4', 'fortran_order': True, 'shape': ()}  \n", 4, false},
		{"python_2", "{'descr': '<i4', 'fortran_order': False, 'shape': (2L,)}", 8, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := npy(tt.header)
			h, err := numpy.ReadHeader(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			if h.Bytes != tt.bytes || h.Objects != tt.objects || h.Data != int64(len(data)) {
				t.Errorf("header is %+v", h)
			}
		})
	}
}

func TestReadHeaderRefuses(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		err  error
	}{
		{"nothing", []byte("\x93NUM"), numpy.ErrTruncated},
		{"version", []byte("\x93NUMPY\x09\x00\x00\x00"), numpy.ErrMalformed},
		{"longer_than_the_file", []byte("\x93NUMPY\x01\x00\xff\xff{}"), numpy.ErrTruncated},
		{"too_long", []byte("\x93NUMPY\x02\x00\xff\xff\xff\x7f{}"), numpy.ErrLimit},
		{"call", npy("{'descr': f(), 'fortran_order': False, 'shape': ()}"), numpy.ErrMalformed},
		{"key_twice", npy("{'descr': '<f8', 'descr': '|O', 'fortran_order': False, 'shape': ()}"), numpy.ErrMalformed},
		{"another_key", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (), 'x': 1}"), numpy.ErrMalformed},
		{"goes_on", npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()} or 1"), numpy.ErrMalformed},
		{"overflows", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"), numpy.ErrMalformed},
		{"negative", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), numpy.ErrMalformed},
		{"deep", npy(strings.Repeat("(", 60) + strings.Repeat(")", 60)), numpy.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := numpy.ReadHeader(bytes.NewReader(tt.data), int64(len(tt.data))); !errors.Is(err, tt.err) {
				t.Errorf("error is %v, want %v", err, tt.err)
			}
		})
	}
}

// FuzzReadHeader promises: what is accepted lies in the file, and has a size
// unless it has objects.
func FuzzReadHeader(f *testing.F) {
	f.Add(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}"))
	f.Add(npy("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := numpy.ReadHeader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if h.Data > int64(len(data)) || (h.Bytes < 0) != h.Objects {
			t.Fatalf("%+v of %d bytes", h, len(data))
		}
		again, _ := numpy.ReadHeader(bytes.NewReader(data), int64(len(data)))
		if d := cmp.Diff(h, again); d != "" {
			t.Fatal(d)
		}
	})
}
