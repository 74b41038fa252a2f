package template

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/format/jinja"
)

// maxFolded is how long a text may become that is put together, maxFolds how
// deep an expression is followed.
const (
	maxFolded = 4096
	maxFolds  = 30
)

// fold computes an expression that is the same text however it is rendered.
func (j *judge) fold(n *jinja.Node, depth int) (string, bool) {
	if depth > maxFolds {
		return "", false
	}
	switch n.Kind {
	case jinja.Str:
		return n.Value, len(n.Value) <= maxFolded
	case jinja.Num:
		if depth > 0 {
			return n.Value, true
		}
	case jinja.Name:
		text, ok := j.constants[n.Name]
		return text, ok
	case jinja.Binary:
		return j.foldBinary(n, depth)
	case jinja.Filter:
		return j.foldFilter(n, depth)
	case jinja.Item:
		return j.foldItem(n, depth)
	case jinja.Call:
		if callee := n.Kids[0]; callee.Kind == jinja.Attr {
			return j.foldMethod(n, callee, depth)
		}
	default:
	}
	return "", false
}

// foldAll folds the nodes.
func (j *judge) foldAll(nodes []*jinja.Node, depth int) ([]string, bool) {
	var texts []string
	for _, n := range nodes {
		if n.Kind == jinja.Keyword {
			n = n.Kids[0]
		}
		text, ok := j.fold(n, depth+1)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

func short(text string) (string, bool) { return text, len(text) <= maxFolded }

func (j *judge) foldBinary(n *jinja.Node, depth int) (string, bool) {
	switch n.Name {
	case "~", "+":
		parts, ok := j.foldAll(n.Kids, depth)
		if !ok || n.Name == "+" && numbers(n.Kids) {
			return "", false
		}
		return short(strings.Join(parts, ""))
	case "*":
		text, ok := j.fold(n.Kids[0], depth+1)
		times, err := strconv.Atoi(n.Kids[1].Value)
		if !ok || err != nil || times < 0 || times*len(text) > maxFolded || n.Kids[0].Kind == jinja.Num {
			return "", false
		}
		return strings.Repeat(text, times), true
	case "%":
		text, ok := j.fold(n.Kids[0], depth+1)
		args := n.Kids[1:]
		if len(args) == 1 && args[0].Kind == jinja.Tuple {
			args = args[0].Kids
		}
		values, known := j.foldAll(args, depth)
		if !ok || !known {
			return "", false
		}
		return percent(text, values)
	}
	return "", false
}

func numbers(nodes []*jinja.Node) bool {
	return !slices.ContainsFunc(nodes, func(n *jinja.Node) bool { return n.Kind != jinja.Num })
}

// percent formats %s, %c and %d.
func percent(text string, values []string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if text[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if len(values) == 0 {
			return "", false
		}
		value := values[0]
		values = values[1:]
		if n, err := strconv.Atoi(value); text[i] == 'c' && err == nil {
			value = string(rune(n))
		}
		b.WriteString(value)
	}
	return short(b.String())
}

// braces formats {} and {0}.
func braces(text string, values []string) (string, bool) {
	var b strings.Builder
	for next := 0; ; next++ {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return short(b.String())
		}
		field, after, closed := strings.Cut(rest, "}")
		index := next
		if n, err := strconv.Atoi(field); err == nil {
			index = n
		}
		if !closed || index < 0 || index >= len(values) {
			return "", false
		}
		b.WriteString(values[index])
		text = after
	}
}

// elements folds the elements of a list.
func (j *judge) elements(n *jinja.Node, depth int) ([]string, bool) {
	if n.Kind != jinja.List && n.Kind != jinja.Tuple {
		text, ok := j.fold(n, depth+1)
		var letters []string
		for _, r := range text {
			letters = append(letters, string(r))
		}
		return letters, ok
	}
	return j.foldAll(n.Kids, depth)
}

func (j *judge) foldFilter(n *jinja.Node, depth int) (string, bool) {
	args, known := j.foldAll(n.Kids[1:], depth)
	if !known {
		return "", false
	}
	list, ok := j.elements(n.Kids[0], depth)
	if !ok {
		return "", false
	}
	if n.Name == "reverse" {
		slices.Reverse(list)
	}
	text := strings.Join(list, "")
	switch n.Name {
	case "join":
		if len(args) > 0 {
			text = strings.Join(list, args[0])
		}
		return short(text)
	case "first", "last":
		if len(list) == 0 {
			return "", false
		}
		return list[map[string]int{"first": 0, "last": len(list) - 1}[n.Name]], true
	case "format":
		return percent(text, args)
	case "reverse", "string", "list", "safe", "e", "escape", "trim", "lower", "upper", "replace":
		return method(n.Name, text, args)
	}
	return "", false
}

func (j *judge) foldMethod(n, callee *jinja.Node, depth int) (string, bool) {
	args, known := j.foldAll(n.Kids[1:], depth)
	if callee.Name == "join" && len(n.Kids) == 2 {
		with, ok := j.fold(callee.Kids[0], depth+1)
		list, is := j.elements(n.Kids[1], depth)
		if !ok || !is {
			return "", false
		}
		return short(strings.Join(list, with))
	}
	text, ok := j.fold(callee.Kids[0], depth+1)
	if !ok || !known {
		return "", false
	}
	if callee.Name == "format" {
		return braces(text, args)
	}
	return method(callee.Name, text, args)
}

// method computes the methods of texts that give texts.
func method(name, text string, args []string) (string, bool) {
	switch name {
	case "reverse", "string", "list", "safe", "e", "escape":
		return text, true
	case "strip", "lstrip", "rstrip", "trim":
		return strings.TrimSpace(text), true
	case "lower", "casefold":
		return strings.ToLower(text), true
	case "upper":
		return strings.ToUpper(text), true
	case "replace":
		if len(args) >= 2 {
			return short(strings.ReplaceAll(text, args[0], args[1]))
		}
	}
	return "", false
}

// foldItem computes letters and slices of texts, and elements of lists.
func (j *judge) foldItem(n *jinja.Node, depth int) (string, bool) {
	list, ok := j.elements(n.Kids[0], depth)
	if !ok {
		return "", false
	}
	index := n.Kids[1]
	if index.Kind != jinja.Slice {
		at, ok := number(index)
		if at < 0 {
			at += len(list)
		}
		if !ok || at < 0 || at >= len(list) {
			return "", false
		}
		return list[at], true
	}
	step := 1
	if len(index.Kids) > 2 && index.Kids[2].Kind != jinja.Nothing {
		var ok bool
		if step, ok = number(index.Kids[2]); !ok || step == 0 {
			return "", false
		}
	}
	from, ok := bound(index.Kids[0], len(list), step, true)
	to, is := bound(index.Kids[1], len(list), step, false)
	if !ok || !is {
		return "", false
	}
	var b strings.Builder
	for at := from; step > 0 && at < to || step < 0 && at > to; at += step {
		if at < 0 || at >= len(list) {
			break
		}
		b.WriteString(list[at])
	}
	return b.String(), true
}

func number(n *jinja.Node) (int, bool) {
	sign := 1
	if n.Kind == jinja.Unary && n.Name == "-" {
		n, sign = n.Kids[0], -1
	}
	if n.Kind != jinja.Num {
		return 0, false
	}
	v, err := strconv.Atoi(n.Value)
	return sign * v, err == nil
}

// bound is one end of a slice.
func bound(n *jinja.Node, length, step int, first bool) (int, bool) {
	if n.Kind == jinja.Nothing {
		switch {
		case first && step < 0:
			return length - 1, true
		case first:
			return 0, true
		case step < 0:
			return -1, true
		}
		return length, true
	}
	at, ok := number(n)
	if at < 0 {
		at = max(at+length, 0)
	}
	return min(at, length), ok
}
