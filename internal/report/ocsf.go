package report

import (
	"io"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/atlas"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// The classes of OCSF that a case becomes, and the version that it keeps to.
const (
	ocsfVersion   = "1.5.0"
	ocsfDetection = 2004
	ocsfIncident  = 2005
	ocsfRemedy    = 7001
)

// WriteOCSF writes the case as OCSF events, one in each line: the incident,
// then what was found, then what was done.
func WriteOCSF(w io.Writer, c Case) error {
	events := []object{c.ocsfIncident()}
	for n := range c.Findings {
		events = append(events, c.ocsfFinding(n))
	}
	for _, p := range c.Plans {
		if p.Started() {
			events = append(events, c.ocsfPlan(p))
		}
	}
	for _, e := range events {
		if err := encode(w, e, ""); err != nil {
			return writing("OCSF events", err)
		}
	}
	return nil
}

// ocsf returns an event with what every event has.
func (c Case) ocsf(class, activity int, s finding.Severity, at time.Time, uid string) object {
	return object{
		"category_uid": class / 1000, "class_uid": class, "activity_id": activity, "type_uid": class*100 + activity,
		"severity_id": ocsfSeverity(s), "time": epoch(at),
		"metadata": object{
			"version": ocsfVersion, "uid": uid, "correlation_uid": phrase(c.IncidentID, "unknown"),
			"product": object{"name": product, "vendor_name": product},
		},
	}
}

// epoch is a time as OCSF counts it, in milliseconds.
func epoch(t time.Time) int64 { return max(0, t.UnixMilli()) }

func ocsfSeverity(s finding.Severity) int {
	switch s {
	case finding.Low:
		return 2
	case finding.Medium:
		return 3
	case finding.High:
		return 4
	case finding.Critical:
		return 5
	default:
		return 0
	}
}

func (c Case) ocsfIncident() object {
	activity, status := 1, 1 // created, new
	switch {
	case c.State == incident.Done:
		activity, status = 3, 5
	case c.State == incident.Recovered:
		activity, status = 2, 4
	case c.State == incident.Contained || len(c.Evidence)+len(c.Plans)+len(c.Inquiries) > 0:
		activity, status = 2, 2
	}
	e := c.ocsf(ocsfIncident, activity, c.Severity, c.when(), c.uid("incident"))
	e["status_id"], e["desc"] = status, c.title()
	e["start_time"] = epoch(c.began())
	if !c.ClosedAt.IsZero() {
		e["end_time"] = epoch(c.ClosedAt)
	}
	e["assignee"] = object{"name": phrase(c.Commander, "not named")}
	e["verdict_id"] = 2 // the incident was declared: true positive
	e["is_suspected_breach"] = true
	infos := make([]object, 0, len(c.Findings)+1)
	for n := range c.Findings {
		infos = append(infos, c.ocsfInfo(n))
	}
	if len(infos) == 0 {
		infos = append(infos, object{"uid": c.uid("incident"), "title": c.title()})
	}
	e["finding_info_list"] = infos
	if attacks := ocsfAttacks(c.techniques()); len(attacks) > 0 {
		e["attacks"] = attacks
	}
	return e
}

func (c Case) findingID(n int) string {
	f := c.Findings[n]
	return c.uid("finding", f.Origin, f.Type, f.Source, f.File, f.Description)
}

func (c Case) ocsfInfo(n int) object {
	f := c.Findings[n]
	info := object{
		"uid": c.findingID(n), "title": phrase(f.Description, "not described"), "types": []string{phrase(f.Type, "unnamed")},
		"analytic": object{"type_id": 1, "uid": phrase(f.Type, "unnamed"), "name": phrase(f.Type, "unnamed")},
	}
	if attacks := ocsfAttacks(f.Atlas); len(attacks) > 0 {
		info["attacks"] = attacks
	}
	return info
}

func (c Case) ocsfFinding(n int) object {
	f := c.Findings[n]
	e := c.ocsf(ocsfDetection, 1, f.Severity, c.began(), c.findingID(n))
	e["finding_info"] = c.ocsfInfo(n)
	e["status_id"], e["is_alert"] = 1, true
	if f.Source != "" {
		e["resources"] = []object{{"name": phrase(f.Source, "unnamed"), "type": "model"}}
	}
	evidence := object{}
	if f.File != "" {
		file := object{"name": phrase(f.File, "unnamed"), "path": phrase(f.File, "unnamed"), "type_id": 1}
		for _, b := range c.badFiles() {
			if b.model == f.Source && b.name == f.File {
				file["hashes"] = []object{{"algorithm_id": 3, "algorithm": "SHA-256", "value": b.sha256}}
			}
		}
		evidence["file"] = file
	}
	if f.Evidence != nil {
		evidence["data"] = object{"evidence": phrase(shown(f.Evidence), "none")}
	}
	if len(evidence) > 0 {
		e["evidences"] = []object{evidence}
	}
	return e
}

// ocsfAttacks names techniques of MITRE ATLAS in the form in which OCSF has
// those of ATT&CK and ATLAS.
func ocsfAttacks(ids []string) (attacks []object) {
	for _, id := range ids {
		t, ok := atlas.Lookup(id)
		if !ok {
			continue
		}
		a := object{"version": atlas.Version}
		name := object{"uid": t.ID, "name": t.Name, "src_url": t.URL()}
		if parent, _, below := strings.Cut(strings.TrimPrefix(id, "AML."), "."); below {
			a["sub_technique"] = name
			up, _ := atlas.Lookup("AML." + parent)
			a["technique"] = object{"uid": "AML." + parent, "name": phrase(up.Name, "AML."+parent)}
		} else {
			a["technique"] = name
		}
		attacks = append(attacks, a)
	}
	return attacks
}

// ocsfPlan is what was done, as it was observed.
func (c Case) ocsfPlan(p incident.PlanState) object {
	activity := map[action.Name]int{action.Isolate: 1, action.Rollback: 3}[p.Action]
	if activity == 0 {
		activity = 99
	}
	at := p.EndedAt
	if at.IsZero() {
		at = p.MadeAt
	}
	e := c.ocsf(ocsfRemedy, activity, c.Severity, at, c.uid("plan", p.Hash.Hex(), stamp(p.MadeAt)))
	e["command_uid"] = phrase(p.Hash.Hex(), "no hash")
	switch {
	case p.Finished():
		e["status_id"] = 1
	case p.Failed():
		e["status_id"] = 6
	default:
		e["status_id"] = 4
	}
	steps := make([]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		steps = append(steps, string(s.Status)+": "+phrase(s.Summary, s.ID))
	}
	e["message"] = phrase(string(p.Action)+" of model "+p.Model+": "+strings.Join(steps, "; "), "a plan")
	e["remediation"] = object{"desc": phrase(string(p.Action), "a plan")}
	tactic := map[int]string{1: "Isolate", 3: "Restore"}[activity]
	if tactic != "" {
		e["countermeasures"] = []object{{"d3f_tactic": object{"name": tactic, "uid": "d3f:" + tactic}}}
	}
	return e
}
