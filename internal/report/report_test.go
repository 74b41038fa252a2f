package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/playbook"
	"github.com/weightwarden/weightwarden/internal/report"
	"github.com/weightwarden/weightwarden/internal/timeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

var start = time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)

// hostileText is what an attacker would call a file.
const hostileText = "<script>alert(1)</script> {{.}} | x \n# CLOSED\n\n---\n| a | b |\r\n```\n[x](http://evil.example) ![i](//e) `c` **b** _i_ &lt; $x$ @all www.x.example \x1b[2J\u202e\\"

// full returns an incident with something in every part of it; s goes into
// every text that comes from outside.
func full(s string) *incident.Incident {
	digest := artifact.SHA256Of([]byte("x"))
	step := func(status incident.StepStatus) []incident.StepState {
		return []incident.StepState{{Step: action.Step{ID: s, Summary: s}, Status: status, Observation: action.Observation{Detail: s}}}
	}
	ind := indicator.New(indicator.ModelFileTampered, s, start.Add(-time.Minute), "file differs: "+s, map[string]any{"file": s, "actual_hash": digest.Hex()}, s)
	ind.Atlas = []string{"AML.T0018.002", s}
	return &incident.Incident{
		ID: "INC-20261105-AAAAAAAA", State: incident.Recovered, Severity: finding.Critical, Models: []string{s}, Summary: s,
		Commander: s, Method: s, DetectedAt: start, OpenedAt: start.Add(time.Minute), Resolution: s,
		Facts: map[string]incident.StatedFact{
			"clock_gdpr":   {Fact: incident.Fact{Name: "clock_gdpr", Value: "off", Reason: s}, By: s, At: start},
			"eta":          {Fact: incident.Fact{Name: "eta", Value: s, Reason: s}, By: s, At: start},
			"first_bad_at": {Fact: incident.Fact{Name: "first_bad_at", Value: "2026-11-05T09:00:00Z"}, By: s, At: start},
		},
		Waivers:     []incident.WaivedAt{{Waived: incident.Waived{Gate: "G2", Model: s, Reason: s}, At: start, By: s}},
		BrokenGlass: []incident.BreakGlassAt{{BreakGlass: incident.BreakGlass{Plan: digest, Action: s, By: s, Reason: s, Gates: []string{"G6"}, Refusals: []string{s}, Alerted: []string{s}}, At: start}},
		Automatic:   []incident.AutomaticAt{{Automatic: incident.Automatic{Policy: s, Model: s, Plan: digest, Expires: start, Because: s}, At: start}},
		Reverts:     []incident.RevertedAt{{Reverted: incident.Reverted{Plan: digest, Step: s, Times: 2, Observation: action.Observation{Outcome: action.NotDone, Detail: s, At: start}}, At: start}},
		ClockJumps:  []incident.ClockJump{{ClockCheck: incident.ClockCheck{Jump: -3.5, Since: s}, At: start}},
		Indicators: []indicator.Indicator{
			ind, ind,
			indicator.New(indicator.BaselineUnverified, s, start, s, nil),
			indicator.New(indicator.DependencyChanged, s, start, s, nil),
			indicator.New(indicator.ModelFileUnreadable, s, start, s, nil),
			indicator.New(indicator.BehaviorDrift, s, start, s, nil),
		},
		Findings: []finding.Finding{
			{Rule: "WW-HUNT-000", Severity: finding.High, Verdict: finding.Suspicious, File: s, Offset: -1, Summary: s},
			{Rule: "WW-HUNT-005", Severity: finding.High, Verdict: finding.Suspicious, File: s, Summary: s, Evidence: s, Atlas: []string{"AML.T0072"}},
			{Rule: "WW-INV-001", Severity: finding.Critical, Verdict: finding.Malicious, File: s, Member: s, Summary: "a pickle: " + s},
			{Rule: "WW-INV-002", Severity: finding.Critical, Verdict: finding.Suspicious, File: s, Summary: "the model is unsigned"},
		},
		Inquiries: []incident.Inquiry{
			{Model: s, Reference: s, Logs: []string{s}, Files: 3, Unread: []string{s}, Comparison: &incident.Comparison{Modified: []string{s}}},
			{Model: "other"},
		},
		Plans: []incident.PlanState{
			{Hash: digest, Action: action.Isolate, Model: s, Approval: &incident.Approved{By: s, Self: true}, Steps: step(incident.StepDone), EndedAt: start.Add(10 * time.Minute)},
			{Hash: digest, Action: action.Rollback, Model: s, Steps: step(incident.StepDone), EndedAt: start.Add(70 * time.Minute)},
		},
		Evidence: []evidence.Item{{Type: s, Name: s, Origin: s, SHA256: digest, Size: 7, CollectedAt: start, Missing: []string{s}}},
		Gaps:     []evidence.Gap{{Type: "sockets", Name: s, Origin: s, Reason: s}},
		Refusals: []incident.Refused{{Gate: s, Action: s, Reason: s}},
		Tasks:    []incident.TaskState{{Task: incident.Task{ID: s, Text: s}}, {Task: incident.Task{ID: "done"}, DoneAt: start}},
		Messages: []incident.RenderedMessage{{Message: incident.Message{Template: s, Number: 1, SHA256: digest, Open: []string{s}}, At: start}},
		Notes:    []incident.WrittenNote{{Note: incident.Note{Text: s}, At: start, By: s}},
		Unknown:  []string{"7 " + s},
		Sent: []incident.SentMessage{{MessageSent: incident.MessageSent{
			MessageRef: incident.MessageRef{Template: "initial_alert", Number: 1, SHA256: digest}, Recipients: []string{s}, Channel: s, Receipt: s,
		}, At: start.Add(90 * time.Minute), Actor: s}},
		Assessed:  map[string]incident.AssessedAt{s: {Assessed: incident.Assessed{Model: s, Root: digest, Sealed: true}, At: start.Add(5 * time.Minute)}},
		UpdatedAt: start.Add(100 * time.Minute),
	}
}

