// Package playbook holds the order of immediate response once a deployed
// model is found tampered with: the steps, what each must wait for, and why.
// It is data, built in and replaceable.
//
// It says what may be done next; it does nothing itself, and does not decide
// whether a gate is passed.
package playbook

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/atlas"
)

// Kind says what a step is, and with it how the record shows that it is done.
type Kind string

// The kinds of step. A Manual step leaves no trace of its own: it is done when
// somebody states the fact step_ID.
const (
	Record      Kind = "record"
	Triage      Kind = "triage"
	Declare     Kind = "declare"
	Freeze      Kind = "freeze"
	CutTraffic  Kind = "cut_traffic"
	Quarantine  Kind = "quarantine"
	Preserve    Kind = "preserve"
	BlastRadius Kind = "blast_radius"
	Notify      Kind = "notify"
	Rotate      Kind = "rotate"
	Select      Kind = "select_target"
	Restore     Kind = "restore"
	RootCause   Kind = "root_cause"
	Monitor     Kind = "monitor"
	Review      Kind = "review"
	Manual      Kind = "manual"
)

// Kinds returns every kind of step.
func Kinds() []Kind {
	return []Kind{
		Record, Triage, Declare, Freeze, CutTraffic, Quarantine, Preserve, BlastRadius, Notify, Rotate, Select,
		Restore, RootCause, Monitor, Review, Manual,
	}
}

// Step is one step of the response.
type Step struct {
	// Number is the place of the step, from 0.
	Number int    `json:"number" yaml:"-"`
	ID     string `json:"id" yaml:"id"`
	Kind   Kind   `json:"kind" yaml:"kind"`
	Title  string `json:"title" yaml:"title"`
	// Reason says why the step stands where it stands.
	Reason string `json:"reason" yaml:"reason"`
	// After lists the ids of steps that must have come before.
	After []string `json:"after" yaml:"after,flow"`
	// Parallel lists the ids of steps that may run at the same time.
	Parallel []string `json:"parallel" yaml:"parallel,flow"`
	// CSF lists subcategories of the NIST Cybersecurity Framework 2.0.
	CSF []string `json:"csf" yaml:"csf,flow"`
	// Atlas lists the techniques of MITRE ATLAS that the step answers.
	Atlas []string `json:"atlas" yaml:"atlas,flow"`
	// Activity is the step's name in the vocabulary of CACAO 2.0.
	Activity string `json:"activity" yaml:"activity"`
	// Gates lists the ids of gates that guard the step.
	Gates []string `json:"gates,omitempty" yaml:"gates,flow,omitempty"`
	// Commands are what this program does of the step.
	Commands []string `json:"commands" yaml:"commands,omitempty"`
	// People is what people do of it.
	People string `json:"people,omitempty" yaml:"people,omitempty"`
}

// Gate is a condition without which a step is refused.
type Gate struct {
	ID   string `json:"id" yaml:"id"`
	Rule string `json:"rule" yaml:"rule"`
}

// Playbook is the ordered response.
type Playbook struct {
	Name        string `json:"name" yaml:"name"`
	Description string `json:"description" yaml:"description"`
	// Created and Modified are times of the form 2026-11-01T00:00:00Z.
	Created  string `json:"created" yaml:"created"`
	Modified string `json:"modified" yaml:"modified"`
	Steps    []Step `json:"steps" yaml:"steps"`
	Gates    []Gate `json:"gates" yaml:"gates"`
}

// Step returns the step with the id.
func (p Playbook) Step(id string) (Step, bool) {
	i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.ID == id })
	if i < 0 {
		return Step{}, false
	}
	return p.Steps[i], true
}

// ofKind returns the ids of the steps of the kinds.
func (p Playbook) ofKind(kinds ...Kind) []string {
	ids := []string{}
	for _, s := range p.Steps {
		if slices.Contains(kinds, s.Kind) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// problem is something wrong with a step, or with -1 with the whole.
type problem struct {
	step int
	text string
}

// Validate reports every fault of the playbook: ids given twice, numbers out
// of order, kinds and techniques that do not exist, steps and gates that are
// named and do not exist, steps that wait for each other, and steps that are
// to run in parallel although one waits for the other.
func (p Playbook) Validate() error {
	var errs []error
	for _, wrong := range p.problems() {
		errs = append(errs, errors.New(wrong.text))
	}
	return errors.Join(errs...)
}

func (p Playbook) problems() []problem {
	var out []problem
	wrong := func(step int, format string, args ...any) {
		out = append(out, problem{step, fmt.Sprintf(format, args...)})
	}
	if len(p.Steps) == 0 {
		wrong(-1, "playbook has no steps")
	}
	seen := map[string]bool{}
	for n, s := range p.Steps {
		if artifact.CheckID(s.ID) != nil || seen[s.ID] {
			wrong(n, "step %d: id %.80q is not valid or given twice", s.Number, s.ID)
		}
		if s.Number != n {
			wrong(n, "step %.80q: has number %d at place %d", s.ID, s.Number, n)
		}
		seen[s.ID] = true
		p.checkNames(s, func(format string, args ...any) { wrong(n, format, args...) })
	}
	if len(out) == 0 {
		for n, s := range p.Steps {
			p.checkOrder(s, func(format string, args ...any) { wrong(n, format, args...) })
		}
	}
	return out
}

func (p Playbook) checkNames(s Step, wrong func(format string, args ...any)) {
	if !slices.Contains(Kinds(), cmp.Or(s.Kind, Manual)) {
		wrong("step %.80q: no kind %.80q", s.ID, s.Kind)
	}
	for _, id := range slices.Concat(s.After, s.Parallel) {
		if _, ok := p.Step(id); !ok {
			wrong("step %.80q: names step %.80q, which does not exist", s.ID, id)
		}
	}
	for _, id := range s.Gates {
		if !slices.ContainsFunc(p.Gates, func(g Gate) bool { return g.ID == id }) {
			wrong("step %.80q: names gate %.80q, which does not exist", s.ID, id)
		}
	}
	for _, id := range s.Atlas {
		if _, ok := atlas.Lookup(id); !ok {
			wrong("step %.80q: names technique %.80q, which MITRE ATLAS does not have", s.ID, id)
		}
	}
}

func (p Playbook) checkOrder(s Step, wrong func(format string, args ...any)) {
	before := p.before(s.ID)
	if before[s.ID] {
		wrong("step %s: waits for itself, through %s", s.ID, strings.Join(s.After, ", "))
	}
	for _, id := range s.Parallel {
		if before[id] || p.before(id)[s.ID] {
			wrong("step %s: cannot run in parallel with %s: one waits for the other", s.ID, id)
		}
	}
}

// before returns every step that the one with the id waits for, directly or
// not.
func (p Playbook) before(id string) map[string]bool {
	out := map[string]bool{}
	queue := []string{id}
	for len(queue) > 0 {
		s, _ := p.Step(queue[0])
		queue = queue[1:]
		for _, after := range s.After {
			if !out[after] {
				out[after] = true
				queue = append(queue, after)
			}
		}
	}
	return out
}
