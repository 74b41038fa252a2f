package check

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/layout"
)

// structure returns what the layout shows by itself. What has no name that
// says what it should contain is a doubt only until somebody vouches for it.
func (c *Checker) structure(o *observation, vouched bool) []indicator.Indicator {
	var out []indicator.Indicator
	for _, m := range o.layout.Mismatches {
		out = append(out, c.misnamed(o, m))
	}
	for _, p := range o.layout.Problems {
		t := indicator.ModelLayoutInvalid
		switch {
		case p.Class == layout.Note, p.Class == layout.Unverified && vouched:
			continue
		case p.Class == layout.Unverified:
			t = indicator.ModelLayoutUnverified
		}
		out = append(out, indicator.New(t, o.model.ID, c.Now(),
			fmt.Sprintf("%s: %s", artifact.Quote(p.Path), p.Reason),
			map[string]any{"file": p.Path, "model_id": o.model.ID, "layout": string(o.layout.Kind), "problem": p.Kind, "reason": p.Reason},
			p.Path, p.Kind, p.Reason))
	}
	return out
}

// misnamed is content that is not what its name says: tampered with, whatever
// the baseline says and before there is one.
func (c *Checker) misnamed(o *observation, m layout.Mismatch) indicator.Indicator {
	ev := map[string]any{
		"file": m.File, "model_id": o.model.ID, "layout": string(o.layout.Kind), "hash_algorithm": m.Algorithm,
		"expected_hash": m.ExpectedHash, "actual_hash": m.ActualHash, "expected_by": "name",
	}
	if len(m.Names) > 0 {
		ev["names"] = m.Names
	}
	t := indicator.ModelFileTampered
	if m.Kind == layout.Missing {
		t = indicator.ModelFileMissing
		delete(ev, "actual_hash")
	}
	return indicator.New(t, o.model.ID, c.Now(), fmt.Sprintf("%s: %s", artifact.Quote(m.File), m.Reason), ev, m.File, "name", m.ActualHash)
}

// withoutRepeats leaves out of more what found says already of the same file.
func withoutRepeats(found, more []indicator.Indicator) []indicator.Indicator {
	said := map[[2]string]bool{}
	for _, i := range found {
		said[[2]string{string(i.Type), i.File()}] = true
	}
	for _, i := range more {
		if i.File() == "" || !said[[2]string{string(i.Type), i.File()}] || i.Class() != indicator.Found || i.Type == indicator.ModelLayoutInvalid {
			found = append(found, i)
		}
	}
	return found
}
