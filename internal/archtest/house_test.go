package archtest

import (
	"bytes"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A name that says nothing collects everything.
var forbiddenNames = []string{"util", "utils", "common", "helper", "helpers", "types", "core", "manager", "pkg", "base", "misc", "shared"}

func TestPackageNames(t *testing.T) {
	for _, s := range sources(t) {
		for _, name := range []string{s.file.Name.Name, path.Base(s.dir())} {
			if slices.Contains(forbiddenNames, name) {
				t.Errorf("%s: no package is named %s: name it after what it knows", s.path, name)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		text := s.file.Doc.Text()
		documented[s.dir()] = documented[s.dir()] ||
			strings.HasPrefix(text, "Package "+s.file.Name.Name+" ") || strings.HasPrefix(text, "Command ")
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment: say what the package is for, and what it does not know", dir)
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: has an init function: nothing here registers or prepares itself, wire it where it is used", s.path)
			}
		}
	}
}

// The program reads what a compromised host holds. What it starts there could
// be the attacker's.
func TestNoProcesses(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || s.below("cmd", "bench", "scripts", "tools") {
			continue
		}
		if s.dir() == "internal/notify/program" {
			continue // starts what the operator's configuration names, and nothing else
		}
		if slices.Contains(s.imports(t), "os/exec") {
			t.Errorf("%s: imports os/exec: read /proc or the file itself instead of asking a program", s.path)
		}
	}
}

const maxLines = 600

func TestFileLength(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxLines && !ast.IsGenerated(s.file) {
			t.Errorf("%s: has %d lines, more than %d: what are its two subjects?", s.path, s.lines, maxLines)
		}
	}
}

// machinePath finds paths that exist only where somebody worked. Its words are
// put together here, so that it does not find itself.
var machinePath = regexp.MustCompile(`(?:^|[^a-z._])/(?:` + "wo" + `rk|` + "fa" + `rm)/`)

func TestNoMachinePaths(t *testing.T) {
	for _, name := range files(t) {
		data := read(t, name)
		if bytes.IndexByte(data, 0) >= 0 {
			continue // not a text
		}
		for n, line := range bytes.Split(data, []byte("\n")) {
			if machinePath.Match(line) {
				t.Errorf("%s:%d: has a path of somebody's machine: take it from a parameter", name, n+1)
			}
		}
	}
}

// A scanner reads what an attacker wrote. It has no means to run it, to send
// it anywhere or, in the formats, to open anything but what it is given.
func TestScannerHasNoMeans(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || !s.below(scanners...) {
			continue
		}
		for _, p := range s.imports(t) {
			switch {
			case p == "os/exec" || p == "net" || p == "syscall" && !strings.HasSuffix(s.path, "_unix.go") || p == "plugin" || p == "unsafe" || strings.HasPrefix(p, "net/"):
				t.Errorf("%s: imports %s: a scanner starts nothing and opens no connection", s.path, p)
			case p == "os" && !s.below("internal/scan"):
				t.Errorf("%s: imports os: what there is to read is a parameter", s.path)
			}
		}
	}
}

// scanners are the packages that touch what an attacker wrote.
var scanners = []string{"internal/format", "internal/detect", "internal/scan", "internal/sniff"}

// reached returns the packages of this module that the scanner is linked from.
func reached(t *testing.T) map[string]bool {
	t.Helper()
	imports := map[string][]string{}
	var todo []string
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, p := range s.imports(t) {
			if to, ours := strings.CutPrefix(p, module); ours {
				imports[s.dir()] = append(imports[s.dir()], to)
			}
		}
		if s.below(scanners...) {
			todo = append(todo, s.dir())
		}
	}
	seen := map[string]bool{}
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		if !seen[dir] {
			seen[dir] = true
			todo = append(todo, imports[dir]...)
		}
	}
	return seen
}

// Neither do the packages that a scan is made of beside its own have the means.
func TestScannerReachesNoMeans(t *testing.T) {
	seen := reached(t)
	if !seen["internal/scan"] || !seen["internal/report"] {
		t.Fatalf("the scanner is not found: %v", seen)
	}
	for _, s := range sources(t) {
		if s.isTest() || !seen[s.dir()] {
			continue
		}
		for _, p := range s.imports(t) {
			if p == "os/exec" || p == "net" || p == "plugin" || p == "net/http" || p == "net/smtp" || p == "net/rpc" {
				t.Errorf("%s: imports %s, and the scanner imports it: a scanner starts nothing and opens no connection", s.path, p)
			}
		}
	}
}

// writers are the functions of package os, and of its Root, that change a disk.
var writers = []string{
	"Create", "CreateTemp", "OpenFile", "WriteFile", "Mkdir", "MkdirAll", "MkdirTemp", "Rename", "Remove", "RemoveAll", "Symlink",
	"Link", "Chmod", "Chown", "Lchown", "Chtimes", "Truncate", "CopyFS",
}

// Reports are written by the surface. A scanner, and what reads formats for it,
// extracts nothing and leaves nothing behind.
func TestScannerWritesNothing(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || !s.below(scanners...) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains(writers, sel.Sel.Name) {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "os" || onRoot(sel.X) {
				t.Errorf("%s: uses %s: a scanner writes nothing", s.path, sel.Sel.Name)
			}
			return true
		})
	}
}

// onRoot reports whether an expression is called like an opened tree.
func onRoot(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "root"
	case *ast.SelectorExpr:
		return x.Sel.Name == "root"
	}
	return false
}
