package message

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/weightwarden/weightwarden/internal/incident"
)

// Warning is something about a message that a person should look at before it
// is sent. It never stops a message: late and imperfect is better than never.
type Warning struct {
	// Rule is the id of the rule, one of those below.
	Rule string `json:"rule"`
	Text string `json:"text"`
	// Excerpt is what gave rise to it.
	Excerpt string `json:"excerpt,omitempty"`
}

// The rules of [Lint].
const (
	Promise      = "promise"        // a time is promised that nobody can keep
	Blame        = "blame"          // somebody is blamed
	EmptyPhrase  = "empty_phrase"   // words that say nothing
	NoNextUpdate = "no_next_update" // readers do not learn when they hear again
	NoUnknowns   = "no_unknowns"    // it does not say what is not known
	NoDate       = "no_date"        // the subject has no date
	Internal     = "internal"       // outsiders read what is not theirs to know
	OpenField    = "open_field"     // a field of the form is not answered
)

// phrases find what should not stand in a line of a message.
var phrases = []struct {
	rule, text string
	match      *regexp.Regexp
}{
	{
		Promise, "promises a time; say only when the next update follows",
		regexp.MustCompile(`(?i)\b(eta|we expect|is expected|are expected|we (guarantee|promise|anticipate)|(should|will) be (back|fixed|restored|resolved|up|available|over|done)|shortly|soon|any minute|(fixed|resolved|restored|back|back (online|up)) (by|within|in|before) \S*\d)`),
	},
	{
		Blame, "blames somebody; describe what happened, not who",
		regexp.MustCompile(`(?i)\b(blame|at fault|fault of|fault was|human error|negligen\w*|careless\w*|incompeten\w*|stupid\w*|sloppy|should have known|(his|her|their|['’]s) (mistake|fault|negligence)|mistake (of|by)|caused by (an? |the |our )?(\w+ )?(employee|engineer|contractor|developer|intern|operator|administrator))\b`),
	},
	{
		EmptyPhrase, "says nothing; leave it out",
		regexp.MustCompile(`(?i)(take|takes|taking) (the )?(security|privacy|this)( \S+){0,4} (very )?seriously|abundance of caution|world.class|industry.leading|unfortunately`),
	},
}

var (
	dated      = regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b`)
	nextUpdate = regexp.MustCompile(`(?is)(next update|next by|next one|amendment)[^\n]{0,80}20\d\d-\d\d-\d\dT\d\d:\d\d`)
	unknown    = regexp.MustCompile(`(?i)unknown|not known|not yet known|not determined|nothing that we know of`)
	// announced lines hold a time because they have to.
	announced = regexp.MustCompile(`(?i)next (update|by|one)|will follow by|follows? (by|in|within)|due`)
	path      = regexp.MustCompile(`(^|[\s("'])/[A-Za-z0-9._-]+/[A-Za-z0-9._/-]+`)
	account   = regexp.MustCompile(`\b[A-Za-z0-9._-]+@[A-Za-z0-9-]+\b`)
)

// Lint returns what a person should look at before the message goes out, in
// the order of the text.
func Lint(r Rendered, inc *incident.Incident) []Warning {
	out := []Warning{}
	if !dated.MatchString(r.Subject) {
		out = append(out, Warning{NoDate, "the subject has no date: readers cannot tell an old message from a new one", r.Subject})
	}
	for line := range strings.Lines(r.Subject + "\n" + r.Body) {
		out = append(out, lintLine(strings.TrimSpace(line))...)
	}
	if eta := r.Fields["eta"]; eta != "" && !strings.HasPrefix(eta, "restored at ") && !strings.HasPrefix(eta, "UNKNOWN") {
		out = append(out, Warning{Promise, "the field eta promises a time; say only when the next update follows", eta})
	}
	if !nextUpdate.MatchString(r.Body) {
		out = append(out, Warning{NoNextUpdate, "it does not say when the next update follows", ""})
	}
	if !unknown.MatchString(r.Body) {
		out = append(out, Warning{NoUnknowns, "it does not say what is not known", ""})
	}
	if r.External {
		out = append(out, lintExternal(r, inc)...)
	}
	for _, f := range r.Open {
		out = append(out, Warning{OpenField, "nobody has answered this field: state it as a fact, or with --set", f})
	}
	return out
}

func lintLine(line string) (out []Warning) {
	for _, p := range phrases {
		found := p.match.FindString(line)
		if found == "" || p.rule == Promise && announced.MatchString(line) {
			continue
		}
		out = append(out, Warning{p.rule, fmt.Sprintf("%q %s", found, p.text), excerpt(line)})
	}
	return out
}

// lintExternal looks for names of people, hosts and paths.
func lintExternal(r Rendered, inc *incident.Incident) (out []Warning) {
	internal := func(text, found string) {
		out = append(out, Warning{Internal, text + " is not for people outside", excerpt(found)})
	}
	text := r.Subject + "\n" + r.Body
	if found := path.FindString(text); found != "" {
		internal("a path", strings.TrimSpace(found))
	}
	if found := account.FindString(text); found != "" {
		internal("a name with a host", found)
	}
	if name := flat(inc.Commander); len(name) > 1 && strings.Contains(text, name) {
		internal("the commander's name", name)
	}
	return out
}

func excerpt(s string) string {
	const most = 120
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
