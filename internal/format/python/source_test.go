package python_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/python"
)

func uses(t *testing.T, text string) (lines []string) {
	t.Helper()
	list, err := python.Uses(strings.NewReader(text), python.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range list {
		kind := "call"
		if u.Import {
			kind = "import"
		}
		if !u.Top {
			kind += "*"
		}
		lines = append(lines, fmt.Sprintf("%s %s@%d", kind, u.Name, u.Offset))
	}
	return lines
}

func TestUses(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		want []string
	}{
		"plain":         {"import os\nos.system('x')\n", []string{"import os@7", "call os.system@10"}},
		"alias":         {"import os as o, sys\no.system('x')\n", []string{"import os@7", "import sys@16", "call os.system@20"}},
		"from":          {"from os import (system as s,\n  path)\ns('x'); path.join(1)\n", []string{"import os@5", "call os.system@37", "call os.path.join@45"}},
		"in_a_function": {"def f(x):\n    eval(x)\n", []string{"call* eval@14"}},
		"in_text":       {"\"\"\"\nos.system('x')\n\"\"\"\n# eval(1)\ns = 'exec(1)'\n", nil},
		"prefix":        {"x = rb'eval(1)' + f\"exec(2)\"\n", nil},
		"one_line":      {"if x: import os; os.system(y)\n", []string{"import os@13", "call os.system@17"}},
		"relative":      {"from ..a import b\nb()\n", []string{"import ..a@5", "call ..a.b@18"}},
		"def_and_class": {"class A(B):\n def f(): pass\n", nil},
		"unclosed":      {"'''abc", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(row.want, uses(t, row.in)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestUsesLimits(t *testing.T) {
	for name, row := range map[string]struct {
		in  string
		lim python.Limits
	}{
		"bytes": {strings.Repeat("a", 100), python.Limits{Bytes: 10}},
		"uses":  {strings.Repeat("f()\n", 100), python.Limits{Uses: 10}},
	} {
		if _, err := python.Uses(strings.NewReader(row.in), row.lim); !errors.Is(err, python.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzUses promises: the last part of each call stands in the text at its
// place or an import named it, and places are in order.
func FuzzUses(f *testing.F) {
	for _, s := range []string{"import os as o\no.system('x')", "from a import (b as c)\nc()", "'''x", "f(\\\n", "if x: import os"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := python.Uses(strings.NewReader(text), python.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		last := int64(-1)
		for _, u := range list {
			if u.Offset < last || u.Offset > int64(len(text)) || len(u.Name) > 200 {
				t.Fatalf("%+v", u)
			}
			last = u.Offset
		}
	})
}
