package respond

import (
	"cmp"
	"context"
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

// Gate is a rule that a plan has to pass before anything happens.
type Gate struct {
	// ID is the gate's name in messages and in the record.
	ID string `json:"id"`
	// Rule is the rule in one sentence.
	Rule string `json:"rule"`
	// Override says who may let a plan pass that the gate refuses, and how.
	Override string `json:"override"`
	// glass says that breaking the glass goes past it.
	glass bool
	// refuses returns why the plan does not pass, and what to do, or "".
	refuses func(q *question) (reason, hint string)
}

// question is what gates are asked about.
type question struct {
	r       *Responder
	inc     *incident.Incident
	entries []evidence.Entry
	plan    action.Plan
	roster  approval.Roster
	// resumed is set when the plan was approved before.
	resumed *incident.Approved
	// used are the entries of the approvals that let it pass.
	used []uint64
	// out are the models that are out of service, unless that is not known.
	out    []string
	outErr error
}

// about makes a question about a plan.
func (r *Responder) about(ctx context.Context, inc *incident.Incident, entries []evidence.Entry, plan action.Plan) *question {
	q := &question{r: r, inc: inc, entries: entries, plan: plan, roster: r.rosterOf(inc)}
	if r.Limits.Percent > 0 && r.Limits.Isolated != nil && plan.Action == action.Isolate {
		q.out, q.outErr = r.Limits.Isolated(ctx)
	}
	return q
}

const (
	byCommander = "the commander accepts it: weightwarden incident waive ID --gate GATE --reason TEXT"
	byGlass     = "breaking the glass: --break-glass --reason TEXT"
	nobody      = "nobody"
)

// Gates returns every gate, in the order in which they are asked. Four more
// are not asked of a whole plan: G4, where the version is chosen; G5 and G9,
// where each step is observed before and after it is taken; G12, where an
// incident is closed; and G14, with every entry.
func Gates() []Gate {
	return append(resumeGates(),
		Gate{ID: incident.GateLimits, Rule: "A plan touches no more at once than its limits allow.", Override: byCommander, refuses: tooMuch},
		Gate{ID: "G9", Rule: "A plan that was begun is continued or taken back before another begins.", Override: nobody, refuses: begun},
		Gate{ID: "G6", Rule: "With people on record, who asks for a plan or carries it out does not approve it, and an approval holds for one plan once.", Override: byGlass, glass: true, refuses: notApproved},
	)
}

// resumeGates are those that a plan has to pass again when it is continued:
// the incident may be another by now.
func resumeGates() []Gate {
	return []Gate{
		{ID: "G1", Rule: "Nothing is changed without a declared incident that has a commander, by who may, or within a policy.", Override: byGlass, glass: true, refuses: notDeclared},
		{ID: incident.EvidenceGate, Rule: "Nothing that evidence can be taken from is ended before that evidence is sealed.", Override: "a waiver, by two persons where approvers are named", refuses: notSealed},
		{ID: "G3", Rule: "Nothing is taken out of the hands of a controller before its replacement is seen to be blocked.", Override: nobody, refuses: notGuarded},
		{ID: incident.GateScope, Rule: "No recovery while places are unknown where the suspect may be.", Override: byCommander, refuses: notScoped},
		{ID: incident.GateSecrets, Rule: "No request reaches the model again before the secrets are rotated.", Override: byCommander, refuses: notRotated},
		{ID: "G10", Rule: "What is changed for controllers and traffic has its exact inverse in the plan.", Override: nobody, refuses: noInverse},
		{ID: incident.GateHold, Rule: "While a hold is on, nothing is ended whose evidence is not sealed, waived or not.", Override: "legal: weightwarden incident waive ID --gate G13 --reason TEXT", refuses: onHold},
	}
}

// Answer is what a gate says to a plan.
type Answer struct {
	Gate   string `json:"gate"`
	Reason string `json:"reason"`
	Hint   string `json:"hint"`
}

// Ask returns what the gates would say to a plan now. It records nothing.
func (r *Responder) Ask(ctx context.Context, plan action.Plan) ([]Answer, error) {
	b, err := r.Board(ctx, plan.Incident)
	if err != nil {
		return nil, err
	}
	return b.Ask(ctx, plan), nil
}

// Ask returns what the gates would say to a plan as the record stands on the
// board. It records nothing.
func (b *Board) Ask(ctx context.Context, plan action.Plan) []Answer {
	q := b.r.about(ctx, b.Incident, b.entries, plan)
	answers := []Answer{}
	for _, g := range Gates() {
		if reason, hint := g.refuses(q); reason != "" {
			answers = append(answers, Answer{g.ID, reason, hint})
		}
	}
	return answers
}

// admit asks gates and returns by what the plan is approved, with the entries
// that say how. A refusal is itself an entry of the record.
func (r *Responder) admit(ctx context.Context, q *question, gates []Gate) (incident.Approved, []evidence.Draft, error) {
	by := incident.Approved{Plan: q.plan.Hash(), By: r.name(q.roster)}
	var broken []Answer
	for _, g := range gates {
		reason, hint := g.refuses(q)
		switch {
		case reason == "":
		case g.glass && r.BreakGlass != "":
			broken = append(broken, Answer{g.ID, reason, hint})
		default:
			if err := r.askFor(ctx, q, g.ID); err != nil {
				return by, nil, err
			}
			return by, nil, r.Refuse(ctx, q.inc.ID, incident.Refused{Gate: g.ID, Action: string(q.plan.Action), Reason: reason}, hint)
		}
	}
	by.Rests, by.Self = q.used, len(q.used) == 0
	if req, ok := q.inc.Requested(by.Plan); ok {
		by.Requester = req.By
	}
	var drafts []evidence.Draft
	if len(broken) > 0 {
		entry, err := r.breakGlass(ctx, q, broken)
		if err != nil {
			return by, nil, err
		}
		by.BreakGlass, drafts = true, append(drafts, entry)
	}
	if r.Policy != nil {
		by.Policy, by.Self = r.Policy.Name, false
	}
	return by, drafts, nil
}

// Refuse records that a gate was not passed and returns the Refused fault.
func (r *Responder) Refuse(ctx context.Context, id string, body incident.Refused, hint string) error {
	if err := r.Record(ctx, id, r.Draft(incident.KindRefused, body)); err != nil {
		return err
	}
	return fault.New(fault.Refused, "%s refused by gate %s: %s", body.Action, body.Gate, body.Reason).WithHint("%s", hint)
}

func notDeclared(q *question) (reason, hint string) {
	inc := q.inc
	if inc.State == incident.Done {
		return "the incident is closed", "open a new one: weightwarden incident open"
	}
	if q.r.Policy != nil {
		return q.r.Policy.refuses(q)
	}
	if inc.Commander == "" {
		return "the incident has no commander", "name one: weightwarden incident fact " + inc.ID + " commander NAME"
	}
	if q.resumed != nil && q.approvedBy(q.resumed.Rests, q.r.name(q.roster)) {
		return "who approves a plan does not carry it out", "let somebody else continue it: weightwarden incident resume " + inc.ID
	}
	return q.r.lacks(q.roster, approval.Responder)
}

// approvedBy reports whether one of the approvals is of the person.
func (q *question) approvedBy(entries []uint64, person string) bool {
	return slices.ContainsFunc(q.inc.Approvals, func(a incident.ApprovalAt) bool {
		return a.By == person && slices.Contains(entries, a.Seq)
	})
}

func destroys(s action.Step) bool { return s.Destroys }

func notSealed(q *question) (reason, hint string) {
	inc, model := q.inc, q.plan.Model
	if !slices.ContainsFunc(q.plan.Steps, destroys) {
		return "", ""
	}
	a, known := inc.Assessed[model]
	switch {
	case known && a.Sealed, inc.EvidenceWaived(model):
		return "", ""
	case known:
		return "the evidence of " + model + " is not sealed: " + a.Reason,
			"capture it: weightwarden incident assess " + inc.ID + "; where that cannot be done, say why: weightwarden incident waive " + inc.ID + " --reason TEXT"
	}
	return "the evidence of " + model + " is not sealed", "capture it first: weightwarden incident assess " + inc.ID
}

func onHold(q *question) (reason, hint string) {
	hold := q.inc.Hold
	_, sealed := q.inc.Sealed(q.plan.Model)
	_, waived := q.inc.WaiverOf(incident.GateHold, q.plan.Model)
	if hold == nil || !hold.On || sealed || waived || !slices.ContainsFunc(q.plan.Steps, destroys) {
		return "", ""
	}
	return "the evidence of " + q.plan.Model + " is under a hold and not sealed: " + hold.Reason,
		"capture it: weightwarden incident assess " + q.inc.ID + "; or have legal release the hold: weightwarden incident hold " + q.inc.ID + " --release --reason TEXT"
}

// notGuarded refuses a plan that detaches without a guard before it, in the
// plan or done before. That the guard holds is seen when the step is taken.
func notGuarded(q *question) (reason, hint string) {
	guard := len(doneGuards(q.inc, q.plan.Model)) > 0
	for _, s := range q.plan.Steps {
		if s.Detaches && !guard {
			return "step " + s.ID + " takes processes out of the hands of a controller, and no step before it blocks their replacement",
				"plan again, with the denial of the tampered digest before it"
		}
		guard = guard || s.Guards
	}
	return "", ""
}

func notScoped(q *question) (reason, hint string) {
	opens := slices.ContainsFunc(q.plan.Steps, func(s action.Step) bool { return s.Opens })
	if q.plan.Action != action.Rollback && (!opens || q.plan.Action == action.Undo) {
		return "", ""
	}
	for _, model := range q.inc.Models {
		n := q.inc.Scopes[model].Unknown()
		if _, waived := q.inc.WaiverOf(incident.GateScope, model); n > 0 && !waived {
			return fmt.Sprintf("of %d places it is not known whether they hold the suspect %s; they count as affected", n, model),
				"look again: weightwarden incident scope " + q.inc.ID + "; or let the commander accept it: weightwarden incident waive " + q.inc.ID + " --gate G7 --reason TEXT"
		}
	}
	return "", ""
}

// rotation begins the ids of the tasks to rotate secrets.
const rotation = "rotate-"

func notRotated(q *question) (reason, hint string) {
	_, waived := q.inc.WaiverOf(incident.GateSecrets, q.plan.Model)
	if waived || !slices.ContainsFunc(q.plan.Steps, func(s action.Step) bool { return s.Opens }) {
		return "", ""
	}
	var open []string
	for _, t := range q.inc.OpenTasks() {
		if strings.HasPrefix(t.ID, rotation) {
			open = append(open, t.ID)
		}
	}
	if len(open) == 0 {
		return "", ""
	}
	return "secrets are not rotated: " + strings.Join(open, ", "),
		"rotate them, then: weightwarden incident task " + q.inc.ID + " " + open[0] + "; or let the commander accept it: weightwarden incident waive " + q.inc.ID + " --gate G8 --reason TEXT"
}

func noInverse(q *question) (reason, hint string) {
	if q.plan.Action == action.Undo {
		return "", ""
	}
	for _, s := range q.plan.Steps {
		if s.Inverse == nil && (s.Guards || s.Detaches || s.Opens) {
			return "step " + s.ID + " cannot be taken back: the plan has no inverse of it", "plan again"
		}
	}
	return "", ""
}

func begun(q *question) (reason, hint string) {
	for n := range q.inc.Plans {
		p := &q.inc.Plans[n]
		interrupted := resumable(q.inc, n) && !p.Failed()
		if interrupted && q.plan.Action != action.Undo {
			return "the plan to " + string(p.Action) + " " + p.Model + " was begun and not finished",
				"continue it: weightwarden incident resume " + q.inc.ID
		}
	}
	return "", ""
}

// Limits bound how much is touched at once. Zero is no limit.
type Limits struct {
	// Replicas is how many serving processes may be touched in a minute.
	Replicas int
	// Percent is how much of all configured models may be out of service at
	// once by isolation, this plan included; Targets is how many there are.
	Percent, Targets int
	// Isolated returns the models that open incidents hold isolated.
	Isolated func(ctx context.Context) ([]string, error)
}

func tooMuch(q *question) (reason, hint string) {
	l := q.r.Limits
	hint = "wait, do less at once, or let the commander accept it: weightwarden incident waive " + q.inc.ID + " --gate G11 --reason TEXT"
	if _, waived := q.inc.WaiverOf(incident.GateLimits, q.plan.Model); waived {
		return "", ""
	}
	if n := touched(q); l.Replicas > 0 && n > l.Replicas {
		return fmt.Sprintf("%d serving processes would be touched within a minute; %d are allowed", n, l.Replicas), hint
	}
	if l.Percent <= 0 || l.Targets <= 0 || l.Isolated == nil || q.plan.Action != action.Isolate {
		return "", ""
	}
	if q.outErr != nil {
		return "how many models are out of service is not known: " + q.outErr.Error(), hint
	}
	out := append(slices.DeleteFunc(slices.Clone(q.out), func(m string) bool { return m == q.plan.Model }), q.plan.Model)
	if len(out)*100 > l.Percent*l.Targets {
		return fmt.Sprintf("%d of %d models would be out of service; at most %d %% are allowed", len(out), l.Targets, l.Percent), hint
	}
	return "", ""
}

// touched counts the serving processes of the plan, and of steps that were
// taken within the last minute.
func touched(q *question) (n int) {
	for _, s := range q.plan.Steps {
		n += max(s.Replicas, 0)
	}
	since := q.r.Now().Add(-time.Minute)
	for _, p := range q.inc.Plans {
		for _, s := range p.Steps {
			if s.IntendedAt.After(since) {
				n += max(s.Replicas, 0)
			}
		}
	}
	return n
}

// doneGuards returns the steps that block the replacement of a model's
// processes and were observed done.
func doneGuards(inc *incident.Incident, model string) (guards []action.Step) {
	for _, p := range inc.Plans {
		for _, s := range p.Steps {
			if p.Model == model && s.Guards && s.Status == incident.StepDone && p.Action != action.Undo {
				guards = append(guards, s.Step)
			}
		}
	}
	return guards
}

// guardsOf returns the guards that stand when the n-th step of a plan is
// taken: those in front of it, and those of earlier plans.
func guardsOf(inc *incident.Incident, plan *incident.PlanState, n int) []action.Step {
	guards := doneGuards(inc, plan.Model)
	for _, s := range plan.Steps[:n] {
		if s.Guards {
			guards = append(guards, s.Step)
		}
	}
	return guards
}

// guarded is gate G3 at the moment that counts: one of the guards is seen to
// hold right before the step is taken.
func (r *Responder) guarded(ctx context.Context, inc *incident.Incident, s action.Step, guards []action.Step) error {
	saw := "no step blocks it"
	for _, g := range guards {
		x, err := r.executor(g)
		if err != nil {
			return err
		}
		o, err := x.Observe(ctx, g)
		if err == nil && o.Outcome == action.Done {
			return nil
		}
		saw = "step " + g.ID + " does not hold: " + o.Detail
		if err != nil {
			saw = "step " + g.ID + " could not be looked at: " + err.Error()
		}
	}
	return r.Refuse(ctx, inc.ID, incident.Refused{
		Gate: "G3", Action: cmp.Or(s.Kind, s.ID),
		Reason: "what would be detached by step " + s.ID + " would be replaced: " + saw,
	},
		"see what took the denial back, then: weightwarden incident resume "+artifact.Quote(inc.ID))
}
