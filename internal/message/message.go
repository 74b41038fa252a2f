// Package message renders messages to people from an incident's record.
//
// It never sends anything, never guesses a value that the record does not
// know, and does not know who reads what it renders.
package message

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// The names of the guide's templates.
const (
	InitialAlert       = "initial_alert"
	StakeholderUpdate  = "stakeholder_update"
	PostIncidentReport = "post_incident_report"
)

// The names of our own templates for people; those for authorities are named
// by the profiles of package clock.
const (
	ContainmentNotice = "containment_notice"
	CustomerNotice    = "customer_notice"
)

// Template is one message with {field} placeholders in Subject and Body. The
// braces themselves are written {{ and }}.
type Template struct {
	Name     string `yaml:"-"`
	Subject  string `yaml:"subject"`
	Audience string `yaml:"audience"`
	Timing   string `yaml:"timing"`
	Body     string `yaml:"body"`
	// External says that people outside the organisation read it: Lint looks
	// for what is not theirs to know.
	External bool `yaml:"external"`
}

// Set is templates by name.
type Set map[string]Template

// Names returns the names of the templates, sorted.
func (s Set) Names() []string { return slices.Sorted(maps.Keys(s)) }

// Get returns a template, or a NotFound fault that names those there are.
func (s Set) Get(name string) (Template, error) {
	t, ok := s[name]
	if !ok {
		return Template{}, fault.New(fault.NotFound, "no message template %.80q", name).
			WithHint("use one of: %s", strings.Join(s.Names(), ", "))
	}
	return t, nil
}

//go:embed templates.yaml
var builtIn []byte

// Default returns the built-in templates.
func Default() Set {
	set, err := parse("built-in templates", builtIn)
	if err != nil {
		panic(err) // a test reads them
	}
	return set
}

// maxFile bounds a file of templates, in bytes.
const maxFile = 1 << 20

// Load reads a file of templates in the form of the guide and returns the
// built-in ones with those of the file added or put in their place. Name is
// the file's name in errors, which are Invalid faults that name the line.
func Load(name string, r io.Reader) (Set, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	if len(data) > maxFile {
		return nil, fault.New(fault.Invalid, "read templates: %s: larger than %d bytes", name, maxFile)
	}
	own, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	set := Default()
	maps.Copy(set, own)
	return set, nil
}

func parse(name string, data []byte) (Set, error) {
	var file struct {
		Templates map[string]Template `yaml:"templates"`
	}
	dec, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithKnownFields())
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	if err := dec.Load(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "read templates: %s: %w", name, err)
	}
	if len(file.Templates) == 0 {
		return nil, fault.New(fault.Invalid, "read templates: %s: no templates", name).
			WithHint("the form is: templates: {NAME: {subject: …, audience: …, timing: …, body: …}}")
	}
	set := Set{}
	for _, id := range Set(file.Templates).Names() { // in order, so that the first fault is always the same
		t := file.Templates[id]
		t.Name = id
		if err := t.check(); err != nil {
			return nil, fault.New(fault.Invalid, "read templates: %s: %w", name, err)
		}
		set[id] = t
	}
	return set, nil
}

// check refuses a template that could not be rendered.
func (t Template) check() error {
	if strings.TrimSpace(t.Body) == "" {
		return fmt.Errorf("template %.80q: has no body", t.Name)
	}
	if _, err := split(t.Subject); err != nil {
		return fmt.Errorf("template %.80q: subject: %w", t.Name, err)
	}
	if _, err := split(t.Body); err != nil {
		return fmt.Errorf("template %.80q: body: %w", t.Name, err)
	}
	return nil
}
