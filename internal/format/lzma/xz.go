package lzma

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// XZ is the structure of a file of xz streams.
type XZ struct {
	data   io.ReaderAt
	blocks []block
	// Size is how much comes out.
	Size int64
}

// block is compressed data with a header.
type block struct {
	check      byte
	dictionary int64
	offset     int64 // of the compressed data
	packed     int64
	size       int64
}

const (
	streamMagic  = "\xfd7zXZ\x00"
	footerMagic  = "YZ"
	streamHeader = 12
	filterLZMA2  = 0x21
	maxBlocks    = 1 << 20
)

// checkSizes are the lengths of the checks behind blocks, by their type.
var checkSizes = [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}

// ReadXZ reads the structure of all streams in the first size bytes of data:
// every byte of them belongs to a stream or is padding between streams.
func ReadXZ(data io.ReaderAt, size int64) (*XZ, error) {
	x := &XZ{data: data}
	w := &walker{r: bufio.NewReaderSize(nil, 4<<10), data: data, size: size}
	w.seek(0)
	for first := true; w.at < size; first = false {
		if !first {
			if err := w.padding(); err != nil {
				return nil, err
			}
			if w.at == size {
				break
			}
		}
		if err := x.stream(w); err != nil {
			return nil, fmt.Errorf("offset %d: %w", w.at, cutOff(err))
		}
	}
	return x, nil
}

// walker reads forward and skips without reading.
type walker struct {
	data     io.ReaderAt
	r        *bufio.Reader
	at, size int64
}

func (w *walker) seek(at int64) {
	w.at = at
	w.r.Reset(io.NewSectionReader(w.data, at, w.size-at))
}

func (w *walker) skip(n int64) error {
	if n < 0 || n > w.size-w.at {
		return io.ErrUnexpectedEOF
	}
	if n <= int64(w.r.Buffered()) {
		_, err := w.r.Discard(int(n))
		w.at += n
		return err
	}
	w.seek(w.at + n)
	return nil
}

func (w *walker) read(b []byte) error {
	n, err := io.ReadFull(w.r, b)
	w.at += int64(n)
	return err
}

func (w *walker) byte() (byte, error) {
	var b [1]byte
	err := w.read(b[:])
	return b[0], err
}

// padding skips the zeros between streams.
func (w *walker) padding() error {
	start := w.at
	for w.at < w.size {
		b, err := w.r.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			if err := w.r.UnreadByte(); err != nil {
				return err
			}
			break
		}
		w.at++
	}
	if (w.at-start)%4 != 0 {
		return fmt.Errorf("offset %d: %d bytes between streams: %w", start, w.at-start, ErrMalformed)
	}
	return nil
}

// stream reads the structure of one stream.
func (x *XZ) stream(w *walker) error {
	var h [streamHeader]byte
	if err := w.read(h[:]); err != nil {
		return err
	}
	if string(h[:6]) != streamMagic || h[6] != 0 || h[7] > 15 || crc32.ChecksumIEEE(h[6:8]) != binary.LittleEndian.Uint32(h[8:]) {
		return fmt.Errorf("no header of a stream: %w", ErrMalformed)
	}
	first := len(x.blocks)
	for {
		start := w.at
		length, err := w.byte()
		if err != nil {
			return err
		}
		if length == 0 {
			return w.index(start, x.blocks[first:], h[6:8])
		}
		if len(x.blocks) >= maxBlocks {
			return fmt.Errorf("more than %d blocks: %w", maxBlocks, ErrLimit)
		}
		b, err := w.block(length, h[7])
		if err != nil {
			return err
		}
		x.blocks = append(x.blocks, b)
		x.Size += b.size
	}
}

