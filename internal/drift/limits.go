package drift

import "cmp"

// Limits bounds what is read. A zero field means its default.
type Limits struct {
	// LineBytes is the longest line of outputs, 1 MiB by default. A longer
	// one is skipped and counts as unreadable.
	LineBytes int
	// ClassBytes is the longest name of a class, 1 KiB by default.
	ClassBytes int
	// Classes is the greatest number of classes, 100,000 by default. Outputs
	// of further classes count as unreadable.
	Classes int
	// ReferenceBytes is the greatest size of a reference that is one JSON
	// object, 16 MiB by default.
	ReferenceBytes int64
}

func (l Limits) filled() Limits {
	return Limits{
		LineBytes:      cmp.Or(l.LineBytes, 1<<20),
		ClassBytes:     cmp.Or(l.ClassBytes, 1<<10),
		Classes:        cmp.Or(l.Classes, 100_000),
		ReferenceBytes: cmp.Or(l.ReferenceBytes, 16<<20),
	}
}
