package cli

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// While one thing is contained, nothing that is found of other models is lost,
// and of the same model the later report counts.
func TestOfferLosesNothing(t *testing.T) {
	report := func(id string, model string) *check.Report {
		return &check.Report{Models: []check.Model{{ID: model}}, Indicators: []indicator.Indicator{{ID: id, Source: model}}}
	}
	found := make(chan *check.Report, 1)
	for _, r := range []*check.Report{report("1", "m"), report("2", "n"), report("3", "m"), report("4", "o")} {
		offer(found, r)
	}
	got := ""
	for _, i := range (<-found).Indicators {
		got += i.Source + i.ID + " "
	}
	if want := "o4 m3 n2 "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// An action under way has its grace, and no more.
func TestLasting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		longer, done := lasting(ctx, time.Second)
		defer done()
		stop()
		time.Sleep(time.Second - 1)
		if synctest.Wait(); longer.Err() != nil {
			t.Error("it ended at once")
		}
		time.Sleep(2 * time.Nanosecond)
		if synctest.Wait(); longer.Err() == nil {
			t.Error("it does not end")
		}
	})
}
