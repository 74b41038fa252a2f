// Package code accounts for source code beside weights: Python, notebooks,
// scripts, compiled Python, and lists of requirements. That there is code is
// already something a person has to look at, since loaders import it when they
// are told to; what it imports and calls says how urgently. The code is read
// as tokens and never run, and what it computes is not known.
package code

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/json"
	"github.com/weightwarden/weightwarden/internal/format/python"
)

// Detector accounts for source code.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	rulePython       = "WW-CODE-001"
	ruleEffects      = "WW-CODE-002"
	ruleStart        = "WW-CODE-003"
	ruleScript       = "WW-CODE-004"
	ruleBytecode     = "WW-CODE-005"
	ruleRequirements = "WW-CODE-006"
	ruleUnread       = "WW-CODE-007"
	ruleShell        = "WW-CODE-008"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Read the code before the model is loaded by anything that may import it. Remove what the model does not need."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0011.000"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	mal, sus, inc := finding.Malicious, finding.Suspicious, finding.Inconclusive
	covers := []artifact.Format{artifact.Python, artifact.Notebook, artifact.Script, artifact.Bytecode}
	return detect.Info{
		Name: "code", Formats: append([]artifact.Format{artifact.Text}, covers...), Covers: covers,
		Rules: []detect.Rule{
			rule(rulePython, "Python beside weights", finding.Medium, sus, "There is Python source in the model, also as cells of a notebook. Loaders that trust remote code, handlers and test runners import it.", "What the code does.", 88),
			rule(ruleEffects, "Python that runs, fetches or writes", finding.High, sus, "The source calls something that starts programs, evaluates text, opens connections, loads pickles or native code. At the top level it runs by being imported.", "Calls by computed names.", 88),
			rule(ruleStart, "code that runs whenever Python starts", finding.Critical, mal, "A text called .pth with a line that begins with import, or a module called sitecustomize or usercustomize, is run by every start of Python once it lies in a folder of packages. A .pth is weights or a list of paths, never this.", "Where the file ends up.", 88),
			rule(ruleScript, "a script beside weights", finding.Medium, sus, "There is a script for a shell. No loader runs it; people do.", "What the script does.", 88),
			rule(ruleBytecode, "compiled Python beside weights", finding.High, sus, "Compiled Python is imported like source, and cannot be reviewed as it is.", "What the code does.", 88),
			rule(ruleRequirements, "requirements from elsewhere", finding.High, sus, "A list of requirements installs from an address, a path or another index. Installing runs code of the package.", "What the names that come from the usual index hold.", 88),
			rule(ruleUnread, "code that is not understood", finding.Medium, inc, "The source, or the notebook, is malformed or larger than the limits.", "Everything behind the place."),
			rule(ruleShell, "a notebook that runs commands", finding.High, sus, "A cell has a line for the shell, or a magic that runs a program.", "Commands that code starts.", 88),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	x := &examiner{ctx: ctx, in: in, out: out, base: strings.ToLower(path.Base(in.Name))}
	switch in.Format {
	case artifact.Python:
		return x.python()
	case artifact.Notebook:
		return x.notebook()
	case artifact.Script:
		x.hit(ruleScript, 0, "", "is a script")
	case artifact.Bytecode:
		x.hit(ruleBytecode, 0, "", "is compiled Python")
	default:
		return x.requirements()
	}
	return ctx.Err()
}

// examiner is one file.
type examiner struct {
	ctx  context.Context //nolint:containedctx // lives as long as one Detect
	in   detect.Input
	out  detect.Sink
	base string
	// effects counts the calls that were reported.
	effects int
}

func (x *examiner) hit(rule string, at int64, name, text string, args ...any) {
	x.out.Hit(detect.Hit{Rule: rule, Offset: at, Name: name, Summary: fmt.Sprintf(text, args...)})
}

// python judges a source.
func (x *examiner) python() error {
	if strings.HasSuffix(x.base, ".pth") {
		return x.paths()
	}
	if stem := strings.TrimSuffix(x.base, ".py"); stem == "sitecustomize" || stem == "usercustomize" {
		x.hit(ruleStart, 0, x.base, "is imported by every start of Python")
	}
	n, err := x.source(x.in.Data, 0)
	if err == nil {
		x.hit(rulePython, 0, "", "Python source with %d imports and calls", n)
	}
	return err
}

// maxEffects is how many calls are shown.
const maxEffects = 25

// source reports what a source calls.
func (x *examiner) source(r io.Reader, base int64) (n int, err error) {
	uses, err := python.Uses(r, python.Limits{})
	if errors.Is(err, python.ErrLimit) {
		x.hit(ruleUnread, -1, "", "not understood: %v", err)
		err = nil
	}
	for _, u := range uses {
		if u.Import || !effect(u.Name) {
			continue
		}
		if x.effects++; x.effects > maxEffects {
			break
		}
		where := "in a block"
		if u.Top {
			where = "at the top level"
		}
		x.hit(ruleEffects, base+u.Offset, u.Name, "calls %.80q %s", u.Name, where)
	}
	return len(uses), err
}

// effects are modules whose functions start programs, open connections, load
// pickles or native code; a name ends in a point where all of a module is
// meant.
var effects = []string{
	"os.system", "os.popen", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.remove", "os.unlink", "os.startfile", "posix.", "nt.", "subprocess.",
	"pty.", "socket.", "urllib.request.", "urllib2.", "http.client.", "ftplib.", "smtplib.", "telnetlib.", "requests.", "httpx.", "aiohttp.", "urllib3.",
	"paramiko.", "ctypes.", "cffi.", "pickle.load", "cPickle.", "dill.load", "cloudpickle.load", "joblib.load", "marshal.loads", "torch.load", "torch.hub.",
	"torch.ops.load_library", "torch.classes.load_library", "torch.utils.cpp_extension.", "importlib.", "runpy.", "imp.", "code.", "codeop.", "shutil.rmtree",
	"webbrowser.", "multiprocessing.Process", "pip.", "pkgutil.", "tf.load_op_library", "tensorflow.load_op_library", "base64.b64decode", "zlib.decompress",
	"builtins.", "__builtins__.", "sys.settrace", "atexit.register", "signal.signal", "huggingface_hub.snapshot_download", "boto3.", "numba.cfunc",
}

var evaluators = []string{"eval", "exec", "compile", "__import__", "execfile", "getattr.__call__", "globals", "breakpoint"}

func effect(name string) bool {
	return slices.Contains(evaluators, name) || python.Dunder(name) && !strings.HasSuffix(name, "__init__") && !strings.HasSuffix(name, ".__new__") && strings.Contains(name, ".__") ||
		slices.ContainsFunc(effects, func(e string) bool { return strings.HasPrefix(name, e) })
}

// paths judges a .pth that is text: a list of folders, in which lines that
// begin with import are run.
func (x *examiner) paths() error {
	text, err := x.text()
	if err != nil {
		return err
	}
	at := 0
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("import ")) || bytes.HasPrefix(line, []byte("import\t")) {
			x.out.Hit(detect.Hit{Rule: ruleStart, Offset: int64(at), Evidence: line, Summary: "a line of the .pth is run by every start of Python"})
		}
		at += len(line)
	}
	x.hit(rulePython, 0, "", "a .pth that is text adds to the path of Python")
	return nil
}

