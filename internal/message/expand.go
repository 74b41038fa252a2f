package message

import (
	"fmt"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// piece is a part of a template: literal text, or the name of a field.
type piece struct {
	text  string
	field bool
}

// split takes a template apart. A brace that is neither doubled nor part of
// {name} is an error, as it is in the guide's own rendering.
func split(template string) ([]piece, error) {
	var pieces []piece
	line := 1
	for rest := template; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			return append(pieces, piece{text: rest}), nil
		}
		line += strings.Count(rest[:i], "\n")
		if i > 0 {
			pieces = append(pieces, piece{text: rest[:i]})
		}
		rest = rest[i:]
		if len(rest) > 1 && rest[0] == rest[1] {
			pieces = append(pieces, piece{text: rest[:1]})
			rest = rest[2:]
			continue
		}
		name, after, ok := strings.Cut(rest[1:], "}")
		if rest[0] == '}' || !ok || !isName(name) {
			return nil, fmt.Errorf("line %d: %.40q is no placeholder: write {name}, or {{ and }} for braces", line, rest)
		}
		pieces = append(pieces, piece{text: name, field: true})
		rest = after
	}
	return pieces, nil
}

func isName(s string) bool {
	for i, r := range s {
		alpha := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !alpha && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// expand fills a template in one pass: what a value holds is never expanded.
func expand(template string, value func(name string) string) (string, error) {
	pieces, err := split(template)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range pieces {
		if p.field {
			p.text = value(p.text)
		}
		b.WriteString(p.text)
	}
	return b.String(), nil
}

// plain returns a value as it may stand in a message: control characters
// quoted, braces as parentheses so that nothing looks like a field left open.
func plain(value string) string {
	lines := strings.Split(strings.TrimSpace(value), "\n")
	for i, line := range lines {
		lines[i] = braces.Replace(artifact.Quote(line))
	}
	return strings.Join(lines, "\n")
}

var braces = strings.NewReplacer("{", "(", "}", ")")

// free returns text that somebody wrote with its lines after the first
// indented, so that none of them can pose as a heading of ours.
func free(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\r\n", "\n")
	return strings.ReplaceAll(text, "\n", "\n  ")
}

// flat returns text as one line. A line break in a subject would begin a
// header in a mail.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }
