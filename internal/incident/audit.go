package incident

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// Auditor goes through the entries of an incident's log, oldest first, and
// says which approvals in it are not what they claim, and what was done
// without those that it needed. It needs nothing but the entries: the keys are
// those of the people on record.
type Auditor struct {
	// Log is the incident's log.
	Log string
	// Problems are what was found so far.
	Problems []evidence.Problem

	leaves []artifact.Digest
	roster approval.Roster
	given  map[uint64]approval.Statement
	used   map[uint64]bool
	plans  map[artifact.Digest]action.Plan
}

// decisive are the kinds of entry that an auditor reads.
var decisive = []string{KindPeople, KindApproval, KindPlanned, KindApproved, KindWaived, KindClosed}

// VerifyApprovals goes through a whole log.
func VerifyApprovals(log string, rows []evidence.Stored) []evidence.Problem {
	a := Auditor{Log: log}
	for _, r := range rows {
		a.See(r.Raw)
	}
	return a.Problems
}

// See takes the next entry as it is stored. One that is none is left to the
// verification of the chain.
func (a *Auditor) See(raw []byte) {
	a.leaves = append(a.leaves, evidence.LeafHash(raw))
	if !slices.ContainsFunc(decisive, func(kind string) bool { return bytes.Contains(raw, []byte(`"kind":"`+kind+`"`)) }) {
		return
	}
	e, err := evidence.ParseEntry(raw)
	if err != nil {
		return
	}
	if a.given == nil {
		a.given, a.used, a.plans = map[uint64]approval.Statement{}, map[uint64]bool{}, map[artifact.Digest]action.Plan{}
	}
	switch e.Kind {
	case KindPeople:
		read(a, e, a.people)
	case KindApproval:
		read(a, e, a.approval)
	case KindPlanned:
		read(a, e, func(_ evidence.Entry, p action.Plan) { a.plans[p.Hash()] = p })
	case KindApproved:
		read(a, e, a.approved)
	case KindWaived:
		read(a, e, func(e evidence.Entry, b Waived) {
			if b.Gate == EvidenceGate {
				a.rests(e, approval.Waive, WaivePlan(a.Log, b).Hash(), b.Rests, b.Person, "")
			}
		})
	case KindClosed:
		read(a, e, func(e evidence.Entry, b Closed) {
			a.each(e, ClosePlan(a.Log, b).Hash(), b.Rests)
		})
	}
}

func read[T any](a *Auditor, e evidence.Entry, do func(evidence.Entry, T)) {
	var body T
	if err := e.Decode(&body); err != nil {
		a.wrong(e, "cannot be read: %v", err)
		return
	}
	do(e, body)
}

func (a *Auditor) wrong(e evidence.Entry, format string, args ...any) {
	a.Problems = append(a.Problems, evidence.Problem{Kind: evidence.Forged, Seq: e.Seq, Detail: fmt.Sprintf("entry %d %s", e.Seq, fmt.Sprintf(format, args...))})
}

// people takes over who takes part. Others may replace them only with their
// approval.
func (a *Auditor) people(e evidence.Entry, b People) {
	if !a.roster.Empty() {
		a.rests(e, approval.People, PeoplePlan(a.Log, b.Roster, b.Reason).Hash(), b.Rests, "", "")
	}
	a.roster = b.Roster
}

func (a *Auditor) approval(e evidence.Entry, b SignedApproval) {
	s, reason := CheckApproval(b, a.Log, a.roster, a.rootAt)
	switch {
	case reason != "":
	case s.Position >= e.Seq:
		reason = fmt.Sprintf("was signed over %d entries, of which it is one", s.Position)
	case !s.Expires.After(e.Time):
		reason = "had expired when it was recorded"
	}
	if reason != "" {
		a.wrong(e, "is no approval: %s", reason)
		return
	}
	a.given[e.Seq] = s
}

func (a *Auditor) approved(e evidence.Entry, b Approved) {
	if b.BreakGlass {
		a.each(e, b.Plan, b.Rests)
		return
	}
	a.rests(e, Approvable(a.plans[b.Plan]), b.Plan, b.Rests, b.By, b.Requester)
}

// rests checks that a decision has the approvals that it needed.
func (a *Auditor) rests(e evidence.Entry, action string, plan artifact.Digest, entries []uint64, by, requester string) {
	people := a.each(e, plan, entries)
	for _, p := range people {
		if p == by || p == requester {
			a.wrong(e, "rests on an approval of %s, who asked for it or carried it out", artifact.Quote(p))
		}
	}
	slices.Sort(people)
	if n, needs := len(slices.Compact(people)), a.roster.Needs(action); n < needs {
		a.wrong(e, "needs %d approvals for %s and rests on %d", needs, action, n)
	}
}