// block reads the header of a block and those of its chunks.
func (w *walker) block(length, check byte) (block, error) {
	head := make([]byte, (int(length)+1)*4)
	head[0] = length
	if err := w.read(head[1:]); err != nil {
		return block{}, err
	}
	body, sum := head[:len(head)-4], head[len(head)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) || body[1]&0x3c != 0 {
		return block{}, fmt.Errorf("header of a block: %w", ErrMalformed)
	}
	f := fields{rest: body[2:]}
	packed, unpacked := int64(-1), int64(-1)
	if body[1]&0x40 != 0 {
		packed = f.number()
	}
	if body[1]&0x80 != 0 {
		unpacked = f.number()
	}
	id, n := f.number(), f.number()
	if body[1]&3 != 0 || id != filterLZMA2 {
		return block{}, fmt.Errorf("filter %#x, number of filters %d: %w", id, body[1]&3+1, ErrUnsupported)
	}
	if n != 1 || len(f.rest) < 1 || f.bad || f.rest[0] > 40 {
		return block{}, fmt.Errorf("filter of a block: %w", ErrMalformed)
	}
	b := block{check: check, dictionary: dictionarySize(f.rest[0]), offset: w.at}
	if err := w.chunks(&b); err != nil {
		return block{}, err
	}
	if packed >= 0 && packed != b.packed || unpacked >= 0 && unpacked != b.size {
		return block{}, fmt.Errorf("a block of %d bytes for %d says something else of itself: %w", b.packed, b.size, ErrMalformed)
	}
	if min(b.dictionary, b.size) > MaxDictionary {
		return block{}, fmt.Errorf("dictionary of %d bytes: %w", b.dictionary, ErrLimit)
	}
	return b, w.skip(-b.packed&3 + checkSizes[check])
}

// chunks goes through the chunks of a block by their headers.
func (w *walker) chunks(b *block) error {
	for {
		control, err := w.byte()
		if err != nil {
			return err
		}
		var h [5]byte
		switch {
		case control == 0:
			b.packed = w.at - b.offset
			return nil
		case control < 3:
			if err := w.read(h[:2]); err != nil {
				return err
			}
			n := int64(binary.BigEndian.Uint16(h[:])) + 1
			b.size += n
			err = w.skip(n)
		case control < 0x80:
			return fmt.Errorf("chunk %#x: %w", control, ErrMalformed)
		default:
			head := h[:4]
			if control>>5&3 >= 2 {
				head = h[:5] // with properties
			}
			if err := w.read(head); err != nil {
				return err
			}
			b.size += int64(control&0x1f)<<16 + int64(binary.BigEndian.Uint16(h[:])) + 1
			err = w.skip(int64(binary.BigEndian.Uint16(h[2:])) + 1)
		}
		if err != nil {
			return err
		}
	}
}

// index compares the index and the footer of a stream with its blocks.
func (w *walker) index(start int64, blocks []block, flags []byte) error {
	n, err := w.number()
	if err != nil {
		return err
	}
	if n != int64(len(blocks)) {
		return fmt.Errorf("an index of %d blocks for %d: %w", n, len(blocks), ErrMalformed)
	}
	for _, b := range blocks {
		if _, err := w.number(); err != nil {
			return err
		}
		size, err := w.number()
		if err != nil {
			return err
		}
		if size != b.size {
			return fmt.Errorf("an index that says %d of a block of %d bytes: %w", size, b.size, ErrMalformed)
		}
	}
	if err := w.skip((start-w.at)&3 + 4); err != nil {
		return err
	}
	var f [12]byte
	back := w.at - start
	if err := w.read(f[:]); err != nil {
		return err
	}
	if string(f[10:]) != footerMagic || string(f[8:10]) != string(flags) || (int64(binary.LittleEndian.Uint32(f[4:]))+1)*4 != back {
		return fmt.Errorf("footer of a stream: %w", ErrMalformed)
	}
	return nil
}

// number reads a number of the index.
func (w *walker) number() (int64, error) {
	n, err := binary.ReadUvarint(w)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("number: %w", ErrMalformed)
	}
	return int64(n), err
}

// ReadByte implements io.ByteReader.
func (w *walker) ReadByte() (byte, error) { return w.byte() }

// fields are what is left of a header.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) number() int64 {
	n, length := binary.Uvarint(f.rest)
	if length <= 0 || int64(n) < 0 {
		f.bad = true
		return -1
	}
	f.rest = f.rest[length:]
	return int64(n)
}
