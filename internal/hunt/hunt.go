// Package hunt looks for suspicious activity in pipeline logs.
//
// It knows lines of text and literal patterns. It does not know log dialects,
// jobs or steps, does not decode what is encoded or compressed (such a file is
// reported as not searched), and a match alone proves nothing.
package hunt

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// Limits bound a search. A zero field stands for its default.
type Limits struct {
	// Hits is the number of matching lines kept per rule and file; 10.
	Hits int
	// Text is the number of characters shown around a match; 300.
	Text int
	// Buffer is the number of bytes held of a log; 256 KiB, at least 64 KiB.
	// Longer lines are searched in overlapping pieces.
	Buffer int
}

func (l Limits) filled() Limits {
	return Limits{Hits: cmp.Or(l.Hits, 10), Text: cmp.Or(l.Text, 300), Buffer: max(cmp.Or(l.Buffer, 256<<10), 64<<10)}
}

// Hit is the first match of one rule in one line.
type Hit struct {
	Rule     string           `json:"rule"`
	Title    string           `json:"title"`
	Severity finding.Severity `json:"severity"`
	File     string           `json:"file"`
	// Line counts from 1; 0 where the hit is about the whole file.
	Line int `json:"line"`
	// Offset is where the match starts, in bytes from the start of the file;
	// -1 where the hit is about the whole file.
	Offset int64 `json:"offset"`
	// Time is the time at the start of the line, if one can be read there.
	Time time.Time `json:"time,omitzero"`
	// Text is the line around the match, without control characters and with
	// secrets masked.
	Text string `json:"text"`
}

// Finding returns the hit as an incident records it.
func (h Hit) Finding() finding.Finding {
	summary := h.Title
	if h.Line > 0 {
		summary = fmt.Sprintf("%s (line %d)", h.Title, h.Line)
	}
	return finding.Finding{
		Rule: h.Rule, Severity: h.Severity, Verdict: finding.Suspicious, File: h.File, Offset: h.Offset,
		Summary: summary, Evidence: h.Text, Atlas: AtlasOf(h.Rule),
	}
}

// File says how far a log was searched, in lines and bytes.
type File struct {
	Path  string `json:"path"`
	Lines int    `json:"lines"`
	Bytes int64  `json:"bytes"`
	// Problem says why the log, or the rest of it, was not searched.
	Problem string `json:"problem,omitempty"`
}

// Result is what a search came to.
type Result struct {
	Findings []Hit    `json:"findings"`
	Facts    []string `json:"facts"`
	Files    []File   `json:"files"`
	// Suppressed counts matching lines beyond [Limits.Hits] per rule and
	// file.
	Suppressed int `json:"suppressed"`
}

func newResult() Result { return Result{Findings: []Hit{}, Facts: []string{}, Files: []File{}} }

func (r *Result) add(other Result) {
	r.Findings = append(r.Findings, other.Findings...)
	r.Facts = append(r.Facts, other.Facts...)
	r.Files = append(r.Files, other.Files...)
	r.Suppressed += other.Suppressed
}

// problem records that a log, or the rest of it, was not searched, which is a
// finding of its own.
func (r *Result) problem(file File, reason string) {
	file.Problem = reason
	r.Files = append(r.Files, file)
	r.Findings = append(r.Findings, Hit{
		Rule: notSearched.ID, Title: notSearched.Title, Severity: notSearched.Severity,
		File: file.Path, Offset: -1, Text: artifact.Quote(reason),
	})
}

// Compare orders hits by file, line, rule and place.
func Compare(a, b Hit) int {
	return cmp.Or(
		cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Offset, b.Offset),
	)
}

func (r *Result) sort() { slices.SortStableFunc(r.Findings, Compare) }
