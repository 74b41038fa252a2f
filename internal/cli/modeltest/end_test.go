//go:build linux

package modeltest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
)

var background = context.Background()

// end checks what has to hold when all is over: nothing that was acknowledged
// is lost, the chain verifies, what was begun can be continued, what the fold
// says is what the world shows, and the way out of the incident is open.
func (s *story) end() error {
	if err := s.intact(); err != nil {
		return err
	}
	for note, id := range s.acknowledged {
		if !s.audit.cases[id].notes[note] {
			return wrong("the note %q was acknowledged and is not in the record", note)
		}
	}
	for _, id := range slices.Clone(s.incidents) {
		if err := s.resumes(id); err != nil {
			return err
		}
	}
	if err := s.folds(); err != nil || !s.tellsAll {
		return err
	}
	return s.recovers()
}

// run makes a move of the end, where nothing goes wrong any more.
func (s *story) run(m move) (result, error) {
	m.By = "ana@host"
	before, err := look(s.path("models"))
	if err != nil {
		return result{}, err
	}
	r := s.here(m.By, blow{}, s.words(m)...)
	known := lengths(s.rows)
	if err := s.read(moment{site: s.site, tree: below(before, "m")}); err != nil {
		return r, err
	}
	after, err := look(s.path("models"))
	if err != nil {
		return r, err
	}
	return r, s.judge(m, []result{r}, known, before, after)
}

// resumes checks that an incident can be continued after whatever happened.
func (s *story) resumes(id string) error {
	c := s.audit.cases[id]
	if c.closed {
		return nil
	}
	r, err := s.run(move{Do: "resume", Case: slices.Index(s.incidents, id)})
	if err != nil {
		return err
	}
	if r.code != 0 && !s.excused(c) {
		return wrong("%s cannot be resumed: exit code %d: %s", id, r.code, r.errors)
	}
	last := c.last()
	if r.code == 0 && last != nil && last.approved && !last.all("done") && !last.any("undone") {
		return wrong("%s was resumed, and its plan to %s is not done", id, last.action)
	}
	s.figures.resumed.Add(1)
	return nil
}

// excused reports whether something outside the program keeps the last plan
// from being continued: an outsider, another incident, or the deny-list.
func (s *story) excused(c *incidentModel) bool {
	p := c.last()
	if p == nil {
		return false
	}
	for id, other := range s.audit.cases {
		if id != c.id && len(other.plans) > 0 {
			return true
		}
	}
	if v := s.versions[p.version]; p.action == "rollback" && (v == nil || v.broken || s.audit.refused(v, c.firstBad) != "") {
		return true
	}
	return p.tainted || s.tainted
}

// folds checks that the state that is shown is the state of the world.
func (s *story) folds() error {
	c := s.audit.cases[s.incidents[0]]
	if s.tainted || len(s.others(c)) > 0 || slices.ContainsFunc(c.plans, func(p *planModel) bool { return p.tainted || p.partial() }) {
		return nil
	}
	shown, err := s.state(0)
	if err != nil {
		return err
	}
	seen, err := s.seen(c)
	if err != nil {
		return err
	}
	s.figures.folded.Add(1)
	if !slices.Contains(seen, shown) {
		return wrong("the incident is shown as %s, and what is served says it is %v", shown, seen)
	}
	return nil
}

// others are the other incidents that have acted.
func (s *story) others(c *incidentModel) (out []*incidentModel) {
	for _, other := range s.audit.cases {
		if other != c && len(other.plans) > 0 {
			out = append(out, other)
		}
	}
	return out
}

func (s *story) state(n int) (string, error) {
	r, err := s.run(move{Do: "show", Case: n})
	if err != nil {
		return "", err
	}
	var shown struct{ State string }
	if err := json.Unmarshal([]byte(r.out), &shown); err != nil {
		return "", wrong("the incident cannot be shown: exit code %d: %s", r.code, r.errors)
	}
	return shown.State, nil
}

