package tensorflow_test

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"io/fs"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/tensorflow"
)

func v(number int, n uint64) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), n))
}

// table is a checkpoint's index with the pairs of keys and values.
func table(pairs ...string) string {
	block := func(pairs ...string) string {
		s := ""
		for i := 0; i < len(pairs); i += 2 {
			s += string(binary.AppendUvarint(binary.AppendUvarint([]byte{0}, uint64(len(pairs[i]))), uint64(len(pairs[i+1])))) + pairs[i] + pairs[i+1]
		}
		s += "\x00\x00\x00\x00\x01\x00\x00\x00\x00"
		sum := crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli))
		return s + string(binary.LittleEndian.AppendUint32(nil, bits.RotateLeft32(sum, -15)+0xa282ead8))
	}
	place := func(at, size int) string {
		return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(at)), uint64(size-5)))
	}
	data, meta := block(pairs...), block()
	list := block("z", place(0, len(data)))
	end := place(len(data), len(meta)) + place(len(data)+len(meta), len(list))
	return data + meta + list + end + strings.Repeat("\x00", 40-len(end)) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
}

// sizesOf are the files of a folder.
type sizesOf map[string]int64

func (s sizesOf) Lstat(name string) (detect.Entry, error) {
	if n, ok := s[name]; ok {
		return detect.Entry{File: artifact.File{Kind: artifact.Regular, Size: n}}, nil
	}
	return detect.Entry{}, fs.ErrNotExist
}

func TestCheckpoint(t *testing.T) {
	floats := func(n, at, size uint64) string { return v(1, 1) + b(2, b(2, v(1, n))) + v(4, at) + v(5, size) }
	const file = "variables.data-00000-of-00001"
	tests := []struct {
		name, data string
		tree       sizesOf
		text       string // nothing for no hit
	}{
		{"fits", table("", v(1, 1), "a", floats(2, 0, 8), "b", floats(1, 8, 4)), sizesOf{file: 12}, ""},
		{"data_is_missing", table("", v(1, 1), "a", floats(2, 0, 8)), sizesOf{}, ""},
		{"alone", table("", v(1, 1), "a", floats(2, 0, 8)), nil, ""},
		{"overlap", table("", v(1, 1), "a", floats(2, 0, 8), "b", floats(1, 4, 4)), nil, "shares bytes"},
		{"hole", table("", v(1, 1), "a", floats(2, 4, 8)), nil, "hole of 4 bytes"},
		{"shape", table("", v(1, 1), "a", floats(3, 0, 8)), nil, "do not make"},
		{"another_file", table("", v(1, 1), "a", floats(2, 0, 8)+v(3, 7)), nil, "file 7 of 1"},
		{"longer_data", table("", v(1, 1), "a", floats(2, 0, 8)), sizesOf{file: 9}, "has 9 bytes, the index places 8"},
		{"twice", table("", v(1, 1), "a", floats(1, 0, 4), "a", floats(1, 4, 4)), nil, "given twice"},
		{"cut_off", table("", v(1, 1))[1:], nil, "block"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sink{}
			in := detect.Input{Name: "variables.index", Format: artifact.Checkpoint, Data: io.NewSectionReader(strings.NewReader(tt.data), 0, int64(len(tt.data)))}
			if tt.tree != nil {
				in.Tree = tt.tree
			}
			if err := tensorflow.New().Detect(t.Context(), in, s); err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(s.hits, func(h detect.Hit) bool { return strings.Contains(h.Summary, tt.text) })
			if tt.text == "" && len(s.hits) > 0 || tt.text != "" && !found {
				t.Errorf("hits are %+v", s.hits)
			}
		})
	}
}
