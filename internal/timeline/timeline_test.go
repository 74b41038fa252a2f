package timeline_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/timeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

var start = time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)

// everyKind holds one entry of each kind, one minute apart.
func everyKind() []evidence.Draft {
	digest := artifact.SHA256Of([]byte("x"))
	step := action.Step{ID: "exchange", Summary: "Exchange the directory for a marker."}
	plan := action.Plan{Incident: "INC-1", Action: action.Isolate, Model: "m", Target: "/models/m", Steps: []action.Step{step}}
	ref := incident.MessageRef{Template: "initial_alert", Number: 1, SHA256: digest}
	bodies := []struct {
		kind string
		body any
	}{
		{incident.KindOpened, incident.Opened{Models: []string{"m", "n\no"}, Severity: finding.Critical, Summary: "weights changed"}},
		{incident.KindIndicator, indicator.New(indicator.ModelFileTampered, "m", start.Add(-time.Hour), "file w differs", nil)},
		{incident.KindFinding, finding.Finding{Rule: "R-1", Severity: finding.High, Verdict: finding.Suspicious, File: "x.pkl", Summary: "a pickle"}},
		{incident.KindFact, incident.Fact{Name: "eta", Value: "noon", Reason: "a guess."}},
		{incident.KindNote, incident.Note{Text: "one\x1b[31m\ntwo"}},
		{incident.KindSealed, evidence.Item{Type: "manifest", Name: "m", Origin: "/models/m", SHA256: digest, Size: 3, Missing: []string{"w"}}},
		{incident.KindGap, evidence.Gap{Type: "processes", Name: "all", Origin: "/proc", Reason: "permission denied"}},
		{incident.KindAssessed, incident.Assessed{Model: "m", Items: 1, Gaps: 1, Sealed: true}},
		{incident.KindAssessed, incident.Assessed{Model: "m", Reason: "the disk is full"}},
		{incident.KindPlanned, plan},
		{incident.KindApproved, incident.Approved{Plan: plan.Hash(), By: "a@b", Self: true}},
		{incident.KindIntent, incident.StepIntent{Plan: plan.Hash(), Step: "exchange"}},
		{incident.KindExecuted, incident.StepExecuted{Plan: plan.Hash(), Step: "exchange", Error: "no space."}},
		{incident.KindObserved, incident.StepObserved{Plan: plan.Hash(), Step: "exchange", Observation: action.Observation{Outcome: action.NotDone, Detail: "as before"}}},
		{incident.KindObserved, incident.StepObserved{Plan: digest, Step: "other", Observation: action.Observation{Outcome: action.Done, Detail: "in place"}}},
		{incident.KindRefused, incident.Refused{Gate: "G2", Action: "isolate", Reason: "nothing sealed"}},
		{incident.KindWaived, incident.Waived{Gate: "G2", Model: "m", Reason: "the disk is dead"}},
		{incident.KindTask, incident.Task{ID: "rotate-1", Text: "Rotate the token"}},
		{incident.KindTaskDone, incident.TaskDone{ID: "rotate-1"}},
		{incident.KindMessage, incident.Message{Template: "initial_alert", Number: 1, Open: []string{"eta"}}},
		{incident.KindInquiry, incident.Inquiry{Model: "m", Reference: "/good", Files: 3, Unread: []string{"w"}, Comparison: &incident.Comparison{Modified: []string{"w"}}}},
		{incident.KindInquiry, incident.Inquiry{Model: "m"}},
		{incident.KindMessageApproved, incident.MessageApproved{MessageRef: ref, By: "bo"}},
		{incident.KindMessageSent, incident.MessageSent{MessageRef: ref, Recipients: []string{"security", "x\ny"}, Channel: "phone", Receipt: "ticket 7."}},
		{incident.KindMessageSent, incident.MessageSent{MessageRef: ref}},
		{incident.KindMessageAcknowledged, incident.MessageAcknowledged{MessageRef: ref, By: "security"}},
		{incident.KindPeople, incident.People{Roster: approval.Roster{People: []approval.Person{{Name: "Ana"}, {Name: "Bo\n"}}}, Reason: "configured"}},
		{incident.KindRequested, incident.Requested{Plan: plan, By: "Ana"}},
		{incident.KindApproval, incident.SignedApproval{Plan: plan.Hash(), Action: "isolate", By: "Bo", Role: approval.Approver, Expires: start}},
		{incident.KindApproved, incident.Approved{Plan: plan.Hash(), By: "Ana", Rests: []uint64{3}}},
		{incident.KindApproved, incident.Approved{Plan: plan.Hash(), By: "Ana", BreakGlass: true}},
		{incident.KindApproved, incident.Approved{Plan: plan.Hash(), By: "watch", Policy: "nights"}},
		{incident.KindBreakGlass, incident.BreakGlass{Plan: plan.Hash(), Action: "isolate", By: "Ana", Reason: "Bo sleeps", Gates: []string{"G6"}, Alerted: []string{"Bo"}}},
		{incident.KindReverted, incident.Reverted{Plan: plan.Hash(), Step: "exchange", Times: 2, Observation: action.Observation{Outcome: action.NotDone, Detail: "as before"}}},
		{incident.KindSettled, incident.Settled{Plan: plan.Hash(), Seconds: 10}},
		{incident.KindClock, incident.ClockCheck{Offset: "not known"}},
		{incident.KindClock, incident.ClockCheck{Jump: -90, Since: "entry 4"}},
		{incident.KindAutomatic, incident.Automatic{Policy: "nights", Model: "m", Plan: plan.Hash(), Expires: start, Because: "file w differs"}},
		{incident.KindWaived, incident.Waived{Gate: "G12", Reason: "nobody to tell"}},
		{incident.KindClosed, incident.Closed{Resolution: "restored"}},
		{"future_kind", map[string]string{"a": "b"}},
		{incident.KindNote, "not an object"},
	}
	var drafts []evidence.Draft
	for n, b := range bodies {
		drafts = append(drafts, evidence.Draft{Time: start.Add(time.Duration(n) * time.Minute), Actor: "a@b", Kind: b.kind, Body: b.body})
	}
	return drafts
}

