// Package pyenv reads what is installed in Python environments from the
// records on disk and compares it with the versions somebody wrote down. It
// runs neither pip nor Python.
//
// It reads names and versions only. It does not verify installed files against
// their RECORD, does not look at start-up hooks, and does not follow a virtual
// environment to the system packages it may include.
package pyenv

// Source is the source of the indicators this package makes.
const Source = "python_dependencies"

// Config says where Python environments are.
type Config struct {
	// Environments are roots of environments, or site-packages directories.
	// Empty means that they are looked for, see [Find].
	Environments []string `json:"environments,omitempty" yaml:"environments"`
}

// Package is one installed package, as its metadata says.
type Package struct {
	// Name is normalised as [NormalizeName] does.
	Name string `json:"name"`
	// Version is as the metadata has it.
	Version string `json:"version"`
	// Path is the record it was read from: a dist-info or egg-info path.
	Path string `json:"path"`
}

// Problem is something that could not be read or understood.
type Problem struct {
	Path string `json:"path"`
	// Package is the normalised name of the package the problem is about, or
	// "" when it may hide any package.
	Package string `json:"package,omitempty"`
	Reason  string `json:"reason"`
}

// Environment is what was read of one environment.
type Environment struct {
	// Root is the directory that was asked for.
	Root string `json:"root"`
	// Python is the version of the interpreter, as "3.11" or "3.11.7", or ""
	// when nothing tells.
	Python string `json:"python"`
	// Packages is sorted by name and path. A package stands there as often
	// as it has a record.
	Packages []Package `json:"packages"`
	// Problems is sorted by path.
	Problems []Problem `json:"problems,omitempty"`
}
