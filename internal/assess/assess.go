// Package assess captures the evidence of the present state and seals it in
// an incident's log: the volatile first, then the model. It judges nothing.
package assess

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// Vault keeps evidence by content.
type Vault interface {
	// Put stores what r yields.
	Put(ctx context.Context, r io.Reader) (artifact.Digest, int64, error)
	// Capture stores a regular file below root in one reading; a file that
	// changes meanwhile is an Incomplete fault.
	Capture(ctx context.Context, root *os.Root, path string, o evidence.CaptureOptions) (evidence.Captured, error)
}

// Source is volatile evidence that is captured before the model is.
type Source struct {
	// Type is that of the evidence item, Origin where it comes from.
	Type, Origin string
	// Collect returns a value to be kept as JSON and what it lacks.
	Collect func(ctx context.Context) (value any, missing []string, err error)
	// Files, where set, is used instead: it returns files to be copied, each
	// an item of its own, and what could not be looked at.
	Files func(ctx context.Context) (held []Held, missing []string, err error)
}

// Result counts while evidence is captured.
type Result struct {
	incident.Assessed
	// direct is how many bytes were read past the page cache.
	direct int64
	reads  []directRead
	// early are the files that were captured while the manifest was taken.
	early map[string]early
}

// Assessor captures evidence of one model.
type Assessor struct {
	Vault Vault
	// Sources are captured first, in their order.
	Sources []Source
	// Workloads, where set, say what serves the model elsewhere, in a cluster.
	// Each must be captured for the evidence to count as sealed; the files at
	// the model's path are captured as well where there are any.
	Workloads []Source
	// After are captured behind the model: what does not disappear as fast.
	After []Source
	// Full captures every file of the model, not only what differs from the
	// baseline.
	Full bool
	// Known are the ids of the indicators that are in the log already.
	Known map[string]bool
	// Suspects are the paths of files that are captured while the manifest is
	// taken, because they will probably differ from the baseline. A wrong guess
	// costs time and nothing else.
	Suspects map[string]bool
	// Record appends to the incident's log.
	Record func(ctx context.Context, kind string, body any) error
	Now    func() time.Time
	// Progress is told what is being captured. May be nil.
	Progress func(what string)
}

// Run captures the evidence of the model. base is nil when there is no
// baseline to rely on, so that nothing can be called unchanged and everything
// is captured. What could not be captured is in the log with its reason; an
// error is trouble with the log itself.
func (a *Assessor) Run(ctx context.Context, m artifact.Model, base *baseline.Baseline, state *trust.State) (incident.Assessed, error) {
	result := Result{Assessed: incident.Assessed{Model: m.ID}}
	err := a.all(ctx, a.Workloads, &result)
	lost := result.Gaps
	if err == nil {
		err = a.all(ctx, a.Sources, &result)
	}
	switch _, absent := os.Lstat(m.Path); {
	case err != nil:
	case len(a.Workloads) > 0 && errors.Is(absent, fs.ErrNotExist):
		result.Sealed = true // what serves it is elsewhere
	default:
		err = a.files(ctx, m, base, state, &result)
	}
	if lost > 0 {
		result.Sealed, result.Reason = false, "the workloads could not be captured"
	}
	if err == nil {
		err = a.all(ctx, a.After, &result)
	}
	if err != nil {
		return result.Assessed, err
	}
	return result.Assessed, a.Record(ctx, incident.KindAssessed, result.Assessed)
}

// files captures what is at the model's path.
func (a *Assessor) files(ctx context.Context, m artifact.Model, base *baseline.Baseline, state *trust.State, result *Result) error {
	if err := a.attributes(ctx, m, result); err != nil {
		return err
	}
	if err := a.model(ctx, m, base, state, result); err != nil {
		return err
	}
	return a.directReads(ctx, m, result)
}

func (a *Assessor) all(ctx context.Context, sources []Source, result *Result) error {
	for _, s := range sources {
		if err := a.volatile(ctx, s, result); err != nil {
			return err
		}
	}
	return nil
}

func (a *Assessor) volatile(ctx context.Context, s Source, result *Result) error {
	a.progress(s.Type)
	if s.Files != nil {
		return a.heldFiles(ctx, s, result)
	}
	value, missing, err := s.Collect(ctx)
	if err != nil {
		return a.gap(ctx, result, evidence.Gap{Type: s.Type, Name: s.Type, Origin: s.Origin, Reason: err.Error()})
	}
	return a.document(ctx, result, evidence.Item{Type: s.Type, Name: s.Type, Origin: s.Origin, Missing: missing}, value)
}

// document seals a value as JSON.
func (a *Assessor) document(ctx context.Context, result *Result, item evidence.Item, value any) error {
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", item.Type, err)
	}
	item.CollectedAt = a.Now().UTC()
	item.SHA256, item.Size, err = a.Vault.Put(ctx, bytes.NewReader(data))
	if err != nil {
		return a.gap(ctx, result, evidence.Gap{Type: item.Type, Name: item.Name, Origin: item.Origin, Reason: err.Error()})
	}
	result.Items++
	return a.seal(ctx, item)
}

func (a *Assessor) seal(ctx context.Context, item evidence.Item) error {
	return a.Record(ctx, incident.KindSealed, item)
}

func (a *Assessor) gap(ctx context.Context, result *Result, g evidence.Gap) error {
	if err := ctx.Err(); err != nil {
		return err // stopped, not missing
	}
	result.Gaps++
	return a.Record(ctx, incident.KindGap, g)
}

func (a *Assessor) progress(what string) {
	if a.Progress != nil {
		a.Progress(what)
	}
}

