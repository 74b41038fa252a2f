package clock_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// start is a Thursday.
var start = time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)

// story is an incident in the making: each method says what happened so many
// hours after its detection.
type story struct{ incident.Incident }

func detected() *story {
	return &story{incident.Incident{ID: "INC-1", DetectedAt: start, OpenedAt: start.Add(10 * time.Minute), Facts: map[string]incident.StatedFact{}}}
}

func (s *story) fact(name, value, reason string) *story {
	f := incident.StatedFact{Fact: incident.Fact{Name: name, Value: value, Reason: reason}, By: "ana"}
	s.Facts[name] = f
	s.History = append(s.History, f)
	return s
}

func (s *story) draft(hours float64, template string) *story {
	s.Messages = append(s.Messages, incident.RenderedMessage{Message: incident.Message{Template: template, Number: 1}, At: after(hours)})
	return s
}

func (s *story) approve(hours float64, template string) *story {
	s.Approved = append(s.Approved, incident.ApprovedMessage{MessageApproved: incident.MessageApproved{MessageRef: incident.MessageRef{Template: template, Number: 1}}, At: after(hours)})
	return s
}

func (s *story) send(hours float64, template string, clocks ...string) *story {
	s.Sent = append(s.Sent, incident.SentMessage{MessageSent: incident.MessageSent{MessageRef: incident.MessageRef{Template: template, Number: 1, Clocks: clocks}, Receipt: "r1"}, At: after(hours)})
	return s
}

func (s *story) acknowledge(hours float64, template string) *story {
	s.Acknowledged = append(s.Acknowledged, incident.AcknowledgedMessage{MessageAcknowledged: incident.MessageAcknowledged{MessageRef: incident.MessageRef{Template: template, Number: 1}}, At: after(hours)})
	return s
}

func (s *story) recover(hours float64) *story {
	s.Plans = append(s.Plans, incident.PlanState{Action: action.Rollback, EndedAt: after(hours), Steps: []incident.StepState{{Status: incident.StepDone}}})
	return s
}

func (s *story) close(hours float64) *story {
	s.ClosedAt = after(hours)
	return s
}

func after(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }

func rfc(hours float64) string { return after(hours).Format(time.RFC3339) }

// line is what a test compares of a clock.
func line(c clock.Clock) string {
	out := string(c.State)
	if c.Due != nil {
		out += " due " + c.Due.Strict.Format("01-02 15:04")
	}
	if c.Projection {
		out += " worst case"
	}
	if c.Alarm > 0 {
		out += " " + map[int]string{50: "50%", 80: "80%", 95: "95%", 100: "100%"}[c.Alarm]
	}
	if c.Overdue {
		out += " overdue"
	}
	if c.LateBy > 0 {
		out += " late " + (time.Duration(c.LateBy) * time.Second).String()
	}
	return out
}

