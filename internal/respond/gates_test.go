package respond_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/respond"
)

// Each gate passes, refuses, and is waived by who may.
func TestWaivers(t *testing.T) {
	opens := plan(action.Rollback, "a")
	opens.Steps[0].Opens = true
	many := plan(action.Isolate, "a")
	many.Steps[0].Replicas = 11
	unsealed := of("n", plan(action.Isolate, "exchange"))
	tests := []struct {
		name  string
		gate  string
		plan  action.Plan
		setup func(b *bench)
		// again makes the gate ask anew.
		again func(b *bench)
	}{
		{
			"G2", "G2", unsealed, func(b *bench) { b.record(incident.KindAssessed, incident.Assessed{Model: "n", Reason: "a file grows"}) },
			func(b *bench) {
				b.record(incident.KindAssessed, incident.Assessed{Model: "n", Reason: "it still grows"})
			},
		},
		{"G7", "G7", plan(action.Rollback, "a"), unknownPlace, unknownPlace},
		{
			"G8", "G8", opens, func(b *bench) { b.record(incident.KindTask, incident.Task{ID: "rotate-1", Text: "x"}) },
			func(b *bench) { b.record(incident.KindTask, incident.Task{ID: "rotate-2", Text: "x"}) },
		},
		{"G11", "G11", many, func(b *bench) { b.Limits.Replicas = 10 }, func(b *bench) {
			if err := b.Apply(b.t.Context(), plan(action.Undo, "q")); err != nil {
				b.t.Fatal(err)
			}
		}},
		{"G11_models", "G11", plan(action.Isolate, "a"), func(b *bench) {
			b.Limits = respond.Limits{Percent: 50, Targets: 3, Isolated: func(context.Context) ([]string, error) { return []string{"x"}, nil }}
		}, func(b *bench) {
			if err := b.Apply(b.t.Context(), plan(action.Undo, "q")); err != nil {
				b.t.Fatal(err)
			}
		}},
		{"G13", "G13", unsealed, func(b *bench) {
			b.record(incident.KindAssessed, incident.Assessed{Model: "n", Reason: "a file grows"})
			b.record(incident.KindWaived, incident.Waived{Gate: "G2", Model: "n", Reason: "x"})
			b.record(incident.KindHold, incident.Hold{On: true, Reason: "Art. 73"})
		}, func(b *bench) { b.record(incident.KindHold, incident.Hold{On: true, Reason: "again"}) }},
	}
	settle := time.Duration(0)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.Tries.Settle = &settle
			tt.setup(b)
			refused := func(when string) {
				t.Helper()
				err := b.Apply(t.Context(), tt.plan)
				if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate "+tt.gate+":") || fault.HintOf(err) == "" {
					t.Errorf("%s: %v", when, err)
				}
			}
			refused("before")
			waive := incident.Waived{Gate: tt.gate, Model: tt.plan.Model, Reason: "accepted"}
			if _, err := b.Waive(t.Context(), id, waive); err != nil {
				t.Fatal(err)
			}
			tt.again(b)
			refused("asked anew")
			if _, err := b.Waive(t.Context(), id, waive); err != nil {
				t.Fatal(err)
			}
			if err := b.Apply(t.Context(), tt.plan); err != nil {
				t.Errorf("waived: %v", err)
			}
		})
	}
}

func unknownPlace(b *bench) {
	b.record(incident.KindScope, incident.Scope{Model: "m", Places: []incident.Place{{Path: "/x", Verdict: incident.PlaceUnknown}}})
}

