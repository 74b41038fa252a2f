// Package report makes the case report out of an incident and its timeline,
// as JSON and as Markdown.
//
// It reads no store and has no clock: the same case gives the same bytes. It
// does not judge; what it recommends, it says what it derives from.
package report

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/timeline"
)

// Case is the report on one incident. The first fields are the guide's.
type Case struct {
	IncidentID        string           `json:"incident_id"`
	ReportGenerated   time.Time        `json:"report_generated"`
	Timeline          []timeline.Event `json:"timeline"`
	Findings          []Finding        `json:"findings"`
	EvidenceDirectory string           `json:"evidence_directory"`
	Recommendations   []Recommendation `json:"recommendations"`

	State      incident.State   `json:"state"`
	Severity   finding.Severity `json:"severity"`
	Summary    string           `json:"summary"`
	Models     []string         `json:"models"`
	Commander  string           `json:"commander"`
	Method     string           `json:"detection_method"`
	DetectedAt time.Time        `json:"detected_at"`
	OpenedAt   time.Time        `json:"opened_at"`
	ClosedAt   time.Time        `json:"closed_at,omitzero"`
	Resolution string           `json:"resolution,omitempty"`
	Metrics    Metrics          `json:"metrics"`

	Facts         []incident.StatedFact      `json:"facts"`
	Indicators    []indicator.Indicator      `json:"indicators"`
	Inquiries     []incident.Inquiry         `json:"inquiries"`
	Plans         []incident.PlanState       `json:"plans"`
	Evidence      []evidence.Item            `json:"evidence"`
	Gaps          []evidence.Gap             `json:"evidence_missing"`
	Tasks         []incident.TaskState       `json:"tasks"`
	Messages      []incident.RenderedMessage `json:"messages"`
	Notes         []incident.WrittenNote     `json:"notes"`
	SelfApprovals []SelfApproval             `json:"self_approvals"`
	Refusals      []incident.Refused         `json:"refusals"`
	// Unknown lists entries that were written by a newer program and are not
	// understood here.
	Unknown []string `json:"unknown_entries"`
}

// Finding is what was found, by the investigation or by a check.
type Finding struct {
	// Origin is "investigation" or "indicator".
	Origin string `json:"origin"`
	// Type is the rule of a finding or the type of an indicator.
	Type     string           `json:"type"`
	Severity finding.Severity `json:"severity"`
	// Source is the model, or the file of a log.
	Source      string   `json:"source"`
	File        string   `json:"file,omitempty"`
	Description string   `json:"description"`
	Evidence    any      `json:"evidence,omitempty"`
	Atlas       []string `json:"atlas,omitempty"`
}

// Where findings come from.
const (
	ofInvestigations = "investigation"
	ofChecks         = "indicator"
)

// SelfApproval is a plan that was approved by who asked for it.
type SelfApproval struct {
	Plan   string      `json:"plan_hash"`
	Action action.Name `json:"action"`
	By     string      `json:"by"`
}

// NewCase assembles the report as of now. evidenceDir is where the sealed
// evidence lies.
func NewCase(inc *incident.Incident, events []timeline.Event, now time.Time, evidenceDir string) Case {
	c := Case{
		IncidentID: inc.ID, ReportGenerated: now.UTC(), Timeline: timeline.Merge(events), EvidenceDirectory: evidenceDir,
		State: inc.State, Severity: inc.Severity, Summary: inc.Summary, Models: list(inc.Models), Commander: inc.Commander,
		Method: inc.Method, DetectedAt: inc.DetectedAt, OpenedAt: inc.OpenedAt, ClosedAt: inc.ClosedAt,
		Resolution: inc.Resolution, Metrics: measure(inc),
		Facts: facts(inc), Indicators: list(inc.Indicators), Inquiries: list(inc.Inquiries), Plans: list(inc.Plans),
		Evidence: list(inc.Evidence), Gaps: list(inc.Gaps), Tasks: list(inc.Tasks), Messages: list(inc.Messages),
		Notes: list(inc.Notes), SelfApprovals: selfApprovals(inc), Refusals: list(inc.Refusals), Unknown: list(inc.Unknown),
	}
	c.Findings = findings(inc)
	c.Recommendations = recommend(c)
	return c
}

