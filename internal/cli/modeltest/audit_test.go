//go:build linux

package modeltest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// audit is an independent reading of the record. It knows the rules of the
// response and the words of the entries, and calls nothing of the program: it
// says of every entry whether it may stand where it stands.
type audit struct {
	cases map[string]*incidentModel
	// denied is the deny-list, by value, with the incident that denied it.
	denied map[string]string
	// baseline is what was last made the baseline of the model, as written.
	baseline string
}

// incidentModel is what is known of one incident.
type incidentModel struct {
	id, commander string
	closed        bool
	held          bool
	firstBad      time.Time
	sealed        bool
	waived        bool
	items         map[string]bool // digests of sealed evidence
	plans         []*planModel
	notes         map[string]bool
}

// planModel is a plan and how far the record says it is.
type planModel struct {
	hash     string
	action   string
	target   string
	version  string
	approved bool
	steps    []*stepModel
	// before is the model as the exchange found it, baseline what held before.
	before   tree
	baseline string
	// tainted says that an outsider has had his hands in it since.
	tainted bool
}

type stepModel struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	Driver   string          `json:"driver"`
	Destroys bool            `json:"destroys"`
	Undoes   string          `json:"undoes"`
	Inverse  json.RawMessage `json:"inverse"`
	Params   json.RawMessage `json:"params"`
	status   string          // "", intended, returned, done, failed, undone
}

func (p *planModel) step(id string) *stepModel {
	for _, s := range p.steps {
		if s.ID == id {
			return s
		}
	}
	return nil
}

func (p *planModel) all(status string) bool {
	return !slices.ContainsFunc(p.steps, func(s *stepModel) bool { return s.status != status })
}

func (p *planModel) any(status ...string) bool {
	return slices.ContainsFunc(p.steps, func(s *stepModel) bool { return slices.Contains(status, s.status) })
}

// hanging reports whether nobody knows how a step of the plan ended.
func (p *planModel) hanging() bool { return p.any("intended", "returned") && !p.any("undone") }

// partial reports whether the plan came only part of its way, and was not
// taken back: its state is that of the plan before.
func (p *planModel) partial() bool {
	return p.hanging() || p.any("done") && !p.all("done") && !p.any("undone")
}

// row is an entry as it is stored.
type row struct {
	Log  string          `json:"log"`
	Seq  uint64          `json:"seq"`
	Time time.Time       `json:"time"`
	By   string          `json:"actor"`
	Kind string          `json:"kind"`
	Body json.RawMessage `json:"body"`
}

// moment is what an entry is judged by beside the record: the world at the
// beginning of the command that wrote it.
type moment struct {
	site *site
	tree tree
	// shared says that somebody else acted at the same time.
	shared bool
}

// entry says what is wrong with an entry at this place, or "".
func (a *audit) entry(r row, m moment) string {
	if r.Log == "host" {
		return a.host(r)
	}
	c := a.cases[r.Log]
	if c == nil {
		c = &incidentModel{id: r.Log, items: map[string]bool{}, notes: map[string]bool{}}
		a.cases[r.Log] = c
	}
	var b struct {
		Commander, Name, Value, Text, Gate, Model, Step, Outcome string
		SHA256                                                   string
		Sealed, On                                               bool
		Plan                                                     string          `json:"plan_hash"`
		Detected                                                 time.Time       `json:"detected_at"`
		Inverse                                                  json.RawMessage `json:"inverse"`
	}
	if err := json.Unmarshal(r.Body, &b); err != nil {
		return fmt.Sprintf("entry %d of %s cannot be read: %v", r.Seq, r.Log, err)
	}
	switch r.Kind {
	case "incident_opened":
		c.commander, c.firstBad = b.Commander, b.Detected
	case "fact_stated":
		return c.fact(b.Name, b.Value)
	case "note_written":
		c.notes[b.Text] = true
	case "evidence_sealed":
		c.items[b.SHA256] = true
	case "evidence_assessed":
		c.sealed, c.waived = c.sealed || b.Sealed, false
	case "evidence_hold":
		c.held = b.On
	case "gate_waived":
		c.waived = c.waived || b.Gate == "G2"
	case "incident_closed":
		c.closed = true
	case "plan_made":
		return c.planned(r, a.baseline)
	case "plan_approved":
		return c.approve(b.Plan)
	case "step_intended":
		return a.intended(c, b.Plan, b.Step, b.Inverse, m)
	case "step_executed":
		return c.executed(b.Plan, b.Step)
	case "step_observed":
		return c.observed(b.Plan, b.Step, b.Outcome)
	}
	return ""
}

// host follows the host's record of trust.
func (a *audit) host(r row) string {
	var b struct {
		Value    string
		Incident string `json:"incident_id"`
	}
	if err := json.Unmarshal(r.Body, &b); err != nil {
		return err.Error()
	}
	switch r.Kind {
	case "denied":
		a.denied[b.Value] = b.Incident
	case "denial_lifted":
		delete(a.denied, b.Value)
	case "baseline_set":
		a.baseline = string(r.Body)
	}
	return ""
}

