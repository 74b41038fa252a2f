package message_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/message"
)

var update = flag.Bool("update", false, "write the golden files anew")

var start = time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC) // a Thursday

func open() *incident.Incident {
	return &incident.Incident{
		ID: "INC-20261105-AAAAAAAA", State: incident.Open, Severity: finding.Critical, Models: []string{"sentiment", "summary"},
		Summary: "tampered weights", Commander: "ana", Method: "scheduled check", DetectedAt: start, OpenedAt: start.Add(5 * time.Minute),
	}
}

func recovered() *incident.Incident {
	inc := open()
	inc.State = incident.Recovered
	inc.Plans = []incident.PlanState{
		{Action: action.Isolate, Model: "sentiment", EndedAt: start.Add(30 * time.Minute), Steps: []incident.StepState{{Status: incident.StepDone}}},
		{Action: action.Rollback, Model: "sentiment", EndedAt: start.Add(125 * time.Minute), Steps: []incident.StepState{{Status: incident.StepDone}}},
	}
	inc.Facts = map[string]incident.StatedFact{
		"eta":          {Fact: incident.Fact{Name: "eta", Value: "noon"}},
		"first_bad_at": {Fact: incident.Fact{Name: "first_bad_at", Value: "2026-11-05T07:30:00Z"}, By: "ana"},
	}
	inc.Tasks = []incident.TaskState{{Task: incident.Task{ID: "t", Text: "Rotate the registry token"}}}
	inc.Sent = []incident.SentMessage{{MessageSent: incident.MessageSent{MessageRef: incident.MessageRef{Template: message.StakeholderUpdate}}, At: start.Add(time.Hour)}}
	return inc
}

func hostile() *incident.Incident {
	inc := open()
	inc.Summary = "{incident_commander} {{x}} }\nINCIDENT CLOSED\x1b[2J\r\nSubject: all is well"
	inc.Models = []string{"a\nBcc: everyone", "{severity}"}
	inc.Commander = "\u202eeve"
	return inc
}

func TestDefaultTemplates(t *testing.T) {
	for _, name := range []string{message.InitialAlert, message.StakeholderUpdate, message.PostIncidentReport, message.ContainmentNotice, message.CustomerNotice} {
		if _, err := message.Default().Get(name); err != nil {
			t.Error(err)
		}
	}
	for _, p := range clock.Default().Profiles {
		for _, r := range p.Clocks {
			if _, err := message.Default().Get(r.Template); err != nil {
				t.Errorf("clock %s.%s: %v", p.ID, r.ID, err)
			}
		}
	}
	cases := map[string]*incident.Incident{"zero": {}, "open": open(), "recovered": recovered(), "hostile": hostile()}
	for name, tmpl := range message.Default() {
		for state, inc := range cases {
			t.Run(name+"_"+state, func(t *testing.T) {
				r, err := message.Render(tmpl, inc, input(name, inc, start.Add(3*time.Hour), nil))
				if err != nil {
					t.Fatal(err)
				}
				if strings.ContainsAny(r.Text(), "{}\x1b\r") || strings.ContainsAny(r.Subject, "\n") || !strings.Contains(r.Text(), inc.ID) && !slices.Contains(unnamed, name) {
					t.Errorf("a brace, a control character, or no id in:\n%s", r.Text())
				}
				if got := strings.Contains(r.Body+r.Subject, "UNKNOWN"); got != (len(r.Open) > 0) {
					t.Errorf("open fields %v, UNKNOWN printed: %v", r.Open, got)
				}
				if state != "recovered" && !slices.Contains(guides, name) {
					return
				}
				golden(t, "testdata/"+name+"_"+state+".txt", r.Text()+"\nOpen: "+strings.Join(r.Open, " ")+"\nDue: "+r.Due.Format(time.RFC3339)+"\n")
			})
		}
	}
}

// unnamed are templates for people who know nothing of our ids.
var unnamed = []string{message.CustomerNotice, "sec_8k_105"}

var guides = []string{message.InitialAlert, message.StakeholderUpdate, message.PostIncidentReport}

