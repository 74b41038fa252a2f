package baseline

import (
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// Compare returns what differs between the baseline and the model as it is
// now, and what could not be compared.
func Compare(b *Baseline, now *manifest.Manifest, at time.Time) []indicator.Indicator {
	return CompareRanges(b, now, nil, at)
}

// CompareRanges is Compare with the differing bytes of changed files, where
// they are known, in the evidence.
func CompareRanges(b *Baseline, now *manifest.Manifest, ranges map[string][]manifest.Range, at time.Time) []indicator.Indicator {
	var out []indicator.Indicator
	for _, c := range manifest.Compare(b.Manifest, now) {
		i := changed(b.Model, c, at)
		if r := ranges[c.Path]; len(r) > 0 && c.Kind == manifest.Modified {
			i.Evidence["ranges"] = r
		}
		out = append(out, i)
	}
	out = append(out, attributes(b, now, at)...)
	return append(out, Problems(b.Model, now, at)...)
}

func changed(model string, c manifest.Change, at time.Time) indicator.Indicator {
	ev := map[string]any{
		"file": c.Path, "model_id": model,
		"expected_hash": c.Want.Digest.String(), "actual_hash": c.Got.Digest.String(),
	}
	addKind(ev, "expected_kind", c.Want)
	addKind(ev, "actual_kind", c.Got)
	switch c.Kind {
	case manifest.Missing:
		delete(ev, "actual_hash")
		return indicator.New(indicator.ModelFileMissing, model, at,
			fmt.Sprintf("%s is gone from the model", artifact.Quote(c.Path)), ev, c.Path)
	case manifest.Unexpected:
		delete(ev, "expected_hash")
		return indicator.New(indicator.UnexpectedModelFile, model, at,
			fmt.Sprintf("%s %s is in the model and not in its baseline", c.Got.Kind, artifact.Quote(c.Path)),
			ev, c.Path, string(c.Got.Kind), c.Got.Digest.String(), c.Got.Target)
	default:
		return indicator.New(indicator.ModelFileTampered, model, at,
			fmt.Sprintf("%s is not the %s of the baseline", artifact.Quote(c.Path), c.Want.Kind),
			ev, c.Path, string(c.Got.Kind), c.Got.Digest.String(), c.Got.Target)
	}
}

func addKind(ev map[string]any, key string, f artifact.File) {
	if f.Kind != "" && f.Kind != artifact.Regular {
		ev[key] = string(f.Kind)
	}
	if f.Target != "" {
		ev[key+"_target"] = f.Target
	}
}

// problemTypes says which indicator a problem of the walk is.
var problemTypes = map[manifest.ProblemKind]indicator.Type{
	manifest.Unstable:    indicator.ModelFileUnstable,
	manifest.Writer:      indicator.ModelFileWriter,
	manifest.LinkEscapes: indicator.ModelLinkEscapes,
}

// Problems returns an indicator for each path that could not be checked.
func Problems(model string, m *manifest.Manifest, at time.Time) []indicator.Indicator {
	var out []indicator.Indicator
	for _, p := range m.Problems {
		t, ok := problemTypes[p.Kind]
		if !ok {
			t = indicator.ModelFileUnreadable
		}
		what := "%s could not be checked: %s"
		if p.Kind == manifest.Writer {
			what = "%s is as it says only for now: %s"
		}
		out = append(out, indicator.New(t, model, at, fmt.Sprintf(what, artifact.Quote(p.Path), p.Reason),
			map[string]any{"file": p.Path, "model_id": model, "problem": string(p.Kind), "reason": p.Reason},
			p.Path, string(p.Kind)))
	}
	return out
}
