package incident

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// Fold makes the incident that entries tell. The first must declare it. An
// entry that cannot be read is an Incomplete fault: a state made from half a
// record would be a lie.
func Fold(entries []evidence.Entry) (*Incident, error) {
	if len(entries) == 0 {
		return nil, fault.New(fault.NotFound, "incident has no entries")
	}
	i := &Incident{
		ID: entries[0].Log, State: Open, Facts: map[string]StatedFact{}, Assessed: map[string]AssessedAt{}, Scopes: map[string]ScopeAt{},
		Indicators: []indicator.Indicator{}, Findings: []finding.Finding{}, Inquiries: []Inquiry{},
		Plans: []PlanState{}, Gaps: []evidence.Gap{}, Refusals: []Refused{}, Waivers: []WaivedAt{},
		Tasks: []TaskState{}, Messages: []RenderedMessage{}, Approved: []ApprovedMessage{}, Sent: []SentMessage{},
		Acknowledged: []AcknowledgedMessage{}, History: []StatedFact{}, Notes: []WrittenNote{}, Custody: []CustodyAt{}, Models: []string{},
		Requests: []RequestAt{}, Approvals: []ApprovalAt{}, BrokenGlass: []BreakGlassAt{}, Reverts: []RevertedAt{},
		Automatic: []AutomaticAt{}, ClockJumps: []ClockJump{}, Asked: map[string]uint64{},
	}
	if entries[0].Kind != KindOpened {
		return nil, fault.New(fault.Incomplete, "incident %s begins with %s, not with its declaration", i.ID, entries[0].Kind).
			WithHint("ask what happened to the record: weightwarden incident verify %s", i.ID)
	}
	i.Evidence = make([]evidence.Item, 0, count(entries, KindSealed))
	for n, r := range readAll(entries) {
		e := entries[n]
		if err := i.add(uint64(n)+1, e, r); err != nil {
			return nil, fault.New(fault.Incomplete, "incident %s: %w", i.ID, err).
				WithHint("ask what happened to the record: weightwarden incident verify %s", i.ID)
		}
		i.Entries++
		if e.Time.After(i.UpdatedAt) {
			i.UpdatedAt = e.Time
		}
	}
	i.settle()
	return i, nil
}

// add applies the entry at its place. An entry that is missing or told twice
// makes another story of the rest.
func (i *Incident) add(seq uint64, e evidence.Entry, r reading) error {
	switch {
	case e.Log != i.ID:
		return fmt.Errorf("entry %d is of log %.140q", seq, e.Log)
	case e.Seq != seq:
		return fmt.Errorf("entry %d stands where entry %d belongs", e.Seq, seq)
	case e.Kind == KindOpened && seq != 1:
		return fmt.Errorf("entry %d declares the incident again", seq)
	}
	switch {
	case r.err != nil:
		return r.err
	case r.tell == nil:
		i.Unknown = append(i.Unknown, fmt.Sprintf("%d %s", e.Seq, e.Kind))
	default:
		r.tell(i)
	}
	return nil
}

// reading is an entry whose body was read: what it tells the incident, nil for
// a kind that is not known.
type reading struct {
	tell func(*Incident)
	err  error
}

// section is how many entries are read together.
const section = 1024

// readAll reads the bodies of entries, on all processors where there are many.
// What they tell is told afterwards, in their order.
func readAll(entries []evidence.Entry) []reading {
	out := make([]reading, len(entries))
	var reading sync.WaitGroup
	for from := 0; from < len(entries); from += section {
		to := min(from+section, len(entries))
		if len(entries) <= section {
			readSection(out, entries)
			break
		}
		reading.Go(func() { readSection(out[from:to], entries[from:to]) })
	}
	reading.Wait()
	return out
}

func readSection(out []reading, entries []evidence.Entry) {
	for n, e := range entries {
		if fold, ok := folds[e.Kind]; ok {
			out[n] = fold(e)
		}
	}
}

