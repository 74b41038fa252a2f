package sevenzip

import "encoding/binary"

// folder is a stream of packed data that unpacks to one or more files.
type folder struct {
	coder      []byte // its id
	properties []byte
	offset     int64 // of the packed data
	packed     int64
	size       int64
	files      int
	streams    int // packed ones
	checksum
	sizes []int64 // of the files
	sums  []checksum
	// branch says that a filter for x86 stands before the coder.
	branch bool
	// foreign is a coder that is not read, or a chain.
	foreign string
}

// coder is one step of a folder.
type coder struct {
	id, properties []byte
	ins            uint64
}

// top reads the main header.
func (a *Archive) top(p *parser) {
	id := p.byte()
	if id == idArchiveProperties {
		for p.byte() != idEnd && p.err == nil {
			p.bytes(p.number())
		}
		id = p.byte()
	}
	if id == idAdditionalStreams {
		a.streams(p)
		id = p.byte()
	}
	if id == idMainStreams {
		a.folders = a.streams(p)
		id = p.byte()
	}
	if id == idFiles && p.err == nil {
		a.files(p)
		id = p.byte()
	}
	if id != idEnd || len(p.rest) > 0 {
		p.fail("header goes on with %#x", id)
	}
}

// streams reads where packed data is and what it unpacks to.
func (a *Archive) streams(p *parser) []folder {
	var packed []Span
	var folders []folder
	for p.err == nil {
		switch id := p.byte(); id {
		case idEnd:
			place(p, folders, packed)
			return folders
		case idPack:
			packed = a.packInfo(p)
		case idUnpack:
			folders = unpackInfo(p)
		case idSubStreams:
			subStreams(p, folders)
		default:
			p.fail("part %#x of the streams", id)
		}
	}
	return nil
}

// place gives each folder its packed data.
func place(p *parser, folders []folder, packed []Span) {
	for i := range folders {
		f := &folders[i]
		if len(f.sizes) == 0 && f.files > 0 {
			f.sizes, f.sums = []int64{f.size}, []checksum{f.checksum}
		}
		if f.streams > len(packed) {
			p.fail("too few packed streams")
			return
		}
		f.offset = packed[0].Offset
		for _, s := range packed[:f.streams] {
			f.packed += s.Length
		}
		packed = packed[f.streams:]
	}
	if len(packed) > 0 {
		p.fail("%d packed streams too many", len(packed))
	}
}

func (a *Archive) packInfo(p *parser) []Span {
	at := startLength + p.length()
	n := p.count()
	spans := make([]Span, 0, min(n, len(p.rest)))
	for p.err == nil {
		switch id := p.byte(); id {
		case idEnd:
			if len(spans) != n {
				p.fail("%d sizes for %d packed streams", len(spans), n)
			}
			return spans
		case idSize:
			for range n {
				length := p.length()
				if at > a.size || length > a.size-at {
					p.fail("%d packed bytes at %d", length, at)
					return nil
				}
				spans = append(spans, Span{at, length})
				at += length
			}
			a.used = append(a.used, spans...)
		case idCRC:
			p.checksums(n)
		default:
			p.fail("part %#x of the packed streams", id)
		}
	}
	return nil
}

func unpackInfo(p *parser) []folder {
	if p.byte() != idFolder {
		p.fail("no folders")
	}
	n := p.count()
	if p.byte() != 0 {
		p.fail("folders that stand elsewhere")
	}
	var folders []folder
	var coders []int
	for range n {
		f, count := readFolder(p)
		if p.err != nil {
			return nil
		}
		folders, coders = append(folders, f), append(coders, count)
	}
	if p.byte() != idUnpackSize {
		p.fail("no sizes of folders")
	}
	for i := range folders {
		for range coders[i] {
			folders[i].size = p.length()
		}
	}
	id := p.byte()
	if id == idCRC {
		for i, c := range p.checksums(n) {
			folders[i].checksum = c
		}
		id = p.byte()
	}
	if id != idEnd {
		p.fail("part %#x of the folders", id)
	}
	return folders
}

// maxCoders is how many coders 7-Zip accepts in a folder.
const maxCoders = 32

// readFolder reads the coders of a folder and how they are connected.
func readFolder(p *parser) (f folder, coders int) {
	n := p.number()
	if n == 0 || n > maxCoders {
		p.fail("a folder of %d coders", n)
		return f, 0
	}
	var all []coder
	in := uint64(0)
	for range n {
		c := readCoder(p)
		all, in = append(all, c), in+c.ins
	}
	var binds [][2]uint64
	for range n - 1 {
		binds = append(binds, [2]uint64{p.number(), p.number()})
	}
	packed := in - (n - 1)
	if packed == 0 || packed > maxCoders {
		p.fail("a folder of %d packed streams", packed)
		return f, 0
	}
	if packed > 1 {
		for range packed {
			p.number()
		}
	}
	f.files, f.streams = 1, int(packed)
	f.choose(all, binds)
	return f, int(n)
}

func readCoder(p *parser) coder {
	flags := p.byte()
	c := coder{id: p.bytes(uint64(flags & 15)), ins: 1}
	if flags&0x10 != 0 {
		c.ins = p.number()
		if p.number() != 1 || c.ins == 0 || c.ins > maxCoders {
			p.fail("a coder of %d streams", c.ins)
		}
	}
	if flags&0x20 != 0 {
		c.properties = p.bytes(p.number())
	}
	return c
}

