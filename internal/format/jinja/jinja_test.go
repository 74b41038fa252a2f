package jinja_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/jinja"
)

var kinds = map[jinja.Kind]string{
	jinja.Body: "body", jinja.Text: "text", jinja.Output: "out", jinja.If: "if", jinja.For: "for", jinja.Set: "set", jinja.SetBlock: "setblock",
	jinja.Macro: "macro", jinja.CallBlock: "callblock", jinja.FilterBlock: "filterblock", jinja.Block: "block", jinja.With: "with", jinja.Load: "load",
	jinja.Do: "do", jinja.Jump: "jump", jinja.Name: "name", jinja.Str: "str", jinja.Num: "num", jinja.Const: "const", jinja.Attr: "attr",
	jinja.Item: "item", jinja.Slice: "slice", jinja.Call: "call", jinja.Keyword: "kw", jinja.Star: "star", jinja.Filter: "filter", jinja.Test: "test",
	jinja.Binary: "bin", jinja.Unary: "un", jinja.Cond: "cond", jinja.List: "list", jinja.Tuple: "tuple", jinja.Dict: "dict", jinja.Pair: "pair",
	jinja.Nothing: "-",
}

// show writes a tree as an expression of brackets.
func show(n *jinja.Node) string {
	parts := []string{kinds[n.Kind]}
	if n.Name != "" {
		parts = append(parts, n.Name)
	}
	if n.Value != "" {
		parts = append(parts, fmt.Sprintf("%q", n.Value))
	}
	for _, k := range n.Kids {
		parts = append(parts, show(k))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, " ") + ")"
}

