package cli

import (
	"os"

	"github.com/spf13/cobra"
)

// Root is the command tree, for tests that walk it.
func Root() *cobra.Command {
	return newRoot(Env{Getenv: func(string) string { return "" }, Stdout: os.Stdout, Stderr: os.Stderr})
}
