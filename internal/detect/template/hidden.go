package template

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/weightwarden/weightwarden/internal/format/jinja"
)

// said are the fields of a message that hold what somebody said.
var said = set("content text reasoning_content query prompt instruction")

// fromContent reports whether an expression has what a message says in it.
func (j *judge) fromContent(n *jinja.Node) (yes bool) {
	n.Walk(func(n *jinja.Node) bool {
		switch n.Kind {
		case jinja.Attr:
			yes = yes || said[n.Name]
		case jinja.Item:
			yes = yes || n.Kids[1].Kind == jinja.Str && said[n.Kids[1].Value]
		case jinja.Call:
			callee := n.Kids[0]
			if callee.Kind == jinja.Attr && callee.Name == "get" && len(n.Kids) > 1 && n.Kids[1].Kind == jinja.Str {
				yes = yes || said[n.Kids[1].Value]
			}
		case jinja.Filter: // map(attribute='content')
			for _, a := range n.Kids[1:] {
				if a.Kind == jinja.Keyword && a.Name == "attribute" && a.Kids[0].Kind == jinja.Str {
					yes = yes || said[a.Kids[0].Value]
				}
			}
		case jinja.Name:
			yes = yes || j.content[n.Name]
		default:
		}
		return !yes
	})
	return yes
}

// learn follows what messages say into variables, until nothing changes.
func (j *judge) learn(root *jinja.Node) {
	const rounds = 5
	for range rounds {
		before := len(j.content)
		root.Walk(func(n *jinja.Node) bool {
			if (n.Kind == jinja.Set || n.Kind == jinja.For) && j.fromContent(n.Kids[1]) {
				n.Kids[0].Walk(func(t *jinja.Node) bool {
					if t.Kind == jinja.Name || t.Kind == jinja.Attr {
						j.content[t.Name] = true
					}
					return true
				})
			}
			if n.Kind == jinja.SetBlock && j.fromContent(n.Kids[len(n.Kids)-1]) && n.Kids[0].Kind == jinja.Name {
				j.content[n.Kids[0].Name] = true
			}
			return true
		})
		if len(j.content) == before {
			return
		}
	}
}

// conditions looks for text that depends on words in messages, or on the time.
func (j *judge) conditions(root *jinja.Node) {
	j.learn(root)
	root.Walk(func(n *jinja.Node) bool {
		switch n.Kind {
		case jinja.If:
			j.condition(n, n.Kids[0], n.Kids[1], n.Kids[2:])
		case jinja.Cond:
			j.condition(n, n.Kids[1], n.Kids[0], n.Kids[2:])
		case jinja.For:
			if len(n.Kids) > 4 {
				j.condition(n, n.Kids[4], n.Kids[2], nil)
			}
		case jinja.Binary:
			j.shortcut(n)
		case jinja.Item:
			j.lookup(n, n.Kids[0], n.Kids[1])
		case jinja.Filter:
			if n.Name == "replace" {
				j.replaced(n, n.Kids[0], n.Kids[1:])
			}
		case jinja.Call:
			j.method(n)
		default:
		}
		return true
	})
}

func (j *judge) condition(n, test, body *jinja.Node, otherwise []*jinja.Node) {
	if j.timed(test) {
		j.hit(ruleTime, 0, n, "", "a condition of the template compares the time")
	}
	word, asked := j.asks(test)
	if !asked {
		return
	}
	if text, ok := sentence(body); ok {
		j.hit(ruleHidden, 0, n, "", "when a message has %.60q the template adds %.120q", word, text)
		return
	}
	// What stands in place of a mark-up is the usual case of "else".
	for _, o := range otherwise {
		if text, ok := sentence(o); ok && plainWord(word) {
			j.hit(ruleHidden, 0, n, "", "unless a message has %.60q the template adds %.120q", word, text)
		}
	}
}