func TestParse(t *testing.T) {
	for name, row := range map[string]struct{ in, want string }{
		"text":          {"a { b", `(body (text "a { b"))`},
		"attribute":     {"{{ a.b['c'].d(1, x=2) }}", `(body (out (call (attr d (item (attr b (name a)) (str "c"))) (num "1") (kw x (num "2")))))`},
		"escapes":       {`{{ a['\x5f\u005f\137\N{LOW LINE}b'] }}`, `(body (out (item (name a) (str "____b"))))`},
		"adjacent":      {`{{ '__in' 'it__' }}`, `(body (out (str "__init__")))`},
		"dotted_filter": {"{{ a|b.c }}", `(body (out (filter b.c (name a))))`},
		"filter_call":   {"{{ a|b(1)|c }}", `(body (out (filter c (filter b (name a) (num "1")))))`},
		"test":          {"{{ a is not defined and b is divisibleby 3 }}", `(body (out (bin and (un not (test defined (name a))) (test divisibleby (name b) (num "3")))))`},
		"precedence":    {"{{ 1 + 2 * 3 ~ 'a' == b or not c }}", `(body (out (bin or (bin == (bin + (num "1") (bin ~ (bin * (num "2") (num "3")) (str "a"))) (name b)) (un not (name c)))))`},
		"condition":     {"{{ a if b else c }}", `(body (out (cond (name a) (name b) (name c))))`},
		"slices":        {"{{ a[1:], a[::-1] }}", `(body (out (tuple (item (name a) (slice (num "1") -)) (item (name a) (slice - - (un - (num "1")))))))`},
		"if":            {"{%- if a -%}x{% elif b %}y{% else %}z{%+ endif %}", `(body (if (name a) (body (text "x")) (body (if (name b) (body (text "y")) (body (text "z"))))))`},
		"for":           {"{% for k, v in d.items() if v recursive %}x{% else %}y{% endfor %}", `(body (for (tuple (name k) (name v)) (call (attr items (name d))) (body (text "x")) (body (text "y")) (name v)))`},
		"set":           {"{% set ns.x = 1 %}{% set y %}b{% endset %}", `(body (set (attr x (name ns)) (num "1")) (setblock (name y) (body (text "b"))))`},
		"macro":         {"{% macro f(a, b=1) %}x{% endmacro %}", `(body (macro f (list (kw a) (kw b (num "1"))) (body (text "x"))))`},
		"raw":           {"{% raw %}{{ a }}{% endraw %}", `(body (text "{{ a }}"))`},
		"comment":       {"a{# {{ b }} #}c", `(body (text "a") (text "c"))`},
		"braces":        {"{{ {'a': {'b': 1}} }}", `(body (out (dict (pair (str "a") (dict (pair (str "b") (num "1")))))))`},
		"mark_in_text":  {"{{ '%}}}' }}", `(body (out (str "%}}}")))`},
		"include":       {"{% include 'a' ignore missing %}", `(body (load include (str "a")))`},
		"generation":    {"{% generation %}x{% endgeneration %}", `(body (block (body (text "x"))))`},
		"chain":         {"{{ a ~ b ~ c }}", `(body (out (bin ~ (name a) (name b) (name c))))`},
		"not_in":        {"{{ a not in b }}", `(body (out (bin "not in" (name a) (name b))))`},
		"dotted_number": {"{{ a.0 }}", `(body (out (item (name a) (num "0"))))`},
		"call_block":    {"{% call(x) f() %}b{% endcall %}", `(body (callblock (list (kw x)) (call (name f)) (body (text "b"))))`},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := jinja.Parse(row.in, jinja.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(show(n), "(bin not in", `(bin "not in"`)
			if d := cmp.Diff(row.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		err  error
		text string
	}{
		"open_block":    {"{% if a", jinja.ErrSyntax, `no "%}"`},
		"open_output":   {"{{ a", jinja.ErrSyntax, `no "}}"`},
		"open_comment":  {"{# a", jinja.ErrSyntax, "comment without an end"},
		"open_raw":      {"{% raw %}{{", jinja.ErrSyntax, "raw without an end"},
		"open_string":   {"{{ 'a }}", jinja.ErrSyntax, "string without an end"},
		"no_end":        {"{% if a %}x", jinja.ErrSyntax, `"endif" is missing`},
		"wrong_end":     {"{% if a %}x{% endfor %}", jinja.ErrSyntax, `"endif" is missing`},
		"stray_end":     {"x{% endif %}", jinja.ErrSyntax, "nothing is open"},
		"unknown":       {"{% trans %}x{% endtrans %}", jinja.ErrSyntax, "unknown statement"},
		"empty":         {"{{ }}", jinja.ErrSyntax, "unexpected"},
		"operator":      {"{{ a $ b }}", jinja.ErrSyntax, `unexpected "$"`},
		"closes":        {"{{ a) }}", jinja.ErrSyntax, "closes nothing"},
		"deep":          {"{{ " + strings.Repeat("(", 300) + "a" + strings.Repeat(")", 300) + " }}", jinja.ErrLimit, "deeper than 200"},
		"deep_blocks":   {strings.Repeat("{% if a %}", 300), jinja.ErrLimit, "deeper than 200"},
		"accesses":      {"{{ a" + strings.Repeat(".b", 300) + " }}", jinja.ErrLimit, "accesses in a row"},
		"filters":       {"{{ a" + strings.Repeat("|b", 300) + " }}", jinja.ErrLimit, "filters in a row"},
		"alternating":   {"{{ a" + strings.Repeat("+b-c", 300) + " }}", jinja.ErrLimit, "operators in a row"},
		"negations":     {"{{ " + strings.Repeat("not ", 300) + "a }}", jinja.ErrLimit, "deeper than 200"},
		"large":         {strings.Repeat("a", 2<<20), jinja.ErrLimit, "template of"},
		"many_elements": {"{{ [" + strings.Repeat("1,", 300_000) + "] }}", jinja.ErrLimit, "tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jinja.Parse(row.in, jinja.Limits{})
			if !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLongChain(t *testing.T) {
	n, err := jinja.Parse("{{ a"+strings.Repeat(" ~ b", 10_000)+" }}", jinja.Limits{})
	if err != nil || len(n.Kids[0].Kids[0].Kids) != 10_001 {
		t.Errorf("%v", err)
	}
}

// FuzzParse promises: nodes lie in the text, each in what is around it, and the
// text outside of delimiters is in the tree.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"{{ a.b['c']|d(e=1) is not f }}", "{% for a, b in c if d recursive %}{% else %}{% endfor %}", "{% set x %}{% endset %}{% raw %}{{{% endraw %}",
		"{% macro m(a=1) %}{{ caller() }}{% endmacro %}{% call m() %}{% endcall %}", "{%- if not a -%}{% elif b in c %}{% endif %}", `{{ "\x5f" 'b' ~ 1.5 // 2 ** -x[1:2:3] }}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := jinja.Parse(text, jinja.Limits{})
		if err != nil {
			if !errors.Is(err, jinja.ErrSyntax) && !errors.Is(err, jinja.ErrLimit) {
				t.Fatal(err)
			}
			return
		}
		if !strings.ContainsAny(text, "{") && (len(n.Kids) > 1 || len(text) > 0 && n.Kids[0].Value != text) {
			t.Fatal("plain text changed")
		}
		n.Walk(func(n *jinja.Node) bool {
			if n.Offset < 0 || n.End < n.Offset || n.End > len(text) {
				t.Fatalf("%d to %d of %d", n.Offset, n.End, len(text))
			}
			if n.Kind == jinja.Text && text[n.Offset:n.End] != n.Value && !strings.Contains(text, "raw") {
				t.Fatalf("text %q", n.Value)
			}
			return true
		})
	})
}
