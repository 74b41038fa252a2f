package storetest

import (
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/lease"
)

// Leases tests what open returns, which is as in [Ledger].
func Leases(t *testing.T, open func(*testing.T) lease.Store) {
	for name, test := range map[string]func(*testing.T, func(*testing.T) lease.Store){
		"one_holder_at_a_time":          oneHolder,
		"expired_is_free":               expiredIsFree,
		"a_dead_holder_is_no_holder":    deadHolder,
		"released_is_free":              releasedIsFree,
		"renewed_lasts":                 renewedLasts,
		"numbers_never_begin_anew":      numbersGrow,
		"older_numbers_append_nothing":  fenced,
		"names_do_not_touch_each_other": namesApart,
		"incomplete":                    leaseIncomplete,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

const ttl = 10 * time.Second

// acquire takes a lease at a second of the tests' clock.
func acquire(t *testing.T, s lease.Store, name, holder string, at int) lease.Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), name, holder, second(at), ttl, false)
	if err != nil {
		t.Fatalf("acquire %s for %s: %v", name, holder, err)
	}
	return l
}

func wantConflict(t *testing.T, what string, err error) {
	t.Helper()
	if fault.KindOf(err) != fault.Conflict || fault.HintOf(err) == "" {
		t.Errorf("%s: %v (%v), want a conflict with a hint", what, err, fault.KindOf(err))
	}
}

func oneHolder(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	l := acquire(t, s, "m", "a", 0)
	if l.Name != "m" || l.Holder != "a" || l.Fence != 1 || !l.Expires.Equal(second(10)) {
		t.Errorf("got %+v", l)
	}
	for _, holder := range []string{"b", "a"} { // two can have one name
		_, err := open(t).Acquire(t.Context(), "m", holder, second(9), ttl, false)
		wantConflict(t, "a second holder", err)
	}
}

func expiredIsFree(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	old := acquire(t, s, "m", "a", 0)
	l := acquire(t, s, "m", "b", 10)
	if l.Fence != old.Fence+1 || !l.Taken || old.Taken {
		t.Errorf("got %+v behind %+v", l, old)
	}
	_, err := s.Renew(t.Context(), old, second(11), ttl)
	wantConflict(t, "renewed after it was taken", err)
}

func deadHolder(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	acquire(t, s, "m", "a", 0)
	l, err := s.Acquire(t.Context(), "m", "b", second(1), ttl, true)
	if err != nil || l.Fence != 2 {
		t.Errorf("got %+v, %v", l, err)
	}
}

func releasedIsFree(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	l := acquire(t, s, "m", "a", 0)
	if err := s.Release(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	next := acquire(t, s, "m", "b", 1)
	if next.Taken {
		t.Error("what was released counts as taken from somebody")
	}
	_, err := s.Renew(t.Context(), l, second(2), ttl)
	wantConflict(t, "renewed after release", err)
	if err := s.Release(t.Context(), l); err != nil { // of one that is over
		t.Fatal(err)
	}
	if _, err := s.Renew(t.Context(), next, second(3), ttl); err != nil {
		t.Errorf("an old holder ended the lease of the new one: %v", err)
	}
}

func renewedLasts(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	l := acquire(t, s, "m", "a", 0)
	l, err := s.Renew(t.Context(), l, second(8), ttl)
	if err != nil || !l.Expires.Equal(second(18)) {
		t.Fatalf("got %+v, %v", l, err)
	}
	_, err = s.Acquire(t.Context(), "m", "b", second(17), ttl, false)
	wantConflict(t, "within the renewed time", err)
}

func numbersGrow(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	for n := range 5 {
		l := acquire(t, s, "m", "a", n) // the holder itself may take it again
		if l.Fence != uint64(n)+1 {
			t.Errorf("number %d after %d times", l.Fence, n+1)
		}
		if err := s.Release(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
}

func fenced(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	old := acquire(t, s, "m", "a", 0)
	other := acquire(t, s, "n", "a", 0)
	draft := evidence.Draft{Time: noon, Actor: "a", Kind: "note", Body: "x"}
	if _, err := s.Ledger(other, old).Append(t.Context(), "log", evidence.Any, draft); err != nil {
		t.Fatal(err)
	}
	now := acquire(t, s, "m", "b", 10)
	_, err := s.Ledger(other, old).Append(t.Context(), "log", evidence.Any, draft)
	wantConflict(t, "an append with an older number", err)
	if _, err := s.Ledger(now).Append(t.Context(), "log", 1, draft); err != nil {
		t.Errorf("the refused append left a trace: %v", err)
	}
}

func namesApart(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	acquire(t, s, "m", "a", 0)
	acquire(t, s, "n", "b", 0)
}

func leaseIncomplete(t *testing.T, open func(*testing.T) lease.Store) {
	s := open(t)
	for _, try := range []lease.Lease{{Name: "m"}, {Holder: "a"}} {
		if _, err := s.Acquire(t.Context(), try.Name, try.Holder, noon, ttl, false); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: got %v", try, err)
		}
	}
}
