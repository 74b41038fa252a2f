// Package skops judges the schema of skops files: which classes, functions and
// methods loading looks up. Arrays and the archive have their own detectors.
package skops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/json"
	"github.com/weightwarden/weightwarden/internal/format/python"
)

// Detector judges schemas of skops.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleOperator = "WW-SKOPS-001"
	ruleDanger   = "WW-SKOPS-002"
	ruleUnknown  = "WW-SKOPS-003"
	ruleMethod   = "WW-SKOPS-004"
	ruleNode     = "WW-SKOPS-005"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Do not load the file, and do not list the names as trusted. Compare it with the version that was deployed before."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0011.000"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	mal, sus := finding.Malicious, finding.Suspicious
	return detect.Info{
		Name: "skops", Formats: []artifact.Format{artifact.JSON},
		Rules: []detect.Rule{
			rule(ruleOperator, "a skops file builds an operator function", finding.Critical, mal, "An OperatorFuncNode makes methodcaller, attrgetter or itemgetter, which reach any method of what they are called with, and were not shown among the types to trust (CVE-2025-54412).", "Nothing known.", 85),
			rule(ruleDanger, "a skops file names what runs code", finding.Critical, mal, "A class or function of Python's standard library that is no plain data is looked up when the file is loaded.", "Names of unknown packages are another rule.", 85),
			rule(ruleUnknown, "a skops file names something unknown", finding.Medium, sus, "A class or function is in no list of harmless ones. skops asks whether to trust it.", "What it does."),
			rule(ruleMethod, "a skops file looks up a method", finding.High, sus, "A MethodNode takes an attribute of an object when it is loaded; a private one, or one of an operator, is malicious (CVE-2025-54413).", "What the method does.", 85),
			rule(ruleNode, "a skops node that is not known", finding.Medium, finding.Inconclusive, "The schema has a kind of node that is not known. What loading it does cannot be said.", "What the node does."),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	if may, err := json.Mentions(io.NewSectionReader(in.Data, 0, in.Data.Size()), "__loader__", "__module__", "module_path"); !may || err != nil {
		return err
	}
	j := &judge{ctx: ctx, in: in, out: out}
	err := json.Walk(in.Data, json.Limits{}, j)
	if errors.Is(err, json.ErrMalformed) || errors.Is(err, json.ErrLimit) {
		return nil // the detector that covers JSON says so
	}
	return err
}

type judge struct {
	ctx context.Context //nolint:containedctx // lives as long as one Detect
	in  detect.Input
	out detect.Sink
}

// Keep implements [json.Handler].
func (j *judge) Keep(key string) bool {
	switch key {
	case "__class__", "__module__", "__loader__", "module_path", "function", "func", "attrs":
		return true
	}
	return false
}

// Twice implements [json.Handler].
func (j *judge) Twice(json.Path, int64) error { return j.ctx.Err() }

// Scalar implements [json.Handler].
func (j *judge) Scalar(json.Path, json.Value) error { return nil }

// nodes are the kinds of nodes of skops.
var nodes = map[string]bool{
	"DictNode": true, "DefaultDictNode": true, "ListNode": true, "SetNode": true, "TupleNode": true, "NdArrayNode": true, "MaskedArrayNode": true,
	"RandomStateNode": true, "RandomGeneratorNode": true, "DTypeNode": true, "SparseMatrixNode": true, "ObjectNode": true, "TypeNode": true,
	"SliceNode": true, "FunctionNode": true, "PartialNode": true, "MethodNode": true, "JsonNode": true, "BytesNode": true, "BytearrayNode": true,
	"TreeNode": true, "SGDNode": true, "LossNode": true, "CriterionNode": true, "CachedNode": true, "DatetimeNode": true, "OperatorFuncNode": true,
	"QuantileForestNode": true, "ReduceNode": true, "_DictWithDeprecatedKeysNode": true, "OrderedDictNode": true, "Generator": true, "JsonNodeV0": true,
	"DefaultDictNodeV0": true, "DictNodeV0": true, "ObjectNodeV0": true, "ListNodeV0": true, "TupleNodeV0": true, "SetNodeV0": true,
}

// Closed implements [json.Handler].
func (j *judge) Closed(p json.Path, at int64, f json.Fields) error {
	loader, class, module := f.Text("__loader__"), f.Text("__class__"), f.Text("__module__")
	hit := func(rule string, v finding.Verdict, name, text string) {
		j.out.Hit(detect.Hit{Rule: rule, Verdict: v, Offset: at, Name: name, Node: p.String(), Summary: fmt.Sprintf("%.120q "+text, name)})
	}
	name := module + "." + class
	switch {
	case loader == "OperatorFuncNode":
		hit(ruleOperator, 0, name, "is made when the file is loaded")
		return j.ctx.Err()
	case loader != "" && !nodes[loader]:
		hit(ruleNode, 0, loader, "is a node that is not known")
	}
	if function := f.Text("function"); function != "" && f.Text("module_path") != "" {
		j.name(f.Text("module_path"), function, hit)
	}
	if method := f.Text("func"); method != "" && loader == "" {
		verdict := finding.Suspicious
		if strings.HasPrefix(method, "_") {
			verdict = finding.Malicious
		}
		hit(ruleMethod, verdict, method, "is taken of an object")
	}
	// Nodes that stand for a function have its type as their own class.
	if class != "" && module != "" && loader != "FunctionNode" && loader != "MethodNode" && loader != "TypeNode" {
		j.name(module, class, hit)
	}
	return j.ctx.Err()
}

// plain are the names of Python itself that are data.
var plain = map[string]bool{
	"builtins.int": true, "builtins.float": true, "builtins.str": true, "builtins.bool": true, "builtins.list": true, "builtins.dict": true,
	"builtins.tuple": true, "builtins.set": true, "builtins.frozenset": true, "builtins.bytes": true, "builtins.bytearray": true, "builtins.slice": true,
	"builtins.complex": true, "builtins.NoneType": true, "builtins.type": true, "builtins.range": true, "collections.OrderedDict": true,
	"collections.defaultdict": true, "collections.Counter": true, "datetime.datetime": true, "datetime.timedelta": true, "datetime.timezone": true,
	"datetime.date": true, "pathlib.Path": true, "pathlib.PosixPath": true, "functools.partial": true, "types.SimpleNamespace": true,
	"builtins.builtin_function_or_method": true, "builtins.function": true, "builtins.method": true,
}

// trusted are packages whose classes hold models, and numpy's and scipy's
// functions of numbers.
var trusted = []string{"sklearn.", "numpy.", "scipy.", "xgboost.", "lightgbm.", "catboost.", "imblearn.", "quantile_forest."}

// name judges one class or function.
func (j *judge) name(module, name string, hit func(rule string, v finding.Verdict, name, text string)) {
	full := module + "." + name
	class := name != "" && name[0] >= 'A' && name[0] <= 'Z' || strings.HasPrefix(name, "_") && len(name) > 1 && name[1] >= 'A' && name[1] <= 'Z'
	inside := func(roots []string) bool {
		for _, r := range roots {
			if strings.HasPrefix(full, r) {
				return true
			}
		}
		return false
	}
	switch {
	case plain[full] || j.in.Allowed.Allows(module, name):
	case python.Standard(module), python.Dunder(full), module == "builtins":
		hit(ruleDanger, 0, full, "is looked up when the file is loaded")
	case inside(trusted) && class, (module == "numpy" || strings.HasPrefix(module, "scipy.special")) && !reaches[name]:
	default:
		hit(ruleUnknown, 0, full, "is looked up when the file is loaded")
	}
}

// reaches are functions of numpy that read, write or run.
var reaches = map[string]bool{
	"load": true, "loadtxt": true, "genfromtxt": true, "fromfile": true, "save": true, "savetxt": true, "savez": true, "memmap": true, "vectorize": true,
	"frompyfunc": true, "apply_along_axis": true, "apply_over_axes": true, "fromregex": true, "DataSource": true, "open_memmap": true, "piecewise": true,
	"fromfunction": true, "test": true, "source": true, "lookfor": true, "fromiter": true, "savez_compressed": true, "deprecate": true,
}
