package detect

import (
	"fmt"
	"slices"
	"strings"
)

// Rule returns the rule with the id.
func (i Info) Rule(id string) (Rule, bool) {
	n := slices.IndexFunc(i.Rules, func(r Rule) bool { return r.ID == id })
	if n < 0 {
		return Rule{}, false
	}
	return i.Rules[n], true
}

// Page returns the rule's page of the manual, in Markdown.
func (r Rule) Page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n", r.ID, r.Title)
	fmt.Fprintf(&b, "Verdict %s, severity %s.", r.Verdict, r.Severity)
	for n, t := range r.Techniques {
		lead := ", "
		if n == 0 {
			lead = " MITRE ATLAS: "
		}
		fmt.Fprintf(&b, "%s[%s](https://atlas.mitre.org/techniques/%s)", lead, t, t)
	}
	if len(r.Techniques) > 0 {
		b.WriteString(".")
	}
	fmt.Fprintf(&b, "\n\n%s\n\n## What to do\n\n%s\n\n## What it does not see\n\n%s\n", r.About, r.Do, r.Misses)
	if len(r.Cases) == 0 {
		return b.String()
	}
	b.WriteString("\n## Public attacks it catches\n\n")
	for _, n := range r.Cases {
		fmt.Fprintf(&b, "* %d: %s\n", n, caseTitle(n))
	}
	return b.String()
}

func caseTitle(n int) string {
	for _, c := range Cases {
		if c.Number == n {
			return c.Title
		}
	}
	return "?"
}

// CasesPage returns the manual's list of public attacks with the rules that
// catch each of them. Rules are those of the infos.
func CasesPage(infos []Info) string {
	var b strings.Builder
	b.WriteString("# Public attacks and the rules that catch them\n\n")
	b.WriteString("A case without a rule is named as such: it is not covered.\n\n| # | attack | rules |\n| --- | --- | --- |\n")
	for _, c := range Cases {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", c.Number, c.Title, rulesOf(infos, c.Number))
	}
	return b.String()
}

func rulesOf(infos []Info, number int) string {
	var ids []string
	for _, i := range infos {
		for _, r := range i.Rules {
			if slices.Contains(r.Cases, number) {
				ids = append(ids, "["+r.ID+"]("+r.ID+".md)")
			}
		}
	}
	if len(ids) == 0 {
		return "none"
	}
	slices.Sort(ids)
	return strings.Join(ids, ", ")
}
