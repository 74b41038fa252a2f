package respond_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/lease"
)

func leasesOf(b *bench) lease.Store {
	b.t.Helper()
	return b.db.Leases()
}

// fences returns the numbers of leases in the intents.
func fences(b *bench) (out []uint64) {
	entries, err := b.Ledger.Entries(b.t.Context(), id, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		var i incident.StepIntent
		if e.Kind == incident.KindIntent && e.Decode(&i) == nil {
			out = append(out, i.Fence)
		}
	}
	return out
}

func personKey(name string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte(name[:1]), ed25519.SeedSize))
}

func pub(name string) *approval.Key {
	return &approval.Key{Ed25519: personKey(name).Public().(ed25519.PublicKey)}
}

// crew is a bench with people: ana@host is a responder, the others have keys.
func crew(t *testing.T) *bench {
	b := newBench(t)
	with := func(name string, roles ...approval.Role) approval.Person {
		return approval.Person{Name: name, Roles: roles, Keys: []approval.Key{*pub(name)}}
	}
	b.Roster = approval.Roster{People: []approval.Person{
		{Name: "Ana", Roles: []approval.Role{approval.Responder}, Users: []string{"ana"}},
		with("Bo", approval.Approver), with("Cy", approval.Approver, approval.Responder),
		with("Di", approval.Commander), with("Eve", approval.Viewer), with("Lee", approval.Legal),
	}, TTL: 3600}
	return b
}

// sign makes an approval as a person would.
func (b *bench) sign(p action.Plan, by string, change func(*approval.Statement)) approval.Signed {
	b.t.Helper()
	entries, err := b.Ledger.Entries(b.t.Context(), id, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	s := incident.Signable(entries, p, by, approval.Approver, b.Now(), 30*time.Minute)
	if change != nil {
		change(&s)
	}
	return approval.Sign(s, personKey(by))
}

// give puts an approval on record as it is, past the checks, as somebody does
// who can write into the ledger.
func (b *bench) give(s approval.Signed) {
	b.record(incident.KindApproval, incident.SignedApproval{
		Plan: s.Plan, Action: s.Action, By: s.By, Role: s.Role, Expires: s.Expires, Statement: s.Text(), Signature: s.Signature,
	})
}

var rollback = plan(action.Rollback, "a")

// Every way in which an approval can be none is refused with its reason, when
// it is put on record and, for who gets it there by force, when it is used.
func TestApprovalsThatAreNone(t *testing.T) {
	other := plan(action.Rollback, "b")
	tests := []struct {
		name string
		make func(b *bench) approval.Signed
		want string
		// later is what happens after it was given.
		later func(b *bench)
	}{
		{"forged_signature", func(b *bench) approval.Signed {
			s := b.sign(rollback, "Bo", nil)
			s.Signature = b.sign(other, "Bo", nil).Signature
			return s
		}, "it is forged", nil},
		{"altered_statement", func(b *bench) approval.Signed {
			s := b.sign(rollback, "Bo", nil)
			s.Expires = s.Expires.Add(time.Minute)
			return s
		}, "it is forged", nil},
		{"key_of_nobody", func(b *bench) approval.Signed {
			s := b.sign(rollback, "Bo", nil)
			return approval.Sign(s.Statement, personKey("Mallory"))
		}, "its key is that of nobody", nil},
		{"in_the_name_of_another", func(b *bench) approval.Signed {
			return b.sign(rollback, "Cy", func(s *approval.Statement) { s.By = "Bo" })
		}, "in the name of Bo", nil},
		{"without_the_role", func(b *bench) approval.Signed { return b.sign(rollback, "Di", nil) }, "has not the role approver", nil},
		{"in_another_role", func(b *bench) approval.Signed {
			return b.sign(rollback, "Cy", func(s *approval.Statement) { s.Role = approval.Responder })
		}, "as responder", nil},
		{"for_another_plan", func(b *bench) approval.Signed { return b.sign(other, "Bo", nil) }, "plan", nil},
		{"for_another_incident", func(b *bench) approval.Signed {
			return b.sign(rollback, "Bo", func(s *approval.Statement) { s.Incident = "INC-20261123-BBBBBBBB" })
		}, "for the incident INC-20261123-BBBBBBBB", nil},
		{"for_another_record", func(b *bench) approval.Signed {
			return b.sign(rollback, "Bo", func(s *approval.Statement) { s.Root = other.Hash() })
		}, "for another record", nil},
		{"of_the_future", func(b *bench) approval.Signed {
			return b.sign(rollback, "Bo", func(s *approval.Statement) { s.Position += 100 })
		}, "for another record", nil},
		{"holds_too_long", func(b *bench) approval.Signed {
			return b.sign(rollback, "Bo", func(s *approval.Statement) { s.Expires = s.Issued.Add(2 * time.Hour) })
		}, "at most 1h0m0s", nil},
		{"dated_ahead", func(b *bench) approval.Signed {
			return b.sign(rollback, "Bo", func(s *approval.Statement) {
				s.Issued, s.Expires = s.Issued.Add(time.Hour), s.Expires.Add(time.Hour)
			})
		}, "dated in the future", nil},
		{"expired", func(b *bench) approval.Signed {
			return b.sign(rollback, "Bo", func(s *approval.Statement) { s.Issued, s.Expires = s.Issued.Add(-time.Hour), s.Issued })
		}, "has expired", nil},
		{"expires_before_it_is_used", func(b *bench) approval.Signed { return b.sign(rollback, "Bo", nil) }, "has expired", func(b *bench) { b.clock = b.clock.Add(time.Hour) }},
		{"who_asks", func(b *bench) approval.Signed {
			b.record(incident.KindRequested, incident.Requested{Plan: rollback, By: "Bo"})
			return b.sign(rollback, "Bo", nil)
		}, "who asks does not approve", nil},
		{"who_carries_it_out", func(b *bench) approval.Signed { return b.sign(rollback, "Cy", nil) }, "who approves does not carry it out", func(b *bench) { b.Key = pub("Cy") }},
		{"something_was_done_since", func(b *bench) approval.Signed { return b.sign(rollback, "Bo", nil) }, "changed what it is for", func(b *bench) {
			if err := b.Apply(b.t.Context(), plan(action.Isolate, "z")); err != nil {
				b.t.Fatal(err)
			}
		}},
		{"another_first_bad_time_since", func(b *bench) approval.Signed { return b.sign(rollback, "Bo", nil) }, "changed what it is for", func(b *bench) {
			b.record(incident.KindFact, incident.Fact{Name: "first_bad_at", Value: "2026-11-01T00:00:00Z"})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := crew(t)
			asked(b, rollback)
			signed := tt.make(b)
			_, err := b.Approve(t.Context(), id, signed)
			if tt.later == nil {
				if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate G6") || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
					t.Errorf("put on record: %v", err)
				}
				b.give(signed)
			} else {
				if err != nil {
					t.Fatalf("put on record: %v", err)
				}
				tt.later(b)
			}
			took := len(b.world.took)
			err = b.Apply(t.Context(), rollback)
			if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate G6") || !strings.Contains(err.Error(), tt.want) || len(b.world.took) != took {
				t.Errorf("used: %v", err)
			}
			if r := b.load().Refusals; len(r) == 0 || r[len(r)-1].Gate != "G6" || !strings.Contains(r[len(r)-1].Reason, tt.want) {
				t.Errorf("refusals %+v", r)
			}
		})
	}
}

