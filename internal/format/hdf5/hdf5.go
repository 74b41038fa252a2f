// Package hdf5 reads the structure of HDF5 files: superblocks 0 to 3, object
// headers of both versions, groups of the old style (B-tree and local heap)
// and the new (link messages, fractal heap), attributes with their strings,
// and where datasets have their bytes: in the file, in other files, or in
// datasets of other files.
//
// It reads no numbers and applies no filter. What it does not understand it
// says, object by object, and goes on with the others, as a loader would that
// never touches the broken one. Checksums are not compared: loaders that do
// not know them do not either.
//
// The form is that of the HDF5 File Format Specification, version 3.
package hdf5

import (
	"cmp"
	"errors"
	"fmt"
	"io"
)

// Why something cannot be read. Every error of [Walk] that is not one of
// reading or of the visitor wraps one.
var (
	// ErrMalformed means that the bytes are not what the format asks for.
	ErrMalformed = errors.New("malformed HDF5")
	// ErrUnsupported means a part of the format that this package does not
	// read.
	ErrUnsupported = errors.New("HDF5 feature that is not read")
	// ErrLimit means that a limit was reached.
	ErrLimit = errors.New("limit of the HDF5 reader")
)

// Limits bound reading. A zero field has its default.
type Limits struct {
	// Objects is the number of groups and datasets: 200 000.
	Objects int
	// Nodes is the number of blocks of all trees and heaps: 1 million.
	Nodes int
	// Block is the size of one block of the structure: 16 MiB.
	Block int64
	// Read is how many bytes of structure are read in all: 256 MiB.
	Read int64
	// Text is how long one string of an attribute may be: 16 MiB.
	Text int64
	// Strings is how many strings of an array are read: 4096.
	Strings int
	// Extents is how many stretches of the file are noted: 2 million.
	Extents int
}

func (l Limits) filled() Limits {
	return Limits{
		cmp.Or(l.Objects, 200_000), cmp.Or(l.Nodes, 1_000_000), cmp.Or(l.Block, 16<<20), cmp.Or(l.Read, 256<<20),
		cmp.Or(l.Text, 16<<20), cmp.Or(l.Strings, 4096), cmp.Or(l.Extents, 2_000_000),
	}
}

// Visitor takes what a file holds. An error of it ends the walk. Paths are
// those by which an object was met first.
type Visitor interface {
	// Attribute is called for each attribute.
	Attribute(path string, a Attribute) error
	// Link is called for each link that is not a plain one to an object.
	Link(path string, l Link) error
	// Dataset is called for each dataset.
	Dataset(path string, d Dataset) error
	// Odd is called for what could not be read, and for bytes in front,
	// between and behind that belong to no object.
	Odd(o Odd) error
}

// Attribute is a named value of an object.
type Attribute struct {
	Name string
	// Strings are its values when it is text. They may be shared with what
	// the walk uses: valid during the call.
	Strings [][]byte
	// Raw is the value as it is stored, when it is no text.
	Raw []byte
	// Offset is where the value, or the first string, is; -1 when that is not
	// known.
	Offset int64
}

// Link is a link that leads somewhere by name.
type Link struct {
	Kind LinkKind
	// File is the other file of an external link, Target the path.
	File, Target string
	// Class is the number of a user-defined link.
	Class  uint8
	Offset int64
}

// LinkKind is the kind of a link.
type LinkKind uint8

// The kinds of links.
const (
	SoftLink LinkKind = iota + 1
	ExternalLink
	UserLink
)

// Extent is a stretch of the file.
type Extent struct{ Offset, Length int64 }

// Dataset is where an array has its bytes.
type Dataset struct {
	// External are the other files that the bytes are in.
	External []string
	// Virtual are the files that a virtual dataset takes its parts from; "."
	// is the file itself.
	Virtual []string
	// Filters are the numbers of the filters that the bytes went through.
	Filters []uint16
	// Extents are where the bytes are in this file; at most a thousand.
	Extents []Extent
	// Offset is where the object is.
	Offset int64
}

// Odd is something that a reader of the file does not see as data.
type Odd struct {
	// Err wraps one of the errors of this package, or is nil.
	Err error
	// Kind says what the stretch is when Err is nil.
	Kind OddKind
	Path string
	Extent
}

// OddKind says what a stretch of the file is.
type OddKind uint8

// The kinds of stretches.
const (
	// UserBlock is in front of the superblock.
	UserBlock OddKind = iota + 1
	// Gap belongs to no object, and has other bytes than zero.
	Gap
	// Tail is behind the end that the superblock names.
	Tail
	// Hollow means that the whole file is a signature and zeros.
	Hollow
)

const signature = "\x89HDF\r\n\x1a\n"

// Walk goes through the file in the first size bytes of data.
func Walk(data io.ReaderAt, size int64, lim Limits, v Visitor) error {
	w := &walker{
		data: data, size: size, lim: lim.filled(), v: v,
		objects: map[int64]bool{}, nodes: map[int64]bool{}, heaps: map[int64][]byte{},
	}
	root, err := w.superblock()
	if err != nil {
		if hollow, bad := w.hollow(); bad != nil || hollow {
			return errors.Join(bad, v.Odd(Odd{Kind: Hollow, Extent: Extent{0, size}}))
		}
		return err
	}
	w.todo = append(w.todo, place{root, "/"})
	for len(w.todo) > 0 {
		next := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.trouble(next.path, next.at, w.object(next)); err != nil {
			return err
		}
	}
	return w.space()
}

