// Package timeline puts what happened in order, whatever source told of it.
//
// It describes entries in plain sentences and reads the guide's actions log.
// It stores nothing, judges nothing, and does not know how an entry came
// about.
package timeline

import (
	"cmp"
	"slices"
	"time"
)

// Event is one thing that happened. The first three fields are the guide's.
type Event struct {
	Timestamp   time.Time `json:"timestamp"`
	Source      string    `json:"source"`
	Description string    `json:"description"`
	// Kind is the kind of the entry that the event was made from.
	Kind string `json:"kind,omitempty"`
	// Seq is the number of that entry in the incident's log.
	Seq uint64 `json:"seq,omitempty"`
	// Actor is who did it.
	Actor string `json:"actor,omitempty"`
}

// Merge returns all events, oldest first. Events of the same time stand in the
// order of their entries, then in the order they were given in.
func Merge(sources ...[]Event) []Event {
	all := []Event{}
	for _, s := range sources {
		all = append(all, s...)
	}
	slices.SortStableFunc(all, func(a, b Event) int {
		return cmp.Or(a.Timestamp.Compare(b.Timestamp), cmp.Compare(a.Seq, b.Seq))
	})
	return all
}

// Lines returns each event as one line: time and description.
func Lines(events []Event) []string {
	lines := make([]string, 0, len(events))
	for _, e := range events {
		lines = append(lines, e.Timestamp.UTC().Format(time.RFC3339)+" "+e.Description)
	}
	return lines
}
