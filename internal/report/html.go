package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/timeline"
)

//go:embed report.gohtml
var page string

// WriteHTML writes the case as one self-contained page: no scripts, nothing
// loaded from elsewhere, a picture of the timeline, a form for printing. Text
// from outside cannot leave its place in the page.
func WriteHTML(w io.Writer, c Case) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return fmt.Errorf("read template of the report: %w", err)
	}
	return writing("report", t.Execute(w, htmlPage{Case: c, Picture: draw(c.Timeline), Tables: c.tables()}))
}

type htmlPage struct {
	Case
	Picture picture
	Tables  []htmlTable
}

// Title, Made, Head and Rating are what the top of the page shows.
func (p htmlPage) Title() string  { return cell(p.title()) }
func (p htmlPage) Made() string   { return stamp(p.ReportGenerated) }
func (p htmlPage) Rating() string { return p.Severity.String() }

// htmlTable is a table whose cells are text from anywhere.
type htmlTable struct {
	Title, None string
	Header      []string
	Rows        [][]string
}

// cell makes text from anywhere fit for the page; the template escapes it.
func cell(s string) string { return phrase(s, "") }

// tables are the sections of the page, in order.
func (c Case) tables() []htmlTable {
	out := []htmlTable{
		{"Overview", "", []string{"What", "Value"}, overview(c)},
		{"Times", "", timesHeader(), timesRows(c)},
		{"Recommendations", "Nothing in the record calls for one.", []string{"Recommendation", "Derived from"}, nil},
		{"Findings", "None.", []string{"Severity", "Type", "Where", "What", "MITRE ATLAS"}, nil},
		{"Timeline (UTC)", "None.", []string{"No.", "Time", "Source", "By", "What"}, nil},
		{"Containment and recovery", "No plan was made.", []string{"Plan", "Action", "Model", "Step", "Status", "Observation"}, nil},
		{"Evidence", "None was sealed.", []string{"Type", "Name", "Origin", "SHA-256", "Bytes", "Collected (UTC)", "Lacks"}, nil},
		{"Evidence that could not be captured", "None.", []string{"Type", "Name", "Origin", "Reason"}, nil},
		{"Deadlines", "None were evaluated.", deadlineHeader(), nil},
		{"Messages sent", "None were recorded.", sentHeader(), nil},
		{"Clauses", "None.", []string{"Framework", "Id", "Name", "State", "Follows from"}, nil},
		{"Deviations and waivers", "None were recorded.", []string{"What", "Where", "Detail"}, nil},
		{"Facts and notes", "None.", []string{"Name", "Value", "Reason", "By", "Time (UTC)"}, nil},
		{"Tasks", "None.", []string{"Task", "What", "Done"}, nil},
	}
	rows := [][][]string{
		2: c.recommendationRows(), 3: c.findingRows(), 4: c.timelineRows(), 5: c.planRows(), 6: c.evidenceRows(), 7: c.gapRows(),
		8: c.deadlineRows(), 9: c.sentRows(), 10: c.clauseRows(), 11: c.deviationRows(), 12: c.factRows(), 13: c.taskRows(),
	}
	for n := range out {
		if n < len(rows) && rows[n] != nil {
			out[n].Rows = rows[n]
		}
		for _, row := range out[n].Rows {
			for i := range row {
				row[i] = cell(row[i])
			}
		}
	}
	return out
}

func overview(c Case) [][]string {
	return [][]string{
		{"Summary", or(c.Summary, "none")},
		{"State", string(c.State)},
		{"Severity", c.Severity.String()},
		{"Models", strings.Join(c.Models, ", ")},
		{"Commander", or(c.Commander, "not named")},
		{"Detected", stamp(c.DetectedAt) + by(c.Method)},
		{"Declared", stamp(c.OpenedAt)},
		{"Closed", closed(c)},
		{"First bad", stamp(c.Metrics.FirstBad) + by(c.Metrics.Source)},
		{"Newest entry", stamp(c.UpdatedAt)},
	}
}

// picture is the timeline drawn to scale, in units of the SVG.
type picture struct {
	Width, Height int
	From, To      string
	Marks         []mark
}

type mark struct {
	X, Y, No int
	// Sort is the class that gives the mark its colour.
	Sort string
}

const (
	pictureWidth = 960
	lanes        = 4
	laneHeight   = 22
	margin       = 24
	maxMarks     = 400
)

// draw places the events on a line from the first to the last, in lanes so
// that neighbours stay apart. Of very many the first are drawn; the table has
// them all.
func draw(events []timeline.Event) picture {
	p := picture{Width: pictureWidth, Height: lanes*laneHeight + 2*margin, Marks: []mark{}}
	if len(events) == 0 {
		return p
	}
	first, last := events[0].Timestamp, events[len(events)-1].Timestamp
	p.From, p.To = stamp(first), stamp(last)
	whole := last.Sub(first)
	for n, e := range events[:min(len(events), maxMarks)] {
		x := margin
		if whole > 0 {
			x += int(float64(pictureWidth-2*margin) * float64(e.Timestamp.Sub(first)) / float64(whole))
		}
		p.Marks = append(p.Marks, mark{x, margin + n%lanes*laneHeight + laneHeight/2, n + 1, sortOf(e.Kind)})
	}
	return p
}

func sortOf(kind string) string {
	switch kind {
	case incident.KindIndicator, incident.KindFinding:
		return "sign"
	case incident.KindSealed, incident.KindGap, incident.KindAssessed:
		return "evidence"
	case incident.KindPlanned, incident.KindApproved, incident.KindIntent, incident.KindExecuted, incident.KindObserved, incident.KindRefused, incident.KindWaived:
		return "action"
	case incident.KindMessage, incident.KindMessageApproved, incident.KindMessageSent, incident.KindMessageAcknowledged:
		return "message"
	default:
		return "record"
	}
}
