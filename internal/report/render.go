package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// WriteJSON writes the case as one JSON document.
func WriteJSON(w io.Writer, c Case) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(c); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// WriteMarkdown writes the case for people. What comes from outside (names,
// descriptions, notes) cannot change the structure of the document, nor bring
// HTML into it.
func WriteMarkdown(w io.Writer, c Case) error {
	p := &printer{w: w}
	p.head(c)
	p.recommendations(c)
	p.findings(c)
	p.timeline(c)
	p.plans(c)
	p.inquiries(c)
	p.evidence(c)
	p.people(c)
	p.deadlines(c)
	p.clauses(c)
	p.record(c)
	if p.err != nil {
		return fmt.Errorf("write report: %w", p.err)
	}
	return nil
}

// printer keeps the first error, so that the sections read like the report.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// table writes a table whose cells are text from anywhere.
func (p *printer) table(header []string, rows [][]string) {
	p.printf("| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, row := range rows {
		cells := make([]string, 0, len(row))
		for _, cell := range row {
			cells = append(cells, text(cell))
		}
		p.printf("| %s |\n", strings.Join(cells, " | "))
	}
	p.printf("\n")
}

// section writes a heading and, when there are no rows, none instead of the
// table.
func (p *printer) section(title, none string, header []string, rows [][]string) {
	p.printf("## %s\n\n", title)
	if len(rows) == 0 {
		p.printf("%s\n\n", none)
		return
	}
	p.table(header, rows)
}

func (p *printer) head(c Case) {
	p.printf("# Incident %s\n\nReport made %s.\n\n", text(c.IncidentID), stamp(c.ReportGenerated))
	p.table([]string{"What", "Value"}, [][]string{
		{"Summary", or(c.Summary, "none")},
		{"State", string(c.State)},
		{"Severity", c.Severity.String()},
		{"Models", strings.Join(c.Models, ", ")},
		{"Commander", or(c.Commander, "not named")},
		{"Detected", stamp(c.DetectedAt) + by(c.Method)},
		{"Declared", stamp(c.OpenedAt)},
		{"Closed", closed(c)},
		{"First bad", stamp(c.Metrics.FirstBad) + by(c.Metrics.Source)},
	})
	p.printf("## Times\n\n")
	p.table(timesHeader(), timesRows(c))
}

func timesHeader() []string { return []string{"Figure", "From", "To", "Took", "Target", "Met"} }

func timesRows(c Case) (rows [][]string) {
	for _, m := range c.Metrics.Measured {
		target, met := "none", ""
		if m.Target > 0 {
			target = numbers(&m.Target)
		}
		if m.Met != nil {
			met = map[bool]string{true: "yes", false: "no"}[*m.Met]
		}
		rows = append(rows, []string{m.Name, m.From, m.To, numbers(m.Seconds), target, met})
	}
	return rows
}

func (p *printer) recommendations(c Case) {
	p.printf("## Recommendations\n\n")
	if len(c.Recommendations) == 0 {
		p.printf("None: nothing in the record calls for one.\n\n")
		return
	}
	for n, r := range c.Recommendations {
		p.printf("%d. %s\n   Derived from: %s.\n", n+1, text(r.Text), text(strings.Join(r.From, "; ")))
	}
	p.printf("\n")
}

func (p *printer) findings(c Case) {
	var rows [][]string
	for _, f := range c.Findings {
		rows = append(rows, []string{f.Severity.String(), f.Type, f.Source, f.File, f.Description, shown(f.Evidence), strings.Join(f.Atlas, ", ")})
	}
	p.section("Findings", "None were made. That is no proof of health: see below what was looked at.",
		[]string{"Severity", "Type", "Source", "File", "Description", "Evidence", "ATLAS"}, rows)
}

func (p *printer) timeline(c Case) {
	var rows [][]string
	for _, e := range c.Timeline {
		rows = append(rows, []string{stamp(e.Timestamp), e.Source, e.Description, e.Actor})
	}
	p.section("Timeline", "Empty.", []string{"Time (UTC)", "Source", "What happened", "By"}, rows)
}

func (p *printer) plans(c Case) {
	var rows [][]string
	for _, plan := range c.Plans {
		approved := "not approved"
		if a := plan.Approval; a != nil {
			approved = "approved by " + a.By
		}
		for _, s := range plan.Steps {
			rows = append(rows, []string{string(plan.Action), plan.Model, s.ID, s.Summary, string(s.Status), or(s.Observation.Detail, s.Error), approved})
		}
	}
	p.section("Containment and recovery", "No plan was made.",
		[]string{"Action", "Model", "Step", "What", "Status", "Observed", "Approval"}, rows)
}

