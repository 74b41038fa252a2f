package gen_test

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/atlas/gen"
)

// The published file lies beside the checkout where it is there at all.
func shared() string {
	return cmp.Or(os.Getenv("WEIGHTWARDEN_SHARED"), "../../../../shared")
}

func TestTableIsCurrent(t *testing.T) {
	in, err := os.Open(filepath.Join(shared(), "vectors/schemas/atlas/dist/ATLAS.yaml"))
	if err != nil {
		_, none := os.Stat(shared())
		if none == nil && os.Getenv("WEIGHTWARDEN_TEST_ALL") != "" {
			t.Fatalf("the shared data has no ATLAS.yaml: %v", err)
		}
		t.Skipf("no ATLAS.yaml to compare with: %v", err)
	}
	defer in.Close()
	want, err := gen.Table(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../table.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("internal/atlas/table.go is not what ATLAS.yaml gives: run go generate ./internal/atlas")
	}
}

const head = "version: 1.0\nmatrices:\n- techniques:\n"

func TestTable(t *testing.T) {
	got, err := gen.Table(strings.NewReader(head +
		"  - {id: AML.T0002.001, name: 'Low \"er', subtechnique-of: AML.T0002}\n" +
		"  - {id: AML.T0002, name: Upper, tactics: [AML.TA0003, AML.TA0001]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := "\t{\"AML.T0002\", \"Upper\", []string{\"AML.TA0001\", \"AML.TA0003\"}},\n" +
		"\t{\"AML.T0002.001\", \"Low \\\"er\", []string{\"AML.TA0001\", \"AML.TA0003\"}},\n"
	if !strings.Contains(string(got), want) {
		t.Errorf("table is\n%s\nwithout\n%s", got, want)
	}
}

func TestTableRefuses(t *testing.T) {
	tests := []struct{ name, in, text string }{
		{"not_yaml", "\x00", "read ATLAS.yaml"},
		{"nothing_in_it", "version: 1.0\n", "no techniques"},
		{"without_name", head + "  - {id: AML.T0001, tactics: [AML.TA0001]}\n", "proper id"},
		{"without_tactics", head + "  - {id: AML.T0001, name: A}\n", "proper id"},
		{"unknown_parent", head + "  - {id: AML.T0001.001, name: A, subtechnique-of: AML.T0001}\n", "proper id"},
		{"malformed_id", head + "  - {id: T1, name: A, tactics: [AML.TA0001]}\n", "proper id"},
		{"twice", head + strings.Repeat("  - {id: AML.T0001, name: A, tactics: [AML.TA0001]}\n", 2), "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := gen.Table(strings.NewReader(tt.in)); err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v, want %q in it", err, tt.text)
			}
		})
	}
}
