package sniff

import (
	"bytes"
	"encoding/binary"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/format/pickle"
	"github.com/weightwarden/weightwarden/internal/format/torch"
	"github.com/weightwarden/weightwarden/internal/format/xgboost"
)

// kind is one row of the table.
type kind struct {
	format artifact.Format
	// within makes it a special form of another format, which stands before
	// it in the table.
	within artifact.Format
	// weak kinds are asked only when no kind before them matched.
	weak  bool
	match func(*probe) bool
}

// kinds is asked from top to bottom. The first match is the likeliest reading;
// all matches of strong kinds count.
var kinds = []kind{
	{format: artifact.GGUF, match: magic("GGUF")},
	{format: artifact.GGML, match: magic("lmgg", "fmgg", "tjgg", "algg", "nsgg")},
	{format: artifact.NumPy, match: magic("\x93NUMPY")},
	{format: artifact.HDF5, match: isHDF5},
	{format: artifact.Checkpoint, match: isCheckpoint},
	{format: artifact.RData, match: magic("RDX2\n", "RDX3\n", "RDB2\n", "RDB3\n", "RDA2\n", "RDA3\n", "X\n\x00\x00\x00\x02", "X\n\x00\x00\x00\x03", "B\n\x02\x00\x00\x00", "B\n\x03\x00\x00\x00")},
	{format: artifact.TFLite, match: magicAt(4, "TFL3")},
	{format: artifact.TensorRT, match: magic("ftrt", "ptrt")},
	{format: artifact.SevenZip, match: magic("7z\xbc\xaf\x27\x1c")},
	{format: artifact.Rar, match: magic("Rar!\x1a\x07")},
	{format: artifact.Gzip, match: magic("\x1f\x8b")},
	{format: artifact.Bzip2, match: isBzip2},
	{format: artifact.XZ, match: magic("\xfd7zXZ\x00")},
	{format: artifact.LZ4, match: magic("\x04\x22\x4d\x18")},
	{format: artifact.Zstd, match: magic("\x28\xb5\x2f\xfd")},
	{format: artifact.ZFile, match: magic("ZF0x")},
	{format: artifact.Native, match: isNative},
	{format: artifact.Image, match: magic("\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "GIF8")},
	{format: artifact.TorchLegacy, match: isTorchLegacy},
	{format: artifact.Pickle, match: isPickle},
	{format: artifact.Tar, match: isTar},
	{format: artifact.Zip, match: isZip},
	{format: artifact.Safetensors, match: isSafetensors},

	{format: artifact.TorchPT, within: artifact.Zip, match: hasMember("archive_format", "data/aotinductor/")},
	{format: artifact.Torch, within: artifact.Zip, match: hasMember("data.pkl")},
	{format: artifact.Skops, within: artifact.Zip, match: hasMember("schema.json")},
	{format: artifact.Keras, within: artifact.Zip, match: isKeras},
	{format: artifact.NPZ, within: artifact.Zip, match: named(".npz")},

	// From here on what has no signature, and names.
	{format: artifact.ONNX, weak: true, match: isONNX},
	{format: artifact.SavedModel, weak: true, match: isSavedModel},
	{format: artifact.MetaGraph, weak: true, match: isMetaGraph},
	{format: artifact.GraphDef, weak: true, match: isGraphDef},
	{format: artifact.XGBoost, weak: true, match: func(p *probe) bool { return xgboost.Looks(p.head) }},
	{format: artifact.KerasMetadata, weak: true, match: isKerasMetadata},
	{format: artifact.Fingerprint, weak: true, match: isFingerprint},
	{format: artifact.Zlib, weak: true, match: isZlib},
	{format: artifact.LZMA, weak: true, match: isLZMA},
	{format: artifact.Bytecode, weak: true, match: isBytecode},
	{format: artifact.Script, weak: true, match: isScript},
	{format: artifact.Python, weak: true, match: isTextNamed(".py", ".pyw", ".pyi", ".pth")},
	{format: artifact.Notebook, weak: true, match: isTextNamed(".ipynb")},
	{format: artifact.Template, weak: true, match: isTextNamed(".jinja", ".jinja2", ".j2")},
	{format: artifact.Template, weak: true, match: isTemplate},
	{format: artifact.XML, weak: true, match: isXML},
	{format: artifact.YAML, weak: true, match: isYAML},
	{format: artifact.TensorIndex, weak: true, match: isTensorIndex},
	{format: artifact.JSON, weak: true, match: isJSON},
	{format: artifact.Text, weak: true, match: isText},
	{format: artifact.ExternalData, weak: true, match: isExternalData},
}

func magic(prefixes ...string) func(*probe) bool { return magicAt(0, prefixes...) }

func magicAt(at int, prefixes ...string) func(*probe) bool {
	return func(p *probe) bool {
		return len(p.head) > at && slices.ContainsFunc(prefixes, func(m string) bool { return bytes.HasPrefix(p.head[at:], []byte(m)) })
	}
}

func named(suffixes ...string) func(*probe) bool {
	return func(p *probe) bool { return slices.Contains(suffixes, strings.ToLower(path.Ext(p.name))) }
}

func isTextNamed(suffixes ...string) func(*probe) bool {
	return func(p *probe) bool { return named(suffixes...)(p) && isText(p) }
}

// isHDF5 looks at the start and behind user blocks of 512, 1024 … bytes.
func isHDF5(p *probe) bool {
	const sign = "\x89HDF\r\n\x1a\n"
	if magic(sign)(p) {
		return true
	}
	buf := make([]byte, len(sign))
	for at := int64(512); at+8 <= p.size && at <= 1<<20; at *= 2 {
		switch {
		case at+8 <= int64(len(p.head)):
			copy(buf, p.head[at:])
		case p.data == nil:
			return false
		default:
			if _, err := p.data.ReadAt(buf, at); err != nil {
				return false
			}
		}
		if string(buf) == sign {
			return true
		}
	}
	return false
}

func isBzip2(p *probe) bool {
	return len(p.head) > 4 && string(p.head[:3]) == "BZh" && p.head[3] >= '1' && p.head[3] <= '9'
}

func isNative(p *probe) bool {
	if magic("\x7fELF", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", "\x00asm", "dex\n03", "\x1bLua", "BC\xc0\xde")(p) {
		return true
	}
	// Two letters alone begin many a text.
	return magic("MZ")(p) && len(p.head) >= 64 && !isText(p)
}

// isTorchLegacy knows the first of the pickles that torch.save wrote before it
// wrote archives: the number 0x1950a86a20f9469cfc6c.
func isTorchLegacy(p *probe) bool {
	return magicAt(2, torch.Magic)(p)
}

// isPickle is stricter where the bytes are something else already: any bytes
// can happen to be a few opcodes.
func isPickle(p *probe) bool {
	if p.strong || magic("PK\x03\x04", "PK\x05\x06")(p) {
		return pickle.Imports(p.head)
	}
	return !isTorchLegacy(p) && pickle.Looks(p.head, p.size)
}

// isTar wants the signature, or the checksum of a header from before there was
// one.
func isTar(p *probe) bool {
	const block = 512
	if len(p.head) < block {
		return false
	}
	if string(p.head[257:262]) == "ustar" {
		return true
	}
	var sum, want int
	for n, c := range p.head[:block] {
		if n >= 148 && n < 156 {
			c = ' '
		}
		sum += int(c)
	}
	field := strings.Trim(string(p.head[148:156]), " \x00")
	for _, c := range field {
		if c < '0' || c > '7' {
			return false
		}
		want = want*8 + int(c-'0')
	}
	return field != "" && sum == want && p.head[0] != 0
}

// isZip also accepts a directory at the end with anything in front, because
// loaders do.
func isZip(p *probe) bool {
	if magic("PK\x03\x04", "PK\x05\x06", "PK\x07\x08")(p) {
		return true
	}
	tail := p.tail()
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || len(tail)-at < 22 || !bytes.Contains(tail, []byte("PK\x01\x02")) {
		return false
	}
	// The last member of a tar may be a zip: that is no zip at the end.
	return !isTar(p) || len(tail)-at == 22+int(binary.LittleEndian.Uint16(tail[at+20:]))
}

// hasMember reports whether a name that ends so, or begins so below the first
// folder, stands in the start or the end of a zip.
func hasMember(names ...string) func(*probe) bool {
	return func(p *probe) bool {
		return slices.ContainsFunc(names, func(n string) bool {
			return bytes.Contains(p.head, []byte(n)) || bytes.Contains(p.tail(), []byte(n))
		})
	}
}

func isKeras(p *probe) bool {
	return named(".keras")(p) || hasMember("metadata.json")(p) && hasMember("config.json")(p)
}

// isSafetensors wants the length of the header, which fits into the file, and
// the brace that opens it; under its own name a file is one whatever it holds.
func isSafetensors(p *probe) bool {
	if named(".safetensors")(p) {
		return true
	}
	if len(p.head) < 9 || p.head[8] != '{' || p.size < 8 {
		return false
	}
	n := binary.LittleEndian.Uint64(p.head)
	return n >= 2 && n <= uint64(p.size-8)
}

// isTensorIndex knows the index of a model in several files by its name.
func isTensorIndex(p *probe) bool {
	return strings.HasSuffix(strings.ToLower(p.name), ".safetensors.index.json") && isText(p)
}

func isZlib(p *probe) bool {
	return len(p.head) > 6 && p.head[0] == 0x78 && (int(p.head[0])<<8+int(p.head[1]))%31 == 0 && p.head[1]&0x20 == 0
}

func isLZMA(p *probe) bool {
	if !magic("\x5d\x00\x00")(p) || len(p.head) < 14 {
		return false
	}
	dictionary := binary.LittleEndian.Uint32(p.head[1:])
	return dictionary >= 1<<12 && dictionary&(dictionary-1) == 0 && p.head[13] == 0
}

func isBytecode(p *probe) bool {
	return len(p.head) > 16 && p.head[2] == '\r' && p.head[3] == '\n' && (p.head[16] == 0xe3 || p.head[8] == 'c' || p.head[12] == 0xe3)
}

func isScript(p *probe) bool {
	return magic("#!")(p) && !named(".py", ".pyw", ".pth")(p) || isTextNamed(".sh", ".bash", ".ps1", ".bat", ".cmd")(p)
}

// isTemplate knows a template of Jinja by how it begins: neither JSON nor any
// other text begins so.
func isTemplate(p *probe) bool {
	body := bytes.TrimLeft(p.head, " \t\r\n")
	return len(body) > 1 && body[0] == '{' && (body[1] == '%' || body[1] == '{' || body[1] == '#') && isText(p)
}

func isXML(p *probe) bool {
	if !isText(p) {
		return false
	}
	body := bytes.TrimLeft(bytes.TrimPrefix(p.head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return bytes.HasPrefix(body, []byte("<?xml")) || bytes.HasPrefix(body, []byte("<!DOCTYPE")) && !bytes.HasPrefix(bytes.ToLower(body), []byte("<!doctype html")) || named(".xml", ".pmml")(p)
}

// isYAML goes by the name, and by tags of Python, which nothing else has.
func isYAML(p *probe) bool {
	named := isTextNamed(".yaml", ".yml")(p) || path.Base(p.name) == "MLmodel" && isText(p)
	return named || bytes.Contains(p.head, []byte("!!python/")) && isText(p)
}

// isJSON goes by the first character; under its own name a text is JSON
// however much white space it begins with.
func isJSON(p *probe) bool {
	body := bytes.TrimLeft(bytes.TrimPrefix(p.head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(body) == 0 {
		return isText(p) && named(".json")(p)
	}
	return isText(p) && (body[0] == '{' || named(".json")(p))
}

// isText wants UTF-8 without control characters in the whole head. Text that
// stops to be text further on is for the reader of texts to notice.
func isText(p *probe) bool {
	head := p.head
	if int64(len(head)) < p.size { // the last character may be cut
		for n := 0; n < utf8.UTFMax-1 && len(head) > 0 && !utf8.RuneStart(head[len(head)-1]); n++ {
			head = head[:len(head)-1]
		}
		if len(head) > 0 && head[len(head)-1] >= utf8.RuneSelf {
			head = head[:len(head)-1]
		}
	}
	for _, c := range head {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' {
			return false
		}
	}
	return utf8.Valid(head)
}
