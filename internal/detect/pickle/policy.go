package pickle

import (
	_ "embed" // the tables of names
	"slices"
	"strings"
	"sync"

	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/pickle"
)

var (
	//go:embed allowed.tsv
	allowedTable string
	//go:embed dangerous.tsv
	dangerousTable string
)

// standing is what the policy says of a name.
type standing uint8

const (
	unknown   standing = iota
	dangerous          // listed: code, files, network, natives, nested loads
	walks              // attributes reached from somewhere else
	allowed
)

// roles say what an allowed name may be used for.
const (
	roleValue         = "value"         // neither called nor changed
	roleStorage       = "storage"       // only in a persistent id
	roleCall          = "call"          // called; the result is plain data
	roleClass         = "class"         // called, and the instance filled
	roleCodec         = "codec"         // (text, "latin1"): how bytes were written before protocol 3
	roleFactory       = "factory"       // first argument is called later
	roleReconstructor = "reconstructor" // (class, object, None)
	roleRebuild       = "rebuild"       // first argument is called
	roleWrapper       = "wrapper"       // joblib: array bytes follow
)

// judgement is the policy on one name.
type judgement struct {
	standing standing
	// role and library go with allowed, category with dangerous.
	role, library, category string
}

type key struct{ module, name string }

// tables are the embedded lists.
type tables struct {
	allowed map[key]judgement
	listed  map[key]string
	modules map[string]string
	anyName map[string]string
}

var lists = sync.OnceValue(func() tables {
	t := tables{map[key]judgement{}, map[key]string{}, map[string]string{}, map[string]string{}}
	for line := range strings.Lines(allowedTable) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		j := judgement{standing: allowed, role: f[3]}
		if f[2] != "T0" {
			j.library = root(f[0])
		}
		t.allowed[key{f[0], f[1]}] = j
	}
	for line := range strings.Lines(dangerousTable) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		switch {
		case f[0] == "(any)":
			t.anyName[f[1]] = f[2]
		case f[1] == "*":
			t.modules[f[0]] = f[2]
		default:
			t.listed[key{f[0], f[1]}] = f[2]
		}
	}
	return t
})

func root(module string) string {
	r, _, _ := strings.Cut(module, ".")
	return r
}

// judge says what the policy is on a name. What is allowed decides; the list
// of the dangerous only says how bad the rest is.
func judge(n format.Name, added detect.Names) judgement {
	t := lists()
	if j, ok := t.allowed[key{n.Module, n.Name}]; ok {
		return j
	}
	if category := t.danger(n.Module, n.Name); category != "" {
		return judgement{standing: dangerous, category: category}
	}
	if t.walk(n) {
		return judgement{standing: walks}
	}
	if added.Allows(n.Module, n.Name) || estimator(n.Module, n.Name) || t.layer(n.Module, n.Name) || scripted(n.Module) {
		return judgement{standing: allowed, role: roleClass, library: root(n.Module)}
	}
	return judgement{standing: unknown}
}

// danger returns the category under which a name is listed, or "".
func (t tables) danger(module, name string) string {
	for m := module; m != ""; {
		if c, ok := t.modules[m]; ok {
			return c
		}
		i := strings.LastIndexByte(m, '.')
		if i < 0 {
			break
		}
		m = m[:i]
	}
	first, _, _ := strings.Cut(name, ".")
	if c, ok := t.listed[key{module, name}]; ok {
		return c
	}
	if c, ok := t.listed[key{module, first}]; ok {
		return c
	}
	// Modules of Python 2 that nothing maps are listed under their own names.
	return t.anyName[name]
}

// walk reports whether looking the name up walks through attributes, or ends
// at one that leads elsewhere.
func (t tables) walk(n format.Name) bool {
	parts := strings.Split(n.Name, ".")
	if len(parts) > 1 && n.Protocol >= 4 {
		return true
	}
	isDunder := func(s string) bool { return strings.HasPrefix(s, "__") && strings.HasSuffix(s, "__") }
	if slices.ContainsFunc(parts, isDunder) {
		return true
	}
	for i, s := range parts {
		if _, module := t.modules[strings.TrimLeft(s, "_")]; module && (i < len(parts)-1 || strings.HasPrefix(s, "_")) {
			return true
		}
	}
	return false
}

// layer accepts the layers of torch under the module that defines them, which
// is how pickles spell torch.nn.Linear: torch.nn.modules.linear.Linear.
func (t tables) layer(module, name string) bool {
	file, ok := strings.CutPrefix(module, "torch.nn.modules.")
	return ok && !strings.Contains(file, ".") && t.allowed[key{"torch.nn", name}].role == roleClass
}

// scripted accepts the classes of a TorchScript program. Python has no such
// module: they are in the archive's code folder, whose operators the detector of torch
// archives judges, and TorchScript's own unpickler finds them there.
func scripted(module string) bool {
	return module == "__torch__" || strings.HasPrefix(module, "__torch__.")
}

// holders are estimators that hold or run callables of their user.
var holders = []string{"FunctionTransformer", "Memory", "Parallel", "MemorizedFunc", "FuncWrapper"}

// estimator accepts classes of scikit-learn that the table does not list:
// versions move them from module to module.
func estimator(module, name string) bool {
	parts := strings.Split(module, ".")
	name = strings.TrimPrefix(name, "_") // parts of estimators have one
	if parts[0] != "sklearn" || slices.Contains(parts, "externals") || slices.Contains(parts, "joblib") || slices.Contains(holders, name) {
		return false
	}
	if name == "" || name[0] < 'A' || name[0] > 'Z' {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
