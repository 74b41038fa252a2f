package tensorflow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/bits"
	"strings"

	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

// Variable is an entry of a checkpoint's index.
type Variable struct {
	Name  string
	Type  int32
	Shape []int64
	// Sliced says that the bytes are in other entries, one for each part.
	Sliced bool
	// Shard is the file of data that holds it, Offset and Length where in it.
	Shard          int32
	Offset, Length int64
}

// Checkpoint is the index of a checkpoint: a sorted table of variables.
type Checkpoint struct {
	Shards int32
	// Variables are in the order of the table.
	Variables []Variable
	// Troubles say what the table has that its writer does not write.
	Troubles []Unknown
}

const (
	footer     = 48
	tableMagic = 0xdb4775248b80fb57
	maxBlock   = 16 << 20
	maxEntries = 250_000
	maxKey     = 4096
	maxKeys    = 32 << 20 // bytes of all keys
)

// table is a checkpoint's index while it is read.
type table struct {
	*Checkpoint
	data io.ReaderAt
	size int64
	last string // the key before
	any  bool
	keys int   // bytes of them
	at   int64 // behind the blocks so far
}

// ReadCheckpoint reads the index of a checkpoint of that size.
func ReadCheckpoint(data io.ReaderAt, size int64) (*Checkpoint, error) {
	t := &table{Checkpoint: &Checkpoint{Shards: -1}, data: data, size: size}
	if size < footer {
		return nil, fmt.Errorf("%d bytes: %w", size, ErrMalformed)
	}
	end := make([]byte, footer)
	if _, err := data.ReadAt(end, size-footer); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read end of table: %w", err)
	}
	if binary.LittleEndian.Uint64(end[40:]) != tableMagic {
		return nil, fmt.Errorf("no signature: %w", ErrMalformed)
	}
	meta, rest, err := handle(end[:40])
	if err != nil {
		return nil, err
	}
	index, padding, err := handle(rest)
	if err != nil {
		return nil, err
	}
	if len(bytes.Trim(padding, "\x00")) > 0 {
		t.trouble(size-footer, "the padding of the end is not zero")
	}
	if err := t.blocks(index, meta); err != nil {
		return nil, err
	}
	if t.at != size-footer {
		t.trouble(t.at, "%d bytes belong to no block", size-footer-t.at)
	}
	if t.Shards < 0 {
		t.trouble(0, "the table has no header")
	}
	return t.Checkpoint, nil
}

func (c *Checkpoint) trouble(at int64, format string, args ...any) {
	if len(c.Troubles) < maxUnknown {
		c.Troubles = append(c.Troubles, Unknown{at, fmt.Sprintf(format, args...)})
	}
}

// extent is where a block is.
type extent struct{ at, size int64 }

func handle(b []byte) (e extent, rest []byte, err error) {
	at, n := binary.Uvarint(b)
	if n <= 0 {
		return e, nil, fmt.Errorf("place of a block: %w", ErrMalformed)
	}
	size, m := binary.Uvarint(b[n:])
	if m <= 0 || at > math.MaxInt64/4 || size > math.MaxInt64/4 {
		return e, nil, fmt.Errorf("place of a block: %w", ErrMalformed)
	}
	return extent{int64(at), int64(size)}, b[n+m:], nil
}

// block reads a block, and wants it to follow the one before.
func (t *table) block(e extent) ([]byte, error) {
	const trailer = 5 // the compression and a checksum
	switch {
	case e.at < 0 || e.at > t.size-footer || e.size+trailer > t.size-footer-e.at:
		return nil, fmt.Errorf("block of %d bytes at %d in a table of %d: %w", e.size, e.at, t.size, ErrMalformed)
	case e.size > maxBlock:
		return nil, fmt.Errorf("block of %d bytes: %w", e.size, ErrLimit)
	}
	if e.at != t.at {
		t.trouble(t.at, "the block at %d does not follow the one before, which ends at %d", e.at, t.at)
	}
	t.at = e.at + e.size + trailer
	b := make([]byte, e.size+trailer)
	if _, err := t.data.ReadAt(b, e.at); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read block: %w", err)
	}
	if b[e.size] != 0 {
		return nil, fmt.Errorf("block at %d is compressed: %w", e.at, ErrLimit)
	}
	sum := crc32.Checksum(b[:e.size+1], crc32.MakeTable(crc32.Castagnoli))
	if got := binary.LittleEndian.Uint32(b[e.size+1:]); got != bits.RotateLeft32(sum, -15)+0xa282ead8 {
		t.trouble(e.at, "the checksum of the block at %d is wrong", e.at)
	}
	return b[:e.size], nil
}