// model seals the manifest, the signature and the files that matter. The
// evidence counts as sealed when all of them are in the vault.
func (a *Assessor) model(ctx context.Context, m artifact.Model, base *baseline.Baseline, state *trust.State, result *Result) error {
	a.progress("manifest")
	l := layout.Detect(m.Path)
	now, err := a.take(ctx, l, base, state, result)
	if err != nil {
		result.Reason = err.Error()
		return a.gap(ctx, result, evidence.Gap{Type: "manifest", Name: m.ID, Origin: m.Path, Reason: err.Error()})
	}
	m.Path = l.Source() // what the manifest's paths are relative to
	result.Root = now.Root()
	item := evidence.Item{Type: "manifest", Name: m.ID, Origin: m.Path}
	for _, p := range now.Problems {
		item.Missing = append(item.Missing, p.Path+": "+p.Reason)
	}
	before := result.Gaps
	if err := a.document(ctx, result, item, now); err != nil {
		return err
	}
	if base != nil {
		if err := a.document(ctx, result, evidence.Item{Type: "baseline", Name: m.ID, Origin: "the host's record"}, base.Manifest); err != nil {
			return err
		}
	}
	if result.Gaps > before {
		result.Reason = "the manifest could not be stored"
		return nil
	}
	if err := a.indicators(ctx, base, now, m.ID); err != nil {
		return err
	}
	return a.selected(ctx, m, now, selectFiles(now, base, state, a.Full), result)
}

// indicators records what the manifest shows against the baseline, unless the
// log has it from an earlier look.
func (a *Assessor) indicators(ctx context.Context, base *baseline.Baseline, now *manifest.Manifest, model string) error {
	found := baseline.Problems(model, now, a.Now())
	if base != nil {
		found = baseline.Compare(base, now, a.Now())
	}
	for _, i := range found {
		if a.Known[i.ID] {
			continue
		}
		if err := a.Record(ctx, incident.KindIndicator, i); err != nil {
			return err
		}
	}
	return nil
}

// files copies the selected files into the vault.
func (a *Assessor) selected(ctx context.Context, m artifact.Model, now *manifest.Manifest, selected map[string]string, result *Result) error {
	root, name, err := openModel(m.Path)
	if err != nil {
		result.Reason = err.Error()
		return a.gap(ctx, result, evidence.Gap{Type: "model_file", Name: m.ID, Origin: m.Path, Reason: err.Error()})
	}
	defer func() { _ = root.Close() }()
	result.Sealed = true
	for _, f := range now.Files {
		kind, ok := selected[f.Path]
		if !ok {
			continue
		}
		a.progress(f.Path)
		source, origin := f.Path, m.Path+"/"+f.Path
		if name != "" {
			source, origin = name, m.Path
		}
		if err := a.file(ctx, root, source, f, evidence.Item{Type: kind, Name: f.Path, Origin: origin}, result); err != nil {
			return err
		}
	}
	return a.unlisted(ctx, m, now, result)
}

// unlisted records what the walk could not list: files may be there that
// nothing is known of, so that the evidence is not complete.
func (a *Assessor) unlisted(ctx context.Context, m artifact.Model, now *manifest.Manifest, result *Result) error {
	for _, p := range now.Problems {
		listed := slices.ContainsFunc(now.Files, func(f artifact.File) bool {
			return p.Path == f.Path || p.Kind == manifest.Name && p.Path == strconv.Quote(f.Path)
		})
		if listed {
			continue
		}
		result.Sealed, result.Reason = false, artifact.Quote(p.Path)+" could not be captured: "+p.Reason
		if err := a.gap(ctx, result, evidence.Gap{Type: "model_file", Name: p.Path, Origin: m.Path, Reason: p.Reason}); err != nil {
			return err
		}
	}
	return nil
}

// file seals one file. What has no content to copy (a link, a pipe) is a gap
// that costs nothing: the manifest tells all there is to tell.
func (a *Assessor) file(ctx context.Context, root *os.Root, source string, f artifact.File, item evidence.Item, result *Result) error {
	g := evidence.Gap{Type: item.Type, Name: item.Name, Origin: item.Origin}
	if f.Kind != artifact.Regular {
		g.Reason = "a " + string(f.Kind) + " has no content to copy; it is in the manifest"
		return a.gap(ctx, result, g)
	}
	got, err := a.captured(ctx, root, source, f, result)
	if err != nil {
		g.Reason = err.Error()
		result.Sealed, result.Reason = false, artifact.Quote(f.Path)+" could not be captured: "+err.Error()
		return a.gap(ctx, result, g)
	}
	item.SHA256, item.Size, item.CollectedAt = got.SHA256, got.Size, got.at
	if item.SHA256 != f.Digest && !f.Digest.IsZero() {
		item.Missing = append(item.Missing, "the file changed after the manifest was taken, where it had "+f.Digest.String())
	}
	direct(source, got.Captured, &item, result)
	result.Items++
	return a.seal(ctx, item)
}

// openModel opens the directory that a model is. For a model that is one file
// it opens the one that file is in, and returns its name there; links on the
// way were meant by whoever named the path.
func openModel(path string) (root *os.Root, name string, err error) {
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return nil, "", fault.New(fault.Incomplete, "open model: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", fault.New(fault.Incomplete, "open model: %w", err)
	}
	if !info.IsDir() {
		path, name = filepath.Dir(path), filepath.Base(path)
	}
	root, err = os.OpenRoot(path)
	if err != nil {
		return nil, "", fault.New(fault.Incomplete, "open model: %w", err)
	}
	return root, name, nil
}