func TestEvaluate(t *testing.T) {
	const alert, update, report = "product.initial_alert", "product.stakeholder_update", "product.post_incident_report"
	tests := []struct {
		name   string
		story  *story
		now    float64
		clocks string // one that is looked at
		want   string
	}{
		{"alert_runs_from_detection", detected(), 0.1, alert, "running due 11-05 11:00"},
		{"alert_half_time", detected(), 0.5, alert, "running due 11-05 11:00 50%"},
		{"alert_80", detected(), 0.8, alert, "running due 11-05 11:00 80%"},
		{"alert_95", detected(), 0.95, alert, "running due 11-05 11:00 95%"},
		{"alert_at_its_time", detected(), 1, alert, "running due 11-05 11:00 100%"},
		{"alert_late", detected(), 3, alert, "running due 11-05 11:00 100% overdue late 2h0m0s"},
		{"alert_after_days_of_downtime", detected(), 73, alert, "running due 11-05 11:00 100% overdue late 72h0m0s"},
		{"alert_drafted", detected().draft(0.2, "initial_alert"), 0.3, alert, "draft_ready due 11-05 11:00"},
		{"alert_approved", detected().draft(0.2, "initial_alert").approve(0.25, "initial_alert"), 0.3, alert, "approved due 11-05 11:00"},
		{"alert_sent", detected().send(0.4, "initial_alert"), 9, alert, "sent due 11-05 11:00"},
		{"alert_sent_late_stays_late", detected().send(1.5, "initial_alert"), 90, alert, "sent due 11-05 11:00 late 30m0s"},
		{"alert_acknowledged", detected().send(0.4, "initial_alert").acknowledge(1, "initial_alert"), 9, alert, "acknowledged due 11-05 11:00"},
		{"alert_sent_twice_counts_once", detected().send(0.4, "initial_alert").send(8, "initial_alert"), 9, alert, "sent due 11-05 11:00"},

		{"update_first", detected(), 1, update, "running due 11-05 14:00"},
		{"update_early_moves_the_next", detected().send(1, "stakeholder_update"), 1, update, "running due 11-05 15:00"},
		{"update_late_moves_the_next_too", detected().send(6, "stakeholder_update"), 7, update, "running due 11-05 20:00"},
		{"update_draft_of_before_is_not_the_next", detected().draft(1, "stakeholder_update").send(1.1, "stakeholder_update"), 2, update, "running due 11-05 15:06"},
		{"update_ends_with_recovery", detected().recover(2), 50, update, "not_applicable due 11-05 14:00"},
		{"update_that_was_missed_before_recovery", detected().recover(5), 6, update, "running due 11-05 14:00 100% overdue late 2h0m0s"},
		{"update_about_the_recovery_is_the_last", detected().recover(5).send(5.5, "stakeholder_update"), 50, update, "not_applicable due 11-05 19:30"},
		{"update_after_a_recovery_taken_back", func() *story {
			s := detected().recover(2)
			s.Plans[0].Steps[0].Status = incident.StepUndone
			return s
		}(), 3, update, "running due 11-05 14:00 50%"},

		{"report_waits_for_closing", detected(), 3, report, "proposed"},
		{"report_after_closing_on_a_saturday", detected().close(48), 49, report, "running due 11-13 10:00"},

		{"off_needs_a_reason", detected().fact("clock_product", "off", ""), 0.1, alert, "running due 11-05 11:00"},
		{"off_with_a_reason", detected().fact("clock_product", "off", "an exercise"), 2, alert, "not_applicable due 11-05 11:00"},

		{"gdpr_on_without_awareness", detected().fact("clock_gdpr", "on", ""), 1, "gdpr.notification", "proposed due 11-08 10:00 worst case"},
		{"gdpr_aware", detected().fact("clock_gdpr", "on", "").fact("aware_at", rfc(3), ""), 4, "gdpr.notification", "running due 11-08 13:00"},
		{"gdpr_own_awareness_counts_before_the_general", detected().fact("clock_gdpr", "on", "").fact("aware_at", rfc(3), "").fact("gdpr_aware_at", rfc(5), ""), 6, "gdpr.notification", "running due 11-08 15:00"},
		{"later_awareness_without_a_reason", detected().fact("clock_gdpr", "on", "").fact("aware_at", rfc(3), "").fact("aware_at", rfc(9), ""), 10, "gdpr.notification", "running due 11-08 13:00"},
		{"later_awareness_with_a_reason", detected().fact("clock_gdpr", "on", "").fact("aware_at", rfc(3), "").fact("aware_at", rfc(9), "the log was wrong"), 10, "gdpr.notification", "running due 11-08 19:00"},
		{"earlier_awareness_needs_none", detected().fact("clock_gdpr", "on", "").fact("aware_at", rfc(3), "").fact("aware_at", rfc(2), ""), 10, "gdpr.notification", "running due 11-08 12:00"},
		{"a_fact_points_to_it_although_nobody_answered", detected().fact("personal_data_confirmed_at", rfc(3), ""), 4, "gdpr.notification", "proposed due 11-08 13:00"},

		{"sec_needs_a_determination", detected().fact("clock_sec_8k", "on", ""), 1, "sec_8k.item_105", "proposed"},
		{"sec_over_veterans_day", detected().fact("clock_sec_8k", "on", "").fact("materiality_determined_at", rfc(1), ""), 2, "sec_8k.item_105", "running due 11-12 22:30"},

		{"dora_not_classified", detected().fact("clock_dora", "on", "").fact("aware_at", rfc(1), ""), 2, "dora.initial", "proposed due 11-06 11:00 worst case"},
		{"dora_classified", detected().fact("clock_dora", "on", "").fact("aware_at", rfc(1), "").fact("classified_major_at", rfc(2), ""), 3, "dora.initial", "running due 11-05 16:00"},
		{"dora_classified_late", detected().fact("clock_dora", "on", "").fact("aware_at", rfc(1), "").fact("classified_major_at", rfc(24), ""), 24, "dora.initial", "running due 11-06 11:00 95%"},
		{"dora_intermediate_before_the_initial", detected().fact("clock_dora", "on", "").fact("classified_major_at", rfc(2), ""), 3, "dora.intermediate", "proposed due 11-08 16:00 worst case"},
		{"dora_final_before_everything", detected().fact("clock_dora", "on", "").fact("classified_major_at", rfc(2), ""), 3, "dora.final", "proposed due 12-08 16:00 worst case"},
		{"dora_intermediate_after_the_initial", detected().fact("clock_dora", "on", "").fact("classified_major_at", rfc(2), "").send(3, "dora_initial"), 4, "dora.intermediate", "running due 11-08 13:00"},
		{
			"dora_final_after_the_last_intermediate",
			detected().fact("clock_dora", "on", "").fact("classified_major_at", rfc(2), "").send(3, "dora_initial").send(20, "dora_intermediate").send(40, "dora_intermediate"),
			41, "dora.final", "running due 12-07 02:00",
		},
		{
			"nis2_final_after_the_first_notification",
			detected().fact("clock_nis2", "on", "").fact("aware_at", rfc(0), "").send(20, "nis2_notification").send(40, "nis2_notification"),
			41, "nis2.final", "running due 12-06 06:00",
		},

		{"condition_not_known", detected().fact("clock_ai_act", "on", "").fact("aware_at", rfc(0), ""), 1, "ai_act.report_death", "proposed due 11-15 10:00"},
		{"condition_true", detected().fact("clock_ai_act", "on", "").fact("aware_at", rfc(0), "").fact("ai_act_death", "yes", ""), 1, "ai_act.report_death", "running due 11-15 10:00"},
		{"condition_false", detected().fact("clock_ai_act", "on", "").fact("aware_at", rfc(0), "").fact("ai_act_death", "no", "nobody hurt"), 1, "ai_act.report_death", "not_applicable due 11-15 10:00"},

		{"shared_template_without_saying_which", detected().fact("clock_gdpr", "on", "").fact("clock_uk_gdpr", "on", "").send(1, "gdpr_notification"), 2, "gdpr.notification", "proposed due 11-08 10:00 worst case"},
		{"shared_template_saying_which", detected().fact("clock_gdpr", "on", "").fact("clock_uk_gdpr", "on", "").send(1, "gdpr_notification", "gdpr.notification"), 2, "gdpr.notification", "sent due 11-08 10:00 worst case"},
		{"shared_template_only_one_applies", detected().fact("clock_gdpr", "on", "").send(1, "gdpr_notification"), 2, "gdpr.notification", "sent due 11-08 10:00 worst case"},
		{"not_law_but_switched_on", detected().fact("clock_circia", "on", "").fact("circia_reasonable_belief_at", rfc(0), ""), 1, "circia.incident", "running due 11-08 10:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, ok := clock.Default().Evaluate(&tt.story.Incident, after(tt.now)).Clock(tt.clocks)
			if got := line(c); !ok || got != tt.want {
				t.Errorf("%s is %q, want %q", tt.clocks, got, tt.want)
			}
		})
	}
}

