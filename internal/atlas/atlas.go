// Package atlas is the table of the techniques of MITRE ATLAS, so that
// findings and indicators can be named by ids that other tools share. It holds
// ids, names and tactics only and knows nothing of what uses them.
package atlas

//go:generate go run ../../scripts/atlas/main.go $WEIGHTWARDEN_SHARED/vectors/schemas/atlas/dist/ATLAS.yaml

import (
	"cmp"
	"slices"
)

// Technique is one technique, or one way of carrying out another.
type Technique struct {
	// ID is the official id, "AML.T0018" or "AML.T0018.002".
	ID   string
	Name string
	// Tactics are the ids of the tactics it serves, sorted. A technique below
	// another has the tactics of that one.
	Tactics []string
}

// URL returns the technique's page.
func (t Technique) URL() string { return "https://atlas.mitre.org/techniques/" + t.ID }

// Lookup returns the technique with the id.
func Lookup(id string) (Technique, bool) {
	n, ok := slices.BinarySearchFunc(techniques, id, func(t Technique, id string) int {
		return cmp.Compare(t.ID, id)
	})
	if !ok {
		return Technique{}, false
	}
	t := techniques[n]
	t.Tactics = slices.Clone(t.Tactics)
	return t, true
}