const maxText = 8 << 20

// text reads a file that has to be small.
func (x *examiner) text() ([]byte, error) {
	if x.in.Data.Size() > maxText {
		x.hit(ruleUnread, -1, "", "larger than %d bytes", maxText)
	}
	return io.ReadAll(io.LimitReader(x.in.Data, maxText))
}

// requirements judges lists of packages.
func (x *examiner) requirements() error {
	if !strings.HasPrefix(x.base, "requirements") && !strings.HasPrefix(x.base, "constraints") || !strings.HasSuffix(x.base, ".txt") {
		return nil
	}
	text, err := x.text()
	if err != nil {
		return err
	}
	at := 0
	for line := range bytes.Lines(text) {
		if why := elsewhere(string(bytes.TrimSpace(line))); why != "" {
			x.out.Hit(detect.Hit{Rule: ruleRequirements, Offset: int64(at), Evidence: bytes.TrimSpace(line), Summary: fmt.Sprintf("a requirement %s: %.120q", why, bytes.TrimSpace(line))})
		}
		at += len(line)
	}
	return x.ctx.Err()
}

// elsewhere says where a requirement comes from, if that is not the usual
// index.
func elsewhere(line string) string {
	line, _, _ = strings.Cut(line, " #")
	lower := strings.ToLower(line)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(lower, p) })
	}
	switch {
	case line == "" || line[0] == '#':
		return ""
	case has("-i ", "-i\t", "--index-url", "--extra-index-url", "-f ", "--find-links", "--trusted-host", "--no-index"):
		return "changes the index"
	case has("-e ", "--editable", "-e\t"):
		return "installs from source"
	case strings.Contains(lower, "://") || has("git+", "hg+", "svn+", "file:"):
		return "comes from an address"
	case line[0] == '.' || line[0] == '/' || has("~/") || strings.HasSuffix(lower, ".whl") || strings.HasSuffix(lower, ".tar.gz") || strings.HasSuffix(lower, ".zip"):
		return "comes from a path"
	}
	return ""
}