func (p *printer) inquiries(c Case) {
	var rows [][]string
	for _, q := range c.Inquiries {
		rows = append(rows, []string{
			q.Model, fmt.Sprint(q.Files), strings.Join(q.Unread, ", "), strings.Join(q.Logs, ", "), or(q.Reference, "none"), compared(q.Comparison),
		})
	}
	p.section("What was investigated", "Nothing yet.",
		[]string{"Model", "Files read", "Not readable", "Logs", "Reference", "Comparison"}, rows)
}

func (p *printer) evidence(c Case) {
	var rows [][]string
	for _, e := range c.Evidence {
		rows = append(rows, []string{e.Type, e.Name, e.Origin, e.SHA256.Hex(), fmt.Sprint(e.Size), stamp(e.CollectedAt), strings.Join(e.Missing, "; ")})
	}
	p.section("Evidence", "None was sealed.",
		[]string{"Type", "Name", "Origin", "SHA-256", "Bytes", "Collected", "Lacks"}, rows)
	if len(c.Evidence) > 0 {
		p.printf("Kept in %s.\n\n", text(c.EvidenceDirectory))
	}
	rows = nil
	for _, g := range c.Gaps {
		rows = append(rows, []string{g.Type, g.Name, g.Origin, g.Reason})
	}
	p.section("Evidence that could not be captured", "No gap was recorded.", []string{"Type", "Name", "Origin", "Reason"}, rows)
}

// people writes what people have to do and what they said.
func (p *printer) people(c Case) {
	var rows [][]string
	for _, t := range c.Tasks {
		rows = append(rows, []string{t.ID, t.Text, or(stamp(t.DoneAt), "open")})
	}
	p.section("Tasks", "None.", []string{"Task", "What", "Done"}, rows)
	rows = nil
	for _, m := range c.Messages {
		rows = append(rows, []string{stamp(m.At), m.Template, fmt.Sprint(m.Number), m.SHA256.Hex(), strings.Join(m.Open, ", ")})
	}
	p.section("Messages", "None were written.", []string{"Time (UTC)", "Template", "Number", "SHA-256", "Left open"}, rows)
	rows = nil
	for _, f := range c.Facts {
		rows = append(rows, []string{f.Name, f.Value, f.Reason, f.By, stamp(f.At)})
	}
	for _, n := range c.Notes {
		rows = append(rows, []string{"note", n.Text, "", n.By, stamp(n.At)})
	}
	p.section("Facts and notes", "None.", []string{"Name", "Value", "Reason", "By", "Time (UTC)"}, rows)
}

// record writes what a reader has to know about the record itself.
func (p *printer) record(c Case) {
	var rows [][]string
	for _, d := range c.Deviations {
		rows = append(rows, []string{d.Kind, d.Where, d.Detail})
	}
	p.section("Deviations", "None were recorded.", []string{"What", "Where", "Detail"}, rows)
}

func compared(c *incident.Comparison) string {
	if c == nil {
		return "not made"
	}
	return fmt.Sprintf("modified: %s; only in the suspect: %s; only in the reference: %s; identical: %d",
		names(c.Modified), names(c.OnlyInCompromised), names(c.OnlyInReference), len(c.Identical))
}

func names(s []string) string { return or(strings.Join(s, ", "), "none") }

// shown returns evidence as compact JSON, or as it is when it is text.
func shown(v any) string {
	if s, ok := v.(string); ok || v == nil {
		return s
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "cannot be shown"
	}
	return string(data)
}

func closed(c Case) string {
	if c.ClosedAt.IsZero() {
		return "no"
	}
	return stamp(c.ClosedAt) + by(c.Resolution)
}

func by(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// stamp writes a time for people and programs alike, or nothing.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// maxCell bounds what one value takes in the Markdown report, in bytes; the
// JSON report has it in full.
const maxCell = 2000

// text makes s harmless in Markdown: one line, without control characters,
// and with every character that Markdown or HTML could take as theirs escaped.
func text(s string) string {
	cut := ""
	if len(s) > maxCell {
		cut = fmt.Sprintf(" … (%d bytes in all)", len(s))
		s = s[:maxCell]
		for !utf8.ValidString(s) && len(s) > maxCell-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	return escaper.Replace(artifact.Quote(strings.TrimSpace(s))) + cut
}

var escaper = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "\\|", "`", "\\`", "\\", "\\\\", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]",
	"#", "\\#", "~", "\\~", "!", "\\!", "$", "\\$", "{", "\\{", "}", "\\}", "://", ":&#47;/", "www.", "www&#46;", "@", "&#64;",
)