// shortcut looks at "a and b": b is what the template says when a holds.
func (j *judge) shortcut(n *jinja.Node) {
	if n.Name != "and" && n.Name != "or" {
		return
	}
	for i, k := range n.Kids[1:] {
		word, asked := j.asks(n.Kids[i])
		if text, ok := sentence(k); asked && ok {
			j.hit(ruleHidden, 0, n, "", "when a message has %.60q the template adds %.120q", word, text)
		}
	}
}

// lookup looks at elements of a mapping that are found by what a message says.
func (j *judge) lookup(n, of, by *jinja.Node) {
	if of.Kind == jinja.Name && j.values[of.Name] != nil {
		of = j.values[of.Name]
	}
	if of.Kind != jinja.Dict || !j.fromContent(by) {
		return
	}
	if text, ok := sentence(of); ok {
		j.hit(ruleHidden, 0, n, "", "by what a message says the template adds one of %.120q", text)
	}
}

// replaced looks at what words of a message are replaced with.
func (j *judge) replaced(n, of *jinja.Node, args []*jinja.Node) {
	if len(args) < 2 || !j.fromContent(of) {
		return
	}
	if text, ok := sentence(args[1]); ok {
		j.hit(ruleHidden, 0, n, "", "words of a message are replaced with %.120q", text)
	}
}

// method looks at the methods that do the same.
func (j *judge) method(n *jinja.Node) {
	callee := n.Kids[0]
	switch {
	case callee.Kind != jinja.Attr:
	case callee.Name == "replace":
		j.replaced(n, callee.Kids[0], n.Kids[1:])
	case callee.Name == "get" && len(n.Kids) > 1:
		j.lookup(n, callee.Kids[0], n.Kids[1])
	}
}

// timed reports whether a condition compares what the clock says.
func (j *judge) timed(test *jinja.Node) (yes bool) {
	test.Walk(func(n *jinja.Node) bool {
		yes = yes || n.Kind == jinja.Call && n.Kids[0].Kind == jinja.Name && n.Kids[0].Name == "strftime_now"
		return !yes
	})
	return yes
}

// searches are methods that look for a text.
var searches = set("startswith endswith find rfind index count")

// asks returns the literal that a condition looks for in what messages say.
func (j *judge) asks(test *jinja.Node) (word string, yes bool) {
	test.Walk(func(n *jinja.Node) bool {
		if yes {
			return false
		}
		switch {
		case n.Kind == jinja.Binary && (n.Name == "in" || n.Name == "not in" || n.Name == "==" || n.Name == "!="):
			word, yes = j.compared(n.Kids[0], n.Kids[1])
			if !yes {
				word, yes = j.compared(n.Kids[1], n.Kids[0])
			}
		case n.Kind == jinja.Call && n.Kids[0].Kind == jinja.Attr && searches[n.Kids[0].Name] && len(n.Kids) > 1:
			word, yes = j.compared(n.Kids[1], n.Kids[0].Kids[0])
		case n.Kind == jinja.Test && len(n.Kids) > 1:
			word, yes = j.compared(n.Kids[1], n.Kids[0])
			if !yes {
				word, yes = j.compared(n.Kids[0], n.Kids[1])
			}
		case n.Kind == jinja.Filter && n.Name == "select" || n.Kind == jinja.Filter && n.Name == "selectattr":
			for _, a := range n.Kids[1:] {
				if text, ok := j.fold(a, 0); ok && !tests[text] && !said[text] && j.selects(n) {
					word, yes = text, text != ""
				}
			}
		}
		return true
	})
	return word, yes
}

// selects reports whether a filter selects by what messages say.
func (j *judge) selects(n *jinja.Node) bool {
	if len(n.Kids) > 1 && n.Kids[1].Kind == jinja.Str && said[n.Kids[1].Value] {
		return true
	}
	return j.fromContent(n.Kids[0])
}