// asked has people put on record, and a plan asked for.
func asked(b *bench, p action.Plan) {
	b.t.Helper()
	if err := b.PutPeople(b.t.Context(), b.load()); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Request(b.t.Context(), p); err != nil {
		b.t.Fatal(err)
	}
}

func TestApproved(t *testing.T) {
	b := crew(t)
	if err := b.Apply(t.Context(), rollback); fault.KindOf(err) != fault.Refused {
		t.Fatalf("without an approval: %v", err)
	}
	if r, ok := b.load().Requested(rollback.Hash()); !ok || r.By != "Ana" {
		t.Errorf("requests %+v", b.load().Requests)
	}
	// Notes and messages in between do not make it void.
	signed := b.sign(rollback, "Bo", nil)
	b.record(incident.KindNote, incident.Note{Text: "waiting for Bo"})
	b.Signed = []approval.Signed{signed}
	if err := b.Apply(t.Context(), rollback); err != nil {
		t.Fatal(err)
	}
	inc := b.load()
	a := inc.Plans[0].Approval
	if a.Self || a.By != "Ana" || a.Requester != "Ana" || len(a.Rests) != 1 || !inc.Approvals[0].Used {
		t.Errorf("approved %+v by %+v", a, inc.Approvals)
	}
	// Replayed: the same plan once more.
	delete(b.world.done, "a")
	b.Signed = nil
	if err := b.Apply(t.Context(), rollback); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "was used already") {
		t.Errorf("replayed: %v", err)
	}
	b.Signed = []approval.Signed{signed}
	if err := b.Apply(t.Context(), rollback); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "on record already") {
		t.Errorf("replayed from a file: %v", err)
	}
	b.verified()
}

