package scan_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/ulikunitz/xz/lzma"

	"github.com/weightwarden/weightwarden/internal/finding"
)

// part is one entry of a zip that the test writes itself, with whatever the
// two headers are to say.
type part struct {
	name, local   string // local is the local header's name, "" for the same
	data          string
	method, flags uint16
	localMethod   uint16
	badCRC, sized bool // sized: the directory claims one byte more
	unlisted      bool
	mode          uint32
	before        string // bytes in front of the local header
}

// zipOf writes a zip. front is put before it, with offsets that ignore it.
func zipOf(front, comment string, parts ...part) string {
	var body, dir bytes.Buffer
	count := uint16(0)
	put := func(b *bytes.Buffer, values ...any) {
		for _, v := range values {
			if s, ok := v.(string); ok {
				b.WriteString(s)
			} else {
				_ = binary.Write(b, binary.LittleEndian, v)
			}
		}
	}
	for _, p := range parts {
		if p.local == "" {
			p.local = p.name
		}
		raw, sum, size := p.data, crc32.ChecksumIEEE([]byte(p.data)), uint32(len(p.data))
		if p.method == 8 {
			var b bytes.Buffer
			w, _ := flate.NewWriter(&b, 9)
			_, _ = w.Write([]byte(p.data))
			_ = w.Close()
			raw = b.String()
		}
		if p.badCRC {
			sum ^= 0x55
		}
		body.WriteString(p.before)
		at := uint32(body.Len())
		put(&body, "PK\x03\x04", uint16(20), p.flags, p.method^p.localMethod, uint32(0), sum, uint32(len(raw)), size, uint16(len(p.local)), uint16(0), p.local, raw)
		if p.unlisted {
			continue
		}
		if p.sized {
			size++
		}
		count++
		put(&dir, "PK\x01\x02", uint16(3<<8|20), uint16(20), p.flags, p.method, uint32(0), sum, uint32(len(raw)), size,
			uint16(len(p.name)), uint16(0), uint16(0), uint16(0), uint16(0), p.mode<<16, at, p.name)
	}
	var out bytes.Buffer
	put(&out, front, body.String(), dir.String(), "PK\x05\x06", uint16(0), uint16(0), count, count, uint32(dir.Len()), uint32(body.Len()), uint16(len(comment)), comment)
	return out.String()
}

// torchPickle refers to one storage of four floats.
func torchPickle(elements int) string {
	return "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") +
		"K" + string(rune(elements)) + "tQK\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR."
}

// torchFile is a torch archive; change may alter its parts.
func torchFile(change func(parts []part) []part) string {
	parts := []part{
		{name: "m/data.pkl", data: torchPickle(4)},
		{name: "m/byteorder", data: "little"},
		{name: "m/data/0", data: "\x00\x00\x80?\x00\x00\x80?\x00\x00\x80?\x00\x00\x80?"},
		{name: "m/version", data: "3\n"},
	}
	if change != nil {
		parts = change(parts)
	}
	return zipOf("", "", parts...)
}

func with(more ...part) string { return torchFile(func(p []part) []part { return append(p, more...) }) }

// tarOf writes a tar.
func tarOf(headers ...tar.Header) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		body := h.Xattrs["body"] //nolint:staticcheck // a place to carry the body
		h.Xattrs = nil           //nolint:staticcheck // as above
		h.Size, h.Mode = int64(len(body)), 0o644
		_ = w.WriteHeader(&h)
		_, _ = w.Write([]byte(body))
	}
	_ = w.Close()
	return b.String()
}

func file(name, body string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Xattrs: map[string]string{"body": body}} //nolint:staticcheck // as above
}

// sevenZip writes a 7z of one file with one coder. packed is its data.
func sevenZip(coder, packed string, size int) string {
	le := func(n uint64, bytes int) string { return string(binary.LittleEndian.AppendUint64(nil, n)[:bytes]) }
	sum := func(s string) string { return le(uint64(crc32.ChecksumIEEE([]byte(s))), 4) }
	header := "\x01\x04\x06\x00\x01\x09" + string([]byte{byte(len(packed))}) + "\x00\x07\x0b\x01\x00\x01" + coder + "\x0c" + string([]byte{byte(size)}) + "\x00\x00" +
		"\x05\x01\x11\x05\x00a\x00\x00\x00\x00\x00"
	start := le(uint64(len(packed)), 8) + le(uint64(len(header)), 8) + sum(header)
	return "7z\xbc\xaf\x27\x1c\x00\x04" + sum(start) + start + packed + header
}

// nest puts data into zips in zips.
func nest(data string, depth int) string {
	for range depth {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, _ := w.Create("inner.zip")
		_, _ = f.Write([]byte(data))
		_ = w.Close()
		data = b.String()
	}
	return data
}

