package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/atlas"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/playbook"
)

// Clause is one place in a framework that the case has to do with.
type Clause struct {
	// Framework is "NIST CSF 2.0" or "MITRE ATLAS".
	Framework string `json:"framework"`
	ID        string `json:"id"`
	Name      string `json:"name"`
	// State is "done" or "open" for what the response has to do, and
	// "observed" for what the attacker did.
	State string `json:"state"`
	// From names the steps or findings that it follows from.
	From []string `json:"from"`
}

const (
	csf      = "NIST CSF 2.0"
	observed = "observed"
)

// csfNames are the subcategories of NIST CSF 2.0 that the playbook refers to,
// in our words.
var csfNames = map[string]string{
	"DE.AE-02": "Adverse events are analysed", "DE.AE-06": "Information on adverse events reaches those who act on it",
	"DE.AE-08": "Incidents are declared by criteria", "ID.IM": "Improvement",
	"RS.MA-01": "The response plan is carried out", "RS.MA-02": "Reports are triaged and validated", "RS.MA-03": "Incidents are categorised and prioritised",
	"RS.AN-03": "What happened, and the root cause, is established", "RS.AN-06": "Actions of the investigation are recorded, with integrity",
	"RS.AN-07": "Data of the incident are collected, with integrity", "RS.AN-08": "The magnitude is estimated and validated",
	"RS.CO-02": "Stakeholders are notified", "RS.CO-03": "Information is shared with stakeholders",
	"RS.MI-01": "Incidents are contained", "RS.MI-02": "Incidents are eradicated",
	"RC.RP-02": "Recovery actions are selected and performed", "RC.RP-03": "What is restored from is verified before use",
	"RC.RP-05": "What was restored is verified", "RC.RP-06": "The end of recovery is declared", "RC.CO-04": "Public updates are shared",
}

// clauses orders by framework and id.
func clauses(c Case, standings []playbook.Standing) []Clause {
	found := map[string]*Clause{}
	add := func(framework, id, name, state, from string) {
		clause, ok := found[framework+id]
		if !ok {
			clause = &Clause{framework, id, name, state, nil}
			found[framework+id] = clause
		}
		if state == "open" {
			clause.State = state // one open step leaves the whole open
		}
		clause.From = append(clause.From, from)
	}
	for _, s := range standings {
		state := "open"
		if s.Status == playbook.Done {
			state = "done"
		}
		for _, id := range s.CSF {
			add(csf, id, cmp.Or(csfNames[id], "not in our table"), state, "step "+s.ID)
		}
	}
	for _, f := range c.Findings {
		for _, id := range f.Atlas {
			add(atlasName, id, techniqueName(id), observed, f.Type+": "+cmp.Or(f.File, f.Source))
		}
	}
	out := []Clause{}
	for _, clause := range found {
		clause.From = bounded(clause.From)
		out = append(out, *clause)
	}
	slices.SortFunc(out, func(a, b Clause) int {
		return cmp.Or(cmp.Compare(b.Framework, a.Framework), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func techniqueName(id string) string {
	if t, ok := atlas.Lookup(id); ok {
		return t.Name
	}
	return "not in our table"
}

// Deviation is something that did not go by the rules, or a decision that
// somebody has to answer for.
type Deviation struct {
	Kind   string `json:"kind"`
	Where  string `json:"where"`
	Detail string `json:"detail"`
}

// pastGates returns what was done past gates, without people, and against what
// was done.
func pastGates(c Case) (out []Deviation) {
	for _, b := range c.BrokenGlass {
		out = append(out, Deviation{"BREAK GLASS past gate " + strings.Join(b.Gates, ", "), b.Action, b.Reason + ", by " + b.By})
	}
	for _, a := range c.Automatic {
		out = append(out, Deviation{"automatic containment", a.Model, "policy " + a.Policy + ": " + a.Because})
	}
	for _, r := range c.Reverts {
		out = append(out, Deviation{"taken back by somebody else", r.Step, r.Detail})
	}
	for _, j := range c.ClockJumps {
		out = append(out, Deviation{"clock set", j.Since, fmt.Sprintf("by %.1f s", j.Jump)})
	}
	return out
}

func deviations(c Case) []Deviation {
	out := []Deviation{}
	add := func(kind, where, detail string) { out = append(out, Deviation{kind, where, detail}) }
	for _, a := range c.SelfApprovals {
		add("self-approval", string(a.Action), a.By+" approved the plan that they asked for")
	}
	for _, r := range c.Refusals {
		add("refused by gate "+r.Gate, r.Action, r.Reason)
	}
	for _, w := range c.Waivers {
		add("waiver of gate "+w.Gate, w.Model, w.Reason+", by "+w.By)
	}
	out = append(out, pastGates(c)...)
	for _, d := range c.Deadlines {
		switch {
		case d.State == clock.NotApplicable && d.By != "the record":
			add("deadline not applicable", d.ID, d.Reason+", by "+d.By)
		case d.LateBy > 0 && d.SentAt.IsZero():
			add("deadline overdue", d.ID, "by "+(time.Duration(d.LateBy)*time.Second).String()+" at the newest entry")
		case d.LateBy > 0:
			add("message late", d.ID, "by "+(time.Duration(d.LateBy)*time.Second).String())
		}
		for n, r := range d.Rounds {
			if r.LateBy > 0 {
				add("message late", fmt.Sprintf("%s, number %d", d.ID, n+1), "by "+(time.Duration(r.LateBy)*time.Second).String())
			}
		}
	}
	for _, u := range c.Unknown {
		add("entry not understood", u, "written by a newer program")
	}
	return out
}
