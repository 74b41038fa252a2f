// Package approval says who may do what in a response, and what an approval
// is: a statement about one plan, signed with the key of a person. It holds
// the form and the verification of both and does no I/O.
package approval

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Role is what a person may do.
type Role string

// The roles. Who has another role than viewer may write into the record.
const (
	Viewer    Role = "viewer"    // reads
	Responder Role = "responder" // records, plans, carries out
	Commander Role = "commander" // as a responder; decides, accepts risks, closes
	Approver  Role = "approver"  // lets plans of others be carried out
	Legal     Role = "legal"     // ends a hold on evidence
)

// Roles returns every role.
func Roles() []Role { return []Role{Viewer, Responder, Commander, Approver, Legal} }

// The things that need approvals, beside the actions of plans.
const (
	Isolate  = "isolate"
	Rollback = "rollback"
	Undo     = "undo"
	Reopen   = "reopen" // any plan with a step that lets requests through again
	Waive    = "waive"  // of the gate that asks for sealed evidence
	Close    = "close"  // of critical and high incidents
	People   = "people" // putting others in the place of those on record
)

// Always are the actions that never go without a second person once approvers
// are named, and need one approval where nothing else is said.
func Always() []string { return []string{Rollback, Undo, Reopen, Waive, Close, People} }

// Actions returns everything that approvals can be asked for.
func Actions() []string { return append([]string{Isolate}, Always()...) }

// DefaultTTL is how long an approval holds where nothing else is said.
const DefaultTTL = 4 * time.Hour

// MaxApprovals bounds how many approvals can be asked for.
const MaxApprovals = 5

// Person is somebody who takes part in a response.
type Person struct {
	Name  string `json:"name"`
	Roles []Role `json:"roles"`
	// Users are names of users of the operating system, with or without the
	// host: "ana" or "ana@inference-3".
	Users []string `json:"users,omitempty"`
	Keys  []Key    `json:"keys,omitempty"`
}

// Has reports whether the person has one of the roles. A commander may do all
// that a responder may.
func (p Person) Has(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool {
		return slices.Contains(p.Roles, r) || r == Responder && slices.Contains(p.Roles, Commander)
	})
}

// Roster says who takes part and what needs whose approval. An empty one is
// that of a single person who may do everything.
type Roster struct {
	People []Person `json:"people"`
	// Required says how many approvals an action needs, by name.
	Required map[string]int `json:"required,omitempty"`
	// TTL is the longest time that an approval holds, in seconds.
	TTL int64 `json:"ttl_seconds,omitempty"`
	// ExecutorDiffers asks that who asks for a plan does not carry it out.
	ExecutorDiffers bool `json:"executor_differs,omitempty"`
}

// Empty reports whether nobody is named.
func (r Roster) Empty() bool { return len(r.People) == 0 }

// Needs returns how many approvals an action needs. Where nobody is named it
// is none.
func (r Roster) Needs(action string) int {
	if r.Empty() {
		return 0
	}
	least := 0
	if slices.Contains(Always(), action) {
		least = 1
	}
	return max(least, r.Required[action])
}

// Lifetime returns how long an approval holds at most.
func (r Roster) Lifetime() time.Duration {
	if r.TTL <= 0 {
		return DefaultTTL
	}
	return time.Duration(r.TTL) * time.Second
}

// Named returns the person with the name.
func (r Roster) Named(name string) (Person, bool) {
	return r.find(func(p Person) bool { return p.Name == name })
}

// ByKey returns whose key it is.
func (r Roster) ByKey(k Key) (Person, bool) {
	return r.find(func(p Person) bool { return slices.ContainsFunc(p.Keys, k.Equal) })
}

// ByUser returns the person that an actor "user@host" stands for.
func (r Roster) ByUser(actor string) (Person, bool) {
	user, _, _ := strings.Cut(actor, "@")
	return r.find(func(p Person) bool { return slices.Contains(p.Users, actor) || slices.Contains(p.Users, user) })
}

func (r Roster) find(is func(Person) bool) (Person, bool) {
	if i := slices.IndexFunc(r.People, is); i >= 0 {
		return r.People[i], true
	}
	return Person{}, false
}

// Approvers returns the people with the role of an approver.
func (r Roster) Approvers() []Person {
	return slices.DeleteFunc(slices.Clone(r.People), func(p Person) bool { return !p.Has(Approver) })
}

// Hash identifies the roster.
func (r Roster) Hash() artifact.Digest {
	data, err := json.Marshal(r)
	if err != nil {
		panic("a roster is always encodable: " + err.Error()) // strings, numbers and keys
	}
	return artifact.SHA256Of(data)
}
