package scope

import (
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// Changed is when the kernel last saw a file change, and the modification
// time, which whoever can write the file can set.
type Changed struct {
	Path     string    `json:"path"`
	Changed  time.Time `json:"changed"`
	Modified time.Time `json:"modified"`
}

// FirstBad returns since when the model has to be taken as bad: what a person
// stated, else the earliest of the signs and of the kernel's times of change of
// the suspect files. Modification times are listed, and decide nothing: they
// could be set to move the moment at will. considered is oldest first.
func FirstBad(inc *incident.Incident, suspects []Changed) (at time.Time, source string, considered []incident.Considered) {
	at, source = inc.FirstBad()
	_, stated := inc.Facts["first_bad_at"]
	considered = []incident.Considered{{At: at, What: source}}
	for _, f := range suspects {
		if f.Changed.IsZero() {
			continue
		}
		what := "the kernel's time of change of " + artifact.Quote(f.Path)
		considered = append(considered, incident.Considered{At: f.Changed, What: what})
		if !f.Modified.Equal(f.Changed) && !f.Modified.IsZero() {
			considered = append(considered, incident.Considered{At: f.Modified, What: "the modification time of " + artifact.Quote(f.Path), Weak: true})
		}
		if !stated && f.Changed.Before(at) {
			at, source = f.Changed, what
		}
	}
	slices.SortStableFunc(considered, func(a, b incident.Considered) int { return a.At.Compare(b.At) })
	return at, source, considered
}
