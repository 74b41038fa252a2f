package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/finding"
)

// ScanDocument is a scan as one JSON document.
type ScanDocument struct {
	Scanned  int               `json:"scanned"`
	Skipped  int               `json:"skipped"`
	Findings []finding.Finding `json:"findings"`
	// NotUnderstood lists, like findings, what made a verdict inconclusive.
	NotUnderstood []finding.Finding `json:"not_understood"`
	Files         []ScanFile        `json:"files"`
	Skips         []ScanSkip        `json:"skips"`
	Verdict       finding.Verdict   `json:"verdict"`
}

// ScanCollector is a handler that keeps the whole scan as a document.
type ScanCollector struct {
	Started  ScanStart
	Document ScanDocument
}

// NewScanCollector returns a collector with nothing in it.
func NewScanCollector() *ScanCollector {
	return &ScanCollector{Document: ScanDocument{
		Findings: []finding.Finding{}, NotUnderstood: []finding.Finding{}, Files: []ScanFile{}, Skips: []ScanSkip{},
	}}
}

// Start keeps the event.
func (c *ScanCollector) Start(s ScanStart) error { c.Started = s; return nil }

// Finding keeps the event.
func (c *ScanCollector) Finding(f finding.Finding) error {
	if f.Verdict == finding.Inconclusive {
		c.Document.NotUnderstood = append(c.Document.NotUnderstood, f)
	} else {
		c.Document.Findings = append(c.Document.Findings, f)
	}
	return nil
}

// File keeps the event.
func (c *ScanCollector) File(f ScanFile) error {
	c.Document.Files = append(c.Document.Files, f)
	return nil
}

// Skip keeps the event.
func (c *ScanCollector) Skip(s ScanSkip) error {
	c.Document.Skips = append(c.Document.Skips, s)
	return nil
}

// Summary keeps the event.
func (c *ScanCollector) Summary(s ScanSummary) error {
	c.Document.Scanned, c.Document.Skipped, c.Document.Verdict = s.Scanned, s.Skipped, s.Verdict
	return nil
}

// scanLine is one event on a line of its own: exactly one field is set.
type scanLine struct {
	Start   *ScanStart       `json:"start,omitempty"`
	Finding *finding.Finding `json:"finding,omitempty"`
	File    *ScanFile        `json:"file,omitempty"`
	Skip    *ScanSkip        `json:"skip,omitempty"`
	Summary *ScanSummary     `json:"summary,omitempty"`
}

// scanLines writes events as they come.
type scanLines struct{ enc *json.Encoder }

// NewScanLines returns a handler that writes one JSON object per event and
// line. It loses nothing: [ReplayScan] makes the same events of it.
func NewScanLines(w io.Writer) ScanHandler {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return scanLines{enc}
}

func (h scanLines) Start(s ScanStart) error         { return h.enc.Encode(scanLine{Start: &s}) }
func (h scanLines) Finding(f finding.Finding) error { return h.enc.Encode(scanLine{Finding: &f}) }
func (h scanLines) File(f ScanFile) error           { return h.enc.Encode(scanLine{File: &f}) }
func (h scanLines) Skip(s ScanSkip) error           { return h.enc.Encode(scanLine{Skip: &s}) }
func (h scanLines) Summary(s ScanSummary) error     { return h.enc.Encode(scanLine{Summary: &s}) }

// maxScanLine is the longest event that is read back, in bytes.
const maxScanLine = 1 << 20

// ReplayScan gives the events that [NewScanLines] wrote to another handler.
// A stream without its summary is an error: it was cut off.
func ReplayScan(r io.Reader, h ScanHandler) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxScanLine)
	ended := false
	for n := 1; lines.Scan(); n++ {
		var line scanLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("read scan events: line %d: %w", n, err)
		}
		if err := line.replay(h); err != nil {
			return fmt.Errorf("read scan events: line %d: %w", n, err)
		}
		ended = line.Summary != nil
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read scan events: %w", err)
	}
	if !ended {
		return fmt.Errorf("read scan events: no summary at the end: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

var errNoEvent = errors.New("no event that this program knows")

func (l scanLine) replay(h ScanHandler) error {
	switch {
	case l.Start != nil && l.Start.Protocol != ScanProtocol:
		return fmt.Errorf("protocol %d: %w", l.Start.Protocol, errNoEvent)
	case l.Start != nil:
		return h.Start(*l.Start)
	case l.Finding != nil:
		return h.Finding(*l.Finding)
	case l.File != nil:
		return h.File(*l.File)
	case l.Skip != nil:
		return h.Skip(*l.Skip)
	case l.Summary != nil:
		return h.Summary(*l.Summary)
	}
	return errNoEvent
}
