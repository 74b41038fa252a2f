// Package scan judges model artifacts without loading them: it walks files,
// says by content what they are, gives each to the detectors that want it,
// does the same with whatever is inside, holds the limits, and tells a handler
// what it sees.
//
// A file is clean only when every byte of it and of what is inside was
// accounted for by a detector that covers the format, see package detect.
// What could not be read or was not understood makes it inconclusive; what
// was found outweighs that.
//
// The package starts no process, opens no connection, writes no file and
// extracts nothing to disk. It knows no format, and no detector by name.
package scan

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/report"
)

// Limits bound the work on one file with everything inside it. A zero field
// has its default. Each limit has a finding of its own when it is reached.
type Limits struct {
	// Depth is how many containers may be around an artifact: 10.
	Depth int
	// Members is how many artifacts may be inside: 100 000.
	Members int
	// Output is how many bytes may come out of decompression, beyond four
	// times the file's size: 1 GiB.
	Output int64
	// Time is how long the work may take: 2 minutes.
	Time time.Duration
	// Memory is how much decompressed data is kept to read it at random:
	// 24 MiB. What is larger is decompressed again where a reader goes back.
	Memory int64
	// Hash is the size up to which a file is hashed without Deep: 256 MiB.
	Hash int64
	// Findings is how many findings are listed: 500.
	Findings int
}

func (l Limits) filled() Limits {
	return Limits{
		Depth: cmp.Or(l.Depth, 10), Members: cmp.Or(l.Members, 100_000), Output: cmp.Or(l.Output, 1<<30),
		Time: cmp.Or(l.Time, 2*time.Minute), Memory: cmp.Or(l.Memory, 24<<20), Hash: cmp.Or(l.Hash, 256<<20),
		Findings: cmp.Or(l.Findings, 500),
	}
}

// Options say how to scan.
type Options struct {
	// Detectors are asked, in this order.
	Detectors []detect.Detector
	// Allowed are names that the operator's policy adds. May be nil.
	Allowed detect.Names
	// Deep also reads what is only data, and hashes files of any size.
	Deep    bool
	Limits  Limits
	Workers int    // 0 is one per processor, at most 4
	Version string // of the program, for the report

	infos []detect.Info // of Detectors
}

func (o Options) filled() Options {
	o.Limits = o.Limits.filled()
	o.Workers = cmp.Or(o.Workers, min(runtime.GOMAXPROCS(0), 4))
	if o.Allowed == nil {
		o.Allowed = noNames{}
	}
	for _, d := range o.Detectors {
		o.infos = append(o.infos, d.Info())
	}
	return o
}

// noNames allows nothing beyond what detectors allow themselves.
type noNames struct{}

func (noNames) Allows(string, string) bool { return false }

// Run scans the files and directories at paths and gives the events to h, in
// the order of paths and names however many files are judged at once. What
// is wrong with a file is an event; the error is h's, the context's, or that a
// path could not be opened at all.
func Run(ctx context.Context, paths []string, opts Options, h report.ScanHandler) (report.ScanSummary, error) {
	opts = opts.filled()
	total := report.ScanSummary{Verdict: finding.Clean}
	if err := h.Start(report.ScanStart{Protocol: report.ScanProtocol, Version: opts.Version, Paths: paths, Rules: rulesOf(opts.infos)}); err != nil {
		return total, err
	}
	for _, path := range paths {
		if err := scanPath(ctx, path, opts, h, &total); err != nil {
			return total, err
		}
	}
	return total, h.Summary(total)
}

// rulesOf lists the rules of the scanner and the detectors, by id.
func rulesOf(infos []detect.Info) []report.ScanRule {
	var rules []report.ScanRule
	for _, i := range append([]detect.Info{detect.Scanner()}, infos...) {
		for _, r := range i.Rules {
			rules = append(rules, report.ScanRule{ID: r.ID, Title: r.Title, Severity: r.Severity, About: r.About, Do: r.Do, Atlas: r.Techniques})
		}
	}
	slices.SortFunc(rules, func(a, b report.ScanRule) int { return cmp.Compare(a.ID, b.ID) })
	return rules
}
