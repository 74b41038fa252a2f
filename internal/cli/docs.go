package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/fsop"
)

// newDocs writes the manual's pages from the commands themselves, so that the
// manual cannot say anything else.
func newDocs(*globals) *cobra.Command {
	return &cobra.Command{
		Use: "docs DIR", Short: "Write a page of the manual for every command", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return writeDocs(cmd.Root(), args[0]) },
	}
}

func writeDocs(cmd *cobra.Command, dir string) error {
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return nil
	}
	if err := fsop.WriteFileAtomic(filepath.Join(dir, pageName(cmd)), []byte(page(cmd)), 0o644); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if err := writeDocs(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// pageName is the file of a command's page: "incident_open.md".
func pageName(cmd *cobra.Command) string {
	words := strings.Fields(cmd.CommandPath())
	if len(words) == 1 {
		return "README.md"
	}
	return strings.Join(words[1:], "_") + ".md"
}

func page(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", cmd.CommandPath(), cmd.Short)
	fmt.Fprintf(&b, "```\n%s\n```\n\n", cmd.UseLine())
	if cmd.Long != "" {
		fmt.Fprintf(&b, "%s\n\n", cmd.Long)
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "## Examples\n\n```\n%s\n```\n\n", strings.ReplaceAll(cmd.Example, "\n  ", "\n")[2:])
	}
	writeFlags(&b, "Flags", cmd.LocalNonPersistentFlags())
	if !cmd.HasParent() {
		writeFlags(&b, "Flags of every command", cmd.PersistentFlags())
	}
	subs := 0
	for _, sub := range cmd.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		if subs++; subs == 1 {
			b.WriteString("## Commands\n\n")
		}
		fmt.Fprintf(&b, "* [%s](%s): %s\n", sub.CommandPath(), pageName(sub), sub.Short)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func writeFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	usages := strings.TrimRight(flags.FlagUsages(), "\n")
	if usages == "" {
		return
	}
	fmt.Fprintf(b, "## %s\n\n```\n%s\n```\n\n", title, usages)
}