// input is what the command line would hand over.
func input(template string, inc *incident.Incident, now time.Time, overrides map[string]string) message.Input {
	in := message.Input{
		Now: now, Overrides: overrides, Deadlines: []string{"2026-11-05T11:00:00Z Initial alert"},
		Timeline: []string{"2026-11-05T10:00:00Z Indicator seen.", "2026-11-05T10:05:00Z Incident declared."},
	}
	if next, ok := clock.Default().Evaluate(inc, now).Next(template); ok {
		in.Due = next.Due.Strict
	}
	return in
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

// guideFields are the fields of the guide's templates.
const guideFields = `incident_id severity detection_time affected_models brief_description detection_method containment_status
	service_impact action_1 action_2 update_frequency incident_commander
	update_number status elapsed_time progress_summary affected_model_count impacted_predictions exposure_window
	containment_details remaining_actions eta
	start_time end_time total_duration impact_summary detailed_timeline root_cause_analysis compromised_models
	affected_predictions data_exposure customer_impact what_went_well improvement_areas
	action_items_with_owners_and_dates preventive_measures`

// TestGuideFields: ours use every field of the guide, and what only people can
// know is exactly this list.
func TestGuideFields(t *testing.T) {
	people := strings.Fields(`impacted_predictions root_cause_analysis affected_predictions data_exposure customer_impact
		what_went_well improvement_areas action_items_with_owners_and_dates preventive_measures`)
	used := map[string]bool{}
	for _, tmpl := range message.Default() {
		r, err := message.Render(tmpl, open(), message.Input{Now: start})
		if err != nil {
			t.Fatal(err)
		}
		for f := range r.Fields {
			used[f] = true
		}
	}
	for f := range strings.FieldsSeq(guideFields) {
		if !used[f] {
			t.Errorf("no template uses %s", f)
		}
		if known := slices.Contains(message.Fields(), f); known == slices.Contains(people, f) {
			t.Errorf("%s: derived from the record: %v", f, known)
		}
	}
}

func TestRender(t *testing.T) {
	closed := recovered()
	closed.State, closed.ClosedAt = incident.Done, start.Add(24*time.Hour)
	tests := []struct {
		name, template, body string
		inc                  *incident.Incident
		now                  time.Time
		overrides            map[string]string
		want                 string
		open                 []string
	}{
		{"derived", "x", "{incident_id}", open(), start, nil, "INC-20261105-AAAAAAAA", []string{}},
		{"fact_wins_over_record", "x", "{status}", fact("status", "calm"), start, nil, "calm", []string{}},
		{"override_wins_over_fact", "x", "{status}", fact("status", "calm"), start, map[string]string{"status": "busy"}, "busy", []string{}},
		{"field_of_ones_own", "x", "{ticket}", open(), start, map[string]string{"ticket": "T-1"}, "T-1", []string{}},
		{"escaped_braces", "x", "{{incident_id}} {{{severity}}}", open(), start, nil, "{incident_id} {critical}", []string{}},
		{"values_are_not_expanded", "x", "{a}{b}", open(), start, map[string]string{"a": "{b}", "b": "{a}"}, "(b)(a)", []string{}},
		{"blank_is_unknown", "initial_alert", "{eta}", fact("eta", "  "), start, nil, "UNKNOWN – will follow by 2026-11-05T11:00:00Z", []string{"eta"}},
		{"alert_before_it_is_due", "initial_alert", "{eta}", open(), start.Add(10 * time.Minute), nil, "UNKNOWN – will follow by 2026-11-05T11:00:00Z", []string{"eta"}},
		{"alert_after_it_was_due", "initial_alert", "{eta} {eta}", open(), start.Add(2 * time.Hour), nil, "UNKNOWN – will follow by 2026-11-05T16:00:00Z UNKNOWN – will follow by 2026-11-05T16:00:00Z", []string{"eta"}},
		{"update", "stakeholder_update", "{eta}", open(), start, nil, "UNKNOWN – will follow by 2026-11-05T14:00:00Z", []string{"eta"}},
		{"report_before_closing", "post_incident_report", "{eta}", open(), start, nil, "UNKNOWN – will follow by 2026-11-05T14:00:00Z", []string{"eta"}},
		{"report_after_closing", "post_incident_report", "{x}", closed, start.Add(48 * time.Hour), nil, "UNKNOWN – will follow by 2026-11-13T10:00:00Z", []string{"x"}},
		{"report_overdue", "post_incident_report", "{x}", closed, start.AddDate(0, 1, 0), nil, "UNKNOWN – will follow by 2026-12-05T14:00:00Z", []string{"x"}},
		{"update_number", "x", "{update_number}", recovered(), start, nil, "2", []string{}},
		{"elapsed", "x", "{elapsed_time}", open(), start.Add(125 * time.Minute), nil, "2 h 05 min", []string{}},
		{"elapsed_days", "x", "{elapsed_time}", open(), start.Add(76 * time.Hour), nil, "3 d 04 h", []string{}},
		{"elapsed_minutes", "x", "{elapsed_time}", open(), start.Add(59 * time.Minute), nil, "59 min", []string{}},
		{"clock_before_detection", "x", "{elapsed_time}", open(), start.Add(-time.Hour), nil, "less than a minute", []string{}},
		{"duration", "x", "{total_duration}", recovered(), start, nil, "4 h 35 min", []string{}},
		{"duration_not_ended", "initial_alert", "{total_duration}", open(), start, nil, "UNKNOWN – will follow by 2026-11-05T11:00:00Z", []string{"total_duration"}},
		{"exposure", "x", "{exposure_window}", recovered(), start, nil, "from 2026-11-05T07:30:00Z (stated by ana) to 2026-11-05T10:30:00Z, 3 h 00 min", []string{}},
		{"first_actions", "x", "{action_1}; {action_2}", open(), start, nil, "Capture and seal the evidence of model sentiment; Capture and seal the evidence of model summary", []string{}},
		{"later_actions", "x", "{action_1}; {action_2}", recovered(), start, nil, "Rotate the registry token; Investigate how the model was changed", []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := message.Render(message.Template{Name: tt.template, Body: tt.body}, tt.inc, input(tt.template, tt.inc, tt.now, tt.overrides))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, r.Body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.open, r.Open); diff != "" {
				t.Errorf("open (-want +got):\n%s", diff)
			}
		})
	}
}