// entries calls f for every entry of a block.
func entries(b []byte, f func(key string, value []byte) error) error {
	bad := func() error { return fmt.Errorf("entries of a block: %w", ErrMalformed) }
	if len(b) < 4 {
		return bad()
	}
	restarts := uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	if restarts > uint64(len(b)-4)/4 {
		return bad()
	}
	b = b[:len(b)-4-4*int(restarts)]
	key := ""
	for len(b) > 0 {
		var n [3]uint64 // of the key before, of the rest of the key, of the value
		for i := range n {
			v, width := binary.Uvarint(b)
			if width <= 0 {
				return bad()
			}
			n[i], b = v, b[width:]
		}
		if n[0] > uint64(len(key)) || n[1] > uint64(len(b)) || n[2] > uint64(len(b))-n[1] {
			return bad()
		}
		if n[0]+n[1] > maxKey {
			return fmt.Errorf("name of %d bytes: %w", n[0]+n[1], ErrLimit)
		}
		key = key[:n[0]] + string(b[:n[1]])
		if err := f(key, b[n[1]:n[1]+n[2]]); err != nil {
			return err
		}
		b = b[n[1]+n[2]:]
	}
	return nil
}

// blocks reads the blocks of data in order, then those that describe them.
func (t *table) blocks(index, meta extent) error {
	list, err := t.peek(index)
	if err != nil {
		return err
	}
	err = entries(list, func(_ string, value []byte) error {
		e, _, err := handle(value)
		if err != nil {
			return err
		}
		b, err := t.block(e)
		if err != nil {
			return err
		}
		return entries(b, t.entry)
	})
	if err != nil {
		return err
	}
	for _, e := range []extent{meta, index} {
		if _, err := t.block(e); err != nil {
			return err
		}
	}
	return nil
}

// peek reads a block out of order.
func (t *table) peek(e extent) ([]byte, error) {
	aside := &table{Checkpoint: &Checkpoint{}, data: t.data, size: t.size, at: e.at}
	return aside.block(e)
}

func (t *table) entry(key string, value []byte) error {
	if t.any && key <= t.last {
		t.trouble(t.at, "the variable %.80q is given twice or out of order", key)
	}
	t.any, t.last = true, key
	if t.keys += len(key); t.keys > maxKeys {
		return fmt.Errorf("more than %d bytes of names: %w", maxKeys, ErrLimit)
	}
	if len(t.Variables) >= maxEntries {
		return fmt.Errorf("more than %d variables: %w", maxEntries, ErrLimit)
	}
	s := protobuf.New(bytes.NewReader(value), int64(len(value)), protobuf.Limits{})
	if key == "" {
		t.Shards = 0
		return wrap(s.Root().Each(func(f protobuf.Field) error {
			if f.Number == 1 && f.Wire == protobuf.Varint && f.Value < math.MaxInt32 {
				t.Shards = int32(f.Value)
			}
			return nil
		}))
	}
	v := Variable{Name: strings.ToValidUTF8(key, "\ufffd")}
	known := map[int32]protobuf.Wire{1: 0, 2: protobuf.Bytes, 3: 0, 4: 0, 5: 0, 6: protobuf.Fixed32, 7: protobuf.Bytes}
	err := s.Root().Each(func(f protobuf.Field) error {
		if w, ok := known[f.Number]; !ok || w != f.Wire || f.Wire == protobuf.Varint && f.Value > math.MaxInt64/4 {
			t.trouble(t.at, "the variable %.80q has an odd field %d", v.Name, f.Number)
			return nil
		}
		switch f.Number {
		case 1:
			v.Type = int32(min(f.Value, math.MaxInt32))
		case 2:
			return shape(s, f, &v)
		case 3:
			v.Shard = int32(min(f.Value, math.MaxInt32))
		case 4:
			v.Offset = int64(f.Value)
		case 5:
			v.Length = int64(f.Value)
		case 7:
			v.Sliced = true
		}
		return nil
	})
	t.Variables = append(t.Variables, v)
	return wrap(err)
}

func wrap(err error) error {
	if errors.Is(err, protobuf.ErrMalformed) {
		return fmt.Errorf("entry: %w: %w", err, ErrMalformed)
	}
	return err
}

// shape reads a TensorShapeProto: dimensions 2 with a size 1.
func shape(s *protobuf.Source, f protobuf.Field, v *Variable) error {
	return s.Sub(f).Each(func(dim protobuf.Field) error {
		if dim.Number != 2 || dim.Wire != protobuf.Bytes || len(v.Shape) > 254 {
			return nil
		}
		size := int64(0)
		err := s.Sub(dim).Each(func(f protobuf.Field) error {
			if f.Number == 1 && f.Wire == protobuf.Varint {
				size = int64(f.Value)
			}
			return nil
		})
		v.Shape = append(v.Shape, size)
		return err
	})
}

// widths are the bytes of an element of the types that have a fixed width.
var widths = map[int32]uint64{
	1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 11: 1, 12: 1, 13: 4, 14: 2, 15: 2, 16: 2, 17: 2, 18: 16, 19: 2, 22: 4, 23: 8, 24: 1, 25: 1,
}

// Fits reports whether the shape and type of a variable make its length. Types
// without a fixed width, and variables in slices, always do.
func (v Variable) Fits() bool {
	n, ok := widths[v.Type]
	if !ok || v.Sliced {
		return true
	}
	for _, d := range v.Shape {
		over, low := bits.Mul64(n, uint64(d))
		if d < 0 || over != 0 {
			return false
		}
		n = low
	}
	return n == uint64(v.Length)
}