// each returns who gave the approvals that a decision rests on.
func (a *Auditor) each(e evidence.Entry, plan artifact.Digest, entries []uint64) (people []string) {
	for _, seq := range entries {
		s, ok := a.given[seq]
		switch {
		case !ok:
			a.wrong(e, "rests on entry %d, which is no approval", seq)
		case s.Plan != plan:
			a.wrong(e, "rests on entry %d, which approves another plan", seq)
		case a.used[seq]:
			a.wrong(e, "rests on entry %d, which was used before", seq)
		case !s.Expires.After(e.Time):
			a.wrong(e, "rests on entry %d, which had expired", seq)
		default:
			people = append(people, s.By)
		}
		a.used[seq] = true
	}
	return people
}

func (a *Auditor) rootAt(position uint64) (artifact.Digest, bool) { return rootOf(a.leaves, position) }

func rootOf(leaves []artifact.Digest, position uint64) (artifact.Digest, bool) {
	if position == 0 || position > uint64(len(leaves)) {
		return artifact.Digest{}, false
	}
	var t evidence.Tree
	for _, leaf := range leaves[:position] {
		t.Add(leaf)
	}
	return t.Root(), true
}

// RootAt returns the root of the first entries of a log.
func RootAt(entries []evidence.Entry, position uint64) (artifact.Digest, bool) {
	leaves := make([]artifact.Digest, 0, len(entries))
	for _, e := range entries {
		leaves = append(leaves, e.Hash())
	}
	return rootOf(leaves, position)
}

// CheckApproval says why an approval is none, whatever it is for: its
// signature, its key, its role, its time and its place in the record. An empty
// reason means that the person whose key signed it has said what it says.
func CheckApproval(b SignedApproval, log string, roster approval.Roster, rootAt func(uint64) (artifact.Digest, bool)) (s approval.Statement, reason string) {
	signed, err := b.Signed()
	if err != nil {
		return s, err.Error()
	}
	s = signed.Statement
	key, err := signed.Key()
	if err != nil {
		return s, "it is forged: " + err.Error()
	}
	person, known := roster.ByKey(key)
	root, there := rootAt(s.Position)
	switch {
	case s.Incident != log:
		return s, "it is for the incident " + artifact.Quote(s.Incident)
	case s.Plan != b.Plan || s.Action != b.Action || s.By != b.By || s.Role != b.Role || !s.Expires.Equal(b.Expires):
		return s, "what was signed is not what the entry says"
	case !known:
		return s, "its key is that of nobody on record"
	case person.Name != s.By:
		return s, "it is signed by " + artifact.Quote(person.Name) + " in the name of " + artifact.Quote(s.By)
	case !person.Has(s.Role):
		return s, artifact.Quote(person.Name) + " has not the role " + string(s.Role)
	case s.Expires.Sub(s.Issued) > roster.Lifetime() || !s.Expires.After(s.Issued):
		return s, fmt.Sprintf("it would hold for %s; at most %s are allowed", s.Expires.Sub(s.Issued), roster.Lifetime())
	case !there || root != s.Root:
		return s, "it was signed for another record than this one"
	}
	return s, ""
}

// Approvable returns the name by which approvals for a plan are asked for.
func Approvable(p action.Plan) string {
	if slices.ContainsFunc(p.Steps, func(s action.Step) bool { return s.Opens }) && p.Action != action.Rollback && p.Action != action.Undo {
		return approval.Reopen
	}
	return string(p.Action)
}

// WaivePlan returns a waiver in the form of a plan, so that it can be approved
// like one. ClosePlan and PeoplePlan do the same for their decisions.
func WaivePlan(id string, w Waived) action.Plan {
	return action.Plan{Incident: id, Action: action.Waive, Model: w.Model, Target: w.Gate, Observed: map[string]string{"reason": w.Reason}}
}

// ClosePlan is as [WaivePlan].
func ClosePlan(id string, c Closed) action.Plan {
	return action.Plan{Incident: id, Action: action.Close, Target: id, Observed: map[string]string{"resolution": c.Resolution}}
}

// PeoplePlan is as [WaivePlan].
func PeoplePlan(id string, r approval.Roster, reason string) action.Plan {
	return action.Plan{Incident: id, Action: action.People, Target: id, Observed: map[string]string{"people": r.Hash().Hex(), "reason": reason}}
}

// Signable returns the statement by which a person approves a plan, as the
// record stands after all of entries.
func Signable(entries []evidence.Entry, p action.Plan, by string, role approval.Role, now time.Time, ttl time.Duration) approval.Statement {
	position := uint64(len(entries))
	root, _ := RootAt(entries, position)
	issued := now.UTC().Truncate(time.Second)
	return approval.Statement{
		Incident: p.Incident, Plan: p.Hash(), Action: Approvable(p), Role: role, By: by,
		Issued: issued, Expires: issued.Add(ttl), Position: position, Root: root,
	}
}
