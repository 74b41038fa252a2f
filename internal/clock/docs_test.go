package clock_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/clock"
)

var update = flag.Bool("update", false, "write the table of profiles in the documentation anew")

const (
	page  = "../../docs/clocks.md"
	begin = "<!-- profiles: written by go test ./internal/clock -update -->\n"
	end   = "<!-- end of profiles -->\n"
)

// TestDocumentedProfiles: the page says what the data says.
func TestDocumentedProfiles(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	table, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no %q … %q", page, begin, end)
	}
	want := tables(clock.Default())
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("%s (-data +page), accept with -update:\n%s", page, diff)
	}
}

func tables(set clock.Set) string {
	var b strings.Builder
	b.WriteString("\n| Profile | Clock | Counted | To | Template |\n| --- | --- | --- | --- | --- |\n")
	for _, p := range set.Profiles {
		for _, r := range p.Clocks {
			rule := ""
			for i, l := range r.Due {
				if i > 0 {
					rule += "; at most "
				}
				rule += l.String()
			}
			if r.If != "" {
				rule += ", if `" + r.If + "`"
			}
			fmt.Fprintf(&b, "| %s | `%s.%s` %s | %s | %s | `%s` |\n", p.Title, p.ID, r.ID, r.Title, rule, r.To, r.Template)
		}
	}
	b.WriteString("\n| Profile | Citation | Status | As of | Does it apply? | Confirm with | Note |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, p := range set.Profiles {
		status := string(p.Status)
		if p.Unchecked {
			status += ", unchecked"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", p.ID, p.Citation, status, p.AsOf, p.Applies, p.Confirm, p.Note)
	}
	b.WriteString("\n| Calendar | What it is | Zone | Cut-off | Years |\n| --- | --- | --- | --- | --- |\n")
	for _, id := range slices.Sorted(maps.Keys(set.Calendars)) {
		c := set.Calendars[id]
		years := "none"
		if c.FirstYear > 0 {
			years = fmt.Sprintf("%d to %d", c.FirstYear, c.LastYear)
		}
		fmt.Fprintf(&b, "| `%s` | %s. %s | %s | %s | %s |\n", id, c.Title, c.Source, c.Zone, c.CutOff, years)
	}
	return b.String() + "\n"
}