func cases() map[string]report.Case {
	events := func(s string) []timeline.Event {
		return []timeline.Event{
			{Timestamp: start.Add(time.Minute), Source: s, Description: s, Actor: s, Seq: 2},
			{Timestamp: start, Source: "ledger", Description: "Incident declared.", Seq: 1},
		}
	}
	assemble := func(inc *incident.Incident, events []timeline.Event, dir string) report.Case {
		return report.NewCase(inc, events, start.Add(2*time.Hour), dir).With(inc, clock.Default(), playbook.Default())
	}
	opened := &incident.Incident{
		ID: "INC-20261105-BBBBBBBB", State: incident.Open, Severity: finding.High, Models: []string{"m"}, Summary: "just opened",
		Commander: "ana", DetectedAt: start, OpenedAt: start, UpdatedAt: start,
	}
	return map[string]report.Case{
		"zero":    assemble(&incident.Incident{}, nil, ""),
		"opened":  assemble(opened, nil, "/state/vault"),
		"full":    assemble(full("sentiment"), events("ledger"), "/state/vault"),
		"hostile": assemble(full(hostileText), events(hostileText), hostileText),
	}
}

func TestFormats(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			golden(t, "testdata/"+name+".md", markdown(t, c))
			golden(t, "testdata/"+name+".json", jsonOf(t, c))
			if name == "full" || name == "zero" {
				for ext, write := range exports() {
					golden(t, "testdata/"+name+"."+ext, written(t, write, c))
				}
			}
		})
	}
}

// TestSameCaseSameBytes catches an order that comes from a map.
func TestSameCaseSameBytes(t *testing.T) {
	want := cases()["hostile"]
	for range 5 {
		again := cases()["hostile"]
		if diff := cmp.Diff(markdown(t, want), markdown(t, again)); diff != "" {
			t.Fatal(diff)
		}
		for ext, write := range exports() {
			if diff := cmp.Diff(written(t, write, want), written(t, write, again)); diff != "" {
				t.Fatalf("%s: %s", ext, diff)
			}
		}
	}
}

// TestOnlyReportGeneratedDependsOnNow: a report made later differs in that one
// field, and an export not at all.
func TestOnlyReportGeneratedDependsOnNow(t *testing.T) {
	early, late := cases()["full"], cases()["full"]
	late.ReportGenerated = early.ReportGenerated.Add(72 * time.Hour)
	for ext, write := range exports() {
		a, b := written(t, write, early), written(t, write, late)
		if ext == "html" {
			b = strings.ReplaceAll(b, "2026-11-08T12:00:00Z", "2026-11-05T12:00:00Z")
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s (-early +late):\n%s", ext, diff)
		}
	}
}

