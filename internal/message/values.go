package message

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// values answers for the fields of one message.
type values struct {
	inc *incident.Incident
	Input
}

func (v values) get(name string) string {
	if s, ok := v.Overrides[name]; ok {
		return free(s)
	}
	if f, ok := v.inc.Facts[name]; ok {
		return free(f.Value)
	}
	if derive, ok := fields[name]; ok {
		return derive(v)
	}
	return ""
}

// Fields returns the names of all fields that the record can answer for,
// sorted. Fields outside this list are filled by facts and overrides only.
func Fields() []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// fields derive values from the record; "" means that it does not know.
var fields = map[string]func(values) string{
	"incident_id":        func(v values) string { return v.inc.ID },
	"severity":           func(v values) string { return v.inc.Severity.String() },
	"incident_commander": func(v values) string { return flat(v.inc.Commander) },
	"affected_models":    values.models,
	"compromised_models": values.models,
	"affected_model_count": func(v values) string {
		if len(v.inc.Models) == 0 {
			return ""
		}
		return strconv.Itoa(len(v.inc.Models))
	},
	"brief_description": func(v values) string { return free(v.inc.Summary) },
	"impact_summary":    func(v values) string { return free(v.inc.Summary) },
	"detection_time":    func(v values) string { return stamp(v.detected()) },
	"detection_method":  func(v values) string { return flat(v.inc.Method) },
	"start_time":        values.start,
	"end_time":          func(v values) string { return stamp(v.ended()) },
	"total_duration":    values.duration,
	"elapsed_time":      values.elapsed,
	"exposure_window":   values.exposure,

	"status":              func(v values) string { return string(v.inc.State) },
	"containment_status":  values.containment,
	"containment_details": values.containmentDetails,
	"service_impact":      values.serviceImpact,
	"progress_summary":    values.progress,
	"remaining_actions":   func(v values) string { return numbered(v.actions()) },
	"action_1":            func(v values) string { return v.action(0) },
	"action_2":            func(v values) string { return v.action(1) },
	"update_frequency":    func(values) string { return "every 4 hours" },
	"update_number":       values.updateNumber,
	"next_update_time":    func(v values) string { return stamp(v.Now.Add(updateEvery)) },
	"detailed_timeline":   func(v values) string { return lines(v.Timeline) },
	"eta":                 values.restored,

	"exposure_period":          values.period,
	"message_date":             func(v values) string { return v.Now.Format(time.DateOnly) },
	"unknowns":                 values.unknowns,
	"customer_unknowns":        values.customerUnknowns,
	"deadlines":                func(v values) string { return lines(v.Deadlines) },
	"verification_evidence":    values.verification,
	"evidence_summary":         values.evidence,
	"indicators_of_compromise": values.compromise,
	"aware_time":               func(v values) string { return v.fact("aware_at") },
	"classified_time":          func(v values) string { return v.fact("classified_major_at") },
	"materiality_time":         func(v values) string { return v.fact("materiality_determined_at") },
}

func (v values) models() string { return flat(strings.Join(v.inc.Models, ", ")) }

// lines returns texts that somebody wrote, one in each line.
func lines(texts []string) string {
	out := make([]string, 0, len(texts))
	for _, t := range texts {
		out = append(out, flat(t))
	}
	return strings.Join(out, "\n")
}

// restored says when the service was restored. When it will be is for people
// to say.
func (v values) restored() string {
	at := v.inc.MovedAt(action.Rollback)
	if at.IsZero() {
		return ""
	}
	return "restored at " + stamp(at)
}

// start is when the incident began: the first bad time.
func (v values) start() string {
	at, source := v.inc.FirstBad()
	if at.IsZero() {
		return ""
	}
	return stamp(at) + " (" + flat(source) + ")"
}

// ended returns when the service was back, or the incident closed, or the
// zero time.
func (v values) ended() time.Time {
	if at := v.inc.MovedAt(action.Rollback); !at.IsZero() {
		return at
	}
	return v.inc.ClosedAt
}

func (v values) duration() string {
	start, _ := v.inc.FirstBad()
	end := v.ended()
	if start.IsZero() || end.Before(start) {
		return ""
	}
	return span(end.Sub(start))
}

func (v values) detected() time.Time {
	at, _ := v.inc.Detected()
	return at
}

func (v values) elapsed() string {
	if v.detected().IsZero() {
		return ""
	}
	return span(v.Now.Sub(v.detected()))
}

