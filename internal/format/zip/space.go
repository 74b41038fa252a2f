package zip

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
)

// reader gives a look at what comes next in a stream of any length.
type reader struct {
	r    io.Reader
	buf  []byte
	from int
	done bool
}

func newReader(r io.Reader) *reader { return &reader{r: r} }

// peek returns the next n bytes, fewer at the end.
func (r *reader) peek(n int) ([]byte, error) {
	for len(r.buf)-r.from < n && !r.done {
		r.buf = append(r.buf[:0], r.buf[r.from:]...)
		r.from = 0
		at := len(r.buf)
		more := max(n, 64<<10)
		r.buf = slices.Grow(r.buf, more)[:at+more]
		got, err := io.ReadFull(r.r, r.buf[at:])
		r.buf = r.buf[:at+got]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			r.done = true
		} else if err != nil {
			return nil, err
		}
	}
	return r.buf[r.from:min(len(r.buf), r.from+n)], nil
}

func (r *reader) skip(n int) { r.from += n }

// space accounts for every byte before the directory: entries, padding, and
// what belongs to nothing.
func (a *Archive) space() error {
	order := make([]*Entry, 0, len(a.Entries))
	for i := range a.Entries {
		if e := &a.Entries[i]; e.Data >= 0 {
			if err := a.ends(e); err != nil {
				return err
			}
			order = append(order, e)
		}
	}
	slices.SortStableFunc(order, func(x, y *Entry) int { return cmp.Compare(x.Offset, y.Offset) })
	at := int64(0)
	var before *Entry
	type gap struct{ from, to int64 }
	var gaps []gap
	for _, e := range order {
		if e.Offset < at && before != nil && e.end > e.Offset {
			a.trouble(Overlap, e.Offset, at-e.Offset, e.Central.Name, "shares bytes with the entry %.80q", before.Central.Name)
		}
		if e.Offset > at {
			gaps = append(gaps, gap{at, e.Offset})
		}
		if e.end > at {
			at, before = e.end, e
		}
	}
	if at < a.directory {
		gaps = append(gaps, gap{at, a.directory})
	}
	for _, g := range gaps {
		if err := a.gap(g.from, g.to, g.from == 0); err != nil {
			return err
		}
	}
	return nil
}

// ends finds the end of an entry's data and descriptor.
func (a *Archive) ends(e *Entry) error {
	e.end = min(e.Data+min(e.Central.Packed, a.size), a.size)
	if e.Local.Flags&8 == 0 {
		return nil
	}
	b := make([]byte, min(24, a.size-e.end))
	if err := a.read(b, e.end); err != nil {
		return err
	}
	sign := 0
	if bytes.HasPrefix(b, []byte(descriptor)) {
		sign = 4
	}
	// Twelve bytes, or twenty where the sizes take eight each.
	switch {
	case len(b) >= sign+20 && u64(b[sign+4:]) == uint64(e.Central.Packed) && u64(b[sign+12:]) == uint64(e.Central.Size):
		e.end += int64(sign) + 20
	case len(b) >= sign+12 && u32(b[sign:]) == e.Central.CRC && u32(b[sign+4:]) == uint32(e.Central.Packed):
		e.end += int64(sign) + 12
	}
	return nil
}

// gap looks at bytes that no entry of the directory has. Zeros are nothing.
// Local headers there are entries all the same to readers that go from front
// to back.
func (a *Archive) gap(from, to int64, first bool) error {
	for from < to {
		var b [4]byte
		if to-from >= localLength {
			if err := a.read(b[:], from); err != nil {
				return err
			}
		}
		if string(b[:]) != localSign {
			break
		}
		end, err := a.hidden(from, to)
		if err != nil {
			return err
		}
		from, first = end, false
	}
	start, err := a.nonzero(from, to)
	if err != nil || start >= to {
		return err
	}
	if first {
		a.trouble(Prefix, from, to-from, "", "%d bytes in front of the archive", to-from)
	} else {
		a.trouble(Gap, start, to-start, "", "%d bytes that belong to no entry", to-start)
	}
	return nil
}

// hidden takes a local entry that the directory does not mention.
func (a *Archive) hidden(at, to int64) (end int64, err error) {
	if len(a.Entries) >= a.lim.Entries {
		return to, ErrLimit
	}
	var b [localLength]byte
	if err := a.read(b[:], at); err != nil {
		return to, err
	}
	e := Entry{Offset: at, Hidden: true}
	if err := a.localFields(&e, b[:]); err != nil {
		return to, err
	}
	e.Central = e.Local
	if e.Local.Flags&8 != 0 && e.Local.Packed == 0 || e.Data+min(e.Local.Packed, a.size) > to {
		e.Central.Packed = max(to-e.Data, 0)
	}
	if err := a.ends(&e); err != nil {
		return to, err
	}
	a.Entries = append(a.Entries, e)
	a.trouble(Unlisted, at, e.end-at, e.Central.Name, "no directory record mentions the entry")
	return max(e.end, at+localLength), nil
}

// nonzero returns where the first byte is that is not zero, or to.
func (a *Archive) nonzero(from, to int64) (int64, error) {
	if from >= to { // an entry that no directory mentions may reach further
		return to, nil
	}
	buf := make([]byte, min(64<<10, to-from))
	for from < to {
		b := buf[:min(int64(len(buf)), to-from)]
		if err := a.read(b, from); err != nil {
			return from, err
		}
		for i, c := range b {
			if c != 0 {
				return from + int64(i), nil
			}
		}
		from += int64(len(b))
	}
	return to, nil
}