type write = func(io.Writer, report.Case) error

func exports() map[string]write {
	return map[string]write{
		"html": report.WriteHTML, "ocsf.jsonl": report.WriteOCSF, "stix.json": report.WriteSTIX, "csaf.json": report.WriteCSAF,
		"cdx.json": report.WriteCycloneDX, "timesketch.jsonl": report.WriteTimesketch,
	}
}

func written(t *testing.T, write write, c report.Case) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHostileTextStaysInThePage: the page of the hostile case has the tags of
// the harmless one, and nothing that loads or runs.
func TestHostileTextStaysInThePage(t *testing.T) {
	tags := func(page string) []string { return regexp.MustCompile(`<[^>]*>`).FindAllString(page, -1) }
	full, hostile := written(t, report.WriteHTML, cases()["full"]), written(t, report.WriteHTML, cases()["hostile"])
	if diff := cmp.Diff(tags(full), tags(hostile)); diff != "" {
		t.Errorf("tags (-harmless +hostile):\n%s", diff)
	}
	for _, bad := range []string{"<script", " src=", " href=", " on", "javascript:", "url(", "\x1b", "\u202e", "\r"} {
		for _, tag := range tags(hostile) {
			if strings.Contains(strings.ToLower(tag), bad) {
				t.Errorf("%q stands in the tag %s", bad, tag)
			}
		}
	}
	for _, bad := range []string{"<script", "\x1b", "\u202e", "\r"} {
		if strings.Contains(hostile, bad) {
			t.Errorf("%q stands in the page as it is", bad)
		}
	}
}

// TestHostileTextStaysInItsCell: the structure of the report is that of the
// harmless one, line by line.
func TestHostileTextStaysInItsCell(t *testing.T) {
	plain := regexp.MustCompile(`(?s)\\.`) // an escaped character is text
	shape := func(doc string) (out []string) {
		for line := range strings.Lines(doc) {
			kind := line[:1]
			if strings.HasPrefix(line, "#") {
				kind = line
			}
			out = append(out, kind+strings.Repeat("|", strings.Count(line, "|")))
		}
		return out
	}
	hostile := plain.ReplaceAllString(markdown(t, cases()["hostile"]), "")
	if diff := cmp.Diff(shape(plain.ReplaceAllString(markdown(t, cases()["full"]), "")), shape(hostile)); diff != "" {
		t.Errorf("structure (-harmless +hostile):\n%s", diff)
	}
	for _, bad := range []string{"<", "http://", "{", "`", "*", "_", "[", "]", "~", "$", "@", "www.", "\\", "\x1b", "\u202e", "\r"} {
		if strings.Contains(hostile, bad) {
			t.Errorf("%q stands in the report as it is", bad)
		}
	}
}

