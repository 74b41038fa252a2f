// Package template accounts for chat templates. A template is parsed, and
// judged by what is allowed: the attributes, calls, filters and tests that
// templates of models use. What walks from a value to Python is malicious;
// text that appears only when a message holds a certain word is suspicious,
// since it instructs a model behind its user's back without any code.
//
// A template is not compared with others: whether an instruction that is
// always there is the publisher's own is for the comparison with the version
// that was deployed before.
package template

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/jinja"
)

// Detector accounts for chat templates.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleWalk     = "WW-TEMPLATE-001"
	ruleComputed = "WW-TEMPLATE-002"
	ruleLoad     = "WW-TEMPLATE-003"
	ruleCall     = "WW-TEMPLATE-004"
	ruleFilter   = "WW-TEMPLATE-005"
	ruleHidden   = "WW-TEMPLATE-006"
	ruleOddText  = "WW-TEMPLATE-007"
	ruleObject   = "WW-TEMPLATE-008"
	ruleUnread   = "WW-TEMPLATE-009"
	ruleTime     = "WW-TEMPLATE-010"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Do not render the template, not even in a sandbox: several were left before. Compare it with the version that was deployed before, or with the publisher's."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0011.000", "AML.T0051.001"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	mal, sus, inc := finding.Malicious, finding.Suspicious, finding.Inconclusive
	formats := []artifact.Format{artifact.Template}
	return detect.Info{
		Name: "template", Formats: formats, Covers: formats,
		Rules: []detect.Rule{
			rule(ruleWalk, "a template walks into Python", finding.Critical, mal, "The template reads an attribute or element whose name begins with two underscores, or that leads to frames, modules or programs. That is how template injection reaches code (CVE-2024-34359). Names are taken after escapes, joining and formatting. One underscore is suspicious.", "Names that only the data holds.", 75, 83),
			rule(ruleComputed, "a template computes the name of an attribute", finding.High, sus, "An attribute or element is read by a name that the template puts together from parts, which no template of a model does.", "Names that come from the data.", 75, 83),
			rule(ruleLoad, "a template loads another", finding.High, mal, "import, include, from and extends read other files. A chat template stands alone.", "Nothing known.", 75, 83),
			rule(ruleCall, "a call outside of the usual set", finding.High, sus, "The template calls a function or method that templates of models do not use.", "What the function does in the program that renders.", 75, 83),
			rule(ruleFilter, "a filter or test outside of the usual set", finding.High, sus, "The template uses a filter or test that Jinja does not bring along, or `attr`, which reads attributes past the sandbox.", "What the filter does.", 75, 83),
			rule(ruleHidden, "text that depends on a word in a message", finding.High, sus, "The template adds sentences, or an address, when the content of a message holds certain words. The user does not see them, and no code is needed.", "Instructions whose condition is put together from parts, and those that are always there.", 76, 83),
			rule(ruleOddText, "text that people do not see", finding.High, sus, "The template has characters without width or that turn the direction of writing, or a long run of base64.", "Text in languages that the reader does not know.", 76, 83),
			rule(ruleObject, "an object that templates of models do not use", finding.Medium, sus, "The template names an object of a web framework or of the engine that is the usual start of an injection.", "Objects of other programs.", 75, 83),
			rule(ruleUnread, "a template that is not understood", finding.Medium, inc, "The text is no template of Jinja2 that is understood, or larger than the limits. Engines differ in what they accept.", "Everything."),
			rule(ruleTime, "text that depends on the time", finding.High, sus, "A condition compares the time, so that the template behaves differently after a date.", "Times that the program gives.", 76),
		},
	}
}

// maxText is the size of a template.
const maxText = 1 << 20

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	text, err := io.ReadAll(io.LimitReader(in.Data, maxText+1))
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	j := &judge{in: in, out: out, text: string(text), seen: map[hitKey]bool{}}
	root, err := jinja.Parse(j.text, jinja.Limits{Bytes: maxText})
	switch {
	case errors.Is(err, jinja.ErrLimit), errors.Is(err, jinja.ErrSyntax):
		out.Hit(detect.Hit{Rule: ruleUnread, Offset: -1, Summary: fmt.Sprintf("not understood: %v", err)})
		j.letters()
		return nil
	case err != nil:
		return err
	}
	j.names(root)
	j.policy(root)
	j.conditions(root)
	j.texts(root)
	return ctx.Err()
}

// walks are names that no text has by chance.
var walks = regexp.MustCompile(`__(class|globals|builtins|subclasses|mro|init|import|base|bases|getattribute|dict|code)__`)

// letters searches a template that is not understood for names as they stand.
func (j *judge) letters() {
	if at := walks.FindStringIndex(j.text); at != nil {
		j.out.Hit(detect.Hit{
			Rule: ruleWalk, Verdict: finding.Suspicious, Offset: int64(at[0]), Name: j.text[at[0]:at[1]], Evidence: []byte(j.text[at[0]:at[1]]),
			Summary: fmt.Sprintf("a template that is not understood has %q", j.text[at[0]:at[1]]),
		})
	}
}

type hitKey struct {
	rule, name string
	at         int
}

// judge is one template.
type judge struct {
	in   detect.Input
	out  detect.Sink
	text string
	seen map[hitKey]bool

	// own are macros and variables that the template defines, constants what
	// variables are set to when that is a text, content the variables that
	// come from what messages say.
	own       map[string]bool
	macros    map[string]bool
	constants map[string]string
	content   map[string]bool
	// values are the mappings that variables are set to.
	values map[string]*jinja.Node
}

// maxHits is how many findings a template may have.
const maxHits = 50

func (j *judge) hit(rule string, v finding.Verdict, n *jinja.Node, name, text string, args ...any) {
	key := hitKey{rule, name, n.Offset}
	if j.seen[key] || len(j.seen) >= maxHits {
		return
	}
	j.seen[key] = true
	h := detect.Hit{Rule: rule, Verdict: v, Offset: int64(n.Offset), Length: int64(n.End - n.Offset), Name: name, Summary: fmt.Sprintf(text, args...)}
	h.Evidence = []byte(j.text[n.Offset:n.End])
	if v == finding.Suspicious && rule == ruleWalk {
		h.Severity = finding.Medium
	}
	j.out.Hit(h)
}
