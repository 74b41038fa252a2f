// Package sevenzip reads the structure of 7z archives and decompresses their
// members: data that is stored, or compressed with LZMA, LZMA2, deflate or
// bzip2, also behind the filter for x86 programs. What is encrypted or uses
// another coder is named, not read.
//
// Readers that exist allocate by the counts and dictionaries that a header
// claims; here a count is compared with the bytes that are left before
// anything is made, and nothing is written or extracted. It is stricter than
// 7-Zip: names and attributes stand in the header itself, and every packed
// stream belongs to a folder.
package sevenzip

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Why an archive is refused. Each error that is not one of reading wraps one.
var (
	// ErrMalformed means that the headers cannot be followed.
	ErrMalformed = errors.New("malformed 7z")
	// ErrTruncated means that the file ends within what the headers name.
	ErrTruncated = errors.New("7z cut off")
	// ErrEncrypted means that the headers, or a member, are encrypted.
	ErrEncrypted = errors.New("encrypted 7z")
	// ErrUnsupported means a coder that is not known here.
	ErrUnsupported = errors.New("coder of 7z that is not read")
	// ErrLimit means that a [Limits] was reached.
	ErrLimit = errors.New("limit of the 7z reader")
)

// Magic begins every archive.
const Magic = "7z\xbc\xaf\x27\x1c"

// Limits bound one archive. A zero field has its default.
type Limits struct {
	// Header is the size of the header, decompressed too: 16 MiB.
	Header int64
	// Members is how many files there may be: 100 000.
	Members int
}

// Archive is what an archive says of itself.
type Archive struct {
	Members []Member
	// Gaps are stretches of the file that belong to nothing.
	Gaps []Span

	data    io.ReaderAt
	size    int64
	lim     Limits
	folders []folder
	used    []Span
}

// Span is a stretch of the file.
type Span struct{ Offset, Length int64 }

// Member is one file, folder or empty entry.
type Member struct {
	Name string
	Size int64
	// Directory and Link are what its attributes say; Link is a symbolic link
	// of Unix, whose target is the content.
	Directory, Link bool
	// Offset is where the packed data of its folder begins, -1 without data.
	Offset int64
	// Packed is the size of all data that is unpacked with it.
	Packed int64
	// Err says why the content cannot be read: [ErrEncrypted] or
	// [ErrUnsupported].
	Err error

	folder int
	start  int64 // in the folder's content
	crc    uint32
	hasCRC bool
}

const startLength = 32

// Read reads the headers of the archive in the first size bytes of data.
func Read(data io.ReaderAt, size int64, lim Limits) (*Archive, error) {
	a := &Archive{data: data, size: size, lim: Limits{Header: cmp.Or(lim.Header, 16<<20), Members: cmp.Or(lim.Members, 100_000)}}
	var s [startLength]byte
	if err := a.at(s[:], 0); err != nil {
		return nil, err
	}
	if string(s[:6]) != Magic || s[6] != 0 {
		return nil, fmt.Errorf("version %d.%d: %w", s[6], s[7], ErrMalformed)
	}
	offset, length := binary.LittleEndian.Uint64(s[12:]), binary.LittleEndian.Uint64(s[20:])
	switch {
	case crc32.ChecksumIEEE(s[12:]) != binary.LittleEndian.Uint32(s[8:]):
		return nil, fmt.Errorf("checksum of the start: %w", ErrMalformed)
	case offset > uint64(size)-startLength || length > uint64(size)-startLength-offset:
		return nil, fmt.Errorf("header of %d bytes at %d: %w", length, offset, ErrTruncated)
	case length > uint64(a.lim.Header):
		return nil, fmt.Errorf("header of %d bytes: %w", length, ErrLimit)
	}
	a.used = append(a.used, Span{0, startLength}, Span{startLength + int64(offset), int64(length)})
	if length > 0 {
		header := make([]byte, length)
		if err := a.at(header, startLength+int64(offset)); err != nil {
			return nil, err
		}
		if crc32.ChecksumIEEE(header) != binary.LittleEndian.Uint32(s[28:]) {
			return nil, fmt.Errorf("checksum of the header: %w", ErrMalformed)
		}
		if err := a.header(header, 0); err != nil {
			return nil, err
		}
	}
	a.gaps()
	return a, nil
}

// at fills b.
func (a *Archive) at(b []byte, off int64) error {
	if n, err := a.data.ReadAt(b, off); n < len(b) {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("offset %d: %w", off, ErrTruncated)
		}
		return fmt.Errorf("read 7z: offset %d: %w", off, err)
	}
	return nil
}

// maxLayers is how often a header may be packed in another.
const maxLayers = 4

// header reads a header, or the one that is packed in it.
func (a *Archive) header(b []byte, layer int) error {
	p := &parser{rest: b, most: a.lim.Members}
	switch id := p.byte(); {
	case id == idHeader:
		a.top(p)
		return p.err
	case id != idEncoded || layer >= maxLayers:
		return fmt.Errorf("header of kind %#x: %w", id, ErrMalformed)
	}
	folders := a.streams(p)
	if p.err != nil {
		return p.err
	}
	if len(folders) != 1 || folders[0].size > a.lim.Header {
		return fmt.Errorf("a packed header of %d folders: %w", len(folders), ErrMalformed)
	}
	r, err := a.open(&folders[0])
	if err != nil {
		return err
	}
	inner := make([]byte, folders[0].size)
	if _, err := io.ReadFull(r, inner); err != nil {
		return fmt.Errorf("packed header: %w: %w", err, ErrMalformed)
	}
	if folders[0].hasCRC && crc32.ChecksumIEEE(inner) != folders[0].crc {
		return fmt.Errorf("checksum of the packed header: %w", ErrMalformed)
	}
	return a.header(inner, layer+1)
}

// gaps finds what no header refers to.
func (a *Archive) gaps() {
	slices.SortFunc(a.used, func(x, y Span) int { return cmp.Compare(x.Offset, y.Offset) })
	end := int64(0)
	for _, s := range a.used {
		if s.Offset > end {
			a.Gaps = append(a.Gaps, Span{end, s.Offset - end})
		}
		end = max(end, s.Offset+s.Length)
	}
	if a.size > end {
		a.Gaps = append(a.Gaps, Span{end, a.size - end})
	}
}