func TestBoard(t *testing.T) {
	s := detected().fact("clock_hipaa", "off", "no health data").fact("clock_nis2", "perhaps", "").fact("gdpr_aware_at", "soon", "")
	b := clock.Default().Evaluate(&s.Incident, after(1))
	var questions []string
	for _, q := range b.Questions {
		questions = append(questions, q.Profile)
	}
	if diff := cmp.Diff(strings.Fields("gdpr uk_gdpr ai_act gpai nis2 cra dora sec_8k circia fceb ca_sb53 ny_raise nydfs"), questions); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
	if c, _ := b.Clock("hipaa.notice"); c.State != clock.NotApplicable || c.Reason != "no health data" || c.By != "ana" {
		t.Errorf("hipaa is %s because %q by %q", c.State, c.Reason, c.By)
	}
	for _, want := range []string{`"perhaps" is neither on nor off`, `"soon" is no time`} {
		if !strings.Contains(strings.Join(b.Remarks, "\n"), want) {
			t.Errorf("remarks lack %q:\n%s", want, strings.Join(b.Remarks, "\n"))
		}
	}
	if diff := cmp.Diff(b, clock.Default().Evaluate(&s.Incident, after(1)), cmp.AllowUnexported(clock.Clock{})); diff != "" {
		t.Errorf("the same record gives another board:\n%s", diff)
	}
}

