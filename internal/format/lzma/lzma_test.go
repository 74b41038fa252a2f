package lzma_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
	library "github.com/ulikunitz/xz/lzma"

	"github.com/weightwarden/weightwarden/internal/format/lzma"
)

var text = strings.Repeat("weights, and more of them; ", 5000)

func packXZ(t testing.TB, s string, c xz.WriterConfig) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := c.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packAlone(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := library.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(data []byte) (string, int64, error) {
	x, err := lzma.ReadXZ(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", 0, err
	}
	out, err := io.ReadAll(io.LimitReader(x.Open(), 8<<20))
	return string(out), x.Size, err
}

func TestXZ(t *testing.T) {
	for name, c := range map[string]xz.WriterConfig{
		"crc64": {}, "crc32": {CheckSum: xz.CRC32}, "sha256": {CheckSum: xz.SHA256}, "no_check": {NoCheckSum: true}, "many_blocks": {BlockSize: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			data := packXZ(t, text, c)
			if out, size, err := unpack(data); err != nil || out != text || size != int64(len(text)) {
				t.Errorf("%d bytes of %d announced: %v", len(out), size, err)
			}
			two := bytes.Join([][]byte{data, {0, 0, 0, 0}, data}, nil)
			if out, _, err := unpack(two); err != nil || out != text+text {
				t.Errorf("two streams give %d bytes: %v", len(out), err)
			}
		})
	}
	if out, _, err := unpack(withDictionary(packXZ(t, text, xz.WriterConfig{}), 40)); err != nil || out != text {
		t.Errorf("a dictionary of four gigabytes for little content: %v", err)
	}
	if out, _, err := unpack(packXZ(t, "", xz.WriterConfig{})); err != nil || out != "" {
		t.Errorf("nothing comes out as %q: %v", out, err)
	}
}

// damaged changes one byte.
func damaged(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x40
	return data
}

// withDictionary writes another size of dictionary into the first block.
func withDictionary(data []byte, code byte) []byte {
	data = bytes.Clone(data)
	head := data[12 : 12+(int(data[12])+1)*4]
	head[bytes.IndexByte(head, 0x21)+2] = code
	binary.LittleEndian.PutUint32(head[len(head)-4:], crc32.ChecksumIEEE(head[:len(head)-4]))
	return data
}

func TestRefused(t *testing.T) {
	good := packXZ(t, text, xz.WriterConfig{})
	// Chunks of two megabytes each, by their headers.
	start := 12 + (int(good[12])+1)*4
	chunks := strings.Repeat("\xff\xff\xff\x00\x00\x5d-", lzma.MaxDictionary>>21) + "\x01\x00\x00x\x00"
	large := append(bytes.Clone(good[:start]), chunks+strings.Repeat("\x00", 16)...)
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":          {good[:5], lzma.ErrTruncated},
		"cut_off":          {good[:len(good)-20], lzma.ErrTruncated},
		"header":           {damaged(good, 7), lzma.ErrMalformed},
		"block_header":     {damaged(good, 14), lzma.ErrMalformed},
		"content":          {damaged(good, 60), lzma.ErrMalformed},
		"check":            {damaged(good, len(good)-12-8-8), lzma.ErrMalformed},
		"footer":           {damaged(good, len(good)-1), lzma.ErrMalformed},
		"bytes_behind":     {append(bytes.Clone(good), "tail"...), lzma.ErrTruncated},
		"odd_padding":      {append(bytes.Clone(good), 0), lzma.ErrMalformed},
		"large_dictionary": {withDictionary(large, 40), lzma.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := unpack(tt.data); !errors.Is(err, tt.want) {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAlone(t *testing.T) {
	data := packAlone(t, text)
	r, err := lzma.NewAlone(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(r); err != nil || string(out) != text {
		t.Errorf("%d bytes: %v", len(out), err)
	}
	large := bytes.Clone(data)
	copy(large[1:], "\xff\xff\xff\xff")
	if _, err := lzma.NewAlone(bytes.NewReader(large)); !errors.Is(err, lzma.ErrLimit) {
		t.Errorf("a dictionary of four gigabytes: %v", err)
	}
	r, err = lzma.NewAlone(bytes.NewReader(data[:len(data)/2]))
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if !errors.Is(err, lzma.ErrTruncated) {
		t.Errorf("half a stream: %v", err)
	}
}

// FuzzXZ promises that what is accepted decompresses to as many bytes as its
// chunks say, or to an error with a kind.
func FuzzXZ(f *testing.F) {
	f.Add(packXZ(f, "weights", xz.WriterConfig{}))
	f.Add(packXZ(f, text[:3000], xz.WriterConfig{BlockSize: 1000, CheckSum: xz.SHA256}))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := lzma.ReadXZ(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			kind(t, err)
			return
		}
		n, err := io.Copy(io.Discard, io.LimitReader(x.Open(), 16<<20))
		if err != nil {
			kind(t, err)
		} else if n != min(x.Size, 16<<20) {
			t.Fatalf("%d bytes, announced were %d", n, x.Size)
		}
	})
}

// FuzzAlone promises an error with a kind, or the content, within the memory
// that the limit allows.
func FuzzAlone(f *testing.F) {
	f.Add(packAlone(f, text[:3000]))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := lzma.NewAlone(bytes.NewReader(data))
		if err == nil {
			_, err = io.Copy(io.Discard, io.LimitReader(r, 16<<20))
		}
		if err != nil {
			kind(t, err)
		}
	})
}

func kind(t *testing.T, err error) {
	t.Helper()
	for _, k := range []error{lzma.ErrMalformed, lzma.ErrTruncated, lzma.ErrUnsupported, lzma.ErrLimit} {
		if errors.Is(err, k) {
			return
		}
	}
	t.Fatalf("error without a kind: %v", err)
}
