// Package xml accounts for XML: PMML, OpenVINO and other models that are
// written so. What readers of XML fetch or expand is found, and layers of
// OpenVINO that need libraries. What the model computes is not looked at.
package xml

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// Detector accounts for XML.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleEntity    = "WW-XML-001"
	ruleDoctype   = "WW-XML-002"
	ruleInclude   = "WW-XML-003"
	ruleExtension = "WW-XML-004"
	ruleUnread    = "WW-XML-005"
	ruleScript    = "WW-XML-006"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Do not load the file. Compare it with the version that was deployed before."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0011.000"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	mal, sus, inc := finding.Malicious, finding.Suspicious, finding.Inconclusive
	formats := []artifact.Format{artifact.XML}
	return detect.Info{
		Name: "xml", Formats: formats, Covers: formats,
		Rules: []detect.Rule{
			rule(ruleEntity, "an external entity", finding.Critical, mal, "The document declares an entity or a document type whose text is a file or an address. Readers that resolve it send files of the host elsewhere, or fetch from the network.", "Nothing known.", 86),
			rule(ruleDoctype, "a document type in a model", finding.Medium, sus, "Models have no document type of their own. Entities that are declared in it can expand to any size.", "How large they become.", 86),
			rule(ruleInclude, "XML that includes other files", finding.High, mal, "An include, or a stylesheet, is fetched when the document is processed.", "Nothing known.", 86),
			rule(ruleExtension, "a layer that needs a library", finding.High, sus, "An OpenVINO layer is of no operation set that comes with it, so that a library has to be loaded for it.", "What the library does.", 86),
			rule(ruleScript, "a script in a model", finding.High, sus, "An element or attribute holds a program, or names a library or a class to load.", "Programs under names that nobody knows.", 86),
			rule(ruleUnread, "XML that is not understood", finding.Medium, inc, "The document is malformed, in an encoding that is not read, or larger than the limits.", "Everything behind the place."),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	x := &examiner{out: out}
	r := &failing{r: in.Data}
	x.d = xml.NewDecoder(io.LimitReader(r, maxBytes))
	x.d.CharsetReader = latin
	for ctx.Err() == nil {
		x.at = x.d.InputOffset()
		token, err := x.d.RawToken()
		if r.err != nil {
			return r.err
		}
		if errors.Is(err, io.EOF) {
			x.end(in.Data.Size())
			return nil
		}
		if err != nil {
			x.hit(ruleUnread, "", nil, "not understood: %.120v", err)
			return nil
		}
		if !x.token(token) {
			return nil
		}
	}
	return ctx.Err()
}

const (
	maxBytes = 32 << 20
	maxDepth = 1000
)

// failing keeps the error of reading apart from those of the text.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// latin reads the encodings in which each byte is a character of its own.
func latin(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii":
		return in, nil
	case "iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252":
		return &widening{in: in}, nil
	}
	return nil, fmt.Errorf("encoding %.40q is not read", label)
}

// widening turns Latin-1 into UTF-8.
type widening struct {
	in   io.Reader
	left []byte
}

func (w *widening) Read(p []byte) (int, error) {
	if len(w.left) == 0 {
		var raw [512]byte
		n, err := w.in.Read(raw[:])
		for _, c := range raw[:n] {
			w.left = append(w.left, string(rune(c))...)
		}
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, w.left)
	w.left = w.left[n:]
	return n, nil
}

// examiner is one document.
type examiner struct {
	d     *xml.Decoder
	out   detect.Sink
	at    int64
	open  []string
	root  string
	roots int
}

func (x *examiner) hit(rule, name string, evidence []byte, text string, args ...any) {
	x.out.Hit(detect.Hit{Rule: rule, Offset: x.at, Name: name, Evidence: evidence, Node: strings.Join(x.open[:min(len(x.open), 8)], "/"), Summary: fmt.Sprintf(text, args...)})
}

