package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Recommendation is what to do so that it does not happen again, or less
// badly.
type Recommendation struct {
	// ID stays the same over reports.
	ID   string `json:"id"`
	Text string `json:"text"`
	// From names what the recommendation derives from.
	From []string `json:"from"`
}

// maxFrom bounds how many grounds a recommendation names.
const maxFrom = 8

// recommend derives recommendations from the case, in a fixed order.
func recommend(c Case) []Recommendation {
	out := []Recommendation{}
	for _, r := range advice {
		if from := r.grounds(c); len(from) > 0 {
			out = append(out, Recommendation{r.id, r.text, bounded(from)})
		}
	}
	return out
}

func bounded(from []string) []string {
	slices.Sort(from)
	from = slices.Compact(from)
	if n := len(from); n > maxFrom {
		from = append(from[:maxFrom:maxFrom], fmt.Sprintf("and %d more", n-maxFrom))
	}
	return from
}

type advised struct {
	id, text string
	grounds  func(Case) []string
}

var advice = []advised{
	{
		"sign_models", "Sign every model where it is built, in CI, and accept only signed versions (trust.require_signed).",
		either(types("baseline_refused", "baseline_unverified"), words("unsigned", "no signature", "not signed")),
	},
	{
		"safe_formats", "Accept safetensors only: refuse models with pickle or executable content at the gate to production.",
		words("pickle", "executable", "shared object", "shared library", "python source", "python file"),
	},
	{
		"review_pipeline", "Review every other model that came through the same pipeline or storage, from the first bad time on.",
		either(types("model_file_tampered", "unexpected_model_file", "model_file_missing", "model_missing", "model_denied", "baseline_altered"), differences),
	},
	{
		"rotate_credentials", "Rotate the credentials that the pipeline and the inference hosts could reach, signing keys included.",
		either(logLines, words("cosign_key", "credential")),
	},
	{
		"protect_logs", "Send pipeline logs to where the pipeline cannot change them, and raise an alert when they stop.",
		types(logNotSearched),
	},
	{
		"pin_dependencies", "Pin Python dependencies by hash and install them with --require-hashes.",
		types("dependency_missing", "dependency_changed", "dependency_unreadable"),
	},
	{
		"compare_behaviour", "Compare the behaviour of the restored version with the reference before traffic returns.",
		types("behavior_drift"),
	},
	{
		"establish_baseline", "Establish a baseline that a signature vouches for: the present one is whatever was there first.",
		types("baseline_unverified"),
	},
	{
		"look_again", "Make readable what could not be looked at and check again: it is not known to be clean.",
		either(types(
			"model_unreadable", "model_file_unreadable", "model_file_unstable", "model_link_escapes", "behavior_unreadable",
			"behavior_insufficient", "dependency_unreadable", "check_failed",
		), unread),
	},
	{
		"capture_more", "Prepare for capturing what was missing this time: rights, space, tools.",
		gaps,
	},
	{
		"second_approver", "Name a second person who approves containment and recovery (approvals:).",
		selfApproved,
	},
}

// The rules of package hunt, which this package does not import: the record
// holds their findings by id.
const (
	logRules       = "WW-HUNT-"
	logNotSearched = "WW-HUNT-000"
)

// types returns the findings of the given types.
func types(names ...string) func(Case) []string {
	return matching(func(f Finding) bool { return slices.Contains(names, f.Type) })
}

// words returns the findings of the investigation whose type or description
// holds one of words, given in lower case.
func words(words ...string) func(Case) []string {
	return matching(func(f Finding) bool {
		text := strings.ToLower(f.Type + " " + f.Description)
		return f.Origin == ofInvestigations && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	})
}

// logLines returns the suspicious lines of logs.
func logLines(c Case) []string {
	return matching(func(f Finding) bool {
		return strings.HasPrefix(f.Type, logRules) && f.Type != logNotSearched
	})(c)
}

func matching(match func(Finding) bool) func(Case) []string {
	return func(c Case) (from []string) {
		for _, f := range c.Findings {
			if match(f) {
				from = append(from, f.Type+": "+cmp.Or(f.File, f.Source))
			}
		}
		return from
	}
}

func either(grounds ...func(Case) []string) func(Case) []string {
	return func(c Case) (from []string) {
		for _, g := range grounds {
			from = append(from, g(c)...)
		}
		return from
	}
}

// differences returns the comparisons that found one.
func differences(c Case) (from []string) {
	for _, q := range c.Inquiries {
		if d := q.Comparison; d != nil && len(d.Modified)+len(d.OnlyInCompromised)+len(d.OnlyInReference) > 0 {
			from = append(from, "comparison: "+q.Model)
		}
	}
	return from
}

func unread(c Case) (from []string) {
	for _, q := range c.Inquiries {
		for _, path := range q.Unread {
			from = append(from, "not read: "+path)
		}
	}
	return from
}

func gaps(c Case) (from []string) {
	for _, g := range c.Gaps {
		from = append(from, "evidence missing: "+g.Type+" "+g.Name)
	}
	return from
}

func selfApproved(c Case) (from []string) {
	for _, a := range c.SelfApprovals {
		from = append(from, fmt.Sprintf("%s approved by %s", a.Action, a.By))
	}
	return from
}