// list returns s, or an empty list: JSON readers get a list in any case.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func facts(inc *incident.Incident) []incident.StatedFact {
	out := make([]incident.StatedFact, 0, len(inc.Facts))
	for _, f := range inc.Facts {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b incident.StatedFact) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// findings joins what the investigation found with what the checks saw, worst
// first. An indicator that was seen again is listed once.
func findings(inc *incident.Incident) []Finding {
	out := []Finding{}
	for _, f := range inc.Findings {
		out = append(out, ofInvestigation(f))
	}
	seen := map[string]bool{}
	for _, i := range inc.Indicators {
		if i.ID == "" || !seen[i.ID] {
			seen[i.ID] = true
			out = append(out, ofIndicator(i))
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.File, b.File), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Description, b.Description),
		)
	})
	return out
}

func ofInvestigation(f finding.Finding) Finding {
	file := f.File
	if f.Member != "" {
		file += ": " + f.Member
	}
	out := Finding{
		Origin: ofInvestigations, Type: f.Rule, Severity: f.Severity, Source: "investigation", File: file,
		Description: f.Summary, Atlas: f.Atlas,
	}
	if f.Evidence != "" {
		out.Evidence = f.Evidence
	}
	return out
}

func ofIndicator(i indicator.Indicator) Finding {
	out := Finding{
		Origin: ofChecks, Type: string(i.Type), Severity: i.Severity, Source: i.Source, File: i.File(),
		Description: i.Description, Atlas: i.Atlas,
	}
	if len(i.Evidence) > 0 {
		out.Evidence = i.Evidence
	}
	return out
}

func selfApprovals(inc *incident.Incident) []SelfApproval {
	out := []SelfApproval{}
	for _, p := range inc.Plans {
		if p.Approval != nil && p.Approval.Self {
			out = append(out, SelfApproval{p.Hash.Hex(), p.Action, p.Approval.By})
		}
	}
	return out
}

// Metrics are durations in seconds. One that is not known, or would be
// negative because a stated time cannot be right, is absent.
type Metrics struct {
	// MTTD is from the first bad time to detection.
	MTTD *float64 `json:"mttd_seconds,omitempty"`
	// MTTC is from detection to containment as observed.
	MTTC *float64 `json:"mttc_seconds,omitempty"`
	// MTTR is from detection to recovery as observed.
	MTTR *float64 `json:"mttr_seconds,omitempty"`
	// Dwell is from the first bad time to containment.
	Dwell *float64 `json:"dwell_seconds,omitempty"`
	// FirstBad is the earliest moment from which the model has to be taken as
	// tampered with; Source says how that is known.
	FirstBad time.Time `json:"first_bad_at,omitzero"`
	Source   string    `json:"first_bad_source,omitempty"`
}

func measure(inc *incident.Incident) Metrics {
	bad, source := inc.FirstBad()
	if bad.IsZero() {
		source = ""
	}
	recovered := inc.MovedAt(action.Rollback)
	contained := cmp.Or(inc.MovedAt(action.Isolate), recovered)
	return Metrics{
		MTTD: seconds(bad, inc.DetectedAt), MTTC: seconds(inc.DetectedAt, contained),
		MTTR: seconds(inc.DetectedAt, recovered), Dwell: seconds(bad, contained),
		FirstBad: bad.UTC(), Source: source,
	}
}

func seconds(from, to time.Time) *float64 {
	if from.IsZero() || to.Before(from) {
		return nil
	}
	s := to.Sub(from).Seconds()
	return &s
}

// numbers formats a metric for people.
func numbers(s *float64) string {
	if s == nil {
		return "not known"
	}
	return strconv.FormatFloat(*s, 'f', 0, 64) + " s"
}
