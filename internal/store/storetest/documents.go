package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/store"
)

// DocumentStore is what is tested of a store of signed documents.
type DocumentStore interface {
	Put(ctx context.Context, kind, name string, doc []byte, at time.Time) error
	Get(ctx context.Context, kind, name string) (doc []byte, at time.Time, err error)
	List(ctx context.Context, kind string) ([]string, error)
	Delete(ctx context.Context, kind, name string, at time.Time) error
	History(ctx context.Context, kind, name string) ([]store.Document, error)
}

// Documents tests what open returns, which is as in [Ledger].
func Documents(t *testing.T, open func(*testing.T) DocumentStore) {
	for name, test := range map[string]func(*testing.T, func(*testing.T) DocumentStore){
		"round_trip":           documentRoundTrip,
		"missing":              documentMissing,
		"replaced_and_history": documentReplaced,
		"deleted_and_again":    documentDeleted,
		"kinds_are_apart":      documentKinds,
		"cancelled":            documentCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func put(t *testing.T, d DocumentStore, kind, name, doc string, at int) {
	t.Helper()
	if err := d.Put(t.Context(), kind, name, []byte(doc), second(at)); err != nil {
		t.Fatal(err)
	}
}

func wantDocument(t *testing.T, d DocumentStore, kind, name, want string, at int) {
	t.Helper()
	doc, when, err := d.Get(t.Context(), kind, name)
	if err != nil || string(doc) != want || !when.Equal(second(at)) {
		t.Errorf("%s %s is %q of %v, %v; want %q of %v", kind, name, doc, when, err, want, second(at))
	}
}

func wantNames(t *testing.T, d DocumentStore, kind string, want ...string) {
	t.Helper()
	got, err := d.List(t.Context(), kind)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("list %s: %v %s", kind, err, diff)
	}
}

func documentRoundTrip(t *testing.T, open func(*testing.T) DocumentStore) {
	d := open(t)
	for _, doc := range []string{"{}", "", "\x00\xff", "'"} {
		put(t, d, "baseline", "m", doc, 1)
		wantDocument(t, open(t), "baseline", "m", doc, 1)
	}
	put(t, d, "baseline", "../m'\n", "x", 2)
	wantDocument(t, d, "baseline", "../m'\n", "x", 2)
	wantNames(t, d, "baseline", "../m'\n", "m")
}

func documentMissing(t *testing.T, open func(*testing.T) DocumentStore) {
	d := open(t)
	_, _, err := d.Get(t.Context(), "baseline", "m")
	wantKind(t, err, fault.NotFound)
	wantKind(t, d.Delete(t.Context(), "baseline", "m", second(1)), fault.NotFound)
	wantKind(t, d.Put(t.Context(), "", "m", nil, second(1)), fault.Invalid)
	wantKind(t, d.Put(t.Context(), "baseline", "", nil, second(1)), fault.Invalid)
	wantNames(t, d, "baseline")
	if h, err := d.History(t.Context(), "baseline", "m"); err != nil || len(h) != 0 {
		t.Errorf("history is %v, %v", h, err)
	}
}

func documentReplaced(t *testing.T, open func(*testing.T) DocumentStore) {
	d := open(t)
	put(t, d, "baseline", "m", "one", 1)
	put(t, d, "baseline", "m", "two", 2)
	wantDocument(t, d, "baseline", "m", "two", 2)
	got, err := d.History(t.Context(), "baseline", "m")
	want := []store.Document{
		{Version: 1, At: second(1), Doc: []byte("one")},
		{Version: 2, At: second(2), Doc: []byte("two")},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func documentDeleted(t *testing.T, open func(*testing.T) DocumentStore) {
	d := open(t)
	put(t, d, "baseline", "m", "one", 1)
	if err := d.Delete(t.Context(), "baseline", "m", second(2)); err != nil {
		t.Fatal(err)
	}
	_, _, err := d.Get(t.Context(), "baseline", "m")
	wantKind(t, err, fault.NotFound)
	wantKind(t, d.Delete(t.Context(), "baseline", "m", second(3)), fault.NotFound)
	wantNames(t, d, "baseline")
	put(t, d, "baseline", "m", "two", 4)
	wantDocument(t, d, "baseline", "m", "two", 4)
	h, err := d.History(t.Context(), "baseline", "m")
	if err != nil || len(h) != 3 || !h[1].Deleted || h[2].Version != 3 || h[0].Altered || h[1].Altered || h[2].Altered {
		t.Errorf("history is %+v, %v", h, err)
	}
}

func documentKinds(t *testing.T, open func(*testing.T) DocumentStore) {
	d := open(t)
	put(t, d, "a", "b/c", "one", 1)
	put(t, d, "a/b", "c", "two", 2)
	wantDocument(t, d, "a", "b/c", "one", 1)
	wantDocument(t, d, "a/b", "c", "two", 2)
	wantNames(t, d, "a", "b/c")
}

func documentCancelled(t *testing.T, open func(*testing.T) DocumentStore) {
	d := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Put(ctx, "a", "b", nil, second(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantNames(t, d, "a")
}
