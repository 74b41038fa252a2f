package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/report"
)

// place is an opened tree and where in it the scan starts.
type place struct {
	root *os.Root
	// start is the path in root to scan, shown how it and what is below are
	// called in the report.
	start, shown string
}

// openPlace opens what the user named. A snapshot of a hub cache is opened
// with the folder of blobs that its links lead to.
func openPlace(name string) (*place, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fault.New(fault.NotFound, "scan %s: %w", artifact.Quote(name), err).WithHint("check the path: it is a file or a directory")
	}
	dir, start := name, "."
	if !info.IsDir() {
		dir, start = filepath.Dir(name), filepath.Base(name)
	}
	if up, inside, ok := hubSnapshot(dir); ok {
		dir, start = up, path.Join(inside, start)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.New(fault.Incomplete, "scan %s: %w", artifact.Quote(name), err)
	}
	return &place{root: root, start: start, shown: filepath.ToSlash(filepath.Clean(name))}, nil
}

// hubSnapshot recognises DIR/snapshots/REVISION beside DIR/blobs.
func hubSnapshot(dir string) (up, inside string, ok bool) {
	abs, err := filepath.Abs(dir)
	if err != nil || filepath.Base(filepath.Dir(abs)) != "snapshots" {
		return "", "", false
	}
	up = filepath.Dir(filepath.Dir(abs))
	info, err := os.Lstat(filepath.Join(up, "blobs"))
	return up, path.Join("snapshots", filepath.Base(abs)), err == nil && info.IsDir()
}

// name is how the report calls a path of the tree.
func (p *place) name(inRoot string) string {
	if inRoot == p.start {
		return p.shown
	}
	rel := inRoot
	if p.start != "." {
		rel = strings.TrimPrefix(inRoot, p.start+"/")
	}
	return path.Join(p.shown, rel)
}

// job is one file on its way through the workers.
type job struct {
	path string // in the root
	done chan outcome
}

// outcome is all that is said about one path.
type outcome struct {
	file     report.ScanFile
	findings []finding.Finding
	skip     *report.ScanSkip
}

// scanPath scans one of the user's paths. Results are told in the order in
// which the walk came across them.
func scanPath(ctx context.Context, name string, opts Options, h report.ScanHandler, total *report.ScanSummary) error {
	p, err := openPlace(name)
	if err != nil {
		return err
	}
	defer func() { _ = p.root.Close() }()
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	work, order := make(chan job), make(chan job, 4*opts.Workers)
	for range opts.Workers {
		wg.Go(func() {
			for j := range work {
				j.done <- scanFile(ctx, p, j.path, opts)
			}
		})
	}
	wg.Go(func() {
		defer close(order)
		defer close(work)
		p.walk(ctx, func(j job, ready *outcome) bool { return queue(ctx, work, order, j, ready) })
	})
	return deliver(ctx, order, h, total)
}

// queue hands a file to the workers, or an outcome that is known already to
// whoever delivers. It reports whether to go on.
func queue(ctx context.Context, work, order chan<- job, j job, ready *outcome) bool {
	j.done = make(chan outcome, 1)
	select {
	case order <- j:
	case <-ctx.Done():
		return false
	}
	if ready != nil {
		j.done <- *ready
		return true
	}
	select {
	case work <- j:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver gives the outcomes to the handler.
func deliver(ctx context.Context, order <-chan job, h report.ScanHandler, total *report.ScanSummary) error {
	for j := range order {
		var o outcome
		select {
		case o = <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := tell(o, h, total); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func tell(o outcome, h report.ScanHandler, total *report.ScanSummary) error {
	if o.skip != nil {
		total.Skipped++
		total.Verdict = max(total.Verdict, finding.Inconclusive)
		return h.Skip(*o.skip)
	}
	for _, f := range o.findings {
		if err := h.Finding(f); err != nil {
			return err
		}
	}
	total.Scanned++
	total.Bytes += o.file.Bytes
	total.Verdict = max(total.Verdict, o.file.Verdict)
	return h.File(o.file)
}

// walk goes through the tree in order of names. Links to folders are not
// followed; where they lead inside the tree, it is looked at there.
func (p *place) walk(ctx context.Context, visit func(job, *outcome) bool) {
	err := fs.WalkDir(p.root.FS(), p.start, func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return fs.SkipAll
		case err != nil:
			return p.went(visit, p.skipped(name, err.Error()))
		case d.IsDir():
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			return p.link(name, visit)
		case !d.Type().IsRegular():
			return p.went(visit, p.skipped(name, fmt.Sprintf("is a %s, which no model needs", artifact.KindOf(d.Type()))))
		case !visit(job{path: name}, nil):
			return fs.SkipAll
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.SkipAll) {
		_ = p.went(visit, p.skipped(p.start, err.Error()))
	}
}

func (p *place) went(visit func(job, *outcome) bool, o *outcome) error {
	if !visit(job{}, o) {
		return fs.SkipAll
	}
	return nil
}

func (p *place) skipped(name, reason string) *outcome {
	return &outcome{skip: &report.ScanSkip{Path: p.name(name), Reason: reason}}
}

// link looks at what a link leads to when that is a file inside the tree.
func (p *place) link(name string, visit func(job, *outcome) bool) error {
	info, err := p.root.Stat(name)
	switch {
	case err != nil:
		return p.went(visit, p.skipped(name, "is a link that leads out of what is scanned, or nowhere: "+err.Error()))
	case info.IsDir():
		return nil
	case !info.Mode().IsRegular():
		return p.went(visit, p.skipped(name, fmt.Sprintf("is a link to a %s", artifact.KindOf(info.Mode()))))
	case !visit(job{path: name}, nil):
		return fs.SkipAll
	}
	return nil
}