func TestGatesPass(t *testing.T) {
	settle := time.Duration(0)
	b := newBench(t)
	b.Tries.Settle = &settle
	b.record(incident.KindScope, incident.Scope{Model: "m", Places: []incident.Place{{Path: "/x", Verdict: incident.PlaceAffected}}})
	b.record(incident.KindTask, incident.Task{ID: "rotate-1", Text: "x"})
	b.record(incident.KindTaskDone, incident.TaskDone{ID: "rotate-1"})
	b.record(incident.KindTask, incident.Task{ID: "other-1", Text: "x"})
	b.Limits = respond.Limits{Replicas: 10, Percent: 50, Targets: 2, Isolated: func(context.Context) ([]string, error) { return []string{"m"}, nil }}
	p := plan(action.Rollback, "a")
	p.Steps[0].Opens, p.Steps[0].Replicas = true, 10
	if err := b.Apply(t.Context(), p); err != nil {
		t.Error(err)
	}
	// Within the same minute the same number again is too many; later it is not.
	p = plan(action.Isolate, "b")
	p.Steps[0].Replicas = 1
	if err := b.Apply(t.Context(), p); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate G11") {
		t.Errorf("got %v", err)
	}
	b.clock = b.clock.Add(time.Minute)
	if err := b.Apply(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func TestWhoMayWaive(t *testing.T) {
	for _, tt := range []struct{ gate, who, want string }{
		{"G7", "Di", ""},
		{"G7", "Ana", "has not the role commander"},
		{"G7", "Lee", "has not the role commander"},
		{"G8", "Di", ""},
		{"G11", "Di", ""},
		{"G12", "Di", ""},
		{"G13", "Lee", ""},
		{"G13", "Di", "has not the role legal"},
		{"G2", "Di", "needs 1 approval of a second person"},
		{"G1", "Di", "nobody may waive this gate"},
		{"G3", "Di", "nobody may"},
		{"G4", "Di", "nobody may"},
		{"G5", "Di", "nobody may"},
		{"G6", "Di", "nobody may"},
		{"G9", "Di", "nobody may"},
		{"G10", "Di", "nobody may"},
		{"G14", "Di", "nobody may"},
		{"G99", "Di", "nobody may"},
	} {
		t.Run(tt.gate+"_"+tt.who, func(t *testing.T) {
			b := crew(t)
			if tt.who != "Ana" {
				b.Key = pub(tt.who)
			}
			w, err := b.Waive(t.Context(), id, incident.Waived{Gate: tt.gate, Model: "m", Reason: "x"})
			switch {
			case tt.want == "" && (err != nil || w.Person != tt.who):
				t.Errorf("got %+v, %v", w, err)
			case tt.want != "" && (fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "gate "+refusedBy(tt.gate))):
				t.Errorf("got %v", err)
			}
		})
	}
}

// refusedBy names the gate that refuses a waiver: that of evidence wants a
// second person.
func refusedBy(gate string) string {
	if gate == incident.EvidenceGate {
		return "G6"
	}
	return gate
}

func TestClose(t *testing.T) {
	b := crew(t)
	b.Key = pub("Di")
	done := incident.Closed{Resolution: "done"}
	closing := func(want string, unsent ...string) {
		t.Helper()
		err := b.Close(t.Context(), id, done, unsent)
		if want == "" && err != nil || want != "" && (fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	closing("gate G12: messages are not sent: initial_alert, x", "initial_alert", "x")
	if _, err := b.Waive(t.Context(), id, incident.Waived{Gate: "G12", Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	closing("gate G6", "initial_alert") // asks for it
	b.give(b.sign(incident.ClosePlan(id, done), "Bo", nil))
	b.Key = nil
	closing("Ana has not the role commander")
	b.Key = pub("Di")
	closing("", "initial_alert")
	closing("is closed")
	b.verified()
}

func TestAutomatic(t *testing.T) {
	sign := indicator.New(indicator.ModelFileTampered, "m", start, "w differs", nil)
	policy := respond.Policy{Name: "nights", Severity: finding.Critical, Actions: []action.Name{action.Isolate}, Expires: start.Add(time.Hour), PerHour: 1}
	irreversible := plan(action.Isolate, "a")
	irreversible.Steps[0].Inverse = nil
	tests := []struct {
		name   string
		change func(*respond.Policy)
		plan   action.Plan
		want   string
	}{
		{"covered", func(*respond.Policy) {}, plan(action.Isolate, "a"), ""},
		{"expired", func(p *respond.Policy) { p.Expires = start }, plan(action.Isolate, "a"), "has expired"},
		{"other_action", func(*respond.Policy) {}, plan(action.Rollback, "a"), "does not allow to rollback"},
		{"other_model", func(p *respond.Policy) { p.Models = []string{"n"} }, plan(action.Isolate, "a"), "does not cover"},
		{"too_mild", func(p *respond.Policy) { p.Severity = finding.Critical + 1 }, plan(action.Isolate, "a"), "does not cover"},
		{"irreversible", func(*respond.Policy) {}, irreversible, "only what can be taken back"},
		{"used_up", func(p *respond.Policy) { p.Used = 1 }, plan(action.Isolate, "a"), "as often within an hour as it may"},
		{"evidence_is_not_sealed", func(*respond.Policy) {}, of("m2", plan(action.Isolate, "exchange")), "does not cover"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.record(incident.KindIndicator, sign)
			b.record(incident.KindFact, incident.Fact{Name: "commander"}) // nobody is there
			p := policy
			tt.change(&p)
			b.Policy = &p
			err := b.Apply(t.Context(), tt.plan)
			if tt.want != "" {
				if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate G1") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v", err)
				}
				return
			}
			if a := b.load().Plans[0].Approval; err != nil || a.Policy != "nights" || a.Self {
				t.Errorf("got %v, %+v", err, a)
			}
		})
	}
}
