package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// scanText writes when everything is known, worst first.
type scanText struct {
	*ScanCollector
	w io.Writer
}

// NewScanText returns a handler that writes the scan for people: the
// findings, what was not understood, and a last line that counts.
func NewScanText(w io.Writer) ScanHandler { return scanText{NewScanCollector(), w} }

// Summary writes the report.
func (h scanText) Summary(s ScanSummary) error {
	if err := h.ScanCollector.Summary(s); err != nil {
		return err
	}
	d := &h.Document
	slices.SortStableFunc(d.Findings, finding.Compare)
	p := &printer{w: h.w}
	for _, f := range d.Findings {
		p.scanFinding(f)
	}
	p.notUnderstood(d)
	p.facts(d.Files)
	p.printf("%s: %s scanned, %d malicious, %d suspicious, %d not understood, %d skipped\n", scanHeadline(d.Verdict), countText(s.Scanned, "file", "files"),
		countFiles(d.Files, finding.Malicious), countFiles(d.Files, finding.Suspicious), countFiles(d.Files, finding.Inconclusive), s.Skipped)
	if p.err != nil {
		return fmt.Errorf("write report: %w", p.err)
	}
	return nil
}

// scanHeadline never says clean of what was not understood.
func scanHeadline(v finding.Verdict) string {
	if v == finding.Inconclusive {
		return "not understood"
	}
	return v.String()
}

func countText(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func countFiles(files []ScanFile, v finding.Verdict) (n int) {
	for _, f := range files {
		if f.Verdict == v {
			n++
		}
	}
	return n
}

func (p *printer) scanFinding(f finding.Finding) {
	p.printf("%-10s  %-8s  %s  %s\n", f.Verdict, f.Severity, f.Rule, place(f))
	p.printf("            %s\n", f.Summary)
	if f.Evidence != "" {
		p.printf("            evidence: %s\n", f.Evidence)
	}
}

// place is where a finding is: file, member and offset.
func place(f finding.Finding) string {
	s := artifact.Quote(f.File)
	if f.Member != "" {
		s += " : " + artifact.Quote(f.Member)
	}
	if f.Offset >= 0 {
		s += fmt.Sprintf(" @ %d", f.Offset)
	}
	return s
}

func (p *printer) notUnderstood(d *ScanDocument) {
	if len(d.NotUnderstood) == 0 && len(d.Skips) == 0 {
		return
	}
	p.printf("not understood, and so not clean:\n")
	for _, f := range d.NotUnderstood {
		p.printf("  %s  %s: %s\n", f.Rule, place(f), f.Summary)
	}
	for _, s := range d.Skips {
		p.printf("  skipped      %s: %s\n", artifact.Quote(s.Path), artifact.Quote(s.Reason))
	}
}

// facts lists remarks once, with the number of files they were made on.
func (p *printer) facts(files []ScanFile) {
	counts := map[string]int{}
	for _, f := range files {
		for _, fact := range f.Facts {
			counts[fact]++
		}
	}
	facts := make([]string, 0, len(counts))
	for fact := range counts {
		facts = append(facts, fact)
	}
	slices.SortFunc(facts, func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	for _, fact := range facts {
		p.printf("note: %s (%s)\n", artifact.Quote(fact), countText(counts[fact], "file", "files"))
	}
}
