package python_test

import (
	"testing"

	"github.com/weightwarden/weightwarden/internal/format/python"
)

func TestNames(t *testing.T) {
	for name, want := range map[string][3]bool{ // standard, name, dunder
		"os.system":             {true, true, false},
		"posix":                 {true, true, false},
		"_io.open":              {true, true, false},
		"_posixsubprocess.fork": {true, true, false},
		"keras.layers.Dense":    {false, true, false},
		"osmnx.graph":           {false, true, false},
		"a.__class__":           {false, true, true},
		"a..b":                  {false, false, false},
		"not a name":            {false, false, false},
		"9lives":                {false, false, false},
		"":                      {false, false, false},
	} {
		if got := [3]bool{python.Standard(name), python.IsName(name), python.Dunder(name)}; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
	if !python.Builtin("eval") || python.Builtin("relu") {
		t.Error("built-in names")
	}
}
