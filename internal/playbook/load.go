package playbook

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

//go:embed playbook.yaml
var builtIn []byte

// BuiltIn returns the text of the built-in playbook, to begin one's own with.
func BuiltIn() string { return string(builtIn) }

// Default returns the built-in playbook.
func Default() Playbook {
	p, err := Load("built-in playbook", bytes.NewReader(builtIn), Limits{})
	if err != nil {
		panic(err) // a test reads it
	}
	return p
}

// Limits bound the reading of a playbook. A zero field stands for its default.
type Limits struct {
	// Bytes is the size that a file may have; 1 MiB.
	Bytes int64
	// Steps is the number of steps; 200.
	Steps int
}

// maxProblems bounds how many problems one error names.
const maxProblems = 20

// Load reads a playbook from YAML or JSON in the form of the built-in one.
// Name stands for the file in errors. The error is an Invalid fault that names
// every problem with its line: an unknown key or kind, a step that does not
// exist, steps that wait for each other.
func Load(name string, r io.Reader, lim Limits) (Playbook, error) {
	limit := cmp.Or(lim.Bytes, 1<<20)
	refuse := func(err error) (Playbook, error) {
		return Playbook{}, fault.New(fault.Invalid, "read playbook %s: %w", artifact.Quote(name), err).
			WithHint("begin with the built-in one: weightwarden playbook export --format yaml")
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return Playbook{}, fault.New(fault.Incomplete, "read playbook %s: %w", artifact.Quote(name), err)
	}
	if int64(len(data)) > limit {
		return refuse(fmt.Errorf("larger than %d bytes", limit))
	}
	var p Playbook
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithKnownFields())
	if err != nil {
		return refuse(err)
	}
	if err := loader.Load(&p); err != nil && !errors.Is(err, io.EOF) {
		return refuse(err)
	}
	if most := cmp.Or(lim.Steps, 200); len(p.Steps) > most {
		return refuse(fmt.Errorf("%d steps, more than %d", len(p.Steps), most))
	}
	for n := range p.Steps {
		p.Steps[n].fill(n)
	}
	if problems := append(p.formProblems(), p.problems()...); len(problems) > 0 {
		return refuse(located(problems, lines(data)))
	}
	return p, nil
}

// fill gives a step its number, lists where there are none, and the activity
// of CACAO that fits anything.
func (s *Step) fill(n int) {
	s.Number = n
	s.Activity = cmp.Or(s.Activity, "execute-operation")
	for _, list := range []*[]string{&s.After, &s.Parallel, &s.CSF, &s.Atlas, &s.Commands} {
		if *list == nil {
			*list = []string{}
		}
	}
}

// formProblems are those that a playbook in a file can have, and one that is
// made by hand need not fear.
func (p Playbook) formProblems() (out []problem) {
	for _, t := range []string{p.Created, p.Modified} {
		if _, err := time.Parse("2006-01-02T15:04:05Z", t); err != nil {
			out = append(out, problem{-1, fmt.Sprintf("created and modified: %.40q is no time of the form 2026-11-01T00:00:00Z", t)})
		}
	}
	if p.Name == "" {
		out = append(out, problem{-1, "name is missing"})
	}
	for n, s := range p.Steps {
		if s.Kind == "" || s.Title == "" || s.Reason == "" {
			out = append(out, problem{n, fmt.Sprintf("step %.80q: kind, title and reason must be given", s.ID)})
		}
	}
	return out
}

// located joins problems with the lines of their steps.
func located(problems []problem, lines []int) error {
	texts := []string{}
	for i, wrong := range problems {
		switch {
		case i == maxProblems:
			return errors.New(strings.Join(append(texts, fmt.Sprintf("%d more", len(problems)-i)), "\n"))
		case wrong.step >= 0 && wrong.step < len(lines):
			texts = append(texts, fmt.Sprintf("line %d: %s", lines[wrong.step], wrong.text))
		default:
			texts = append(texts, wrong.text)
		}
	}
	return errors.New(strings.Join(texts, "\n"))
}

// lines returns the line of every step of a file that has been read already.
func lines(data []byte) (lines []int) {
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil || len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "steps" {
			for _, step := range root.Content[i+1].Content {
				lines = append(lines, step.Line)
			}
		}
	}
	return lines
}
