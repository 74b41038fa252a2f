package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// maxMistakes bounds the list of mistakes in one error.
const maxMistakes = 20

// mistake is one thing that is wrong in the file.
type mistake struct {
	line int
	at   string // the key it is about, as models[1].path; "" for the whole file
	text string
}

// reader walks the nodes of one file and collects what is wrong with it. Its
// methods return a zero value for what they refuse, so that one mistake does
// not hide the next.
type reader struct {
	name     string // the file, for people
	dir      string // absolute; relative paths start here
	mistakes []mistake
	routed   []routed // models that routes name
}

func (r *reader) wrong(line int, at, format string, args ...any) {
	r.mistakes = append(r.mistakes, mistake{line, at, fmt.Sprintf(format, args...)})
}

// fault returns every mistake in line order as one error, or nil.
func (r *reader) fault() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	lines := make([]string, 0, min(len(r.mistakes), maxMistakes+1))
	for i, m := range r.mistakes {
		if i == maxMistakes {
			lines = append(lines, fmt.Sprintf("%s: %d more mistakes", r.name, len(r.mistakes)-i))
			break
		}
		lines = append(lines, r.line(m))
	}
	return fault.New(fault.Invalid, "%s", strings.Join(lines, "\n")).
		WithHint("weightwarden config example prints a configuration with every key explained")
}

func (r *reader) line(m mistake) string {
	place := r.name
	if m.line > 0 {
		place = fmt.Sprintf("%s:%d", r.name, m.line)
	}
	if m.at != "" {
		place += ": " + m.at
	}
	return place + ": " + m.text
}

// field reads the value of one key.
type field func(n *yaml.Node, at string)

// mapping calls the field of every key in n. Unknown keys and keys given twice
// are mistakes.
func (r *reader) mapping(n *yaml.Node, at string, fields map[string]field) {
	r.entries(n, at, func(key *yaml.Node, value *yaml.Node, at string) {
		if read, ok := fields[key.Value]; ok {
			read(value, at)
			return
		}
		r.wrong(key.Line, at, "unknown key%s", suggest(key.Value, fields))
	})
}

// entries calls entry for every key of n that is text and given once.
func (r *reader) entries(n *yaml.Node, at string, entry func(key, value *yaml.Node, at string)) {
	if !r.is(n, yaml.MappingNode, at, "a mapping") {
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			r.wrong(key.Line, at, "a key that is not text")
			continue
		}
		below := join(at, key.Value)
		if first, twice := seen[key.Value]; twice {
			r.wrong(key.Line, below, "given twice, first in line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		entry(key, value, below)
	}
}

// join appends a key to a place. Keys are shown as they are only where that
// is harmless.
func join(at, key string) string {
	if len(key) > 80 {
		key = fmt.Sprintf("%.80q…", key)
	}
	key = artifact.Quote(key)
	if at == "" {
		return key
	}
	return at + "." + key
}

// list calls item for every element of n.
func (r *reader) list(n *yaml.Node, at string, item field) {
	if !r.is(n, yaml.SequenceNode, at, "a list") {
		return
	}
	for i, element := range n.Content {
		item(element, fmt.Sprintf("%s[%d]", at, i))
	}
}

// is reports whether n is of the wanted kind. Aliases are refused everywhere:
// a configuration this small needs none, and a few of them in a chain can
// stand for millions of nodes.
func (r *reader) is(n *yaml.Node, want yaml.Kind, at, what string) bool {
	switch n.Kind {
	case want:
		return true
	case yaml.AliasNode:
		r.wrong(n.Line, at, "YAML aliases are not accepted: write the value out")
	default:
		r.wrong(n.Line, at, "want %s, this is %s", what, describe(n))
	}
	return false
}

// scalar reports whether n is a single value with one of the tags.
func (r *reader) scalar(n *yaml.Node, at, what string, tags ...string) bool {
	if !r.is(n, yaml.ScalarNode, at, what) {
		return false
	}
	if slices.Contains(tags, n.ShortTag()) {
		return true
	}
	hint := ""
	if slices.Contains(tags, "!!str") && n.ShortTag() != "!!null" {
		hint = "; write it in quotes"
	}
	r.wrong(n.Line, at, "want %s, this is %s%s", what, describe(n), hint)
	return false
}

var kinds = map[string]string{
	"!!null": "empty", "!!int": "a number", "!!float": "a number", "!!bool": "true or false",
	"!!str": "text", "!!timestamp": "a date", "!!seq": "a list", "!!map": "a mapping",
}

func describe(n *yaml.Node) string {
	return cmp.Or(kinds[n.ShortTag()], "something else")
}

// text reads a text without control characters, of at most 4096 bytes.
func (r *reader) text(n *yaml.Node, at string) string {
	if !r.scalar(n, at, "text", "!!str") {
		return ""
	}
	switch s := n.Value; {
	case len(s) > 4096:
		r.wrong(n.Line, at, "%d bytes long, at most 4096 are allowed", len(s))
	case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.wrong(n.Line, at, "has control characters")
	default:
		return s
	}
	return ""
}

func (r *reader) boolean(n *yaml.Node, at string) bool {
	return r.scalar(n, at, "true or false", "!!bool") && strings.EqualFold(n.Value, "true")
}

// number reads a decimal number as JSON writes it. YAML's hexadecimal, octal
// and grouped forms read differently in different versions and are refused.
func (r *reader) number(n *yaml.Node, at string) (float64, bool) {
	if !r.scalar(n, at, "a number", "!!int", "!!float") {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || !json.Valid([]byte(n.Value)) {
		r.wrong(n.Line, at, "want a plain decimal number")
		return 0, false
	}
	return f, true
}

// path reads a path and makes it absolute.
func (r *reader) path(n *yaml.Node, at string) string {
	before := len(r.mistakes)
	switch p := r.text(n, at); {
	case len(r.mistakes) > before:
		return ""
	case p == "":
		r.wrong(n.Line, at, "is empty, want a path")
		return ""
	case p == "~" || strings.HasPrefix(p, "~/"):
		r.wrong(n.Line, at, "~ is not expanded: write the whole path")
		return ""
	case filepath.IsAbs(p):
		return filepath.Clean(p)
	default:
		return filepath.Join(r.dir, p)
	}
}

// paths reads a list of paths.
func (r *reader) paths(n *yaml.Node, at string) []string {
	var out []string
	r.list(n, at, func(n *yaml.Node, at string) {
		if p := r.path(n, at); p != "" {
			out = append(out, p)
		}
	})
	return out
}
