package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// block is the unit of a tar file, in bytes.
const block = 512

// octalLimit is the first size that eleven octal digits cannot hold. From
// there on the size is written in base 256, which GNU tar, bsdtar, Python and
// Go read alike.
const octalLimit = 1 << 33

// The fields of a POSIX.1-1988 (ustar) header that differ between members.
const (
	nameEnd   = 100
	sizeStart = 124
	sizeEnd   = 136
	sumStart  = 148
	sumEnd    = 156
)

// header returns the one header that a member of this name and size has: a
// regular file of mode 0600, of nobody, from the beginning of time.
func header(name string, size int64) []byte {
	h := make([]byte, block)
	copy(h[:nameEnd], name)
	copy(h[100:], "0000600\x00"+"0000000\x00"+"0000000\x00")
	if size < octalLimit {
		copy(h[sizeStart:], fmt.Sprintf("%011o\x00", size))
	} else {
		h[sizeStart] = 0x80
		binary.BigEndian.PutUint64(h[sizeEnd-8:], uint64(size))
	}
	copy(h[sizeEnd:], "00000000000\x00")
	copy(h[sumStart:], "        ")
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x00"+"0000000\x00")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[sumStart:sumEnd], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// parseHeader reads the header of a member. It is false for everything but
// the one form that [header] gives.
func parseHeader(h []byte) (name string, size int64, ok bool) {
	name, size, ok = claims(h)
	return name, size, ok && checkName(name) == nil && bytes.Equal(h, header(name, size))
}

// claims reads what a header says of name and size.
func claims(h []byte) (name string, size int64, ok bool) {
	name = strings.TrimRight(string(h[:nameEnd]), "\x00")
	field := h[sizeStart:sizeEnd]
	if field[0] == 0x80 {
		n := binary.BigEndian.Uint64(field[len(field)-8:])
		return name, int64(n), n >= octalLimit && n < 1<<62
	}
	n, err := strconv.ParseUint(string(field[:11]), 8, 33)
	return name, int64(n), err == nil
}

// checkName accepts the names that members of a bundle can have. None of them
// leads out of the directory in which somebody unpacks the bundle.
func checkName(name string) error {
	switch name {
	case manifestName, keyName, sealName, entriesName, notesName, hostEntriesName, hostNotesName:
		return nil
	}
	if digits, ok := strings.CutPrefix(name, evidenceDir); ok {
		if d, err := artifact.ParseDigest(digits); err == nil && d.Algorithm() == artifact.SHA256 && d.Hex() == digits {
			return nil
		}
	}
	return fmt.Errorf("%.120q is no member of a bundle", name)
}

// padded returns the size of the blocks that hold size bytes.
func padded(size int64) int64 { return (size + block - 1) / block * block }

// firstDifference returns the first place where two blocks differ, and in how
// many bytes they do.
func firstDifference(a, b []byte) (at, count int) {
	at = -1
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			if at < 0 {
				at = i
			}
			count++
		}
	}
	return max(at, 0), count
}