// notebook judges the cells of a notebook.
func (x *examiner) notebook() error {
	n := &cells{x: x}
	err := json.Walk(x.in.Data, json.Limits{}, n)
	if errors.Is(err, json.ErrMalformed) || errors.Is(err, json.ErrLimit) {
		x.hit(ruleUnread, -1, "", "not understood: %v", err)
		err = nil
	}
	if err == nil && n.code > 0 {
		x.hit(rulePython, n.first, "", "a notebook with %d cells of code", n.code)
	}
	return err
}

// cells takes the cells of a notebook. A cell's kind may stand behind its
// source.
type cells struct {
	x      *examiner
	source strings.Builder
	at     int64
	code   int
	first  int64
}

// Keep implements [json.Handler].
func (c *cells) Keep(key string) bool { return key == "cell_type" }

// Twice implements [json.Handler].
func (c *cells) Twice(p json.Path, at int64) error {
	c.x.hit(ruleUnread, at, "", "the key %.80q is given twice", p.String())
	return nil
}

// Scalar implements [json.Handler].
func (c *cells) Scalar(p json.Path, v json.Value) error {
	if key := p.Key(); v.Kind != json.String || key != "source" && key != "input" {
		return nil
	}
	if c.source.Len() == 0 {
		c.at = v.Offset
	}
	if c.source.Len() < maxText {
		c.source.Write(v.Text)
	}
	return nil
}

// Closed implements [json.Handler].
func (c *cells) Closed(_ json.Path, _ int64, f json.Fields) error {
	kind := f.Text("cell_type")
	if kind == "" {
		return c.x.ctx.Err()
	}
	text := c.source.String()
	c.source.Reset()
	if kind != "code" || text == "" {
		return nil
	}
	if c.code++; c.code == 1 {
		c.first = c.at
	}
	for line := range strings.Lines(text) {
		if l := strings.TrimSpace(line); strings.HasPrefix(l, "!") || strings.HasPrefix(l, "%%") && !strings.HasPrefix(l, "%%time") || strings.HasPrefix(l, "%pip") || strings.HasPrefix(l, "%run") || strings.HasPrefix(l, "%sx") || strings.HasPrefix(l, "%system") || strings.HasPrefix(l, "%conda") {
			c.x.out.Hit(detect.Hit{Rule: ruleShell, Offset: c.at, Evidence: []byte(l), Summary: fmt.Sprintf("a cell runs a command: %.120q", l)})
			break
		}
	}
	_, err := c.x.source(strings.NewReader(text), c.at)
	return err
}
