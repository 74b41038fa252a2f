package artifact

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"
	"unicode/utf8"
)

// Format is what the content of a file is, judged by its first bytes.
type Format string

// The formats that [Sniff] tells apart.
const (
	Unknown     Format = "unknown"
	Pickle      Format = "pickle"
	Torch       Format = "torch"
	Zip         Format = "zip"
	Safetensors Format = "safetensors"
	GGUF        Format = "gguf"
	HDF5        Format = "hdf5"
	NumPy       Format = "numpy"
	Native      Format = "native code"
	Script      Format = "script"
	Python      Format = "python source"
	Text        Format = "text"
)

// SniffLength is how many bytes from the start of a file [Sniff] wants.
const SniffLength = 4096

// signatures are the formats that begin with fixed bytes. What could begin a
// text as well needs a NUL among the next ones, which both headers have.
var signatures = []struct {
	format Format
	magic  string
	binary bool
}{
	{GGUF, "GGUF", true},
	{HDF5, "\x89HDF\r\n\x1a\n", false},
	{NumPy, "\x93NUMPY", false},
	{Native, "\x7fELF", false},
	{Native, "MZ", true},
	{Native, "\xfe\xed\xfa\xce", false},
	{Native, "\xfe\xed\xfa\xcf", false},
	{Native, "\xce\xfa\xed\xfe", false},
	{Native, "\xcf\xfa\xed\xfe", false},
	{Native, "\xca\xfe\xba\xbe", false},
	{Script, "#!", false},
}

// Sniff judges content by its first [SniffLength] bytes; the name only decides
// what bytes cannot: source code is text like any other. size is that of the
// whole file. It knows the obvious kinds and no more; Unknown means just that.
func Sniff(name string, head []byte, size int64) Format {
	head = head[:min(len(head), SniffLength)]
	for _, s := range signatures {
		if rest, ok := bytes.CutPrefix(head, []byte(s.magic)); ok && (!s.binary || hasNUL(rest)) {
			return s.format
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")) && bytes.Contains(head, []byte("data.pkl")):
		return Torch
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return Zip
	case isSafetensors(head, size):
		return Safetensors
	case isPickle(head):
		return Pickle
	}
	return sniffText(name, head)
}

// hasNUL looks where the headers of [signatures] end at the latest.
func hasNUL(b []byte) bool { return bytes.IndexByte(b[:min(len(b), 62)], 0) >= 0 }

// isSafetensors wants the length of the header, which fits into the file, and
// the brace that opens it.
func isSafetensors(head []byte, size int64) bool {
	if len(head) < 9 || head[8] != '{' {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	return n >= 2 && size >= 8 && n <= uint64(size-8)
}

// isPickle knows protocol 2 to 5 by their first opcode, and protocol 0 and 1
// by an opcode that imports or builds something right at the start.
func isPickle(head []byte) bool {
	if len(head) >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 {
		return true
	}
	if len(head) < 4 || !strings.ContainsRune("c(]}", rune(head[0])) {
		return false
	}
	if bytes.HasPrefix(head, []byte("(lp")) || bytes.HasPrefix(head, []byte("(dp")) {
		return true
	}
	// GLOBAL is "c", a module, a newline, a name, a newline.
	at := bytes.IndexByte(head, 'c')
	if at < 0 || at > 16 {
		return false
	}
	lines := bytes.SplitN(head[at+1:], []byte("\n"), 3)
	return len(lines) == 3 && dotted(lines[0]) && dotted(lines[1]) && follows(lines[2])
}

// follows reports whether b can go on behind a GLOBAL. A list of words, one a
// line, looks like one up to here.
func follows(b []byte) bool {
	switch {
	case len(b) == 0:
		return true
	case b[0] == 'p':
		return len(b) > 1 && b[1] >= '0' && b[1] <= '9'
	case b[0] == 'q' || b[0] == 'r':
		return len(b) > 1 && (b[1] < 'A' || b[1] > 'z')
	case b[0] == 'c':
		lines := bytes.SplitN(b, []byte("\n"), 3)
		return len(lines) == 3 && bytes.IndexByte(lines[0], '.') < 0 && strings.ContainsRune("(.)", rune(append(lines[2], 0)[0]))
	}
	return strings.ContainsRune("().SVILFNKMJXUTG]}02", rune(b[0]))
}

func dotted(b []byte) bool {
	for _, c := range b {
		if c != '.' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return len(b) > 0
}

// nameFormats are the formats that only the name tells.
var nameFormats = map[string]Format{
	".py": Python, ".pyw": Python, ".pth": Python, ".sh": Script, ".bash": Script, ".ps1": Script, ".bat": Script, ".cmd": Script,
}

func sniffText(name string, head []byte) Format {
	if bytes.IndexByte(head, 0) >= 0 {
		return Unknown
	}
	if f, ok := nameFormats[strings.ToLower(path.Ext(name))]; ok {
		return f
	}
	for _, c := range head {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' {
			return Unknown
		}
	}
	if !utf8.Valid(wholeRunes(head)) {
		return Unknown
	}
	return Text
}

// wholeRunes drops the start of a character that the end of head cut off.
func wholeRunes(head []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(head); n++ {
		if start := len(head) - n; utf8.RuneStart(head[start]) {
			if !utf8.FullRune(head[start:]) {
				return head[:start]
			}
			break
		}
	}
	return head
}

// extensions says which formats a name promises. Names that promise nothing
// are not in it.
var extensions = map[string][]Format{
	".safetensors": {Safetensors},
	".gguf":        {GGUF},
	".h5":          {HDF5},
	".hdf5":        {HDF5},
	".npy":         {NumPy},
	".npz":         {Zip},
	".json":        {Text},
	".txt":         {Text},
	".md":          {Text},
	".yaml":        {Text},
	".yml":         {Text},
}

// Promised returns the formats that a file of this name should have, or nil
// when the name promises nothing.
func Promised(name string) []Format { return extensions[strings.ToLower(path.Ext(name))] }
