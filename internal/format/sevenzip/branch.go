package sevenzip

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// branch undoes the filter for x86 programs, which writes the targets of near
// calls and jumps (E8, E9) as absolute addresses. 7-Zip and py7zr put it in
// front of the compression whatever the content is.
//
// Whether an operand was converted follows from its high byte, 00 or FF, and
// from which of the bytes before it looked like such an instruction too: the
// filter keeps three bits of that.
type branch struct {
	r  *bufio.Reader
	at uint32 // of the next byte
	// near has bit n set where n bytes ago an instruction was seen and not
	// converted.
	near uint32
	out  []byte // converted and not yet read
	room [instruction]byte
}

const instruction = 5

func newBranch(r io.Reader) *branch { return &branch{r: bufio.NewReaderSize(r, 32<<10)} }

// Read implements io.Reader.
func (b *branch) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(b.out) > 0 {
			c := copy(p[n:], b.out)
			b.out = b.out[c:]
			n += c
			continue
		}
		ahead, err := b.r.Peek(instruction)
		if len(ahead) == 0 {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if len(ahead) < instruction && !errors.Is(err, io.EOF) {
			return n, err
		}
		b.step(ahead)
	}
	return n, nil
}

func isBranch(c byte) bool { return c&0xfe == 0xe8 }
func isFar(c byte) bool    { return c == 0 || c == 0xff }

// step converts what begins at the next byte into out.
func (b *branch) step(ahead []byte) {
	length := 1
	switch {
	case len(ahead) < instruction: // no instruction fits any more
		length = len(ahead)
		copy(b.room[:], ahead)
	case !isBranch(ahead[0]):
		b.room[0] = ahead[0]
		b.near = b.near << 1 & 7
	case b.converted(ahead):
		copy(b.room[:], ahead)
		b.convert()
		length, b.near = instruction, 0
	default:
		b.room[0] = ahead[0]
		b.near = b.near<<1&7 | 1
	}
	b.out = b.room[:length]
	b.at += uint32(length)
	_, _ = b.r.Discard(length) // was peeked
}

// farthest is the distance in bytes of the oldest instruction in near.
func (b *branch) farthest() int {
	switch {
	case b.near >= 4:
		return 3
	case b.near >= 2:
		return 2
	}
	return int(b.near)
}

// converted reports whether the filter converted the operand.
func (b *branch) converted(ahead []byte) bool {
	if b.near != 0 {
		single := b.near == 1 || b.near == 2 || b.near == 4
		if !single || isFar(ahead[4-b.farthest()]) {
			return false
		}
	}
	return isFar(ahead[4])
}

// convert makes the operand in room relative again.
func (b *branch) convert() {
	operand := binary.LittleEndian.Uint32(b.room[1:])
	for {
		operand -= b.at + instruction
		if b.near == 0 {
			break
		}
		shift := 8 * b.farthest()
		if !isFar(byte(operand >> (24 - shift))) {
			break
		}
		operand ^= 1<<(32-shift) - 1
	}
	operand &= 1<<25 - 1
	if operand>>24 != 0 {
		operand |= 0xff << 24
	}
	binary.LittleEndian.PutUint32(b.room[1:], operand)
}