func (c *incidentModel) fact(name, value string) string {
	switch name {
	case "commander":
		c.commander = value
	case "first_bad_at":
		at, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return "a fact that is no time: " + value
		}
		c.firstBad = at
	}
	return ""
}

// planned holds a new plan against the rule that one is finished or taken back
// before another begins.
func (c *incidentModel) planned(r row, baseline string) string {
	var p struct {
		Action, Target string
		Observed       map[string]string
		Steps          []*stepModel
	}
	if err := json.Unmarshal(r.Body, &p); err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(r.Body)
	made := &planModel{
		hash: hex.EncodeToString(sum[:]), action: p.Action, target: p.Target, version: filepath.Base(p.Observed["version"]), steps: p.Steps,
		baseline: baseline,
	}
	last := c.last()
	c.plans = append(c.plans, made)
	if p.Action != "undo" && last != nil && last.hanging() {
		return fmt.Sprintf("G9: a plan to %s begins while it is not known how a plan to %s ended", p.Action, last.action)
	}
	return ""
}

func (c *incidentModel) last() *planModel {
	if len(c.plans) == 0 {
		return nil
	}
	return c.plans[len(c.plans)-1]
}

func (c *incidentModel) plan(hash string) *planModel {
	for _, p := range slices.Backward(c.plans) {
		if p.hash == hash {
			return p
		}
	}
	return nil
}

func (c *incidentModel) approve(hash string) string {
	p := c.plan(hash)
	if p == nil {
		return "G6: an approval of a plan that is not in the record: " + hash
	}
	p.approved = true
	return ""
}

// intended is where every gate stands: behind it the world changes.
func (a *audit) intended(c *incidentModel, hash, id string, inverse json.RawMessage, m moment) string {
	p := c.plan(hash)
	if p == nil || p.step(id) == nil {
		return "G6: a step of a plan that is not in the record is taken: " + id
	}
	s := p.step(id)
	switch {
	case c.closed:
		return "G1: a step is taken in a closed incident: " + id
	case c.commander == "":
		return "G1: a step is taken and nobody commands: " + id
	case !p.approved:
		return "G6: a step of a plan that nobody approved is taken: " + id
	case s.Destroys && !c.sealed && !c.waived:
		return "G2: a step that ends something is taken before the evidence was sealed: " + id
	case len(s.Inverse) > 0 && !sameJSON(s.Inverse, inverse):
		return "G10: the inverse of a step is not in the record before it is taken: " + id
	case s.status == "done" || s.status == "undone":
		return "a step is taken again that was done: " + id
	}
	for _, earlier := range p.steps {
		if earlier == s {
			break
		}
		if earlier.status != "done" {
			return fmt.Sprintf("step %s is taken before step %s is done", id, earlier.ID)
		}
	}
	if why := a.mayRestore(c, p, s, m); why != "" {
		return why
	}
	if s.Kind == "exchange" {
		p.before, p.tainted = m.tree, m.shared
	}
	s.status = "intended"
	return ""
}

// mayRestore is the rule for what is put in place of a model.
func (a *audit) mayRestore(c *incidentModel, p *planModel, s *stepModel, m moment) string {
	if p.action != "rollback" || s.Kind != "exchange" || m.shared {
		return ""
	}
	v := m.site.versions[p.version]
	if v == nil {
		return "G4: a version is put in place that is none of the archive: " + p.version
	}
	if why := a.refused(v, c.firstBad); why != "" {
		return "G4: a version is put in place that may not be: " + p.version + " " + why
	}
	return ""
}

// refused says why a version may not be put in place, or "".
func (a *audit) refused(v *version, firstBad time.Time) string {
	_, signed := a.denied[v.root]
	_, installed := a.denied[v.installed]
	switch {
	case !v.signed:
		return "was not signed by anybody who is trusted"
	case signed || installed:
		return "is on the deny-list"
	case !v.since.Before(firstBad):
		return "is newer than the first bad moment"
	}
	return ""
}

func (c *incidentModel) executed(hash, id string) string {
	p := c.plan(hash)
	if p == nil || p.step(id) == nil || p.step(id).status != "intended" {
		return "a step has returned that nobody said would be taken: " + id
	}
	p.step(id).status = "returned"
	return ""
}

func (c *incidentModel) observed(hash, id, outcome string) string {
	p := c.plan(hash)
	if p == nil || p.step(id) == nil {
		return "a step was observed that is in no plan: " + id
	}
	s := p.step(id)
	s.status = map[string]string{"done": "done"}[outcome]
	if s.status == "" {
		s.status = "failed"
		return ""
	}
	for _, q := range c.plans {
		for _, t := range q.steps {
			if s.Undoes == q.hash+"/"+t.ID {
				t.status = "undone"
			}
		}
	}
	return ""
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