func archiveAttacks() []attack {
	const mal, sus, inc = finding.Malicious, finding.Suspicious, finding.Inconclusive
	payload := part{name: "m/data.pkl", data: evil}
	twoEnds := zipOf("", zipOf("", "", payload), part{name: "readme.txt", data: "hi"})
	return []attack{
		{42, "foreign_member_name", "a.zip", zipOf("", "", part{name: "notes.txt", data: evil}), mal, "WW-PICKLE-001"},
		{43, "local_name_differs", "a.pt", zipOf("", "", part{name: "m/data.pkl", local: "m/other.pkl", data: evil}), mal, "WW-ZIP-001"},
		{44, "flag_encrypted", "a.pt", zipOf("", "", part{name: "m/data.pkl", data: evil, flags: 1}), mal, "WW-ZIP-002"},
		{44, "flag_patched", "a.pt", zipOf("", "", part{name: "m/data.pkl", data: evil, flags: 0x20}), mal, "WW-ZIP-002"},
		{44, "flag_strong", "a.pt", zipOf("", "", part{name: "m/data.pkl", data: evil, flags: 0x40, method: 8}), mal, "WW-ZIP-002"},
		{45, "wrong_checksum", "a.pt", zipOf("", "", part{name: "m/data.pkl", data: evil, badCRC: true}), mal, "WW-ZIP-003"},
		{45, "wrong_checksum_of_text", "a.zip", zipOf("", "", part{name: "a.txt", data: "hello", badCRC: true}), sus, "WW-ZIP-003"},
		{46, "twice", "a.pt", zipOf("", "", payload, part{name: "m/data.pkl", data: "\x80\x02}."}), mal, "WW-SCAN-013"},
		{46, "twice_by_case", "a.zip", zipOf("", "", part{name: "a.txt", data: "x"}, part{name: "A.txt", data: "y"}), sus, "WW-SCAN-013"},
		{47, "pickle_in_front", "a.pkl", evil + with(), mal, "WW-SCAN-009"},
		{47, "text_in_front", "a.zip", zipOf("some text\n", "", part{name: "a.txt", data: "x"}), sus, "WW-ZIP-004"},
		{48, "end_in_the_comment", "a.zip", twoEnds, mal, "WW-ZIP-007"},
		{48, "no_end", "a.zip", strings.Split(zipOf("", "", payload), "PK\x01\x02")[0], mal, "WW-ZIP-011"},
		{48, "unlisted_entry", "a.pt", with(part{name: "m/hidden.pkl", data: evil, unlisted: true}), mal, "WW-ZIP-006"},
		{48, "gap", "a.pt", with(part{name: "m/x.txt", data: "x", before: evil + strings.Repeat("z", 80)}), mal, "WW-ZIP-005"},
		{48, "tail", "a.zip", zipOf("", "", part{name: "a.txt", data: "x"}) + "and more", sus, "WW-ZIP-005"},
		{49, "method_differs", "a.zip", zipOf("", "", part{name: "a.pkl", data: evil, localMethod: 8}), mal, "WW-ZIP-001"},
		{49, "unsupported_method", "a.zip", zipOf("", "", part{name: "a.pkl", data: "x", method: 99}), inc, "WW-ZIP-009"},
		{49, "size_lies", "a.zip", zipOf("", "", part{name: "a.txt", data: "x", sized: true}), sus, "WW-ZIP-008"},
		{49, "bomb", "a.zip", zipOf("", "", part{name: "a.txt", data: strings.Repeat(" ", 8_000_000), method: 8}), sus, "WW-SCAN-008"},
		{49, "nested_eight_deep", "a.zip", nest(zipOf("", "", payload), 8), mal, "WW-PICKLE-001"},
		{49, "nested_too_deep", "a.zip", nest(zipOf("", "", part{name: "a.txt", data: "x"}), 14), inc, "WW-SCAN-003"},
		{50, "slip", "a.zip", zipOf("", "", part{name: "../../etc/x.txt", data: "x"}), mal, "WW-SCAN-011"},
		{50, "absolute", "a.zip", zipOf("", "", part{name: "/etc/x.txt", data: "x"}), mal, "WW-SCAN-011"},
		{50, "backslash", "a.zip", zipOf("", "", part{name: `a\..\..\x.txt`, data: "x"}), mal, "WW-SCAN-011"},
		{50, "odd_name", "a.zip", zipOf("", "", part{name: "a\u202etxt.py.txt", data: "x"}), sus, "WW-SCAN-012"},
		{50, "link_that_leads_out", "a.zip", zipOf("", "", part{name: "link", data: "/etc/passwd", mode: 0o120777}), mal, "WW-SCAN-011"},
		{50, "tar_slip", "a.tar", tarOf(file("../x.txt", "x")), mal, "WW-SCAN-011"},
		{50, "tar_device", "a.tar", tarOf(tar.Header{Name: "null", Typeflag: tar.TypeChar}), sus, "WW-SCAN-014"},
		{50, "tar_through_its_link", "a.tar", tarOf(tar.Header{Name: "d", Typeflag: tar.TypeSymlink, Linkname: "elsewhere"}, file("d/x.txt", "x")), mal, "WW-TAR-003"},
		{50, "pickle_in_tar", "a.tar", tarOf(file("x.bin", evil)), mal, "WW-PICKLE-001"},
		{47, "tar_with_a_tail", "a.tar", tarOf(file("x.txt", "x")) + "tail", sus, "WW-TAR-002"},
		{51, "pickle_in_a_storage", "a.pt", torchFile(func(p []part) []part { p[2].data = (evil + "................")[:16]; p[2].data = evil + "."; return p }), mal, "WW-SCAN-015"},
		{51, "unused_storage", "a.pt", with(part{name: "m/data/7", data: "1234"}), sus, "WW-TORCH-003"},
		{52, "pickle_in_7z", "a.7z", sevenZip("\x01\x00", evil, len(evil)), mal, "WW-PICKLE-001"},
		{52, "pickle_in_7z_under_a_torch_name", "pytorch_model.bin", sevenZip("\x21\x21\x01\x18", packed(lzma.NewWriter2, evil), len(evil)), mal, "WW-PICKLE-001"},
		{52, "unknown_coder", "a.7z", sevenZip("\x03\x03\x04\x01", "whatever", 8), inc, "WW-7Z-003"},
		{52, "broken", "a.7z", sevenZip("\x01\x00", evil, len(evil))[:60], inc, "WW-7Z-001"},
		{52, "bytes_behind", "a.7z", sevenZip("\x01\x00", "text", 4) + "and more", sus, "WW-7Z-004"},
		{53, "encrypted_7z", "a.7z", sevenZip("\x04\x06\xf1\x07\x01", "whatever", 8), inc, "WW-7Z-002"},
		{53, "encrypted", "a.zip", zipOf("", "", part{name: "a.txt", data: "\x17\xf2\x91\x00\xaa", flags: 1, badCRC: true}), inc, "WW-ZIP-010"},
		{55, "torchscript_with_effects", "a.pt", with(part{name: "m/constants.pkl", data: "\x80\x02)."}, part{name: "m/code/__torch__.py", data: "def f(self, x):\n  ops.aten.from_file(\"/etc/passwd\")\n"}), sus, "WW-TORCH-006"},
		{55, "torchscript_that_writes_a_file", "a.pt", with(part{name: "m/constants.pkl", data: "\x80\x02)."}, part{name: "m/code/__torch__/x.py", data: "def forward(self, x):\n  ops.aten.save(x, \"/tmp/x\")\n"}), sus, "WW-TORCH-006"},
		{55, "torchscript_that_needs_a_library", "a.pt", with(part{name: "m/constants.pkl", data: "\x80\x02)."}, part{name: "m/code/__torch__/x.py", data: "def forward(self, x):\n  return ops.evil_ops.run(x)\n"}), sus, "WW-TORCH-006"},
		{56, "storage_too_short", "a.pt", torchFile(func(p []part) []part { p[0].data = torchPickle(9); return p }), sus, "WW-TORCH-002"},
		{56, "view_outside", "a.pt", torchFile(func(p []part) []part { p[0].data = torchPickle(3); p[2].data = p[2].data[:12]; return p }), sus, "WW-TORCH-004"},
		{56, "storage_missing", "a.pt", torchFile(func(p []part) []part { return append(p[:2], p[3]) }), sus, "WW-TORCH-001"},
		{36, "payload_in_the_storages_of_a_legacy_tar", "a.pt", tarOf(file("sys_info", "\x80\x02}."), file("pickle", "\x80\x02}."), file("storages", "\x80\x02K\x01."+evil), file("tensors", "\x80\x02K\x00.")), mal, "WW-PICKLE-001"},
		{58, "pickle_among_the_weights_of_pt2", "a.pt2", zipOf("", "", part{name: "m/archive_format", data: "pt2"}, part{name: "m/data/weights/weight_0", data: evil}), mal, "WW-SCAN-015"},
		{58, "kernel_in_pt2", "a.pt2", zipOf("", "", part{name: "m/archive_format", data: "pt2"}, part{name: "m/data/aotinductor/model/k.cubin", data: "text"}), mal, "WW-TORCH-007"},
		{58, "native_code_in_pt2", "a.pt2", zipOf("", "", part{name: "m/archive_format", data: "pt2"}, part{name: "m/data/aotinductor/model/x.so", data: "\x7fELF" + strings.Repeat("\x00", 80)}), mal, "WW-TORCH-007"},
	}
}
