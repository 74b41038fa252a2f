package hdf5

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// superblock finds the start and returns the address of the root group.
func (w *walker) superblock() (root int64, err error) {
	w.start, err = w.findStart()
	if err != nil {
		return 0, err
	}
	head, err := w.get(w.start, min(w.size-w.start, 128))
	if err != nil {
		return 0, err
	}
	c := &cursor{b: head, at: w.start}
	c.take(8)
	version := c.int(1)
	switch {
	case version <= 1:
		root, err = w.oldSuperblock(c, version)
	case version <= 3:
		root, err = w.newSuperblock(c)
	default:
		err = fmt.Errorf("superblock of version %d: %w", version, ErrUnsupported)
	}
	switch {
	case err != nil:
		return 0, err
	case c.short:
		return 0, fmt.Errorf("superblock ends early: %w", ErrMalformed)
	case root == undefined:
		return 0, fmt.Errorf("no root group: %w", ErrMalformed)
	}
	w.used = w.used[:0]
	w.use(w.start, c.at-w.start)
	if w.start > 0 {
		return root, w.v.Odd(Odd{Kind: UserBlock, Extent: Extent{0, w.start}})
	}
	return root, nil
}

// findStart looks at 0, 512, 1024 and so on.
func (w *walker) findStart() (int64, error) {
	for at := int64(0); at+8 <= w.size; at = max(512, at*2) {
		b := make([]byte, 8)
		if n, err := w.data.ReadAt(b, at); err != nil && (!errors.Is(err, io.EOF) || n < len(b)) {
			return 0, fmt.Errorf("read HDF5: %w", err)
		}
		if string(b) == signature {
			return at, nil
		}
	}
	return 0, fmt.Errorf("no signature: %w", ErrMalformed)
}

func (w *walker) sizes(c *cursor) error {
	w.offsets, w.lengths = c.int(1), c.int(1)
	for _, n := range []int{w.offsets, w.lengths} {
		if n != 2 && n != 4 && n != 8 {
			return fmt.Errorf("addresses of %d and lengths of %d bytes: %w", w.offsets, w.lengths, ErrMalformed)
		}
	}
	return nil
}

func (w *walker) oldSuperblock(c *cursor, version int) (int64, error) {
	c.take(4) // versions of parts, reserved
	if err := w.sizes(c); err != nil {
		return 0, err
	}
	c.take(1 + 4 + 4) // reserved, ranks of trees, flags
	if version == 1 {
		c.take(4)
	}
	base := w.address(c)
	c.take(w.offsets) // free space
	if err := w.bounds(base, w.address(c)); err != nil {
		return 0, err
	}
	driver := w.address(c)
	c.take(w.offsets) // name of the root group
	root := w.address(c)
	c.take(4 + 4 + 16)
	if driver != undefined {
		return root, fmt.Errorf("driver information: %w", ErrUnsupported)
	}
	return root, nil
}

func (w *walker) newSuperblock(c *cursor) (int64, error) {
	if err := w.sizes(c); err != nil {
		return 0, err
	}
	c.take(1) // flags
	base := w.address(c)
	extension := w.address(c)
	if err := w.bounds(base, w.address(c)); err != nil {
		return 0, err
	}
	if base > 0 && extension != undefined {
		extension += base
	}
	root := w.address(c)
	c.take(4) // checksum
	if extension != undefined {
		w.todo = append(w.todo, place{extension, "(superblock extension)"})
	}
	return root, nil
}

// bounds takes over base and end of the file.
func (w *walker) bounds(base, end int64) error {
	if base == undefined || base > w.size || end == undefined {
		return fmt.Errorf("base address %d, end %d: %w", base, end, ErrMalformed)
	}
	w.base = base
	w.end = min(end, w.size+1)
	if end+base == w.size { // readers disagree on what it is relative to
		w.end = w.size
	}
	return nil
}

// hollow reports whether behind the signature there is nothing but zeros.
func (w *walker) hollow() (bool, error) {
	if w.start != 0 || w.size < 8 {
		return false, nil
	}
	head := make([]byte, 8)
	if n, err := w.data.ReadAt(head, 0); err != nil && n < 8 {
		return false, err
	}
	if string(head) != signature {
		return false, nil
	}
	return w.zeros(8, w.size-8)
}

// zeros reports whether a stretch has no other bytes.
func (w *walker) zeros(at, n int64) (bool, error) {
	buf := make([]byte, 64<<10)
	for n > 0 {
		part := buf[:min(n, int64(len(buf)))]
		if got, err := w.data.ReadAt(part, at); err != nil && got < len(part) {
			return false, fmt.Errorf("read HDF5: %w", err)
		}
		if len(bytes.Trim(part, "\x00")) > 0 {
			return false, nil
		}
		at, n = at+int64(len(part)), n-int64(len(part))
	}
	return true, nil
}

// maxGaps is how many gaps are told.
const maxGaps = 1000

// space tells what belongs to nothing.
func (w *walker) space() error {
	if w.end > w.size {
		err := fmt.Errorf("the file ends before the end that its superblock names: %w", ErrMalformed)
		if err := w.v.Odd(Odd{Err: err, Extent: Extent{Offset: w.size}}); err != nil {
			return err
		}
	}
	if w.end < w.size {
		if err := w.v.Odd(Odd{Kind: Tail, Extent: Extent{w.end, w.size - w.end}}); err != nil {
			return err
		}
	}
	slices.SortFunc(w.used, func(a, b Extent) int { return int(max(-1, min(1, a.Offset-b.Offset))) })
	w.used = append(w.used, Extent{min(w.end, w.size), 0})
	at, told := w.start, 0
	for _, e := range w.used {
		if e.Offset > at && told < maxGaps && !w.blurred {
			zero, err := w.zeros(at, e.Offset-at)
			if err != nil {
				return err
			}
			if !zero {
				told++
				if err := w.v.Odd(Odd{Kind: Gap, Extent: Extent{at, e.Offset - at}}); err != nil {
					return err
				}
			}
		}
		at = max(at, e.Offset+e.Length)
	}
	return nil
}
