package assess

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// early is a file that was captured, and when.
type early struct {
	evidence.Captured
	at time.Time
}

// take observes the model. What will probably have to be captured is captured
// on the way: hashing is what takes long, and so it is done once. Which files
// are selected is decided afterwards, from the manifest alone.
func (a *Assessor) take(ctx context.Context, l layout.Layout, base *baseline.Baseline, state *trust.State, result *Result) (*manifest.Manifest, error) {
	root, name, err := openModel(l.Source())
	if err != nil {
		return l.Take(ctx, manifest.Options{}) // which says what is wrong
	}
	defer func() { _ = root.Close() }()
	result.early = map[string]early{}
	g := guess{base: files(base), suspects: a.Suspects, all: a.Full || base == nil}
	return l.Take(ctx, manifest.Options{Known: func(f artifact.File) (artifact.File, bool) {
		if !g.likely(f) {
			return f, false
		}
		a.progress(f.Path)
		source := cmp.Or(name, f.Path)
		at := a.Now().UTC()
		got, err := a.Vault.Capture(ctx, root, source, evidence.CaptureOptions{Direct: result.directLeft(), Wanted: func(d artifact.Digest) bool {
			_, denied := state.Denied(trust.File, d.String())
			return denied || g.wanted(f.Path, d)
		}})
		if err != nil {
			return f, false // it is read for the manifest, and captured again if it is selected
		}
		seen, ok := manifest.Observed(root, source, got.Info, got.SHA256)
		if !ok {
			return f, false
		}
		result.direct += got.Compared
		if got.Kept {
			result.early[f.Path] = early{got, at}
		}
		seen.Path = f.Path
		return seen, true
	}})
}

// captured returns the file as it was captured on the way, or captures it.
func (a *Assessor) captured(ctx context.Context, root *os.Root, source string, f artifact.File, result *Result) (early, error) {
	if got, ok := result.early[f.Path]; ok && got.SHA256 == f.Digest {
		return got, nil
	}
	at := a.Now().UTC()
	got, err := a.Vault.Capture(ctx, root, source, evidence.CaptureOptions{Direct: result.directLeft()})
	result.direct += got.Compared
	return early{got, at}, err
}

// directLeft returns how many bytes may still be read past the page cache.
func (r *Result) directLeft() int64 { return max(1, maxDirect-r.direct) }

// guess says which files will probably be selected, before they are read.
type guess struct {
	base     map[string]artifact.File
	suspects map[string]bool
	all      bool
}

func (g guess) likely(f artifact.File) bool {
	base, known := g.base[f.Path]
	return g.all || isSignature(f.Path) || g.suspects[f.Path] || !known ||
		base.Kind != f.Kind || base.Size != f.Size || !base.ModTime.Equal(f.ModTime)
}

// wanted reports whether a file that was read will be selected for its content.
func (g guess) wanted(path string, d artifact.Digest) bool {
	return g.all || isSignature(path) || g.base[path].Digest != d
}

// files returns what the baseline has, by path.
func files(base *baseline.Baseline) map[string]artifact.File {
	out := map[string]artifact.File{}
	if base != nil {
		for _, f := range base.Manifest.Files {
			out[f.Path] = f
		}
	}
	return out
}
