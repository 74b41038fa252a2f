package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// Box is all that an outbox can do.
type Box interface {
	outbox.Store
	outbox.Router
	outbox.Desk
}

// Outbox tests what open returns, which is as in [Ledger].
func Outbox(t *testing.T, open func(*testing.T) Box) {
	for name, test := range map[string]func(*testing.T, func(*testing.T) Box){
		"round_trip":                  outboxRoundTrip,
		"same_key_is_not_added_twice": sameKey,
		"oldest_first_and_limited":    oldestFirst,
		"not_before_its_time":         notBeforeItsTime,
		"failed_is_tried_again":       failedAgain,
		"unknown_and_delivered":       unknownItems,
		"added_by_many_once":          addedOnce,
		"cancelled":                   outboxCancelled,
		"groups_in_order":             groupsInOrder,
		"targets_apart":               targetsApart,
		"split_is_whole":              splitIsWhole,
		"given_up":                    givenUp,
		"room_for_the_important":      roomForTheImportant,
		"at_the_desk":                 atTheDesk,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// second returns noon and some seconds, without what is below a microsecond.
func second(n int) time.Time {
	return noon.Truncate(time.Microsecond).Add(time.Duration(n) * time.Second)
}

func item(key string, at int) outbox.Item {
	return outbox.Item{Key: key, Target: "webhook", Payload: []byte(key), CreatedAt: second(at), NextAt: second(at)}
}

func add(t *testing.T, o outbox.Store, items ...outbox.Item) {
	t.Helper()
	for _, i := range items {
		if added, err := o.Add(t.Context(), i); err != nil || !added {
			t.Fatalf("add %s: %v, %v", i.Key, added, err)
		}
	}
}

func dueAt(t *testing.T, o outbox.Store, at, limit int) []outbox.Item {
	t.Helper()
	items, err := o.Due(t.Context(), second(at), limit)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func wantKeys(t *testing.T, items []outbox.Item, want ...string) {
	t.Helper()
	var got []string
	for _, i := range items {
		got = append(got, i.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func wantPending(t *testing.T, o outbox.Store, want int) {
	t.Helper()
	if n, err := o.Pending(t.Context()); err != nil || n != want {
		t.Errorf("%d pending, %v; want %d", n, err, want)
	}
}

func outboxRoundTrip(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	want := item("a", 1)
	want.Payload = []byte("\x00\xff'")
	want.LastError, want.Attempts = "refused", 2
	add(t, o, want)
	got := dueAt(t, open(t), 1, 10)
	if len(got) != 1 || got[0].ID == 0 {
		t.Fatalf("got %v", got)
	}
	want.ID = got[0].ID
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
	wantPending(t, o, 1)
}

func sameKey(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	add(t, o, item("a", 1))
	again := func() {
		t.Helper()
		if added, err := o.Add(t.Context(), item("a", 2)); err != nil || added {
			t.Errorf("the same key again: %v, %v", added, err)
		}
	}
	again()
	id := dueAt(t, o, 1, 1)[0].ID
	if err := o.Delivered(t.Context(), id, second(3)); err != nil {
		t.Fatal(err)
	}
	again()
	wantKeys(t, dueAt(t, o, 100, 10))
	wantPending(t, o, 0)
	_, err := o.Add(t.Context(), item("", 1))
	wantKind(t, err, fault.Invalid)
}

func oldestFirst(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	add(t, o, item("c", 3), item("a", 1), item("b", 2), item("b2", 2))
	wantKeys(t, dueAt(t, o, 3, 10), "a", "b", "b2", "c")
	wantKeys(t, dueAt(t, o, 3, 2), "a", "b")
	wantKeys(t, dueAt(t, o, 3, 0))
}

func notBeforeItsTime(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	add(t, o, item("a", 5), item("b", 7))
	wantKeys(t, dueAt(t, o, 4, 10))
	wantKeys(t, dueAt(t, o, 5, 10), "a")
	wantKeys(t, dueAt(t, o, 7, 10), "a", "b")
}

func failedAgain(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	add(t, o, item("a", 1))
	id := dueAt(t, o, 1, 1)[0].ID
	if err := o.Failed(t.Context(), id, second(10), "no route"); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, dueAt(t, o, 9, 10))
	got := dueAt(t, o, 10, 10)
	if len(got) != 1 || got[0].Attempts != 1 || got[0].LastError != "no route" || !got[0].NextAt.Equal(second(10)) {
		t.Errorf("got %+v", got)
	}
	wantPending(t, o, 1)
}

func unknownItems(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	wantKind(t, o.Delivered(t.Context(), 7, second(1)), fault.NotFound)
	wantKind(t, o.Failed(t.Context(), 7, second(1), "x"), fault.NotFound)
	add(t, o, item("a", 1))
	id := dueAt(t, o, 1, 1)[0].ID
	for range 2 {
		if err := o.Delivered(t.Context(), id, second(2)); err != nil {
			t.Error(err)
		}
	}
	wantKind(t, o.Failed(t.Context(), id, second(3), "x"), fault.Conflict)
}

func addedOnce(t *testing.T, open func(*testing.T) Box) {
	handles := []Box{open(t), open(t)}
	var added atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ok, err := handles[i%2].Add(t.Context(), item("a", 1))
			if err != nil {
				t.Error(err)
			}
			if ok {
				added.Add(1)
			}
		})
	}
	wg.Wait()
	if added.Load() != 1 {
		t.Errorf("added %d times", added.Load())
	}
	wantPending(t, handles[0], 1)
}

func outboxCancelled(t *testing.T, open func(*testing.T) Box) {
	o := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if added, err := o.Add(ctx, item("a", 1)); added || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", added, err)
	}
	wantPending(t, o, 0)
}
