// Package repository judges what the configuration files of a model tell its
// loaders to import, fetch or trust: JSON and YAML, whatever the file is
// called. It accounts for both formats: a value that no rule speaks about is
// data. Chat templates go on to the detector of templates; configurations of
// Keras and skops have detectors of their own.
package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/json"
	"github.com/weightwarden/weightwarden/internal/format/yaml"
)

// Detector judges configuration files.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleForeignCode = "WW-REPO-001"
	ruleOwnCode     = "WW-REPO-002"
	ruleKernel      = "WW-REPO-003"
	ruleTrust       = "WW-REPO-004"
	rulePipeline    = "WW-REPO-005"
	ruleTarget      = "WW-REPO-006"
	ruleUnknown     = "WW-REPO-007"
	ruleBase        = "WW-REPO-008"
	ruleImport      = "WW-REPO-009"
	ruleTag         = "WW-REPO-010"
	ruleTwice       = "WW-REPO-011"
	ruleUnread      = "WW-REPO-012"
	ruleOtherTag    = "WW-REPO-013"
	ruleLoader      = "WW-REPO-014"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Do not load the model with this configuration. Compare it with the version that was deployed before, and review the code that it names."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0010.001", "AML.T0011.000"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	mal, sus, inc := finding.Malicious, finding.Suspicious, finding.Inconclusive
	formats := []artifact.Format{artifact.JSON, artifact.YAML}
	return detect.Info{
		Name: "repository", Formats: formats, Covers: formats,
		Rules: []detect.Rule{
			rule(ruleForeignCode, "a configuration loads code of another repository", finding.Critical, mal, "`auto_map` names a class in another repository (`owner/repository--module.Class`). Loading with trust_remote_code downloads and runs what is there at that moment.", "What the other repository holds.", 79),
			rule(ruleOwnCode, "a configuration loads code beside the weights", finding.High, sus, "`auto_map` names a class in a Python file of this repository, which runs when it is loaded with trust_remote_code.", "What the code does: see the findings about the file.", 79),
			rule(ruleKernel, "a configuration pulls a kernel", finding.Critical, mal, "The implementation of attention, or of another part, is the name of a remote repository: versions 4.56 to 5.2 of transformers download and load compiled code from there without asking (CVE-2026-4372). A setting that only allows kernels is suspicious.", "Kernels that are named in code.", 80),
			rule(ruleTrust, "a configuration trusts remote code", finding.High, sus, "`trust_remote_code` is set in a file of the model, where it overrides what the operator decided (CVE-2026-5241).", "Nothing known.", 81),
			rule(rulePipeline, "a configuration names a pipeline of its own", finding.High, sus, "A custom pipeline or component names code that is loaded with the model.", "What the code does.", 79),
			rule(ruleTarget, "a configuration calls what runs code", finding.Critical, mal, "`_target_` names a function of Python's standard library, or another that runs code, reads or fetches: Hydra and NeMo import and call it (CVE-2025-23304).", "Functions of unknown packages are another rule.", 84),
			rule(ruleUnknown, "a configuration calls something unknown", finding.Medium, sus, "`_target_` names something that is in no list of harmless classes. It is imported and called.", "What it does.", 84),
			rule(ruleBase, "an adapter pulls another model", finding.Medium, sus, "An adapter is loaded together with a base model that is not here, and whose code and weights decide as much. A path, an address, or a library that is imported for it is high.", "What the base model holds: scan it too, and pin its revision.", 87),
			rule(ruleImport, "a configuration names a module that runs code", finding.High, sus, "A value that is the dotted name of something in Python's standard library stands where loaders name what they import.", "Names under keys that nobody knows.", 79, 84),
			rule(ruleTag, "a YAML tag that runs Python", finding.Critical, mal, "A tag like `!!python/object/apply` has PyYAML's unsafe loaders import and call a function.", "Tags that a program registers itself are another rule.", 86),
			rule(ruleTwice, "a key given twice", finding.Medium, sus, "Some readers take the first of two values, others the last: what is reviewed need not be what is loaded.", "Nothing known.", 90),
			rule(ruleUnread, "a configuration that is not understood", finding.Medium, inc, "The file is no JSON or YAML that is understood, or larger than the limits. Readers of models are more lenient.", "Everything behind the place."),
			rule(ruleOtherTag, "a YAML tag of a program's own", finding.Medium, sus, "A tag that is none of YAML's has to be registered by whoever reads the file, and constructs what its program decides.", "What it constructs.", 86),
			rule(ruleLoader, "MLflow loads a model by a module of its own", finding.High, sus, "`loader_module` names a module that is none of MLflow's flavours. It is imported from the code beside the model, or from the host; one of Python's standard library is malicious.", "What the module does.", 88),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	j := &judge{ctx: ctx, in: in, out: out, base: strings.ToLower(path.Base(in.Name))}
	if in.Format == artifact.YAML {
		err := yaml.Walk(in.Data, yaml.Limits{}, yamlJudge{j})
		return j.unread(err, errors.Is(err, yaml.ErrMalformed) || errors.Is(err, yaml.ErrLimit))
	}
	err := json.Walk(in.Data, json.Limits{Lines: !strings.HasSuffix(j.base, ".json")}, j)
	return j.unread(err, errors.Is(err, json.ErrMalformed) || errors.Is(err, json.ErrLimit))
}

// judge takes the values of one file.
type judge struct {
	ctx  context.Context //nolint:containedctx // lives as long as one Detect
	in   detect.Input
	out  detect.Sink
	base string
	// twice counts keys given twice; a few are shown.
	twice int
}

// unread reports a text that could not be read to its end. Tags that run
// code are then searched for as letters, since other readers may get further.
func (j *judge) unread(err error, ours bool) error {
	if err == nil || !ours {
		return err
	}
	j.out.Hit(detect.Hit{Rule: ruleUnread, Offset: -1, Summary: fmt.Sprintf("not understood: %.200v", err)})
	text, err := io.ReadAll(io.LimitReader(io.NewSectionReader(j.in.Data, 0, j.in.Data.Size()), maxSearched))
	if err != nil {
		return err
	}
	if at := pythonTag.FindIndex(text); at != nil {
		j.out.Hit(detect.Hit{
			Rule: ruleTag, Offset: int64(at[0]), Evidence: text[at[0]:min(len(text), at[0]+60)],
			Summary: "a tag of Python in a text that is not understood",
		})
	}
	return nil
}

const maxSearched = 8 << 20

var pythonTag = regexp.MustCompile(`!!?<?(tag:yaml\.org,2002:)?python/(object|name|module)`)

func (j *judge) hit(rule string, s finding.Severity, v finding.Verdict, node string, at int64, name, text string, args ...any) {
	j.out.Hit(detect.Hit{Rule: rule, Severity: s, Verdict: v, Offset: at, Name: name, Node: node, Summary: fmt.Sprintf(text, args...)})
}

// maxTwice is how many keys given twice are shown.
const maxTwice = 20

func (j *judge) again(node string, at int64) {
	if j.twice++; j.twice <= maxTwice {
		j.hit(ruleTwice, 0, 0, node, at, "", "the key %.80q is given twice", node)
	}
}

// value is a scalar of either format.
type value struct {
	key  string
	node string // where it stands
	// where makes node, when it is not made yet.
	where func() string
	text  string
	at    int64
	// keys are those around it, outermost first, without its own.
	keys []string
	// string says that the format has it as text.
	string bool
}

func (v value) below(key string) bool { return slices.Contains(v.keys, key) }
