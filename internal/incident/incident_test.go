package incident_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

func TestNewID(t *testing.T) {
	late := time.Date(2026, 2, 28, 23, 30, 0, 0, time.FixedZone("", -3600))
	id, err := incident.NewID(late, bytes.NewReader([]byte{0, 0, 0, 0, 1}))
	if want := "INC-20260301-AAAAAAAB"; err != nil || id != want {
		t.Errorf("id is %s (%v), want %s", id, err, want)
	}
	if err := incident.CheckID(id); err != nil {
		t.Error(err)
	}
	if id, err := incident.NewID(late, bytes.NewReader([]byte{0})); err == nil {
		t.Errorf("an id without randomness: %s", id)
	}
}

func TestCheckID(t *testing.T) {
	for _, bad := range []string{"", "20260301-AAAAAAAA", "INC-../x", "INC-\n", "INC-'", "inc-20260301"} {
		err := incident.CheckID(bad)
		if fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}

func TestFirstBad(t *testing.T) {
	sign := func(at time.Time) indicator.Indicator {
		return indicator.New(indicator.ModelFileTampered, "fraud", at, "", nil)
	}
	stated := func(value string) map[string]incident.StatedFact {
		return map[string]incident.StatedFact{"first_bad_at": {Fact: incident.Fact{Value: value}, By: "ana"}}
	}
	tests := []struct {
		name   string
		i      incident.Incident
		at     time.Time
		source string
	}{
		{"declaration_alone", incident.Incident{OpenedAt: noon}, noon, "time of declaration"},
		{"detection", incident.Incident{OpenedAt: noon, DetectedAt: minute(-9)}, minute(-9), "time of detection"},
		{"earlier_sign", incident.Incident{DetectedAt: noon, Indicators: []indicator.Indicator{sign(minute(-1)), sign(minute(-3)), sign(minute(-2))}}, minute(-3), "earliest indicator"},
		{"later_sign", incident.Incident{DetectedAt: noon, Indicators: []indicator.Indicator{sign(minute(1))}}, noon, "time of detection"},
		{"sign_without_time", incident.Incident{DetectedAt: noon, Indicators: []indicator.Indicator{sign(time.Time{})}}, noon, "time of detection"},
		{"stated", incident.Incident{DetectedAt: noon, Facts: stated("2026-02-01T00:00:00.5Z")}, time.Date(2026, 2, 1, 0, 0, 0, 5e8, time.UTC), "stated by ana"},
		{"stated_in_no_known_form", incident.Incident{DetectedAt: noon, Facts: stated("last week")}, noon, "time of detection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, source := tt.i.FirstBad()
			if !at.Equal(tt.at) || source != tt.source {
				t.Errorf("first bad at %v, %s; want %v, %s", at, source, tt.at, tt.source)
			}
		})
	}
}

func TestOpenTasks(t *testing.T) {
	r := opened(t).
		add(incident.KindTask, incident.Task{ID: "a", Text: "rotate the token"}).
		add(incident.KindTask, incident.Task{ID: "b", Text: "rotate the key"}).
		add(incident.KindTaskDone, incident.TaskDone{ID: "a"}).
		add(incident.KindTaskDone, incident.TaskDone{ID: "none"}).
		add(incident.KindTask, incident.Task{ID: "a", Text: "rotate the token again"})
	open := func(i *incident.Incident) (texts []string) {
		for _, task := range i.OpenTasks() {
			texts = append(texts, task.Text)
		}
		return texts
	}
	if d := cmp.Diff([]string{"rotate the key", "rotate the token again"}, open(r.fold())); d != "" {
		t.Error(d)
	}
	i := r.add(incident.KindTaskDone, incident.TaskDone{ID: "a"}).fold()
	if d := cmp.Diff([]string{"rotate the key"}, open(i)); d != "" {
		t.Error(d)
	}
	if got := i.Tasks[0].DoneAt; got != minute(3) {
		t.Errorf("a task that was done at %v is now done at %v", minute(3), got)
	}
}