// seen says what the incident is, by what is served. A marker beside the model
// leaves two answers.
func (s *story) seen(c *incidentModel) ([]string, error) {
	if c.closed {
		return []string{"closed"}, nil
	}
	all, err := look(s.path("models"))
	if err != nil {
		return nil, err
	}
	var out []string
	served := below(all, "m")
	if _, marked := all["m.COMPROMISED.txt"]; marked || s.isMarker(served) {
		out = append(out, "contained")
	}
	restored := slices.ContainsFunc(c.plans, func(p *planModel) bool {
		v := s.versions[p.version]
		return p.action == "rollback" && v != nil && maps.Equal(v.files, served.contents()) && p.step("exchange").status == "done"
	})
	if restored {
		out = append(out, "recovered")
	}
	if len(out) == 0 {
		out = append(out, "open")
	}
	return out, nil
}

// recovers checks that from wherever the sequence ended, the ordinary way
// leads to a model that verifies, where there is one to go back to.
func (s *story) recovers() error {
	n, c, err := s.living()
	if err != nil {
		return err
	}
	for value := range maps.Clone(s.audit.denied) {
		for name, v := range s.versions {
			if value == v.root || value == v.installed {
				s.here("ana@host", blow{}, "deny", "remove", "root", value, "--reason", "the end")
				if err := s.read(moment{site: s.site}); err != nil {
					return err
				}
				_ = name
			}
		}
	}
	if _, err := s.run(move{Do: "bad at", Arg: begin.Format("2006-01-02T15:04:05Z"), Case: n}); err != nil {
		return err
	}
	if _, err := s.run(move{Do: "resume", Case: n}); err != nil {
		return err
	}
	if err := s.preserves(n, c); err != nil {
		return err
	}
	r, err := s.run(move{Do: "rollback", Case: n})
	if err != nil {
		return err
	}
	possible := slices.ContainsFunc([]string{"m-v1", "m-v2"}, func(name string) bool {
		return !s.versions[name].broken && s.audit.refused(s.versions[name], c.firstBad) == ""
	})
	switch {
	case r.code == 5 && !possible && c.refusedBy("G4", s):
		s.figures.stuck.Add(1)
		return nil
	case r.code != 0 || !possible:
		return wrong("rolling back at the end (possible: %t): exit code %d: %s", possible, r.code, r.errors)
	}
	served, err := look(s.serving())
	if err != nil {
		return err
	}
	v := s.versions[c.last().version]
	if v == nil || !maps.Equal(v.files, served.contents()) {
		return wrong("after rolling back to %s it is not what is served", c.last().version)
	}
	if shown, err := s.state(n); err != nil || shown != "recovered" {
		return wrong("after rolling back the incident is shown as %s (%v)", shown, err)
	}
	s.figures.recovered.Add(1)
	return s.intact()
}

// living returns an incident that is not closed, the first or a new one.
func (s *story) living() (int, *incidentModel, error) {
	for n, id := range s.incidents {
		if c := s.audit.cases[id]; !c.closed {
			return n, c, nil
		}
	}
	r, err := s.run(move{Do: "open"})
	if err != nil || r.code != 0 {
		return 0, nil, wrong("no other incident can be opened: exit code %d: %s (%v)", r.code, r.errors, err)
	}
	n := len(s.incidents) - 1
	return n, s.audit.cases[s.incidents[n]], nil
}

// preserves seals the evidence where it is not, or waives it.
func (s *story) preserves(n int, c *incidentModel) error {
	if c.sealed {
		return nil
	}
	r, err := s.run(move{Do: "assess", Case: n})
	if err != nil || r.code == 0 {
		return err
	}
	if r.code != 4 {
		return wrong("assessing at the end: exit code %d: %s", r.code, r.errors)
	}
	if r, err = s.run(move{Do: "waive", Case: n}); err != nil || r.code != 0 {
		return wrong("waiving at the end: exit code %d: %s (%v)", r.code, r.errors, err)
	}
	return nil
}

// refusedBy reports whether the last entry is the refusal of a gate.
func (c *incidentModel) refusedBy(gate string, s *story) bool {
	rows := s.rows[c.id]
	var r row
	var b struct{ Gate string }
	return json.Unmarshal(rows[len(rows)-1].Raw, &r) == nil && r.Kind == "gate_refused" && json.Unmarshal(r.Body, &b) == nil && b.Gate == gate
}
