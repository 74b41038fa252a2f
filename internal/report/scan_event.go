package report

import (
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// ScanProtocol is the version of the events of a scan. Within a version,
// fields and events are only added.
const ScanProtocol = 1

// A ScanHandler receives the events of one scan, in order: what is known
// before, then for each file its findings and its end, then the end of all.
// Calls never overlap. An error ends the scan.
type ScanHandler interface {
	Start(ScanStart) error
	// Finding is one finding in the file whose end follows, or, with the
	// verdict Inconclusive, one thing there that was not understood.
	Finding(finding.Finding) error
	File(ScanFile) error
	// Skip is a path that was not looked at. A report without its skips would
	// claim more than was checked.
	Skip(ScanSkip) error
	// Summary is the last call. Formats that need the whole scan write now.
	Summary(ScanSummary) error
}

// ScanStart is what is known before the first file.
type ScanStart struct {
	Protocol int      `json:"protocol"`
	Version  string   `json:"version"`
	Paths    []string `json:"paths"`
	// Rules describe what findings refer to.
	Rules []ScanRule `json:"rules"`
}

// ScanRule is what a report says about a rule.
type ScanRule struct {
	ID       string           `json:"id"`
	Title    string           `json:"title"`
	Severity finding.Severity `json:"severity"`
	About    string           `json:"about"`
	Do       string           `json:"do"`
	Atlas    []string         `json:"atlas,omitempty"`
}

// ScanFile is the judgement over one file with everything inside it.
type ScanFile struct {
	Path    string          `json:"path"`
	Format  artifact.Format `json:"format"`
	Verdict finding.Verdict `json:"verdict"`
	// SHA256 is empty for a large file whose data was not read.
	SHA256 artifact.Digest `json:"sha256,omitzero"`
	Bytes  int64           `json:"bytes"`
	// Members counts what was judged inside the file.
	Members int `json:"members,omitempty"`
	// Reason is the first of what made the verdict, empty for a clean file.
	Reason string `json:"reason"`
	// Facts are remarks that bear on no verdict: "needs sklearn".
	Facts []string `json:"facts,omitempty"`
}

// ScanSkip is a path that was not looked at.
type ScanSkip struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// ScanSummary is the outcome of a scan.
type ScanSummary struct {
	// Scanned counts files looked at, Skipped paths that were not.
	Scanned int             `json:"scanned"`
	Skipped int             `json:"skipped"`
	Bytes   int64           `json:"bytes"`
	Verdict finding.Verdict `json:"verdict"`
}
