package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

func to(target, group, key string, at, priority int) outbox.Item {
	i := item(key, at)
	i.Target, i.Group, i.Priority = target, group, priority
	return i
}

func dueFor(t *testing.T, o Box, target string, at int) []outbox.Item {
	t.Helper()
	items, err := o.DueFor(t.Context(), target, second(at), 100)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// Of a group only what was added first is due, also while it waits for its
// next attempt; what was delivered or given up lets the next one go.
func groupsInOrder(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	add(t, o, to("x", "g", "g1", 1, 0), to("x", "g", "g2", 1, 0), to("x", "h", "h1", 2, 0), to("x", "", "n1", 3, 0), to("x", "", "n2", 3, 0),
		to("y", "g", "y1", 1, 0), to("x", "g", "g0", 0, 0))
	wantKeys(t, dueFor(t, o, "x", 9), "g1", "h1", "n1", "n2")
	first := dueFor(t, o, "x", 9)[0]
	if err := o.Failed(t.Context(), first.ID, second(20), "away"); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, dueFor(t, o, "x", 9), "h1", "n1", "n2")
	wantKeys(t, dueFor(t, o, "x", 20), "g1", "h1", "n1", "n2")
	if err := o.Delivered(t.Context(), first.ID, second(20)); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, dueFor(t, o, "x", 20), "g2", "h1", "n1", "n2")
	if err := o.Bury(t.Context(), dueFor(t, o, "x", 20)[0].ID, second(21), "no"); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, dueFor(t, o, "x", 20), "g0", "h1", "n1", "n2")
}

func targetsApart(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	want := to("x", "g", "a", 1, outbox.High)
	add(t, o, want, to("y", "g", "b", 1, 0))
	wantKeys(t, dueFor(t, o, "y", 1), "b")
	wantKeys(t, dueFor(t, o, "z", 1))
	wantKeys(t, dueFor(t, o, "x", 0))
	got := dueFor(t, open(t), "x", 1)
	if len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	want.ID = got[0].ID
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
}

func splitIsWhole(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	add(t, o, item("a", 1), item("known", 1))
	id := dueAt(t, o, 1, 1)[0].ID
	err := o.Split(t.Context(), id, []outbox.Item{to("x", "", "a/x", 1, 0), to("x", "", "", 1, 0)}, second(2))
	wantKind(t, err, fault.Invalid)
	wantKeys(t, dueAt(t, o, 1, 10), "a", "known")
	for range 2 { // the second time changes nothing
		if err := o.Split(t.Context(), id, []outbox.Item{to("x", "", "a/x", 1, 0), to("y", "", "a/y", 1, 0), item("known", 1)}, second(2)); err != nil {
			t.Fatal(err)
		}
	}
	wantKeys(t, dueAt(t, o, 1, 10), "known", "a/x", "a/y")
	wantKind(t, o.Split(t.Context(), 999, nil, second(2)), fault.NotFound)
}

func givenUp(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	add(t, o, item("a", 1), item("b", 2))
	id := dueAt(t, o, 1, 1)[0].ID
	if err := o.Bury(t.Context(), id, second(5), "answered 404"); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, dueAt(t, o, 9, 10), "b")
	wantPending(t, o, 1)
	if added, err := o.Add(t.Context(), item("a", 9)); err != nil || added {
		t.Errorf("added again: %v, %v", added, err)
	}
	dead, err := open(t).List(t.Context(), true)
	if err != nil || len(dead) != 1 || dead[0].LastError != "answered 404" || !dead[0].DeadAt.Equal(second(5)) || dead[0].Attempts != 1 || dead[0].Dropped() {
		t.Errorf("given up: %+v, %v", dead, err)
	}
	wantKind(t, o.Bury(t.Context(), 999, second(1), "x"), fault.NotFound)
	b := dueAt(t, o, 9, 1)[0].ID
	if err := o.Delivered(t.Context(), b, second(9)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, o.Bury(t.Context(), b, second(9), "x"), fault.Conflict)
}

// Promise: what is critical, or unranked, is never given up for want of room.
func roomForTheImportant(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	add(t, o, to("x", "", "crit", 1, outbox.Critical), to("x", "", "none", 1, outbox.Unranked), to("x", "", "high", 1, outbox.High),
		to("x", "", "low1", 2, outbox.Low), to("x", "", "low2", 3, outbox.Low), to("x", "", "med", 1, outbox.Medium))
	for _, tt := range []struct {
		keep, dropped int
		left          []string
	}{
		{6, 0, []string{"crit", "none", "high", "med", "low1", "low2"}},
		{5, 1, []string{"crit", "none", "high", "med", "low2"}},
		{3, 2, []string{"crit", "none", "high"}},
		{0, 1, []string{"crit", "none"}},
		{-1, 0, []string{"crit", "none"}},
	} {
		n, err := o.Trim(t.Context(), tt.keep, second(9), "no room")
		if err != nil || n != tt.dropped {
			t.Errorf("keep %d: %d dropped, %v", tt.keep, n, err)
		}
		wantKeys(t, dueAt(t, o, 9, 100), tt.left...)
	}
	dead, err := o.List(t.Context(), true)
	if err != nil || len(dead) != 4 || !dead[0].Dropped() || dead[0].LastError != "no room" {
		t.Errorf("dropped: %+v, %v", dead, err)
	}
	wantKind(t, o.Revive(t.Context(), dead[0].ID, second(10)), fault.Conflict)
	if s, err := o.Stats(t.Context()); err != nil || s.Pending != 2 || s.Dead != 0 || s.Dropped != 4 || !s.Oldest.Equal(second(1)) {
		t.Errorf("stats %+v, %v", s, err)
	}
}

func atTheDesk(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	if s, err := o.Stats(t.Context()); err != nil || s != (outbox.Stats{}) {
		t.Errorf("stats %+v, %v", s, err)
	}
	add(t, o, item("a", 1), item("b", 2))
	list, err := o.List(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	wantKeys(t, list, "a", "b")
	wantKind(t, o.Revive(t.Context(), list[0].ID, second(3)), fault.Conflict)
	wantKind(t, o.Revive(t.Context(), 999, second(3)), fault.NotFound)
	wantKind(t, o.Discard(t.Context(), 999, second(3), "x"), fault.NotFound)
	for _, i := range list {
		if err := o.Bury(t.Context(), i.ID, second(3), "no"); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Revive(t.Context(), list[0].ID, second(4)); err != nil {
		t.Fatal(err)
	}
	got := dueAt(t, o, 4, 10)
	wantKeys(t, got, "a")
	if got[0].Attempts != 0 || string(got[0].Payload) != "a" || !got[0].CreatedAt.Equal(second(4)) {
		t.Errorf("revived %+v", got[0])
	}
	if err := o.Discard(t.Context(), list[0].ID, second(5), "not wanted"); err != nil {
		t.Fatal(err)
	}
	wantPending(t, o, 0)
	if s, err := o.Stats(t.Context()); err != nil || s.Dead != 1 || s.Dropped != 1 {
		t.Errorf("stats %+v, %v", s, err)
	}
	if err := o.Delivered(t.Context(), list[1].ID, second(6)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, o.Discard(t.Context(), list[1].ID, second(7), "x"), fault.Conflict)
	wantKind(t, o.Revive(t.Context(), list[1].ID, second(7)), fault.Conflict)
}
