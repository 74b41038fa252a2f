package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
)

// deployed is the result of verify: what the signature says, and what the
// layout in which the model is deployed says by itself. Layout is nil when
// the model could not be looked at.
type deployed struct {
	*oms.Result
	Layout *layout.Report `json:"layout"`
}

// verifyDeployed verifies a model as it is deployed, hashing it once.
func verifyDeployed(ctx context.Context, path string, o oms.VerifyOptions) (*deployed, error) {
	l := layout.Detect(path)
	now, err := l.Take(ctx, manifest.Options{Workers: o.Workers, Progress: o.Progress})
	if kind := fault.KindOf(err); path == "" || kind == fault.NotFound || kind == fault.Incomplete {
		r, err := oms.Verify(ctx, path, o) // which says so in its own form
		return &deployed{Result: r}, err
	}
	if err != nil {
		return nil, err
	}
	report, err := l.Verify(ctx, now)
	if err != nil {
		return nil, err
	}
	view, locate := l.View(now)
	source := oms.Source{Path: path, Manifest: view}
	if l.Kind == layout.HubSnapshot {
		source.Tree, source.Locate = l.Tree, locate
	}
	r, err := oms.VerifyManifest(ctx, source, o)
	if err != nil {
		return nil, err
	}
	v := &deployed{r, report}
	v.add()
	return v, nil
}

// add brings what the layout shows into the result. Content that contradicts
// its own name was changed, whoever signed it or nobody.
func (v *deployed) add() {
	for _, m := range v.Layout.Mismatches {
		for _, name := range namesInModel(v.Layout.Layout, m) {
			v.addMismatch(oms.Mismatch{File: name, Kind: m.Kind, ExpectedHash: m.ExpectedHash, ActualHash: m.ActualHash})
		}
		v.Reasons = append(v.Reasons, artifact.Quote(m.File)+": "+m.Reason)
	}
	doubts := 0
	for _, p := range v.Layout.Problems {
		if p.Class != layout.Note {
			v.Reasons = append(v.Reasons, artifact.Quote(p.Path)+": "+p.Reason)
		}
		if p.Class == layout.Unverified {
			doubts++
		}
	}
	switch {
	case !v.Layout.Sound():
		v.Verdict = oms.Tampered
	case v.Layout.Verified > 0 && v.Verdict == oms.Untrusted && doubts == 0:
		v.Reasons = append(v.Reasons, fmt.Sprintf("the content of all %d named files matches the hashes that name them; that says nothing of who made them", v.Layout.Verified))
	}
}

func (v *deployed) addMismatch(m oms.Mismatch) {
	if !slices.ContainsFunc(v.Mismatches, func(o oms.Mismatch) bool { return o.File == m.File && o.Kind == m.Kind }) {
		v.Mismatches = append(v.Mismatches, m)
	}
}

// namesInModel are the names under which a loader sees a blob: the links that
// lead to it, else its own path.
func namesInModel(l layout.Layout, m layout.Mismatch) []string {
	if l.Kind != layout.HubSnapshot || len(m.Names) == 0 {
		return []string{m.File}
	}
	prefix := "snapshots/" + l.Revision + "/"
	names := make([]string, 0, len(m.Names))
	for _, name := range m.Names {
		names = append(names, strings.TrimPrefix(name, prefix))
	}
	return names
}

func printLayout(p *printer, r *layout.Report) {
	if r == nil || r.Kind == layout.Directory || r.Kind == layout.File {
		return
	}
	p.printf("layout      %s", r.Kind)
	if r.Repository != "" {
		p.printf("  %s %s", artifact.Quote(r.Repository), r.Revision)
	}
	if len(r.Flavors) > 0 {
		p.printf("  %s", artifact.Quote(strings.Join(r.Flavors, ", ")))
	}
	if r.Verified > 0 {
		p.printf("  (%s matching the hash in its name)", plural(r.Verified, "file", "files"))
	}
	p.printf("\n")
	for _, c := range r.Contents {
		p.printf("  %-10s  %s  %s\n", bytesText(c.Size), short(c.Digest), artifact.Quote(c.Title))
	}
}
