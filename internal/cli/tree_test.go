package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/cli"
)

const manual = "../../docs/cli"

// everyCommand calls do for every command of the tree with the name of its
// page and script: "incident_open".
func everyCommand(t *testing.T, do func(t *testing.T, name string, cmd *cobra.Command)) {
	t.Helper()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		words := strings.Fields(cmd.CommandPath())
		if slices.Contains(words, "completion") || cmd.Name() == "help" {
			return // cobra's own
		}
		if len(words) > 1 {
			name := strings.Join(words[1:], "_")
			t.Run(name, func(t *testing.T) { do(t, name, cmd) })
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(cli.Root())
}

func TestEveryCommandHasAScript(t *testing.T) {
	everyCommand(t, func(t *testing.T, name string, cmd *cobra.Command) {
		if cmd.HasSubCommands() {
			return // usage.txtar has the groups
		}
		if _, err := os.Stat(filepath.Join("testdata/script", name+".txtar")); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryCommandExplainsItself(t *testing.T) {
	everyCommand(t, func(t *testing.T, _ string, cmd *cobra.Command) {
		takesArguments := strings.Contains(cmd.Use, " ")
		switch {
		case cmd.Short == "":
			t.Error("no Short")
		case strings.HasSuffix(cmd.Short, "."):
			t.Errorf("Short ends in a full stop: %q", cmd.Short)
		case takesArguments && cmd.Example == "" && !cmd.Hidden:
			t.Errorf("%q takes arguments and has no Example", cmd.Use)
		case cmd.Example != "" && !strings.HasPrefix(cmd.Example, "  weightwarden "):
			t.Errorf("the Example does not begin with the program, indented by two: %q", cmd.Example)
		}
	})
}

// The examples of the help texts name commands and flags that there are.
func TestExamplesOfHelpParse(t *testing.T) {
	everyCommand(t, func(t *testing.T, _ string, cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			for part := range strings.SplitSeq(line, ";") {
				words := strings.Fields(strings.NewReplacer(`"`, "").Replace(part))
				words, _, _ = cutAt(words, ">")
				words, _, _ = cutAt(words, "|")
				found, rest, err := cli.Root().Find(words[1:])
				if err != nil || !found.Runnable() {
					t.Errorf("%q names no command: %v", part, err)
					continue
				}
				if err := found.ParseFlags(rest); err != nil {
					t.Errorf("%q: %v", part, err)
				}
			}
		}
	})
}

func cutAt(words []string, at string) (before, after []string, found bool) {
	i := slices.Index(words, at)
	if i < 0 {
		return words, nil, false
	}
	return words[:i], words[i+1:], true
}

// The manual's pages are what "weightwarden docs" writes; -update, or make
// docs, writes them anew.
func TestManualIsCurrent(t *testing.T) {
	want := t.TempDir()
	if *update {
		want = manual
	}
	if code, _, stderr := run(t, "docs", want); code != 0 {
		t.Fatalf("docs: exit code %d: %s", code, stderr)
	}
	if diff := cmp.Diff(pages(t, want), pages(t, manual)); diff != "" {
		t.Errorf("make docs writes them anew (-generated +committed):\n%s", diff)
	}
}

func pages(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages in %s: %v", dir, err)
	}
	out := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(file)] = string(data)
	}
	return out
}
