package drift

import (
	"errors"
	"io"
)

// Limits bounds what is read. A zero field means its default.
type Limits struct {
	// LineBytes is the longest line of outputs, 1 MiB by default. A longer
	// one is skipped and counts as unreadable.
	LineBytes int
	// ClassBytes is the longest name of a class, 1 KiB by default.
	ClassBytes int
	// Classes is the greatest number of classes, 100,000 by default.
	Classes int
	// ReferenceBytes is the greatest size of a reference that is one JSON
	// object, 16 MiB by default.
	ReferenceBytes int64
}

// ReadOutputs reads outputs, one JSON object per line.
func ReadOutputs(r io.Reader, lim Limits) (Sample, error) { return Sample{}, errors.New("not yet") }

// ReadReference reads a reference.
func ReadReference(r io.Reader, lim Limits) (Distribution, error) { return nil, errors.New("not yet") }