// verified checks what an auditor says of the record.
func (b *bench) verified(want ...string) {
	b.t.Helper()
	state, err := b.Ledger.State(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	problems := incident.VerifyApprovals(id, state.Rows)
	if len(problems) != len(want) {
		b.t.Errorf("problems %+v, want %v", problems, want)
		return
	}
	for n, p := range problems {
		if !strings.Contains(p.Detail, want[n]) || p.Kind != evidence.Forged {
			b.t.Errorf("problem %+v, want %q", p, want[n])
		}
	}
}

func TestTwoApprovals(t *testing.T) {
	b := crew(t)
	b.Roster.Required = map[string]int{approval.Isolate: 2}
	isolate := plan(action.Isolate, "a")
	asked(b, isolate)
	for _, s := range []approval.Signed{b.sign(isolate, "Bo", nil), b.sign(isolate, "Bo", func(s *approval.Statement) { s.Expires = s.Expires.Add(time.Second) })} {
		b.give(s)
	}
	if err := b.Apply(t.Context(), isolate); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "needs 2 approvals of a second person and has 1") {
		t.Errorf("the same person twice: %v", err)
	}
	b.give(b.sign(isolate, "Cy", nil))
	if err := b.Apply(t.Context(), isolate); err != nil {
		t.Error(err)
	}
	b.verified()
}

func TestExecutorDiffers(t *testing.T) {
	b := crew(t)
	b.Roster.ExecutorDiffers = true
	asked(b, rollback)
	b.give(b.sign(rollback, "Bo", nil))
	if err := b.Apply(t.Context(), rollback); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "may not carry it out as well") {
		t.Errorf("who asks: %v", err)
	}
	b.Key = pub("Di")
	if err := b.Apply(t.Context(), rollback); err != nil {
		t.Errorf("another: %v", err)
	}
}

