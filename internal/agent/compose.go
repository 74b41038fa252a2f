package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// Change is what a look at the models changed about what is known: all that
// watching hands to delivery.
type Change struct {
	// At is when it was looked.
	At time.Time
	// New was not there before, Updated was there with other evidence,
	// Resolved was there and is not any more.
	New, Updated, Resolved []indicator.Indicator
	// Open counts what is there now, by source.
	Open map[string]int
	// Critical holds the ids of the models whose alerts go first.
	Critical map[string]bool
}

// changeOf returns the change that a report stands for.
func changeOf(r *check.Report, fresh []indicator.Indicator) Change {
	c := Change{At: r.CheckTime, New: fresh, Open: map[string]int{}, Critical: map[string]bool{}}
	for _, i := range r.Indicators {
		c.Open[i.Source]++
	}
	for _, m := range r.Models {
		c.Critical[m.ID] = m.Critical
	}
	return c
}

// Alert is what is sent, in the guide's form.
type Alert struct {
	Text     string           `json:"text"`
	Severity finding.Severity `json:"severity"`
}

// shown bounds the indicators that one alert spells out.
const shown = 20

// compose makes one alert per source, critical models first, then the worst.
func compose(c Change) ([]pending, error) {
	bySource := map[string][]indicator.Indicator{}
	for _, i := range slices.SortedStableFunc(slices.Values(c.New), indicator.Compare) {
		bySource[i.Source] = append(bySource[i.Source], i)
	}
	sources := slices.SortedFunc(maps.Keys(bySource), func(x, y string) int {
		switch {
		case c.Critical[x] != c.Critical[y] && c.Critical[x]:
			return -1
		case c.Critical[x] != c.Critical[y]:
			return 1
		}
		return indicator.Compare(bySource[x][0], bySource[y][0])
	})
	var out []pending
	for _, name := range sources {
		p, err := about(name, bySource[name], c.At)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// about writes the alert about what is new of one source, the worst first.
func about(name string, list []indicator.Indicator, at time.Time) (pending, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "weightwarden: %d new for %s", len(list), artifact.Quote(name))
	key := []string{at.UTC().Format(time.RFC3339Nano)}
	for n, i := range list {
		key = append(key, i.ID)
		if n < shown {
			fmt.Fprintf(&text, "\n[%s] %s: %s", i.Severity, i.Type, i.Description)
		}
	}
	if more := len(list) - shown; more > 0 {
		fmt.Fprintf(&text, "\nand %d more: weightwarden check", more)
	}
	payload, err := json.Marshal(Alert{Text: text.String(), Severity: list[0].Severity})
	return pending{Key: artifact.SHA256Of([]byte(strings.Join(key, "\n"))).Hex(), Payload: payload, At: at}, err
}
