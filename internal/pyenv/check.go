package pyenv

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// maxProblems bounds the indicators that one environment's problems make.
const maxProblems = 50

// Check compares what is installed with the wanted versions, by name. Every
// environment that has a package must have it in the wanted version, and once
// only; a package is missing when it is in none and nothing that could not be
// read may hide it. Versions are compared by [SameVersion].
func Check(envs []*Environment, want map[string]string, at time.Time) []indicator.Indicator {
	if len(want) == 0 {
		return nil
	}
	c := checker{envs: envs, at: at}
	if len(envs) == 0 {
		c.add(indicator.DependencyUnreadable, "no Python environment was found, so no package was checked", nil, "no environment")
	}
	for _, e := range envs {
		c.problems(e)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		c.compare(name, want[name])
	}
	slices.SortStableFunc(c.out, indicator.Compare)
	return c.out
}

type checker struct {
	envs []*Environment
	at   time.Time
	out  []indicator.Indicator
}

func (c *checker) add(t indicator.Type, text string, evidence map[string]any, key ...string) {
	c.out = append(c.out, indicator.New(t, Source, c.at, text, evidence, key...))
}

// problems reports what could not be read of an environment.
func (c *checker) problems(e *Environment) {
	for i, p := range e.Problems {
		if i == maxProblems {
			c.add(indicator.DependencyUnreadable,
				fmt.Sprintf("%d more records in %s could not be read", len(e.Problems)-i, artifact.Quote(e.Root)),
				map[string]any{"environment": e.Root, "problems": len(e.Problems)}, e.Root, "more")
			return
		}
		c.add(indicator.DependencyUnreadable, fmt.Sprintf("%s: %s", artifact.Quote(p.Path), p.Reason),
			map[string]any{"environment": e.Root, "path": p.Path, "package": p.Package, "reason": p.Reason},
			e.Root, p.Path, p.Reason)
	}
}

// compare judges one package over all environments.
func (c *checker) compare(name, expected string) {
	normal, seen := NormalizeName(name), false
	for _, e := range c.envs {
		for _, records := range e.records(normal) {
			seen = true
			c.judge(e, name, expected, records)
		}
	}
	hidden := slices.ContainsFunc(c.envs, func(e *Environment) bool { return e.mayHide(normal) })
	if seen || hidden || len(c.envs) == 0 {
		return
	}
	roots := make([]string, len(c.envs))
	for i, e := range c.envs {
		roots[i] = e.Root
	}
	c.add(indicator.DependencyMissing, fmt.Sprintf("package %s is not installed, expected version %s", artifact.Quote(name), artifact.Quote(expected)),
		map[string]any{"package": name, "expected_version": expected, "environments": roots}, normal)
}

// judge compares the records of one package in one site-packages directory.
// Two records are never right: which of them Python goes by is chance.
func (c *checker) judge(e *Environment, name, expected string, records []Package) {
	if len(records) == 1 && SameVersion(expected, records[0].Version) {
		return
	}
	versions, paths := make([]string, len(records)), make([]string, len(records))
	for i, r := range records {
		versions[i], paths[i] = r.Version, r.Path
	}
	actual := strings.Join(versions, ", ")
	evidence := map[string]any{
		"package": name, "expected_version": expected, "actual_version": actual,
		"environment": e.Root, "records": paths,
	}
	text := fmt.Sprintf("package %s is installed as %s, expected %s", artifact.Quote(name), artifact.Quote(actual), artifact.Quote(expected))
	if len(records) > 1 {
		evidence["actual_versions"] = versions
		text = fmt.Sprintf("package %s has %d records of installation (%s), expected %s once",
			artifact.Quote(name), len(records), artifact.Quote(actual), artifact.Quote(expected))
	}
	c.add(indicator.DependencyChanged, text, evidence,
		append([]string{NormalizeName(name), filepath.Dir(records[0].Path)}, versions...)...)
}

// records returns the records of a package, those of one directory together.
func (e *Environment) records(name string) [][]Package {
	var out [][]Package
	for _, p := range e.Packages {
		if p.Name != name {
			continue
		}
		i := slices.IndexFunc(out, func(group []Package) bool { return filepath.Dir(group[0].Path) == filepath.Dir(p.Path) })
		if i < 0 {
			out = append(out, []Package{p})
			continue
		}
		out[i] = append(out[i], p)
	}
	return out
}

// mayHide reports whether something that could not be read may be the record
// of a package.
func (e *Environment) mayHide(name string) bool {
	return slices.ContainsFunc(e.Problems, func(p Problem) bool { return p.Package == "" || p.Package == name })
}