func sealAll(t *testing.T, drafts []evidence.Draft) []evidence.Entry {
	t.Helper()
	var prev artifact.Digest
	var entries []evidence.Entry
	for n, d := range drafts {
		e, err := evidence.Seal("INC-1", uint64(n+1), prev, d)
		if err != nil {
			t.Fatal(err)
		}
		prev = e.Hash()
		entries = append(entries, e)
	}
	return entries
}

func TestFromEntries(t *testing.T) {
	var b strings.Builder
	for _, e := range timeline.FromEntries(sealAll(t, everyKind())) {
		b.WriteString(e.Timestamp.Format(time.RFC3339) + " " + e.Source + " | " + e.Description + "\n")
	}
	golden(t, "testdata/every_kind.txt", b.String())
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

// TestEveryKindIsDescribed fails when an entry kind is added to the incident
// and forgotten here.
func TestEveryKindIsDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, d := range everyKind() {
		described[d.Kind] = true
	}
	for _, kind := range incidentKinds(t) {
		if !described[kind] {
			t.Errorf("no sentence is tested for entries of the kind %s", kind)
		}
	}
	for _, e := range timeline.FromEntries(sealAll(t, everyKind())) {
		if strings.Contains(e.Description, "does not know") && e.Kind != "future_kind" {
			t.Errorf("%s is not described", e.Kind)
		}
	}
}

