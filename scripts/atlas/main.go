//go:build ignore

// Command atlas writes internal/atlas/table.go from the ATLAS.yaml that its
// argument names. It is run by go generate in internal/atlas.
package main

import (
	"fmt"
	"os"

	"github.com/weightwarden/weightwarden/internal/atlas/gen"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "atlas:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: go run scripts/atlas/main.go ATLAS.yaml")
	}
	in, err := os.Open(args[0])
	if err != nil {
		return fmt.Errorf("%w: set WEIGHTWARDEN_SHARED, or name the ATLAS.yaml of a release of mitre-atlas/atlas-data", err)
	}
	defer in.Close()
	table, err := gen.Table(in)
	if err != nil {
		return err
	}
	return os.WriteFile("table.go", table, 0o644)
}