func count(entries []evidence.Entry, kind string) (n int) {
	for _, e := range entries {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// folds is how each kind of entry is read. Each is one line in the table of its
// sort.
var folds = map[string]func(evidence.Entry) reading{
	KindOpened: with(func(i *Incident, e evidence.Entry, b Opened) {
		i.Models, i.Severity, i.Summary = append(i.Models, b.Models...), b.Severity, b.Summary
		i.Commander, i.Method, i.DetectedAt, i.OpenedAt = b.Commander, b.Method, b.DetectedAt, e.Time
	}),
	KindIndicator: with(func(i *Incident, _ evidence.Entry, b indicator.Indicator) { i.Indicators = append(i.Indicators, b) }),
	KindFinding:   with(func(i *Incident, _ evidence.Entry, b finding.Finding) { i.Findings = append(i.Findings, b) }),
	KindInquiry:   with(func(i *Incident, _ evidence.Entry, b Inquiry) { i.Inquiries = append(i.Inquiries, b) }),
	KindFact: with(func(i *Incident, e evidence.Entry, b Fact) {
		i.Facts[b.Name] = StatedFact{b, e.Time, e.Actor}
		i.History = append(i.History, i.Facts[b.Name])
		switch b.Name {
		case "commander":
			i.Commander = b.Value
		case "first_bad_at", "detected_at": // no sign is older than the first bad time
			i.changed(e)
		}
	}),
	KindNote: with(func(i *Incident, e evidence.Entry, b Note) {
		i.Notes = append(i.Notes, WrittenNote{b, e.Time, e.Actor})
	}),
	KindSealed: with(func(i *Incident, _ evidence.Entry, b evidence.Item) { i.Evidence = append(i.Evidence, b) }),
	KindGap:    with(func(i *Incident, _ evidence.Entry, b evidence.Gap) { i.Gaps = append(i.Gaps, b) }),
	KindAssessed: with(func(i *Incident, e evidence.Entry, b Assessed) {
		at := e.Time
		if before, ok := i.Sealed(b.Model); ok && !b.Sealed {
			b.Sealed, b.Root, at = true, before.Root, before.At // what is sealed stays sealed
		}
		i.Assessed[b.Model] = AssessedAt{b, at}
		i.ask(EvidenceGate, b.Model, e)
	}),
	KindRefused: with(func(i *Incident, _ evidence.Entry, b Refused) { i.Refusals = append(i.Refusals, b) }),
	KindWaived: with(func(i *Incident, e evidence.Entry, b Waived) {
		i.Waivers = append(i.Waivers, WaivedAt{b, e.Seq, e.Time, e.Actor})
		i.use(b.Rests)
	}),
	KindTask: with(func(i *Incident, e evidence.Entry, b Task) {
		i.Tasks = append(i.Tasks, TaskState{Task: b, OpenedAt: e.Time})
		i.ask(GateSecrets, "", e)
	}),
	KindTaskDone: with(func(i *Incident, e evidence.Entry, b TaskDone) {
		for n := range i.Tasks {
			if i.Tasks[n].ID == b.ID && i.Tasks[n].DoneAt.IsZero() {
				i.Tasks[n].DoneAt = e.Time
			}
		}
	}),
	KindMessage: with(func(i *Incident, e evidence.Entry, b Message) {
		i.Messages = append(i.Messages, RenderedMessage{b, e.Time})
		i.ask(GateComms, "", e)
	}),
	KindMessageApproved: with(func(i *Incident, e evidence.Entry, b MessageApproved) {
		i.Approved = append(i.Approved, ApprovedMessage{b, e.Time})
	}),
	KindMessageSent: with(func(i *Incident, e evidence.Entry, b MessageSent) {
		i.Sent = append(i.Sent, SentMessage{b, e.Time, e.Actor})
	}),
	KindMessageAcknowledged: with(func(i *Incident, e evidence.Entry, b MessageAcknowledged) {
		i.Acknowledged = append(i.Acknowledged, AcknowledgedMessage{b, e.Time})
	}),
	KindClosed: with(func(i *Incident, e evidence.Entry, b Closed) {
		i.ClosedAt, i.Resolution = e.Time, b.Resolution
		i.use(b.Rests)
		i.changed(e)
	}),

	KindCustody: with(foldCustody),
	KindHold:    with(foldHold),
	KindStamped: with(foldStamped),
	KindScope:   with(foldScope),

	KindPeople: with(foldPeople), KindRequested: with(foldRequested), KindApproval: with(foldApproval), KindBreakGlass: with(foldBreakGlass),
	KindReverted: with(foldReverted), KindClock: with(foldClock), KindAutomatic: with(foldAutomatic),
	KindSettled: with(func(i *Incident, e evidence.Entry, b Settled) {
		onPlan(i, b.Plan, func(p *PlanState) { p.SettledAt = e.Time })
	}),

	KindPlanned: with(foldPlan),
	KindApproved: with(func(i *Incident, _ evidence.Entry, b Approved) {
		onPlan(i, b.Plan, func(p *PlanState) { p.Approval = &b })
		i.use(b.Rests)
	}),
	KindIntent: with(func(i *Incident, e evidence.Entry, b StepIntent) {
		i.onStep(b.Plan, b.Step, func(_ *PlanState, s *StepState) { s.Status, s.IntendedAt = StepIntended, e.Time })
		i.changed(e)
	}),
	KindExecuted: with(func(i *Incident, _ evidence.Entry, b StepExecuted) {
		i.onStep(b.Plan, b.Step, func(_ *PlanState, s *StepState) { s.Status, s.Error = StepReturned, b.Error })
	}),
	KindObserved: with(foldObserved),
}

// with reads an entry's body before it is folded.
func with[T any](fold func(*Incident, evidence.Entry, T)) func(evidence.Entry) reading {
	return func(e evidence.Entry) reading {
		var body T
		if err := e.Decode(&body); err != nil {
			return reading{err: err}
		}
		return reading{tell: func(i *Incident) { fold(i, e, body) }}
	}
}

func foldPlan(i *Incident, e evidence.Entry, p action.Plan) {
	state := PlanState{
		Hash: p.Hash(), Action: p.Action, Model: p.Model, Target: p.Target, Observed: p.Observed,
		Remarks: p.Remarks, MadeAt: e.Time, MadeBy: e.Actor, Steps: []StepState{},
	}
	for _, s := range p.Steps {
		state.Steps = append(state.Steps, StepState{Step: s, Status: StepPlanned})
	}
	i.Plans = append(i.Plans, state)
	i.ask(GateLimits, "", e)
	i.changed(e)
}

func foldObserved(i *Incident, e evidence.Entry, b StepObserved) {
	i.onStep(b.Plan, b.Step, func(p *PlanState, s *StepState) {
		before := p.Finished()
		s.Observation = b.Observation
		s.Status = StepFailed
		if b.Outcome == action.Done {
			s.Status, s.Error = StepDone, ""
			i.undone(s.Step)
		}
		if p.Finished() && !before { // a later look at it does not end it again
			p.EndedAt = e.Time
		}
	})
}

// undone marks the step that inverse takes back, and every other whose inverse
// is the same: a later plan finds done what an earlier one did, and one inverse
// takes it from both.
func (i *Incident) undone(inverse action.Step) {
	if inverse.Undoes == "" {
		return
	}
	for n := range i.Plans {
		for m := range i.Plans[n].Steps {
			s := &i.Plans[n].Steps[m]
			if inverse.Undoes == StepRef(i.Plans[n].Hash, s.ID) || s.Status == StepDone && s.Inverse != nil && sameEffect(*s.Inverse, inverse) {
				s.Status = StepUndone
			}
		}
	}
}

func sameEffect(a, b action.Step) bool {
	return a.Driver == b.Driver && a.Kind == b.Kind && a.Target == b.Target && bytes.Equal(a.Params, b.Params)
}

// StepRef names a step among all plans of an incident.
func StepRef(plan artifact.Digest, step string) string { return plan.Hex() + "/" + step }

func onPlan(i *Incident, hash artifact.Digest, do func(*PlanState)) {
	if p := i.Plan(hash); p != nil {
		do(p)
	}
}

func (i *Incident) onStep(plan artifact.Digest, step string, do func(*PlanState, *StepState)) {
	onPlan(i, plan, func(p *PlanState) {
		for n := range p.Steps {
			if p.Steps[n].ID == step {
				do(p, &p.Steps[n])
			}
		}
	})
}

// settle derives the state from what was observed of the plans: of those that
// still stand, the one that ended last decides, whenever it was made.
func (i *Incident) settle() {
	var last time.Time
	for _, p := range i.Plans {
		to, moves := reached[p.Action]
		if moves && p.Stands() && !p.EndedAt.Before(last) {
			i.State, last = to, p.EndedAt
		}
	}
	if !i.ClosedAt.IsZero() {
		i.State = Done
	}
}

// reached is the state after a finished plan of the action.
var reached = map[action.Name]State{action.Isolate: Contained, action.Rollback: Recovered}

// MovedAt returns when the plan of the action that ended last, and still
// stands, ended, or the zero time.
func (i *Incident) MovedAt(a action.Name) (at time.Time) {
	for _, p := range i.Plans {
		if p.Action == a && p.Stands() && p.EndedAt.After(at) {
			at = p.EndedAt
		}
	}
	return at
}
