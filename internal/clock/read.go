package clock

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

//go:embed profiles.yaml
var profiles []byte

//go:embed calendars/*.yaml
var calendars embed.FS

// weekdays is the calendar of an organisation that names none.
const weekdays = "weekdays"

// Limits bound the reading of a file of profiles or a calendar. A zero field
// stands for its default.
type Limits struct {
	// Bytes is the size that a file may have; 1 MiB.
	Bytes int64
	// Offset is the greatest number of units in a limit; 1000.
	Offset int
}

// Default returns the built-in profiles and calendars.
func Default() Set {
	s := Set{Calendars: map[string]Calendar{}, Org: weekdays}
	var err error
	if s.Profiles, err = ReadProfiles("built-in profiles", bytes.NewReader(profiles), Limits{}); err != nil {
		panic(err) // a test reads them
	}
	files, err := calendars.ReadDir("calendars")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		data, err := calendars.ReadFile(path.Join("calendars", f.Name()))
		if err != nil {
			panic(err)
		}
		c, err := ReadCalendar(f.Name(), bytes.NewReader(data), Limits{})
		if err != nil {
			panic(err)
		}
		s.Calendars[c.ID] = c
	}
	return s
}

// ReadCalendar reads a calendar from YAML. Name stands for the file in errors,
// which are Invalid faults.
func ReadCalendar(name string, r io.Reader, lim Limits) (Calendar, error) {
	var c Calendar
	if err := read(name, r, lim, &c); err != nil {
		return Calendar{}, fault.New(fault.Invalid, "read calendar: %w", err)
	}
	if err := c.prepare(); err != nil {
		return Calendar{}, fault.New(fault.Invalid, "read calendar: %s: %w", artifact.Quote(name), err)
	}
	return c, nil
}

// ReadProfiles reads profiles, contracts for instance, from YAML in the form
// of the built-in ones. Name stands for the file in errors, which are Invalid
// faults that name the line or the profile.
func ReadProfiles(name string, r io.Reader, lim Limits) ([]Profile, error) {
	var file struct {
		Profiles []Profile `yaml:"profiles"`
	}
	if err := read(name, r, lim, &file); err != nil {
		return nil, fault.New(fault.Invalid, "read clock profiles: %w", err)
	}
	seen := map[string]bool{}
	for _, p := range file.Profiles {
		err := p.check(cmp.Or(lim.Offset, 1000))
		if err == nil && seen[p.ID] {
			err = fmt.Errorf("profile %s: given twice", p.ID)
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "read clock profiles: %s: %w", artifact.Quote(name), err)
		}
		seen[p.ID] = true
	}
	return file.Profiles, nil
}

// With returns the set with profiles added. A profile with a known id is a
// Conflict: what the law says is not overwritten by a file in passing.
func (s Set) With(own []Profile) (Set, error) {
	for _, p := range own {
		if slices.Contains(s.ids(), p.ID) {
			return s, fault.New(fault.Conflict, "clock profile %s exists already: give it another id", p.ID)
		}
		if _, ok := s.Calendars[p.Calendar]; p.Calendar != "" && !ok {
			return s, fault.New(fault.Invalid, "clock profile %s: no calendar %.80q", p.ID, p.Calendar)
		}
		s.Profiles = append(slices.Clip(s.Profiles), p)
	}
	return s, nil
}

// read decodes the one YAML document of a file and accepts no key that v does
// not have.
func read(name string, r io.Reader, lim Limits, v any) error {
	limit := cmp.Or(lim.Bytes, 1<<20)
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return err
	}
	if int64(len(data)) > limit {
		return fmt.Errorf("%s: larger than %d bytes", artifact.Quote(name), limit)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithKnownFields())
	if err != nil {
		return err
	}
	if err := loader.Load(v); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", artifact.Quote(name), err)
	}
	return nil
}

func (p Profile) check(maxOffset int) error {
	if err := artifact.CheckID(p.ID); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("profile %s: %s", p.ID, fmt.Sprintf(format, args...))
	}
	switch {
	case !slices.Contains([]Kind{Product, Regulatory, Contract}, p.Kind):
		return wrong("kind %.40q is none of product, regulatory, contract", p.Kind)
	case !slices.Contains([]Status{InForce, Unsettled, NotLaw}, p.Status):
		return wrong("status %.40q is none of in_force, unsettled, not_law", p.Status)
	case p.Citation == "" || p.Applies == "" || p.AsOf == "" || p.Authority == "":
		return wrong("citation, authority, applies and as_of must be given")
	case p.Kind == Regulatory && p.Confirm == "":
		return wrong("confirm must say with whom")
	case len(p.Clocks) == 0:
		return wrong("has no clocks")
	}
	for i, r := range p.Clocks {
		if err := r.check(p.Clocks[:i], maxOffset); err != nil {
			return wrong("clock %.80q: %v", r.ID, err)
		}
	}
	return nil
}

// check refuses a rule that could not be evaluated. A clock may wait only for
// one that stands before it, so that none waits for itself.
func (r Rule) check(before []Rule, maxOffset int) error {
	known := func(id string) bool {
		return slices.ContainsFunc(before, func(o Rule) bool { return o.ID == id })
	}
	switch {
	case artifact.CheckID(r.ID) != nil || known(r.ID):
		return errors.New("id is not valid, or given twice")
	case r.Template == "" || r.Title == "" || r.To == "":
		return errors.New("title, to and template must be given")
	case len(r.Due) == 0:
		return errors.New("due is missing")
	}
	for _, l := range r.Due {
		switch {
		case !slices.Contains([]Unit{Hours, Days, BusinessDays, Months}, l.Unit):
			return fmt.Errorf("unit %.40q is none of hours, days, business_days, months", l.Unit)
		case l.Offset < 1 || l.Offset > maxOffset:
			return fmt.Errorf("offset %d is not between 1 and %d", l.Offset, maxOffset)
		case (len(l.From) == 0) == (l.After == ""):
			return errors.New("a limit counts either from a recorded time or after another clock")
		case l.After != "" && !known(l.After):
			return fmt.Errorf("after %.80q: no clock of that id stands before it", l.After)
		}
	}
	return nil
}