func TestZeroIncident(t *testing.T) {
	b := clock.Default().Evaluate(&incident.Incident{}, start)
	for _, c := range b.Clocks {
		if c.State != clock.Proposed || c.Due != nil {
			t.Errorf("%s is %s, due %v: nothing is recorded that it could count from", c.ID, c.State, c.Due)
		}
	}
	if len(b.Clocks) != 3 {
		t.Errorf("%d clocks, want the three of the product", len(b.Clocks))
	}
}

// TestRoundsKeepLateness: what was late stays late when the clock rolls on.
func TestRoundsKeepLateness(t *testing.T) {
	s := detected().send(1, "stakeholder_update").send(7, "stakeholder_update").send(8, "stakeholder_update")
	c, _ := clock.Default().Evaluate(&s.Incident, after(9)).Clock("product.stakeholder_update")
	var got []float64
	for _, r := range c.Rounds {
		got = append(got, r.LateBy/3600)
	}
	if diff := cmp.Diff([]float64{0, 2, 0}, got); diff != "" || c.Round != 4 {
		t.Errorf("round %d, hours late (-want +got):\n%s", c.Round, diff)
	}
}

// TestAlarms: each threshold is raised once, and after a pause late but not
// never.
func TestAlarms(t *testing.T) {
	raised := map[string]int{}
	var got []string
	for _, hours := range []float64{0.1, 0.5, 0.6, 0.8, 2.9, 3, 30} { // asleep from 0.8 to 2.9
		s := detected()
		if hours > 2.95 {
			s.send(2.95, "initial_alert")
		}
		for _, a := range clock.Default().Evaluate(&s.Incident, after(hours)).Alarms(raised) {
			raised[a.Key()] = a.Percent
			got = append(got, a.Key()+" "+map[int]string{50: "50", 80: "80", 95: "95", 100: "100"}[a.Percent]+" "+a.LateBy.Round(time.Minute).String())
		}
	}
	want := []string{
		"product.initial_alert#1 50 0s", "product.initial_alert#1 80 0s", "product.initial_alert#1 100 1h54m0s",
		"product.stakeholder_update#1 50 54m0s", "product.stakeholder_update#1 100 26h0m0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
}

func TestBuiltInProfiles(t *testing.T) {
	set := clock.Default()
	for _, p := range set.Profiles {
		if _, ok := set.Calendars[p.Calendar]; p.Calendar != "" && !ok {
			t.Errorf("%s: no calendar %q", p.ID, p.Calendar)
		}
		for _, r := range p.Clocks {
			for _, name := range slices.Concat(r.Needs, r.Project, r.Until) {
				if !strings.HasSuffix(name, "_at") {
					t.Errorf("%s.%s: %q is no name of a time", p.ID, r.ID, name)
				}
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const good = "profiles: [{id: sla, title: T, kind: contract, authority: A, citation: C, status: in_force, as_of: now, applies: Q, clocks: [{id: x, title: T, to: A, template: t, due: [{from: [a_at], offset: 1, unit: hours}]}]}]"
	if _, err := clock.ReadProfiles("p", strings.NewReader(good), clock.Limits{}); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, new, want string }{
		{"unknown_key", "title: T, kind", "tittle: T, kind", "tittle"},
		{"unknown_unit", "unit: hours", "unit: moons", "moons"},
		{"no_offset", "offset: 1", "offset: 0", "offset 0"},
		{"great_offset", "offset: 1", "offset: 100000", "offset 100000"},
		{"both_from_and_after", "from: [a_at]", "from: [a_at], after: x", "either"},
		{"after_nothing", "from: [a_at]", "after: y", "no clock of that id"},
		{"after_itself", "from: [a_at]", "after: x", "no clock of that id"},
		{"unknown_kind", "kind: contract", "kind: wish", "wish"},
		{"law_without_counsel", "kind: contract", "kind: regulatory", "confirm"},
		{"no_citation", "citation: C, ", "", "citation"},
		{"hostile_id", "id: sla", `id: "a\e[2Jb"`, "id"},
		{"too_large", "profiles:", "#" + strings.Repeat("x", 1<<20) + "\nprofiles:", "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := clock.ReadProfiles("p", strings.NewReader(strings.Replace(good, tt.old, tt.new, 1)), clock.Limits{})
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want invalid with %q", err, tt.want)
			}
		})
	}
	own, err := clock.ReadProfiles("p", strings.NewReader(strings.Replace(good, "id: sla", "id: gdpr", 1)), clock.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clock.Default().With(own); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a file replaces the law: %v", err)
	}
}

func TestReadCalendarRefuses(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"no_zone", "id: x", "zone"},
		{"local_zone", "id: x\nzone: Local", "zone"},
		{"path_as_zone", "id: x\nzone: ../../etc/passwd", "zone"},
		{"no_id", "zone: UTC", "id is missing"},
		{"cut_off", "id: x\nzone: UTC\ncut_off: noon", "cut_off"},
		{"years", "id: x\nzone: UTC\nfirst_year: 2027\nlast_year: 2026", "no range"},
		{"holiday", "id: x\nzone: UTC\nfirst_year: 2026\nlast_year: 2026\nholidays: {tomorrow: x}", "tomorrow"},
		{"holiday_outside", "id: x\nzone: UTC\nfirst_year: 2026\nlast_year: 2026\nholidays: {\"2027-01-01\": x}", "outside"},
		{"unknown_key", "id: x\nzone: UTC\nvacation: {}", "vacation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := clock.ReadCalendar("c", strings.NewReader(tt.file), clock.Limits{})
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want invalid with %q", err, tt.want)
			}
		})
	}
}

