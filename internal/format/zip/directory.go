package zip

import (
	"bytes"
	"fmt"
	"io"
	"math"
)

// tail is how far from the end of the file the end record may be: its own
// length and the longest comment.
const tail = endLength + math.MaxUint16

// findEnd finds the end record, the way most readers do: the last one.
func (a *Archive) findEnd() error {
	buf := make([]byte, min(a.size, tail))
	start := a.size - int64(len(buf))
	if err := a.read(buf, start); err != nil {
		return err
	}
	found := -1
	for at := len(buf); at > 0; {
		at = bytes.LastIndex(buf[:at], []byte(endSign))
		if at < 0 {
			break
		}
		if len(buf)-at < endLength {
			continue
		}
		if found < 0 {
			found = at
		} else if a.plausibleEnd(buf[at:]) {
			a.trouble(Ends, start+int64(at), endLength, "", "another end record that readers could take")
		}
	}
	if found < 0 {
		return fmt.Errorf("no end record: %w", ErrMalformed)
	}
	return a.takeEnd(buf[found:], start+int64(found))
}

// plausibleEnd reports whether an earlier end record is one that a reader could
// take: its comment reaches to the end of the file. That of a zip inside the
// zip does not.
func (a *Archive) plausibleEnd(b []byte) bool {
	return endLength+int(u16(b[20:])) == len(b)
}

// takeEnd reads the end record at at, and that of zip64 before it.
func (a *Archive) takeEnd(b []byte, at int64) error {
	comment := int64(u16(b[20:]))
	a.end = at + endLength + comment
	if a.end > a.size {
		a.trouble(Counts, at+20, 2, "", "the comment is longer than the file")
		a.end = a.size
	}
	a.Comment = string(b[endLength : endLength+a.end-at-endLength])
	if a.end < a.size {
		a.trouble(Tail, a.end, a.size-a.end, "", "%d bytes behind the end of the archive", a.size-a.end)
	}
	a.count = uint64(u16(b[10:]))
	size, offset := uint64(u32(b[12:])), uint64(u32(b[16:]))
	if u16(b[4:]) != 0 && u16(b[4:]) != math.MaxUint16 || u16(b[8:]) != u16(b[10:]) {
		a.trouble(Counts, at, endLength, "", "the archive says it is one of several parts")
	}
	ends, err := a.end64(at, &size, &offset)
	if err != nil {
		return err
	}
	if size > uint64(ends) || offset > uint64(ends)-size {
		return fmt.Errorf("directory of %d bytes at %d, before an end at %d: %w", size, offset, ends, ErrMalformed)
	}
	// The directory ends where the end record begins; if it is not where the
	// record says, the difference is data in front of the archive.
	a.directory, a.directoryEnds = ends-int64(size), ends
	a.base = a.directory - int64(offset)
	if a.base > 0 && !a.signed(a.directory) && a.signed(int64(offset)) {
		a.trouble(Gap, int64(offset)+int64(size), a.base, "", "%d bytes between the directory and the end record", a.base)
		a.directory, a.directoryEnds, a.base = int64(offset), int64(offset)+int64(size), 0
	}
	return nil
}

// signed reports whether a directory record begins at at.
func (a *Archive) signed(at int64) bool {
	sign := make([]byte, 4)
	return a.read(sign, at) == nil && string(sign) == recordSign
}

// end64 reads the zip64 end record when there is one, and returns where the
// directory ends.
func (a *Archive) end64(at int64, size, offset *uint64) (ends int64, err error) {
	if at < locatorLength+end64Length {
		return at, nil
	}
	loc := make([]byte, locatorLength)
	if err := a.read(loc, at-locatorLength); err != nil || string(loc[:4]) != locatorSign {
		return at, err
	}
	// The record stands right before its locator, whatever the locator says
	// when there is data in front.
	rec := make([]byte, end64Length)
	where := at - locatorLength - end64Length
	if err := a.read(rec, where); err != nil {
		return at, err
	}
	if string(rec[:4]) != end64Sign {
		said := u64(loc[8:])
		if said > uint64(where) {
			return at, fmt.Errorf("no zip64 end record: %w", ErrMalformed)
		}
		where = int64(said)
		if err := a.read(rec, where); err != nil {
			return at, err
		}
		if string(rec[:4]) != end64Sign {
			return at, fmt.Errorf("no zip64 end record: %w", ErrMalformed)
		}
	}
	count, long, far := u64(rec[32:]), u64(rec[40:]), u64(rec[48:])
	if *size != math.MaxUint32 && *size != long || *offset != math.MaxUint32 && *offset != far || a.count != math.MaxUint16 && a.count != count {
		a.trouble(Ends, where, end64Length, "", "the end records of zip and zip64 disagree")
	}
	a.count, *size, *offset = count, long, far
	return where, nil
}