func TestMetrics(t *testing.T) {
	seconds := func(s float64) *float64 { return &s }
	early := full("x")
	early.Facts["first_bad_at"] = incident.StatedFact{Fact: incident.Fact{Value: "2026-11-05T11:00:00Z"}}
	tests := []struct {
		name string
		inc  *incident.Incident
		want report.Metrics
	}{
		{"zero", &incident.Incident{}, report.Metrics{}},
		{"full", full("x"), report.Metrics{
			MTTD: seconds(3600), MTTA: seconds(60), MTTC: seconds(600), MTTR: seconds(4200), Dwell: seconds(4200),
			FirstBad: start.Add(-time.Hour), Source: "stated by x",
		}},
		{"first_bad_stated_after_detection", early, report.Metrics{
			MTTA: seconds(60), MTTC: seconds(600), MTTR: seconds(4200), FirstBad: start.Add(time.Hour), Source: "stated by ",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := report.NewCase(tt.inc, nil, start, "").Metrics
			if len(got.Measured) != 5 {
				t.Errorf("%d figures against targets, want 5", len(got.Measured))
			}
			got.Measured = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecommendations(t *testing.T) {
	ind := func(types ...indicator.Type) *incident.Incident {
		inc := &incident.Incident{}
		for _, typ := range types {
			inc.Indicators = append(inc.Indicators, indicator.New(typ, "m", start, "seen", map[string]any{"file": "w"}))
		}
		return inc
	}
	found := func(rule, summary string) *incident.Incident {
		return &incident.Incident{Findings: []finding.Finding{{Rule: rule, Severity: finding.High, File: "f", Summary: summary}}}
	}
	tests := []struct {
		name string
		inc  *incident.Incident
		want []report.Recommendation // without the text
	}{
		{"nothing", &incident.Incident{}, []report.Recommendation{}},
		{"tampered", ind(indicator.ModelFileTampered), want("review_pipeline", "model_file_tampered: w")},
		{"unsigned", found("WW-INV", "The model is unsigned."), want("sign_models", "WW-INV: f")},
		{"pickle", found("WW-INV", "Content is a pickle."), want("safe_formats", "WW-INV: f")},
		{"log_line", found("WW-HUNT-007", "x"), want("rotate_credentials", "WW-HUNT-007: f")},
		{"missing_log", found("WW-HUNT-000", "x"), want("protect_logs", "WW-HUNT-000: f")},
		{"dependency", ind(indicator.DependencyMissing), want("pin_dependencies", "dependency_missing: w")},
		{"unreadable", ind(indicator.ModelFileUnreadable), want("look_again", "model_file_unreadable: w")},
		{"drift", ind(indicator.BehaviorDrift), want("compare_behaviour", "behavior_drift: w")},
		{"first_use", ind(indicator.BaselineUnverified), append(want("sign_models", "baseline_unverified: w"), want("establish_baseline", "baseline_unverified: w")...)},
		{"gap", &incident.Incident{Gaps: []evidence.Gap{{Type: "sockets", Name: "all"}}}, want("capture_more", "evidence missing: sockets all")},
		{"difference", &incident.Incident{Inquiries: []incident.Inquiry{{Model: "m", Comparison: &incident.Comparison{Modified: []string{"w"}}}}}, want("review_pipeline", "comparison: m")},
		{"no_difference", &incident.Incident{Inquiries: []incident.Inquiry{{Model: "m", Comparison: &incident.Comparison{Identical: []string{"w"}}}}}, []report.Recommendation{}},
		{
			"self_approval",
			&incident.Incident{Plans: []incident.PlanState{{Action: action.Isolate, Approval: &incident.Approved{By: "ana", Self: true}}}},
			want("second_approver", "isolate approved by ana"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := report.NewCase(tt.inc, nil, start, "").Recommendations
			for i := range got {
				if got[i].Text == "" {
					t.Errorf("%s has no text", got[i].ID)
				}
				got[i].Text = ""
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("recommendations (-want +got):\n%s", diff)
			}
		})
	}
}

func want(id string, from ...string) []report.Recommendation {
	return []report.Recommendation{{ID: id, From: from}}
}

// TestGuideFields: scripts of the guide read these.
func TestGuideFields(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(jsonOf(t, cases()["zero"])), &doc); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"incident_id", "report_generated", "timeline", "findings", "evidence_directory", "recommendations"} {
		if v, ok := doc[field]; !ok || v == nil {
			t.Errorf("%s is missing or null", field)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	for name, err := range map[string]error{
		"markdown": report.WriteMarkdown(fullDisk{}, cases()["full"]),
		"json":     report.WriteJSON(fullDisk{}, cases()["full"]),
		"html":     report.WriteHTML(fullDisk{}, cases()["full"]),
		"ocsf":     report.WriteOCSF(fullDisk{}, cases()["full"]),
		"stix":     report.WriteSTIX(fullDisk{}, cases()["full"]),
		"csaf":     report.WriteCSAF(fullDisk{}, cases()["full"]),
		"cdx":      report.WriteCycloneDX(fullDisk{}, cases()["full"]),
		"timeline": report.WriteTimesketch(fullDisk{}, cases()["full"]),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: error %v, want that of the writer", name, err)
		}
	}
}

var errFull = errors.New("disk full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func markdown(t *testing.T, c report.Case) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.WriteMarkdown(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func jsonOf(t *testing.T, c report.Case) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.WriteJSON(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), accept with -update:\n%s", path, diff)
	}
}