func fact(name, value string) *incident.Incident {
	inc := open()
	inc.Facts = map[string]incident.StatedFact{name: {Fact: incident.Fact{Name: name, Value: value}}}
	return inc
}

func TestLoad(t *testing.T) {
	set, err := message.Load("own.yaml", strings.NewReader(`
templates:
  initial_alert:
    subject: "S {incident_id}"
    audience: all
    timing: now
    body: |
      Hello {ticket}
  fire_drill: {subject: a, audience: b, timing: c, body: "d"}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := message.Template{Name: "initial_alert", Subject: "S {incident_id}", Audience: "all", Timing: "now", Body: "Hello {ticket}\n"}
	if diff := cmp.Diff(want, set["initial_alert"]); diff != "" {
		t.Errorf("template (-want +got):\n%s", diff)
	}
	names := append(message.Default().Names(), "fire_drill")
	slices.Sort(names)
	if diff := cmp.Diff(names, set.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if _, err := set.Get("gone"); fault.KindOf(err) != fault.NotFound || !strings.Contains(fault.HintOf(err), "fire_drill") {
		t.Errorf("a template that is not there: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"empty", "", "no templates"},
		{"no_templates", "templates: {}", "no templates"},
		{"unknown_key", "templates:\n  a:\n    body: x\n    sbject: y\n", "line 4"},
		{"unknown_top_key", "templates: {a: {body: x}}\nmore: 1\n", "more"},
		{"twice", "templates:\n  a: {body: x}\n  a: {body: y}\n", "line 3"},
		{"no_body", "templates: {a: {subject: x}}", "has no body"},
		{"stray_brace", "templates:\n  a:\n    body: |\n      ok\n      x { y\n", `"a": body: line 2`},
		{"closing_brace", `templates: {a: {body: "x } y"}}`, "no placeholder"},
		{"no_name", `templates: {a: {body: "{}"}}`, "no placeholder"},
		{"expression", `templates: {a: {subject: "{x.y}", body: "z"}}`, "subject: line 1"},
		{"not_yaml", "\x00", "own.yaml"},
		{"list", "- a", "own.yaml"},
		{"too_large", "#" + strings.Repeat("x", 1<<20), "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := message.Load("own.yaml", strings.NewReader(tt.file))
			if err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v (%s), want invalid with %q", err, fault.KindOf(err), tt.want)
			}
		})
	}
}

// FuzzLoad: what loads also renders, and no value is expanded a second time.
func FuzzLoad(f *testing.F) {
	f.Add("templates: {a: {subject: \"{x}\", audience: b, timing: c, body: \"{{d}} {e}\"}}", "{x}")
	f.Add("templates:\n  a:\n    body: |\n      {incident_id}\n", "}{\n")
	f.Fuzz(func(t *testing.T, file, value string) {
		set, err := message.Load("f", strings.NewReader(file))
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("not an invalid fault: %v", err)
			}
			return
		}
		const marker = "{incident_id}"
		for _, tmpl := range set {
			inc := open()
			inc.ID = "THE-ID" // stands nowhere but where the template asks for it
			r, err := message.Render(tmpl, inc, message.Input{Now: start, Overrides: map[string]string{"incident_id": marker + value, "summary": marker}})
			if err != nil {
				t.Fatalf("%q loads and does not render: %v", tmpl.Body, err)
			}
			if strings.Contains(r.Body, "THE-ID") && !strings.Contains(file, "THE-ID") {
				t.Errorf("a value was expanded: %q", r.Body)
			}
		}
	})
}