// records reads the central directory.
func (a *Archive) records() error {
	r := io.NewSectionReader(a.data, a.directory, a.directoryEnds-a.directory)
	buf := newReader(r)
	for at := a.directory; at < a.directoryEnds; {
		head, err := buf.peek(recordLength)
		if err != nil {
			return err
		}
		if len(head) < recordLength || string(head[:4]) != recordSign {
			a.trouble(Counts, at, a.directoryEnds-at, "", "the directory goes on with something else")
			break
		}
		if len(a.Entries) >= a.lim.Entries {
			return fmt.Errorf("more than %d entries: %w", a.lim.Entries, ErrLimit)
		}
		length := recordLength + int(u16(head[28:])) + int(u16(head[30:])) + int(u16(head[32:]))
		record, err := buf.peek(length)
		if err != nil {
			return err
		}
		if len(record) < length {
			a.trouble(Counts, at, int64(len(record)), "", "a directory record is cut off")
			break
		}
		a.Entries = append(a.Entries, a.record(record, at))
		buf.skip(length)
		at += int64(length)
	}
	if uint64(len(a.Entries)) != a.count {
		a.trouble(Counts, a.directory, 0, "", "the directory has %d entries, the end record says %d", len(a.Entries), a.count)
	}
	return nil
}

// record reads one directory record.
func (a *Archive) record(b []byte, at int64) Entry {
	name, extra := int(u16(b[28:])), int(u16(b[30:]))
	h := Header{
		Name: string(b[recordLength : recordLength+name]), Flags: u16(b[8:]), Method: u16(b[10:]), CRC: u32(b[16:]),
		Packed: int64(u32(b[20:])), Size: int64(u32(b[24:])),
	}
	offset := int64(u32(b[42:]))
	a.zip64(b[recordLength+name:recordLength+name+extra], &h, &offset)
	e := Entry{Central: h, Offset: a.base + offset, Data: -1, record: at}
	if b[5] == 3 { // made on Unix
		e.Mode = u32(b[38:]) >> 16
	}
	return e
}

// zip64 takes sizes and offset from the extra field, where the record has no
// room for them.
func (a *Archive) zip64(extra []byte, h *Header, offset *int64) {
	for len(extra) >= 4 {
		id, n := u16(extra), int(u16(extra[2:]))
		if n > len(extra)-4 {
			return
		}
		field := extra[4 : 4+n]
		extra = extra[4+n:]
		if id != 1 {
			continue
		}
		for _, p := range []*int64{&h.Size, &h.Packed, offset} {
			if p == nil || *p != math.MaxUint32 || len(field) < 8 {
				continue
			}
			if v := u64(field); v <= math.MaxInt64 {
				*p = int64(v)
			}
			field = field[8:]
		}
	}
}

// local reads the local header of an entry and compares.
func (a *Archive) local(e *Entry) error {
	var b [localLength]byte
	name := e.Central.Name
	if e.Offset < 0 || e.Offset > a.size-localLength {
		a.trouble(NoLocal, e.record, recordLength, name, "the directory points out of the file")
		return nil
	}
	if err := a.read(b[:], e.Offset); err != nil {
		return err
	}
	if string(b[:4]) != localSign {
		a.trouble(NoLocal, e.Offset, 4, name, "the directory points to something that is no local header")
		return nil
	}
	if err := a.localFields(e, b[:]); err != nil {
		return err
	}
	if e.Data > a.size || e.Central.Packed > a.size-e.Data {
		a.trouble(OutOfFile, e.Offset, localLength, name, "%d bytes of data at %d are not all in the file", e.Central.Packed, e.Data)
	}
	a.compare(e)
	return nil
}

// localFields reads what a local header says.
func (a *Archive) localFields(e *Entry, b []byte) error {
	n, extra := int64(u16(b[26:])), int64(u16(b[28:]))
	e.Local = Header{Flags: u16(b[6:]), Method: u16(b[8:]), CRC: u32(b[14:]), Packed: int64(u32(b[18:])), Size: int64(u32(b[22:]))}
	e.Data = e.Offset + localLength + n + extra
	rest := make([]byte, min(n+extra, a.size-e.Offset-localLength))
	if err := a.read(rest, e.Offset+localLength); err != nil {
		return err
	}
	e.Local.Name = string(rest[:min(n, int64(len(rest)))])
	if int64(len(rest)) == n+extra {
		a.zip64(rest[n:], &e.Local, new(int64))
	}
	return nil
}

// compare looks for what the headers disagree about.
func (a *Archive) compare(e *Entry) {
	c, l := e.Central, e.Local
	later := l.Flags&8 != 0 // sizes follow the data
	differs := func(what string, central, local any) {
		a.trouble(Differs, e.Offset, localLength, c.Name, "the directory says %s %v, the local header %v", what, central, local)
	}
	switch {
	case c.Name != l.Name:
		differs("name", fmt.Sprintf("%.80q", c.Name), fmt.Sprintf("%.80q", l.Name))
	case c.Method != l.Method:
		differs("method", c.Method, l.Method)
	case (c.Flags^l.Flags)&^(8|2|4|0x800) != 0:
		differs("flags", c.Flags, l.Flags)
	case !(later && l.Packed == 0) && c.Packed != l.Packed:
		differs("packed size", c.Packed, l.Packed)
	case !(later && l.Size == 0) && c.Size != l.Size:
		differs("size", c.Size, l.Size)
	case !(later && l.CRC == 0) && c.CRC != l.CRC:
		differs("checksum", c.CRC, l.CRC)
	}
}
