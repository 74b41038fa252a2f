package yaml_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/yaml"
)

type log struct{ lines []string }

func (l *log) Value(n yaml.Node) error {
	l.lines = append(l.lines, fmt.Sprintf("%s %s%s@%d", n.Path, n.Tag, n.Value, n.Offset))
	return nil
}

func (l *log) Twice(n yaml.Node) error {
	l.lines = append(l.lines, "twice "+n.Path)
	return nil
}

func TestWalk(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		want []string
	}{
		"values":   {"a: 1\nb: [x, {c: y}]\n", []string{" @0", "a 1@3", "b @8", "b[0] x@9", "b[1] @12", "b[1].c y@16"}},
		"tag":      {"!!python/object/apply:os.system [id]\n", []string{" !!python/object/apply:os.system@0", "[0] id@33"}},
		"verbatim": {"a: !<tag:yaml.org,2002:python/name:os.system> x\n", []string{" @0", "a !!python/name:os.systemx@3"}},
		"handle":   {"%TAG !p! tag:yaml.org,2002:python/\n---\n!p!name:os.system x\n", []string{" !!python/name:os.systemx@39"}},
		"key":      {"? !!python/name:os.system x\n: 1\n", []string{" @0", "(key) !!python/name:os.systemx@2", "x 1@30"}},
		"twice":    {"a: 1\na: 2\n", []string{"twice a", " @0", "a 1@3", "a 2@8"}},
		"alias":    {"a: &x {k: v}\nb: *x\n", []string{" @0", "a @3", "a.k v@10"}},
		"two":      {"a\n---\nb\n", []string{" a@0", " b@6"}},
	} {
		t.Run(name, func(t *testing.T) {
			var l log
			if err := yaml.Walk(strings.NewReader(row.in), yaml.Limits{}, &l); err != nil {
				t.Fatal(err)
			}
			if name == "twice" || name == "values" { // told when the mapping is met
				l.lines = sorted(l.lines)
				row.want = sorted(row.want)
			}
			if d := cmp.Diff(row.want, l.lines); d != "" {
				t.Error(d)
			}
		})
	}
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

func TestRefused(t *testing.T) {
	for name, row := range map[string]struct {
		in  string
		err error
	}{
		"unclosed": {"a: [1", yaml.ErrMalformed},
		"large":    {strings.Repeat("a", 2000), yaml.ErrLimit},
		"many":     {"[" + strings.Repeat("1,", 200) + "1]", yaml.ErrLimit},
		"deep":     {strings.Repeat("[", 30) + strings.Repeat("]", 30), yaml.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			err := yaml.Walk(strings.NewReader(row.in), yaml.Limits{Bytes: 1000, Nodes: 100, Depth: 20}, &log{})
			if !errors.Is(err, row.err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// FuzzWalk promises: no more values than the limit are told, places lie in the
// text, and a tag of Python that is told stands in the text in some form.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{"a: [1, {b: c}]\n", "!!python/name:a x", "a: &x 1\nb: *x", "? {a: b}\n: c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := places{t: t, text: string(data)}
		_ = yaml.Walk(strings.NewReader(string(data)), yaml.Limits{Nodes: 1000}, &p)
		if p.n > 1000 {
			t.Fatalf("%d values", p.n)
		}
	})
}

type places struct {
	t    *testing.T
	text string
	n    int
}

func (p *places) Twice(yaml.Node) error { return nil }
func (p *places) Value(n yaml.Node) error {
	p.n++
	if n.Offset < 0 || n.Offset > int64(4*len(p.text)) {
		p.t.Fatalf("%+v in %d bytes", n, len(p.text))
	}
	return nil
}