func TestHowFarAPlanIs(t *testing.T) {
	const (
		planned, intended, returned = incident.StepPlanned, incident.StepIntended, incident.StepReturned
		done, failed, undone        = incident.StepDone, incident.StepFailed, incident.StepUndone
	)
	tests := []struct {
		name                          string
		steps                         []incident.StepStatus
		started, finished, unfinished bool
	}{
		{"no_steps", nil, false, false, false},
		{"only_planned", []incident.StepStatus{planned, planned}, false, false, false},
		{"intended", []incident.StepStatus{intended, planned}, true, false, true},
		{"returned", []incident.StepStatus{returned, planned}, true, false, true},
		{"half_way", []incident.StepStatus{done, planned}, true, false, true},
		{"last_failed", []incident.StepStatus{done, failed}, true, false, true},
		{"all_done", []incident.StepStatus{done, done}, true, true, false},
		{"one_taken_back", []incident.StepStatus{done, undone}, true, false, false},
		{"all_taken_back", []incident.StepStatus{undone, undone}, true, false, false},
		{"half_way_taken_back", []incident.StepStatus{undone, planned}, true, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p incident.PlanState
			for _, s := range tt.steps {
				p.Steps = append(p.Steps, incident.StepState{Status: s})
			}
			got := []bool{p.Started(), p.Finished(), p.Unfinished()}
			if d := cmp.Diff([]bool{tt.started, tt.finished, tt.unfinished}, got); d != "" {
				t.Errorf("started, finished, unfinished: %s", d)
			}
		})
	}
}

// The way of one step through the log.
func TestStepStatus(t *testing.T) {
	p := action.Plan{Action: action.Isolate, Steps: []action.Step{{ID: "move"}, {ID: "mark"}}}
	u := undo(p, "move")
	r := opened(t).add(incident.KindPlanned, p)
	ways := []struct {
		tell   func()
		status incident.StepStatus
		err    string
	}{
		{func() {}, incident.StepPlanned, ""},
		{func() { r.add(incident.KindIntent, incident.StepIntent{Plan: p.Hash(), Step: "move"}) }, incident.StepIntended, ""},
		{func() {
			r.add(incident.KindExecuted, incident.StepExecuted{Plan: p.Hash(), Step: "move", Error: "disk full"})
		}, incident.StepReturned, "disk full"},
		{func() { r.observe(p, "move", action.Diverged) }, incident.StepFailed, "disk full"},
		{func() { r.observe(p, "move", action.NotDone) }, incident.StepFailed, "disk full"},
		{func() { r.observe(p, "move", action.Done) }, incident.StepDone, ""},
		{func() { r.add(incident.KindPlanned, u).carryOut(u, "undo-move", action.NotDone) }, incident.StepDone, ""},
		{func() { r.observe(u, "undo-move", action.Done) }, incident.StepUndone, ""},
	}
	for _, w := range ways {
		t.Run(string(w.status), func(t *testing.T) {
			w.tell()
			i := r.fold()
			if s := i.Plan(p.Hash()).Steps[0]; s.Status != w.status || s.Error != w.err {
				t.Errorf("step is %s (%q), want %s (%q)", s.Status, s.Error, w.status, w.err)
			}
			if s := i.Plan(p.Hash()).Steps[1]; s.Status != incident.StepPlanned {
				t.Errorf("the other step is %s", s.Status)
			}
		})
	}
}

// What is said of a plan that is not in the record concerns none that is.
func TestEntriesOfOtherPlans(t *testing.T) {
	r := opened(t).add(incident.KindPlanned, isolate).carryOut(rollback, "swap", action.Done).
		carryOut(isolate, "no such step", action.Done).
		add(incident.KindApproved, incident.Approved{Plan: rollback.Hash()})
	i := r.fold()
	if i.Plan(rollback.Hash()) != nil || i.Plans[0].Started() || i.Plans[0].Approval != nil || i.State != incident.Open {
		t.Errorf("plans are %+v, state %s", i.Plans, i.State)
	}
}

// A detection that somebody corrects is what everything counts from: an earlier
// time at once, a later one with a reason.
func TestDetected(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	fact := func(value, reason string) incident.StatedFact {
		return incident.StatedFact{Fact: incident.Fact{Name: "detected_at", Value: value, Reason: reason}, By: "ana"}
	}
	for _, tt := range []struct {
		name   string
		facts  []incident.StatedFact
		want   time.Time
		source string
	}{
		{"declared", nil, noon, "declared"},
		{"earlier", []incident.StatedFact{fact("2026-11-23T09:00:00Z", "")}, noon.Add(-3 * time.Hour), "stated by ana"},
		{"later_without_reason", []incident.StatedFact{fact("2026-11-23T13:00:00Z", "")}, noon, "declared"},
		{"later_with_reason", []incident.StatedFact{fact("2026-11-23T13:00:00Z", "wrong clock")}, noon.Add(time.Hour), "stated by ana"},
		{"no_time", []incident.StatedFact{fact("at lunch", "x")}, noon, "declared"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inc := &incident.Incident{DetectedAt: noon, OpenedAt: noon.Add(time.Minute), History: tt.facts}
			if at, source := inc.Detected(); !at.Equal(tt.want) || source != tt.source {
				t.Errorf("detected %v, %s", at, source)
			}
			if bad, _ := inc.FirstBad(); !bad.Equal(tt.want) {
				t.Errorf("first bad is %v", bad)
			}
		})
	}
}
