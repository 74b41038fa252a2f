package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/report"
)

// scanFile judges one file of a tree.
func scanFile(ctx context.Context, p *place, name string, opts Options) outcome {
	f, before, err := openFile(p.root, name)
	if err != nil {
		return *p.skipped(name, err.Error())
	}
	defer func() { _ = f.Close() }()
	c := newCase(p.name(name), before.Size(), opts)
	c.tree = tree{p.root, path.Dir(name)}
	c.judgeFile(ctx, io.NewSectionReader(f, 0, before.Size()))
	if before.Size() <= opts.Limits.Hash || opts.Deep {
		c.file.SHA256, _, err = fsop.Hash(ctx, io.NewSectionReader(f, 0, before.Size()))
		if err != nil {
			c.own(detect.RuleUnread, "", -1, "the file could not be hashed: %v", err)
		}
	}
	after, err := f.Stat()
	if err != nil || !fsop.Unchanged(before, after) {
		c.own(detect.RuleUnread, "", -1, "the file changed while it was read")
	}
	return c.outcome()
}

// maxLinks is how many links in a row are followed.
const maxLinks = 16

// openFile opens a regular file. A link is followed, as long as it stays in
// the root.
func openFile(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	for range maxLinks {
		info, err := root.Lstat(name)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return fsop.OpenRegular(root, name)
		}
		target, err := root.Readlink(name)
		if err != nil {
			return nil, nil, err
		}
		if path.IsAbs(target) {
			return nil, nil, errors.New("is a link that leads out of what is scanned")
		}
		name = path.Join(path.Dir(name), target)
	}
	return nil, nil, errors.New("leads through too many links")
}

// Bytes judges an artifact that is not in a file system. It returns what
// [Run] tells about a file.
func Bytes(ctx context.Context, name string, data io.ReaderAt, size int64, opts Options) (report.ScanFile, []finding.Finding) {
	c := newCase(name, size, opts.filled())
	c.judgeFile(ctx, io.NewSectionReader(data, 0, size))
	o := c.outcome()
	return o.file, o.findings
}

// judgeFile judges the file as a whole, within the limit of time.
func (c *scanCase) judgeFile(ctx context.Context, data *io.SectionReader) {
	limited, stop := context.WithTimeoutCause(ctx, c.opts.Limits.Time, errTime)
	defer stop()
	c.judge(limited, artifactIn{name: path.Base(c.file.Path), data: io.NewSectionReader(guarded{limited, data}, 0, data.Size())})
	if ctx.Err() == nil && limited.Err() != nil {
		c.own(detect.RuleTime, "", -1, "judging took longer than %v", c.opts.Limits.Time)
	}
}

var errTime = errors.New("time limit")

// guarded ends every reader of a file when its time is up.
type guarded struct {
	ctx  context.Context //nolint:containedctx // the reader lives as long as one judgement
	data io.ReaderAt
}

func (g guarded) ReadAt(p []byte, off int64) (int, error) {
	if g.ctx.Err() != nil {
		return 0, context.Cause(g.ctx)
	}
	return g.data.ReadAt(p, off)
}

// outcome closes the case.
func (c *scanCase) outcome() outcome {
	slices.SortStableFunc(c.findings, finding.Compare)
	c.file.Verdict = max(c.file.Verdict, finding.Clean)
	if c.dropped > 0 {
		c.findings = append(c.findings, c.finding(detect.Scanner(), detect.Hit{
			Rule: detect.RuleManyMore, Offset: -1, Verdict: c.droppedWorst,
			Summary: fmt.Sprintf("%d more findings are not listed", c.dropped),
		}, ""))
	}
	for _, f := range c.findings {
		if f.Verdict == c.file.Verdict && c.file.Verdict != finding.Clean {
			c.file.Reason = f.Summary
			break
		}
	}
	slices.Sort(c.file.Facts)
	return outcome{file: c.file, findings: c.findings}
}

// tree is the model around a file, as detectors may see it.
type tree struct {
	root *os.Root
	dir  string
}

// Lstat implements [detect.Tree].
func (t tree) Lstat(name string) (detect.Entry, error) {
	full := path.Join(t.dir, name)
	if err := artifact.CheckPath(full); err != nil {
		return detect.Entry{}, err
	}
	for dir := path.Dir(full); dir != "."; dir = path.Dir(dir) {
		info, err := t.root.Lstat(dir)
		if err != nil {
			return detect.Entry{}, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return detect.Entry{File: artifact.File{Path: name}, ThroughLink: true}, nil
		}
	}
	info, err := t.root.Lstat(full)
	if err != nil {
		return detect.Entry{}, err
	}
	e := detect.Entry{File: artifact.File{Path: name, Kind: artifact.KindOf(info.Mode()), Size: info.Size(), Mode: info.Mode()}, Links: links(info)}
	if e.Kind == artifact.Symlink {
		e.Target, err = t.root.Readlink(full)
	}
	return e, err
}
