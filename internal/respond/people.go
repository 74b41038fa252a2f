package respond

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// rosterOf returns who takes part in an incident. What is on record goes
// before the configuration, so that nobody gets round the others by an editor.
func (r *Responder) rosterOf(inc *incident.Incident) approval.Roster {
	if inc.People != nil {
		return inc.People.Roster
	}
	return r.Roster
}

// person returns who acts: the owner of the key that was proven, else the user
// of the operating system.
func (r *Responder) person(roster approval.Roster) (approval.Person, bool) {
	if r.Key != nil {
		return roster.ByKey(*r.Key)
	}
	return roster.ByUser(r.Actor)
}

// name returns how who acts is called in the record.
func (r *Responder) name(roster approval.Roster) string {
	if p, ok := r.person(roster); ok {
		return p.Name
	}
	return r.Actor
}

// lacks says that who acts has none of the roles, or "".
func (r *Responder) lacks(roster approval.Roster, roles ...approval.Role) (reason, hint string) {
	if roster.Empty() || r.Policy != nil {
		return "", ""
	}
	p, known := r.person(roster)
	switch {
	case !known:
		return artifact.Quote(r.Actor) + " is none of the people on record", "act as one of them: --key FILE; who takes part is under approvals: in the configuration"
	case !p.Has(roles...):
		return artifact.Quote(p.Name) + " has not the role " + string(roles[0]), "ask somebody who has it: " + strings.Join(having(roster, roles), ", ")
	}
	return "", ""
}

func having(roster approval.Roster, roles []approval.Role) (names []string) {
	for _, p := range roster.People {
		if p.Has(roles...) {
			names = append(names, artifact.Quote(p.Name))
		}
	}
	return names
}

// May refuses, on the record, what who acts has not the role for.
func (r *Responder) May(ctx context.Context, inc *incident.Incident, gate, what string, roles ...approval.Role) error {
	reason, hint := r.lacks(r.rosterOf(inc), roles...)
	if reason == "" {
		return nil
	}
	return r.Refuse(ctx, inc.ID, incident.Refused{Gate: gate, Action: what, Reason: reason}, hint)
}

// Lacks says why who acts has none of the roles in an incident, and what to do
// about it, or "". It puts nothing on record.
func (r *Responder) Lacks(inc *incident.Incident, roles ...approval.Role) (reason, hint string) {
	return r.lacks(r.rosterOf(inc), roles...)
}

// Person returns who acts, by name, where people take part in the incident.
func (r *Responder) Person(inc *incident.Incident) string {
	roster := r.rosterOf(inc)
	if roster.Empty() {
		return ""
	}
	return r.name(roster)
}

// PutPeople puts the configured people on record where nobody is yet.
func (r *Responder) PutPeople(ctx context.Context, inc *incident.Incident) error {
	if inc.People != nil || r.Roster.Empty() {
		return nil
	}
	return r.Record(ctx, inc.ID, r.Draft(incident.KindPeople, incident.People{Roster: r.Roster, Reason: "configured"}))
}

// notApproved is gate G6.
func notApproved(q *question) (reason, hint string) {
	if q.resumed != nil || q.roster.Empty() {
		return "", ""
	}
	return q.approved(incident.Approvable(q.plan), q.plan, "")
}

