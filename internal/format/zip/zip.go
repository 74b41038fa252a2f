// Package zip reads the structure of zip archives, all of it: both headers of
// every entry, entries that no directory mentions, what stands in front,
// between and behind, and everything in which two readers may disagree.
//
// archive/zip of the standard library hides what matters here: it trusts the
// central directory, and refuses or repairs the rest. Loaders of models are
// neither careful nor alike: they ignore flags and checksums, find the end in
// different ways and compare names without case.
//
// The package decompresses nothing and does not look into members. The form is
// that of PKWARE's APPNOTE 6.3.10.
package zip

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Why an archive cannot be read. Every error of [Read] that is not one of
// reading wraps one.
var (
	// ErrMalformed means that no directory could be read.
	ErrMalformed = errors.New("malformed zip")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the zip reader")
)

// Limits bound reading. A zero field has its default.
type Limits struct {
	// Entries is the number of entries: 200 000.
	Entries int
	// Troubles is the number of troubles that are listed: 1000.
	Troubles int
}

// Methods of compression.
const (
	Stored   = 0
	Deflated = 8
	BZIP2    = 12
)

// Header is what one of the two headers says about an entry.
type Header struct {
	Name         string
	Method       uint16
	Flags        uint16
	CRC          uint32
	Packed, Size int64
}

// Encrypted reports whether the flags say so.
func (h Header) Encrypted() bool { return h.Flags&(1|1<<6|1<<13) != 0 }

// Entry is a member of the archive.
type Entry struct {
	// Central is what the directory says, Local what stands before the data.
	Central, Local Header
	// Hidden entries have no record in the directory; Central is a copy of
	// Local.
	Hidden bool
	// Offset is where the local header is, Data where the data begins. Data is
	// -1 when there is no local header there; then Local is empty.
	Offset, Data int64
	// Mode are the Unix permissions and type, 0 when the entry has none.
	Mode uint32
	// record is where the directory's record is.
	record int64
	// end is behind the data and its descriptor.
	end int64
}

// Trouble is something in which readers may disagree, or where bytes hide.
type Trouble struct {
	Kind TroubleKind
	// Offset and Length say where; Entry is the name of the entry it is about.
	Offset, Length int64
	Entry          string
	Text           string
}

// TroubleKind says what sort of trouble it is.
type TroubleKind uint8

// The kinds of trouble.
const (
	// Differs means that the two headers of an entry disagree.
	Differs TroubleKind = iota + 1
	// Prefix is data in front of the archive.
	Prefix
	// Gap is data between entries, or before the directory, that belongs to
	// nothing. Zeros and padding are no gap.
	Gap
	// Tail is data behind the end record.
	Tail
	// Overlap means that two entries share bytes.
	Overlap
	// Ends means that more than one end record could be the right one.
	Ends
	// Counts means that the number of entries or a size is not what a record
	// says.
	Counts
	// NoLocal means that a directory record points to no local header.
	NoLocal
	// Unlisted is an entry without a directory record.
	Unlisted
	// OutOfFile means that an entry's data is not inside the file.
	OutOfFile
)

// Archive is the structure of a zip.
type Archive struct {
	// Entries are those of the directory in its order, then hidden ones.
	Entries  []Entry
	Troubles []Trouble
	// Comment is the archive's comment.
	Comment string

	data          io.ReaderAt
	size          int64
	lim           Limits
	directory     int64 // where the central directory begins
	directoryEnds int64
	end           int64 // behind the end record and its comment
	base          int64 // what is added to every offset
	count         uint64
	more          int
}

const (
	localSign     = "PK\x03\x04"
	recordSign    = "PK\x01\x02"
	endSign       = "PK\x05\x06"
	end64Sign     = "PK\x06\x06"
	locatorSign   = "PK\x06\x07"
	descriptor    = "PK\x07\x08"
	localLength   = 30
	recordLength  = 46
	endLength     = 22
	locatorLength = 20
	end64Length   = 56
)

// Read reads the structure of the archive in the first size bytes of data.
// What is odd is in the archive; an error means that there is no directory to
// go by, and the archive then holds the local entries that were found, or that
// reading failed.
func Read(data io.ReaderAt, size int64, lim Limits) (*Archive, error) {
	a := &Archive{data: data, size: size, lim: Limits{cmp.Or(lim.Entries, 200_000), cmp.Or(lim.Troubles, 1000)}}
	if err := a.findEnd(); err != nil {
		if errors.Is(err, ErrMalformed) {
			a.directory, a.directoryEnds, a.end = size, size, size
			err = errors.Join(err, a.space())
		}
		return a, err
	}
	if err := a.records(); err != nil {
		return a, err
	}
	for i := range a.Entries {
		if err := a.local(&a.Entries[i]); err != nil {
			return a, err
		}
	}
	return a, a.space()
}

// Section returns an entry's data as it is stored, cut to the file.
func (a *Archive) Section(e *Entry) *io.SectionReader {
	if e.Data < 0 || e.Data > a.size {
		return io.NewSectionReader(a.data, 0, 0)
	}
	return io.NewSectionReader(a.data, e.Data, min(e.Central.Packed, a.size-e.Data))
}

func (a *Archive) trouble(kind TroubleKind, offset, length int64, entry, format string, args ...any) {
	if len(a.Troubles) >= a.lim.Troubles {
		a.more++
		return
	}
	a.Troubles = append(a.Troubles, Trouble{kind, offset, length, entry, fmt.Sprintf(format, args...)})
}

// read fills b from off.
func (a *Archive) read(b []byte, off int64) error {
	if n, err := a.data.ReadAt(b, off); err != nil && (!errors.Is(err, io.EOF) || n < len(b)) {
		return fmt.Errorf("read zip: offset %d: %w", off, err)
	}
	return nil
}

func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
