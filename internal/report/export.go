package report

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/stableid"
)

// object is a JSON object of an export. Its keys are written sorted, so that
// the same case gives the same bytes.
type object = map[string]any

// encode writes v as one line of JSON, or indented.
func encode(w io.Writer, v any, indent string) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	return enc.Encode(v)
}

// when returns the time that an export carries: that of the newest entry.
func (c Case) when() time.Time {
	for _, t := range []time.Time{c.UpdatedAt, c.OpenedAt, c.DetectedAt} {
		if !t.IsZero() {
			return t.UTC()
		}
	}
	return time.Unix(0, 0).UTC() // a record that says nothing at all
}

// began returns when the incident was declared.
func (c Case) began() time.Time {
	if c.OpenedAt.IsZero() {
		return c.when()
	}
	return c.OpenedAt.UTC()
}

// milliseconds writes a time with exactly three fractional digits.
func milliseconds(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// uid names a thing of this case among the exports' objects.
func (c Case) uid(parts ...string) string {
	return stableid.New(stableid.Namespace, c.IncidentID+"\x00"+strings.Join(parts, "\x00")).String()
}

// phrase returns text from anywhere as one line without control characters, or
// otherwise where there is none.
func phrase(s, otherwise string) string {
	s = artifact.Quote(strings.TrimSpace(strings.Join(strings.Fields(s), " ")))
	if s == "" {
		return otherwise
	}
	if r := []rune(s); len(r) > maxCell {
		return string(r[:maxCell]) + "…"
	}
	return s
}

func (c Case) title() string { return phrase(c.Summary, "Incident "+c.IncidentID) }

// badFile is a file that should not be as it is.
type badFile struct {
	model, name, sha256 string
	indicator           string // the id of the sign
	atlas               []string
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// badFiles returns the files whose digests others can look for, once each.
func (c Case) badFiles() []badFile {
	var out []badFile
	for _, i := range c.Indicators {
		sum, ok := i.Evidence["actual_hash"].(string)
		sum = strings.TrimPrefix(sum, "sha256:")
		if !ok || !hexDigest.MatchString(sum) || slices.ContainsFunc(out, func(b badFile) bool { return b.sha256 == sum && b.name == i.File() }) {
			continue
		}
		out = append(out, badFile{i.Source, i.File(), sum, i.ID, i.Atlas})
	}
	return out
}

// techniques returns the ids of the techniques of all findings that MITRE
// ATLAS has, sorted.
func (c Case) techniques() []string {
	var ids []string
	for _, f := range c.Findings {
		for _, id := range f.Atlas {
			if technique.MatchString(id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

var technique = regexp.MustCompile(`^AML\.T[0-9]{4}(\.[0-9]{3})?$`)

func writing(what string, err error) error {
	if err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}
