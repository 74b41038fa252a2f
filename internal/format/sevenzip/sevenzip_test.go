package sevenzip_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/weightwarden/weightwarden/internal/format/sevenzip"
)

func le(n uint64, bytes int) string {
	return string(binary.LittleEndian.AppendUint64(nil, n)[:bytes])
}

func sum(s string) string { return le(uint64(crc32.ChecksumIEEE([]byte(s))), 4) }

func b(n int) string { return string([]byte{byte(n)}) }

// names spells names in UTF-16.
func names(all ...string) string {
	out := "\x00"
	for _, n := range all {
		for _, u := range append(utf16.Encode([]rune(n)), 0) {
			out += le(uint64(u), 2)
		}
	}
	return out
}

// streams describes one folder of one coder whose packed data stands at 0.
func streams(coder string, packed, unpacked int, sub string) string {
	return "\x06\x00\x01\x09" + b(packed) + "\x00" + "\x07\x0b\x01\x00\x01" + coder + "\x0c" + b(unpacked) + "\x00" + sub + "\x00"
}

// files names the members.
func files(all ...string) string {
	n := names(all...)
	return "\x05" + b(len(all)) + "\x11" + b(len(n)) + n + "\x00"
}

// archive puts a start in front of packed data and a header.
func archive(packed, header string) string {
	start := le(uint64(len(packed)), 8) + le(uint64(len(header)), 8) + sum(header)
	return sevenzip.Magic + "\x00\x04" + sum(start) + start + packed + header
}

const (
	stored = "\x01\x00" // the coder Copy
	aes    = "\x04\x06\xf1\x07\x01"
	ppmd   = "\x03\x03\x04\x01"
)

// two holds two files in one folder.
func two() string {
	sub := "\x08\x0d\x02\x09\x05\x0a\x01" + sum("hello") + sum("world!") + "\x00"
	return archive("helloworld!", "\x01\x04"+streams(stored, 11, 11, sub)+files("a.txt", "d/b.txt")+"\x00")
}

func read(data string) (*sevenzip.Archive, error) {
	return sevenzip.Read(strings.NewReader(data), int64(len(data)), sevenzip.Limits{})
}

func TestRead(t *testing.T) {
	a, err := read(two())
	if err != nil {
		t.Fatal(err)
	}
	o := a.NewOpener()
	// The order of reading must not matter.
	for _, i := range []int{0, 1, 0, 1, 1} {
		r, err := o.Open(&a.Members[i])
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(r)
		if want := []string{"hello", "world!"}[i]; err != nil || string(out) != want {
			t.Errorf("member %d is %q: %v", i, out, err)
		}
		_ = r.Close()
	}
	if a.Members[1].Name != "d/b.txt" || len(a.Gaps) != 0 {
		t.Errorf("%+v, gaps %v", a.Members, a.Gaps)
	}
}

func TestTwoAtOnce(t *testing.T) {
	a, err := read(two())
	if err != nil {
		t.Fatal(err)
	}
	o := a.NewOpener()
	first, _ := o.Open(&a.Members[0])
	second, err := o.Open(&a.Members[1])
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(second)
	other, _ := io.ReadAll(first)
	if string(out)+string(other) != "world!hello" {
		t.Errorf("%q and %q", other, out)
	}
}

func TestPackedHeader(t *testing.T) {
	inner := "\x01\x04" + streams(stored, 5, 5, "") + files("a.txt") + "\x00"
	// The header's own packed data stands behind the member's.
	outer := "\x17\x06\x05\x01\x09" + b(len(inner)) + "\x00\x07\x0b\x01\x00\x01" + stored + "\x0c" + b(len(inner)) + "\x0a\x01" + sum(inner) + "\x00\x00"
	a, err := read(archive("hello"+inner, outer))
	if err != nil || len(a.Members) != 1 || a.Members[0].Size != 5 || len(a.Gaps) != 0 {
		t.Fatalf("%+v: %v", a, err)
	}
}