// incidentKinds reads the kinds from the source that declares them.
func incidentKinds(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("../incident/entries.go")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for line := range strings.Lines(string(source)) {
		if name, rest, ok := strings.Cut(strings.TrimSpace(line), "= \""); ok && strings.HasPrefix(name, "Kind") {
			kind, _, _ := strings.Cut(rest, "\"")
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) < 19 {
		t.Fatalf("found %d kinds only", len(kinds))
	}
	return kinds
}

func TestMerge(t *testing.T) {
	at := func(minute int, seq uint64, text string) timeline.Event {
		return timeline.Event{Timestamp: start.Add(time.Duration(minute) * time.Minute), Seq: seq, Description: text}
	}
	got := timeline.Merge(
		[]timeline.Event{at(2, 3, "d"), at(1, 2, "c"), at(1, 1, "b")},
		nil,
		[]timeline.Event{at(0, 0, "a"), at(3, 0, "e"), at(3, 0, "f")},
	)
	var text strings.Builder
	for _, e := range got {
		text.WriteString(e.Description)
	}
	if text.String() != "abcdef" {
		t.Errorf("order %s, want abcdef", text.String())
	}
	if got := timeline.Merge(); got == nil || len(got) != 0 {
		t.Errorf("nothing merged is %v, want an empty list", got)
	}
}

func TestReadActionsLog(t *testing.T) {
	tests := []struct {
		name, log string
		events    []string
		skipped   []string
	}{
		{"empty", "", nil, nil},
		{"guide", "[2026-11-01 10:00:00] scaled down\n[2026-11-01T10:01:00Z] copied\n", []string{"2026-11-01T10:00:00Z scaled down", "2026-11-01T10:01:00Z copied"}, nil},
		{"zones", "[2026-11-01T12:00:00+02:00] a\n[2026-11-01 12:00:00+0200] b\n[2026-11-01 10:00:00Z] c\n[2026-11-01 10:00:00 UTC] d", []string{"2026-11-01T10:00:00Z a", "2026-11-01T10:00:00Z b", "2026-11-01T10:00:00Z c", "2026-11-01T10:00:00Z d"}, nil},
		{"crlf_and_empty_lines", "\r\n[2026-11-01 10:00:00] a\r\n\n", []string{"2026-11-01T10:00:00Z a"}, nil},
		{"brackets_in_text", "[2026-11-01 10:00:00] [x] ]y", []string{"2026-11-01T10:00:00Z [x] ]y"}, nil},
		{"control_characters", "[2026-11-01 10:00:00] \x1b[31m", []string{`2026-11-01T10:00:00Z "\x1b[31m"`}, nil},
		{"no_time", "hello\n[yesterday] x\n[2026-11-01 10:00:00 x\n", nil, []string{
			`line 1: not of the form [time] text: "hello"`, `line 2: not a time: "yesterday"`, `line 3: not of the form [time] text: "[2026-11-01 10:00:00 x"`,
		}},
		{"too_long", strings.Repeat("x", 300) + "\n[2026-11-01 10:00:00] a\n" + strings.Repeat("y", 300), []string{"2026-11-01T10:00:00Z a"}, []string{"line 1: longer than 100 bytes", "line 3: longer than 100 bytes"}},
		{"too_many", strings.Repeat("[2026-11-01 10:00:00] a\n", 6), repeat("2026-11-01T10:00:00Z a", 5), []string{"line 6 and after: more than 5 lines"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events, skipped, err := timeline.ReadActionsLog(strings.NewReader(tt.log), timeline.Limits{Line: 100, Lines: 5})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.events, lines(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.skipped, skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
		})
	}
}

func lines(events []timeline.Event) []string {
	if len(events) == 0 {
		return nil
	}
	return timeline.Lines(events)
}

func repeat(s string, n int) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

// FuzzReadActionsLog: every line that is not empty is either an event or
// named as skipped, and none of it can break a line of a timeline.
func FuzzReadActionsLog(f *testing.F) {
	f.Add("[2026-11-01 10:00:00] a\nb\n\n[2026-11-01T10:00:00Z]")
	f.Add(strings.Repeat("x", 200) + "\n" + strings.Repeat("y", 128))
	f.Fuzz(func(t *testing.T, log string) {
		events, skipped, err := timeline.ReadActionsLog(strings.NewReader(log), timeline.Limits{Line: 64})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for line := range strings.SplitSeq(log, "\n") {
			if strings.TrimSpace(line) != "" || len(line) >= 64 {
				want++
			}
		}
		if got := len(events) + len(skipped); got != want {
			t.Errorf("%d events and %d skipped of %d lines", len(events), len(skipped), want)
		}
		for _, text := range append(timeline.Lines(events), skipped...) {
			if strings.ContainsAny(text, "\n\r\x1b\x00") {
				t.Errorf("control characters in %q", text)
			}
		}
	})
}
