// Package torch judges what makes a zip a torch archive: whether the storages
// that its pickle refers to are there and as large as it says, whether there
// are others, and what code comes with it. Pickles and the zip have their own
// detectors; the numbers in the storages are not looked at.
package torch

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/pickle"
	layouts "github.com/weightwarden/weightwarden/internal/format/torch"
	"github.com/weightwarden/weightwarden/internal/format/zip"
)

// Detector judges torch archives.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleMissing = "WW-TORCH-001"
	ruleSize    = "WW-TORCH-002"
	ruleExtra   = "WW-TORCH-003"
	ruleView    = "WW-TORCH-004"
	ruleOperate = "WW-TORCH-006"
	ruleNative  = "WW-TORCH-007"
	ruleUnread  = "WW-TORCH-008"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Find out how the file was made. Save the model again from a source that verifies."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0076"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	sus := finding.Suspicious
	return detect.Info{
		Name: "torch", Formats: []artifact.Format{artifact.Torch, artifact.TorchPT},
		Rules: []detect.Rule{
			rule(ruleMissing, "a storage is missing", finding.Medium, sus, "The pickle refers to a storage that the archive does not have.", "Nothing known.", 56),
			rule(ruleSize, "a storage of another size", finding.High, sus, "A storage has fewer or more bytes than its elements take. Loaders have read beyond the end (CVE-2026-24747).", "Nothing known.", 56),
			rule(ruleExtra, "a storage that nothing refers to", finding.Medium, sus, "The archive has a storage that no tensor uses: a place to hide something in.", "Bytes in storages that are used.", 51),
			rule(ruleView, "a tensor outside of its storage", finding.High, sus, "Offset, size and stride of a tensor reach beyond its storage, or are negative.", "Tensors that are rebuilt by other functions than the usual ones.", 56),
			rule(ruleOperate, "TorchScript with effects", finding.High, sus, "The program uses an operator that reads or writes files, or one that needs native code.", "Operators behind custom libraries.", 55),
			rule(ruleNative, "native code in a torch archive", finding.Critical, finding.Malicious, "The archive holds compiled code, which is loaded with the model. AOTInductor makes such archives by design; they have to be allowed explicitly, by verifying who made them.", "Nothing known.", 58),
			rule(ruleUnread, "torch archive whose storages were not compared", finding.Medium, finding.Inconclusive, "The pickle that refers to the storages could not be read to its end.", "Everything about the storages.", 33),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	a, err := zip.Read(in.Data, in.Data.Size(), zip.Limits{})
	if err != nil && !errors.Is(err, zip.ErrMalformed) && !errors.Is(err, zip.ErrLimit) {
		return err
	}
	names := make([]string, 0, len(a.Entries))
	for i := range a.Entries {
		names = append(names, a.Entries[i].Central.Name)
	}
	x := &examiner{ctx: ctx, out: out, a: a}
	var ok bool
	if x.layout, ok = layouts.LayoutOf(names); ok && in.Format == artifact.Torch {
		if err := x.storages(); err != nil {
			return err
		}
	}
	for i := range a.Entries {
		if err := x.code(&a.Entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// examiner is one archive.
type examiner struct {
	ctx    context.Context //nolint:containedctx // lives as long as one Detect
	out    detect.Sink
	a      *zip.Archive
	layout layouts.Layout
	wanted map[string]storage
	viewed bool
}

// storage is what a persistent id asks for.
type storage struct{ bytes int64 }

func (x *examiner) hit(rule string, e *zip.Entry, text string, args ...any) {
	h := detect.Hit{Rule: rule, Offset: -1, Summary: fmt.Sprintf(text, args...)}
	if e != nil {
		h.Offset, h.Node = e.Data, e.Central.Name
	}
	x.out.Hit(h)
}

// maxPickle is how much of a compressed pickle is unpacked to compare
// storages.
const maxPickle = 64 << 20

// open makes an entry readable at random.
func (x *examiner) open(e *zip.Entry) (*io.SectionReader, error) {
	section := x.a.Section(e)
	if e.Central.Method != zip.Deflated {
		return section, nil
	}
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(section), maxPickle))
	if x.ctx.Err() != nil {
		return nil, context.Cause(x.ctx)
	}
	if err != nil {
		err = nil // the scanner reports it when it unpacks the member
	}
	return io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), err
}

// storages compares what the pickles ask for with what there is.
func (x *examiner) storages() error {
	x.wanted = map[string]storage{}
	for i := range x.a.Entries {
		e := &x.a.Entries[i]
		if e.Central.Name != x.layout.Root+"data.pkl" && e.Central.Name != x.layout.Root+"constants.pkl" {
			continue
		}
		data, err := x.open(e)
		if err != nil {
			return err
		}
		prefix := ""
		if strings.HasSuffix(e.Central.Name, "constants.pkl") {
			prefix = "constants/"
		}
		r, err := pickle.Run(data, 0, data.Size(), pickle.Limits{}, func(m *pickle.Machine, ev *pickle.Event) error { return x.event(m, ev, prefix) })
		if err != nil {
			return err
		}
		if !r.Stopped {
			x.hit(ruleUnread, e, "the storages could not be compared: %v", r.Err)
			return nil
		}
	}
	return x.compare()
}

// event collects storages and looks at views.
func (x *examiner) event(m *pickle.Machine, e *pickle.Event, prefix string) error {
	switch e.Kind {
	case pickle.PersistentID:
		key, st, ok := storageOf(m, e.Args)
		if ok {
			x.wanted[prefix+key] = st
		}
	case pickle.Call:
		if id := e.Callee.GlobalID(); id >= 0 && strings.HasPrefix(m.Global(id).Name, "_rebuild_tensor") && !x.viewed && outside(m, m.Items(e.Args)) {
			x.viewed = true
			x.out.Hit(detect.Hit{Rule: ruleView, Offset: -1, Name: m.Global(id).Name, Summary: fmt.Sprintf("a tensor that data.pkl rebuilds at %d lies outside of its storage", e.Offset)})
		}
	default:
	}
	return x.ctx.Err()
}

// storageOf reads ("storage", class, key, location, elements).
func storageOf(m *pickle.Machine, id pickle.Value) (key string, st storage, ok bool) {
	parts := m.Items(id)
	if len(parts) < 5 || parts[1].GlobalID() < 0 || parts[4].Kind() != pickle.Int {
		return "", storage{}, false
	}
	text, ok, err := m.Text(parts[2], 1<<10)
	width, known := layouts.ElementSize(m.Global(parts[1].GlobalID()).Name)
	n := parts[4].Int()
	if err != nil || !ok || !known || n < 0 || n > (1<<62)/width {
		return "", storage{}, false
	}
	return string(text), storage{n * width}, true
}

// outside reports whether (storage, offset, size, stride, …) reaches beyond
// the storage. Arguments of other forms are somebody else's.
func outside(m *pickle.Machine, args []pickle.Value) bool {
	if len(args) < 4 || args[0].Kind() != pickle.Persistent || args[1].Kind() != pickle.Int {
		return false
	}
	made := m.Items(args[0])
	parts := m.Items(made[0])
	if len(parts) < 5 || parts[4].Kind() != pickle.Int {
		return false
	}
	size, stride := m.Items(args[2]), m.Items(args[3])
	last := args[1].Int()
	if len(size) != len(stride) || last < 0 {
		return true
	}
	for i := range size {
		n, step := size[i].Int(), stride[i].Int()
		if n == 0 {
			return false
		}
		if n < 0 || step < 0 || step > 0 && n-1 > (1<<62-last)/step {
			return true
		}
		last += (n - 1) * step
	}
	return last >= parts[4].Int()
}

// compare reports storages that are missing, of another size, or unused.
func (x *examiner) compare() error {
	there := map[string]*zip.Entry{}
	for i := range x.a.Entries {
		e := &x.a.Entries[i]
		key, ok := x.layout.Storage(e.Central.Name)
		if !ok {
			continue
		}
		there[key] = e
		if _, used := x.wanted[key]; !used {
			x.hit(ruleExtra, e, "nothing refers to the storage %.80q", key)
		}
	}
	keys := make([]string, 0, len(x.wanted))
	for key := range x.wanted {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		e, want := there[key], x.wanted[key].bytes
		switch {
		case e == nil && want > 0:
			x.hit(ruleMissing, nil, "the storage %.80q is missing", key)
		case e != nil && e.Central.Size < want:
			x.hit(ruleSize, e, "the storage %.80q has %d bytes, its elements take %d", key, e.Central.Size, want)
		case e != nil && e.Central.Size > want:
			x.hit(ruleSize, e, "the storage %.80q has %d bytes, its elements take only %d", key, e.Central.Size, want)
		}
	}
	return nil
}

// effects are calls of TorchScript that reach files or native code, beside
// operators.
var effects = []string{"aten::save", "aten::from_file", "prim::PythonOp", "torch.from_file", "torch.save", "torch.load", "torch.classes."}

// operator finds ops.NAMESPACE.NAME, the way code in an archive spells
// operators that are not of the module torch.
var operator = regexp.MustCompile(`\bops\.([A-Za-z_]\w*)\.([A-Za-z_]\w*)`)

// namespaces are those of operators that come with torch and its siblings.
var namespaces = []string{
	"aten", "prim", "quantized", "_quantized", "quantized_decomposed", "sparse", "mkldnn", "mkldnn_prepacked", "prepacked", "xnnpack",
	"static_runtime", "profiler", "inductor", "torchvision", "torchaudio", "c10d", "c10d_functional", "_c10d_functional", "higher_order",
}

// reaching are operators of known namespaces that reach files or Python.
var reaching = []string{"aten.save", "aten.from_file", "aten.load", "prim.PythonOp"}

// operators reports what a program uses that has effects, or needs a library.
func (x *examiner) operators(name string, text []byte) {
	told := map[string]bool{}
	tell := func(op string, at int, how string) {
		if told[op] {
			return
		}
		told[op] = true
		x.out.Hit(detect.Hit{
			Rule: ruleOperate, Offset: -1, Name: op, Node: name, Evidence: text[at:min(at+64, len(text))],
			Summary: fmt.Sprintf("the program in %.80q uses %.80s%s", name, op, how),
		})
	}
	for _, op := range effects {
		if at := bytes.Index(text, []byte(op)); at >= 0 {
			tell(op, at, "")
		}
	}
	for _, m := range operator.FindAllSubmatchIndex(text, -1) {
		space, op := string(text[m[2]:m[3]]), string(text[m[2]:m[5]])
		switch {
		case slices.Contains(reaching, op):
			tell("ops."+op, m[0], "")
		case !slices.Contains(namespaces, space):
			tell("ops."+space, m[0], ", operators that a native library brings")
		}
	}
}

// maxCode is how much of a file of code is looked at.
const maxCode = 8 << 20

// code looks at what is no data.
func (x *examiner) code(e *zip.Entry) error {
	name := e.Central.Name
	lower := strings.ToLower(name)
	if slices.ContainsFunc([]string{".so", ".dll", ".dylib", ".pyd", ".cubin", ".fatbin", ".ptx", ".o", ".a", ".hsaco", ".spv"}, func(s string) bool { return strings.HasSuffix(lower, s) }) {
		x.hit(ruleNative, e, "the member %.80q is native code", name)
	}
	if !x.layout.Code(name) {
		return nil
	}
	data, err := x.open(e)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(data, maxCode))
	if err != nil {
		return err
	}
	x.operators(name, text)
	if strings.HasSuffix(name, "__torch__.py") || len(text) > 0 && !x.viewed {
		x.out.Fact("is a TorchScript archive: torch up to 2.5.1 runs its program also with weights_only")
	}
	return nil
}