func TestRoles(t *testing.T) {
	for _, tt := range []struct{ who, want string }{
		{"Ana", ""},
		{"Di", ""},
		{"Cy", ""},
		{"Bo", "Bo has not the role responder"},
		{"Eve", "Eve has not the role responder"},
		{"Mallory", "none of the people on record"},
	} {
		t.Run(tt.who, func(t *testing.T) {
			b := crew(t)
			if tt.who != "Ana" {
				b.Key = pub(tt.who)
			}
			err := b.Apply(t.Context(), plan(action.Isolate, "a"))
			if tt.want == "" && err != nil || tt.want != "" && (fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The configuration is no way round those on record.
func TestPeopleOnRecordCount(t *testing.T) {
	b := crew(t)
	asked(b, rollback)
	old := b.Roster
	b.Roster = approval.Roster{}
	if err := b.Apply(t.Context(), rollback); fault.KindOf(err) != fault.Refused {
		t.Fatalf("without people in the configuration: %v", err)
	}
	if b.Strangers(b.load()) == "" {
		t.Error("nobody notices")
	}
	if err := b.AdoptPeople(t.Context(), id, "x"); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate G6") {
		t.Fatalf("adopted: %v", err)
	}
	b.give(b.sign(incident.PeoplePlan(id, b.Roster, "x"), "Bo", nil))
	if err := b.AdoptPeople(t.Context(), id, "x"); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), rollback); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	b.verified()
	_ = old
}

func TestBreakGlass(t *testing.T) {
	b := crew(t)
	var alerts []string
	b.BreakGlass = "Bo and Cy sleep"
	b.Alert = func(_ context.Context, to, key, text string) error {
		alerts = append(alerts, to+" "+key+" "+text)
		return nil
	}
	if err := b.Apply(t.Context(), rollback); err != nil {
		t.Fatal(err)
	}
	inc := b.load()
	if len(inc.BrokenGlass) != 1 || inc.BrokenGlass[0].By != "Ana" || !slices.Equal(inc.BrokenGlass[0].Gates, []string{"G6"}) || !inc.Plans[0].Approval.BreakGlass {
		t.Errorf("broken glass %+v", inc.BrokenGlass)
	}
	if len(alerts) != 2 || !strings.HasPrefix(alerts[0], "Bo ") || !strings.HasPrefix(alerts[1], "Cy ") || !strings.Contains(alerts[0], "sleep") {
		t.Errorf("alerts %q", alerts)
	}
	b.verified()
	// Not past a hard gate, and not silently.
	detach := plan(action.Isolate, "d")
	detach.Steps[0].Detaches = true
	if err := b.Apply(t.Context(), detach); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "gate G3") {
		t.Errorf("past G3: %v", err)
	}
	b.Alert = func(context.Context, string, string, string) error { return fmt.Errorf("the disk is full") }
	if err := b.Apply(t.Context(), plan(action.Rollback, "e")); err == nil || b.world.done["e"] {
		t.Errorf("without an alert: %v", err)
	}
}

// A record that somebody wrote past the program shows.
func TestAuditorFindsForgeries(t *testing.T) {
	tests := []struct {
		name string
		do   func(b *bench)
		want []string
	}{
		{"in_order", func(b *bench) {
			b.give(b.sign(rollback, "Bo", nil))
			b.record(incident.KindPlanned, rollback)
			b.record(incident.KindApproved, incident.Approved{Plan: rollback.Hash(), By: "Ana", Requester: "Ana", Rests: []uint64{5}})
		}, nil},
		{"forged", func(b *bench) {
			s := b.sign(rollback, "Bo", nil)
			s.Signature = approval.Sign(s.Statement, personKey("Mallory")).Signature
			b.give(s)
			b.record(incident.KindPlanned, rollback)
			b.record(incident.KindApproved, incident.Approved{Plan: rollback.Hash(), By: "Ana", Rests: []uint64{5}})
		}, []string{"is no approval: its key is that of nobody", "rests on entry 5, which is no approval", "needs 1 approvals for rollback and rests on 0"}},
		{"entry_lies", func(b *bench) {
			s := b.sign(rollback, "Bo", nil)
			b.record(incident.KindApproval, incident.SignedApproval{Plan: s.Plan, Action: s.Action, By: "Cy", Role: s.Role, Expires: s.Expires, Statement: s.Text(), Signature: s.Signature})
		}, []string{"what was signed is not what the entry says"}},
		{"without", func(b *bench) {
			b.record(incident.KindPlanned, rollback)
			b.record(incident.KindApproved, incident.Approved{Plan: rollback.Hash(), By: "Ana", Self: true})
		}, []string{"needs 1 approvals for rollback and rests on 0"}},
		{"of_another_plan", func(b *bench) {
			b.give(b.sign(plan(action.Rollback, "b"), "Bo", nil))
			b.record(incident.KindPlanned, rollback)
			b.record(incident.KindApproved, incident.Approved{Plan: rollback.Hash(), By: "Ana", Rests: []uint64{5}})
		}, []string{"which approves another plan", "rests on 0"}},
		{"twice", func(b *bench) {
			b.give(b.sign(rollback, "Bo", nil))
			b.record(incident.KindPlanned, rollback)
			b.record(incident.KindApproved, incident.Approved{Plan: rollback.Hash(), By: "Ana", Rests: []uint64{5}})
			b.record(incident.KindApproved, incident.Approved{Plan: rollback.Hash(), By: "Ana", Rests: []uint64{5}})
		}, []string{"which was used before", "rests on 0"}},
		{"by_oneself", func(b *bench) {
			b.give(b.sign(rollback, "Cy", nil))
			b.record(incident.KindPlanned, rollback)
			b.record(incident.KindApproved, incident.Approved{Plan: rollback.Hash(), By: "Cy", Rests: []uint64{5}})
		}, []string{"an approval of Cy, who asked for it or carried it out"}},
		{"too_late", func(b *bench) {
			b.give(b.sign(rollback, "Bo", nil))
			b.clock = b.clock.Add(time.Hour)
			b.record(incident.KindPlanned, rollback)
			b.record(incident.KindApproved, incident.Approved{Plan: rollback.Hash(), By: "Ana", Rests: []uint64{5}})
		}, []string{"which had expired", "rests on 0"}},
		{"people_replaced", func(b *bench) {
			b.record(incident.KindPeople, incident.People{Roster: approval.Roster{People: []approval.Person{{Name: "Mallory"}}}})
		}, []string{"needs 1 approvals for people and rests on 0"}},
		{"evidence_waived", func(b *bench) {
			b.record(incident.KindWaived, incident.Waived{Gate: "G2", Model: "m", Reason: "x"})
		}, []string{"needs 1 approvals for waive and rests on 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := crew(t)
			asked(b, rollback) // entries 3 and 4
			tt.do(b)
			b.verified(tt.want...)
		})
	}
}
