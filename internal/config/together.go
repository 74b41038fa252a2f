package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// together checks what no section can see alone: models against each other and
// against the directories around them. lines[i] is where c.Models[i] stands.
func (r *reader) together(c *Config, lines []int) {
	r.sameIDs(c.Models, lines)
	r.overlaps(c.Models, lines)
	r.policies(c)
	r.routedModels(c)
	if c.Watch.FullPassAge == 0 {
		c.Watch.FullPassAge = cmp.Or(c.Hashing.FullAge, DefaultFullHashAge)
	}
	for i := range c.Models {
		m := &c.Models[i]
		if m.Archive == "" {
			m.Archive = c.Archive
		}
		at := fmt.Sprintf("models[%d]", i)
		for _, dir := range []struct{ key, path string }{{"archive", m.Archive}, {"quarantine", m.Quarantine}} {
			if m.Path != "" && dir.path != "" && within(dir.path, m.Path) {
				r.wrong(lines[i], at, "%s %s lies inside the model", dir.key, artifact.Quote(dir.path))
			}
		}
	}
}

func (r *reader) sameIDs(models []Model, lines []int) {
	first := map[string]int{}
	for i, m := range models {
		if m.ID == "" {
			continue // refused already
		}
		if line, twice := first[m.ID]; twice {
			r.wrong(lines[i], fmt.Sprintf("models[%d].id", i), "%q is the model in line %d already", m.ID, line)
			continue
		}
		first[m.ID] = lines[i]
	}
}

// overlaps refuses models that share files: isolating one would take files
// from the other. Sorted by path elements, a directory stands right before
// what is below it.
func (r *reader) overlaps(models []Model, lines []int) {
	order := make([]int, 0, len(models))
	for i, m := range models {
		if m.Path != "" {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return slices.Compare(elements(models[a].Path), elements(models[b].Path))
	})
	for k := 1; k < len(order); {
		outer, i := order[k-1], order[k]
		if !within(models[i].Path, models[outer].Path) {
			k++
			continue
		}
		later, other := max(outer, i), min(outer, i)
		r.wrong(lines[later], fmt.Sprintf("models[%d].path", later), "%s overlaps with the model in line %d",
			artifact.Quote(models[later].Path), lines[other])
		order = slices.Delete(order, k, k+1) // the outer one goes on being compared
	}
}

func elements(path string) []string { return strings.Split(path, string(filepath.Separator)) }

// within reports whether path is dir or below it. Both are clean and absolute.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}
