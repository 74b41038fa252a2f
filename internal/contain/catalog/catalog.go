// Package catalog is the written-out list of containment drivers. It knows
// nothing of what they do.
package catalog

import (
	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/contain/directory"
)

// All returns every driver. The function quarantine returns the quarantine
// directory that is configured for a model, or ""; it may be nil.
func All(quarantine func(modelID string) string) []action.Driver {
	return []action.Driver{
		directory.New(quarantine),
	}
}