// FuzzReadCalendar: whatever loads counts business days forward and ends.
func FuzzReadCalendar(f *testing.F) {
	f.Add("id: x\nzone: Europe/Berlin\ncut_off: \"18:00\"\nfirst_year: 2026\nlast_year: 2026\nholidays: {\"2026-12-25\": Christmas}")
	f.Fuzz(func(t *testing.T, file string) {
		c, err := clock.ReadCalendar("c", strings.NewReader(file), clock.Limits{})
		if err != nil {
			return
		}
		set := clock.Default()
		set.Calendars[c.ID], set.Org = c, c.ID
		s := detected().close(1)
		k, _ := set.Evaluate(&s.Incident, after(2)).Clock("product.post_incident_report")
		if k.Due == nil || k.Due.Strict.Before(after(1).AddDate(0, 0, 5)) {
			t.Errorf("five business days after %s end at %v", after(1), k.Due)
		}
	})
}

// FuzzReadProfiles: whatever loads evaluates, and no due time lies before what
// it is counted from.
func FuzzReadProfiles(f *testing.F) {
	f.Add("profiles: [{id: sla, title: T, kind: contract, authority: A, citation: C, status: in_force, as_of: now, applies: Q, clocks: [{id: x, title: T, to: A, template: t, due: [{from: [detected_at], offset: 1, unit: months}]}]}]")
	f.Fuzz(func(t *testing.T, file string) {
		own, err := clock.ReadProfiles("p", strings.NewReader(file), clock.Limits{})
		if err != nil {
			return
		}
		set, err := clock.Default().With(own)
		if err != nil {
			return
		}
		for _, p := range own {
			set.On = append(set.On, p.ID)
		}
		s := detected().recover(1).close(2)
		for _, c := range set.Evaluate(&s.Incident, after(3)).Clocks {
			if c.Due != nil && c.Due.Strict.Before(c.TriggeredAt) {
				t.Errorf("%s is due at %s, before it began at %s", c.ID, c.Due.Strict, c.TriggeredAt)
			}
		}
	})
}
