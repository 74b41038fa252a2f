package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// noon has digits down to the nanosecond, which an entry keeps.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func draft(text string) evidence.Draft {
	return evidence.Draft{Time: noon, Actor: "user@host", Kind: "note", Body: map[string]string{"text": text}}
}

// Ledger tests what open returns: each call a ledger on a store of its own for
// the test it is given, the second and later calls for one test other handles
// on the same store. The ledger signs with the key that belongs to key.
func Ledger(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	for name, test := range map[string]func(*testing.T, func(*testing.T) evidence.Ledger, evidence.VerifierKey){
		"round_trip":                      roundTrip,
		"missing":                         missing,
		"nothing_to_append":               nothingToAppend,
		"bad_drafts_leave_no_trace":       badDrafts,
		"expected_size_conflict":          expectedSize,
		"checkpoint_verifies":             checkpointVerifies,
		"logs_by_prefix":                  logsByPrefix,
		"logs_are_apart":                  logsAreApart,
		"strange_text_is_kept":            strangeText,
		"concurrent_appends_lose_nothing": concurrentAppends,
		"one_of_many_expecting_wins":      oneWins,
		"state_is_of_one_moment":          stateOfOneMoment,
		"cancelled":                       cancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open, key) })
	}
}

func appendTo(t *testing.T, l evidence.Ledger, log string, texts ...string) []evidence.Entry {
	t.Helper()
	drafts := make([]evidence.Draft, 0, len(texts))
	for _, text := range texts {
		drafts = append(drafts, draft(text))
	}
	entries, err := l.Append(t.Context(), log, evidence.Any, drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func entriesOf(t *testing.T, l evidence.Ledger, log string, from uint64) []evidence.Entry {
	t.Helper()
	entries, err := l.Entries(t.Context(), log, from)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("got error %v of kind %v, want kind %v", err, fault.KindOf(err), want)
	}
}

func wantWhole(t *testing.T, l evidence.Ledger, log string, key evidence.VerifierKey, size int) {
	t.Helper()
	s, err := l.State(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	if problems := evidence.VerifyLog(s, key); len(problems) > 0 || len(s.Rows) != size {
		t.Errorf("log %s has %d entries, want %d; problems: %v", log, len(s.Rows), size, problems)
	}
}

var exact = cmp.AllowUnexported(evidence.Entry{}, artifact.Digest{})

func roundTrip(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	l := open(t)
	want := appendTo(t, l, "a", "one", "two")
	want = append(want, appendTo(t, l, "a", "three")...)
	if diff := cmp.Diff(want, entriesOf(t, open(t), "a", 0), exact); diff != "" {
		t.Errorf("from 0: %s", diff)
	}
	if diff := cmp.Diff(want[1:], entriesOf(t, l, "a", 2), exact); diff != "" {
		t.Errorf("from 2: %s", diff)
	}
	if got := entriesOf(t, l, "a", 4); len(got) != 0 {
		t.Errorf("from 4: %v", got)
	}
	if e := want[2]; e.Seq != 3 || e.Prev != want[1].Hash() || !e.Time.Equal(noon) {
		t.Errorf("third entry is %+v", e)
	}
	wantWhole(t, l, "a", key, 3)
}

func missing(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	l := open(t)
	if got := entriesOf(t, l, "a", 0); len(got) != 0 {
		t.Errorf("entries of no log: %v", got)
	}
	wantWhole(t, l, "a", key, 0)
	_, err := l.Checkpoint(t.Context(), "a")
	wantKind(t, err, fault.NotFound)
}

func nothingToAppend(t *testing.T, open func(*testing.T) evidence.Ledger, _ evidence.VerifierKey) {
	l := open(t)
	if got := appendTo(t, l, "a"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if logs, err := l.Logs(t.Context(), ""); err != nil || len(logs) != 0 {
		t.Errorf("got logs %v, %v", logs, err)
	}
}

func badDrafts(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	l := open(t)
	appendTo(t, l, "a", "one")
	_, err := l.Append(t.Context(), "a", evidence.Any, draft("two"), evidence.Draft{Time: noon, Kind: "note", Body: func() {}})
	wantKind(t, err, fault.Invalid)
	_, err = l.Append(t.Context(), "", evidence.Any, draft("two"))
	wantKind(t, err, fault.Invalid)
	wantWhole(t, l, "a", key, 1)
}

func expectedSize(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	l := open(t)
	for _, tt := range []struct {
		expected uint64
		ok       bool
	}{{1, false}, {0, true}, {0, false}, {2, false}, {1, true}, {evidence.Any, true}} {
		_, err := l.Append(t.Context(), "a", tt.expected, draft("x"))
		if tt.ok && err != nil {
			t.Errorf("expecting %d: %v", tt.expected, err)
		}
		if !tt.ok {
			wantKind(t, err, fault.Conflict)
		}
	}
	wantWhole(t, l, "a", key, 3)
}

func checkpointVerifies(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	l := open(t)
	for i := range 20 {
		appendTo(t, l, "a", make([]string, i%3+1)...)
		s, err := l.State(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if problems := evidence.VerifyLog(s, key); problems != nil {
			t.Errorf("after append %d: %v", i+1, problems)
		}
		note, err := l.Checkpoint(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if c, err := evidence.OpenCheckpoint(note, key); err != nil || c.Size != uint64(len(s.Rows)) || c.Origin != key.Origin("a") {
			t.Errorf("checkpoint after %d entries is %+v, %v", len(s.Rows), c, err)
		}
	}
}

func logsByPrefix(t *testing.T, open func(*testing.T) evidence.Ledger, _ evidence.VerifierKey) {
	l := open(t)
	for _, log := range []string{"incident/b", "incident/a", "incident", "deny", "incident_/x", "INCIDENT/c", "ü/1"} {
		appendTo(t, l, log, "x")
	}
	for prefix, want := range map[string][]string{
		"":          {"INCIDENT/c", "deny", "incident", "incident/a", "incident/b", "incident_/x", "ü/1"},
		"incident/": {"incident/a", "incident/b"},
		"ü":         {"ü/1"},
		"%":         nil,
		"x":         nil,
	} {
		got, err := l.Logs(t.Context(), prefix)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("prefix %q: %v %s", prefix, err, diff)
		}
	}
}

func logsAreApart(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	l := open(t)
	for i := range 3 {
		appendTo(t, l, "a", fmt.Sprint("a", i))
		appendTo(t, l, "b", fmt.Sprint("b", i), "more")
	}
	wantWhole(t, l, "a", key, 3)
	wantWhole(t, l, "b", key, 6)
}

func strangeText(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	l := open(t)
	texts := []string{"", "\x00", "a\x00b", "'; DROP TABLE entries; --", "\u202e\n\r", "😀", strings.Repeat("x", 1<<20)}
	for _, text := range texts {
		appendTo(t, l, "it's \"a\" log", text)
	}
	for i, e := range entriesOf(t, l, "it's \"a\" log", 0) {
		var body struct{ Text string }
		if err := e.Decode(&body); err != nil || body.Text != texts[i] {
			t.Errorf("entry %d: %v", i+1, err)
		}
	}
	wantWhole(t, l, "it's \"a\" log", key, len(texts))
}

func concurrentAppends(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	const writers, each = 4, 10
	handles := []evidence.Ledger{open(t), open(t)}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := handles[w%2].Append(t.Context(), "a", evidence.Any, draft(fmt.Sprint(w, "/", i)), draft("")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantWhole(t, handles[0], "a", key, writers*each*2)
	found := map[string]int{}
	for _, e := range entriesOf(t, handles[1], "a", 0) {
		found[string(e.Body)]++
	}
	for body, n := range found {
		if body != `{"text":""}` && n != 1 || len(found) != writers*each+1 {
			t.Errorf("%s is there %d times; %d different ones", body, n, len(found))
		}
	}
}

func oneWins(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	handles := []evidence.Ledger{open(t), open(t)}
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = handles[i%2].Append(t.Context(), "a", 0, draft("x")) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantKind(t, err, fault.Conflict)
	}
	if won != 1 {
		t.Errorf("%d appends to an empty log succeeded", won)
	}
	wantWhole(t, handles[0], "a", key, 1)
}

func stateOfOneMoment(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	writer, reader := open(t), open(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer stop()
		for range 40 {
			if _, err := writer.Append(t.Context(), "a", evidence.Any, draft("x")); err != nil {
				t.Error(err)
			}
		}
	})
	for ctx.Err() == nil {
		s, err := reader.State(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if problems := evidence.VerifyLog(s, key); problems != nil {
			t.Errorf("while the log grows: %v", problems)
		}
	}
	wg.Wait()
}

func cancelled(t *testing.T, open func(*testing.T) evidence.Ledger, key evidence.VerifierKey) {
	l := open(t)
	appendTo(t, l, "a", "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Append(ctx, "a", evidence.Any, draft("two"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.State(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("state: %v", err)
	}
	wantWhole(t, l, "a", key, 1)
}