func TestMembers(t *testing.T) {
	for name, tt := range map[string]struct {
		coder string
		want  error
	}{"encrypted": {aes, sevenzip.ErrEncrypted}, "ppmd": {ppmd, sevenzip.ErrUnsupported}} {
		a, err := read(archive("hello", "\x01\x04"+streams(tt.coder, 5, 5, "")+files("a")+"\x00"))
		if err != nil || !errors.Is(a.Members[0].Err, tt.want) {
			t.Errorf("%s: %v, %+v", name, err, a)
		}
	}
	a, err := read(archive("hello and more", "\x01\x04"+streams(stored, 5, 5, "")+files("a")+"\x00") + "tail")
	if err != nil || len(a.Gaps) != 2 || a.Gaps[0] != (sevenzip.Span{Offset: 37, Length: 9}) || a.Gaps[1].Length != 4 {
		t.Errorf("gaps are %+v: %v", a, err)
	}
	attributes := "\x15\x06\x01\x00" + le(0o120777<<16|0x8000, 4)
	header := "\x01\x04" + streams(stored, 5, 5, "") + strings.TrimSuffix(files("l"), "\x00") + attributes + "\x00\x00"
	if a, err := read(archive("/etc/", header)); err != nil || !a.Members[0].Link {
		t.Errorf("a link: %+v, %v", a, err)
	}
}

func TestRefused(t *testing.T) {
	wrong := strings.Replace(two(), "hello", "hellO", 1)
	a, err := read(wrong)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := a.NewOpener().Open(&a.Members[0])
	if _, err := io.ReadAll(r); !errors.Is(err, sevenzip.ErrMalformed) {
		t.Errorf("a wrong checksum: %v", err)
	}
	for name, tt := range map[string]struct {
		data string
		want error
	}{
		"cut_off":           {two()[:40], sevenzip.ErrTruncated},
		"start":             {two()[:12] + "\xff" + two()[13:], sevenzip.ErrMalformed},
		"a_billion_members": {archive("", "\x01\x05\xf0\x00\x00\x00\x40\x00"), sevenzip.ErrMalformed},
		"many_members":      {archive("", "\x01\x05\xe0\x00\x00\x10"+strings.Repeat("\x00", 200_000)), sevenzip.ErrLimit},
		"packed_outside":    {archive("hello", "\x01\x04"+streams(stored, 99, 5, "")+files("a")+"\x00"), sevenzip.ErrMalformed},
		"no_names":          {archive("hello", "\x01\x04"+streams(stored, 5, 5, "")+"\x05\x02\x00\x00"), sevenzip.ErrMalformed},
		"in_itself":         {archive("", "\x17"+streams(stored, 0, 0, "")), sevenzip.ErrMalformed},
	} {
		if _, err := read(tt.data); !errors.Is(err, tt.want) {
			t.Errorf("%s: error is %v, want %v", name, err, tt.want)
		}
	}
}

// FuzzRead promises that members lie within the file and unpack to their size
// or to an error, whatever the headers say.
func FuzzRead(f *testing.F) {
	f.Add([]byte(two()))
	f.Add([]byte(archive("hello", "\x01\x04"+streams(aes, 5, 5, "")+files("a")+"\x00")))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The checksums are made right, so that the fuzzer gets beyond them.
		data = bytes.Clone(data)
		if len(data) > 32 {
			offset, length := binary.LittleEndian.Uint64(data[12:]), binary.LittleEndian.Uint64(data[20:])
			if n := uint64(len(data)) - 32; offset <= n && length <= n-offset {
				binary.LittleEndian.PutUint32(data[28:], crc32.ChecksumIEEE(data[32+offset:32+offset+length]))
			}
			binary.LittleEndian.PutUint32(data[8:], crc32.ChecksumIEEE(data[12:32]))
		}
		a, err := sevenzip.Read(bytes.NewReader(data), int64(len(data)), sevenzip.Limits{Members: 1000})
		if err != nil {
			return
		}
		o := a.NewOpener()
		for i := range a.Members {
			m := &a.Members[i]
			if m.Offset > int64(len(data)) || m.Size < 0 {
				t.Fatalf("member outside of the file: %+v", m)
			}
			r, err := o.Open(m)
			if err != nil {
				continue
			}
			n, err := io.Copy(io.Discard, io.LimitReader(r, 4<<20))
			if err == nil && n != min(m.Size, 4<<20) {
				t.Fatalf("%d bytes of %d without an error", n, m.Size)
			}
			_ = r.Close()
		}
	})
}
