package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// verityPage is the block size of the fs-verity digests made here, the one
// that every file system with fs-verity supports.
const verityPage = 4096

// VerityDigest returns the fs-verity digest (SHA-256, pages of 4096 bytes, no
// salt) that the kernel will measure for a file with the size bytes of r. So
// it can be known before, or on another machine than, the file system that
// will keep the file. It fails when r ends early or cannot be read, and with
// ctx's error. Memory does not grow with size.
//
// Source: Documentation/filesystems/fsverity.rst, sections "Merkle tree" and
// "fs-verity descriptor".
func VerityDigest(ctx context.Context, r io.Reader, size int64) ([sha256.Size]byte, error) {
	t := verityTree{}
	buf := make([]byte, bufferSize)
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return [sha256.Size]byte{}, err
		}
		n, err := io.ReadFull(r, buf[:min(left, int64(len(buf)))])
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return [sha256.Size]byte{}, fmt.Errorf("compute fs-verity digest: %w", err)
		}
		left -= int64(n)
		for data := buf[:n]; len(data) > 0; data = data[min(verityPage, len(data)):] {
			t.add(0, pageSum(data[:min(verityPage, len(data))]))
		}
	}
	root := t.root()
	descriptor := make([]byte, 256)
	descriptor[0], descriptor[1], descriptor[2] = 1, 1, 12 // version, SHA-256, log2 of the page size
	binary.LittleEndian.PutUint64(descriptor[8:], uint64(size))
	copy(descriptor[16:], root[:])
	return sha256.Sum256(descriptor), nil
}

// verityTree keeps one unfinished page of hashes for each level.
type verityTree struct{ levels [][]byte }

func (t *verityTree) add(level int, hash [sha256.Size]byte) {
	if level == len(t.levels) {
		t.levels = append(t.levels, make([]byte, 0, verityPage))
	}
	if len(t.levels[level]) == verityPage {
		t.flush(level)
	}
	t.levels[level] = append(t.levels[level], hash[:]...)
}

func (t *verityTree) flush(level int) {
	hash := pageSum(t.levels[level])
	t.levels[level] = t.levels[level][:0]
	t.add(level+1, hash)
}

// root hashes what is unfinished, level by level, until one hash is left. That
// of an empty file is zero.
func (t *verityTree) root() (hash [sha256.Size]byte) {
	for level := 0; level < len(t.levels); level++ {
		if level == len(t.levels)-1 && len(t.levels[level]) == sha256.Size {
			return [sha256.Size]byte(t.levels[level])
		}
		if len(t.levels[level]) > 0 {
			t.flush(level)
		}
	}
	return hash
}

// pageSum hashes a page, filled up with zeros.
func pageSum(data []byte) [sha256.Size]byte {
	if len(data) == verityPage {
		return sha256.Sum256(data)
	}
	var page [verityPage]byte
	copy(page[:], data)
	return sha256.Sum256(page[:])
}
