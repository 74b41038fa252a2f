// Package native accounts for compiled programs and libraries: ELF, PE,
// Mach-O, Java classes, Dalvik, WebAssembly, Lua and LLVM bitcode. No
// instruction is decoded: that there is native code, and where, is all that is
// said.
package native

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// Detector accounts for native code.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleBeside   = "WW-NATIVE-001"
	ruleDisguise = "WW-NATIVE-002"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Do not load or run it. Find out where it comes from, and verify its signature against who made it."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0011.000"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	formats := []artifact.Format{artifact.Native}
	return detect.Info{
		Name: "native", Formats: formats, Covers: formats,
		Rules: []detect.Rule{
			rule(ruleBeside, "native code beside weights", finding.High, finding.Suspicious, "There is a compiled program or library in the model. Loaders of plugins and custom operators load such files.", "What the code does.", 88),
			rule(ruleDisguise, "native code under another name", finding.Critical, finding.Malicious, "A compiled program or library has a name that promises weights, text or nothing. One whose header no system would accept is suspicious.", "What the code does.", 88),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	head := make([]byte, min(64, in.Data.Size()))
	if _, err := io.ReadFull(in.Data, head); err != nil {
		return err
	}
	h := detect.Hit{Rule: ruleBeside, Summary: "is " + kindOf(head), Evidence: head[:min(16, len(head))]}
	if !honest(in) {
		h.Rule, h.Summary = ruleDisguise, fmt.Sprintf("%.80q is %s", path.Base(in.Name), kindOf(head))
		if !runnable(head) {
			h.Severity, h.Verdict = finding.High, finding.Suspicious
			h.Summary = fmt.Sprintf("%.80q begins like %s, and no system would run it", path.Base(in.Name), kindOf(head))
		}
	}
	out.Hit(h)
	return ctx.Err()
}

var kinds = []struct{ magic, kind string }{
	{"\x7fELF", "an ELF program or library"},
	{"MZ", "a program or library for Windows"},
	{"\x00asm", "WebAssembly"},
	{"dex\n", "Dalvik code"},
	{"\x1bLua", "compiled Lua"},
	{"BC\xc0\xde", "LLVM bitcode"},
	{"\xca\xfe\xba\xbe", "a Java class or a universal Mach-O"},
}

func kindOf(head []byte) string {
	for _, k := range kinds {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.kind
		}
	}
	return "a Mach-O program or library"
}

// runnable reports whether the header of an ELF is one that a system accepts.
// Of other programs the signature is all that is asked.
func runnable(head []byte) bool {
	if !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return true
	}
	if len(head) < 52 || head[4] < 1 || head[4] > 2 || head[5] < 1 || head[5] > 2 || head[6] != 1 {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	kind, version := order.Uint16(head[16:]), order.Uint32(head[20:])
	return kind >= 1 && kind <= 4 && version == 1
}

// extensions are what native code is called honestly.
var extensions = []string{
	".so", ".dll", ".dylib", ".exe", ".pyd", ".o", ".a", ".obj", ".lib", ".node", ".wasm", ".class", ".dex", ".cubin", ".hsaco", ".ko", ".elf", ".out",
	".luac", ".bc", ".llamafile", ".com", ".sys", ".bundle",
}

// honest reports whether the name says what it is: by its extension, with or
// without a version behind it, or, of a file, by having none at all.
func honest(in detect.Input) bool {
	base := strings.ToLower(path.Base(in.Name))
	ext := path.Ext(base)
	return slices.Contains(extensions, ext) || strings.Contains(base, ".so.") || ext == "" && in.Depth == 0
}