// choose finds the coders that are read: one, or one behind the filter for x86.
func (f *folder) choose(all []coder, binds [][2]uint64) {
	f.coder, f.properties = all[0].id, all[0].properties
	if len(all) == 1 {
		return
	}
	for _, c := range all {
		if string(c.id) == coderAES {
			f.coder = c.id
			return
		}
	}
	if len(all) == 2 && all[0].ins == 1 && all[1].ins == 1 && binds[0][0] < 2 && binds[0][1] == 1-binds[0][0] && string(all[binds[0][0]].id) == coderX86 {
		inner := all[binds[0][1]]
		f.coder, f.properties, f.branch = inner.id, inner.properties, true
		return
	}
	f.foreign = "a chain of coders"
}

// subStreams reads how the content of folders is divided into files.
func subStreams(p *parser, folders []folder) {
	id := p.byte()
	if id == idUnpackStreams {
		for i := range folders {
			folders[i].files = p.count()
		}
		id = p.byte()
	}
	for i := range folders {
		f := &folders[i]
		left := f.size
		for j := range f.files {
			size := left
			if j < f.files-1 {
				if id != idSize {
					p.fail("no sizes of files")
					return
				}
				size = p.length()
			}
			if p.err != nil || size > left {
				p.fail("a file of %d bytes where %d are left", size, left)
				return
			}
			left -= size
			f.sizes = append(f.sizes, size)
		}
	}
	if id == idSize {
		id = p.byte()
	}
	if id == idCRC {
		digests(p, folders)
		id = p.byte()
	}
	for i := range folders {
		for len(folders[i].sums) < len(folders[i].sizes) {
			folders[i].sums = append(folders[i].sums, checksum{})
		}
	}
	if id != idEnd {
		p.fail("part %#x of the files in folders", id)
	}
}

// digests reads the checksums of files that their folder does not have.
func digests(p *parser, folders []folder) {
	n := 0
	for i := range folders {
		if folders[i].files != 1 || !folders[i].hasCRC {
			n += folders[i].files
		}
	}
	sums := p.checksums(n)
	if len(sums) != n {
		p.fail("%d checksums for %d files", len(sums), n)
		return
	}
	for i := range folders {
		f := &folders[i]
		if f.files == 1 && f.hasCRC {
			f.sums = []checksum{f.checksum}
			continue
		}
		f.sums, sums = sums[:f.files], sums[f.files:]
	}
}

// files reads the names and attributes and ties files to folders.
func (a *Archive) files(p *parser) {
	n := p.count()
	members := make([]Member, n)
	var empty []bool
	for p.err == nil {
		id := p.byte()
		if id == idEnd {
			break
		}
		part := &parser{rest: p.bytes(p.number())}
		switch id {
		case idEmptyStream:
			empty = part.bits(n)
			for i, e := range empty {
				members[i].Directory = e
			}
		case idEmptyFile:
			emptyFiles(part, members, empty)
		case idNames:
			for i, name := range part.names(n) {
				members[i].Name = name
			}
		case idAttributes:
			attributes(part, members)
		}
		if part.err != nil {
			p.fail("%v", part.err)
		}
	}
	a.tie(p, members, empty)
}

// emptyFiles reads which of the members without data are files.
func emptyFiles(p *parser, members []Member, empty []bool) {
	count := 0
	for _, e := range empty {
		if e {
			count++
		}
	}
	are := p.bits(count)
	for i, e := range empty {
		if e && len(are) > 0 {
			members[i].Directory, are = !are[0], are[1:]
		}
	}
}

// attributes reads those of Windows, in whose upper half those of Unix stand.
func attributes(p *parser, members []Member) {
	defined := p.optional(len(members))
	if p.byte() != 0 {
		p.fail("attributes that stand elsewhere")
	}
	for i, d := range defined {
		if !d {
			continue
		}
		b := p.bytes(4)
		if b == nil {
			return
		}
		v := binary.LittleEndian.Uint32(b)
		const reparse, unix, typeMask, symlink = 0x400, 0x8000, 0o170000, 0o120000
		members[i].Link = v&reparse != 0 || v&unix != 0 && v>>16&typeMask == symlink
	}
}

// tie gives each member its place in a folder.
func (a *Archive) tie(p *parser, members []Member, empty []bool) {
	at, n, start := 0, 0, int64(0)
	for i := range members {
		m := &members[i]
		m.folder, m.Offset = -1, -1
		if i < len(empty) && empty[i] {
			continue
		}
		for at < len(a.folders) && n == len(a.folders[at].sizes) {
			at, n, start = at+1, 0, 0
		}
		if at == len(a.folders) {
			p.fail("more files than there are in folders")
			return
		}
		f := &a.folders[at]
		m.folder, m.start, m.Size, m.Offset, m.Packed, m.Err = at, start, f.sizes[n], f.offset, f.packed, f.readable()
		if n < len(f.sums) {
			m.crc, m.hasCRC = f.sums[n].crc, f.sums[n].hasCRC
		}
		start += m.Size
		n++
	}
	for at < len(a.folders) && n == len(a.folders[at].sizes) {
		at, n = at+1, 0
	}
	if at < len(a.folders) {
		p.fail("fewer files than there are in folders")
	}
	a.Members = members
}
