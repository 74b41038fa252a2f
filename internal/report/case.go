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
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/playbook"
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
	// UpdatedAt is the time of the newest entry. Exports count from it, not
	// from when they were made.
	UpdatedAt time.Time `json:"updated_at"`
	Metrics   Metrics   `json:"metrics"`
	// Subjects are the models with what was sealed of them.
	Subjects []Subject `json:"subjects"`
	// Deadlines are the clocks as of UpdatedAt.
	Deadlines []clock.Clock `json:"deadlines"`
	// Clauses say what the case has to do with which framework.
	Clauses []Clause `json:"clauses"`
	// Deviations are what did not go by the rules, and who decided so.
	Deviations []Deviation `json:"deviations"`

	Facts         []incident.StatedFact      `json:"facts"`
	Indicators    []indicator.Indicator      `json:"indicators"`
	Inquiries     []incident.Inquiry         `json:"inquiries"`
	Plans         []incident.PlanState       `json:"plans"`
	Evidence      []evidence.Item            `json:"evidence"`
	Gaps          []evidence.Gap             `json:"evidence_missing"`
	Tasks         []incident.TaskState       `json:"tasks"`
	Messages      []incident.RenderedMessage `json:"messages"`
	Sent          []incident.SentMessage     `json:"messages_sent"`
	Approved      []incident.ApprovedMessage `json:"messages_approved"`
	Notes         []incident.WrittenNote     `json:"notes"`
	SelfApprovals []SelfApproval             `json:"self_approvals"`
	Refusals      []incident.Refused         `json:"refusals"`
	Waivers       []incident.WaivedAt        `json:"waivers"`
	// Approvals are the signed ones; BrokenGlass, Automatic and Reverts what
	// was done past gates, without a person, and against what was done.
	Approvals   []incident.ApprovalAt   `json:"approvals"`
	BrokenGlass []incident.BreakGlassAt `json:"break_glass"`
	Automatic   []incident.AutomaticAt  `json:"automatic_containment"`
	Reverts     []incident.RevertedAt   `json:"containment_reverted"`
	ClockJumps  []incident.ClockJump    `json:"clock_jumps"`
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
	detected, _ := inc.Detected()
	c := Case{
		IncidentID: inc.ID, ReportGenerated: now.UTC(), Timeline: timeline.Merge(events), EvidenceDirectory: evidenceDir,
		State: inc.State, Severity: inc.Severity, Summary: inc.Summary, Models: list(inc.Models), Commander: inc.Commander,
		Method: inc.Method, DetectedAt: detected, OpenedAt: inc.OpenedAt, ClosedAt: inc.ClosedAt,
		Resolution: inc.Resolution, UpdatedAt: inc.UpdatedAt.UTC(), Metrics: measure(inc), Subjects: subjects(inc),
		Deadlines: []clock.Clock{}, Clauses: []Clause{}, Sent: list(inc.Sent), Approved: list(inc.Approved),
		Facts: facts(inc), Indicators: list(inc.Indicators), Inquiries: list(inc.Inquiries), Plans: list(inc.Plans),
		Evidence: list(inc.Evidence), Gaps: list(inc.Gaps), Tasks: list(inc.Tasks), Messages: list(inc.Messages),
		Notes: list(inc.Notes), SelfApprovals: selfApprovals(inc), Refusals: list(inc.Refusals), Waivers: list(inc.Waivers), Unknown: list(inc.Unknown),
		Approvals: list(inc.Approvals), BrokenGlass: list(inc.BrokenGlass), Automatic: list(inc.Automatic),
		Reverts: list(inc.Reverts), ClockJumps: list(inc.ClockJumps),
	}
	c.Findings = findings(inc)
	c.Recommendations = recommend(c)
	c.Deviations = deviations(c)
	return c
}

// With adds what the profiles of deadlines and the playbook say of the case,
// both as of the newest entry, so that the same record gives the same report.
func (c Case) With(inc *incident.Incident, clocks clock.Set, book playbook.Playbook) Case {
	c.Deadlines = clocks.Evaluate(inc, inc.UpdatedAt).Clocks
	c.Clauses = clauses(c, book.Standings(inc))
	c.Deviations = deviations(c)
	return c
}

// Subject is a model of the incident.
type Subject struct {
	Model string `json:"model"`
	// Root is the root digest of the model as it was captured; zero when it
	// was not.
	Root     artifact.Digest `json:"root_digest,omitzero"`
	SealedAt time.Time       `json:"sealed_at,omitzero"`
}

func subjects(inc *incident.Incident) []Subject {
	out := []Subject{}
	for _, m := range inc.Models {
		s := Subject{Model: m}
		if a, ok := inc.Sealed(m); ok {
			s.Root, s.SealedAt = a.Root, a.At.UTC()
		}
		out = append(out, s)
	}
	return out
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

// numbers formats a metric for people.
func numbers(s *float64) string {
	if s == nil {
		return "not known"
	}
	return strconv.FormatFloat(*s, 'f', 0, 64) + " s"
}