// exposure is the time in which the tampered model was served.
func (v values) exposure() string {
	start, source := v.inc.FirstBad()
	end := v.contained()
	switch {
	case start.IsZero():
		return ""
	case end.IsZero():
		return fmt.Sprintf("from %s (%s), not ended", stamp(start), flat(source))
	default:
		return fmt.Sprintf("from %s (%s) to %s, %s", stamp(start), flat(source), stamp(end), span(end.Sub(start)))
	}
}

// period is the time of exposure without how it is known.
func (v values) period() string {
	start, _ := v.inc.FirstBad()
	switch end := v.contained(); {
	case start.IsZero():
		return ""
	case end.IsZero():
		return "since " + stamp(start)
	default:
		return "from " + stamp(start) + " to " + stamp(end)
	}
}

// contained returns when the model was out of serving, or the zero time.
func (v values) contained() time.Time {
	return cmp.Or(v.inc.MovedAt(action.Isolate), v.inc.MovedAt(action.Rollback))
}

func (v values) containment() string {
	switch {
	case !v.inc.MovedAt(action.Rollback).IsZero():
		return "recovered: a verified version was put back at " + stamp(v.inc.MovedAt(action.Rollback))
	case !v.inc.MovedAt(action.Isolate).IsZero():
		return "contained: taken out of serving at " + stamp(v.inc.MovedAt(action.Isolate))
	case slices.ContainsFunc(v.inc.Plans, func(p incident.PlanState) bool { return p.Unfinished() }):
		return "not contained: a containment plan was started and is not finished"
	default:
		return "not contained"
	}
}

func (v values) containmentDetails() string {
	lines := []string{v.containment()}
	for _, p := range v.inc.Plans {
		if !p.Started() {
			continue
		}
		done := 0
		for _, s := range p.Steps {
			if s.Status == incident.StepDone {
				done++
			}
		}
		lines = append(lines, fmt.Sprintf("%s of model %s: %d of %d steps observed as done", p.Action, flat(p.Model), done, len(p.Steps)))
	}
	return strings.Join(lines, "\n")
}

// serviceImpact says what follows from containment for the service. Before
// that the record does not know what users notice.
func (v values) serviceImpact() string {
	switch v.inc.State {
	case incident.Recovered:
		return "a verified version is in place"
	case incident.Contained:
		return "the model is out of serving"
	default:
		return ""
	}
}

func (v values) progress() string {
	lines := []string{
		fmt.Sprintf("%d indicators, %d findings", len(v.inc.Indicators), len(v.inc.Findings)),
		fmt.Sprintf("Evidence: %d items sealed, %d could not be captured", len(v.inc.Evidence), len(v.inc.Gaps)),
		v.containment(),
	}
	if n := len(v.incomplete()); n > 0 {
		lines = append(lines, fmt.Sprintf("%d things could not be looked at", n))
	}
	return strings.Join(lines, "\n")
}

func (v values) incomplete() []indicator.Indicator {
	return slices.DeleteFunc(slices.Clone(v.inc.Indicators), func(i indicator.Indicator) bool {
		return i.Class() != indicator.Incomplete
	})
}

func (v values) updateNumber() string {
	n := 1
	for _, m := range v.inc.Sent {
		if m.Template == StakeholderUpdate {
			n++
		}
	}
	return strconv.Itoa(n)
}

// actions are what remains to be done: the next steps of the response, then
// the open tasks.
func (v values) actions() []string {
	var out []string
	isolated := !v.inc.MovedAt(action.Isolate).IsZero()
	recovered := !v.inc.MovedAt(action.Rollback).IsZero()
	for _, m := range v.inc.Models {
		if _, ok := v.inc.Sealed(m); !ok && !isolated {
			out = append(out, "Capture and seal the evidence of model "+flat(m))
		}
	}
	if !isolated && !recovered {
		out = append(out, "Take the model out of serving")
	}
	if !recovered {
		out = append(out, "Put back a version that verifies")
	}
	for _, t := range v.inc.OpenTasks() {
		out = append(out, flat(t.Text))
	}
	if len(v.inc.Inquiries) == 0 {
		out = append(out, "Investigate how the model was changed")
	}
	if v.inc.State != incident.Done {
		out = append(out, "Review and close the incident")
	}
	return out
}

func (v values) action(n int) string {
	if all := v.actions(); n < len(all) {
		return all[n]
	}
	return "none: all known actions are done"
}

func numbered(lines []string) string {
	if len(lines) == 0 {
		return "none known"
	}
	for i, l := range lines {
		lines[i] = fmt.Sprintf("%d. %s", i+1, l)
	}
	return strings.Join(lines, "\n")
}