// token takes one token and reports whether to go on.
func (x *examiner) token(token xml.Token) bool {
	switch t := token.(type) {
	case xml.Directive:
		x.directive(string(t))
	case xml.ProcInst:
		if t.Target == "xml-stylesheet" {
			x.hit(ruleInclude, t.Target, t.Inst, "the stylesheet %.120q is fetched", t.Inst)
		}
	case xml.StartElement:
		if len(x.open) >= maxDepth {
			x.hit(ruleUnread, "", nil, "nested deeper than %d", maxDepth)
			return false
		}
		if len(x.open) == 0 {
			x.root = t.Name.Local
			x.roots++
		}
		x.open = append(x.open, t.Name.Local)
		x.element(t)
	case xml.EndElement:
		if len(x.open) == 0 || x.open[len(x.open)-1] != t.Name.Local {
			x.hit(ruleUnread, "", nil, "the element %.80q ends and is not open", t.Name.Local)
			return false
		}
		x.open = x.open[:len(x.open)-1]
	case xml.CharData:
		if len(x.open) == 0 && strings.TrimSpace(string(t)) != "" {
			x.hit(ruleUnread, "", nil, "text outside of the root element")
			return false
		}
	}
	return true
}

// end looks at what is missing at the end.
func (x *examiner) end(size int64) {
	switch {
	case size > maxBytes:
		x.hit(ruleUnread, "", nil, "more than %d bytes", maxBytes)
	case len(x.open) > 0 || x.roots != 1:
		x.hit(ruleUnread, "", nil, "%d root elements, %d open at the end", x.roots, len(x.open))
	}
}

// directive judges a document type.
func (x *examiner) directive(text string) {
	upper := strings.ToUpper(text)
	if !strings.HasPrefix(upper, "DOCTYPE") {
		x.hit(ruleUnread, "", []byte(text), "a declaration that is not understood: %.60q", text)
		return
	}
	if strings.Contains(upper, "SYSTEM") || strings.Contains(upper, "PUBLIC") {
		x.hit(ruleEntity, "", []byte(text), "the document type fetches something: %.200q", text)
		return
	}
	x.hit(ruleDoctype, "", []byte(text), "the document has a type of its own: %.120q", text)
}

// element judges one element.
func (x *examiner) element(t xml.StartElement) {
	attribute := func(name string) string {
		for _, a := range t.Attr {
			if strings.EqualFold(a.Name.Local, name) {
				return a.Value
			}
		}
		return ""
	}
	name := strings.ToLower(t.Name.Local)
	switch {
	case name == "include" && (strings.EqualFold(t.Name.Space, "xi") || attribute("href") != ""), name == "import" && attribute("href") != "":
		x.hit(ruleInclude, t.Name.Local, nil, "the document includes %.120q", attribute("href"))
	case name == "script" || name == "embedscript" || name == "evaluate":
		x.hit(ruleScript, t.Name.Local, nil, "the element %.80q holds a program", t.Name.Local)
	case x.root == "net" && name == "layer":
		version := attribute("version")
		if !slices.Contains(operationSets, version) && (version != "" || !oldLayers(x.open)) {
			x.hit(ruleExtension, attribute("type"), nil, "the layer %.80q of type %.80q is of the set %.40q", attribute("name"), attribute("type"), version)
		}
	}
	for _, a := range t.Attr {
		switch key := strings.ToLower(a.Name.Local); key {
		case "library", "libpath", "class-name", "javaclass", "loader":
			x.hit(ruleScript, a.Value, nil, "the element %.80q names %.120q to load", t.Name.Local, a.Value)
		}
	}
}

// operationSets are those that OpenVINO brings along.
var operationSets = []string{
	"opset1", "opset2", "opset3", "opset4", "opset5", "opset6", "opset7", "opset8", "opset9", "opset10", "opset11", "opset12", "opset13",
	"opset14", "opset15", "opset16", "opset17", "experimental", "ie_internal_opset",
}

// oldLayers are inside of a <layers> that has no versions yet.
func oldLayers(open []string) bool { return slices.Contains(open, "layers") }
