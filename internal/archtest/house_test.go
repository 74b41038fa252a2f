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
		if s.isTest() || !s.below("internal/format", "internal/detect", "internal/scan", "internal/sniff") {
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
