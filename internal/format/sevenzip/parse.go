package sevenzip

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// The ids of the parts of a header (7zFormat.txt).
const (
	idEnd = iota
	idHeader
	idArchiveProperties
	idAdditionalStreams
	idMainStreams
	idFiles
	idPack
	idUnpack
	idSubStreams
	idSize
	idCRC
	idFolder
	idUnpackSize
	idUnpackStreams
	idEmptyStream
	idEmptyFile
	idAnti
	idNames
	idCreated
	idAccessed
	idModified
	idAttributes
	idComment
	idEncoded
)

// parser reads a header. After the first failure everything is zero.
type parser struct {
	rest []byte
	most int // of anything that is counted
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrMalformed)
	}
	p.rest = nil
}

func (p *parser) bytes(n uint64) []byte {
	if n > uint64(len(p.rest)) {
		p.fail("%d bytes where %d are left", n, len(p.rest))
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) byte() byte {
	b := p.bytes(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// number reads a number whose first byte says, by the ones it begins with, how
// many bytes follow.
func (p *parser) number() uint64 {
	first := p.byte()
	var n uint64
	for i, mask := 0, byte(0x80); i < 8; i, mask = i+1, mask>>1 {
		if first&mask == 0 {
			return n | uint64(first&(mask-1))<<(8*i)
		}
		n |= uint64(p.byte()) << (8 * i)
	}
	return n
}

// count reads how many things follow that take a byte each, or share one
// among eight.
func (p *parser) count() int {
	n := p.number()
	switch {
	case n > 8*uint64(len(p.rest)):
		p.fail("%d of something in %d bytes", n, len(p.rest))
		return 0
	case n > uint64(p.most):
		p.fail("")
		p.err = fmt.Errorf("%d of something: %w", n, ErrLimit)
		return 0
	}
	return int(n)
}

// length reads a number of bytes.
func (p *parser) length() int64 {
	n := p.number()
	if n > 1<<62 {
		p.fail("length %d", n)
		return 0
	}
	return int64(n)
}

// bits reads n truth values.
func (p *parser) bits(n int) []bool {
	b := p.bytes(uint64(n+7) / 8)
	out := make([]bool, 0, min(n, 8*len(b)))
	for i := range cap(out) {
		out = append(out, b[i/8]&(0x80>>(i%8)) != 0)
	}
	return out
}

// optional reads n truth values that may all be true without saying so each.
// Four bytes follow for each that is.
func (p *parser) optional(n int) []bool {
	if p.byte() == 0 {
		return p.bits(n)
	}
	if n > len(p.rest)/4 {
		p.fail("%d values in %d bytes", n, len(p.rest))
		return nil
	}
	all := make([]bool, n)
	for i := range all {
		all[i] = true
	}
	return all
}

// checksum is a CRC that may be missing.
type checksum struct {
	crc    uint32
	hasCRC bool
}

func (p *parser) checksums(n int) []checksum {
	var sums []checksum
	for _, has := range p.optional(n) {
		c := checksum{hasCRC: has}
		if has {
			b := p.bytes(4)
			if b == nil {
				return nil
			}
			c.crc = binary.LittleEndian.Uint32(b)
		}
		sums = append(sums, c)
	}
	return sums
}

// names reads n names in UTF-16, each ended by a zero.
func (p *parser) names(n int) []string {
	if p.byte() != 0 {
		p.fail("names that stand elsewhere")
	}
	var names []string
	for range n {
		var units []uint16
		for {
			b := p.bytes(2)
			if b == nil {
				return names
			}
			u := binary.LittleEndian.Uint16(b)
			if u == 0 {
				break
			}
			units = append(units, u)
		}
		names = append(names, string(utf16.Decode(units)))
	}
	return names
}
