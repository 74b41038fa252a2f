// Package metrics writes numbers in the text format of Prometheus. It knows
// neither what they count nor where they are read.
package metrics

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// Page is one answer to who asks for the numbers.
type Page struct{ buf bytes.Buffer }

// Sample is one number with the labels that tell it from the others of its
// name: name and value by turns.
type Sample struct {
	Labels []string
	Value  float64
}

// One returns a sample without labels.
func One(v float64) []Sample { return []Sample{{Value: v}} }

// Gauge writes numbers that go up and down.
func (p *Page) Gauge(name, help string, samples []Sample) { p.family(name, help, "gauge", samples) }

// Counter writes numbers that only go up; the name ends with _total.
func (p *Page) Counter(name, help string, samples []Sample) { p.family(name, help, "counter", samples) }

func (p *Page) family(name, help, kind string, samples []Sample) {
	p.buf.WriteString("# HELP " + name + " " + escape(help, false) + "\n# TYPE " + name + " " + kind + "\n")
	for _, s := range samples {
		p.buf.WriteString(name)
		for i := 0; i+1 < len(s.Labels); i += 2 {
			sep := ","
			if i == 0 {
				sep = "{"
			}
			p.buf.WriteString(sep + s.Labels[i] + `="` + escape(s.Labels[i+1], true) + `"`)
		}
		if len(s.Labels) > 1 {
			p.buf.WriteByte('}')
		}
		p.buf.WriteString(" " + strconv.FormatFloat(s.Value, 'g', -1, 64) + "\n")
	}
}

func escape(s string, quotes bool) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s)
	if quotes {
		s = strings.ReplaceAll(s, `"`, `\"`)
	}
	return s
}

// ContentType is that of the format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// WriteTo writes the page.
func (p *Page) WriteTo(w io.Writer) (int64, error) { return p.buf.WriteTo(w) }
