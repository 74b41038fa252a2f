package cli

import (
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// printHandling writes what was done with the evidence, and how far the
// incident reaches.
func printHandling(p *printer, inc *incident.Incident) {
	if inc.Hold != nil && inc.Hold.On {
		p.printf("hold       since %s by %s: %s\n", stamp(inc.Hold.At), artifact.Quote(inc.Hold.By), artifact.Quote(inc.Hold.Reason))
	}
	for _, c := range inc.Custody {
		p.printf("%-11s%s  %s  by %s  to %s\n", c.Event, stamp(c.At), artifact.Quote(c.Name), artifact.Quote(c.By), artifact.Quote(c.To))
	}
	for _, id := range inc.Models {
		if s, ok := inc.Scopes[id]; ok {
			p.printf("scope      %s: %d of %d places affected, %d of them not known  (%s)\n",
				artifact.Quote(id), s.Affected(), len(s.Places), s.Unknown(), stamp(s.At))
		}
	}
}