// walker is one walk.
type walker struct {
	data io.ReaderAt
	size int64
	lim  Limits
	v    Visitor

	offsets, lengths int // sizes of addresses and lengths in bytes
	base, end        int64
	start            int64

	todo    []place
	objects map[int64]bool
	nodes   map[int64]bool
	heaps   map[int64][]byte // global heap collections, a few
	read    int64
	used    []Extent
	// blurred says that not all stretches are known, so that gaps are not either.
	blurred bool
}

// place is an object that is still to be read.
type place struct {
	at   int64
	path string
}

// visitorError carries an error of the visitor, or of reading, through.
type visitorError struct{ err error }

func (e visitorError) Error() string { return e.err.Error() }

// trouble turns what is wrong with one object into an oddity. Other errors
// end the walk.
func (w *walker) trouble(path string, at int64, err error) error {
	var visitor visitorError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &visitor):
		return visitor.err
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrUnsupported), errors.Is(err, ErrLimit):
		return w.v.Odd(Odd{Err: err, Path: path, Extent: Extent{Offset: at}})
	}
	return err
}

// tell passes on what a visitor says.
func tell(err error) error {
	if err == nil {
		return nil
	}
	return visitorError{err}
}

// get reads n bytes of structure at an address.
func (w *walker) get(at, n int64) ([]byte, error) {
	switch {
	case at < 0 || n < 0 || at > w.size || n > w.size-at:
		return nil, fmt.Errorf("%d bytes at %d of %d: %w", n, at, w.size, ErrMalformed)
	case n > w.lim.Block:
		return nil, fmt.Errorf("block of %d bytes at %d: %w", n, at, ErrLimit)
	case w.read+n > w.lim.Read:
		return nil, fmt.Errorf("more than %d bytes of structure: %w", w.lim.Read, ErrLimit)
	}
	w.read += n
	b := make([]byte, n)
	if got, err := w.data.ReadAt(b, at); err != nil && (!errors.Is(err, io.EOF) || int64(got) < n) {
		return nil, fmt.Errorf("read HDF5: %w", err)
	}
	w.use(at, n)
	return b, nil
}

// node is get for a block of a tree or heap that one parent has.
func (w *walker) node(at, n int64, sign string) ([]byte, error) {
	if w.nodes[at] {
		return nil, fmt.Errorf("block at %d has two parents: %w", at, ErrMalformed)
	}
	if len(w.nodes) >= w.lim.Nodes {
		return nil, fmt.Errorf("more than %d blocks: %w", w.lim.Nodes, ErrLimit)
	}
	w.nodes[at] = true
	b, err := w.get(at, n)
	if err != nil {
		return nil, err
	}
	if len(b) < len(sign) || string(b[:len(sign)]) != sign {
		return nil, fmt.Errorf("no %s at %d: %w", sign, at, ErrMalformed)
	}
	return b, nil
}

// use notes a stretch that belongs to something.
func (w *walker) use(at, n int64) {
	if n <= 0 {
		return
	}
	if last := len(w.used) - 1; last >= 0 && w.used[last].Offset+w.used[last].Length == at {
		w.used[last].Length += n
		return
	}
	if len(w.used) >= w.lim.Extents {
		w.blurred = true
		return
	}
	w.used = append(w.used, Extent{at, n})
}

// undefined is the address that means "none".
const undefined = -1

// cursor takes a block apart. Beyond its end it yields zeros and is short.
type cursor struct {
	b     []byte
	at    int64 // of the next byte in the file
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.short = true
		c.b = nil
		return make([]byte, min(max(n, 0), 64))
	}
	b := c.b[:n]
	c.b, c.at = c.b[n:], c.at+int64(n)
	return b
}

// number reads n bytes, little-endian.
func (c *cursor) number(n int) uint64 {
	var v uint64
	for i, x := range c.take(n) {
		if i < 8 {
			v |= uint64(x) << (8 * i)
		} else if x != 0 && x != 0xff {
			c.short = true
		}
	}
	return v
}

func (c *cursor) int(n int) int { return int(min(c.number(n), 1<<62)) }

// text reads to a zero byte.
func (c *cursor) text() string {
	for n, x := range c.b {
		if x == 0 {
			return string(c.take(n + 1)[:n])
		}
	}
	c.short = true
	return ""
}

// address reads an address. It is absolute, or undefined.
func (w *walker) address(c *cursor) int64 {
	v := c.number(w.offsets)
	if v >= 1<<(8*min(w.offsets, 8)-1)-1 && v > 1<<31 || v == 1<<(8*min(w.offsets, 8))-1 {
		return undefined
	}
	if v > uint64(w.size) {
		return w.size + 1 // out of the file, and reported by whoever reads it
	}
	return w.base + int64(v)
}

// length reads a length; one that no file has is larger than any.
func (w *walker) length(c *cursor) int64 { return int64(min(c.number(w.lengths), 1<<62)) }
