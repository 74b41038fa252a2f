package playbook_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/playbook"
)

func TestDefault(t *testing.T) {
	p := playbook.Default()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) != 15 {
		t.Errorf("%d steps, want 15", len(p.Steps))
	}
	for _, s := range p.Steps {
		if s.Title == "" || s.Reason == "" || len(s.CSF) == 0 || len(s.Commands) == 0 && s.People == "" {
			t.Errorf("step %s lacks a title, a reason, a CSF reference, or somebody who does it", s.ID)
		}
	}
}

// TestCommands keeps the steps to the commands that there are.
func TestCommands(t *testing.T) {
	known := strings.Fields("check watch verify incident/open incident/show incident/assess incident/isolate incident/rollback " +
		"incident/undo incident/resume incident/investigate incident/timeline incident/report incident/message incident/note " +
		"incident/fact incident/close incident/scope incident/verify incident/approve")
	for _, s := range playbook.Default().Steps {
		for _, c := range s.Commands {
			words := strings.Fields(c)
			name := words[1]
			if name == "incident" {
				name += "/" + words[2]
			}
			if words[0] != "weightwarden" || !strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
				t.Errorf("step %s: no such command: %s", s.ID, c)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	step := func(n int, id string, after ...string) playbook.Step {
		return playbook.Step{Number: n, ID: id, After: after}
	}
	tests := []struct {
		name  string
		steps []playbook.Step
		want  string
	}{
		{"fine", []playbook.Step{step(0, "a"), step(1, "b", "a")}, ""},
		{"twice", []playbook.Step{step(0, "a"), step(1, "a")}, "given twice"},
		{"wrong_number", []playbook.Step{step(1, "a")}, "has number 1 at place 0"},
		{"unknown_step", []playbook.Step{step(0, "a", "z")}, `names step "z"`},
		{"unknown_gate", []playbook.Step{{ID: "a", Gates: []string{"G99"}}}, `names gate "G99"`},
		{"waits_for_itself", []playbook.Step{step(0, "a", "a")}, "waits for itself"},
		{"cycle", []playbook.Step{step(0, "a", "c"), step(1, "b", "a"), step(2, "c", "b")}, "step b: waits for itself"},
		{"parallel_with_what_it_waits_for", []playbook.Step{step(0, "a"), step(1, "b", "a"), {Number: 2, ID: "c", After: []string{"b"}, Parallel: []string{"a"}}}, "parallel with a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := playbook.Playbook{Steps: tt.steps}.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	done := func(a action.Name) incident.PlanState {
		return incident.PlanState{Action: a, EndedAt: time.Unix(1, 0), Steps: []incident.StepState{{Status: incident.StepDone}}}
	}
	sealed := map[string]incident.AssessedAt{"m": {Assessed: incident.Assessed{Sealed: true}}}
	unknown := incident.Scope{Places: []incident.Place{{Verdict: incident.PlaceUnknown}}}
	tests := []struct {
		name string
		inc  incident.Incident
		want []string
	}{
		{"no_commander", incident.Incident{}, []string{"declare", "blast_radius"}},
		{"declared", incident.Incident{Commander: "a"}, []string{"freeze", "cut_traffic", "preserve", "blast_radius", "notify"}},
		{"sealed", incident.Incident{Commander: "a", Assessed: sealed}, []string{"freeze", "cut_traffic", "quarantine", "blast_radius", "notify", "rotate", "root_cause"}},
		{
			"one_model_of_two_sealed",
			incident.Incident{Commander: "a", Models: []string{"m", "n"}, Assessed: sealed},
			[]string{"freeze", "cut_traffic", "preserve", "blast_radius", "notify"},
		},
		{
			"isolated_and_investigated",
			incident.Incident{Commander: "a", Assessed: sealed, Plans: []incident.PlanState{done(action.Isolate)}, Inquiries: []incident.Inquiry{{}}, Tasks: []incident.TaskState{{}}},
			[]string{"notify", "rotate", "select_target", "root_cause"},
		},
		{
			"scoped",
			incident.Incident{Commander: "a", Assessed: sealed, Scopes: map[string]incident.ScopeAt{"m": {}}},
			[]string{"freeze", "cut_traffic", "quarantine", "notify", "rotate", "select_target", "root_cause"},
		},
		{
			"a_place_is_not_known",
			incident.Incident{Commander: "a", Assessed: sealed, Scopes: map[string]incident.ScopeAt{"m": {Scope: unknown}}},
			[]string{"freeze", "cut_traffic", "quarantine", "blast_radius", "notify", "rotate", "root_cause"},
		},
		{
			"rotated",
			incident.Incident{Commander: "a", Assessed: sealed, Plans: []incident.PlanState{done(action.Isolate)}, Inquiries: []incident.Inquiry{{}}},
			[]string{"notify", "select_target", "root_cause"},
		},
		{
			"recovered_and_explained",
			incident.Incident{
				Commander: "a", Assessed: sealed, Plans: []incident.PlanState{done(action.Isolate), done(action.Rollback)}, Inquiries: []incident.Inquiry{{}},
				Facts: map[string]incident.StatedFact{"root_cause_analysis": {}},
				Sent:  []incident.SentMessage{{MessageSent: incident.MessageSent{MessageRef: incident.MessageRef{Template: "initial_alert"}}}},
			},
			[]string{"monitor", "review"},
		},
		{"closed", incident.Incident{State: incident.Done}, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.inc.Models == nil {
				tt.inc.Models = []string{"m"}
			}
			if diff := cmp.Diff(tt.want, playbook.Default().Next(&tt.inc, nil)); diff != "" {
				t.Errorf("next steps (-want +got):\n%s", diff)
			}
		})
	}
}

// The one next thing is none whose command a gate would refuse, as long as
// there is another; people may still do their part of it.
func TestNextIsNotRefused(t *testing.T) {
	book := playbook.Default()
	inc := &incident.Incident{Commander: "a", Models: []string{"m"}, Facts: map[string]incident.StatedFact{"step_cut_traffic": {Fact: incident.Fact{Value: "done"}}}}
	blocked := playbook.Blocked{playbook.Quarantine: {{Gate: "G2", Reason: "nothing is sealed", Hint: "seal it"}}}
	for _, tt := range []struct {
		name, want string
		blocked    playbook.Blocked
		hindered   bool
	}{
		{"nothing_refused", "freeze", nil, false},
		{"isolating_is_refused", "preserve", blocked, true},
		{"only_a_second_person_is_missing", "freeze", playbook.Blocked{playbook.Quarantine: {{Gate: playbook.SecondPerson, Reason: "x"}}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := book.Advise(inc, tt.blocked); a.Next == nil || a.Next.ID != tt.want {
				t.Errorf("next is %+v", a.Next)
			}
			for _, s := range book.Board(inc, tt.blocked) {
				if s.ID == "freeze" && (s.Hindered != tt.hindered || s.Status != playbook.Allowed || strings.Contains(s.Because, "nothing is sealed") != tt.hindered) {
					t.Errorf("freeze is %+v", s)
				}
			}
		})
	}
}