// approved looks for the approvals that an action needs, and uses them.
func (q *question) approved(name string, plan action.Plan, requester string) (reason, hint string) {
	needs := q.roster.Needs(name)
	if needs == 0 {
		return "", ""
	}
	hash := plan.Hash()
	if req, ok := q.inc.Requested(hash); ok && requester == "" {
		requester = req.By
	}
	executor := q.r.name(q.roster)
	if q.roster.ExecutorDiffers && (requester == "" || requester == executor) {
		return artifact.Quote(executor) + " asks for it and may not carry it out as well", "let somebody else carry it out"
	}
	var by, why []string
	for _, a := range q.inc.Approvals {
		if a.Action != name && a.Plan != hash {
			continue
		}
		if bad := q.unfit(a, hash, requester, executor); bad != "" {
			why = append(why, bad)
			continue
		}
		if !slices.Contains(by, a.By) && len(by) < needs {
			by, q.used = append(by, a.By), append(q.used, a.Seq)
		}
	}
	if len(by) >= needs {
		return "", ""
	}
	q.used = nil
	reason = fmt.Sprintf("it needs %s of a second person and has %d", count(needs, "approval", "approvals"), len(by))
	if len(why) > 0 {
		reason += "; " + strings.Join(slices.Compact(why), "; ")
	}
	return reason, "have it approved by " + strings.Join(having(q.roster, []approval.Role{approval.Approver}), " or ") +
		": weightwarden incident approve " + q.inc.ID + " --plan " + hash.Hex() + " --key FILE"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// unfit says why an approval on record does not count for a plan now.
func (q *question) unfit(a incident.ApprovalAt, plan artifact.Digest, requester, executor string) string {
	of := "the approval of " + artifact.Quote(a.By)
	s, reason := incident.CheckApproval(a.SignedApproval, q.inc.ID, q.roster, func(n uint64) (artifact.Digest, bool) {
		return incident.RootAt(q.entries, n)
	})
	switch {
	case reason != "":
		return of + " does not count: " + reason
	case s.Role != approval.Approver:
		return of + " is given as " + string(s.Role) + ", not as approver"
	case s.Plan != plan:
		return of + " is for another plan: it changed, or another was asked for"
	case a.Used:
		return of + " was used already"
	case !q.r.Now().Before(s.Expires):
		return of + " has expired at " + s.Expires.Format(time.RFC3339)
	case s.Issued.After(q.r.Now().Add(time.Minute)):
		return of + " is dated in the future"
	case s.Position < q.inc.LastChange:
		return fmt.Sprintf("%s was given before entry %d, which changed what it is for", of, q.inc.LastChange)
	case s.By == requester:
		return of + " does not count: who asks does not approve"
	case s.By == executor:
		return of + " does not count: who approves does not carry it out"
	}
	return ""
}

// askFor puts a plan on record that wants an approval and that nobody has asked
// for yet, so that others can find it there.
func (r *Responder) askFor(ctx context.Context, q *question, gate string) error {
	if _, asked := q.inc.Requested(q.plan.Hash()); asked || gate != "G6" {
		return nil
	}
	return r.request(ctx, q.inc, q.plan)
}

// Request puts on record that who acts asks for a plan.
func (r *Responder) Request(ctx context.Context, plan action.Plan) error {
	inc, err := r.Load(ctx, plan.Incident)
	if err != nil {
		return err
	}
	if err := r.May(ctx, inc, "G1", "plan", approval.Responder); err != nil {
		return err
	}
	return r.request(ctx, inc, plan)
}

func (r *Responder) request(ctx context.Context, inc *incident.Incident, plan action.Plan) error {
	by := r.name(r.rosterOf(inc))
	if before, ok := inc.Requested(plan.Hash()); ok && before.By == by {
		return nil
	}
	return r.Record(ctx, inc.ID, r.Draft(incident.KindRequested, incident.Requested{Plan: plan, By: by}))
}

// Sign makes the approval of a plan that was asked for, and does not record it.
func (r *Responder) Sign(ctx context.Context, id string, plan artifact.Digest, key ed25519.PrivateKey, role approval.Role, ttl time.Duration) (approval.Signed, error) {
	var none approval.Signed
	inc, entries, err := r.load(ctx, id)
	if err != nil {
		return none, err
	}
	req, ok := inc.Requested(plan)
	if !ok {
		return none, fault.New(fault.Refused, "approve refused by gate G6: nobody has asked for the plan %s in %s", plan, id).
			WithHint("see what was asked for: weightwarden incident show %s", id)
	}
	roster := r.rosterOf(inc)
	person, known := roster.ByKey(approval.Key{Ed25519: key.Public().(ed25519.PublicKey)})
	if !known {
		return none, fault.New(fault.Refused, "approve refused by gate G6: the key is that of nobody on record").
			WithHint("who takes part, with which key, is under approvals: in the configuration")
	}
	if ttl <= 0 {
		ttl = roster.Lifetime()
	}
	return approval.Sign(incident.Signable(entries, req.Plan, person.Name, role, r.clock(), ttl), key), nil
}

// Approve checks a signed approval and puts it on record. What is refused is
// on record too, with the reason.
func (r *Responder) Approve(ctx context.Context, id string, signed approval.Signed) (incident.SignedApproval, error) {
	s := signed.Statement
	body := incident.SignedApproval{
		Plan: s.Plan, Action: s.Action, By: s.By, Role: s.Role, Expires: s.Expires, Statement: s.Text(), Signature: signed.Signature,
	}
	inc, entries, err := r.load(ctx, id)
	if err != nil {
		return body, err
	}
	q := r.about(ctx, inc, entries, action.Plan{})
	if reason := q.unacceptable(body); reason != "" {
		return body, r.Refuse(ctx, id, incident.Refused{Gate: "G6", Action: "approve", Reason: reason},
			"see what was asked for, by whom and until when: weightwarden incident show "+id)
	}
	return body, r.Record(ctx, id, r.Draft(incident.KindApproval, body))
}

// unacceptable says why an approval is not put on record.
func (q *question) unacceptable(b incident.SignedApproval) string {
	req, asked := q.inc.Requested(b.Plan)
	again := slices.ContainsFunc(q.inc.Approvals, func(a incident.ApprovalAt) bool { return a.Statement == b.Statement })
	switch {
	case q.roster.Empty():
		return "nobody is named who could approve"
	case again:
		return "this approval is on record already"
	case !asked:
		return "nobody has asked for the plan " + b.Plan.String()
	case b.Action != incident.Approvable(req.Plan):
		return "the plan is to " + incident.Approvable(req.Plan) + ", the approval is for " + artifact.Quote(b.Action)
	}
	return q.unfit(incident.ApprovalAt{SignedApproval: b}, b.Plan, req.By, "")
}

// takeSigned puts the approvals on record that were made elsewhere.
func (r *Responder) takeSigned(ctx context.Context, id string) error {
	if len(r.Signed) == 0 && r.Roster.Empty() {
		return nil
	}
	inc, err := r.Load(ctx, id)
	if err != nil {
		return err
	}
	if err := r.PutPeople(ctx, inc); err != nil {
		return err
	}
	for _, signed := range r.Signed {
		if _, err := r.Approve(ctx, id, signed); err != nil {
			return err
		}
	}
	return nil
}

// decide lets a decision that has no steps through gate G6, or refuses.
func (r *Responder) decide(ctx context.Context, inc *incident.Incident, entries []evidence.Entry, name string, plan action.Plan) ([]uint64, []evidence.Draft, error) {
	q := r.about(ctx, inc, entries, plan)
	reason, hint := q.approved(name, plan, "")
	switch {
	case reason == "":
		return q.used, nil, nil
	case r.BreakGlass != "":
		entry, err := r.breakGlass(ctx, q, []Answer{{"G6", reason, hint}})
		return nil, []evidence.Draft{entry}, err
	}
	if err := r.askFor(ctx, q, "G6"); err != nil {
		return nil, nil, err
	}
	return nil, nil, r.Refuse(ctx, inc.ID, incident.Refused{Gate: "G6", Action: string(plan.Action), Reason: reason}, hint)
}

// breakGlass queues an alert to every approver and returns the entry that says
// which gates were gone past. The alerts come first: one too many is better
// than a silent way past the gates.
func (r *Responder) breakGlass(ctx context.Context, q *question, broken []Answer) (evidence.Draft, error) {
	plan := q.plan.Hash()
	body := incident.BreakGlass{Plan: plan, Action: string(q.plan.Action), By: r.name(q.roster), Reason: r.BreakGlass, Alerted: []string{}}
	for _, b := range broken {
		body.Gates, body.Refusals = append(body.Gates, b.Gate), append(body.Refusals, b.Reason)
	}
	at := r.clock()
	to := []string{"everybody"}
	if approvers := q.roster.Approvers(); len(approvers) > 0 {
		to = nil
		for _, p := range approvers {
			to = append(to, p.Name)
		}
	}
	text := fmt.Sprintf("BREAK GLASS in %s: %s goes past gate %s to %s %s: %s", q.inc.ID, artifact.Quote(body.By),
		strings.Join(body.Gates, ", "), body.Action, artifact.Quote(q.plan.Model), artifact.Quote(r.BreakGlass))
	for _, name := range to {
		if r.Alert == nil {
			break
		}
		key := artifact.SHA256Of([]byte(strings.Join([]string{"break-glass", q.inc.ID, plan.Hex(), name, at.Format(time.RFC3339Nano)}, "\n"))).Hex()
		if err := r.Alert(ctx, name, key, "to "+artifact.Quote(name)+": "+text); err != nil {
			return evidence.Draft{}, fmt.Errorf("queue the alert about breaking the glass: %w", err)
		}
		body.Alerted = append(body.Alerted, name)
	}
	return evidence.Draft{Time: at, Actor: r.Actor, Kind: incident.KindBreakGlass, Body: body}, nil
}
