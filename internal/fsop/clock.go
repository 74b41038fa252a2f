package fsop

import (
	"fmt"
	"time"
)

// ClockState is what the kernel knows of how right this host's clock is.
type ClockState struct {
	// Synchronised says that something keeps the clock right.
	Synchronised bool `json:"synchronised"`
	// Offset is what remains to be corrected, MaxError the bound on what the
	// clock can be wrong by.
	Offset   time.Duration `json:"offset_ns"`
	MaxError time.Duration `json:"max_error_ns"`
}

// String says it in words.
func (c ClockState) String() string {
	if !c.Synchronised {
		return "not synchronised: the offset is not known"
	}
	return fmt.Sprintf("synchronised, offset %s, wrong by at most %s", c.Offset, c.MaxError)
}

// ClockNote returns the state of the clock in words, also when it cannot be
// asked for.
func ClockNote() string {
	c, err := Clock()
	if err != nil {
		return "not known: " + err.Error()
	}
	return c.String()
}
