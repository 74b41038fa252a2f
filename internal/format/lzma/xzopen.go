package lzma

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
)

// Open decompresses all streams one after the other.
func (x *XZ) Open() io.Reader { return &xzReader{x: x} }

// xzReader reads block after block.
type xzReader struct {
	x    *XZ
	next int
	now  io.Reader // nil between blocks
	left int64
	sum  hash.Hash // nil for a check that is not known here
	err  error
}

// checks makes the hash for a type of check, or nil for none and unknown ones.
func checks(kind byte) hash.Hash {
	switch kind {
	case 1:
		return crc32.NewIEEE()
	case 4:
		return crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		return sha256.New()
	}
	return nil
}

// Read implements io.Reader.
func (r *xzReader) Read(p []byte) (n int, err error) {
	for n == 0 && r.err == nil && len(p) > 0 {
		n, r.err = r.read(p)
	}
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

func (r *xzReader) read(p []byte) (int, error) {
	if r.now == nil {
		if r.next == len(r.x.blocks) {
			return 0, io.EOF
		}
		b := r.x.blocks[r.next]
		data, err := chunks(b.dictionary, b.size, bufio.NewReaderSize(io.NewSectionReader(r.x.data, b.offset, b.packed), 16<<10))
		if err != nil && (b.size > 0 || !errors.Is(err, io.EOF)) {
			return 0, err
		}
		r.now, r.left, r.sum = data, b.size, checks(b.check)
		r.next++
	}
	n := 0
	var err error
	if r.left > 0 {
		n, err = r.now.Read(p[:min(int64(len(p)), r.left)])
	}
	r.left -= int64(n)
	if r.sum != nil {
		_, _ = r.sum.Write(p[:n])
	}
	switch {
	case r.left == 0:
		r.now = nil
		return n, r.verify()
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("a block ends %d bytes early: %w", r.left, ErrTruncated)
	}
	return n, err
}

// verify compares the check behind the block that was read.
func (r *xzReader) verify() error {
	if r.sum == nil {
		return nil
	}
	b := r.x.blocks[r.next-1]
	want := make([]byte, checkSizes[b.check])
	if n, err := r.x.data.ReadAt(want, b.offset+b.packed+(-b.packed&3)); n < len(want) {
		return fmt.Errorf("check: %w", cutOff(err))
	}
	got := r.sum.Sum(nil)
	if len(got) <= 8 { // written with the low byte first
		for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
			got[i], got[j] = got[j], got[i]
		}
	}
	if string(got) != string(want) {
		return fmt.Errorf("the check behind a block is not that of its content: %w", ErrMalformed)
	}
	return nil
}
