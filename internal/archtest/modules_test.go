package archtest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// severalImporters lists the modules that more than one package imports. All
// others have a single importer, so that each can be replaced in one place.
var severalImporters = []struct{ module, importers, reason string }{
	{
		"go.yaml.in/yaml/v4", "internal/clock internal/config internal/deploy internal/deploy/charttest internal/layout internal/message internal/playbook internal/atlas/gen internal/hunt/... internal/format/yaml",
		"each reads a file of its own form; the generator is not part of the program",
	},
	{
		"golang.org/x/sys", "internal/...",
		"system calls that package os lacks; it is the standard library's own supplement",
	},
	{
		"golang.org/x/crypto", "internal/oms internal/signer",
		"one verifies BLAKE2b digests, the other opens encrypted keys: two algorithms that share nothing",
	},
	{
		"github.com/google/go-cmp", "internal/...",
		"conformance suites compare with it as tests do; the program does not import them",
	},
}

func TestModulesHaveOneImporter(t *testing.T) {
	required := requirements(t)
	importers := map[string][]string{}
	for _, s := range sources(t) {
		if strings.HasPrefix(s.dir(), "tools/") {
			continue // modules of their own
		}
		for _, p := range s.imports(t) {
			module := owner(required, p)
			if module != "" && !s.isTest() && !slices.Contains(importers[module], s.dir()) {
				importers[module] = append(importers[module], s.dir())
			}
		}
	}
	for module, dirs := range importers {
		slices.Sort(dirs)
		if len(dirs) > 1 && !allowed(module, dirs) {
			t.Errorf("%s is imported by %s: let one of them import it, or list it in severalImporters with the reason", module, strings.Join(dirs, ", "))
		}
	}
}

func TestExceptionsHaveReasons(t *testing.T) {
	required := requirements(t)
	for _, e := range severalImporters {
		if e.reason == "" || !slices.Contains(required, e.module) {
			t.Errorf("severalImporters: %s has no reason, or is not required any more", e.module)
		}
	}
}

func allowed(module string, dirs []string) bool {
	for _, e := range severalImporters {
		if e.module == module {
			return !slices.ContainsFunc(dirs, func(d string) bool { return !matchAny(d, e.importers) })
		}
	}
	return false
}

// requirement finds "module version" in go.mod, in a block or on a line of its own.
var requirement = regexp.MustCompile(`(?m)^(?:require)?\s+(\S+\.\S+/?\S*) v\S+`)

// requirements returns the modules that go.mod names.
func requirements(t *testing.T) (modules []string) {
	t.Helper()
	for _, m := range requirement.FindAllSubmatch(read(t, "go.mod"), -1) {
		modules = append(modules, string(m[1]))
	}
	if len(modules) == 0 {
		t.Fatal("no requirements found in go.mod")
	}
	return modules
}

// owner returns the module that the package belongs to, or "".
func owner(modules []string, pkg string) (longest string) {
	for _, m := range modules {
		if (pkg == m || strings.HasPrefix(pkg, m+"/")) && len(m) > len(longest) {
			longest = m
		}
	}
	return longest
}
