package baseline

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// attributes returns an indicator for each attribute that differs.
func attributes(b *Baseline, now *manifest.Manifest, at time.Time) []indicator.Indicator {
	var out []indicator.Indicator
	for _, c := range manifest.CompareAttributes(b.Manifest, now) {
		name := string(c.Attribute)
		ev := map[string]any{"file": c.Path, "model_id": b.Model, "attribute": name, "old": c.Old, "new": c.New}
		if c.Name != "" {
			ev["name"] = c.Name
			name = "extended attribute " + artifact.Quote(c.Name)
		}
		i := indicator.New(indicator.ModelFileAttributes, b.Model, at,
			fmt.Sprintf("%s: the %s is %s and was %s%s", artifact.Quote(c.Path), name, shown(c.New), shown(c.Old), meaning(c)),
			ev, c.Path, string(c.Attribute), c.Name, c.New)
		i.Severity = severity(c)
		out = append(out, i)
	}
	return out
}

func shown(value string) string {
	if value == "" {
		return "absent"
	}
	return value
}

// writable are the bits of a mode with which somebody beside the owner gains
// something: rights from running the file, or writing to it.
const writable = fs.ModeSetuid | fs.ModeSetgid | 0o002

// severity is high where the change lets somebody write to the model, or gain
// rights by it, who could not before.
func severity(c manifest.AttributeChange) finding.Severity {
	high := false
	switch c.Attribute {
	case manifest.Mode:
		high = c.Got.Mode&^c.Want.Mode&writable != 0
	case manifest.Owner:
		high = true
	case manifest.Links:
		high = moreLinks(c)
	case manifest.Extended:
		high = c.Name == "security.capability"
	case manifest.Group:
	}
	if high {
		return finding.High
	}
	return finding.Medium
}

func moreLinks(c manifest.AttributeChange) bool {
	return c.Got.Attributes.Links > c.Want.Attributes.Links
}

func meaning(c manifest.AttributeChange) string {
	if c.Attribute == manifest.Links && moreLinks(c) {
		return "; whoever has the other name can write to the file from outside the model"
	}
	return ""
}
