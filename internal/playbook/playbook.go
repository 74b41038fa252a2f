// Package playbook holds the order of immediate response once a deployed
// model is found tampered with: the steps, what each must wait for, and why.
//
// It says what may be done next; it does nothing itself, and does not decide
// whether a gate is passed.
package playbook

import (
	"errors"
	"fmt"
	"slices"
)

// Step is one step of the response.
type Step struct {
	Number int    `json:"number"`
	ID     string `json:"id"`
	Title  string `json:"title"`
	// After lists the ids of steps that must have come before.
	After []string `json:"after"`
	// Reason says why the step stands where it stands.
	Reason string `json:"reason"`
	// Parallel lists the ids of steps that may run at the same time.
	Parallel []string `json:"parallel"`
	// CSF lists subcategories of the NIST Cybersecurity Framework 2.0.
	CSF []string `json:"csf"`
	// Gates lists the ids of gates that guard the step; see [Gates].
	Gates []string `json:"gates,omitempty"`
	// Commands are what this program does of the step.
	Commands []string `json:"commands"`
	// People is what people do of it.
	People string `json:"people,omitempty"`
}

// Gate is a condition without which a step is refused.
type Gate struct {
	ID   string `json:"id"`
	Rule string `json:"rule"`
}

// Playbook is the ordered response.
type Playbook struct {
	Name  string `json:"name"`
	Steps []Step `json:"steps"`
	Gates []Gate `json:"gates"`
}

// Default returns the built-in playbook.
func Default() Playbook {
	return Playbook{Name: "tampered-model", Steps: steps(), Gates: gates()}
}

// Step returns the step with the id.
func (p Playbook) Step(id string) (Step, bool) {
	i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.ID == id })
	if i < 0 {
		return Step{}, false
	}
	return p.Steps[i], true
}

// Validate reports every fault of the playbook: ids given twice, numbers out
// of order, steps and gates that are named and do not exist, steps that wait
// for each other, and steps that are to run in parallel although one waits for
// the other.
func (p Playbook) Validate() error {
	var errs []error
	seen := map[string]bool{}
	for n, s := range p.Steps {
		if s.ID == "" || seen[s.ID] {
			errs = append(errs, fmt.Errorf("step %d: id %q is empty or given twice", s.Number, s.ID))
		}
		if s.Number != n {
			errs = append(errs, fmt.Errorf("step %s: has number %d at place %d", s.ID, s.Number, n))
		}
		seen[s.ID] = true
		errs = append(errs, p.checkNames(s)...)
	}
	if len(errs) == 0 {
		errs = append(errs, p.checkOrder()...)
	}
	return errors.Join(errs...)
}

func (p Playbook) checkNames(s Step) (errs []error) {
	for _, id := range slices.Concat(s.After, s.Parallel) {
		if _, ok := p.Step(id); !ok {
			errs = append(errs, fmt.Errorf("step %s: names step %q, which does not exist", s.ID, id))
		}
	}
	for _, id := range s.Gates {
		if !slices.ContainsFunc(p.Gates, func(g Gate) bool { return g.ID == id }) {
			errs = append(errs, fmt.Errorf("step %s: names gate %q, which does not exist", s.ID, id))
		}
	}
	return errs
}

func (p Playbook) checkOrder() (errs []error) {
	for _, s := range p.Steps {
		before := p.before(s.ID)
		if before[s.ID] {
			errs = append(errs, fmt.Errorf("step %s: waits for itself", s.ID))
		}
		for _, id := range s.Parallel {
			if before[id] || p.before(id)[s.ID] {
				errs = append(errs, fmt.Errorf("step %s: cannot run in parallel with %s: one waits for the other", s.ID, id))
			}
		}
	}
	return errs
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
