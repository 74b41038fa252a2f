package template_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/template"
)

type names struct{}

func (names) Allows(string, string) bool { return false }

// hits keeps what a detector reports.
type hits struct{ list []detect.Hit }

func (h *hits) Hit(hit detect.Hit)                          { h.list = append(h.list, hit) }
func (h *hits) Fact(string)                                 {}
func (h *hits) Nested(context.Context, detect.Member) error { return nil }

func judge(t *testing.T, text string) []detect.Hit {
	t.Helper()
	var h hits
	in := detect.Input{Name: "chat_template.jinja", Format: artifact.Template, Allowed: names{}, Data: io.NewSectionReader(strings.NewReader(text), 0, int64(len(text)))}
	if err := template.New().Detect(t.Context(), in, &h); err != nil {
		t.Fatal(err)
	}
	return h.list
}

// TestPlaces wants the place of a finding to be the expression it is about.
func TestPlaces(t *testing.T) {
	const text = "{{ messages }} {{ x.__class__ }}"
	found := judge(t, text)
	if len(found) != 1 || found[0].Offset != int64(strings.Index(text, "x.__class__")) || string(found[0].Evidence) != "x.__class__" {
		t.Errorf("%+v", found)
	}
}

// FuzzDetect promises: findings lie in the template, their number is bounded,
// and what spells a name of Python in one attribute is never without one.
func FuzzDetect(f *testing.F) {
	for _, s := range []string{
		"{{ x['__cla' ~ 'ss__'] }}", "{% if 'a' in m.content %}one two three four{% endif %}", "{{ 'a%s' % ('b',) }}{{ 'abc'[::-1] }}", "{{ a|attr(['_'*2]|join|reverse) }}",
		"{% set d = {'a': 'b'} %}{{ d.get(m.content) or d[m.content[1:2:-1]] }}", "{{ '{0.x}{}'.format(1) }}{{ 'a'|format(1)|replace('a','b')|first }}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := judge(t, text)
		if len(found) > 60 {
			t.Fatalf("%d findings", len(found))
		}
		for _, h := range found {
			if h.Offset < -1 || h.Length < 0 || h.Offset+h.Length > int64(len(text)) || h.Summary == "" {
				t.Fatalf("%+v in %d bytes", h, len(text))
			}
		}
		walk := "{{ m.__class__ }}" + text
		if len(judge(t, walk)) == 0 {
			t.Fatal("a walk and no finding")
		}
	})
}