func (j *judge) compared(literal, with *jinja.Node) (string, bool) {
	text, ok := j.fold(literal, 0)
	if !ok && (literal.Kind == jinja.List || literal.Kind == jinja.Tuple) && len(literal.Kids) > 0 {
		text, ok = j.fold(literal.Kids[0], 0)
	}
	if !ok && literal.Kind == jinja.Name && j.own[literal.Name] && !j.content[literal.Name] {
		text, ok = literal.Name, true // a word of a list, say
	}
	return text, ok && strings.TrimSpace(text) != "" && j.fromContent(with)
}

// plainWord reports whether a literal is words, and no mark-up of a model.
func plainWord(s string) bool {
	return !strings.ContainsAny(s, "<>|[]{}/") && strings.ContainsFunc(s, unicode.IsLetter)
}

// minWords makes a text a sentence.
const minWords = 4

var address = regexp.MustCompile(`(?i)\b(https?|ftp|file|data):/?/?[^\s'"]{3,}`)

// sentence returns the text that a branch has, when it is a sentence or has an
// address.
func sentence(n *jinja.Node) (string, bool) {
	var b strings.Builder
	n.Walk(func(n *jinja.Node) bool {
		switch n.Kind {
		case jinja.Text, jinja.Str:
			b.WriteString(n.Value)
			b.WriteByte(' ')
		case jinja.Call: // what an exception says is not for the model
			return n.Kids[0].Kind != jinja.Name || n.Kids[0].Name != "raise_exception"
		case jinja.If, jinja.Cond, jinja.Item, jinja.Attr, jinja.Test: // its own condition decides there
			return n.Kind == jinja.If || n.Kind == jinja.Cond
		default:
		}
		return b.Len() < 1<<16
	})
	text := strings.Join(strings.Fields(b.String()), " ")
	words := 0
	for w := range strings.FieldsSeq(text) {
		w = strings.Trim(w, ".,:;!?'\"()*#-")
		if len(w) >= 2 && !strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' && r != '-' }) {
			words++
		}
	}
	// Scripts without spaces between words: letters count.
	wide := 0
	for _, r := range text {
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai) {
			wide++
		}
	}
	return text, words >= minWords || wide >= 3*minWords || address.MatchString(text)
}

var run = regexp.MustCompile(`[A-Za-z0-9+/]{80,}={0,2}`)

// texts looks at what the template outputs as it stands.
func (j *judge) texts(root *jinja.Node) {
	root.Walk(func(n *jinja.Node) bool {
		if n.Kind != jinja.Text && n.Kind != jinja.Str {
			return true
		}
		if at := strings.IndexFunc(n.Value, invisible); at >= 0 {
			j.hit(ruleOddText, 0, n, "", "the template has the invisible character %q", []rune(n.Value[at:])[0])
		}
		if found := run.FindString(n.Value); found != "" && mixed(found) {
			j.hit(ruleOddText, 0, n, "", "the template has %d characters that look like base64: %.60q", len(found), found)
		}
		return true
	})
	if at := strings.IndexFunc(j.text, invisible); at >= 0 {
		j.hit(ruleOddText, 0, &jinja.Node{Offset: at, End: min(len(j.text), at+12)}, "", "the template has the invisible character %q", []rune(j.text[at:])[0])
	}
}

// invisible characters have no width, or turn the direction of writing.
func invisible(r rune) bool {
	switch {
	case r >= 0x200b && r <= 0x200f && r != 0x200d, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x2064, r >= 0x2066 && r <= 0x2069,
		r == 0xfeff, r == 0x00ad, r >= 0xe0000 && r <= 0xe007f, r == 0x180e:
		return true
	}
	return false
}

// mixed reports whether a run has letters of both cases and digits, which
// words in a row do not have.
func mixed(s string) bool {
	return strings.ContainsFunc(s, unicode.IsUpper) && strings.ContainsFunc(s, unicode.IsLower) && strings.ContainsFunc(s, unicode.IsDigit)
}
