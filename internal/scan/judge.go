package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/report"
	"github.com/weightwarden/weightwarden/internal/sniff"
)

// scanCase is one file with everything inside it, while it is judged. One
// goroutine has it.
type scanCase struct {
	opts     Options
	file     report.ScanFile
	tree     detect.Tree // nil where there is none
	findings []finding.Finding
	// dropped counts findings beyond the limit.
	dropped      int
	droppedWorst finding.Verdict
	output       int64 // bytes that came out of decompression
	memory       int64 // bytes kept at the moment
	full         bool  // the limit of members was reported
}

func newCase(path string, size int64, opts Options) *scanCase {
	return &scanCase{opts: opts, file: report.ScanFile{Path: path, Bytes: size, Format: artifact.Unknown}}
}

// artifactIn is one artifact: the file itself, or something inside it.
type artifactIn struct {
	name   string // as its container calls it, without the folders of a file
	member string // path inside the file; empty for the file itself
	data   *io.SectionReader
	depth  int
	opaque bool
	as     artifact.Format // as the container has it, or ""
}

// judge sniffs an artifact and gives it to the detectors that want it.
func (c *scanCase) judge(ctx context.Context, a artifactIn) {
	kind, err := sniff.Sniff(a.name, a.data, a.data.Size())
	if err != nil {
		c.own(detect.RuleUnread, a.member, 0, "the artifact could not be read: %v", err)
		return
	}
	if a.as != "" {
		kind = sniff.Result{Formats: []artifact.Format{a.as}}
	}
	if a.opaque && !c.hides(a, kind) {
		return
	}
	if a.depth == 0 {
		c.file.Format = kind.Is()
	}
	c.identity(a, kind)
	covered := map[artifact.Format]bool{artifact.Empty: true}
	for i, d := range c.opts.Detectors {
		info := c.opts.infos[i]
		for _, format := range wanted(info, kind) {
			if c.ask(ctx, d, info, a, format) && slices.Contains(info.Covers, format) {
				covered[format] = true
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
	for _, format := range kind.Formats {
		if !covered[format] {
			c.own(detect.RuleUnknown, a.member, 0, "no detector accounts for all of %s content", format)
		}
	}
}

// wanted returns the formats under which a detector sees the artifact: those
// it asks for, or the most telling one when it asks for every one.
func wanted(i detect.Info, kind sniff.Result) []artifact.Format {
	if len(i.Formats) == 0 {
		return []artifact.Format{kind.Is()}
	}
	return slices.DeleteFunc(kind.All(), func(f artifact.Format) bool { return !slices.Contains(i.Formats, f) })
}

// ask runs one detector and reports whether it came to its end.
func (c *scanCase) ask(ctx context.Context, d detect.Detector, info detect.Info, a artifactIn, format artifact.Format) (ended bool) {
	defer func() {
		if broke := recover(); broke != nil {
			ended = false
			c.own(detect.RuleUnread, a.member, -1, "the detector %s broke: %.200v", info.Name, broke)
		}
	}()
	in := detect.Input{
		Name: a.name, Format: format, Data: io.NewSectionReader(a.data, 0, a.data.Size()),
		Depth: a.depth, Deep: c.opts.Deep, Allowed: c.opts.Allowed,
	}
	if a.depth == 0 {
		in.Tree = c.tree
	}
	err := d.Detect(ctx, in, &sink{scanCase: c, info: info, in: a, names: map[string]bool{}})
	if err != nil && !errors.Is(err, errTime) && ctx.Err() == nil {
		c.own(detect.RuleUnread, a.member, -1, "%s: %v", info.Name, err)
	}
	return err == nil
}

// identity reports what the formats themselves tell.
func (c *scanCase) identity(a artifactIn, kind sniff.Result) {
	if len(kind.Formats) > 1 {
		names := make([]string, 0, len(kind.Formats))
		for _, f := range kind.Formats {
			names = append(names, string(f))
		}
		c.own(detect.RulePolyglot, a.member, 0, "the content is %s at once", strings.Join(names, " and "))
	}
	promised := artifact.Promised(a.name)
	if a.opaque {
		promised = nil
	}
	kept := func(f artifact.Format) bool { return slices.Contains(promised, f) }
	known := kind.Is() != artifact.Empty && kind.Is() != artifact.Unknown
	if promised != nil && known && !slices.ContainsFunc(kind.Formats, kept) {
		c.own(detect.RulePromise, a.member, 0, "the name promises %s, the content is %s", promised[0], kind.Is())
	}
}

// loadable are the formats that are worth hiding among numbers, with
// signatures long enough not to occur there by chance.
var loadable = []artifact.Format{
	artifact.Zip, artifact.Native, artifact.Pickle, artifact.TorchLegacy, artifact.HDF5, artifact.GGUF,
	artifact.NumPy, artifact.SevenZip, artifact.Tar, artifact.XZ,
}

// hides reports whether plain data is something that loads or runs, and says
// so.
func (c *scanCase) hides(a artifactIn, kind sniff.Result) bool {
	for _, f := range kind.Formats {
		if slices.Contains(loadable, f) && (f != artifact.Pickle || a.imports()) {
			c.own(detect.RuleHidden, a.member, 0, "plain data is %s", f)
			return true
		}
	}
	return false
}

// own reports a hit of the scanner itself.
func (c *scanCase) own(rule, member string, offset int64, format string, args ...any) {
	c.add(detect.Scanner(), detect.Hit{Rule: rule, Offset: offset, Summary: fmt.Sprintf(format, args...)}, member)
}

// add takes a hit.
func (c *scanCase) add(info detect.Info, h detect.Hit, member string) {
	f := c.finding(info, h, member)
	c.file.Verdict = max(c.file.Verdict, f.Verdict)
	if len(c.findings) >= c.opts.Limits.Findings {
		c.dropped++
		c.droppedWorst = max(c.droppedWorst, f.Verdict)
		return
	}
	c.findings = append(c.findings, f)
}

// maxEvidence is how many bytes of evidence a finding shows.
const maxEvidence = 64

func (c *scanCase) finding(info detect.Info, h detect.Hit, member string) finding.Finding {
	r, ok := info.Rule(h.Rule)
	if !ok { // a detector that forgets its table is found by a test; nothing is lost here
		r = detect.Rule{ID: h.Rule, Severity: finding.High, Verdict: finding.Suspicious}
	}
	f := finding.Finding{
		Rule: r.ID, Severity: r.Severity, Verdict: r.Verdict, File: c.file.Path, Member: member,
		Offset: h.Offset, Length: h.Length, Summary: h.Summary, Name: h.Name, Node: h.Node, Atlas: r.Techniques,
	}
	if h.Severity != 0 {
		f.Severity = h.Severity
	}
	if h.Verdict != 0 {
		f.Verdict = h.Verdict
	}
	if n := len(h.Evidence); n > 0 {
		f.Evidence = fmt.Sprintf("%q", h.Evidence[:min(n, maxEvidence)])
	}
	return f
}

// under is the path of a member inside the file.
func (a artifactIn) under(name string) string {
	if a.member == "" {
		return name
	}
	return a.member + "/" + name
}

// unpackedName is what to call the content of a compressed stream.
func unpackedName(name string) string {
	base := path.Base(name)
	if ext := path.Ext(base); ext != "" && ext != base {
		return strings.TrimSuffix(base, ext)
	}
	return base + " (decompressed)"
}

// imports reports whether plain data is a pickle by more than chance.
func (a artifactIn) imports() bool {
	head := make([]byte, min(a.data.Size(), sniff.HeadLength))
	n, _ := a.data.ReadAt(head, 0)
	return sniff.Imports(head[:n])
}
