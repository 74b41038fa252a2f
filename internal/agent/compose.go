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
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/outbox"
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

// compose makes one alert per source, critical models first, then the worst.
func compose(c Change, host string) ([]pending, error) {
	bySource := map[string]*Change{}
	sort := func(list []indicator.Indicator, to func(*Change) *[]indicator.Indicator) {
		for _, i := range slices.SortedStableFunc(slices.Values(list), indicator.Compare) {
			if bySource[i.Source] == nil {
				bySource[i.Source] = &Change{At: c.At, Open: c.Open, Critical: c.Critical}
			}
			into := to(bySource[i.Source])
			*into = append(*into, i)
		}
	}
	sort(c.New, func(c *Change) *[]indicator.Indicator { return &c.New })
	sort(c.Updated, func(c *Change) *[]indicator.Indicator { return &c.Updated })
	sort(c.Resolved, func(c *Change) *[]indicator.Indicator { return &c.Resolved })
	sources := slices.SortedFunc(maps.Keys(bySource), func(x, y string) int {
		switch {
		case c.Critical[x] != c.Critical[y] && c.Critical[x]:
			return -1
		case c.Critical[x] != c.Critical[y]:
			return 1
		}
		return indicator.Compare(bySource[x].worst(), bySource[y].worst())
	})
	var out []pending
	for _, name := range sources {
		p, err := about(name, *bySource[name], host)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// worst returns the worst indicator; of what is there, if anything is.
func (c Change) worst() indicator.Indicator {
	there := slices.SortedStableFunc(slices.Values(slices.Concat(c.New, c.Updated)), indicator.Compare)
	return append(there, c.Resolved...)[0]
}

// about writes the alert about a change of one source.
func about(name string, c Change, host string) (pending, error) {
	a := notify.Alert{
		Group: "source/" + name, Status: notify.Firing, Severity: c.worst().Severity, Critical: c.Critical[name], Source: name, At: c.At.UTC(), Host: host,
		New: listed(c.New), Updated: listed(c.Updated), Resolved: listed(c.Resolved), Open: c.Open[name],
	}
	if a.Open == 0 && len(c.New)+len(c.Updated) == 0 {
		a.Status = notify.Resolved
	}
	a.Title, a.Text = words(name, c, a.Status)
	key := []string{c.At.UTC().Format(time.RFC3339Nano)}
	for _, list := range [][]indicator.Indicator{c.New, c.Updated, c.Resolved} {
		for _, i := range list {
			key = append(key, i.ID)
		}
	}
	a.Key = artifact.SHA256Of([]byte(strings.Join(key, "\n"))).Hex()
	payload, err := json.Marshal(a)
	return pending{Key: a.Key, Payload: payload, At: c.At, Group: a.Group, Priority: priority(a.Severity, a.Critical)}, err
}

// words writes the alert for people.
func words(name string, c Change, status notify.Status) (title, text string) {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{len(c.New), "new"}, {len(c.Updated), "changed"}, {len(c.Resolved), "resolved"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	title = fmt.Sprintf("weightwarden: %s for %s", strings.Join(parts, ", "), artifact.Quote(name))
	if status == notify.Resolved {
		title += ": nothing is left"
	}
	var b strings.Builder
	b.WriteString(title)
	for n, i := range slices.Concat(c.New, c.Updated) {
		if n < notify.Shown {
			fmt.Fprintf(&b, "\n[%s] %s: %s", i.Severity, i.Type, i.Description)
		}
	}
	for n, i := range c.Resolved {
		if n < notify.Shown {
			fmt.Fprintf(&b, "\nresolved: [%s] %s: %s", i.Severity, i.Type, i.Description)
		}
	}
	more := max(0, len(c.New)+len(c.Updated)-notify.Shown) + max(0, len(c.Resolved)-notify.Shown)
	if more > 0 {
		fmt.Fprintf(&b, "\nand %d more: weightwarden check", more)
	}
	return title, b.String()
}

// maxEvidence bounds the evidence of one indicator in an alert, in bytes.
const maxEvidence = 4 << 10

// listed returns the first indicators with evidence of a bounded size.
func listed(list []indicator.Indicator) []indicator.Indicator {
	out := slices.Clone(list[:min(len(list), notify.Listed)])
	for n, i := range out {
		if data, err := json.Marshal(i.Evidence); err != nil || len(data) > maxEvidence {
			out[n].Evidence = map[string]any{"file": i.File(), "left_out": "see: weightwarden check"}
		}
	}
	return out
}

// priority returns what is given up last where there is no room.
func priority(s finding.Severity, critical bool) int {
	switch {
	case critical || s >= finding.Critical:
		return outbox.Critical
	case s >= finding.High:
		return outbox.High
	case s >= finding.Medium:
		return outbox.Medium
	default:
		return outbox.Low
	}
}

// ownGroup is the group of alerts about the delivery itself.
const ownGroup = "delivery"

// undelivered tells that an alert was given up, once an hour for a receiver;
// without a key where it is about such an alert itself.
func undelivered(receiver string, lost notify.Alert, reason string, now time.Time) notify.Alert {
	if strings.HasPrefix(lost.Group, ownGroup) {
		return notify.Alert{}
	}
	title := "weightwarden: an alert did not reach " + artifact.Quote(receiver)
	return notify.Alert{
		Key: "undelivered/" + receiver + "/" + now.UTC().Format("2006010215"), Group: ownGroup + "/" + receiver, Status: notify.Message,
		Severity: max(lost.Severity, finding.High), Critical: lost.Critical, Source: source, Title: title, At: now.UTC(), Host: lost.Host,
		Text: title + "\n" + artifact.Quote(lost.Line()) + "\n" + reason + "\nsee: weightwarden alerts list",
	}
}

// dropped tells that alerts were lost for want of room, once an hour.
func dropped(n, limit int, now time.Time) notify.Alert {
	title := fmt.Sprintf("weightwarden: %d alerts were dropped: more than %d were waiting", n, limit)
	return notify.Alert{
		Key: "dropped/" + now.UTC().Format("2006010215"), Group: ownGroup + "/dropped", Status: notify.Message, Severity: finding.High,
		Source: source, Title: title, Text: title + "\nsee: weightwarden alerts list --dead", At: now.UTC(),
	}
}
