package cli

import (
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// ignoreFlags say what of a model is left out, as those of the reference
// implementation do.
type ignoreFlags struct {
	paths            []string
	git, keepGit     bool
	symlinksAccepted bool
}

func (f *ignoreFlags) add(flags *pflag.FlagSet, paths, symlinks string) {
	flags.StringArrayVar(&f.paths, "ignore-paths", nil, paths)
	flags.BoolVar(&f.git, "ignore-git-paths", true, "leave out .git, .github, .gitattributes and .gitignore at the top of the model")
	flags.BoolVar(&f.keepGit, "no-ignore-git-paths", false, "treat them as any other path")
	flags.BoolVar(&f.symlinksAccepted, "allow-symlinks", false, symlinks)
}

func (f *ignoreFlags) keepGitPaths() bool { return f.keepGit || !f.git }

// inside returns the ignored paths relative to the model. They are given as
// paths on the command line are, relative to the current directory; the
// reference implementation drops what is outside the model in silence, and so
// leaves nothing out where much was meant to be.
func (f *ignoreFlags) inside(model string) ([]string, error) {
	var out []string
	for _, p := range f.paths {
		rel, ok := relative(model, p)
		if !ok {
			return nil, fault.New(fault.Invalid, "--ignore-paths %s: it is not inside the model %s", artifact.Quote(p), artifact.Quote(model)).
				WithHint("paths are relative to the current directory: did you mean %s?", artifact.Quote(filepath.Join(model, p)))
		}
		out = append(out, rel)
	}
	return out, nil
}

// relative returns where path is in the directory dir: as written, or where
// links lead.
func relative(dir, path string) (string, bool) {
	for _, resolve := range []func(string) (string, error){filepath.Abs, linkless} {
		from, err := resolve(dir)
		if err != nil {
			continue
		}
		to, err := resolve(filepath.Dir(path))
		if err != nil {
			continue
		}
		rel, err := filepath.Rel(from, filepath.Join(to, filepath.Base(path)))
		if err == nil && rel != "." && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel), true
		}
	}
	return "", false
}

func linkless(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}
